#!/usr/bin/env bash
# scripts/install-packages.sh [--check] PURPOSE
# scripts/install-packages.sh [--check] cross TARGET...
#
# Installs the Debian packages that are missing for a purpose:
#
#   build      the program
#   test       the program, the C library and the tests
#   bindings   the same, and the Python package
#   cluster    the same, and the Python package on a Dask cluster
#   web        as for test, and the web page and the npm package
#   gegl       as for test, and the operation of GEGL, for GIMP
#   packages   as for test, and Debian packages of mirnet itself
#   windows    the program and the tests for Windows, and Wine, which runs them
#   train      as for test, and training and measuring weights
#   bench      as for test, and the benchmarks
#   peers      the same, and the engines that one of them compares mirnet with
#   format     as for test, and the first two checks of scripts/lint.sh
#   lint       the same, and the rest of them
#   cross      the tests for other machines, and what runs them here: aarch64, armhf, i686, s390x, bare-metal, windows
#
# Asks for nothing, and does nothing where nothing is missing. On a system without apt-get it names what is missing and
# leaves the rest to you. With --check, it installs nothing, and its exit code is 1 if something is missing.
set -euo pipefail

check=no
if [ "${1:-}" = --check ]; then
  check=yes
  shift
fi
purposes="build|test|bindings|cluster|web|gegl|packages|windows|train|bench|peers|format|lint"
usage="usage: $0 [--check] $purposes, or $0 [--check] cross TARGET..."
case "${1:-}" in
  build | test | bindings | cluster | web | gegl | packages | train | bench | peers | format | lint | cross) purpose=$1 ;;
  windows)
    purpose=cross
    if [ $# -gt 1 ]; then
      echo "$usage" >&2
      exit 2
    fi
    set -- cross windows
    ;;
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
esac
shift
if [ "$purpose" != cross ] && [ $# -gt 0 ] || [ "$purpose" = cross ] && [ $# -eq 0 ]; then
  echo "$usage" >&2
  exit 2
fi

missing=()

# need PACKAGE PROBE: a command, a file under /usr/include, a library.so, python:module,... (Python.h stands for the
# headers) or clang:sanitizers that tell whether it is there, wherever it came from. Debian's modules are for Debian's
# Python, which need not be the first in the PATH.
need() {
  case $2 in
    python:*)
      local python
      for python in python3 /usr/bin/python3; do
        "$python" - "${2#*:}" 2>/dev/null <<'END' && return
import importlib.util, os, sys, sysconfig
for name in sys.argv[1].split(","):
    header = os.path.join(sysconfig.get_path("include"), name)
    if not (os.path.exists(header) if name.endswith(".h") else importlib.util.find_spec(name)):
        sys.exit(1)
END
      done
      missing+=("$1")
      ;;
    clang:*)
      clang++ -fsanitize="${2#*:}" -x c++ -o /dev/null - 2>/dev/null \
        <<<'extern "C" int LLVMFuzzerTestOneInput(char const*, unsigned long) { return 0; }' || missing+=("$1")
      ;;
    *.so) [[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) == *"$2"* ]] || missing+=("$1") ;;
    */* | *.h)
      # Debian keeps some in a folder of the machine's name.
      [ -e "/usr/include/$2" ] || [ -e "/usr/local/include/$2" ] ||
        compgen -G "/usr/include/*-linux-gnu*/$2" >/dev/null || missing+=("$1")
      ;;
    *) command -v "$2" >/dev/null || missing+=("$1") ;;
  esac
}

need g++ "${CXX:-g++}"
need cmake cmake
need ninja-build ninja
need libxsimd-dev xsimd/xsimd.hpp
need libstb-dev stb/stb_image.h
if [ "$purpose" != cross ]; then
  need libavif-dev avif/avif.h
  need libcli11-dev CLI/CLI.hpp
  need libheif-dev libheif/heif.h
  need libjpeg-dev jpeglib.h
  need libjxl-dev jxl/decode.h
  need libpng-dev png.h
  need libraw-dev libraw/libraw.h
  need libseccomp-dev seccomp.h
  need liblcms2-dev lcms2.h
  need libtiff-dev tiffio.h
  need libwebp-dev webp/mux.h
  need nlohmann-json3-dev nlohmann/json.hpp
