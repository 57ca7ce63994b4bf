#!/usr/bin/env python3
"""What long_run.sh cannot do without reading states and logs. Needs the standard library only.

    long_run.py choose FOLDER COMMITTED          prints the state to go on from, or nothing
    long_run.py keep FOLDER COMMITTED            copies the state of FOLDER to COMMITTED if it has more steps
    long_run.py status FOLDER COMMITTED DOING    how far the run is
"""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import compact
from plot import CASES, read as read_log

BARS = "▁▂▃▄▅▆▇█"
CURVE_CASE, CURVE_WIDTH, TABLE_LINES = "sigma25", 60, 10


def say(sentence, file=None):
    print(f"long_run.sh: {sentence}", file=file or sys.stdout)


def fail(sentence):
    say(sentence, sys.stderr)
    sys.exit(1)


def header(path):
    return compact.read_header(path) if path.exists() else None


def choose(folder, committed):
    """The state with the most steps. One that is damaged is never passed over in silence: a run that began again from
    random parameters would be worse than none."""
    working, travelling = header(folder / "long-run.state"), header(committed)
    if working and (not travelling or working["step"] >= travelling["step"]):
        whole = folder / "state.pth"
        print(whole if whole.exists() else folder / "long-run.state")
    elif travelling:
        if working:
            say(f"{committed} has {travelling['step']} steps and the working folder {working['step']}: the former "
                "goes on", sys.stderr)
        print(committed)


def is_changed(path):
    """Whether there is a git repository, and it has not got this file as it is."""
    try:
        return bool(subprocess.run(["git", "-C", path.parent, "status", "--porcelain", "--", path.name],
                                   capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return False


def keep(folder, committed):
    working, travelling = header(folder / "long-run.state"), header(committed)
    if not working:
        fail(f"{folder} has no state yet")
    before = travelling or {"step": 0, "pixels": 0, "seconds": 0}
    if working["step"] > before["step"]:
        committed.parent.mkdir(exist_ok=True)
        temporary = committed.with_suffix(".tmp")
        shutil.copyfile(folder / "long-run.state", temporary)
        temporary.replace(committed)
        say(f"the state moved on from step {before['step']} to {working['step']}, by "
            f"{(working['pixels'] - before['pixels']) / 1e9:.3f} gigapixels in "
            f"{hours(working['seconds'] - before['seconds'])}")
    else:
        say(f"the state did not move on: step {working['step']}, and {committed.name} has step {before['step']}")
    if is_changed(committed):
        name = os.path.relpath(committed)
        print(f"To commit:\n    git add {name}\n    git commit -m 'train: bring the long run to step "
              f"{max(working['step'], before['step'])}' -- {name}")


def hours(seconds):
    minutes = int(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02} h"


def ago(moment):
    seconds = time.time() - moment
    return f"{seconds:.0f} seconds ago" if seconds < 120 else f"{hours(seconds)} ago"


def curve(values):
    """The course of the values in one line of bars."""
    count = min(len(values), CURVE_WIDTH)
    shown = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    low, high = min(shown), max(shown)
    return "".join(BARS[int((value - low) / (high - low + 1e-9) * (len(BARS) - 1) + 0.5)] for value in shown)


def status(folder, committed, doing):
    working, travelling = header(folder / "long-run.state"), header(committed)
    log_file = folder / "log.jsonl"
    log = read_log(log_file) if log_file.exists() else travelling["log"] if travelling else []
    print(f"The long run is {doing}.")
    if log:
        last = log[-1]
        print(f"at        step {last['step']}, {last['pixels'] / 1e9:.3f} gigapixels, {hours(last['seconds'])} of work")
        print(f"speed     {last['pixels_per_second'] / 1e3:.0f} kpixel/s while it works; the learning rate is "
              f"{last['rate']:.1e}")
        print("PSNR      " + ", ".join(f"{case} {last[case]:.2f}" for case in CASES if case in last) + " dB")
        values = [line[CURVE_CASE] for line in log]
        print(f"{CURVE_CASE}   {curve(values)} {min(values):.2f} to {max(values):.2f} dB")
    if working:
        print(f"saved     step {working['step']}, {ago((folder / 'long-run.state').stat().st_mtime)}, in {folder}")
    print(f"{committed.name} " + (f"has step {travelling['step']}" if travelling else "is not there yet"))
    if log:
        print("\n" + "".join(f"{title:>9}" for title in ("step", "hours", "loss", *CASES, "kpixel/s")))
        for line in log[-TABLE_LINES:]:
            figures = (f"{line[case]:.2f}" if case in line else "-" for case in CASES)  # older lines have fewer
            print(f"{line['step']:9}{line['seconds'] / 3600:9.2f}{line['loss']:9.5f}"
                  + "".join(f"{figure:>9}" for figure in figures) + f"{line['pixels_per_second'] / 1e3:9.0f}")


def main():
    command, folder, committed, *rest = sys.argv[1:]
    sys.stdout.reconfigure(errors="replace")
    try:
        {"choose": choose, "keep": keep, "status": status}[command](Path(folder), Path(committed), *rest)
    except BrokenPipeError:  # of `status | head`
        sys.stdout = None
    except (OSError, ValueError, KeyError) as error:
        fail(error)


if __name__ == "__main__":
    main()
