#!/usr/bin/env python3
"""The operation mirnet:denoise in the program gegl gives the pixels of the program: python3 tests/gegl/test_gegl.py -v

MIRNET names the program mirnet, MIRNET_GEGL the module of the operation, GEGL_PLUGINS the folder of GEGL's own modules.
"""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
from program import PROGRAM, draw, png, read_png, with_png_chunks  # noqa: E402

MODULE = pathlib.Path(os.environ.get("MIRNET_GEGL", ROOT / "build/release/examples/gegl/mirnet-denoise.so"))
GEGL_PLUGINS = pathlib.Path(os.environ.get("GEGL_PLUGINS", "/usr/lib/x86_64-linux-gnu/gegl-0.4"))


class Gegl(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # GEGL's modules and this build's operation, whichever is installed.
        modules = self.folder / "modules"
        modules.mkdir()
        for module in GEGL_PLUGINS.glob("*.so"):
            if module.name != MODULE.name:
                (modules / module.name).symlink_to(module)
        (modules / MODULE.name).symlink_to(MODULE)
        self.environment = {**os.environ, "HOME": str(self.folder), "GEGL_PATH": str(modules), "LC_ALL": "C.UTF-8"}
        self.source, self.result, self.restored = (
            self.folder / name for name in ("noisy.png", "by-gegl.png", "by-mirnet.png"))

    def gegl(self, picture, *operations, chunks=()):
        """What the operations make of a picture, None where no file is written, and what gegl says."""
        self.source.write_bytes(with_png_chunks(png(picture), *chunks))
        self.result.unlink(missing_ok=True)
        done = subprocess.run(["gegl", "--", "gegl:png-load", f"path={self.source}", *operations, "gegl:png-save",
                               f"path={self.result}", f"bitdepth={8 if picture.maximum == 255 else 16}"],
                              env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        said = done.stdout + done.stderr
        return (read_png(self.result.read_bytes()) if self.result.exists() else None), said

    def by_program(self, picture, *options, chunks=()):
        self.source.write_bytes(with_png_chunks(png(picture), *chunks))
        done = subprocess.run([PROGRAM, "denoise", self.source, "-o", self.restored, *options],
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_png(self.restored.read_bytes())

    def assert_same(self, picture, settings=(), options=(), **more):
        found, said = self.gegl(picture, "mirnet:denoise", *settings, **more)
        self.assertIsNotNone(found, said)
        right = self.by_program(picture, *options, **more)
        self.assertEqual((found.width, found.height, found.channels, found.maximum),
                         (right.width, right.height, right.channels, right.maximum))
        self.assertEqual(found.samples, right.samples)
        self.assertNotIn("mirnet:denoise", said)

    def test_several_tiles_of_8_bits(self):
        self.assert_same(draw(800, 33, 3))

    def test_16_bits_of_half_the_strength_with_grain(self):
        self.assert_same(draw(61, 47, 3, 65535), ("strength=0.5", "keep-grain=0.3"),
                         ("--strength", "0.5", "--keep-grain", "0.3"))

    def test_gray_with_all_grain(self):
        self.assert_same(draw(40, 30, 1), ("strength=0.8", "keep-grain=1"), ("--strength", "0.8", "--colour-only"))

    def test_transparency(self):
        picture = draw(52, 41, 4)
        for y in range(41):
            for x in range(52):  # nothing is seen on the left, everything on the right
                picture.samples[(y * 52 + x) * 4 + 3] = min(max(x * 9 - 120, 0), 255)
        self.assert_same(picture, ("strength=0.7",), ("--strength", "0.7"))

    def test_a_gamma_that_stands_for_srgb(self):
        primaries = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
        self.assert_same(draw(45, 36, 3), chunks=[(b"gAMA", struct.pack(">I", 45455)),
                                                  (b"cHRM", struct.pack(">8I", *primaries))])

    def test_no_strength(self):
        picture = draw(35, 30, 4, 65535)
        self.assertEqual(self.gegl(picture, "mirnet:denoise", "strength=0")[0].samples, picture.samples)

    def test_a_part_is_a_picture_of_its_own(self):
        picture = draw(70, 50, 3)
        found, said = self.gegl(picture, "gegl:crop", "x=9", "y=5", "width=44", "height=31", "mirnet:denoise")
        self.assertIsNotNone(found, said)
        right = self.by_program(picture, "--crop", "9,5,44,31")
        self.assertEqual((found.width, found.height), (44, 31))
        self.assertEqual(found.samples, right.samples)

    def test_other_weights(self):
        other = ROOT / "weights" / "denoise-0.1.mirw"
        found, said = self.gegl(draw(40, 30, 3), "mirnet:denoise", f"weights={other}")
        self.assertIsNotNone(found, said)
        self.assertEqual(found.samples, self.by_program(draw(40, 30, 3), "--weights", other).samples)

    def test_weights_that_are_missing_leave_no_file(self):
        found, said = self.gegl(draw(40, 30, 3), "mirnet:denoise", "weights=/nowhere/x.mirw")
        self.assertIsNone(found)
        self.assertIn("mirnet:denoise: /nowhere/x.mirw: cannot be opened", said)


if __name__ == "__main__":
    unittest.main()
