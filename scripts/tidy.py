#!/usr/bin/env python3
"""scripts/tidy.py BUILD [GROUP...]: clang-tidy over library, program, tests, benchmarks and examples, or some of these
groups of sources below; part of scripts/lint.sh.

BUILD is a folder that CMake configured for clang++ with CMAKE_EXPORT_COMPILE_COMMANDS; nothing has to be built in it.
Most of clang-tidy's time goes to the headers that a source includes. So the sources of a folder are read together, as
many at a time as compile so: those that have names in common with others wait for the next unit.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The sources of a group, and those whose compiler's flags they are read with.
GROUPS = {
    "headers": (["tests/package/all_headers.cpp"], "tests"),
    "program": (["examples/cli/*.cpp", "examples/measure/*.cpp"], "examples/cli"),
    **{name: ([f"tests/{name}/*.cpp"], "tests") for name in ("unit", "kernels", "model", "image", "io", "robustness", "cli")},
    "support": (["tests/support/*.cpp", "tests/main.cpp"], "tests"),
    "bench": (["bench/*.cpp"], "bench"),
    "minimal": (["examples/minimal.cpp"], "examples"),
    "embedded": (["examples/embedded/*.cpp"], "examples/embedded"),
}


def flags_of(folder, commands):
    """Paths and macros, all that any source below the folder is compiled with."""
    flags = {}
    for command in commands:
        file = pathlib.Path(command["file"])
        if (ROOT / folder) in file.parents and file.suffix == ".cpp":
            words = iter(shlex.split(command["command"]))
            for word in words:
                if word == "-isystem":
                    flags[word + next(words)] = None
                elif word.startswith(("-D", "-I")):
                    flags[word] = None
    return ["-std=c++20", *flags]


def units(name, sources, flags, folder):
    """Files that include the sources, each as many as compile together."""
    turn = 0
    while sources:
        turn += 1
        unit = folder / f"{name}{turn}.cpp"
        together = sources
        while True:
            unit.write_text("".join(f'#include "{source}"\n' for source in together))
            said = subprocess.run(["clang++", *flags, "-fsyntax-only", "-ferror-limit=0", unit], capture_output=True,
                                  text=True).stderr
            taken = set(re.findall(r"^(\S+?):[\d:]+ (?:fatal )?error: ", said, re.MULTILINE))
            fitting = [source for source in together if str(source) not in taken]
            if not taken or len(together) == 1:
                break
            together = fitting if 0 < len(fitting) < len(together) else together[:1]
        yield unit
        sources = [source for source in sources if source not in together]


def findings(unit, flags):
    done = subprocess.run(["clang-tidy", "--quiet", unit, "--", *flags], cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"^.+?:\d+:\d+: (?:warning|error): .+", done.stdout, re.MULTILINE)
    found = [line for line in found if not line.endswith("[bugprone-suspicious-include]")]  # of this unit
    if done.returncode != 0 and not found:
        raise RuntimeError(done.stdout + done.stderr)
    return found


def main(build, *groups):
    commands = json.loads((build / "compile_commands.json").read_text())
    folder = build / "units"
    folder.mkdir(exist_ok=True)
    jobs = int(os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", len(os.sched_getaffinity(0))))
    seen = set()  # a header is read in many units
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = []
        for name in groups or GROUPS:
            patterns, flagged = GROUPS[name]
            sources = sorted(file for pattern in patterns for file in ROOT.glob(pattern))
            flags = [*flags_of(flagged, commands), f"-I{build}/tests/headers"]  # where all_headers.inc is
            results += [pool.submit(findings, unit, flags) for unit in units(name, sources, flags, folder)]
        for result in concurrent.futures.as_completed(results):
            for line in sorted(set(result.result()) - seen):
                print(line.removeprefix(f"{ROOT}/"), flush=True)
            seen.update(result.result())
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), *sys.argv[2:]))
