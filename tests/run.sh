#!/usr/bin/env bash
# tests/run.sh [--quick] [--long]
#
# Builds and runs all tests, from any folder: installs the Debian packages that are missing, builds and tests the
# release in build/release, then the library and the program with AddressSanitizer and UndefinedBehaviorSanitizer in
# build/asan.
#
#   --quick   the release only
#   --long    also what takes minutes: 37 megapixels within 1500 MB, and the library's tests built from the single
#             header in build/single-header
#   --help    this text
#
# Work is shared by as many processes as there are processors; CMAKE_BUILD_PARALLEL_LEVEL says another number.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=no long=no
for option in "$@"; do
  case $option in
    --quick) quick=yes ;;
    --long)
      long=yes
      export MIRNET_LONG_TESTS=1
      ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/run.sh
      exit 0
      ;;
    *)
      echo "tests/run.sh: unknown option $option; see --help" >&2
      exit 2
      ;;
  esac
done

scripts/install-packages.sh test

export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=$CMAKE_BUILD_PARALLEL_LEVEL

# check PRESET [ctest options]
check() {
  cmake --preset "$1"
  cmake --build --preset "$1"
  ctest --preset "$@"
}

check release
[ $quick = yes ] || check asan --label-regex 'cpp|cli|sources'
[ $long = no ] || check single-header --label-regex 'cpp|sources'
