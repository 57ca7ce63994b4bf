#!/usr/bin/env python3
"""What the program mirnet says of a photograph: its file, its camera, and its noise.
python3 tests/cli/test_info.py [PROGRAM]
"""
import json
import random
import re
import struct
import subprocess
import unittest
import zlib

from program import INPUT, MODEL, USAGE, Picture, ProgramTest, draw, pfm, png, pnm, profile, tga, with_png_chunks


def noisy(deviation, width=160, height=120, channels=3):
    """Shading with Gaussian noise."""
    numbers = random.Random(7)
    return Picture(width, height, channels,
                   (min(255, max(0, round(90 + x * 0.3 + y * 0.2 + numbers.gauss(0, deviation))))
                    for y in range(height) for x in range(width) for _ in range(channels)))


def camera_exif(order="<"):
    """What a camera writes, with a position."""
    ascii_, u16, u32, rational = 2, 3, 4, 5

    def directory(at, fields):
        fixed, data, end = b"", b"", at + 2 + 12 * len(fields) + 4
        for tag, kind, count, value in fields:
            if isinstance(value, bytes) and len(value) > 4:
                fixed += struct.pack(order + "HHII", tag, kind, count, end + len(data))
                data += value + b"\0" * (len(value) % 2)
            elif isinstance(value, bytes):
                fixed += struct.pack(order + "HHI4s", tag, kind, count, value)
            elif kind == u16:
                fixed += struct.pack(order + "HHIHH", tag, kind, count, value, 0)
            else:
                fixed += struct.pack(order + "HHII", tag, kind, count, value)
        return struct.pack(order + "H", len(fields)) + fixed + struct.pack(order + "I", 0) + data

    def text(tag, words):
        return tag, ascii_, len(words) + 1, words.encode() + b"\0"

    def ratio(tag, above, below):
        return tag, rational, 1, struct.pack(order + "II", above, below)

    def first(inner, gps):
        return directory(8, [text(0x010F, "Nikon Corporation"), text(0x0110, "D800"), (0x0112, u16, 1, 6),
                             ratio(0x011A, 300, 1), ratio(0x011B, 300, 1), (0x0128, u16, 1, 2),
                             (0x8769, u32, 1, inner), (0x8825, u32, 1, gps)])

    inner_at = 8 + len(first(0, 0))
    inner = directory(inner_at, [ratio(0x829A, 1, 125), ratio(0x829D, 28, 10), (0x8827, u16, 1, 3200),
                                 text(0x9003, "2026:05:09 12:30:01"), ratio(0x920A, 50, 1), text(0xA434, "50mm f/1.4")])
    gps_at = inner_at + len(inner)
    gps = directory(gps_at, [(1, ascii_, 2, b"N\0"), (2, rational, 3, struct.pack(order + "6I", 52, 1, 30, 1, 0, 1)),
                             (3, ascii_, 2, b"E\0"), (4, rational, 3, struct.pack(order + "6I", 13, 1, 24, 1, 0, 1))])
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + first(inner_at, gps_at) + inner + gps


class InfoTest(ProgramTest):
    def lines(self, *arguments):
        """What is printed, by the words before it."""
        return dict(re.match(r"(.{18})(.*)", line).groups() for line in self.succeeds("info", *arguments).splitlines())

    def line(self, lines, name):
        return lines.get(name.ljust(18))

    def object(self, *arguments):
        said = self.succeeds("info", *arguments, "--json")
        self.assertEqual(said.count("\n"), 1)
        return json.loads(said)


