#!/usr/bin/env python3
"""The C interface gives the same bytes as the program: python3 tests/c/test_program.py -v

MIRNET names the program mirnet, RESTORE_RAW that of tests/c/restore_raw.c, and RESTORE_PPM that of
bindings/c/examples/restore_ppm.c.
"""
import array
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
from program import PROGRAM, WEIGHTS, draw, pam, pfm, pnm, read_pam, read_pfm, read_pnm  # noqa: E402

RESTORE_RAW = os.environ.get("RESTORE_RAW", str(ROOT / "build/release/tests/c/restore_raw"))
RESTORE_PPM = os.environ.get("RESTORE_PPM")
SETS = "avx512bf16", "avx512", "avx2", "sse2", "neon", "scalar"
AUTO, FP32, BF16 = 0, 1, 2
U8, U16, F32 = 0, 1, 2


def raw(picture):
    """Its samples as bytes in the machine's order."""
    size = 1 if picture.maximum == 255 else 2
    return b"".join(sample.to_bytes(size, sys.byteorder) for sample in picture.samples)


def as_floats(values):
    return array.array("f", values).tobytes()


class SameBytes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, *command):
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)

    def by_program(self, name, data, *options):
        """The exit code, and the bytes of the result, None where there is none."""
        source, result = self.folder / name, self.folder / ("clean-" + name)
        source.write_bytes(data)
        result.unlink(missing_ok=True)
        done = self.call(PROGRAM, "denoise", source, result, "--weights", WEIGHTS, *options)
        return done.returncode, result.read_bytes() if result.exists() else None

    def by_interface(self, data, width, height, channels, kind, *options):
        source, result = self.folder / "in.raw", self.folder / "out.raw"
        source.write_bytes(data)
        result.unlink(missing_ok=True)
        done = self.call(RESTORE_RAW, WEIGHTS, source, result, f"width={width}", f"height={height}",
                         f"channels={channels}", f"type={kind}", *options)
        return done.returncode, result.read_bytes() if result.exists() else None

    def compare(self, picture, program_options=(), interface_options=()):
        """Both restore a picture to the same samples, which are not those of the picture."""
        writer, reader, name = (pnm, read_pnm, "in.pnm") if picture.channels % 2 else (pam, read_pam, "in.pam")
        if name == "in.pnm":
            name = "in.ppm" if picture.channels == 3 else "in.pgm"
        kind = U8 if picture.maximum == 255 else U16
        code, data = self.by_program(name, writer(picture), *program_options)
        self.assertEqual(code, 0)
        expected = reader(data)
        self.assertEqual((expected.width, expected.height, expected.channels, expected.maximum),
                         (picture.width, picture.height, picture.channels, picture.maximum))
        code, samples = self.by_interface(raw(picture), picture.width, picture.height, picture.channels, kind,
                                          *interface_options)
        self.assertEqual(code, 0)
        self.assertEqual(samples, raw(expected))
        self.assertNotEqual(samples, raw(picture))

    def test_each_instruction_set_and_precision(self):
        picture, compared = draw(45, 31, 3), 0
        for isa in SETS:
            for precision, name in (AUTO, "auto"), (FP32, "fp32"), (BF16, "bf16"):
                with self.subTest(isa=isa, precision=name):
                    options = ["--isa", isa, "--precision", name]
                    code, data = self.by_program("a.ppm", pnm(picture), *options)
                    ours, samples = self.by_interface(raw(picture), 45, 31, 3, U8, f"isa={isa}",
                                                      f"precision={precision}")
                    self.assertEqual(code, ours)  # a set that the machine does not have is refused by both
                    if code != 0:
                        self.assertEqual((code, data, samples), (2, None, None))
                        continue
                    self.assertEqual(samples, raw(read_pnm(data)))
                    compared += 1
        self.assertGreaterEqual(compared, 2)

    def test_each_format(self):
        for maximum in 255, 65535:
            for channels in 1, 2, 3, 4:
                with self.subTest(maximum=maximum, channels=channels):
                    self.compare(draw(33, 20, channels, maximum))

    def test_floats(self):
        for channels in 1, 3:
            with self.subTest(channels=channels):
                samples = [(value - 40) / 170 for value in draw(33, 20, channels).samples]  # beyond black and white
                data = pfm(33, 20, channels, samples)
                code, result = self.by_program("a.pfm", data)
                self.assertEqual(code, 0)
                floats = read_pfm(data)
                code, ours = self.by_interface(as_floats(floats), 33, 20, channels, F32)
                self.assertEqual(code, 0)
                self.assertEqual(ours, as_floats(read_pfm(result)))

    def test_options(self):
        picture = draw(70, 40, 3)
        for program, interface in (
                (["--strength", "0.6"], ["strength=600"]),
                (["--keep-grain", "0.3"], ["keep_grain=300"]),
                (["--strength", "0.7", "--keep-grain", "0.5"], ["strength=700", "keep_grain=500"]),
                (["--algorithm", "direct"], ["algorithm=1"]),
                ([], ["threads=3"]), ([], ["threads=1", "memory=1"])):
            with self.subTest(interface=interface):
                self.compare(picture, program, interface)

    def test_tiles(self):
        picture = draw(290, 40, 3)
        for program, interface in (["256"], ["tile=256", "threads=2"]), (["off"], ["tile=-1"]):
            with self.subTest(interface=interface):
                self.compare(picture, ["--tile", *program], interface)

    @unittest.skipUnless(RESTORE_PPM, "RESTORE_PPM names no program")
    def test_the_example(self):
        picture = draw(45, 31, 3)
        source, result = self.folder / "a.ppm", self.folder / "b.ppm"
        source.write_bytes(pnm(picture))
        done = self.call(RESTORE_PPM, WEIGHTS, source, result)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("100 %", done.stderr)
        code, data = self.by_program("a.ppm", pnm(picture))
        self.assertEqual(code, 0)
        self.assertEqual(read_pnm(result.read_bytes()).samples, read_pnm(data).samples)

    @unittest.skipUnless(RESTORE_PPM, "RESTORE_PPM names no program")
    def test_the_example_refuses(self):
        good, result = self.folder / "a.ppm", self.folder / "b.ppm"
        good.write_bytes(pnm(draw(20, 12, 3)))
        bad = self.folder / "bad.ppm"
        self.assertEqual(self.call(RESTORE_PPM).returncode, 2)
        self.assertEqual(self.call(RESTORE_PPM, WEIGHTS, self.folder / "none.ppm", result).returncode, 3)
        self.assertEqual(self.call(RESTORE_PPM, good, good, result).returncode, 4)  # not a weight file
        self.assertEqual(self.call(RESTORE_PPM, WEIGHTS, good, self.folder / "none" / "b.ppm").returncode, 8)
        for data in (b"", b"P6", b"P5\n1 1\n255\n0", b"P6\n2 2\n255\n" + bytes(11), b"P6\n-2 2\n255\n" + bytes(12),
                     b"P6\n2 2\n65535\n" + bytes(24), b"P6\n70000 70000\n255\n"):
            bad.write_bytes(data)
            done = self.call(RESTORE_PPM, WEIGHTS, bad, result)
            self.assertEqual(done.returncode, 3, data)
            self.assertIn("bad.ppm: ", done.stderr)
        self.assertFalse(result.exists())


if __name__ == "__main__":
    unittest.main()
