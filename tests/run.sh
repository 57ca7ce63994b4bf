#!/usr/bin/env bash
# tests/run.sh [--quick] [--long]
# tests/run.sh --cross [TARGET...]
#
# Builds and runs all tests, from any folder: installs the Debian packages that are missing, builds and tests the
# release in build/release, then the library and the program with AddressSanitizer and UndefinedBehaviorSanitizer in
# build/asan, with a part of their cases, where it ends with 10 seconds of each fuzz target (tests/fuzz/run.sh). Where
# the packages are that scripts/install-packages.sh bindings installs, the Python package is built and tested, too; and
# in the release, with those of scripts/install-packages.sh web, the web page and the npm package, and with those of
# scripts/install-packages.sh packages, Debian packages and an archive of the program.
#
#   --quick   the release only
#   --long    all cases with the sanitizers, and what takes minutes: 37 megapixels within 1500 MB, several copies of the
#             library in a program that is not optimised, each request for memory of the program failing, ten thousand
#             runs, the library's tests built from the single header in build/single-header, and those with threads with
#             ThreadSanitizer in build/tsan
#   --cross   instead, the library and its C++ tests for other machines, all or those that are named: aarch64, armhf,
#             i686, s390x, mingw and bare-metal. QEMU runs them here; where MIRNET_SHORT_TESTS=1 is set, a part of the
#             cases of units and kernels, and networks against PyTorch. What there is nothing to run with (mingw) is
#             compiled and linked.
#   --help    this text
#
# Work is shared by as many processes as there are processors; CMAKE_BUILD_PARALLEL_LEVEL says another number.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What --cross does with each preset: build, or check as well.
cross_table='
  aarch64    check
  armhf      check
  i686       check
  s390x      check
  mingw      build
  bare-metal check
'

quick=no long=no cross=no
targets=()
for option in "$@"; do
  case $option in
    --quick) quick=yes ;;
    --long)
      long=yes
      export MIRNET_LONG_TESTS=1
      ;;
    --cross) cross=yes ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/run.sh
      exit 0
      ;;
    *)
      if [ $cross = no ] || ! grep -qE "^ *$option " <<<"$cross_table"; then
        echo "tests/run.sh: unknown option $option; see --help" >&2
        exit 2
      fi
      targets+=("$option")
      ;;
  esac
done

export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=$CMAKE_BUILD_PARALLEL_LEVEL

build_options=(-D MIRNET_HEIC=ON)

# build PRESET
build() {
  cmake --preset "$1" "${build_options[@]}"
  cmake --build --preset "$1"
}

# check PRESET [ctest options]
check() {
  build "$1"
  ctest --preset "$@"
}

if [ $cross = yes ]; then
  [ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(awk 'NF { print $1 }' <<<"$cross_table")
  scripts/install-packages.sh cross "${targets[@]}"
  [ -z "${MIRNET_SHORT_TESTS-}" ] || build_options+=(-D "MIRNET_LIBRARY_TESTS=unit;kernels;model/golden")
  for target in "${targets[@]}"; do
    "$(awk -v target="$target" '$1 == target { print $2 }' <<<"$cross_table")" "$target"
  done
  exit
fi

scripts/install-packages.sh test
if scripts/install-packages.sh --check bindings; then
  build_options+=(-D MIRNET_BUILD_PYTHON=ON)
fi
web=OFF
if scripts/install-packages.sh --check web; then web=ON; fi
packages=OFF
if scripts/install-packages.sh --check packages; then packages=ON; fi
build_options+=(-D "MIRNET_BUILD_WEB=$web" -D "MIRNET_PACKAGES=$packages")
check release
build_options+=(-D MIRNET_BUILD_WEB=OFF -D MIRNET_PACKAGES=OFF)
if [ $quick = no ]; then
  [ $long = yes ] || export MIRNET_SHORT_TESTS=1
  check asan --label-regex 'cpp|cli|bindings'
  tests/fuzz/run.sh --seconds 10
fi
if [ $long = yes ]; then
  check single-header --label-regex 'cpp|sources'
  check tsan --tests-regex '^cpp\.(unit|model|io|robustness)$'
fi
