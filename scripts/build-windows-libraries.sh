#!/usr/bin/env bash
# scripts/build-windows-libraries.sh [FOLDER]
#
# Builds the picture libraries that Debian has no Windows packages of, as static libraries for 64-bit Windows, in FOLDER
# (build/windows-libraries if it is not given): libpng, libjpeg-turbo, libtiff, libwebp and Little CMS. Their sources are
# the newest of the archives of Debian that this machine takes packages from; apt-get downloads them and checks their
# signatures, in a folder of its own and without root. What has been built of the same versions stays, also where the
# archives cannot be reached. CMake looks for libraries in another folder with -D MIRNET_WINDOWS_LIBRARIES=FOLDER.
#
# Needs scripts/install-packages.sh windows, and a network. The exit code is 3 where the sources cannot be downloaded.
set -euo pipefail

case "${1:-}" in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${1:-$top/build/windows-libraries}
if [ -d "$prefix" ] && [ -n "$(ls -A "$prefix")" ] && [ ! -e "$prefix/apt/sources.list" ]; then
  echo "$0: $prefix is not empty, and this script has not filled it; expected a new folder, or one of an earlier run" >&2
  exit 1
fi
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
host=x86_64-w64-mingw32
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

packages=(libpng1.6 libjpeg-turbo tiff libwebp lcms2)

# --- The sources ---------------------------------------------------------------------------------------------------

apt=$prefix/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ ! -e $keyring ] || signed="[signed-by=$keyring] "
# The archives that this machine takes Debian's packages from have their sources, too.
# shellcheck disable=SC2016 # apt-get replaces these
apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
  sed "s|^|deb-src $signed|" >"$apt/sources.list"
if [ ! -s "$apt/sources.list" ]; then
  echo "$0: apt-get knows no archive of Debian; on Debian, run apt-get update first" >&2
  exit 3
fi
apt_get() {
  apt-get -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
    -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}
if ! apt_get update; then
  [ -e "$prefix/versions" ] || exit 3
  echo "$0: uses the libraries that were built before" >&2
  exit
fi
versions=$(apt_get source --print-uris "${packages[@]}" | grep -oE '[^/ ]+\.dsc ' | sort)
# A mirror of the security updates may name a source that it does not have yet; the release has an earlier one.
release=$(awk '{ print $(NF - 1) }' "$apt/sources.list" | grep -vE -- '-(security|updates)$' | head -n 1)
if [ "$versions" = "$(cat "$prefix/versions" 2>/dev/null)" ]; then
  echo "The libraries in $prefix are up to date."
  exit
fi
rm -rf "${prefix:?}"/{versions,src,include,lib,bin,share}
mkdir -p "$prefix/src"
cd "$prefix/src"
is_newest=yes
for package in "${packages[@]}"; do
  apt_get source "$package" || {
    is_newest=no
    echo "$0: takes $package of the release $release, without the latest update" >&2
    apt_get source "$package/$release" || exit 3
  }
done

# --- Building them -------------------------------------------------------------------------------------------------

folder_of() { # PACKAGE: where apt-get has unpacked it
  compgen -G "$prefix/src/$1-[0-9]*/" || {
    echo "$0: the sources of $1 are not in $prefix/src" >&2
    exit 1
  }
}

compile() { # PACKAGE [CMake's options]
  local source
  source=$(folder_of "$1")
  cmake -S "$source" -B "$prefix/src/build-$1" -G Ninja -Wno-dev \
    -D CMAKE_SYSTEM_NAME=Windows -D CMAKE_SYSTEM_PROCESSOR=AMD64 -D CMAKE_C_COMPILER=$host-gcc-posix \
    -D CMAKE_CXX_COMPILER=$host-g++-posix -D CMAKE_RC_COMPILER=$host-windres -D CMAKE_BUILD_TYPE=Release \
    -D "CMAKE_FIND_ROOT_PATH=/usr/$host;$prefix" -D CMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER \
    -D CMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -D CMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -D CMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -D CMAKE_INSTALL_PREFIX="$prefix" -D CMAKE_INSTALL_LIBDIR="$prefix/lib" \
    -D BUILD_SHARED_LIBS=OFF -D CMAKE_C_FLAGS=-w "${@:2}" &&
    cmake --build "$prefix/src/build-$1" --parallel "$jobs" --target install
}

build() { # the same
  compile "$@" >"$prefix/src/$1.log" 2>&1 || {
    echo "$0: cannot build $1:" >&2
    tail -n 30 "$prefix/src/$1.log" >&2
    exit 1
  }
}

# Little CMS has no CMake files, and its sources need no settings.
lcms2=$(folder_of lcms2)
cat >"$lcms2/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(lcms2 C)
file(GLOB sources src/*.c)
add_library(lcms2 STATIC \${sources})
target_include_directories(lcms2 PRIVATE include)
install(TARGETS lcms2)
install(FILES include/lcms2.h include/lcms2_plugin.h DESTINATION include)
END

# Each takes longer to be configured, by one process, than to be compiled.
build libpng1.6 -D PNG_SHARED=OFF -D PNG_TESTS=OFF -D PNG_EXECUTABLES=OFF &
running=($!)
build libwebp -D WEBP_BUILD_ANIM_UTILS=OFF -D WEBP_BUILD_CWEBP=OFF -D WEBP_BUILD_DWEBP=OFF -D WEBP_BUILD_GIF2WEBP=OFF \
  -D WEBP_BUILD_IMG2WEBP=OFF -D WEBP_BUILD_VWEBP=OFF -D WEBP_BUILD_WEBPINFO=OFF -D WEBP_BUILD_WEBPMUX=OFF \
  -D WEBP_BUILD_EXTRAS=OFF &
running+=($!)
build lcms2 &
running+=($!)
build libjpeg-turbo -D ENABLE_SHARED=OFF -D WITH_TURBOJPEG=OFF
build tiff -D tiff-tools=OFF -D tiff-tests=OFF -D tiff-docs=OFF -D tiff-contrib=OFF -D cxx=OFF -D libdeflate=OFF \
  -D jbig=OFF -D lerc=OFF -D lzma=OFF -D zstd=OFF -D webp=OFF # needs libjpeg-turbo
for process in "${running[@]}"; do wait "$process"; done
[ $is_newest = no ] || printf '%s\n' "$versions" >"$prefix/versions"
echo "The libraries are in $prefix."
