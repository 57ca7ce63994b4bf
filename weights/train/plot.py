#!/usr/bin/env python3
"""Draws the logs of training: the PSNR on the validation crops against the pixels seen, or the minutes of work.

    weights/train/plot.py [--time] OUT.svg LOG...

A log is a log.jsonl of train.py, or a state that long_run.sh wrote. Each is a series of lines, one for each noise.
Needs matplotlib (Debian: python3-matplotlib).
"""
import argparse
import itertools
import json
import sys
from pathlib import Path

import compact

CASES = {"sigma15": "σ = 15", "sigma25": "σ = 25", "sigma50": "σ = 50", "camera": "camera",
         "dark": "dark, strong noise", "weak": "weak, as DSLRs", "blocky": "camera, JPEG of quality 40",
         "grain": "film"}
STYLES = [("-", "tab:blue"), ("--", "tab:orange"), (":", "tab:green"), ("-.", "tab:red")]


def read(path):
    """Lines in the order of their pixels, of a log or of the log in a compact state. A resumed run may have gone over a
    part again: its last words count."""
    if compact.is_compact(path):
        return compact.read_header(path)["log"]
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        while lines and lines[-1]["pixels"] >= line["pixels"]:
            lines.pop()
        lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="against minutes of work")
    parser.add_argument("output", type=Path, metavar="OUT.svg")
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    options = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        sys.exit("plot: Python has no matplotlib. On Debian: apt install python3-matplotlib, and run this with "
                 "/usr/bin/python3")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "mirnet"  # the same file for the same logs
    from matplotlib import pyplot

    logs = []
    for path in options.logs:
        try:
            logs.append(read(path))
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"plot: {path} is no log of train.py: {error}")
    cases = {case: title for case, title in CASES.items() if any(case in line for lines in logs for line in lines)}
    if not cases:
        sys.exit("plot: there is nothing in the logs that can be drawn")
    columns = max(2, (len(cases) + 1) // 2)
    figure, rows = pyplot.subplots(2, columns, figsize=(4.5 * columns, 6), sharex=True, squeeze=False)
    for axes, (case, title) in zip(rows.flat, cases.items()):
        for path, lines, (style, color) in zip(options.logs, logs, itertools.cycle(STYLES)):
            lines = [line for line in lines if case in line]  # older logs have fewer cases
            progress = [line["seconds"] / 60 if options.time else line["pixels"] / 1e9 for line in lines]
            axes.plot(progress, [line[case] for line in lines], style, color=color, label=path.parent.name)
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.set_ylabel("PSNR, dB")
    for axes in rows[1]:
        axes.set_xlabel("minutes of work" if options.time else "gigapixels seen")
    for axes in rows.flat[len(cases):]:
        axes.set_visible(False)
    if len(options.logs) > 1:
        rows[0][0].legend()
    figure.tight_layout()
    figure.savefig(options.output, metadata={"Date": None})


if __name__ == "__main__":
    main()
