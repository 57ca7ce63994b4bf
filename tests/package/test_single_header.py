#!/usr/bin/env python3
"""Tests of scripts/single_header.py: python3 tests/package/test_single_header.py -v"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "single_header.py"


def run(*arguments):
    """(exit code, stdout, stderr)"""
    result = subprocess.run([sys.executable, "-B", SCRIPT, *map(str, arguments)], text=True, capture_output=True)
    return result.returncode, result.stdout, result.stderr


class SingleHeader(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def text(self, *arguments):
        code, out, err = run(*arguments)
        self.assertEqual((code, err), (0, ""))
        return out

    def headers(self, **texts):
        """A folder of headers: kernels_a for kernels/a.hpp."""
        for name, text in {"version": "#define MIRNET_VERSION_MAJOR 1\n#define MIRNET_VERSION_MINOR 2\n"
                                      "#define MIRNET_VERSION_PATCH 3\n", **texts}.items():
            path = self.folder / "include/mirnet" / (name.replace("_", "/") + ".hpp")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("// " + name + ".\n#pragma once\n\n" + text, encoding="utf-8")
        return self.folder / "include"

    def test_holds_the_core_and_nothing_else(self):
        text = self.text()
        self.assertTrue(text.startswith(f"// mirnet {version()} in one file"))
        self.assertIn("SPDX-License-Identifier: Apache-2.0", text)
        self.assertNotIn("#include <mirnet/", text)
        self.assertEqual(text.count("#pragma once"), 1)
        self.assertEqual([name for name in re.findall(r"#\s*include <(.*)>", text) if "/" in name],
                         ["sys/mman.h", "xsimd/xsimd.hpp"])  # the first for Linux alone
        for name in "model/model.hpp", "kernels/native.hpp", "kernels/reference.hpp", "tensor/tensor.hpp":
            self.assertEqual(text.count(f"// --- mirnet/{name} "), 1, name)
        for name in "io/", "interop/", "thread_pool", "kernels/eigen":
            self.assertNotIn(f"// --- mirnet/{name}", text)
        # Every line of code of the headers that are in it.
        for name in re.findall(r"^// --- (\S+) ", text, re.MULTILINE):
            for line in (ROOT / "include" / name).read_text(encoding="utf-8").splitlines():
                if line and not re.match(r"#include <|#pragma once", line):
                    self.assertIn("\n" + line + "\n", text)

    def test_is_the_same_each_time(self):
        self.assertEqual(self.text(), self.text())
        target = self.folder / "new" / "one.hpp"
        self.text("--output", target)
        self.assertEqual(target.read_text(encoding="utf-8"), self.text())
        self.assertEqual([path.name for path in target.parent.iterdir()], ["one.hpp"])

    def test_renames_namespace_and_macros(self):
        for namespace, prefix in ("acme", "ACME_MIRNET_"), ("acme::mirnet", "ACME_MIRNET_"), ("net_2", "NET_2_MIRNET_"):
            text = self.text("--namespace", namespace)
            self.assertIn(f"\nnamespace {namespace}::inline {prefix}ABI {{\n", text)
            self.assertIn(f"#define {prefix}VERSION_MAJOR ", text)
            self.assertIn(f"#ifndef {prefix}ASSERT\n", text)
            code = re.sub(r"//.*|\"[^\"\n]*\"", "", text)
            self.assertEqual(re.findall(r"(?<!\w)MIRNET_\w+", code), [])
            self.assertEqual(re.findall(r"\bmirnet\b", code.replace("acme::mirnet", "")), [])

    def test_what_depends_on_a_condition_stays_there(self):
        text = self.text("--include-dir", self.headers(
            mirnet="#include <mirnet/base/a.hpp>\n#if X\n#include <mirnet/base/b.hpp>\n#else\n#include <cmath>\n"
                   "#include <mirnet/base/c.hpp>\n#endif\nint end;\n",
            base_a="#if Z\n#include <new>\n#endif\n#include <vector>\n#include <mirnet/base/e.hpp>\nint a;\n",
            base_b="#include <mirnet/base/d.hpp>\n#include <vector>\n#include <tuple>\nint b;\n",
            base_c="#include <mirnet/base/a.hpp>\nint c;\n",
            base_d="int d;\n",
            base_e="int e;\n"))
        self.assertEqual(code_of(text), [
            "#include <vector>", "int e;", "#if Z", "#include <new>", "#endif", "int a;",
            "#if X",
            "#define MIRNET_INCLUDES_BASE_D", "int d;",
            "#define MIRNET_INCLUDES_BASE_B", "#include <tuple>", "int b;",
            "#else", "#include <cmath>", "#define MIRNET_INCLUDES_BASE_C", "int c;", "#endif",
            "int end;"])

    def test_what_is_needed_elsewhere_comes_before_the_condition(self):
        text = self.text("--include-dir", self.headers(
            mirnet="#include <mirnet/base/a.hpp>\n#include <mirnet/base/z.hpp>\n",
            base_a="#if X\n#include <mirnet/base/b.hpp>\n#endif\nint a;\n",
            base_b="#include <mirnet/base/c.hpp>\nint b;\n",
            base_c="int c;\n",
            base_z="#include <mirnet/base/c.hpp>\nint z;\n"))
        self.assertEqual(code_of(text), [
            "int c;", "#if X", "#define MIRNET_INCLUDES_BASE_B", "int b;", "#endif", "int a;", "int z;"])

    def test_refuses_what_one_file_cannot_express(self):
        include = self.headers(
            mirnet="#if X\n#include <mirnet/base/a.hpp>\n#endif\n#if Y\n#include <mirnet/base/a.hpp>\n#endif\n",
            base_a="int a;\n")
        self.assert_refused("mirnet/base/a.hpp is included under two conditions", "--include-dir", include)
        include = self.headers(mirnet="int a;\n#include <mirnet/base/a.hpp>\n")
        self.assert_refused("its own headers come first, before: int a;", "--include-dir", include)
        include = self.headers(mirnet='#include "base/a.hpp"\n')
        self.assert_refused('headers are included as <...>: #include "base/a.hpp"', "--include-dir", include)
        include = self.headers(mirnet="#include <mirnet/base/z.hpp>\n")
        self.assert_refused("mirnet/base/z.hpp: cannot be read: No such file or directory", "--include-dir", include)
        include = self.headers(mirnet="", version="#define MIRNET_VERSION_MAJOR 1\n")
        self.assert_refused("version.hpp does not define the three numbers of a version", "--include-dir", include)

    def test_refuses_wrong_usage(self):
        for namespace in "", "9a", "a b", "a::", "std", "std::mirnet", "a__b", "_a":
            self.assert_refused("is not the name of a namespace such as acme or acme::mirnet", "--namespace", namespace)
        file = self.folder / "file"
        file.write_text("")
        self.assert_refused("one.hpp: cannot be written: ", "--output", file / "one.hpp")
        self.assert_refused("goes with neither", "--include-folder", self.folder, "--namespace", "acme")

    def assert_refused(self, sentence, *arguments):
        code, out, err = run(*arguments)
        self.assertNotEqual(code, 0)
        self.assertEqual(out, "")
        self.assertIn(sentence, err)
        self.assertNotIn("Traceback", err)


def code_of(text):
    """Its lines behind what guards against a second copy, without comments."""
    code = [line for line in text.splitlines() if line and not line.startswith("//")]
    return code[code.index("#endif") + 1:]


def version():
    text = (ROOT / "include/mirnet/version.hpp").read_text(encoding="utf-8")
    return ".".join(re.findall(r"^#define MIRNET_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE))


if __name__ == "__main__":
    unittest.main()