fi
if [ "$purpose" != build ] && [ "$purpose" != cross ]; then
  need clang clang++
  need libclang-rt-dev clang:address,undefined,fuzzer
fi
if [ "$purpose" != build ]; then
  need doctest-dev doctest/doctest.h
  need libeigen3-dev eigen3/Eigen/Core
  need pkgconf pkg-config
  need python3 python3
fi
for target in "$@"; do
  case $target in
    aarch64) need g++-aarch64-linux-gnu aarch64-linux-gnu-g++ && need qemu-user qemu-aarch64 ;;
    armhf) need g++-arm-linux-gnueabihf arm-linux-gnueabihf-g++ && need qemu-user qemu-arm ;;
    i686) need g++-i686-linux-gnu i686-linux-gnu-g++ && need qemu-user qemu-i386 ;;
    s390x) need g++-s390x-linux-gnu s390x-linux-gnu-g++ && need qemu-user qemu-s390x ;;
    windows)
      need g++-mingw-w64-x86-64-posix x86_64-w64-mingw32-g++-posix
      need libz-mingw-w64-dev ../x86_64-w64-mingw32/include/zlib.h
      need wine64 ../lib/wine/wine64
      # For the sources of the picture libraries, and their assembler code.
      need dpkg-dev dpkg-source
      need nasm nasm
      need libcli11-dev CLI/CLI.hpp
      need nlohmann-json3-dev nlohmann/json.hpp
      ;;
    bare-metal)
      need gcc-arm-none-eabi arm-none-eabi-g++
      need libnewlib-arm-none-eabi ../lib/arm-none-eabi/lib/rdimon.specs
      need libstdc++-arm-none-eabi-newlib ../lib/arm-none-eabi/include/c++
      need qemu-system-arm qemu-system-arm
      ;;
    *)
      echo "$0: no target is called $target; expected aarch64, armhf, i686, s390x, windows or bare-metal" >&2
      exit 2
      ;;
  esac
done
if [ "$purpose" = format ] || [ "$purpose" = lint ]; then
  need clang-format clang-format
  need shellcheck shellcheck
fi
if [ "$purpose" = lint ]; then
  need clang clang++
  need clang-tidy clang-tidy
  need cppcheck cppcheck
fi
if [ "$purpose" = bench ] || [ "$purpose" = peers ] || [ "$purpose" = lint ]; then
  need libbenchmark-dev benchmark/benchmark.h
fi
if [ "$purpose" = web ]; then
  need emscripten em-config
  need nodejs node
  need chromium chromium
  need chromium-driver chromedriver
  need python3-selenium python:selenium
fi
if [ "$purpose" = gegl ]; then
  need gegl gegl
  need libgegl-dev gegl-0.4/gegl.h
fi
if [ "$purpose" = packages ]; then
  need dpkg-dev dpkg-shlibdeps
  need fakeroot fakeroot
  need lintian lintian
fi
if [ "$purpose" = bindings ] || [ "$purpose" = cluster ]; then
  need pybind11-dev pybind11/pybind11.h
  need python3-numpy python:numpy
  need python3-dev python:numpy,Python.h # of the Python that has numpy, as the rest
  need python3-pip python:numpy,pip
  need python3-pytest python:numpy,pytest
  need python3-setuptools python:numpy,setuptools
  need python3-venv python:numpy,ensurepip
  need python3-wheel python:numpy,wheel
fi
if [ "$purpose" = cluster ]; then
  need python3-distributed python:numpy,Python.h,distributed
  need python3-pil python:numpy,Python.h,PIL
  need python3-psutil python:numpy,Python.h,psutil
fi
if [ "$purpose" = train ] || [ "$purpose" = peers ]; then
  need python3-torch python:torch
  need python3-numpy python:numpy
  need libopenblas0-pthread libopenblas.so # without it PyTorch is ten times slower
fi
if [ "$purpose" = train ]; then
  need python3-pil python:PIL
fi
if [ "$purpose" = peers ]; then
  need nodejs node
  need npm npm
fi

[ ${#missing[@]} -gt 0 ] || exit 0
[ $check = no ] || exit 1

echo "Missing: ${missing[*]}" >&2
if ! command -v apt-get >/dev/null; then
  echo "This is not a Debian system: install what these packages are called here, then run the command again." >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Only root can install packages, and there is no sudo: run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
