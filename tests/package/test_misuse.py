#!/usr/bin/env python3
"""The mistakes in misuse.cpp do not compile, with the error named there; the correct code beside them does."""
import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE = Path(__file__).with_name("misuse.cpp")


def compile_case(options, number):
    """(whether it compiles, what the compiler says)"""
    command = [options.cxx, "-std=c++20", "-fsyntax-only", "-DMIRNET_NO_SIMD=1", f"-DMISUSE={number}"]
    command += [f"-I{folder}" for folder in options.include] + [str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cxx", required=True)
    parser.add_argument("--include", nargs="+", required=True)
    options = parser.parse_args()

    cases = dict(re.findall(r"^// (\d+): (.+)$", SOURCE.read_text(encoding="utf-8"), re.MULTILINE))
    used = set(re.findall(r"MISUSE == (\d+)\b", SOURCE.read_text(encoding="utf-8"))) - {"0"}
    if not cases or set(cases) != used:
        sys.exit(f"{SOURCE.name}: numbers that are named are {sorted(cases)}, those that are used {sorted(used)}")

    failures = []
    with ThreadPoolExecutor(2) as pool:
        right = pool.submit(compile_case, options, 0)
        results = {number: pool.submit(compile_case, options, number) for number in cases}
        compiles, text = right.result()
        if not compiles:
            failures.append(f"what is right does not compile:\n{text}")
        for number, expected in cases.items():
            compiles, text = results[number].result()
            if compiles:
                failures.append(f"{number} compiles; expected an error: {expected}")
            elif not any(re.search(expected, line) for line in text.splitlines() if "error" in line):
                failures.append(f"{number}: no error says \"{expected}\":\n{text}")
    if failures:
        sys.exit("\n".join(failures))
    print(f"{len(cases)} mistakes do not compile")


main()
