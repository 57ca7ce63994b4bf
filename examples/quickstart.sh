#!/usr/bin/env bash
# examples/quickstart.sh [IMAGE [OUTPUT]]
#
# Builds the program mirnet and removes the noise from a photograph: IMAGE, in any format that the program reads, or the
# one that comes with the examples. The result is OUTPUT, or else IMAGE's name with -clean.png in the current folder (a
# number is added where that is taken; an OUTPUT that exists is not replaced). Installs the Debian packages that are
# missing. Works from any folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

case ${1:-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$root/examples/quickstart.sh"
    exit 0
    ;;
esac
if [ $# -gt 2 ]; then
  echo "usage: examples/quickstart.sh [IMAGE [OUTPUT]]" >&2
  exit 2
fi

image=${1:-$root/examples/noisy.png}
if [ ! -f "$image" ]; then
  echo "quickstart: there is no file $image" >&2
  exit 3
fi

if [ $# -eq 2 ]; then
  output=$2
  if [ -e "$output" ]; then
    echo "quickstart: $output exists; name another file, or remove it first" >&2
    exit 8
  fi
else
  name=$(basename "$image")
  stem=${name%.*}-clean
  output=$stem.png
  for ((number = 2; ; ++number)); do
    [ -e "$output" ] || break
    output=$stem-$number.png
  done
fi

"$root/scripts/install-packages.sh" build
(
  cd "$root"
  # The program alone: the tests need more packages.
  cmake --preset release -DMIRNET_BUILD_TESTS=OFF -DMIRNET_HEIC=ON
  cmake --build --preset release --target mirnet_cli --parallel "$(nproc)"
) >&2

"$root/build/release/mirnet" denoise "$image" "$output"
echo "The restored photograph: $(cd "$(dirname "$output")" && pwd)/$(basename "$output")"
