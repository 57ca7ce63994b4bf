#!/bin/sh
# install.sh CC CXX CMAKE PREFIX LIBRARY_DIR EXAMPLE VERSION WORK_DIR
#
# Builds the example in C from an installed mirnet, in another place than it was installed to: with what pkg-config
# says, and with CMake in a project without C++; from the shared and from the static library. All have the same result.
set -eu

cc=$1 cxx=$2 cmake=$3 prefix=$4 libraries=$5 example=$6 version=$7 work=$8
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp -R "$prefix" "moved elsewhere"
moved="$work/moved elsewhere"

PKG_CONFIG_PATH="$moved/$libraries/pkgconfig"
export PKG_CONFIG_PATH
pkg-config --print-errors --exists mirnet-c
[ "$(pkg-config --modversion mirnet-c)" = "$version" ]
weights=$(pkg-config --variable=weights mirnet-c | sed 's/\\\(.\)/\1/g')  # a backslash precedes spaces
test -f "$weights"

# build NAME FLAGS [options]: with flags as pkg-config prints them.
build() {
  name=$1 flags=$2
  shift 2
  eval "set -- $flags \"\$@\""
  echo "+ $cc $* -o $name"
  "$cc" -std=c99 -Wall -Wextra -pedantic -Werror "$example" "$@" -o "$name"
}
build shared "$(pkg-config --cflags --libs mirnet-c)"
build static "$(pkg-config --cflags --libs --static mirnet-c)" -static

"$cmake" -S "$here/find_package" -B project -D CMAKE_C_COMPILER="$cc" -D CMAKE_PREFIX_PATH="$moved" \
  -D MIRNET_VERSION="$version" -D EXAMPLE="$example" -D CMAKE_DISABLE_FIND_PACKAGE_XsimdHeaders=ON >configure.txt
"$cmake" --build project

{
  printf 'P6\n20 12\n255\n'
  head -c 720 "$example"
} >noisy.ppm
LD_LIBRARY_PATH="$moved/$libraries" ./shared "$weights" noisy.ppm shared.ppm
for program in ./static project/restore_c project/restore_c_static; do
  "$program" "$weights" noisy.ppm clean.ppm
  cmp clean.ppm shared.ppm
done
if cmp -s noisy.ppm shared.ppm; then exit 1; fi
if LD_LIBRARY_PATH='' ./shared "$weights" noisy.ppm clean.ppm 2>said.txt; then exit 1; fi  # it is the shared one

# Where nobody has installed the libraries, the headers are found all the same.
rm -r "${moved:?}/$libraries"
"$cmake" -S "$here/without_libraries" -B headers -D CMAKE_CXX_COMPILER="$cxx" -D CMAKE_PREFIX_PATH="$moved" \
  -D MIRNET_VERSION="$version" >configure.txt
