#!/usr/bin/env bash
# tests/fuzz/run.sh [--seconds N | --runs N] [--coverage] [--merge] [TARGET...]
#
# Builds the fuzz targets in build/asan, gives each the inputs of its corpus, and then new ones for 20 seconds. As many
# run at a time as there are processors. Targets: bitmap, command_line, image, netpbm, plan, weights, and convert, which
# is in Python; all of these unless some are named. heic, the plug-in's decoder, runs only where it is named. README.md
# beside this file says what they are.
#
#   --seconds N   so long instead, each; 0: the corpus alone
#   --runs N      or so many inputs
#   --coverage    afterwards, what of the sources each corpus reaches, from a build of its own in build/coverage; needs
#                 LLVM's tools
#   --merge       afterwards, the corpus becomes the smallest that reaches what the old and the new inputs reach
#   --help        this text
#
# What a target fails on is kept in build/asan/fuzz, with its log, which says how to run it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

limit=(--seconds 20) coverage=no merge=no
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds | --runs)
      [[ ${2-} =~ ^[0-9]+$ ]] || {
        echo "tests/fuzz/run.sh: $1 needs a number; see --help" >&2
        exit 2
      }
      limit=("$1" "$2")
      shift
      ;;
    --coverage) coverage=yes ;;
    --merge) merge=yes ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/fuzz/run.sh
      exit 0
      ;;
    bitmap | command_line | heic | image | netpbm | plan | weights | convert) targets+=("$1") ;;
    *)
      echo "tests/fuzz/run.sh: there is no option or target $1; see --help" >&2
      exit 2
      ;;
  esac
  shift