class Photographs(InfoTest):
    def test_formats_and_samples(self):
        for name, content, kind, samples, bits in (
                ("a.png", png(draw(20, 12, 3)), "PNG", "RGB, 8 bits", 8),
                ("b", png(draw(20, 12, 4, 65535)), "PNG", "RGB and transparency, 16 bits", 16),
                ("c.pgm", pnm(draw(20, 12, 1)), "PNM", "gray, 8 bits", 8),
                ("d.tga", tga(draw(20, 12, 3)), "TGA", "RGB, 8 bits", 8),
                ("e.pfm", pfm(20, 12, 3, [0.5] * 720), "PFM", "RGB, 32-bit floats", 32)):
            self.file(name, content)
            lines, found = self.lines(name), self.object(name)
            self.assertEqual(self.line(lines, "file"), name)
            self.assertEqual(self.line(lines, "size"), "20 x 12, 240 pixels")
            self.assertEqual(self.line(lines, "format"), kind)
            self.assertEqual(self.line(lines, "samples"), samples)
            self.assertEqual(self.line(lines, "colour profile"), "none, taken for sRGB")
            self.assertEqual(self.line(lines, "orientation"), "stored upright")
            self.assertEqual(self.line(lines, "GPS position"), "none")
            self.assertIsNone(self.line(lines, "camera"))
            self.assertEqual((found["file"], found["width"], found["height"], found["format"], found["bits"]),
                             (name, 20, 12, kind, bits))
            self.assertIs(found["gps"], False)
            self.assertNotIn("exposure", found)

    def test_the_camera(self):
        for order in "<>":
            self.file("photo.png", with_png_chunks(png(draw(20, 12, 3)), (b"eXIf", camera_exif(order))))
            lines, found = self.lines("photo.png"), self.object("photo.png")
            self.assertEqual(self.line(lines, "camera"), "Nikon Corporation D800")
            self.assertEqual(self.line(lines, "lens"), "50mm f/1.4")
            self.assertEqual(self.line(lines, "date"), "2026-05-09 12:30:01")
            self.assertEqual(self.line(lines, "exposure"), "1/125 s, f/2.8, ISO 3200, 50 mm")
            self.assertEqual(self.line(lines, "orientation"), "stored turned left")
            self.assertEqual(self.line(lines, "resolution"), "300 x 300 samples an inch")
            self.assertEqual(self.line(lines, "GPS position"), "in the file")
            self.assertEqual(self.line(lines, "size"), "12 x 20, 240 pixels")
            self.assertEqual(found["exposure"], {"seconds": 0.008, "f_number": 2.8, "iso": 3200.0, "focal_length": 50.0})
            self.assertEqual((found["orientation"], found["gps"]), (6, True))
            self.assertEqual(found["resolution"], {"x": 300.0, "y": 300.0, "per_inch": True})
            # Without the sandbox it is the same.
            self.assertEqual(self.object("photo.png", "--no-sandbox"), found)

    def test_damaged_camera_data(self):
        whole = camera_exif()
        for end in range(8, len(whole), 7):
            self.file("photo.png", with_png_chunks(png(draw(8, 8, 3)), (b"eXIf", whole[:end])))
            self.assertEqual(self.run_program("info", "photo.png").returncode, 0)

    def test_colour_profiles(self):
        self.file("srgb.png", with_png_chunks(png(draw(8, 8, 3)), (b"sRGB", b"\0")))
        self.assertEqual(self.line(self.lines("srgb.png"), "colour profile"), "sRGB")
        # A description as in version 2, in the place of the test's tag.
        words = b"Wide colours"
        tag = b"desc" + bytes(4) + struct.pack(">I", len(words) + 1) + words + b"\0"
        named = struct.pack(">I", 144 + len(tag)) + profile(144)[4:128] + struct.pack(">I", 1) + struct.pack(">4sII", b"desc", 144, len(tag)) + tag
        self.file("named.png", with_png_chunks(png(draw(8, 8, 3)), (b"iCCP", b"x\0\0" + zlib.compress(named))))
        self.assertIn("Wide colours", self.object("named.png")["colour_profile"])

    def test_the_standard_input(self):
        result = subprocess.run([self.program, "info", "-"], input=png(draw(20, 12, 3)), capture_output=True)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertIn(b"20 x 12", result.stdout)


class Noise(InfoTest):
    def test_its_strength(self):
        for deviation in (3, 10, 30):
            self.file("in.png", png(noisy(deviation)))
            noise = self.object("in.png")["noise"]
            self.assertAlmostEqual(noise["brightness"] / (0.669 * deviation), 1, delta=0.12)
            self.assertAlmostEqual(noise["colour"] / (0.640 * deviation), 1, delta=0.12)
            self.assertLess(abs(noise["correlation"]), 0.15)
            lines = self.lines("in.png")
            self.assertEqual(self.line(lines, "noise"), noise["strength"])
            self.assertEqual(self.line(lines, "  brightness"), f"{noise['brightness']:.2f} of 255")
        self.file("gray.png", png(noisy(10, channels=1)))
        self.assertAlmostEqual(self.object("gray.png")["noise"]["brightness"], 10, delta=1)
        self.assertIsNone(self.line(self.lines("gray.png"), "  colour"))

    def test_none(self):
        self.file("flat.png", png(Picture(64, 48, 3, [120] * (64 * 48 * 3))))
        self.assertEqual(self.object("flat.png")["noise"], {"strength": "none", "brightness": 0.0, "colour": 0.0,
                                                            "dark": 0.0, "bright": 0.0, "correlation": 0.0})
        self.file("tiny.png", png(draw(1, 1, 3)))
        self.assertEqual(self.object("tiny.png")["noise"]["strength"], "none")


class Errors(InfoTest):
    def test_no_photograph(self):
        self.file("cut.png", png(draw(20, 12, 3))[:60])
        self.fails(INPUT, "info", "cut.png", says="cut.png")
        self.fails(INPUT, "info", "none.png", says="none.png: cannot be opened")
        self.fails(INPUT, "info", "none.jpg", "--json", says="none.jpg: cannot be opened")
        self.file("text.png", b"no picture")
        self.fails(INPUT, "info", "text.png", says="not an image of a known format")
        self.file("text", b"no picture")
        self.fails(INPUT, "info", "text", says="text: is neither a photograph in a known format nor a weight file")
        self.file("in.png", png(draw(20, 12, 3)))
        self.fails(INPUT, "info", "in.png", "--max-pixels", "100", says="the limit is 100 pixels")

    def test_options_of_the_other(self):
        self.file("in.png", png(draw(20, 12, 3)))
        self.fails(USAGE, "info", "in.png", "--size", "64x48", says="--size: in.png is a photograph")
        self.fails(USAGE, "info", "--json", says="--json: there is no file; expected a photograph")
        self.fails(USAGE, "info", "in.png", "--model", "high")


if __name__ == "__main__":
    unittest.main()
