#!/usr/bin/env python3
"""Copies of the library in one program keep apart: each part of the program runs its own version for its own
instruction set, whichever the linker sees first.

test_apart.py --cxx CXX --nm NM --single-header FILE --script single_header.py [--include DIR...] --golden DIR
              --weights FILE.mirw --work DIR [--levels O0 O2]

The parts, made of apart/part.cpp and the core in one file:
  a   as it is, for plain x86-64
  b   another version, for AVX2
  c   the version of a in a namespace of its own, for AVX2; in a translation unit that includes a's header, too
"""
import argparse
import array
import contextlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent / "apart"
OTHER_VERSION = "0.999.7"

# What two parts may both define, by mangled name. Optimised: what handles exceptions (GCC: a pointer to a function of
# the run-time library; Clang: a function without arithmetic that ends the program). Not optimised: functions of the
# standard library and of xsimd, too, which are then not inlined. The linker keeps one of each, perhaps that for AVX2:
# all the same on this machine, but not on a smaller one, so a program for several instruction sets optimises (README,
# "Several copies in one program").
SHARED = {"O0": re.compile(r"DW\.ref\.|__clang_call_terminate$|_ZN?[KRO]*(St|S[absiod]|9__gnu_cxx|5xsimd)|"
                           r"_Z(nw|nwa|dl|da)[A-Z]?"),
          "O2": re.compile(r"DW\.ref\.|__clang_call_terminate$")}


class Part:
    def __init__(self, name, namespace, flags):
        self.name = name
        self.namespace = namespace
        self.flags = flags
        self.header = options.work / f"{name}.hpp"

    def make_header(self):
        if self.namespace == "mirnet":
            text = options.single_header.read_text(encoding="utf-8")
            if self.name == "b":
                for number, part in zip(OTHER_VERSION.split("."), ("MAJOR", "MINOR", "PATCH")):
                    text, count = re.subn(rf"(#define MIRNET_VERSION_{part}) \d+\n", rf"\1 {number}\n", text)
                    assert count == 1
            self.header.write_text(text, encoding="utf-8")
        else:
            subprocess.run([sys.executable, "-B", options.script, "--namespace", self.namespace, "-o", self.header],
                           check=True)

    def object(self, level):
        return options.work / f"{self.name}-{level}.o"

    def library(self, level):
        return options.work / f"lib{self.name}-{level}.so"

    def compile(self, level):
        version = "MIRNET_VERSION" if self.namespace == "mirnet" else "ACME_MIRNET_VERSION"
        run(options.cxx, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fPIC", f"-{level}",
            "-march=x86-64", *self.flags, *include_flags(),
            f'-DPART_HEADER="{self.header}"', f"-DPART_NAMESPACE={self.namespace}", f"-DPART_VERSION={version}",
            f"-DPART_RUN=run_{self.name}", "-c", HERE / "part.cpp", "-o", self.object(level))
        run(options.cxx, "-shared", self.object(level), "-o", self.library(level))


def include_flags():
    return [flag for folder in options.include for flag in ("-isystem", folder)]


def run(*command):
    result = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {result.returncode}\n"
                             f"{result.stdout}{result.stderr}")
    return result.stdout


def npy(path):
    """Shape and numbers of a file of float32."""
    data = path.read_bytes()
    size, = struct.unpack_from("<H", data, 8)
    header = data[10:10 + size].decode()
    assert "'<f4'" in header and "'fortran_order': False" in header
    shape = tuple(int(n) for n in re.search(r"'shape': \(([\d, ]+)\)", header)[1].split(","))
    return shape, array.array("f", data[10 + size:])


def has_avx2():
    with contextlib.suppress(OSError):
        flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return flags is not None and {"avx2", "fma"} <= set(flags[1].split())
    return False


def defined_symbols(path):
    """Mangled name -> readable one, of all that other objects could define, too."""
    def names(*flags):
        lines = run(options.nm, "--extern-only", "--defined-only", "--no-sort", *flags, path).splitlines()
        return [line.split(" ", 2)[2] for line in lines if re.match(r"[0-9a-f]+ \S ", line)]
    return dict(zip(names(), names("--demangle")))


