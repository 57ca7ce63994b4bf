#!/bin/sh
# wine.sh WINE PROGRAM [ARGUMENT...]: runs a Windows program without a window, and without Wine's own messages. Its
# settings are in WINEPREFIX, a folder of this user's cache where that is not set.
WINEPREFIX=${WINEPREFIX:-${XDG_CACHE_HOME:-$HOME/.cache}/mirnet-wine}
WINEDEBUG=-all
# Neither a desktop's menu entries nor the installers of .NET and HTML that Wine asks for.
WINEDLLOVERRIDES="winemenubuilder.exe,mscoree,mshtml="
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
mkdir -p "${WINEPREFIX%/*}"
# Making the settings takes Wine seconds, and messages that are not the program's.
[ -e "$WINEPREFIX/system.reg" ] || flock -o "$WINEPREFIX.lock" "$1" wineboot --init >/dev/null 2>&1
exec "$@"
