#!/usr/bin/env python3
"""Pictures a second of denoise_folder.py with 1 and 2 workers, and of the program with 1 and 2 threads.

    PYTHONPATH=build/release/bindings/python /usr/bin/python3 examples/cluster/tests/measure.py build/release/mirnet

Each restores the same pictures of 512x512 in turn, several times, and the medians count. The time of the cluster begins
when the workers are ready, that of the program when it starts; both end with the last result.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "bindings" / "python" / "tests"))

from pictures import noisy, write_png  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path, help="the program mirnet")
    parser.add_argument("--count", type=int, default=12, help="pictures (default: 12)")
    parser.add_argument("--side", type=int, default=512, help="their width and height (default: 512)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mirnet-measure-") as temporary:
        folder = pathlib.Path(temporary)
        (folder / "in").mkdir()
        for i in range(options.count):
            write_png(folder / "in" / f"{i}.png", noisy(options.side, options.side, 3, seed=i))
        cluster = [sys.executable, "-B", HERE.parent / "denoise_folder.py", "in", "-o", "out", "--json"]
        program = [options.program.resolve(), "denoise", "in", "-o", "out", "--json"]
        commands = {"program, 1 thread": [*program, "--threads", "1"],
                    "program, 2 threads": [*program, "--threads", "2"],
                    "1 worker of 1 thread": [*cluster, "--workers", "1", "--threads", "1"],
                    "2 workers of 1 thread": [*cluster, "--workers", "2", "--threads", "1"],
                    "1 worker of 2 threads": [*cluster, "--workers", "1", "--threads", "2"]}
        path = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}  # the commands run in another folder
        speeds, whole = {name: [] for name in commands}, {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                shutil.rmtree(folder / "out", ignore_errors=True)
                begin = time.monotonic()
                done = subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL,
                                      capture_output=True)
                whole[name].append(options.count / (time.monotonic() - begin))
                speeds[name].append(options.count / json.loads(done.stdout.splitlines()[-1])["summary"]["seconds"])
                assert len(os.listdir(folder / "out")) == options.count
    print(f"{'':24}{'pictures/s':>12}{'ratio':>8}{'with start':>12}")
    first = statistics.median(speeds["program, 1 thread"])
    for name, found in speeds.items():
        speed = statistics.median(found)
        print(f"{name:24}{speed:12.2f}{speed / first:8.2f}{statistics.median(whole[name]):12.2f}")


if __name__ == "__main__":
    main()