class Apart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(options.work, ignore_errors=True)
        options.work.mkdir(parents=True)
        cls.parts = {part.name: part for part in (
            Part("a", "mirnet", []),
            Part("b", "mirnet", ["-mavx2", "-mfma"]),
            Part("c", "acme::mirnet", ["-mavx2", "-mfma", f'-DPART_ALSO="{options.work / "a.hpp"}"']))}
        for part in cls.parts.values():
            part.make_header()
            for level in options.levels:
                part.compile(level)
        cls.main = options.work / "main.o"
        run(options.cxx, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-c", HERE / "main.cpp", "-o", cls.main)
        cls.version = re.match(r"// mirnet (\S+) ", options.single_header.read_text(encoding="utf-8"))[1]

        cls.shape, noisy = npy(options.golden / "input.npy")
        cls.expected = npy(options.golden / "output.npy")[1]
        cls.most = max(abs(x - y) for x, y in zip(cls.expected, noisy))
        (options.work / "image.f32").write_bytes(noisy.tobytes())

    def run_parts(self, objects, libraries):
        """{name: (version, instruction set, result)} of a program of these objects that loads these libraries."""
        program = options.work / "program"
        run(options.cxx, self.main, *objects, "-o", program, "-ldl")
        results = options.work / "results"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        _, height, width = self.shape
        said = run(program, options.weights, options.work / "image.f32", height, width, results, *libraries)
        return {name: (version, isa, (results / f"{name}.f32").read_bytes())
                for name, version, isa in (line.split() for line in said.splitlines())}

    def alone(self, name, level):
        return self.run_parts([self.parts[name].object(level)], [])[name]

    def check_right(self, outcome, version, isa):
        self.assertEqual(outcome[:2], (version, isa))
        result = array.array("f", outcome[2])
        self.assertEqual(len(result), len(self.expected))
        # NaN fails too.
        self.assertTrue(all(abs(x - y) <= 2e-5 * self.most for x, y in zip(result, self.expected)))

    def test_names(self):
        for level in options.levels:
            symbols = {name: defined_symbols(part.object(level)) for name, part in self.parts.items()}
            for one, other in ("ab", "ac", "bc"):
                both = symbols[one].keys() & symbols[other].keys()
                print(f"-{level}: {one} defines {len(symbols[one])} names, {other} {len(symbols[other])}; "
                      f"both {len(both)}")
                with self.subTest(level=level, parts=one + other):
                    self.assertEqual([symbols[one][name] for name in both if not SHARED[level].match(name)], [])
                    self.assertIn(f"run_{one}", symbols[one])

    @unittest.skipUnless(has_avx2(), "this machine has no AVX2: the parts for it cannot run")
    def test_each_runs_its_own(self):
        for level in options.levels:
            alone = {name: self.alone(name, level) for name in self.parts}
            self.check_right(alone["a"], self.version, "sse2")
            self.check_right(alone["b"], OTHER_VERSION, "avx2")
            self.check_right(alone["c"], self.version, "avx2")
            # The instruction sets round differently: that is how a result tells which kernels computed it.
            self.assertNotEqual(alone["a"][2], alone["b"][2])
            self.assertEqual(alone["b"][2], alone["c"][2])
            for order in ("ab", "ba", "ac", "ca", "bc", "cb"):
                wanted = {name: alone[name] for name in order}
                parts = [self.parts[name] for name in order]
                with self.subTest(level=level, linked=order):
                    self.assertEqual(self.run_parts([part.object(level) for part in parts], []), wanted)
                with self.subTest(level=level, loaded=order):
                    libraries = [f"{part.name}={part.library(level)}" for part in parts]
                    self.assertEqual(self.run_parts([], libraries), wanted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cxx", required=True)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--single-header", type=pathlib.Path, required=True)
    parser.add_argument("--script", type=pathlib.Path, required=True)
    parser.add_argument("--include", nargs="*", default=[])
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=lambda text: pathlib.Path(text).resolve(), required=True)
    parser.add_argument("--levels", nargs="+", default=["O0", "O2"] if "MIRNET_LONG_TESTS" in os.environ else ["O2"],
                        help="default: O2, and with MIRNET_LONG_TESTS O0, too")
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
