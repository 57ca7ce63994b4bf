#!/bin/sh
# pkg_config.sh CXX PREFIX DATA_DIR WEIGHTS WORK_DIR
#
# Builds and runs a program with what pkg-config says of an installed mirnet, in another place than it was installed to.
set -eu

cxx=$1 prefix=$2 data=$3 weights=$4 work=$5
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp -R "$prefix" "moved elsewhere"

folder="$work/moved elsewhere/$data/pkgconfig"
PKG_CONFIG_PATH=$folder
export PKG_CONFIG_PATH
pkg-config --print-errors --exists mirnet
[ "$(pkg-config --modversion mirnet)" = "$(sed -n 's/^Version: //p' "$folder/mirnet.pc")" ]
flags=$(pkg-config --cflags mirnet)
echo "$flags"
case $flags in *-ffp-contract=off*) ;; *) exit 1 ;; esac
eval "set -- $flags"  # spaces come with a backslash before them
"$cxx" -std=c++20 -Wall -Wextra -Werror -O0 "$@" "$here/consumer.cpp" -o consumer
./consumer "$weights"

# Where xsimd is not to be found, that is what is said.
if PKG_CONFIG_LIBDIR=$folder pkg-config --print-errors --exists mirnet 2>said.txt; then exit 1; fi
grep -q "'xsimd'" said.txt
