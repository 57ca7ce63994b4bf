#!/usr/bin/env bash
# tests/run.sh [--quick] [--long]
# tests/run.sh --cross [TARGET...]
#
# Builds and runs all tests, from any folder: installs the Debian packages that are missing, builds and tests the
# release in build/release, then the library and the program with AddressSanitizer and UndefinedBehaviorSanitizer in
# build/asan, with a part of their cases, where it ends with 6 seconds of each fuzz target (tests/fuzz/run.sh). Other
# parts are built and tested where scripts/install-packages.sh has installed their packages: bindings (the Python
# package), cluster, web, gegl, packages (Debian packages), and windows (the program for Windows, in build/windows-short,
# with a part of its cases; apt-get downloads the sources of its libraries).
#
#   --quick   the release only
#   --long    all cases with the sanitizers, and what takes minutes: 37 megapixels within 1500 MB, several copies of the
#             library in a program that is not optimised, each request for memory of the program failing, ten thousand
#             runs, the library's tests built from the single header in build/single-header, and those with threads with
#             ThreadSanitizer in build/tsan
#   --cross   instead, the library and its C++ tests for other machines, all or those that are named: aarch64, armhf,
#             i686, s390x, bare-metal and windows, the last with the program and its tests. QEMU and Wine run them
#             here; where MIRNET_SHORT_TESTS=1 is set, a part of the cases of kernels and the program, operations
#             on maps, and networks against PyTorch
#   --help    this text
#
# Work is shared by as many processes as there are processors; CMAKE_BUILD_PARALLEL_LEVEL says another number.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cross_targets=(aarch64 armhf i686 s390x windows bare-metal)

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
      if [ $cross = no ] || [[ " ${cross_targets[*]} " != *" $option "* ]]; then
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

# check_windows PRESET
check_windows() {
  local build_options=() # those of this machine's program
  local failed=0
  scripts/build-windows-libraries.sh || failed=$?
  if [ $failed = 3 ] && [ $cross = no ]; then
    echo "tests/run.sh: leaves out the program for Windows: the sources of its libraries cannot be downloaded" >&2
    return
  fi
  [ $failed = 0 ] || exit 1
  check "$1"
}

if [ $cross = yes ]; then
  [ ${#targets[@]} -gt 0 ] || targets=("${cross_targets[@]}")
  scripts/install-packages.sh cross "${targets[@]}"
  [ -z "${MIRNET_SHORT_TESTS-}" ] || build_options+=(-D "MIRNET_LIBRARY_TESTS=unit/ops;kernels;model/golden")
  for target in "${targets[@]}"; do
    if [ "$target" = windows ]; then
      check_windows windows
    else
      check "$target"
    fi
  done
  exit
fi

# part PURPOSE OPTION: builds a part of the project where its packages are.
part() {
  local wanted=OFF
  if scripts/install-packages.sh --check "$1"; then wanted=ON; fi
  build_options+=(-D "$2=$wanted")
}

scripts/install-packages.sh test
part bindings MIRNET_BUILD_PYTHON
part cluster MIRNET_BUILD_CLUSTER
part web MIRNET_BUILD_WEB
part gegl MIRNET_BUILD_GEGL
part packages MIRNET_PACKAGES
check release
build_options+=(-D MIRNET_BUILD_CLUSTER=OFF -D MIRNET_BUILD_WEB=OFF -D MIRNET_BUILD_GEGL=OFF -D MIRNET_PACKAGES=OFF)
if [ $quick = no ]; then
  [ $long = yes ] || export MIRNET_SHORT_TESTS=1
  check asan --label-regex 'cpp|cli|bindings'
  tests/fuzz/run.sh --seconds 6
  if scripts/install-packages.sh --check windows; then
    check_windows windows-short
  fi
fi
if [ $long = yes ]; then
  check single-header --label-regex 'cpp|sources'
  check tsan --tests-regex '^cpp\.(unit|model|io|robustness)$'
fi
