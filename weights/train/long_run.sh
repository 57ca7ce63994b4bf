#!/usr/bin/env bash
# weights/train/long_run.sh start [PHOTOS] [OPTION...]
# weights/train/long_run.sh pause|resume|status|stop
# weights/train/long_run.sh cooldown [--minutes M] [--output DIR] [OPTION...]
#
# Training that never ends, in the background of other work: at the lowest priority, in two threads and 3 GB of memory.
# It survives the shell that started it, and goes on on any machine from the state that the repository has.
#
#   start     trains with the clean photographs in the folder PHOTOS, or $MIRNET_PHOTOS, or those of the last start. It
#             goes on from the working folder's state or from weights/train/state/long-run.state, whichever has more
#             steps; with neither, from random parameters.
#   pause     stops its processes where they are; they keep their memory
#   resume    lets them go on
#   status    what it does, how far it is, what it measured last, and the curve
#   stop      ends it after the step that it is in, copies its state to weights/train/state/long-run.state if it has
#             more steps than that one, and says what to commit
#   cooldown  lets the learning rate fall to zero over M minutes (60) from a copy of the state, and writes denoise.pth
#             and denoise.mirw into DIR (cooldown in the working folder). The run itself goes on if it is running.
#   --help    this text
#
# long_run.conf has the network and the other options of train.py. OPTIONs come after them, so they win: with
# `--device cuda --autocast --compile` it trains on a GPU, where its memory has no limit.
#
# The working folder is $MIRNET_LONG_RUN, or long-run in the repository, which git ignores. $PYTHON is the Python to
# use; it needs PyTorch, as train.py says. With MIRNET_LONG_RUN_PRIORITY=normal it runs like any other program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${MIRNET_LONG_RUN:-$root/long-run}
[[ $folder == /* ]] || folder=$PWD/$folder
committed=$here/state/long-run.state

say() { echo "long_run.sh: $*"; }

fail() {
  say "$@" >&2
  exit 1
}

usage() {
  say "$@" "see --help" >&2
  exit 2
}

# The Python to train with: Debian's modules are for Debian's Python, which may not be the first in the PATH.
find_python() {
  local python
  local has_all='import sys; from importlib.util import find_spec
sys.exit(not all(map(find_spec, ("torch", "numpy", "PIL"))))'
  for python in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3; do
    if "$python" -c "$has_all" 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  fail "no Python has PyTorch, numpy and Pillow; on Debian: apt install python3-torch python3-numpy python3-pil"
}

helper() { "${PYTHON:-python3}" "$here/long_run.py" "$@"; }

# Sets pid, the process that trains and the group of those that it starts; fails where there is none. After a restart of
# the machine, another program may have its number.
find_process() {
  pid=$(cat "$folder/pid" 2>/dev/null) && [[ $(field args "$pid") == *"--output $folder --endless"* ]]
}

# field args|stat PID: its arguments, or its state as one letter. Without /proc, ps tells.
field() {
  if [ ! -d /proc/self ]; then
    ps -ww -o "$1=" -p "$2"
  elif [ "$1" = args ]; then
    tr '\0' ' ' <"/proc/$2/cmdline"
  else
    sed 's/.*) //' "/proc/$2/stat"
  fi 2>/dev/null
}

is_paused() { [[ $(field stat "$pid") == T* ]]; }

signal_group() { kill "-$1" -- "-$pid"; }

# Sets options: what train.py gets of long_run.conf and of this script's arguments, and photos.
read_options() {
  local words photos_given=$1
  shift
  options=(--threads "$(($(nproc 2>/dev/null || echo 2) < 2 ? 1 : 2))" --memory 3000 --report 300)
  while read -ra words || [ ${#words[@]} -gt 0 ]; do
    options+=("${words[@]}")
  done < <(sed 's/#.*//' "$here/long_run.conf")
  options+=("$@")
  photos=${photos_given:-${MIRNET_PHOTOS:-$(cat "$folder/photos" 2>/dev/null || true)}}
  [ -n "$photos" ] || fail "there are no photographs: name their folder after start, or in MIRNET_PHOTOS"
  [ -d "$photos" ] || fail "$photos is not a folder"
  photos=$(cd "$photos" && pwd)
}

# Sets lowest: the commands before one that is to run only where nothing else wants to.
find_lowest() {
  lowest=(nice -n 19)
  if chrt --idle 0 true 2>/dev/null; then lowest+=(chrt --idle 0); fi
  if ionice -c 3 true 2>/dev/null; then lowest+=(ionice -c 3); fi
}

start() {
  local python state photos_given='' before new launch
  if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    photos_given=$1
    shift
  fi
  ! find_process || fail "the long run is running already, as process $pid"
  read_options "$photos_given" "$@"
  python=$(find_python)
  state=$(helper choose "$folder" "$committed")
  [ -z "$state" ] || options+=(--resume "$state")
  mkdir -p "$folder"
  rm -f "$folder/pid"
  echo "$photos" >"$folder/photos"
  touch "$folder/output.txt"
  before=$(wc -c <"$folder/output.txt")

  launch=(nohup)
  if command -v setsid >/dev/null; then launch=(setsid nohup); else set -m; fi # a process group of its own
  if [ "${MIRNET_LONG_RUN_PRIORITY-}" != normal ]; then
    find_lowest
    # The kernel weighs sessions against each other, and only within one by nice: a new session has to be nice as well.
    # shellcheck disable=SC2016 # for that shell
    launch+=(bash -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec "$@"' long-run "${lowest[@]}")
  fi
  "${launch[@]}" "$python" "$here/train.py" --photos "$photos" --output "$folder" --endless "${options[@]}" \
    >>"$folder/output.txt" 2>&1 </dev/null &
  (set -o noclobber && echo $! >"$folder/pid") 2>/dev/null || true # if another start was quicker, train.py says so

  for _ in {1..300}; do
    new=$(tail -c "+$((before + 1))" "$folder/output.txt")
    if ! kill -0 $! 2>/dev/null; then
      [ "$(cat "$folder/pid")" != $! ] || rm -f "$folder/pid"
      fail "it did not start: $(tail -n 3 <<<"$new")"
    fi
    [[ $new != *" parameters from "* ]] || break
    sleep 0.2
  done
  [[ -n "$state" || " $* " != *" --start "* ]] || state='what --start names' # options of the caller win
  [[ " $* " != *" --resume "* ]] || state='what --resume names'
  say "training from ${state:-random parameters}, as process $!; see status"
}

stop() {
  if find_process; then
    # A process that runs only where nothing else wants to may take long to end; not every user may change that.
    chrt --all-tasks --other --pid 0 "$pid" >/dev/null 2>&1 || true
    { echo 0 >"/proc/$pid/autogroup"; } 2>/dev/null || true
    kill -TERM "$pid"
    signal_group CONT
    for _ in {1..1200}; do
      find_process || break
      sleep 0.1
    done
    ! find_process || fail "it has been asked to end and is still in its last step; call stop again"
  else
    say "it was not running"
  fi
  rm -f "$folder/pid"
  helper keep "$folder" "$committed"
}

cooldown() {
  local python state minutes=60 output=$folder/cooldown rest=()
  while [ $# -gt 0 ]; do
    case $1 in
      --minutes) minutes=${2-} ;;
      --output) output=${2-} ;;
      *)
        rest+=("$1")
        shift
        continue
        ;;
    esac
    [ $# -gt 1 ] || usage "$1 needs a value;"
    shift 2
  done
  read_options '' --report 30 "${rest[@]}"
  python=$(find_python)
  state=$(helper choose "$folder" "$committed")
  [ -n "$state" ] || fail "there is no state yet: start the long run first"
  nice -n 19 "$python" "$here/train.py" --photos "$photos" --output "$output" "${options[@]}" --resume "$state" \
    --finish "$minutes"
  "$python" "$here/../convert.py" "$output/denoise.pth" "$output/denoise.mirw" --dtype f16 --task denoise
}

[ $# -gt 0 ] || usage "say what to do;"
command=$1
shift
case $command in
  start | cooldown) "$command" "$@" ;;
  pause | resume | status | stop)
    [ $# -eq 0 ] || usage "$command takes no arguments;"
    ;;&
  pause)
    find_process || fail "the long run is not running"
    ! is_paused || fail "it is paused already"
    signal_group STOP
    say "paused"
    ;;
  resume)
    find_process || fail "the long run is not running: start goes on from its last state"
    is_paused || fail "it is not paused"
    signal_group CONT
    say "going on"
    ;;
  status)
    doing=stopped
    if find_process; then
      if is_paused; then doing=paused; else doing=running; fi
      doing="$doing, process $pid"
    fi
    helper status "$folder" "$committed" "$doing"
    ;;
  stop) stop ;;
  -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) usage "unknown command $command;" ;;
esac
