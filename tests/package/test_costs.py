#!/usr/bin/env python3
"""What the README states under "What it costs" in bounds: how long the headers take to compile, and how large the
kernels are.

test_costs.py --cxx CXX --include DIR... --objdump OBJDUMP --work DIR [--kernels ISA=OBJECT...]
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import unittest

# Of the compiler's processor time, not of the clock's; 4 seconds, and as much again for slow and busy machines.
MOST_SECONDS = 2 * 4.0
MOST_BYTES = 300_000


class Costs(unittest.TestCase):
    def test_compile_time(self):
        options.work.mkdir(parents=True, exist_ok=True)
        source = options.work / "umbrella.cpp"
        source.write_text("#include <mirnet/mirnet.hpp>\nint main() {}\n", encoding="utf-8")
        command = [options.cxx, "-std=c++20", "-O2", "-ffp-contract=off"]
        for folder in options.include:
            command += ["-isystem", folder]
        before = os.times()
        subprocess.run(command + ["-c", source, "-o", source.with_suffix(".o")], check=True)
        after = os.times()
        seconds = after.children_user - before.children_user + after.children_system - before.children_system
        print(f"a file that includes mirnet.hpp compiles in {seconds:.1f} s of processor time at -O2")
        self.assertGreater(seconds, 0)
        self.assertLess(seconds, MOST_SECONDS)

    def test_size_of_float_kernels(self):
        """An object with the kernels of both types: everything but what is for bfloat16 alone. Each function is a
        section of its own, named after it."""
        for isa, path in options.kernels:
            listing = subprocess.run([options.objdump, "-h", "-w", path], text=True, capture_output=True,
                                     check=True).stdout
            sections = re.findall(r"^ *\d+ (\.(?:text|rodata|data\.rel\.ro)\S*) +([0-9a-f]+) ", listing, re.MULTILINE)
            size = {kind: sum(int(size, 16) for name, size in sections if ("8bfloat16" in name) == (kind == "bfloat16"))
                    for kind in ("float", "bfloat16")}
            print(f"{isa}: kernels of float {size['float']} bytes, of bfloat16 {size['bfloat16']}")
            with self.subTest(isa=isa):
                self.assertGreater(size["float"], 10_000)
                self.assertLess(size["float"], MOST_BYTES)


def named_object(text):
    isa, _, path = text.partition("=")
    return isa, path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cxx", required=True)
    parser.add_argument("--include", nargs="+", required=True)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--kernels", nargs="*", type=named_object, default=[])
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
