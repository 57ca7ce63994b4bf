#!/usr/bin/env bash
# scripts/lint.sh [CHECK...]
#
# Reads the sources for mistakes with what Debian 12 has for that, and changes nothing. CHECK is any of
#
#   format    clang-format, over all C++
#   shell     shellcheck, over all scripts
#   tidy      clang-tidy with .clang-tidy: library, program, tests, benchmarks, examples
#   cppcheck  cppcheck, over the same
#   analyzer  GCC's -fanalyzer, over the program; it understands little C++ so far: its findings are for reading, and
#             a source that it has not finished after 100 seconds, as those with networks, is left
#
# and all but the last without one. scripts/install-packages.sh lint installs what they need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/lint
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

# Files of these names, ended by zeros.
sources() { git ls-files -z --cached --others --exclude-standard --deduplicate -- "$@"; }

configure() {
  cmake --preset clang -B $build -D CMAKE_EXPORT_COMPILE_COMMANDS=ON -D MIRNET_BUILD_BENCH=ON >/dev/null
}

check_format() {
  sources '*.cpp' '*.hpp' 'bindings/*.h' '*.c' | xargs -0 clang-format --dry-run -Werror
}

check_shell() {
  sources '*.sh' .ci/run | xargs -0 shellcheck
}

check_tidy() {
  configure && scripts/tidy.py $build
}

check_cppcheck() {
  sources 'examples/*.cpp' 'tests/*.cpp' 'bench/*.cpp' |
    xargs -0 cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
      --suppressions-list=.cppcheck --error-exitcode=1 -j "$CMAKE_BUILD_PARALLEL_LEVEL" \
      -D__x86_64__ -D__SSE2__ -D__GNUC__=12 -D__GLIBC__=2 -DXSIMD_VERSION_MAJOR=8 -DXSIMD_VERSION_MINOR=1 \
      -I include -I examples -I examples/cli -I tests
}

check_analyzer() {
  local macros=(-DMIRNET_HAS_SSE2
    "-DMIRNET_"{BUILD_FLAGS,INSTALLED_WEIGHTS_DIR,STB_IMAGE_VERSION,STB_IMAGE_WRITE_VERSION}'=""')
  sources 'examples/cli/*.cpp' 'examples/measure/*.cpp' |
    xargs -0 -P "$CMAKE_BUILD_PARALLEL_LEVEL" -n 1 timeout 100 g++ -std=c++20 -O1 -fanalyzer -c -o /dev/null \
      -I include -I examples -isystem /usr/include/stb "${macros[@]}"
}

[ $# -gt 0 ] || set -- format shell tidy cppcheck
for check in "$@"; do
  case $check in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' scripts/lint.sh
      exit 0
      ;;
    format | shell | tidy | cppcheck | analyzer) ;;
    *)
      echo "scripts/lint.sh: unknown check $check; see --help" >&2
      exit 2
      ;;
  esac
done
findings=()
for check in "$@"; do
  "check_$check" || findings+=("$check")
done
if [ ${#findings[@]} -gt 0 ]; then
  echo "scripts/lint.sh: findings of ${findings[*]}" >&2
  exit 1
fi
