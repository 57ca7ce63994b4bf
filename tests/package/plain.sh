#!/bin/sh
# plain.sh CXX INCLUDE_DIR SINGLE_HEADER XSIMD_INCLUDE_DIR WEIGHTS WORK_DIR
#
# Builds with a compiler and -I, as a project without CMake would, and runs the result: a program of one file, with and
# without SIMD, from the headers and from the single one, and on x86-64 a program of two objects for different
# instruction sets, and one that chooses between two sets, although one of its parts knows only one.
set -eu

cxx=$1 include=$2 single=$3 xsimd=$4 weights=$5 work=$6
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work"
mkdir -p "$work"
cd "$work"

# Paths may have spaces.
ln -s "$include" "the headers"
mkdir -p "one header/mirnet"
cp "$single" "one header/mirnet/mirnet.hpp"

run() {
  echo "+ $*"
  "$@"
}

# compile FOLDER [options]
compile() {
  folder=$1
  shift
  case $xsimd in
    "" | /usr/include) ;;  # already where the compiler looks; naming it would reorder the system's headers
    *) set -- -isystem "$xsimd" "$@" ;;
  esac
  run "$cxx" -std=c++20 -Wall -Wextra -Werror -ffp-contract=off -I "$folder" "$@"
}

# consumer FOLDER [options]
consumer() {
  compile "$@" "$here/consumer.cpp" -o consumer
  ./consumer "$weights" >consumer.txt
  cat consumer.txt
}

consumer "the headers" -O0
consumer "one header" -O0
consumer "one header" -O2 -DMIRNET_NO_SIMD=1
grep -q ' on scalar: ' consumer.txt

case $("$cxx" -dumpmachine) in
  x86_64-*)
    for level in -O0 -O2; do
      compile "the headers" $level -DMAIN -c "$here/two_instruction_sets.cpp" -o baseline.o
      compile "the headers" $level -mavx2 -mfma -c "$here/two_instruction_sets.cpp" -o avx2.o
      # The linker keeps the first copy of what both define.
      run "$cxx" baseline.o avx2.o -o two
      run ./two
      run "$cxx" avx2.o baseline.o -o two
      run ./two
    done

    kernels="the headers/mirnet/dispatch/kernels.cpp" own=$here/kernels
    set -- # the objects
    for isa in sse2 "avx2 -mfma"; do
      flags=-m$isa isa=${isa%% *}
      # shellcheck disable=SC2086 # two flags
      compile "the headers" -O2 $flags "-Dxsimd=mirnet_xsimd_$isa" -c "$kernels" -o "kernels_$isa.o"
      # shellcheck disable=SC2086
      compile "the headers" -O2 $flags -c "$own/scale.cpp" -o "scale_$isa.o"
      set -- "$@" "kernels_$isa.o" "scale_$isa.o"
    done
    compile "the headers" -O0 -DMIRNET_HAS_SSE2=1 -c "$own/part.cpp" -o part.o
    compile "the headers" -O0 -DAT_LEAST=2 -DAT_MOST=2 -DMIRNET_HAS_SSE2=1 -DMIRNET_HAS_AVX2=1 \
      -DMIRNET_SOURCES_SSE2=1 -DMIRNET_SOURCES_AVX2=1 -c "$own/choose.cpp" -o choose.o
    run "$cxx" part.o choose.o "$@" -o choose
    run ./choose
    run "$cxx" choose.o part.o "$@" -o choose
    run ./choose
    # A program that declares kernels that are not linked fails to link.
    if "$cxx" part.o choose.o scale_sse2.o scale_avx2.o kernels_sse2.o -o choose 2>said.txt; then exit 1; fi
    grep -q 'linked::kernels_avx2()' said.txt
    ;;
esac
