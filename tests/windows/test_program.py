#!/usr/bin/env python3
"""The program mirnet for Windows, under Wine: what is Windows' own, and the tests of tests/cli that mean the same there.

MIRNET names a command that runs the program; cmake writes one that starts Wine. Only some of the tests of tests/cli run
where MIRNET_SHORT_TESTS is set, as each start of a program takes Wine a quarter of a second.
"""
import importlib
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
os.environ["MIRNET_WINDOWS"] = "1"
from program import INPUT, OUTPUT, PARTIAL, ProgramTest, draw, png, pnm, read_png  # noqa: E402

MODULES = ("test_cli", "test_files", "test_formats", "test_info", "test_networks", "test_tone")

# What says nothing about Windows, and why: a file of tests, a class, or a single test.
ELSEWHERE = {
    "test_camera_formats": "a program for Windows reads no raw files, AVIF, JPEG XL or HEIC",
    "test_comparison_page": "looks at a page in a browser, which any system can write",
    "test_faults": "takes memory and disks away by means of Linux",
    "test_hardening": "reads a program of Linux",
    "test_profile_page": "looks at a page in a browser, which any system can write",
    "test_cli.Cells": "has not been adapted yet",
    "test_cli.Models": "has not been adapted yet: links and copies the program",
    "test_cli.Parts": "has not been adapted yet",
    "test_cli.Profile": "has not been adapted yet",
    "test_cli.Progress": "needs a terminal and signals of POSIX",
    "test_cli.Tiles": "has not been adapted yet: measures memory as Linux tells it",
    "test_cli.Weights": "has not been adapted yet: opens devices and pipes",
    "test_cli.Sandbox": "a program for Windows decodes in its own process",
    "test_cli.Licences.test_every_part_is_named_with_its_version": "compares with the headers of this machine",
    "test_cli.Licences.test_every_linked_library_is_named": "reads a program of Linux",
    "test_cli.Options.test_help_on_a_narrow_terminal": "needs a terminal of POSIX",
    "test_cli.ManyFiles.test_strange_names": "has names that Windows does not allow",
    "test_cli.Pipes.test_what_is_no_picture": "opens devices and folders",
    "test_cli.Outputs.test_existing_files_stay": "makes symbolic links",
    "test_files.Folders.test_folders_that_cannot_be_read": "takes rights away as POSIX has them",
    "test_files.Folders.test_pictures_that_cannot_be_reached": "makes symbolic links",
    "test_files.Folders.test_what_is_no_picture": "makes a named pipe",
    "test_files.Names.test_extensions_of_jpeg": "has names that differ only in case",
    "test_files.Names.test_names_that_are_no_utf8": "has names that Windows does not allow",
    "test_files.Names.test_no_name_has_a_meaning": "has names with a backslash",
    "test_files.Names.test_too_long_for_its_result": "expects the sentence of POSIX",
    "test_files.Replaced.test_attributes": "gives extended attributes",
    "test_files.Replaced.test_mode_and_owner": "gives rights as POSIX has them",
    "test_files.Replaced.test_mounted_files": "mounts files",
    "test_files.Streams": "names streams as POSIX does",
}

# These run in a short test, too: each format, metadata, batches, pipes, tiles, weights and exit codes once.
SHORT = {
    "test_cli.Formats.test_what_is_read_and_written", "test_cli.Formats.test_sixteen_bits",
    "test_cli.Metadata.test_colour_profiles", "test_cli.Options.test_instruction_sets_agree",
    "test_cli.Inputs.test_no_file", "test_cli.Inputs.test_unknown_format",
    "test_cli.ManyFiles.test_a_folder", "test_cli.ManyFiles.test_one_bad_file_does_not_stop_the_rest",
    "test_cli.Pipes.test_in_and_out", "test_cli.Json.test_an_object_a_picture",
    "test_cli.Outputs.test_names_with_spaces_and_other_letters",
}


