#!/usr/bin/env python3
"""What the shared library exports, and which compilers take its header.

    python3 tests/c/test_symbols.py --nm nm --library libmirnet.so --header mirnet.h --cc cc --cxx c++ [-v]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

FLAGS = "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wconversion", "-Wundef", "-fsyntax-only"
# All of it, also in code that knows none of the standard headers.
SOURCE = """#include <mirnet.h>
#include <mirnet.h>
int use(void);
int use(void) {
  mirnet_model_options model_options = MIRNET_MODEL_OPTIONS_INIT;
  mirnet_plan_options plan_options = MIRNET_PLAN_OPTIONS_INIT;
  mirnet_run_options run_options = MIRNET_RUN_OPTIONS_INIT;
  mirnet_model_info model_info = MIRNET_MODEL_INFO_INIT;
  mirnet_plan_info plan_info = MIRNET_PLAN_INFO_INIT;
  return (int)(model_options.struct_size + plan_options.struct_size + run_options.struct_size +
               model_info.struct_size + plan_info.struct_size) + MIRNET_INTERFACE + MIRNET_WHOLE;
}
"""


class Symbols(unittest.TestCase):
    @unittest.skipUnless(sys.platform.startswith("linux"), "versions of symbols are those of ELF")
    def test_exports(self):
        text = subprocess.run([options.nm, "-D", "--defined-only", options.library], check=True, text=True,
                              capture_output=True).stdout
        symbols = {line.split()[-1]: line.split()[-2] for line in text.splitlines()}
        self.assertEqual(symbols.pop("MIRNET_1", None), "A")
        header = pathlib.Path(options.header).read_text(encoding="utf-8")
        declared = set(re.findall(r"^MIRNET_API [^;(]*?\b(mirnet_\w+)\(", header, re.MULTILINE))
        self.assertEqual(len(declared), header.count("\nMIRNET_API "))
        self.assertGreater(len(declared), 10)
        self.assertEqual(symbols, {f"{name}@@MIRNET_1": "T" for name in declared})

    @unittest.skipUnless(sys.platform.startswith("linux") and shutil.which("objdump"), "asks objdump")
    def test_name(self):
        text = subprocess.run(["objdump", "-p", options.library], check=True, text=True, capture_output=True).stdout
        header = pathlib.Path(options.header).read_text(encoding="utf-8")
        interface = re.search(r"^#define MIRNET_INTERFACE (\d+)$", header, re.MULTILINE)[1]
        self.assertEqual(re.findall(r"SONAME +(\S+)", text), [f"libmirnet.so.{interface}"])
        self.assertNotIn("RPATH", text)
        self.assertNotIn("RUNPATH", text)

    def test_page(self):
        """The example of the README compiles."""
        header = pathlib.Path(options.header)
        text = (header.parents[1] / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```c\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 1)
        done = subprocess.run([options.cc, "-std=c99", "-xc", *FLAGS, "-I", header.parent, "-"], input=blocks[0],
                              text=True, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_header(self):
        """Alone, in each language, with the build's compilers and those that are there."""
        c_compilers = dict.fromkeys([options.cc, *filter(shutil.which, ("gcc", "clang"))])
        cxx_compilers = dict.fromkeys([options.cxx, *filter(shutil.which, ("g++", "clang++"))])
        with tempfile.TemporaryDirectory() as folder:
            for compilers, name, standards in ((c_compilers, "use.c", ("c99", "c11")),
                                               (cxx_compilers, "use.cpp", ("c++11", "c++20"))):
                path = pathlib.Path(folder) / name
                path.write_text(SOURCE, encoding="utf-8")
                for compiler in compilers:
                    for standard in standards:
                        with self.subTest(compiler=compiler, standard=standard):
                            done = subprocess.run([compiler, f"-std={standard}", *FLAGS, "-I",
                                                   pathlib.Path(options.header).parent, path], text=True,
                                                  capture_output=True)
                            self.assertEqual((done.returncode, done.stderr), (0, ""))


parser = argparse.ArgumentParser(description=__doc__)
for option in "nm", "library", "header", "cc", "cxx":
    parser.add_argument("--" + option, required=True)
options, rest = parser.parse_known_args()
unittest.main(argv=[sys.argv[0], *rest])
