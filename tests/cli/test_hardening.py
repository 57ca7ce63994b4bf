#!/usr/bin/env python3
"""What compiler and linker were told to protect is in the program: python3 tests/cli/test_hardening.py [PROGRAM]

Looks at the file that the environment variable MIRNET or the argument names, and runs nothing. Skipped (77) where that
is no ELF file, and without readelf. cmake/hardening.cmake says which builds are protected.
"""
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import unittest

from program import PROGRAM


def readelf(*options):
    return subprocess.run(["readelf", "--wide", *options, PROGRAM], check=True, capture_output=True, text=True).stdout


class Hardening(unittest.TestCase):
    def segments(self, kind):
        """The flags of each segment of a kind, as in RW."""
        lines = re.findall(rf"^  {kind} +(?:0x[0-9a-f]+ +){{5}}([RWE ]{{3}}) 0x", readelf("--segments"), re.MULTILINE)
        return [flags.replace(" ", "") for flags in lines]

    def flags(self):
        """Those of the dynamic section."""
        return re.findall(r"\((?:FLAGS|FLAGS_1)\) +(.*)", readelf("--dynamic"))

    def test_another_address_at_every_start(self):
        self.assertRegex(readelf("--file-header"), r"Type: +DYN ")
        self.assertRegex(" ".join(self.flags()), r"\bPIE\b")

    def test_tables_of_functions_are_read_only(self):
        self.assertEqual(self.segments("GNU_RELRO"), ["R"])
        self.assertRegex(" ".join(self.flags()), r"\bBIND_NOW\b")

    def test_nothing_is_both_written_and_run(self):
        self.assertEqual(self.segments("GNU_STACK"), ["RW"])
        loaded = self.segments("LOAD")
        self.assertIn("RE", loaded)
        self.assertNotIn("RWE", loaded)
        self.assertNotRegex(readelf("--dynamic"), r"\((?:TEXTREL|RPATH|RUNPATH)\)")

    def test_buffers_are_checked(self):
        used = re.findall(r" UND (\w+)", readelf("--dyn-syms"))
        for what in (r"__stack_chk_fail", r"__v?snprintf_chk", r"\w*__glibcxx_assert_fail\w*"):
            self.assertTrue(any(re.fullmatch(what, name) for name in used), f"{what} is not used")

    @unittest.skipUnless(platform.machine() == "x86_64", "of x86-64 processors")
    def test_jumps_have_a_place_to_arrive(self):
        """Functions begin with endbr64: main, and those that tell the tables of kernels."""
        sections = re.findall(r" PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) .* AX ", readelf("--sections"))
        functions = re.findall(r"([0-9a-f]{16}) +\d+ FUNC +GLOBAL \w+ +\d+ (main|_ZN6mirnet\w+linked\w+kernels_\w+)$",
                               readelf("--symbols"), re.MULTILINE)
        self.assertGreater(len(functions), 1)
        program = pathlib.Path(PROGRAM).read_bytes()
        for start, name in functions:
            start = int(start, 16)
            [code] = [program[offset + start - address:][:4]
                      for address, offset, size in ([int(number, 16) for number in section] for section in sections)
                      if address <= start < address + size]
            self.assertEqual(code, b"\xf3\x0f\x1e\xfa", name)


if __name__ == "__main__":
    if not shutil.which("readelf") or pathlib.Path(PROGRAM).read_bytes()[:4] != b"\x7fELF":
        sys.exit(77)
    unittest.main()