class Windows(ProgramTest):
    def test_names_in_unicode(self):
        """Names outside of any code page, as arguments, in folders and in messages."""
        folder = self.path / "Fotos \u65e5\u672c \U0001f4f7"
        folder.mkdir()
        name = "gr\u00fcn \u03b1\u0416.png"
        (folder / name).write_bytes(png(draw(20, 10, 3)))
        self.succeeds("denoise", folder.name, "-o", "\u00fcber", "--quiet")
        self.assertEqual(read_png((self.path / "\u00fcber" / name).read_bytes()).width, 20)
        self.fails(INPUT, "denoise", "\u6ca1\u6709.png", "o.png", says="\u6ca1\u6709.png: cannot be opened")
        self.assertIn(name, self.succeeds("denoise", f"{folder.name}/{name}", "one.png", "--json"))

    def test_environment_in_unicode(self):
        folder = self.path / "w\u00e4\u91cd"
        folder.mkdir()
        self.environment["MIRNET_WEIGHTS"] = str(folder)
        self.file("in.png", png(draw(8, 8, 3)))
        self.fails(4, "denoise", "in.png", "o.png", "--model", "high", says="w\u00e4\u91cd, which MIRNET_WEIGHTS names")

    def test_backslashes_and_drives(self):
        (self.path / "photos").mkdir()
        self.file("photos/a.png", png(draw(12, 9, 3)))
        self.succeeds("denoise", "photos\\a.png", "clean\\", "--quiet")
        self.assertTrue((self.path / "clean" / "a.png").exists())
        drive = "Z:" + str(self.path).replace("/", "\\")  # which Wine gives to all of this machine
        self.succeeds("denoise", drive + "\\photos\\a.png", drive + "\\b.png", "--quiet")
        self.assertTrue((self.path / "b.png").exists())

    def test_wildcards(self):
        """No shell of Windows replaces "*.png" by names."""
        for name in ("a.png", "b.png", "c.ppm"):
            self.file(name, (pnm if name.endswith("ppm") else png)(draw(12, 9, 3)))
        self.succeeds("denoise", "*.png", "-o", "out", "--quiet")
        self.assertEqual(sorted(os.listdir(self.path / "out")), ["a.png", "b.png"])
        self.fails(INPUT, "denoise", "*.tif", "-o", "out", says="*.tif")

    def test_results_replace_whole_files(self):
        self.file("in.png", png(draw(12, 9, 3)))
        self.succeeds("denoise", "in.png", "in.png", "--overwrite", "--quiet")
        self.assertEqual(os.listdir(self.path), ["in.png"])  # and no temporary file
        self.fails(OUTPUT, "denoise", "in.png", "in.png/o.png", says="in.png/o.png: cannot create the folder")

    def test_no_sandbox_is_said(self):
        self.assertIn("there is no sandbox on this system", " ".join(self.succeeds("denoise", "--help").split()))

    def test_one_damaged_file_does_not_stop_the_rest(self):
        self.file("bad.png", png(draw(12, 9, 3))[:-30])
        self.file("good.png", png(draw(12, 9, 3)))
        result = self.run_program("denoise", "bad.png", "good.png", "-o", "out")
        self.assertEqual(result.returncode, PARTIAL, result.stderr)
        self.assertEqual(os.listdir(self.path / "out"), ["good.png"])


def load_tests(loader, own, _pattern):
    suite = unittest.TestSuite(own)
    short = "MIRNET_SHORT_TESTS" in os.environ
    seen = set()

    def add(tests):
        for test in tests:
            if isinstance(test, unittest.TestSuite):
                add(test)
                continue
            name = test.id()
            seen.update((name, name.rpartition(".")[0]))
            reason = ELSEWHERE.get(name) or ELSEWHERE.get(name.rpartition(".")[0])
            if reason:
                method = getattr(type(test), test._testMethodName)
                setattr(type(test), test._testMethodName, unittest.skip(reason)(method))
            if reason or name in SHORT or not short:
                suite.addTest(test)

    for module in MODULES:
        add(loader.loadTestsFromModule(importlib.import_module(module)))
    files = {path.stem for path in pathlib.Path(__file__).resolve().parents[1].glob("cli/test_*.py")}
    assert files == set(MODULES) | {name for name in ELSEWHERE if "." not in name}, "a file of tests is not listed"
    missing = (SHORT | set(ELSEWHERE)) - seen - files
    assert not missing, f"no such tests: {missing}"
    return suite


if __name__ == "__main__":
    unittest.main()
