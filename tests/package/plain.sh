#!/bin/sh
# plain.sh CXX INCLUDE_DIR XSIMD_INCLUDE_DIR WEIGHTS WORK_DIR
#
# Builds with a compiler and -I, as a project without CMake would, and runs the result: a program of one file, with and
# without SIMD, and on x86-64 a program of two objects for different instruction sets.
set -eu

cxx=$1 include=$2 xsimd=$3 weights=$4 work=$5
here=$(cd "$(dirname "$0")" && pwd)
flags="-std=c++20 -Wall -Wextra -Werror -ffp-contract=off -I$include"
case $xsimd in
  /usr/include) ;;  # already where the compiler looks; naming it would reorder the system's headers
  *) flags="$flags -isystem $xsimd" ;;
esac

mkdir -p "$work"
cd "$work"

run() {
  echo "+ $*"
  "$@"
}

for level in -O0 -O2; do
  run "$cxx" $flags $level "$here/consumer.cpp" -o consumer
  run ./consumer "$weights"
  run "$cxx" $flags $level -DMIRNET_NO_SIMD=1 "$here/consumer.cpp" -o consumer
  ./consumer "$weights" | tee consumer.txt
  grep -q ' on scalar: ' consumer.txt

  case $("$cxx" -dumpmachine) in
    x86_64-*)
      run "$cxx" $flags $level -DMAIN -c "$here/two_instruction_sets.cpp" -o baseline.o
      run "$cxx" $flags $level -mavx2 -mfma -c "$here/two_instruction_sets.cpp" -o avx2.o
      # The linker keeps the first copy of what both define.
      run "$cxx" baseline.o avx2.o -o two
      run ./two
      run "$cxx" avx2.o baseline.o -o two
      run ./two
      ;;
  esac
done
