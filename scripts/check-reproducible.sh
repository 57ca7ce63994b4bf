#!/usr/bin/env bash
# scripts/check-reproducible.sh [OPTION...]
#
# Builds the program twice, from copies of the sources in two folders, and compares: the same bytes, in which neither
# folder is named. The second build also has another time zone and language, and compiles one file at a time. Without a
# compile cache, so it takes some ten minutes of a core. OPTIONs are for cmake, as in -D CMAKE_CXX_COMPILER=clang++.
#
# The promise is for builds without debug information, which names the sources; with -g, give -ffile-prefix-map as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' scripts/check-reproducible.sh
    exit 0
    ;;
esac

export CCACHE_DISABLE=1
unset CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# build NAME JOBS [cmake's options]: leaves $folder/NAME/build/release/mirnet
build() {
  local copy=$folder/$1 jobs=$2
  shift 2
  mkdir -p "$copy"
  tar --create --exclude=./build --exclude=./.git . | tar --extract --directory="$copy"
  (
    cd "$copy"
    cmake --preset release -D MIRNET_BUILD_TESTS=OFF -D MIRNET_BUILD_EXAMPLES=OFF "$@"
    cmake --build --preset release --target mirnet_cli --parallel "$jobs"
  )
}
build first "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" "$@"
TZ=Asia/Kolkata LC_ALL=C build another/folder/for-the-second 1 "$@"

programs=("$folder/first/build/release/mirnet" "$folder/another/folder/for-the-second/build/release/mirnet")
sha256sum "${programs[@]}"
if grep --text --quiet --fixed-strings "$folder" "${programs[@]}"; then
  echo "The program names the folder that it was built in:" >&2
  strings --all "${programs[0]}" | grep --fixed-strings "$folder" | sort -u >&2
  exit 1
fi
if ! cmp "${programs[@]}"; then
  echo "The two programs are not the same." >&2
  exit 1
fi
echo "The two programs are the same."