done
[ ${#targets[@]} -gt 0 ] || targets=(bitmap command_line image netpbm plan weights convert)
compiled=()
for target in "${targets[@]}"; do
  [ "$target" = convert ] || compiled+=("$target")
done

work=$PWD/build/asan/fuzz sources=$PWD/tests/fuzz
# Quicker: reports say less of where memory came from, and memory that was given back is used again sooner.
export ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=2:quarantine_size_mb=16}

# build FOLDER [options of cmake]
build() {
  local folder=$1
  shift
  cmake --preset asan -B "$folder" "$@" >"$work/cmake.log" || {
    cat "$work/cmake.log"
    return 1
  }
  cmake --build "$folder" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target "${compiled[@]/#/mirnet_fuzz_}"
}

# unpack TARGET: its corpus, as files
unpack() {
  rm -rf "$work/corpus/$1"
  mkdir -p "$work/corpus/$1" "$work/found/$1"
  [ ! -e "$sources/corpus/$1.tar.gz" ] || tar -xzf "$sources/corpus/$1.tar.gz" -C "$work/corpus/$1"
}

# The inputs of a target, as folders: its corpus, and what it once failed on.
inputs() {
  echo "$work/corpus/$1"
  [ ! -d "$sources/regressions/$1" ] || echo "$sources/regressions/$1"
}

# fuzz TARGET, with a line on what came of it
fuzz() {
  local target=$1 log=$work/$1.log
  if [ "$target" = convert ]; then
    (cd "$work" && python3 -B "$sources/fuzz_convert.py" "${limit[@]}" --seed "${MIRNET_FUZZ_SEED:-1}") >"$log" 2>&1 &&
      tail -n 1 "$log" && return
  else
    local most=(-max_total_time="${limit[1]}") dictionary=()
    [ "${limit[0]}" = --seconds ] && [ "${limit[1]}" -gt 0 ] || most=(-runs="${limit[1]}")
    [ ! -e "$sources/$target.dict" ] || dictionary=(-dict="$sources/$target.dict")
    mapfile -t folders < <(inputs "$target")
    "build/asan/tests/fuzz/mirnet_fuzz_$target" "${most[@]}" "${dictionary[@]}" -max_len=4096 -timeout=20 \
      -rss_limit_mb=2560 -print_final_stats=1 -artifact_prefix="$work/$target-" "$work/found/$target" "${folders[@]}" \
      >"$log" 2>&1 && awk -v target="$target" '
        /INITED|DONE/ { for (i = 1; i < NF; ++i) if ($i == "cov:") cov = $(i + 1) }
        /number_of_executed_units/ { runs = $2 }
        /average_exec_per_sec/ { rate = $2 }
        END { print target ": " runs " runs, " rate "/s, " cov " edges reached" }' "$log" && return
  fi
  echo "tests/fuzz/run.sh: $target failed; the end of $log:" >&2
  tail -n 40 "$log" >&2
  return 1
}

# pack TARGET: the smallest corpus that reaches what all inputs reach
pack() {
  local target=$1 small=$work/small/$1
  rm -rf "$small"
  mkdir -p "$small"
  mapfile -t folders < <(inputs "$target")
  "build/asan/tests/fuzz/mirnet_fuzz_$target" -merge=1 -max_len=4096 "$small" "${folders[@]}" "$work/found/$target" \
    >"$work/$target.merge.log" 2>&1
  mkdir -p "$sources/corpus"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$small" -cf - . |
    gzip -9n >"$sources/corpus/$target.tar.gz"
  echo "$target: $(find "$small" -type f | wc -l) inputs, $(stat -c %s "$sources/corpus/$target.tar.gz") bytes packed"
}

# What a target is about, of which --coverage tells.
files_of() {
  case $1 in
    bitmap) echo include/mirnet/io/{palette,read_bmp,read_tga}.hpp ;;
    command_line) echo examples/cli/{arguments,command_line,files,memory_limit,naming,suggestion}.cpp examples/measure/size.hpp ;;
    heic) echo examples/cli/codecs/heic.cpp ;;
    image) echo include/mirnet/io/{check_*,image_*,palette,pam,pnm,read_*}.hpp examples/cli/codecs/*.cpp ;;
    netpbm) echo include/mirnet/io/{pam,pnm}.hpp ;;
    plan) echo include/mirnet/model/model.hpp include/mirnet/{networks/image_network,networks/mirnet*/*,layers/*,tensor/arena}.hpp ;;
    weights) echo include/mirnet/model/{byte_source,weight_file}.hpp include/mirnet/base/crc32c.hpp ;;
  esac
}

# cover TARGET
cover() {
  local target=$1 profile=$work/$1.profraw program=build/coverage/tests/fuzz/mirnet_fuzz_$1
  mapfile -t folders < <(inputs "$target")
  LLVM_PROFILE_FILE=$profile "$program" -runs=0 -max_len=4096 "${folders[@]}" >"$work/$target.coverage.log" 2>&1
  "$(clang++ -print-prog-name=llvm-profdata)" merge -sparse "$profile" -o "$profile.data"
  echo "$target:"
  # shellcheck disable=SC2046 # names without spaces
  "$(clang++ -print-prog-name=llvm-cov)" report "$program" -instr-profile="$profile.data" $(files_of "$target")
}

mkdir -p "$work"
if [ ${#compiled[@]} -gt 0 ]; then
  options=()
  [[ " ${compiled[*]} " != *" heic "* ]] || options=(-D MIRNET_HEIC=ON)
  build build/asan "${options[@]}"
  for target in "${compiled[@]}"; do unpack "$target"; done
fi
export -f fuzz inputs
export work sources
printf '%s\n' "${targets[@]}" |
  xargs -P "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" -I{} bash -c "limit=(${limit[*]}); fuzz {}"
if [ $merge = yes ]; then
  for target in "${compiled[@]}"; do pack "$target"; done
fi
if [ $coverage = yes ] && [ ${#compiled[@]} -gt 0 ]; then
  # CMake runs a program to learn of the compiler, which would leave its profile here.
  LLVM_PROFILE_FILE=$work/cmake.profraw \
    build build/coverage -D CMAKE_CXX_FLAGS="-fprofile-instr-generate -fcoverage-mapping"
  for target in "${compiled[@]}"; do cover "$target"; done
fi
