#!/usr/bin/env python3
"""Tests of the program mirnet with the standard library alone: python3 tests/cli/test_cli.py [PROGRAM]"""
import array
import base64
import csv
import fcntl
import itertools
import json
import math
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import zlib

from program import (CANCELLED, INPUT, MEMORY, MODEL, OUTPUT, PARTIAL, PROGRAM, ROOT, SANITIZED, UNMET, USAGE,
                     WEIGHTS, Picture, ProgramTest, bmp, draw, exif, pam, pfm, png, png_chunk, png_chunks, pnm, result_mark,
                     profile, read_bmp, read_pam, read_pfm, read_png, read_pnm, tga, with_header_checksum,
                     with_png_chunks)


class Formats(ProgramTest):
    def test_what_is_read_and_written(self):
        """The same pixels in any format give the same result, as far as the output's format holds it."""
        picture = draw(21, 13, 3)
        expected = read_png(self.denoises("in.png", png(picture)))
        self.assertEqual((expected.width, expected.height, expected.channels), (21, 13, 3))
        self.assertNotEqual(expected.samples, picture.samples)
        inputs = {"in.ppm": pnm(picture), "in.bmp": bmp(picture), "in.tga": tga(picture), "rle.tga": tga(picture, True),
                  "plain.ppm": f"P3 # text\n21 13 255\n{' '.join(map(str, picture.samples))}\n".encode(),
                  "in.pam": pam(picture), "in.txt": png(picture)}
        for name, content in inputs.items():
            with self.subTest(name):
                self.assertEqual(read_png(self.denoises(name, content)).samples, expected.samples)
        for name, reader in {"o.PNG": read_png, "o.ppm": read_pnm, "o.pnm": read_pnm, "o.bmp": read_bmp,
                             "o.pam": read_pam}.items():
            with self.subTest(name):
                self.assertEqual(reader(self.denoises("in.png", png(picture), name)).samples, expected.samples)

    def test_bitmaps_of_other_kinds(self):
        """Those that read wrongly or not at all elsewhere; each kind's details are tests of the library."""
        picture = draw(21, 13, 3)
        expected = self.denoises("in.png", png(picture))
        plain = bmp(picture)
        with_palette = plain[:10] + struct.pack("<I", 54 + 1024) + plain[14:46] + struct.pack("<II", 256, 0) + bytes(1024)
        from_right = Picture(21, 13, 3, itertools.chain.from_iterable(
            itertools.chain.from_iterable(row[i:i + 3] for i in range(60, -1, -3)) for row in picture.rows()))
        right = bytearray(tga(from_right))
        right[17] |= 0x10
        mapped = bytearray(tga(picture))
        mapped[1:8] = struct.pack("<BBHHB", 1, 2, 0, 1, 24)
        for name, content in {"palette.bmp": with_palette + plain[54:], "right.tga": bytes(right),
                              "map.tga": bytes(mapped[:18]) + b"map" + bytes(mapped[18:])}.items():
            with self.subTest(name):
                self.assertEqual(self.denoises(name, content), expected)

        gray = draw(21, 13, 1)
        rows = b"".join(bytes([0, 21, *row, 0, 0, 0]) for row in reversed(gray.rows())) + b"\0\1"
        run_lengths = (b"BM" + struct.pack("<I4xI", 1078 + len(rows), 1078)
                       + struct.pack("<IiiHHII16x", 40, 21, 13, 1, 8, 1, len(rows))
                       + b"".join(struct.pack("<BBBx", i, i, i) for i in range(256)) + rows)
        self.assertEqual(self.denoises("rle8.bmp", run_lengths), self.denoises("in.png", png(gray)))

        bits = Picture(16, 12, 1, [255 * ((x ^ y) >> 2 & 1) for y in range(12) for x in range(16)])
        packed = bytes(sum((row[i + j] == 0) << (7 - j) for j in range(8)) for row in bits.rows() for i in (0, 8))
        self.assertEqual(self.denoises("in.pbm", b"P4\n16 12\n" + packed), self.denoises("in.png", png(bits)))
        digits = " ".join("0" if sample else "1" for sample in bits.samples)
        self.assertEqual(self.denoises("in.pbm", f"P1\n16 12\n{digits}\n".encode()), self.denoises("in.png", png(bits)))

    def test_pam_holds_alpha(self):
        for channels in (2, 4):
            picture = draw(16, 12, channels)
            result = read_png(self.denoises("in.pam", pam(picture)))
            self.assertEqual(result.channels, channels)
            self.assertEqual(result.samples[channels - 1::channels], picture.samples[channels - 1::channels])
            self.assertEqual(read_pam(self.denoises("in.png", png(picture), "o.pam")).samples, result.samples)
        deep = draw(16, 12, 4, 65535)
        self.assertEqual(read_pam(self.denoises("in.pam", pam(deep), "o.pam")).samples,
                         read_png(self.denoises("in.png", png(deep))).samples)

    def test_floats_beyond_what_the_network_holds(self):
        floats = [0.5] * (8 * 6 * 3)
        for value in (1e38, -1e13, math.inf, math.nan):
            floats[3 * (2 * 8 + 5) + 1] = value
            self.fails(INPUT, "denoise", self.file("in.pfm", pfm(8, 6, 3, floats)), "o.pfm",
                       says="a sample of the pixel (5, 2) is")
        floats[3 * (2 * 8 + 5) + 1] = 1e12
        for precision in ("fp32", "auto"):
            self.succeeds("denoise", self.file("in.pfm", pfm(8, 6, 3, floats)), f"{precision}.pfm", "--precision", precision)
            self.assertTrue(all(map(math.isfinite, read_pfm((self.path / f"{precision}.pfm").read_bytes()))))

    def test_jpeg(self):
        for name in ("out.jpg", "out.JPEG"):
            self.assertEqual(self.denoises("in.png", png(draw(40, 30, 3)), name)[:3], b"\xff\xd8\xff")
        again = read_png(self.denoises("again.jpg", (self.path / "out.jpg").read_bytes()))
        self.assertEqual((again.width, again.height, again.channels), (40, 30, 3))

    def test_gray_stays_gray(self):
        gray = draw(19, 17, 1)
        result = read_png(self.denoises("in.png", png(gray)))
        self.assertEqual(result.channels, 1)
        colour = Picture(19, 17, 3, itertools.chain.from_iterable((v, v, v) for v in gray.samples))
        for expected, found in zip(read_png(self.denoises("in3.png", png(colour))).pixels(), result.samples):
            self.assertLessEqual(abs(sum(expected) / 3 - found), 1)
        self.assertEqual(read_pnm(self.denoises("in.pgm", pnm(gray), "o.pgm")).samples, result.samples)
        replicated = read_pnm(self.denoises("in.png", png(gray), "o.ppm"))
        self.assertEqual(replicated.pixels(), [[v, v, v] for v in result.samples])

    def test_alpha_is_untouched(self):
        for channels in (2, 4):
            picture = draw(17, 11, channels)
            result = read_png(self.denoises("in.png", png(picture)))
            self.assertEqual([p[-1] for p in result.pixels()], [p[-1] for p in picture.pixels()])
            opaque = Picture(17, 11, channels - 1, itertools.chain.from_iterable(p[:-1] for p in picture.pixels()))
            colours = itertools.chain.from_iterable(p[:-1] for p in result.pixels())
            self.assertEqual(read_png(self.denoises("opaque.png", png(opaque))).samples, list(colours))

    def test_alpha_needs_a_png(self):
        self.file("in.png", png(draw(8, 8, 4)))
        for name in ("o.jpg", "o.bmp", "o.ppm", "o.pnm", "o.pfm"):
            self.fails(OUTPUT, "denoise", "in.png", name, says="does not hold; these do: PNG, ")

    def test_sixteen_bits(self):
        picture = draw(21, 13, 3, 65535)
        deep = read_pnm(self.denoises("in.png", png(picture), "o.ppm"))
        self.assertEqual(deep.maximum, 65535)
        self.assertEqual(read_pnm(self.denoises("in.ppm", pnm(picture), "o.ppm")).samples, deep.samples)
        floats = read_pfm(self.denoises("in.png", png(picture), "o.pfm"))
        for sample, level in zip(floats, deep.samples):
            self.assertAlmostEqual(sample * 65535, level, delta=0.51)
        self.assertEqual(read_png(self.denoises("in.png", png(picture), "o.png")).samples, list(deep.samples))
        rounded = read_png(self.denoises("in.png", png(picture), "o.png", "--depth", "8"))
        self.assertEqual(rounded.maximum, 255)
        for sample, level in zip(deep.samples, rounded.samples):
            self.assertAlmostEqual(sample / 257, level, delta=0.51)
        note = self.succeeds("denoise", "in.png", "o.bmp")
        self.assertIn(", rounded to 8 bits\n", note)
        self.assertNotIn("rounded", self.succeeds("denoise", "in.png", "new.ppm"))

    def test_pfm_is_exact(self):
        """Floats in and out of either byte order: values beyond [0, 1] are neither clamped nor rounded."""
        samples = list(array.array("f", ((-0.5 if i % 48 < 24 else 1.5) + i % 7 / 70 for i in range(576))))
        result = self.denoises("in.pfm", pfm(16, 12, 3, samples), "o.pfm")
        self.assertEqual(self.denoises("big.pfm", pfm(16, 12, 3, samples, ">"), "o.pfm"), result)
        restored = read_pfm(result)
        self.assertLess(min(restored), 0.0)
        self.assertGreater(max(restored), 1.0)
        eight = Picture(16, 12, 3, draw(16, 12, 3).samples)
        floats = list(array.array("f", (v / 255 for v in eight.samples)))
        exact = read_pfm(self.denoises("in.pfm", pfm(16, 12, 3, floats), "o.pfm"))
        self.assertEqual(read_pfm(self.denoises("in.png", png(eight), "o.pfm")), exact)
        levels = read_png(self.denoises("in.png", png(eight))).samples
        self.assertEqual(levels, [min(255, max(0, int(v * 255 + 0.5))) for v in exact])
        gray = read_pfm(self.denoises("gray.pfm", pfm(16, 12, 1, floats[:192]), "g.pfm"))
        self.assertEqual(len(gray), 192)

    def test_depth_that_is_asked_for(self):
        picture = draw(21, 13, 3)
        floats = read_pfm(self.denoises("in.png", png(picture), "o.pfm"))
        for name, reader in (("o.png", read_png), ("o.ppm", read_pnm)):
            deep = reader(self.denoises("in.png", png(picture), name, "--depth", "16"))
            self.assertEqual(deep.maximum, 65535)
            for sample, level in zip(floats, deep.samples):
                self.assertAlmostEqual(min(max(sample, 0), 1) * 65535, level, delta=0.51)
        self.file("in.png", png(picture))
        for name in ("o.jpg", "o.bmp", "o.pfm"):
            self.fails(USAGE, "denoise", "in.png", name, "--depth", "16", says="--depth 16")
        self.fails(USAGE, "denoise", "in.png", "o.png", "--depth", "12", says="--depth")

    def test_jpeg_quality(self):
        picture = png(draw(40, 30, 3))
        sizes = []
        for quality in (30, 89, 90, 100):
            content = self.denoises("in.png", picture, "o.jpg", "--quality", str(quality))
            sizes.append(len(content))
            frame = content.index(b"\xff\xc0")
            self.assertEqual(content[frame + 11], 0x11 if quality >= 90 else 0x22)  # sampling of brightness
        self.assertEqual(sizes, sorted(sizes))
        self.assertEqual(content, self.denoises("in.png", picture, "o.jpg", "--quality-jpeg", str(quality)))
        for value in ("0", "101", "-1", "1.5", "best", ""):
            self.fails(USAGE, "denoise", "in.png", "p.jpg", f"--quality={value}",
                       says=f'--quality: must be between 1 and 100, not "{value}"; see mirnet denoise --help')

    def test_palettes_and_few_bits(self):
        def file(bits, colour, rows, *chunks):
            header = struct.pack(">IIBBBBB", 8, len(rows), bits, colour, 0, 0, 0)
            raw = b"".join(b"\0" + bytes(row) for row in rows)
            return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
                    + b"".join(png_chunk(kind, body) for kind, body in chunks)
                    + png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b""))

        def stays(content, channels, samples):
            # With nothing taken away, what comes out is what was read.
            result = read_png(self.denoises("in.png", content, "out.png", "--strength", "0"))
            self.assertEqual((result.channels, result.maximum, result.samples), (channels, 255, samples))

        colours = [(250, 10, 20), (30, 240, 50), (60, 70, 230), (90, 100, 110)]
        palette = b"PLTE", bytes(sum(colours, ()))
        indices = [0, 1, 2, 3, 3, 2, 1, 0]
        opened = [sample for i in indices for sample in colours[i]]
        stays(file(2, 3, [[0b00011011, 0b11100100]], palette), 3, opened)
        stays(file(8, 3, [indices] * 2, palette), 3, opened * 2)
        alphas = [0, 128, 255, 255]  # the list in the file ends before those that are 255
        stays(file(4, 3, [[0x01, 0x23, 0x32, 0x10]], palette, (b"tRNS", bytes(alphas[:2]))), 4,
              [sample for i in indices for sample in (*colours[i], alphas[i])])
        stays(file(1, 0, [[0b10110010]]), 1, [255 * int(bit) for bit in "10110010"])
        stays(file(4, 0, [[0x08, 0xF1, 0x23, 0x7E]]), 1, [17 * int(digit, 16) for digit in "08F1237E"])

    def test_any_size(self):
        for width, height in ((1, 1), (1, 9), (2, 3), (7, 1), (5, 5), (16, 16), (31, 3), (1, 5000), (5000, 1)):
            with self.subTest(size=(width, height)):
                result = read_png(self.denoises("in.png", png(draw(width, height, 3))))
                self.assertEqual((result.width, result.height), (width, height))


def with_jpeg_segment(data, marker, body):
    return data[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + data[2:]


def jpeg_segments(data):
    at = 2
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        yield data[at + 1], data[at + 4:at + 2 + length]
        at += 2 + length


def turned(picture, orientation):
    """The stored pixels of a picture that is seen as `picture` with this orientation."""
    rows = [[tuple(p) for p in picture.pixels()[y * picture.width:(y + 1) * picture.width]]
            for y in range(picture.height)]
    mirror, flip, exchange = lambda r: [row[::-1] for row in r], lambda r: r[::-1], lambda r: [list(c) for c in zip(*r)]
    steps = {1: [], 2: [mirror], 3: [mirror, flip], 4: [flip], 5: [exchange], 6: [exchange, flip],
             7: [exchange, mirror, flip], 8: [exchange, mirror]}[orientation]
    for step in steps:
        rows = step(rows)
    return Picture(len(rows[0]), len(rows), picture.channels, itertools.chain.from_iterable(sum(rows, [])))


PROFILE = profile(600)


class Metadata(ProgramTest):
    def assert_marked(self, found, expected):
        """EXIF data with a result's mark and nothing else added; what comes before it has an even length."""
        mark, rest = result_mark(found)
        self.assertRegex(mark, r"^mirnet denoise \d+\.\d+\.\d+, model standard \([0-9a-f]{8}\)$")
        self.assertEqual(rest, expected + bytes(len(expected) % 2))

    def test_every_orientation(self):
        """What is seen is what comes out, the right way up, and marked so."""
        seen = draw(19, 11, 3)
        expected = read_png(self.denoises("in.png", png(seen)))
        for orientation in range(1, 9):
            for order in "<>":
                with self.subTest(orientation, order=order):
                    stored = with_png_chunks(png(turned(seen, orientation)), (b"eXIf", exif(orientation, order)))
                    result = self.denoises("in.png", stored)
                    found = read_png(result)
                    self.assertEqual((found.width, found.height), (19, 11))
                    self.assertEqual(found.samples, expected.samples)
                    self.assert_marked(dict(png_chunks(result))[b"eXIf"], exif(1, order))

    def test_orientation_of_a_jpeg(self):
        jpeg = self.denoises("in.png", png(draw(40, 24, 3)), "plain.jpg")
        upright = read_png(self.denoises("plain.jpg", jpeg, "upright.png"))
        marked = with_jpeg_segment(jpeg, 0xE1, b"Exif\0\0" + exif(3))
        found = read_png(self.denoises("marked.jpg", marked))
        self.assertEqual((found.width, found.height), (40, 24))
        # The network does not see the same turned by half a circle, only nearly.
        difference = [abs(a - b) for a, b in zip(turned(upright, 3).samples, found.samples)]
        self.assertLess(sum(difference) / len(difference), 3)
        segments = dict(jpeg_segments(self.denoises("marked.jpg", marked, "o.jpg")))
        self.assertEqual(segments[0xE1][:6], b"Exif\0\0")
        self.assert_marked(segments[0xE1][6:], exif(1))

    def test_colour_profiles(self):
        picture = png(draw(20, 10, 3))
        marked = with_png_chunks(picture, (b"iCCP", b"P3\0\0" + zlib.compress(PROFILE)))
        result = dict(png_chunks(self.denoises("in.png", marked)))
        self.assertEqual(zlib.decompress(result[b"iCCP"].split(b"\0", 2)[2]), PROFILE)
        jpeg = self.denoises("in.png", marked, "o.jpg")
        self.assertEqual(dict(jpeg_segments(jpeg))[0xE2], b"ICC_PROFILE\0\x01\x01" + PROFILE)
        again = dict(png_chunks(self.denoises("in.jpg", jpeg)))
        self.assertEqual(zlib.decompress(again[b"iCCP"].split(b"\0", 2)[2]), PROFILE)
        self.assertNotIn(b"iCCP", dict(png_chunks(self.denoises("in.png", picture))))
        # A long profile takes several segments of a JPEG.
        long = profile(150_000)
        jpeg = self.denoises("in.png", with_png_chunks(picture, (b"iCCP", b"P3\0\0" + zlib.compress(long))), "o.jpg")
        parts = [body[14:] for kind, body in jpeg_segments(jpeg) if kind == 0xE2]
        self.assertGreater(len(parts), 1)
        self.assertEqual(b"".join(parts), long)

    def test_the_thumbnail_is_forgotten(self):
        data = exif(6, thumbnail=struct.pack("<HI", 0, 0))
        found = dict(png_chunks(self.denoises("in.png", with_png_chunks(png(draw(9, 9, 3)), (b"eXIf", data)))))[b"eXIf"]
        self.assert_marked(found, exif(1))

    def test_damaged_metadata_is_left_out(self):
        picture = draw(9, 7, 3)
        expected = read_png(self.denoises("in.png", png(picture))).samples
        for data in (b"", b"II", b"II*\0\xff\xff\xff\xff", exif(9), exif(0), exif(6)[:20], b"MM*\0" + exif(6)[4:]):
            for content in (with_png_chunks(png(picture), (b"eXIf", data)),
                            with_png_chunks(png(picture), (b"iCCP", b"x\0\0" + data))):
                self.assertEqual(read_png(self.denoises("in.png", content)).samples, expected)

    def test_colours_of_other_spaces(self):
        """A picture in linear light becomes what the same picture in sRGB becomes."""
        def light(value):
            value /= 65535
            return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

        noisy = draw(40, 30, 3, 65535)
        linear = Picture(40, 30, 3, (round(65535 * light(v)) for v in noisy.samples), 65535)
        tagged = with_png_chunks(png(linear), (b"gAMA", struct.pack(">I", 100000)))
        if "Little CMS" not in self.succeeds("--licences"):
            self.skipTest("a build without Little CMS")
        expected = read_png(self.denoises("in.png", png(noisy), "o.png", "--precision", "fp32")).samples
        result = self.denoises("in.png", tagged, "o.png", "--precision", "fp32")
        self.assertEqual(dict(png_chunks(result))[b"gAMA"], struct.pack(">I", 100000))
        found = read_png(result).samples
        self.assertLess(max(abs(light(a) - b / 65535) for a, b in zip(expected, found)), 0.002)
        # What the network leaves alone comes back as it was.
        self.assertEqual(read_png(self.denoises("in.png", tagged, "o.png", "--strength", "0")).samples, linear.samples)
        # Where a file can hold only profiles, one says the same.
        jpeg = self.denoises("in.png", tagged, "o.jpg")
        self.assertIn(0xE2, [kind for kind, _ in jpeg_segments(jpeg)])

    def test_colours_under_transparency_are_not_seen(self):
        """The visible half is the same over black and over magenta, and what is hidden stays."""
        visible = draw(32, 24, 3)
        results = []
        for hidden in ((0, 0, 0, 0), (255, 0, 255, 0)):
            rows = [[(*pixel, 255) for pixel in visible.pixels()[32 * y:32 * y + 32]] + [hidden] * 32 for y in range(24)]
            picture = Picture(64, 24, 4, (v for row in rows for pixel in row for v in pixel))
            found = read_png(self.denoises("in.png", png(picture))).pixels()
            self.assertEqual({tuple(found[64 * y + x]) for y in range(24) for x in range(32, 64)}, {hidden})
            results.append([tuple(found[64 * y + x]) for y in range(24) for x in range(32)])
        self.assertEqual(*results)

    def test_wider_than_libpng_takes_unasked(self):
        row = bytes(i * i % 251 for i in range(1_000_001))
        for name, samples, orientation in (("a.png", row, 1), ("b.png", row[::-1], 3)):
            content = (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", len(row), 1, 8, 0, 0, 0, 0))
                       + png_chunk(b"IDAT", zlib.compress(b"\0" + samples)) + png_chunk(b"IEND", b""))
            self.file(name, with_png_chunks(content, (b"eXIf", exif(orientation))))
        self.assertRegex(self.succeeds("compare", "a.png", "b.png"), "PSNR +inf")

    def test_reference_and_compare_see_pictures_upright(self):
        seen = draw(19, 11, 3)
        self.file("a.png", png(seen))
        self.file("b.png", with_png_chunks(png(turned(seen, 6)), (b"eXIf", exif(6))))
        self.assertRegex(self.succeeds("compare", "a.png", "b.png"), "PSNR +inf")
        self.assertIn("PSNR inf -> ", self.succeeds("denoise", "a.png", "o.png", "--reference", "b.png"))


class Options(ProgramTest):
    def test_threads_do_not_change_a_bit(self):
        self.file("in.pfm", pfm(37, 29, 3, [v / 255 for v in draw(37, 29, 3).samples]))
        results = set()
        for threads in (1, 2, 3, 7):
            self.succeeds("denoise", "in.pfm", f"{threads}.pfm", "--threads", threads, "--quiet")
            results.add((self.path / f"{threads}.pfm").read_bytes())
        self.assertEqual(len(results), 1)

    def instruction_sets(self):
        """The sets that are built in, the fastest first, each with the one that runs in fp32; and, for each precision,
        the one that runs without --isa."""
        info = self.succeeds("info")
        names = re.search(r"built in +(.+)", info).group(1)
        in_fp32 = {name: other or name for name, other in re.findall(r"(\w+)(?: \(fp32: (\w+)\))?", names)}
        fp32, bf16 = re.search(r"in use +(\w+)(?: \(bf16: (\w+)\))?\n", info).groups()
        return in_fp32, {"fp32": fp32, "bf16": bf16 or fp32}

    def test_instruction_sets_agree(self):
        in_fp32, _ = self.instruction_sets()
        self.file("in.pfm", pfm(37, 29, 3, [v / 255 for v in draw(37, 29, 3).samples]))
        message = self.fails(USAGE, "denoise", "in.pfm", "o.pfm", "--isa", "mmx", says="no instruction set of this")
        available = re.search(r"available are: (.+)", message).group(1).split(", ")
        results = []
        for isa in available:
            said = self.succeeds("denoise", "--verbose", "in.pfm", f"{isa}.pfm", "--isa", isa, "--precision", "fp32")
            self.assertIn(f"instruction set   {in_fp32[isa]}\n", said)
            results.append(read_pfm((self.path / f"{isa}.pfm").read_bytes()))
        for result in results:
            self.assertLess(max(abs(a - b) for a, b in zip(result, results[0])), 2e-5)
        self.assertEqual(available, [isa for isa in in_fp32 if isa in available])
        for isa in set(in_fp32) - set(available):
            self.fails(USAGE, "denoise", "in.pfm", "o.pfm", "--isa", isa, says="this machine lacks")

    def test_what_runs_is_what_is_reported(self):
        """Every command names the instruction set whose kernels run, with --isa and without."""
        in_fp32, running = self.instruction_sets()
        self.assertEqual({isa for isa in in_fp32 if in_fp32[isa] != isa}, {"avx512bf16"} & set(in_fp32))
        self.assertEqual(running["fp32"], in_fp32[running["bf16"]])
        self.assertIn(f" ({running['fp32']})\n", self.succeeds("--version"))
        self.file("in.png", png(draw(8, 8, 3)))
        precisions = ("fp32",) if running["fp32"] == "scalar" else ("fp32", "bf16")
        # bf16 where the processor multiplies it.
        automatic = "bf16" if running["bf16"] == "avx512bf16" else "fp32"
        cases = [("auto", None, automatic), (None, None, automatic), ("auto", running["fp32"], "fp32"),
                 (None, running["bf16"], automatic),
                 *((precision, isa, precision) for precision in precisions for isa in (None, running["bf16"]))]
        for option, isa, precision in cases:
            with self.subTest(precision=option, isa=isa):
                options = (*(("--precision", option) if option else ()), *(("--isa", isa) if isa else ()))
                said = self.succeeds("denoise", "--verbose", "in.png", "o.png", "--overwrite", *options)
                self.assertIn(f"instruction set   {running[precision]}\nprecision         {precision}\n", said)
                result = json.loads(self.succeeds("denoise", "in.png", "o.png", "--overwrite", "--json", *options))
                self.assertEqual((result["instruction_set"], result["precision"]), (running[precision], precision))
                measured = json.loads(self.succeeds("profile", "8x8", "--threads", "1", "--repeat", "1", "--format",
                                                    "json", *options))
                self.assertEqual({measured["machine"]["instruction_set"]}
                                 | {row["instruction_set"] for row in measured["layers"]}, {running[precision]})
                self.assertEqual(measured["network"]["precision"], precision)

    def test_algorithm_and_precision(self):
        self.file("in.pfm", pfm(60, 40, 3, [v / 255 for v in draw(60, 40, 3).samples]))
        before = read_pfm((self.path / "in.pfm").read_bytes())

        def run(*options):
            report = self.succeeds("denoise", "--verbose", "in.pfm", "out.pfm", "--overwrite", *options)
            return report, read_pfm((self.path / "out.pfm").read_bytes())

        def difference(a, b):
            return max(abs(x - y) for x, y in zip(a, b))

        report, automatic = run("--precision", "fp32")
        self.assertNotIn("algorithm", report)
        self.assertIn("precision         fp32\n", report)
        self.assertEqual(run("--algorithm", "auto", "--precision", "fp32")[1], automatic)
        residual = difference(automatic, before)
        report, direct = run("--algorithm", "direct", "--precision", "fp32")
        self.assertIn("algorithm         direct\n", report)
        self.assertGreater(difference(automatic, direct), 0)
        self.assertLess(difference(automatic, direct), 1e-4 * max(residual, 0.1))
        report, halves = run("--precision", "bf16")
        self.assertIn("precision         bf16\n", report)
        self.assertGreater(difference(automatic, halves), 1e-4 * residual)
        self.assertLess(difference(automatic, halves), 0.2 * residual)
        self.fails(USAGE, "denoise", "in.pfm", "o.pfm", "--algorithm", "fft", says="--algorithm")
        self.fails(USAGE, "denoise", "in.pfm", "o.pfm", "--precision", "fp8", says="--precision")

    def test_summary_and_reference(self):
        clean = Picture(32, 32, 3, [120] * 32 * 32 * 3)
        noisy = Picture(32, 32, 3, (120 + (i * 7919) % 61 - 30 for i in range(32 * 32 * 3)))
        self.file("clean.png", png(clean))
        self.file("noisy.png", png(noisy))
        summary = self.succeeds("denoise", "--verbose", "noisy.png", "o.png", "--reference", "clean.png", "--threads", 2)
        self.assertRegex(summary, r"\Aresult +o\.png\n")
        self.assertIn("32 x 32, 3 channels of 8 bits", summary)
        self.assertRegex(summary, r"time +\d+\.\d+ s, \d+\.\d+ megapixels/s")
        self.assertRegex(summary, r"peak memory +\d+\.\d MiB")
        self.assertRegex(summary, r"threads +2\n")
        before, after = map(float, re.search(r"PSNR +(\S+) dB before, (\S+) dB after", summary).groups())
        self.assertGreater(after, before)
        ssim_before, ssim_after = map(float, re.search(r"SSIM +(\S+) before, (\S+) after", summary).groups())
        self.assertGreater(ssim_after, ssim_before)
        self.assertIn(f"PSNR                {after:.2f}"[:-1], self.succeeds("compare", "o.png", "clean.png"))

    def test_compare(self):
        self.file("a.png", png(Picture(16, 16, 1, [100] * 256)))
        self.file("b.pgm", pnm(Picture(16, 16, 1, [110] * 256)))
        self.assertEqual(self.succeeds("compare", "a.png", "a.png").split(),
                         "PSNR infinite, the images are the same SSIM 1.000000 largest difference 0 of 255".split())
        self.assertEqual(self.succeeds("compare", "a.png", "b.pgm").split()[:3], ["PSNR", "28.1308", "dB"])
        self.file("small.png", png(draw(10, 30, 3)))
        self.assertIn("SSIM                -\n", self.succeeds("compare", "small.png", "small.png"))
        self.fails(INPUT, "compare", "a.png", "small.png", says="cannot be compared")
        self.fails(INPUT, "compare", "a.png", "none.png", says="none.png: cannot be opened")
        self.fails(USAGE, "compare", "a.png")

    def test_info(self):
        built_in = self.succeeds("info")
        self.assertRegex(built_in, r"\Amirnet \d+\.\d+\.\d+\n")
        of_file = self.succeeds("info", WEIGHTS, "--size", "64x48")
        for name in ("features", "groups", "blocks", "streams", "columns", "channels", "unshuffle", "parameters",
                     "multiply-adds a pixel"):
            self.assertRegex(built_in, rf"{name} +[1-9]\d*\n")
            self.assertRegex(of_file, rf"{name} +[1-9]\d*\n")
        self.assertRegex(of_file, r"(?m)^task +denoise$")
        self.assertRegex(of_file, r"working memory +\d+\.\d MiB for 64 x 48 pixels")
        for size in ("64", "64x", "x48", "0x48", "64x-1", "64x48x2", "", "axb", "99999999999999999999x1"):
            self.fails(USAGE, "info", "--size", size, says="expected a width and a height")
        for size in ("9000000000000000000x1", "1x9000000000000000000", "1x1000000000000000"):
            self.fails(MEMORY, "info", "--size", size, says="larger than any memory")
        # And the tallest of the others is answered at once.
        short, tall = (int(re.search(r"multiply-adds a pixel +(\d+)", self.succeeds("info", "--size", size)).group(1))
                       for size in ("8x100000", "8x100000000000"))
        self.assertEqual(short, tall)

    def test_weights_from_a_file_are_the_built_in_ones(self):
        self.assertEqual(self.denoises("in.png", png(draw(20, 20, 3)), "o.pfm"),
                         self.denoises("in.png", png(draw(20, 20, 3)), "p.pfm", "--weights", WEIGHTS))

    def test_help_and_version(self):
        self.assertRegex(self.succeeds("--version"), r"\Amirnet \d+\.\d+\.\d+ \(\w+\)\n\Z")
        for command in ("denoise", "info", "compare"):
            self.assertIn(command, self.succeeds("--help"))
            self.assertIn("--help", self.succeeds(command, "--help"))

    def commands(self):
        """Every option of each command, as --help shows them; "" is the program itself."""
        names = re.findall(r"^  (\w+) ", self.succeeds("--help").split("Commands:")[1].split("Options:")[0], re.MULTILINE)
        self.assertEqual(names, ["denoise", "info", "compare", "bench", "profile"])
        options = {}
        for command in ("", *names):
            lines = re.findall(r"^  (-.*?)(?:  .*)?$", self.succeeds(*command.split(), "--help"), re.MULTILINE)
            options[command] = {name for line in lines for name in re.findall(r"(?<![\w-])--?[a-z][\w-]*", line)}
        self.assertGreater(len(options["denoise"]), 30)
        return options

    def test_manual_and_completions(self):
        """They are made of the options, and say the same as --help."""
        options = self.commands()
        manual = self.succeeds("--generate", "man")
        for command, known in options.items():
            section = re.search(rf"(?ms)^\.SS {f'mirnet {command}' if command else 'Without a command'}$(.*?)^\.S[SH] ",
                                manual)[1].replace("\\-", "-")
            self.assertEqual(set(re.findall(r"\\fB(-[\w-]+)\\fR", section)), known)
            for shell, pattern in (("bash", r"^    {}\) options='([^']*)'"), ("zsh", r"^ +{}\)\n +_arguments((?:.*\\\n)*.*)"),
                                   ("fish", None)):
                text = self.succeeds("--generate", f"complete-{shell}")
                if shell == "fish":
                    lines = [line for line in text.splitlines()
                             if ("not __fish" in line if not command else f"subcommand_from {command}\"" in line)]
                    found = {f"--{name}" for line in lines for name in re.findall(r" -l ([\w-]+)", line)}
                    found |= {f"-{name}" for line in lines for name in re.findall(r" -s (\w)", line)}
                elif shell == "zsh" and not command:
                    found = set(re.findall(r"[{('](--?[a-z][\w-]*)|,(--?[a-z][\w-]*)", text.split("1:command")[0]))
                    found = {name for pair in found for name in pair if name}
                else:
                    part = re.search(pattern.format(command or r"\*"), text, re.MULTILINE)[1]
                    found = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", part)) if shell == "bash" else \
                        {name for line in part.splitlines() for name in
                         re.findall(r"(?<![\w-])--?[a-z][\w-]*", line.split("[")[0])}
                self.assertEqual(found, known, (shell, command))
        self.fails(USAGE, "--generate", "pdf", says="must be man, complete-bash, complete-zsh or complete-fish")

    def test_shells_accept_their_completions(self):
        for shell in ("bash", "zsh", "fish"):
            if shutil.which(shell) is None:
                continue
            self.file(shell, self.succeeds("--generate", f"complete-{shell}").encode())
            result = subprocess.run([shell, "-n", shell], cwd=self.path, capture_output=True, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, b""), shell)
        script = 'source ./bash; COMP_WORDS=(mirnet denoise --prog); COMP_CWORD=2; _mirnet; echo "${COMPREPLY[@]}"; ' \
            'COMP_WORDS=(mirnet denoise --progress b); COMP_CWORD=3; _mirnet; echo "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "-c", script], cwd=self.path, capture_output=True, timeout=60)
        self.assertEqual(result.stdout.decode().splitlines(), ["--progress", "bar"])

    def test_installed_manual_is_that_of_the_program(self):
        share = pathlib.Path(self.program).parent / "share"
        if not share.is_dir():
            self.skipTest("the program is not in its build folder")
        for kind, name in (("man", "mirnet.1"), ("complete-bash", "mirnet.bash"), ("complete-zsh", "_mirnet"),
                           ("complete-fish", "mirnet.fish")):
            self.assertEqual((share / name).read_text(), self.succeeds("--generate", kind))

    def test_help_on_a_narrow_terminal(self):
        """No line is longer than the terminal, but for words that are."""
        for columns in (40, 80, 120):
            for command in ((), ("denoise",)):
                lines = self.on_terminal(columns, *command, "--help")
                self.assertEqual([line for line in lines if len(line) > columns and " " in line.strip()], [])
                self.assertGreater(max(len(line) for line in lines), min(columns, 100) - 16)

    def on_terminal(self, columns, *arguments):
        """The lines that a terminal of so many columns gets on the standard output."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([self.program, *arguments], stdin=subprocess.DEVNULL, stdout=follower,
                                   stderr=subprocess.DEVNULL, env=self.environment)
        os.close(follower)
        text = b""
        try:
            while part := os.read(leader, 65536):
                text += part
        except OSError:  # the program has ended
            pass
        os.close(leader)
        self.assertEqual(process.wait(60), 0)
        return text.decode().splitlines()

    def test_other_words(self):
        """What people type first."""
        self.assertEqual(self.succeeds("help"), self.succeeds("--help"))
        self.assertEqual(self.succeeds("help", "denoise"), self.succeeds("denoise", "--help"))
        self.assertEqual(self.succeeds("-v"), self.succeeds("--version"))
        self.file("dog.png", png(draw(12, 9, 3)))
        self.succeeds("dog.png", "clean.png")
        self.succeeds("denoise", "dog.png", "-o", "other.png")
        self.assertEqual((self.path / "clean.png").read_bytes(), (self.path / "other.png").read_bytes())
        self.succeeds("dog.png")
        self.assertTrue((self.path / "dog-clean.png").exists())
        self.fails(INPUT, "none.png", "o.png", says="none.png: cannot be opened")
        self.fails(USAGE, "nonsense", says='"nonsense" is no command and no photograph; see mirnet --help')
        self.fails(USAGE, "help", "denoice", says='"denoice" is no command; did you mean denoise?')
        self.succeeds("--strength", "0.5", "dog.png", "half.png")
        self.fails(USAGE, "denoise", "dog.png", "--strength",
                   says="--strength needs a value, X|auto; see mirnet denoise --help")
        self.fails(USAGE, "denoise", "--quiet", says="missing input: name a photograph or a folder; see mirnet denoise")
        self.fails(USAGE, "compare", "dog.png", "clean.png", "more.png", "--odd",
                   says="unknown arguments more.png --odd; see mirnet compare --help")

    def test_ranges_in_words(self):
        for arguments, says in ((("--strength", "2"), '--strength: must be between 0 and 1, not "2"'),
                                (("--threads", "0"), '--threads: must be between 1 and 1024, not "0"'),
                                (("--progress", "loud"), '--progress: must be auto, bar, json or none, not "loud"')):
            self.fails(USAGE, "denoise", "a.png", "b.png", *arguments, says=f"{says}; see mirnet denoise --help")

    def test_help_fits_a_screen(self):
        self.assertLess(len(self.succeeds("--help").splitlines()), 24)

    @unittest.skipIf(SANITIZED, "takes minutes")
    def test_bench(self):
        said = self.succeeds("bench", "--threads", "1", "--size", "32")
        self.assertRegex(said, r"\nmirnet \d+\.\d+\.\d+, .+, \w+, 1 thread of \d+: \d+\.\d+ megapixels/s\n$")
        in_fp32, running = self.instruction_sets()
        rows = re.findall(r"^standard +(\w+) +(\w+)", said, re.MULTILINE)
        in_bf16 = [] if running["fp32"] == "scalar" else [(running["bf16"], "bf16")]
        first = list(in_fp32).index(running["bf16"])  # the sets before it are those that this machine lacks
        self.assertEqual(rows, [(isa, "fp32") for isa in dict.fromkeys(list(in_fp32.values())[first:])] + in_bf16)
        self.assertIn((re.search(r", (\w+), 1 thread", said).group(1), "fp32"), rows)
        said = self.succeeds("bench", "--threads", "1", "--size", "32", "--isa", running["bf16"])
        rows = re.findall(r"^standard +(\w+) +(\w+)", said, re.MULTILINE)
        self.assertEqual(rows, [(running["fp32"], "fp32")] + in_bf16)
        self.assertRegex(said, rf", {running['fp32']}, 1 thread of ")
        self.fails(USAGE, "bench", "--isa", "mmx", says="mmx")
        self.fails(MODEL, "bench", "--weights", "none.mirw", says="none.mirw")
        shutil.copy(WEIGHTS, self.path / "a-long-name.mirw")
        said = self.succeeds("bench", "--threads", "1", "--size", "16", "--isa", running["bf16"], "--weights",
                             "a-long-name.mirw")
        rows = re.findall(r"^(\S+) +(\w+) +(?:fp32|bf16) ", said, re.MULTILINE)
        self.assertEqual(rows, [("a-long-name.mirw", isa) for isa, _ in [(running["fp32"], "fp32")] + in_bf16])
        self.assertRegex(said, r"\nmirnet \d+\.\d+\.\d+, MIRNet in a-long-name\.mirw, ")

    def test_suggestions(self):
        for arguments, meant in ((("denoise", "a", "b", "--thread", "2"), "--threads"),
                                 (("denoise", "a", "b", "--max-memroy=2G"), "--max-memory"),
                                 (("denoise", "a", "b", "--over"), "--overwrite"),
                                 (("denoize", "a", "b"), "denoise"), (("inof",), "info"), (("--versoin",), "--version")):
            self.assertTrue(self.fails(USAGE, *arguments).endswith(f"; did you mean {meant}?\n"), arguments)
        self.fails(USAGE, "denoise", "a", "b", "--frobnicate", says="unknown argument --frobnicate; see mirnet denoise --help")

    def test_wrong_usage(self):
        self.file("in.png", png(draw(8, 8, 3)))
        for arguments in ((), ("restore",), ("--wrong",), ("denoise",), ("denoise", "in.png", "o.png", "--wrong"),
                          ("denoise", "in.png", "o.png", "--threads"), ("info", "a", "b"),
                          ("info", "a", "--size")):
            self.fails(USAGE, *arguments)
        for threads in ("0", "1025", "-1", "x", "", "1.5"):
            self.fails(USAGE, "denoise", "in.png", "o.png", "--threads", threads)


class Inputs(ProgramTest):
    def refuses(self, name, says=""):
        return self.fails(INPUT, "denoise", name, "o.png", says=says)

    def test_no_file(self):
        (self.path / "folder").mkdir()
        self.refuses("none.png", "none.png: cannot be opened")
        self.fails(INPUT, "denoise", "folder", "o.png", says="folder: contains no photographs")
        self.refuses("", "cannot be opened")
        os.symlink("loop.png", self.path / "loop.png")
        self.refuses("loop.png", "loop.png: cannot be opened")
        self.file("in.png", png(draw(8, 8, 3)))
        self.fails(INPUT, "denoise", "in.png", "o.png", "--reference", "none.png", says="none.png: cannot be opened")

    def test_unknown_format(self):
        for content in (b"", b"hello", bytes(5000), b"GIF89a" + bytes(50), b"\x89PNG\r\n\x1a"):
            self.refuses(self.file("in.png", content), "not an image of a known format")

    def test_truncated(self):
        picture = draw(6, 5, 3)
        self.succeeds("denoise", self.file("good.png", png(draw(24, 24, 3))), "good.jpg", "--quiet")
        files = {"in.png": png(picture), "in.bmp": bmp(picture), "in.tga": tga(picture), "rle.tga": tga(picture, True),
                 "in.ppm": pnm(picture), "deep.ppm": pnm(draw(6, 5, 3, 65535)),
                 "in.pfm": pfm(6, 5, 3, [0.5] * 90), "in.jpg": (self.path / "good.jpg").read_bytes()}
        for name, content in files.items():
            self.denoises(name, content)
            (self.path / "out.png").unlink()
            # The last of a PNG's and a JPEG's bytes are not of its pixels.
            needed = len(content) - {"in.png": 16, "in.jpg": 2}.get(name, 0)
            ends = {*range(0, needed, max(1, len(content) // (12 if SANITIZED else 40))), needed - 1, needed - 2}
            for end in sorted(ends):
                with self.subTest(name, end=end):
                    self.refuses(self.file(name, content[:end]), name)

    def test_damage_behind_the_pixels(self):
        """What is behind them is missed, not the picture."""
        picture = draw(24, 24, 3)
        whole = png(picture)
        expected = read_png(self.denoises("in.png", whole)).samples
        for content in (whole[:-1], whole[:-12], whole.replace(b"IEND", b"IEOD")):
            self.file("in.png", content)
            result = self.run_program("denoise", "in.png", "o.png", "--overwrite", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(read_png((self.path / "o.png").read_bytes()).samples, expected)
            warning = "the file ends, or is damaged, behind its pixels"
            self.assertEqual(json.loads(result.stdout)["warnings"], [warning])
            self.assertEqual(result.stderr.decode(), f"mirnet: warning: in.png: {warning}\n")
        self.succeeds("denoise", self.file("good.png", whole), "good.jpg", "--quiet")
        jpeg = (self.path / "good.jpg").read_bytes()
        expected = read_png(self.denoises("in.jpg", jpeg)).samples
        for content in (jpeg[:-2], jpeg[:-1], jpeg[:-2] + bytes(100), jpeg + b"a maker's trailer", jpeg[:-2] + b"trailer"):
            self.assertEqual(read_png(self.denoises("in.jpg", content)).samples, expected)

    def test_damaged_png(self):
        content = png(draw(12, 12, 3))
        for at in range(8, content.index(b"IEND") - 4, 17):
            self.refuses(self.file("in.png", content[:at] + bytes([content[at] ^ 4]) + content[at + 1:]))
        # A chunk whose name is none.
        self.refuses(self.file("in.png", with_png_chunks(content, (b"tR;S", b""))))

    def test_zero_and_huge_sizes(self):
        def sized(width, height):
            header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            yield "in.png", (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))
                             + png_chunk(b"IEND", b""))
            yield "in.bmp", (b"BM" + struct.pack("<I4xI", 54, 54)
                             + struct.pack("<IiiHH24x", 40, width, height, 1, 24))
            yield "in.ppm", f"P6 {width} {height} 255\n".encode()
            yield "in.pfm", f"PF {width} {height} -1\n".encode()
            if max(width, height) < 65536:
                yield "in.tga", struct.pack("<2xB9xHHBB", 2, width, height, 24, 0)
                frame = struct.pack(">HBHHB9B", 17, 8, height, width, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0)
                scan = struct.pack(">HB9B", 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0)
                yield "in.jpg", b"\xff\xd8\xff\xc0" + frame + b"\xff\xda" + scan

        for width, height in ((0, 0), (0, 7), (7, 0), (65535, 65535), (2147483647, 2147483647)):
            for name, content in sized(width, height):
                with self.subTest(name, width=width, height=height):
                    # libjpeg looks at the sides first.
                    empty, large = (("Empty JPEG image", "dimension is 65500") if name == "in.jpg" else
                                    ("1 or more", "the limit is"))
                    self.refuses(self.file(name, content), empty if min(width, height) == 0 else large)

    def test_most_pixels(self):
        self.file("in.png", png(draw(20, 10, 3)))
        limit = "in.png: the PNG header says 20 x 10 pixels, and the limit is 199 pixels in all"
        for arguments in (("denoise", "in.png", "o.png"), ("compare", "in.png", "in.png"), ("profile", "in.png"),
                          ("denoise", "in.png", "o.png", "--no-sandbox")):
            self.fails(INPUT, *arguments, "--max-pixels", 199, says=limit)
        self.succeeds("compare", "in.png", "in.png", "--max-pixels", "200")
        self.succeeds("compare", "in.png", "in.png", "--max-pixels", "1k")
        for number in ("0", "-1", "many", "1T", "9999999999G"):
            self.fails(USAGE, "compare", "in.png", "in.png", "--max-pixels", number, says="--max-pixels")

    def test_more_bytes_than_a_picture_has(self):
        name = self.file("in.ppm", b"P6 20 10 255\n")
        os.truncate(self.path / name, 70_000_000)
        for sandbox in ((), ("--no-sandbox",)):
            self.fails(INPUT, "denoise", name, "o.png", "--max-pixels", 200, *sandbox, says="in.ppm: more than 67112464 bytes")

    def test_more_memory_than_there_is(self):
        # 400 megapixels, which take up no room on the disk, need more than 200 GB as a whole.
        with open(self.path / self.file("huge.pgm", b"P5 20000 20000 255\n"), "r+b") as image:
            image.truncate(400_000_019)
        self.fails(MEMORY, "denoise", "huge.pgm", "out.png", "--tile", "off", says="GiB of memory; ")
        self.fails(MEMORY, "info", "--size", "9000000000x9000000000", says="larger than any memory")

    def test_reference_of_another_size(self):
        self.file("in.png", png(draw(12, 12, 3)))
        for other in (draw(12, 13, 3), draw(12, 12, 1), draw(12, 12, 4)):
            self.file("ref.png", png(other))
            self.fails(INPUT, "denoise", "in.png", "o.png", "--reference", "ref.png", says="cannot be compared")


class Sandbox(ProgramTest):
    """The process that decodes, looked at while it waits for the rest of a picture."""

    def start(self, *options):
        self.content = png(draw(40, 30, 3))
        program = subprocess.Popen([self.program, "denoise", "-", "out.png", "--quiet", *options], cwd=self.path,
                                   env=self.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        self.addCleanup(program.stdin.close)
        self.addCleanup(program.stderr.close)
        program.stdin.write(self.content[:100])
        program.stdin.flush()
        return program

    def decoder_of(self, program):
        """Its number, once it waits behind its filter."""
        for _ in range(2000):
            children = pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
            if children and self.about(children[0], "status")["Seccomp"] == "2":
                return int(children[0])
            time.sleep(0.01)
        self.fail("there is no process that decodes")

    def about(self, process, file):
        lines = pathlib.Path(f"/proc/{process}/{file}").read_text().splitlines()
        return dict(re.split(r":\s*|\s{2,}", line)[:2] for line in lines)

    def ends(self, program, code, says=b""):
        program.stdin.close()
        error = program.stderr.read()
        self.assertEqual(program.wait(60), code)
        self.assertRegex(error, b"\\A(mirnet: [^\n]+\n)?\\Z")
        self.assertIn(says, error)
        self.assertEqual(os.listdir(self.path), ["out.png"] if code == 0 else [])

    def test_what_is_left_to_it(self):
        program = self.start()
        decoder = self.decoder_of(program)
        self.assertEqual(self.about(decoder, "status")["NoNewPrivs"], "1")
        limits = self.about(decoder, "limits")
        for limit in ("Max open files", "Max processes", "Max file size", "Max core file size"):
            self.assertEqual(limits[limit], "0", limit)
        if not SANITIZED:
            self.assertLess(int(limits["Max address space"]), 1 << 42)
        self.assertEqual(sorted(os.listdir(f"/proc/{decoder}/fd")), ["0", "1", "2"])
        program.stdin.write(self.content[100:])
        self.ends(program, 0)
        self.assertFalse(os.path.exists(f"/proc/{decoder}"))

    def test_it_dies(self):
        for number, says in ((signal.SIGTERM, b"the standard input: the decoder crashed on this file (signal 15"),
                             (signal.SIGSYS, b"the file may be an attack"), (signal.SIGKILL, b"(signal 9"),
                             (signal.SIGSEGV, b"the standard input: the decoder crashed on this file (signal 11")):
            if SANITIZED and number == signal.SIGSEGV:
                continue  # which sanitizers have a use for
            program = self.start()
            os.kill(self.decoder_of(program), number)
            self.ends(program, INPUT, says)

    def test_it_does_not_outlive_the_program(self):
        program = self.start()
        decoder = self.decoder_of(program)
        program.kill()
        program.wait()
        for _ in range(1000):
            if not os.path.exists(f"/proc/{decoder}"):
                return
            time.sleep(0.01)
        self.fail("it lives on")

    def test_without_it(self):
        program = self.start("--no-sandbox")
        time.sleep(0.3)
        self.assertEqual(pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text(), "")
        program.stdin.write(self.content[100:])
        self.ends(program, 0)
        alone = (self.path / "out.png").read_bytes()
        self.assertEqual(self.denoises("in.png", self.content), alone)

    def test_the_memory_of_both(self):
        with open(self.path / self.file("large.pgm", b"P5 20000 10000 255\n"), "r+b") as image:
            image.truncate(200_000_019)
        if not SANITIZED:  # which limits no memory
            self.fails(MEMORY, "denoise", "large.pgm", "out.png", "--max-memory", "100M", says="cannot allocate")

    def test_a_file_that_shrinks(self):
        name = self.file("large.ppm", b"P6 10000 10000 255\n")
        for _ in range(20):
            os.truncate(self.path / name, 300_000_019)
            program = subprocess.Popen([self.program, "denoise", name, "out.png", "--quiet"], cwd=self.path,
                                       env=self.environment, stderr=subprocess.PIPE)
            with program.stderr:
                decoder = self.decoder_of(program)
                os.kill(decoder, signal.SIGSTOP)
                position = int(self.about(decoder, "fdinfo/0")["pos"])
                os.truncate(self.path / name, 1_000_000)
                os.kill(decoder, signal.SIGCONT)
                if position > 250_000_000:  # too late
                    program.kill()
                    program.wait()
                    continue
                error = program.stderr.read()
            self.assertEqual(program.wait(60), INPUT)
            self.assertIn(b"large.ppm: truncated", error)
            return
        self.skipTest("this machine reads too fast")


class ManyFiles(ProgramTest):
    def setUp(self):
        super().setUp()
        for folder in ("photos", "photos/inside"):
            (self.path / folder).mkdir()
        self.pictures = {name: draw(12, 9 + i, 3) for i, name in enumerate(
            ("photos/a.png", "photos/a.ppm", "photos/B.PNG", "photos/t.tga", "photos/inside/a.png"))}
        for name, picture in self.pictures.items():
            self.file(name, (tga if name.endswith("tga") else pnm if name.endswith("ppm") else png)(picture))
        self.file("photos/notes.txt", b"no picture")

    def tree(self, folder="."):
        return sorted(str(path.relative_to(self.path / folder)) for path in (self.path / folder).rglob("*")
                      if path.is_file())

    def test_a_folder(self):
        said = self.succeeds("denoise", "photos", "--output-dir", "out/deep")
        self.assertEqual(self.tree("out/deep"), ["B.PNG", "a.png", "a.ppm", "t.png"])
        self.assertIn("4 restored, 0 skipped, 0 failed", said)
        for name in ("a.png", "B.PNG"):
            alone = self.denoises("one.png", png(self.pictures[f"photos/{name}"]), "one-out.png")
            self.assertEqual((self.path / "out/deep" / name).read_bytes(), alone)

    def test_folders_inside(self):
        self.succeeds("denoise", "photos", "-r", "--output-dir", "out", "--suffix", "-x", "--quiet")
        self.assertEqual(self.tree("out"), ["B-x.PNG", "a-x.png", "a-x.ppm", "inside/a-x.png", "t-x.png"])

    def test_one_alone(self):
        self.succeeds("denoise", "photos/a.png", "--quiet")
        self.assertIn("a-clean.png", self.tree("photos"))
        self.fails(OUTPUT, "denoise", "photos/a.png", says="already exists; use --overwrite to replace it")

    def test_formats_keep_names_apart(self):
        both = ("denoise", "photos/a.png", "photos/a.ppm", "--output-dir", "o", "--format", "jpg")
        self.fails(USAGE, *both, says="photos/a.png and photos/a.ppm have the same result, o/a.jpg; use --keep-extension")
        self.succeeds(*both, "--keep-extension", "--quiet")
        self.assertEqual(self.tree("o"), ["a.png.jpg", "a.ppm.jpg"])
        self.fails(USAGE, "denoise", "photos/a.png", "photos/inside/a.png", "--output-dir", "o2",
                   says="have the same result, o2/a.png; restore them with different --output-dir")

    def test_one_bad_file_does_not_stop_the_rest(self):
        self.file("photos/a0.png", b"\x89PNG\r\n\x1a\n")
        result = self.run_program("denoise", "photos", "photos/none.png", "--output-dir", "out")
        self.assertEqual(result.returncode, PARTIAL)
        self.assertIn(b"4 restored, 0 skipped, 2 failed", result.stdout)
        lines = result.stderr.decode().splitlines()
        self.assertRegex(lines[0], "^mirnet: photos/a0.png: ")
        self.assertRegex(lines[1], "^mirnet: photos/none.png: cannot be opened")
        self.assertEqual(lines[2:], ["mirnet: 2 of 6 pictures failed"])
        self.assertEqual(self.tree("out"), ["B.PNG", "a.png", "a.ppm", "t.png"])

    def test_skipping_and_replacing(self):
        arguments = ("denoise", "photos", "--output-dir", "out")
        self.succeeds(*arguments)
        (self.path / "out/a.png").write_bytes(b"mine")
        self.assertIn("0 restored, 4 skipped, 0 failed", self.succeeds(*arguments, "--skip-existing"))
        self.fails(OUTPUT, *arguments, says="4 of 4 results already exist, such as out/B.PNG; use --skip-existing or "
                   "--overwrite")
        self.assertEqual((self.path / "out/a.png").read_bytes(), b"mine")
        self.assertIn("4 restored", self.succeeds(*arguments, "--overwrite"))
        self.assertNotEqual((self.path / "out/a.png").read_bytes(), b"mine")

    def test_wrong_use(self):
        self.fails(USAGE, "denoise", "photos", "-", says="the standard output takes the result of one photograph")
        self.fails(USAGE, "denoise", "photos/a.png", "-o", "a", "--output-dir", "b", says="excludes")
        (self.path / "empty").mkdir()
        self.fails(INPUT, "denoise", "empty", "--output-dir", "o", says="empty: contains no photographs; -r includes subfolders")

    def test_strange_names(self):
        names = ["with space.png", "\u00e4\u6f22.png", "-dash.png", "a\nb.png", "--suffix.png"]
        for name in names:
            self.file(name, png(draw(8, 8, 3)))
        self.succeeds("denoise", "--output-dir", "o", "--quiet", "--", *names)
        self.assertEqual(self.tree("o"), sorted(names))

    def test_names_do_not_steer_the_terminal(self):
        name = "a\x1b[2Jb\r\x7fc\u0080d\u009f2Je\u00e9\u00a0.png"
        self.fails(INPUT, "denoise", name, "o.png", says="a [2Jb  c  d  2Je\u00e9\u00a0.png: ")


class Pipes(ProgramTest):
    def through(self, content, *arguments):
        return subprocess.run([self.program, "denoise", *arguments], cwd=self.path, env=self.environment, input=content,
                              capture_output=True, timeout=60)

    def test_in_and_out(self):
        picture = draw(20, 10, 3)
        expected = self.denoises("in.png", png(picture))
        both = self.through(png(picture), "-")
        self.assertEqual((both.returncode, both.stdout), (0, expected))
        self.assertIn(b"- -> -  200 pixels, ", both.stderr)  # reports do not get between pixels
        self.assertEqual(self.through(png(picture), "-", "-", "--quiet").stdout, expected)
        self.through(png(picture), "-", "file.png")
        self.assertEqual((self.path / "file.png").read_bytes(), expected)
        self.assertEqual(self.through(b"", "in.png", "-", "--quiet").stdout, expected)
        self.assertEqual(self.through(pnm(picture), "-", "--quiet").stdout[:2], b"P6")
        self.assertEqual(self.through(pnm(picture), "-", "--format", "png", "--quiet").stdout, expected)

    def test_what_is_no_picture(self):
        for content in (b"", b"hello", png(draw(20, 10, 3))[:100]):
            result = self.through(content, "-")
            self.assertEqual((result.returncode, result.stdout), (INPUT, b""))
            self.assertIn(b"the standard input", result.stderr)
        for name, says in (("/dev/zero", b"not an image"), ("/", b"is a folder")):
            descriptor = os.open(name, os.O_RDONLY)
            result = subprocess.run([self.program, "denoise", "-"], stdin=descriptor, capture_output=True, timeout=60)
            os.close(descriptor)
            self.assertEqual((result.returncode, result.stdout), (INPUT, b""))
            self.assertIn(says, result.stderr)
        self.assertEqual(self.through(b"", "-", "--output-dir", "o").returncode, USAGE)

    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([self.program, "denoise", "-", "--quiet"], input=png(draw(20, 10, 3)), stdout=full,
                                    stderr=subprocess.PIPE, env=self.environment, timeout=60)
        self.assertEqual(result.returncode, OUTPUT)


class Json(ProgramTest):
    def test_an_object_a_picture(self):
        self.file("a.png", png(draw(300, 12, 3)))
        self.file("ref.png", png(draw(300, 12, 3)))
        self.file("b.png", b"no picture")
        name = b"\xff\xfe.png"  # no UTF-8
        (self.path / os.fsdecode(name)).write_bytes(png(draw(9, 9, 1, 65535)))
        result = self.run_program("denoise", "a.png", "b.png", os.fsdecode(name), "--json", "--output-dir", "o")
        self.assertEqual(result.returncode, PARTIAL)
        good, bad, odd, summary = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertGreater(summary["summary"].pop("seconds"), 0)
        self.assertEqual(summary, {"summary": {"restored": 2, "skipped": 0, "failed": 1, "unreadable_folders": 0,
                                               "results_left_out": 0, "subfolders_left_out": 0,
                                               "other_files_left_out": 0}})
        self.assertEqual((good["state"], bad["state"], odd["state"]), ("restored", "failed", "restored"))
        self.assertEqual((good["width"], good["height"], good["channels"]), (300, 12, 3))
        self.assertEqual(good["bits"], {"read": 8, "stored": 8})
        self.assertEqual(odd["bits"], {"read": 16, "stored": 16})
        self.assertEqual(good["plan"]["tiles"], [1, 1])
        self.assertEqual(set(good["seconds"]), {"read", "plan", "run", "write"})
        self.assertGreater(good["megapixels_per_second"], 0)
        self.assertGreater(good["peak_memory_bytes"], good["plan"]["bytes"])
        self.assertEqual(bad["error"]["code"], INPUT)
        self.assertIn("b.png", bad["error"]["message"])
        tiled, = [json.loads(line) for line in self.succeeds(
            "denoise", "a.png", "t.png", "--json", "--tile", "256", "--reference", "ref.png").splitlines()]
        self.assertEqual(tiled["plan"]["tiles"], [2, 1])
        self.assertIsNone(tiled["psnr"]["before"])  # infinite
        self.assertGreater(tiled["psnr"]["after"], 10)
        self.assertLess(tiled["ssim"]["after"], 1)

    @unittest.skipIf(SANITIZED, "takes minutes")
    def test_estimate(self):
        self.file("a.png", png(draw(300, 280, 3)))
        self.assertRegex(self.succeeds("denoise", "a.png", "o.png", "--estimate"),
                         r"\Aa.png -> o.png  0.08 megapixels, about \S+ s, \S+ MiB of memory\n\Z")
        said = self.succeeds("denoise", "a.png", "o.png", "--estimate", "--verbose")
        self.assertRegex(said, r"plan +the whole picture at once\nmemory +\d+\.\d MiB\ntime +about \d+(\.\d+)? s\n")
        ratios = []
        for _ in range(3):  # other programs may take the processors from either of the two
            found, = [json.loads(line) for line in self.succeeds(
                "denoise", "a.png", "o.png", "--estimate", "--json", "--tile", "256").splitlines()]
            self.assertEqual(found["state"], "estimated")
            self.assertEqual(found["plan"]["tiles"], [2, 2])
            self.assertFalse((self.path / "o.png").exists())
            done, = [json.loads(line) for line in self.succeeds("denoise", "a.png", "o.png", "--json").splitlines()]
            (self.path / "o.png").unlink()
            ratios.append(found["estimated_seconds"] / done["seconds"]["run"])
            if 0.2 < ratios[-1] < 6:
                return
        self.fail(f"estimates are {ratios} of the time")

    def test_gate(self):
        self.file("a.png", png(draw(30, 20, 3)))
        arguments = ("denoise", "a.png", "o.png", "--reference", "a.png", "--overwrite")
        self.succeeds(*arguments, "--min-psnr", "1")
        result = self.run_program(*arguments, "--min-psnr", "90")
        self.assertEqual(result.returncode, UNMET)
        self.assertIn(b"expected --min-psnr 90.00 dB or more", result.stderr)
        self.fails(USAGE, "denoise", "a.png", "p.png", "--min-psnr", "30", says="--reference")


class Strength(ProgramTest):
    def test_strength_and_grain(self):
        picture = draw(60, 40, 3)
        def apart(*options):
            """How far the result is from the picture: in brightness, and in colour."""
            found = read_png(self.denoises("in.png", png(picture), "out.png", *options))
            brightness = colour = 0
            for before, after in zip(picture.pixels(), found.pixels()):
                change = [b - a for a, b in zip(before, after)]
                light = 0.299 * change[0] + 0.587 * change[1] + 0.114 * change[2]
                brightness += abs(light)
                colour += sum(abs(c - light) for c in change)
            return brightness, colour
        full = apart()
        self.assertGreater(min(full), 0)
        self.assertEqual(apart("--strength", "1", "--keep-grain", "0"), full)
        self.assertEqual(apart("--strength", "0"), (0, 0))
        half = apart("--strength", "0.5")
        grain = apart("--keep-grain", "1")
        for whole, part in zip(full, half):
            self.assertTrue(0.3 * whole < part < 0.7 * whole, (whole, part))
        self.assertLess(grain[0], 0.5 * full[0])
        self.assertTrue(0.8 * full[1] < grain[1] < 1.2 * full[1], (full, grain))
        for option in ("--strength", "--keep-grain"):
            for value in ("-0.1", "1.1", "x", "nan"):
                self.fails(USAGE, "denoise", "in.png", "o.png", f"{option}={value}", says=option)


class Parts(ProgramTest):
    """--crop, --preview and --compare."""

    def images(self, page):
        """What a page shows: the width and height of each PNG in it."""
        text = (self.path / page).read_text()
        return [struct.unpack(">II", base64.b64decode(data)[16:24])
                for data in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)]

    def test_crop(self):
        picture = draw(60, 40, 3)
        part = Picture(20, 10, 3, [sample for row in picture.rows()[5:15] for sample in row[3 * 30:3 * 50]])
        self.assertEqual(self.denoises("in.png", png(picture), "part.png", "--crop", "30,5,20,10"),
                         self.denoises("part-in.png", png(part), "expected.png"))
        self.file("ref.png", png(picture))
        said = self.succeeds("denoise", "in.png", "p.png", "--crop", "30,5,20,10", "--reference", "ref.png", "--json")
        self.assertEqual([json.loads(said)[key] for key in ("width", "height")], [20, 10])
        for value, code, says in (("50,5,20,10", USAGE, "reaches beyond the picture's 60 x 40"),
                                  ("1,2,3", USAGE, "--crop: "), ("1,2,0,4", USAGE, "--crop: "), ("", USAGE, "--crop: ")):
            self.fails(code, "denoise", "in.png", "no.png", "--crop", value, says=says)

    def test_preview(self):
        (self.path / "d").mkdir()
        self.file("d/in.png", png(draw(300, 280, 3)))
        said = self.succeeds("d/in.png", "--preview")
        self.assertRegex(said, r"\Ad/in.png: \d crops?, \d+\.\d+ s\nbefore and after: d/in-preview.html\n\Z")
        images = self.images("d/in-preview.html")
        self.assertEqual(set(images), {(140, 140)})
        self.assertGreaterEqual(len(images), 4)
        self.assertEqual(sorted(os.listdir(self.path / "d")), ["in-preview.html", "in.png"])
        self.succeeds("d/in.png", "--preview", "--strength", "0.5")  # a preview replaces a preview
        self.assertIn("strength 0.5", (self.path / "d/in-preview.html").read_text())
        self.file("d/in-preview.html", b"mine")
        self.fails(OUTPUT, "d/in.png", "--preview", says="d/in-preview.html: already exists; use --overwrite")
        (self.path / "d/in-preview.html").unlink()
        self.succeeds("denoise", "d", "--preview", "--quiet")
        self.assertEqual(sorted(os.listdir(self.path)), ["d", "d-preview.html"])
        self.assertEqual(os.listdir(self.path / "d"), ["in.png"])
        self.fails(USAGE, "denoise", "-", "--preview", says="-: the page on a stream has no name; use --compare")
        for option in (("-o", "x.png"), ("--crop", "1,1,1,1"), ("--estimate",)):
            self.fails(USAGE, "denoise", "d", "--preview", *option, says="--preview")

    def test_compare(self):
        self.file("a.png", png(draw(60, 40, 3)))
        self.file("b.ppm", pnm(draw(30, 20, 3, 65535)))
        self.succeeds("a.png")
        said = self.succeeds("denoise", "a.png", "b.png", "--compare", "page.html", "--strength", "0.5")
        self.assertTrue(said.endswith("before and after: page.html\n"))
        self.assertEqual(self.images("page.html"), [(60, 40)] * 2)
        text = (self.path / "page.html").read_text()
        for part in ("60 x 40", "model standard, strength 0.5", "a.png"):
            self.assertIn(part, text)
        self.succeeds("denoise", "a.png", "b.ppm", "-o", "out/", "--compare", "many.html", "--quiet")
        self.assertEqual(self.images("many.html"), [(60, 40)] * 2 + [(30, 20)] * 2)
        result = subprocess.run([self.program, "-", "--compare", "piped.html"], cwd=self.path, env=self.environment,
                                input=png(draw(60, 40, 3)), capture_output=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (0, (self.path / "a-clean.png").read_bytes()))
        self.assertIn(b"before and after: piped.html\n", result.stderr)
        result = self.run_program("denoise", "a.png", "c.png", "--reference", "a.png", "--min-psnr", "99", "--compare",
                                  "unmet.html")
        self.assertEqual(result.returncode, UNMET)
        self.assertEqual(self.images("unmet.html"), [(60, 40)] * 2)
        # What can be refused is refused before anything is computed.
        self.fails(OUTPUT, "denoise", "a.png", "new.png", "--compare", "page.html", says="page.html: already exists")
        self.fails(OUTPUT, "denoise", "a.png", "new.png", "--compare", "a.png/x.html", says="a.png/x.html")

    def test_automatic_strength(self):
        """A clean picture stays as it is to the bit; from strong noise all is taken away."""
        clean = Picture(96, 80, 3, [sample for y in range(80) for x in range(96)
                                    for sample in (40 + x, 60 + y, 200 - x // 2 - y // 2)])
        noise = random.Random(1)
        noisy = Picture(96, 80, 3, [min(255, max(0, round(s + noise.gauss(0, 20)))) for s in clean.samples])
        self.assertEqual(read_png(self.denoises("c.png", png(clean), "o.png", "--strength", "auto")).samples,
                         clean.samples)
        self.assertEqual(self.denoises("n.png", png(noisy), "o.png", "--strength", "auto"),
                         self.denoises("n.png", png(noisy), "o.png", "--strength", "1"))
        for name, strength in (("c.png", 0), ("n.png", 1)):
            said = json.loads(self.succeeds("denoise", name, "o.png", "--overwrite", "--strength", "auto", "--json"))
            self.assertEqual(said["strength"], strength)
            self.assertEqual(set(said["noise"]), {"brightness", "colour"})
        self.fails(USAGE, "denoise", "c.png", "p.png", "--strength", "some", says='between 0 and 1, not "some"')

    def test_hot_pixels(self):
        flat = Picture(64, 64, 3, [80, 90, 100] * 64 * 64)
        hot = Picture(64, 64, 3, list(flat.samples))
        for place in (500, 1700, 3000):
            hot.samples[3 * place + 1] = 250
        said = json.loads(self.succeeds("denoise", self.file("h.png", png(hot)), "o.png", "--hot-pixels", "--json"))
        self.assertEqual(said["hot_pixels"], 3)
        self.assertEqual((self.path / "o.png").read_bytes(), self.denoises("f.png", png(flat), "g.png"))
        self.succeeds("h.png", "p.png", "--hot-pixels", "--compare", "page.html", "--quiet")
        self.assertIn("3 hot pixels removed", (self.path / "page.html").read_text())

    def test_sharpen(self):
        def steepness(picture):
            return sum(abs(row[3 * 32] - row[3 * 31]) for row in picture.rows())
        edge = Picture(64, 40, 3, [[60, 80, 120, 160, 180][min(4, max(0, x - 29))] for _ in range(40) for x in range(64)
                                   for _ in range(3)])
        before = self.denoises("e.png", png(edge), "a.png", "--strength", "0")
        for name in ("b.png", "b.tif" if "TIFF" in self.succeeds("info") else "b.ppm"):
            sharp = self.denoises("e.png", png(edge), name, "--strength", "0", "--sharpen", "1")
        sharp = read_png((self.path / "b.png").read_bytes())
        self.assertGreater(steepness(sharp), steepness(read_png(before)))
        self.assertEqual(before, self.denoises("e.png", png(edge), "c.png", "--strength", "0", "--sharpen", "0"))
        self.assertEqual((self.path / "b.png").read_bytes(),
                         self.denoises("e.png", png(edge), "d.png", "--strength", "0", "--sharpen", "1", "--threads", "1"))

    def test_colour_only(self):
        picture = draw(60, 40, 3)
        self.assertEqual(self.denoises("in.png", png(picture), "a.png", "--colour-only"),
                         self.denoises("in.png", png(picture), "b.png", "--keep-grain", "1"))
        self.assertEqual(self.denoises("in.png", png(picture), "c.png", "--color-only"),
                         (self.path / "a.png").read_bytes())
        self.fails(USAGE, "denoise", "in.png", "d.png", "--colour-only", "--keep-grain", "0", says="excludes")


class Tiles(ProgramTest):
    def summary(self, *options):
        """What is printed, as a dictionary, and the picture."""
        printed = self.succeeds("denoise", "in.png", "out.png", "--overwrite", "--verbose", *options)
        lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in printed.splitlines())
        return lines, read_png((self.path / "out.png").read_bytes())

    def mebibytes(self, summary):
        return float(summary["peak memory"].split()[0])

    @unittest.skipIf(SANITIZED, "a minute; Json and the C++ tests go through tiles, too")
    def test_tiles_look_like_the_whole(self):
        self.file("in.png", png(draw(420, 300, 3)))
        whole, one = self.summary("--threads", "1")
        tiled, two = self.summary("--tile", "256", "--threads", "1")  # with more, several tiles are there at a time
        self.assertNotIn("tiles", whole)
        self.assertRegex(tiled["tiles"], r"^2 x 2 tiles of \d+ x \d+$")
        self.assertLess(self.mebibytes(tiled), 0.7 * self.mebibytes(whole))
        differences = [abs(a - b) for a, b in zip(one.samples, two.samples)]
        self.assertLess(sum(d * d for d in differences) / len(differences), 1)
        # At the middle of an overlap there is no step that the whole picture does not have.
        def steps(picture, column):
            rows = picture.rows()
            return sum(abs((row[3 * column] - row[3 * column - 3])) for row in rows) / len(rows)
        for column in (190, 210, 230):
            self.assertLess(steps(two, column), steps(one, column) + 1)

    def test_pictures_larger_than_a_tile_are_cut_and_no_limit_of_memory_changes_that(self):
        self.file("small.png", png(draw(768, 8, 3)))
        self.file("large.png", png(draw(769, 8, 3)))
        def plan(name, *options):
            return json.loads(self.succeeds("denoise", name, "out.png", "--overwrite", "--json", *options))["plan"]
        self.assertEqual(plan("small.png")["tiles"], [1, 1])
        self.assertEqual(plan("large.png")["tiles"], [2, 1])
        result = (self.path / "out.png").read_bytes()
        plan("large.png", "--max-memory", "3G")
        self.assertEqual((self.path / "out.png").read_bytes(), result)
        self.assertEqual(plan("large.png", "--tile", "off")["tiles"], [1, 1])
        self.assertNotEqual((self.path / "out.png").read_bytes(), result)

    @unittest.skipIf(SANITIZED, "sanitizers take memory of their own")
    def test_the_limit_holds(self):
        """What does not fit is refused before it is computed, and what the sentence names does fit."""
        self.file("in.png", png(draw(900, 700, 3)))
        for limit, options in ((150, ("--tile", "off")), (100, ()), (60, ())):
            with self.subTest(limit=limit):
                self.fails(MEMORY, "denoise", "in.png", "no.png", "--max-memory", f"{limit}M", *options,
                           says=f"of memory; --max-memory allows {limit}.0 MiB, of which ")
                self.assertFalse((self.path / "no.png").exists())
                refused = self.run_program("denoise", "in.png", "no.png", "--max-memory", f"{limit}M", *options)
                side = re.search(rb"; use (--tile) (\d+)\n\Z", refused.stderr)
                self.assertLess(int(side[2]), 768 if not options else 769)
                summary, _ = self.summary("--max-memory", f"{limit}M", "--tile", side[2].decode())
                self.assertLess(self.mebibytes(summary), limit)
                self.assertIn("tiles", summary)

    @unittest.skipIf(SANITIZED, "minutes; the C++ tests encode in bands, too")
    def test_files_are_the_same_for_any_number_of_threads_and_with_a_reference(self):
        self.file("in.png", png(draw(300, 400, 3)))
        self.file("alpha.png", png(draw(260, 300, 4, 65535)))
        for source, name in (("in.png", "out.png"), ("in.png", "out.jpg"), ("in.png", "out.ppm"),
                             ("alpha.png", "deep.png")):
            with self.subTest(name=name):
                files = set()
                for options in (("--threads", "1"), ("--threads", "2"), ("--threads", "5"),
                                ("--threads", "2", "--reference", source)):
                    self.succeeds("denoise", source, name, "--overwrite", "--tile", "256", *options)
                    files.add((self.path / name).read_bytes())
                self.assertEqual(len(files), 1)

    @unittest.skipUnless("MIRNET_LONG_TESTS" in os.environ, "minutes; tests/run.sh --long")
    def test_37_megapixels_in_1500_megabytes(self):
        row = bytes(draw(7400, 1, 3).samples)
        with open(self.path / "in.ppm", "wb") as file:
            file.write(b"P6 7400 5000 255\n" + row * 5000)
        for samples in ("8", "16"):
            with self.subTest(samples=samples):
                result = self.run_program("denoise", "in.ppm", f"{samples}.png", "--max-memory", "1500M", "--json",
                                          "--depth", samples, timeout=3600)
                self.assertEqual((result.returncode, result.stderr), (0, b""))
                report = json.loads(result.stdout)
                self.assertLess(report["peak_memory_bytes"], 1500 << 20)
                print(f"37 megapixels to {samples} bits:", report["peak_memory_bytes"] >> 20, "MiB,",
                      report["plan"]["tiles"], "tiles,", round(report["seconds"]["run"]), "s", file=sys.stderr)

    @unittest.skipIf(SANITIZED, "sanitizers take memory of their own")
    def test_limits_that_are_too_low(self):
        self.file("in.png", png(draw(600, 400, 3)))
        self.fails(MEMORY, "denoise", "in.png", "o.png", "--max-memory", "20M",
                   says="even the smallest tiles need more; use a larger --max-memory")
        self.fails(MEMORY, "denoise", "in.png", "o.png", "--max-memory", "60M", "--tile", "off", says="--max-memory allows 60.0 MiB")
        for size in ("x", "-1", "5Q", "0", "nan", "1GG"):
            self.fails(USAGE, "denoise", "in.png", "o.png", f"--max-memory={size}", says="of memory")
        for tile in ("255", "0", "-1", "1e3", "on"):
            self.fails(USAGE, "denoise", "in.png", "o.png", f"--tile={tile}", says="--tile")


class Progress(ProgramTest):
    SIDE = 100 if SANITIZED else 300  # for a time in which there is progress to see

    def test_lines_of_json(self):
        self.file("a\"b.png", png(draw(self.SIDE, self.SIDE, 3)))
        result = self.run_program("denoise", "a\"b.png", "o.png", "--progress", "json")
        self.assertEqual(result.returncode, 0)
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        self.assertEqual({line["file"] for line in lines}, {"a\"b.png"})
        shares = [line["progress"] for line in lines]
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(shares[-1], 1)
        self.assertGreater(len(set(shares)), 1)

    def test_nothing_without_a_terminal(self):
        self.file("in.png", png(draw(self.SIDE, self.SIDE, 3)))
        self.succeeds("denoise", "in.png", "o.png")

    def on_terminal(self, columns, *arguments):
        """What a terminal of so many columns gets."""
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with subprocess.Popen([self.program, *arguments], cwd=self.path, env={**self.environment, "TERM": "xterm"},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=end) as process:
            os.close(end)
            shown = b""
            while True:
                try:
                    piece = os.read(terminal, 4096)
                except OSError:  # the last program that had it open has ended
                    break
                if not piece:
                    break
                shown += piece
            process.communicate(timeout=60)
        os.close(terminal)
        self.assertEqual(process.returncode, 0)
        return shown.decode()

    def test_bar(self):
        name = "a photograph with quite a long name, \u00e4\u00f6\u00fc.png"
        self.file(name, png(draw(64, 48, 3)))
        for columns in (120, 40, 5):
            shown = self.on_terminal(columns, "denoise", name, "o.png", "--overwrite")
            self.assertTrue(shown.endswith("\r\x1b[K"), shown)  # nothing stays
            states = [state.replace("\x1b[K", "") for state in shown.split("\r") if state]
            self.assertLess(max(map(len, states)), columns)
            if columns >= 20:
                self.assertRegex(states[-2] if not states[-1] else states[-1], r"100%  \d+\.\d\d")
        self.assertEqual(self.on_terminal(80, "denoise", name, "o.png", "--overwrite", "--quiet"), "")

    def test_stops_when_asked(self):
        self.file("in.pgm", b"P5 3000 3000 255\n" + bytes(9_000_000))
        for number in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([self.program, "denoise", "in.pgm", "o.png"], cwd=self.path, env=self.environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                time.sleep(0.7)
                process.send_signal(number)
                begin = time.monotonic()
                _, message = process.communicate(timeout=60)
                # One second, on a machine that has nothing else to do.
                self.assertLess(time.monotonic() - begin, 30 if SANITIZED else 3)
            self.assertEqual(process.returncode, CANCELLED)
            self.assertEqual(message, b"mirnet: stopped\n")
            self.assertEqual(os.listdir(self.path), ["in.pgm"])


class Weights(ProgramTest):
    def setUp(self):
        super().setUp()
        self.weights = WEIGHTS.read_bytes()
        self.file("in.png", png(draw(8, 8, 3)))

    def refuses(self, content, says="w.mirw"):
        self.file("w.mirw", content)
        return self.fails(MODEL, "denoise", "in.png", "o.png", "--weights", "w.mirw", says=says)

    def test_no_weight_file(self):
        (self.path / "folder").mkdir()
        os.mkfifo(self.path / "pipe")
        for name in ("none.mirw", "folder", "pipe", "in.png", "", "/dev/zero"):
            self.fails(MODEL, "denoise", "in.png", "o.png", "--weights", name)
            if name != "in.png":  # a photograph
                self.fails(INPUT if name == "folder" else MODEL, "info", name)

    def test_larger_than_32_bits_count(self):
        """A good file with a hole behind it, whose size is its own in 32 bits: nothing is read into memory."""
        size = len(self.weights) + (1 << 32)
        self.file("w.mirw", self.weights)
        os.truncate(self.path / "w.mirw", size)
        self.fails(MODEL, "info", "w.mirw", says=f"the file has {size} bytes, its header says {len(self.weights)}")

    def test_truncated(self):
        strings_off, = struct.unpack_from("<Q", self.weights, 88)
        size = len(self.weights)
        ends = {*range(0, 130), *range(130, size, size // 40), strings_off, strings_off + 1, size - 1}
        for end in sorted(ends):
            with self.subTest(end=end):
                self.refuses(self.weights[:end])
        self.refuses(self.weights + b"\0")

    def test_changed_bytes(self):
        strings_off, = struct.unpack_from("<Q", self.weights, 88)
        size = len(self.weights)
        for at in (*range(0, 128), *range(128, strings_off, 61), *range(strings_off, size, size // 40), size - 1):
            with self.subTest(at=at):
                self.refuses(self.weights[:at] + bytes([self.weights[at] ^ 0x10]) + self.weights[at + 1:])

    def test_wrong_header_fields(self):
        """Every field that means something, under a checksum that is right."""
        fields = {"version_major": (8, "<H", 1), "version_minor": (10, "<H", 999), "endian_tag": (12, "<I", 0x04030201),
                  "file_size": (16, "<Q", 2**63), "header_size": (24, "<I", 64), "flags": (28, "<I", 1),
                  "arch": (36, "<H", 2), "in_channels": (40, "<H", 0), "out_channels": (42, "<H", 4),
                  "features": (44, "<H", 65535), "groups": (46, "<H", 0), "blocks": (48, "<H", 17),
                  "streams": (50, "<H", 5), "columns": (52, "<H", 0), "reduction": (54, "<H", 0),
                  "channel_factor_num": (56, "<H", 3), "channel_factor_den": (58, "<H", 0), "bias": (60, "<H", 1),
                  "scale": (62, "<H", 2), "pad_multiple": (64, "<H", 3), "reserved": (66, "<H", 1),
                  "meta_crc": (68, "<I", 1), "tensor_count": (72, "<I", 2**32 - 1), "alignment": (76, "<I", 0),
                  "table_off": (80, "<Q", 2**64 - 64), "data_off": (96, "<Q", 2**64 - 64),
                  "data_size": (104, "<Q", 2**64 - 64), "meta_off": (112, "<Q", 2**64 - 1),
                  "meta_size": (120, "<I", 2**32 - 1)}
        for name, (offset, code, value) in fields.items():
            with self.subTest(name):
                changed = bytearray(self.weights)
                struct.pack_into(code, changed, offset, value)
                message = self.refuses(with_header_checksum(bytes(changed)))
                self.assertIn("metadata" if name == "meta_crc" else "w.mirw", message)
                self.assertNotIn("header does not match its checksum", message)
        for offset, code, value in ((88, "<Q", 2**64 - 1), (124, "<I", 2**32 - 1)):  # what the checksum covers
            changed = bytearray(self.weights)
            struct.pack_into(code, changed, offset, value)
            self.refuses(bytes(changed))

    def test_other_hyper_parameters_than_the_tensors(self):
        # Not columns: they share their weights, so that any number of them fits.
        for offset, value in ((44, 24), (46, 2), (48, 3), (50, 2)):
            changed = bytearray(self.weights)
            struct.pack_into("<H", changed, offset, value)
            if offset == 50:
                struct.pack_into("<H", changed, 64, 2)
            self.refuses(with_header_checksum(bytes(changed)))


class Profile(ProgramTest):
    """mirnet profile, on a small picture: figures are looked at where they must add up."""

    def profile(self, *options):
        return self.succeeds("profile", "64x48", "--threads", "1", "--repeat", "3", *options)

    def json_profile(self, *options):
        return json.loads(self.profile("--format", "json", *options), parse_constant=self.fail)

    def test_json(self):
        profile = self.json_profile("--sort", "time")
        self.assertEqual(profile["image"], {"width": 64, "height": 48})
        self.assertEqual((profile["runs"], profile["machine"]["threads"]), (3, 1))
        for key in ("processor", "compiler", "flags", "instruction_set"):
            self.assertTrue(profile["machine"][key], key)
        layers = profile["layers"]
        names = [row["name"] for row in layers]
        self.assertEqual(len(set(names)), len(names))
        for name in ("conv_in", "body.0.body.0.blocks.2.0.body.0", "body.0.body.0.blocks.2.0.body.0#2", "conv_out",
                     "body.0.body.1.down.16_4.body.1.top.5+bot.1", "body.0.body.1.selective_kernel.0.fcs.2#2"):
            self.assertIn(name, names)
        medians = [row["median_ms"] for row in layers]
        self.assertEqual(medians, sorted(medians, reverse=True))
        self.assertAlmostEqual(layers[-1]["cumulative_percent"] + 100 * profile["unattributed"]["median_ms"]
                               / (sum(medians) + profile["unattributed"]["median_ms"]), 100, delta=0.01)
        a_pixel = re.search(r"multiply-adds a pixel +(\d+)", self.succeeds("info", "--size", "64x48")).group(1)
        self.assertAlmostEqual(sum(row["mmac"] for row in layers) * 1e6, int(a_pixel) * 64 * 48, delta=1e4)
        for row in layers:
            self.assertLessEqual(row["min_ms"], row["median_ms"])
            self.assertLessEqual(row["median_ms"], row["p95_ms"])
            self.assertEqual(len(row["runs_ms"]), 3)
            self.assertEqual(row["gflops"] is None, row["mmac"] == 0)
            self.assertGreater(row["live_mbytes"], 0)
            self.assertTrue(row["kernel"] and row["operation"] and row["block"], row)
        for groups in ("operations", "blocks"):
            self.assertAlmostEqual(sum(row["mmac"] for row in profile[groups]), sum(row["mmac"] for row in layers),
                                   delta=0.01)

    def test_self_times_are_the_total(self):
        """In every run: what no layer takes is less than 2 %, but for a run in which another program had the core."""
        profile = json.loads(self.succeeds("profile", "128x96", "--threads", "1", "--repeat", "3", "--format", "json"))
        shares = []
        for run in range(3):
            layers = sum(row["runs_ms"][run] for row in profile["layers"])
            total, rest = (profile[key]["runs_ms"][run] for key in ("total", "unattributed"))
            self.assertAlmostEqual((layers + rest) / total, 1, delta=1e-4)
            shares.append(rest / total)
        if not SANITIZED:
            self.assertLess(min(shares), 0.02)
        self.assertGreater(min(shares), 0)

    def test_table(self):
        table = self.profile("--sort", "op", "--precision", "fp32")
        for text in (r"\Amirnet \d+\.\d+\.\d+, \w+, fp32, 1 thread, 64 x 48, algorithm auto\n",
                     r"\nnetwork +MIRNet\nweights +built in: features 16,", r"\nprocessor +\S", r"\ncompiler +\S",
                     r"\nmemory +[\d.]+ GB/s",
                     r"\nby layers\n", r"\nby operations\n", r"\nby blocks\n", r"\nunattributed +[\d.]+ ms",
                     r"\ntotal +[\d.]+ ms +100.00 %", r"\nthread wait +[\d.]+ ms",
                     r"\nprofiling +[\d.]+ ms .* \d+ pairs of hooks a run of [\d.]+ ns"):
            self.assertRegex(table, text)
        self.assertRegex(self.profile("--group", "op"), r"\n[ \d.-]+ (memory|compute)? .* transposed 3x3\n")
        self.assertRegex(self.profile("--group", "block"), r" body\.0\.body\.1\.last_up\.2\n")

    def test_csv(self):
        table = self.profile("--format", "csv", "--algorithm", "direct", "--precision", "fp32")
        rows = list(csv.DictReader(table.splitlines()))
        self.assertEqual([rows[0]["name"], *(row["name"] for row in rows[-4:])],
                         ["conv_in", "conv_out", "unattributed", "thread wait", "total"])
        self.assertEqual(rows[0]["output"], "48x64x16")
        self.assertEqual({row["kernel"] for row in rows if row["operation"].startswith("conv ")},
                         {"gemm", "im2col+gemm"} if rows[0]["instruction_set"] != "scalar" else {"plain loops"})
        self.assertEqual(float(rows[-1]["percent"]), 100)

    def test_trace(self):
        self.assertEqual(self.succeeds("profile", "64x48", "--threads", "2", "--repeat", "1", "--warmup", "0", "--format",
                                       "trace", "-o", "trace.json"), "")
        trace = json.loads((self.path / "trace.json").read_text(), parse_constant=self.fail)
        events = trace["traceEvents"]
        self.assertEqual({event["args"]["name"] for event in events if event["name"] == "thread_name"},
                         {"calling thread", "worker 1"})
        counters = [event for event in events if event["ph"] == "C"]
        self.assertTrue(counters and all(event["args"]["bytes"] > 0 for event in counters))
        spans = [event for event in events if event["ph"] == "X"]
        self.assertIn("body.0.body.0.blocks.0.0.body.0", {event["name"] for event in spans})
        for lane in (0, 1):
            # Bars of one lane lie beside each other or inside of one another.
            around = []
            for event in sorted((e for e in spans if e["tid"] == lane), key=lambda e: (e["ts"], -e["dur"])):
                begin, end = event["ts"], event["ts"] + event["dur"]
                while around and around[-1] <= begin + 1e-6:
                    around.pop()
                self.assertTrue(not around or end <= around[-1] + 1e-6, event)
                around.append(end)

    def test_names_that_would_break_a_file(self):
        """Whatever a weight file is called, JSON stays JSON and a script stays a script."""
        name = b"a\"b\\c\n\x01<-script><!--\xff,d.mirw"
        shutil.copy(WEIGHTS, os.fsencode(self.path) + b"/" + name)
        arguments = ["profile", "8x8", "--threads", "1", "--repeat", "1", "--warmup", "0", "--weights", name, "--format"]
        outputs = {}
        for kind in ("json", "trace", "html", "csv", "table"):
            result = subprocess.run([self.program, *arguments, kind], cwd=self.path, capture_output=True, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            outputs[kind] = result.stdout
        shown = "a\"b\\c\n\x01<-script><!--\ufffd,d.mirw"
        self.assertEqual(json.loads(outputs["json"])["network"]["weights"], shown)
        self.assertEqual(json.loads(outputs["trace"])["otherData"]["weights"], shown)
        page = outputs["html"].decode()
        data = re.search(r'^const profile = (\{.*\});$', page, re.MULTILINE).group(1)
        self.assertEqual(json.loads(data)["network"]["weights"], shown)
        self.assertNotIn("<", data)
        self.assertNotRegex(page.replace("http://www.w3.org/2000/svg", ""), r"https?:|src=|@import|url\(")
        self.assertRegex(outputs["table"].decode(errors="replace"), r"\nweights +a\"b\\c  <-script><!--.,d.mirw: features 16,")

    def test_baseline(self):
        self.profile("--format", "json", "-o", "old.json")
        old = json.loads((self.path / "old.json").read_text())
        self.assertRegex(self.profile("--baseline", "old.json"), r"(?s)\Abefore +mirnet .*\nnow .*\n +before ms .*\btotal\n")
        # A layer that took a second, and one that is no longer there.
        for row in old["layers"]:
            if row["name"] == "conv_in":
                row["runs_ms"] = [1000, 1000, 1000]
            if row["name"] == "conv_out":
                row["name"], row["runs_ms"] = "gone", [500, 500, 500]
        self.file("old.json", json.dumps(old).encode())
        lines = self.profile("--baseline", "old.json").splitlines()
        first = next(i for i, line in enumerate(lines) if "before ms" in line) + 1
        self.assertRegex(lines[first], r"^ +1000\.000 +\d+\.\d+ +-9\d\d\.\d+ +-(9\d\.\d|100\.0) +[\d.]+ +conv_in$")
        self.assertRegex(lines[first + 1], r"^ +500\.000 +- +-500\.000 +- +- +gone$")
        for content, says in ((b"{", "is not JSON"), (b"[]", "lacks a key"), (b'{"profile": 1}', "lacks a key"),
                              (b'{"profile": 2}', "another version"), (b"", "is not JSON")):
            self.file("bad.json", content)
            self.fails(INPUT, "profile", "8x8", "--baseline", "bad.json", says=says)
        self.fails(INPUT, "profile", "8x8", "--baseline", "none.json", says="none.json")
        self.fails(USAGE, "profile", "8x8", "--baseline", "old.json", "--format", "csv", says="--format csv")

    def test_a_photograph(self):
        self.file("in.png", png(draw(21, 13, 3)))
        profile = json.loads(self.succeeds("profile", "in.png", "--repeat", "1", "--warmup", "0", "--format", "json"))
        self.assertEqual(profile["image"], {"width": 21, "height": 13})
        names = [row["name"] for row in profile["layers"]]
        self.assertEqual((names[0], names[1], names[-1]), ("pad", "conv_in", "crop"))

    def test_mistakes(self):
        self.file("there.json", b"")
        for code, arguments, says in (
                (INPUT, ("0x5",), "0x5"), (INPUT, ("none.png",), "none.png"), (INPUT, ("8x8x8",), "8x8x8"),
                (MEMORY, ("1000000x1000000",), "memory"), (USAGE, ("8x8", "--isa", "mmx"), "mmx"),
                (USAGE, ("8x8", "--repeat", "0"), "--repeat"), (USAGE, ("8x8", "--warmup", "-1"), "--warmup"),
                (USAGE, ("8x8", "--sort", "size"), "size"), (USAGE, ("8x8", "--group", "all"), "all"),
                (USAGE, ("8x8", "--format", "xml"), "xml"), (MODEL, ("8x8", "--weights", "none.mirw"), "none.mirw"),
                (OUTPUT, ("8x8", "-o", "there.json"), "there.json: already exists"),
                (OUTPUT, ("8x8", "-o", "there.json/x.json"), "there.json")):
            self.fails(code, "profile", *arguments, says=says)


class Cells(ProgramTest):
    """A network on cells of 2x2 pixels, which is padded to multiples of 8."""

    def setUp(self):
        super().setUp()
        self.network = str(self.path / "cells.mirw")
        subprocess.run([sys.executable, "-B", ROOT / "weights" / "convert.py",
                        ROOT / "tests" / "golden" / "v1_w8_unshuffle" / "model.pth", self.network],
                       check=True, stdout=subprocess.DEVNULL)

    def test_info(self):
        self.assertRegex(self.succeeds("info", self.network), r"channels +3\nunshuffle +2\n")
        self.assertRegex(self.succeeds("info", self.network), r"(?m)^task +unspecified$")
        self.assertRegex(self.succeeds("info"), r"channels +3\nunshuffle +1\n")

    def test_profile(self):
        profile = json.loads(self.succeeds("profile", "21x13", "--weights", self.network, "--repeat", "1",
                                           "--warmup", "0", "--format", "json"))
        self.assertEqual((profile["network"]["channels"], profile["network"]["unshuffle"]), (3, 2))
        rows = profile["layers"]
        self.assertEqual((rows[0]["name"], rows[1]["name"], rows[-1]["name"]), ("unshuffle", "conv_in", "shuffle"))
        self.assertIn("columns 2, channels 3, unshuffle 2;",
                      self.succeeds("profile", "8x8", "--weights", self.network, "--repeat", "1", "--warmup", "0"))

    def test_tiles(self):
        self.file("in.png", png(draw(301, 45, 3)))
        arguments = ("denoise", "in.png", "out.pfm", "--overwrite", "--weights", self.network, "--json")
        plans = [json.loads(self.succeeds(*arguments, *options))["plan"]
                 for options in (("--tile", "off"), ("--tile", "256"), ("--tile", "256", "--precision", "bf16"))]
        self.assertEqual([plan["tiles"] for plan in plans], [[1, 1], [2, 1], [2, 1]])
        self.assertEqual([plan["tile_size"] for plan in plans], [[301, 45], [168, 45], [168, 45]])


class Models(ProgramTest):
    """--model, with a copy of the program that has no weight file near it, and another network as the larger one."""
    NAME = "denoise-large.mirw"

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.large = pathlib.Path(folder.name).resolve() / "other.mirw"
        subprocess.run([sys.executable, "-B", ROOT / "weights" / "convert.py",
                        ROOT / "tests" / "golden" / "v1_w8_legacy" / "model.pth", cls.large],
                       check=True, stdout=subprocess.DEVNULL)

    def setUp(self):
        super().setUp()
        self.file("in.png", png(draw(12, 10, 3)))
        (self.path / "prefix" / "bin").mkdir(parents=True)
        self.program = shutil.copy(PROGRAM, self.path / "prefix" / "bin" / "mirnet")

    def place(self, folder, content=None):
        """Puts the larger network there; the path of its file."""
        file = self.path / folder / self.NAME
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.large.read_bytes() if content is None else content)
        return file

    def finds(self, file):
        self.assertRegex(self.succeeds("info", "--model", "high"), rf"(?m)^weights +{re.escape(str(file))}$")

    def test_high_is_the_network_of_the_file(self):
        self.place("weights")
        self.environment["MIRNET_WEIGHTS"] = "weights"
        standard = self.denoises("in.png", png(draw(12, 10, 3)), "standard.pfm")
        self.assertEqual(self.denoises("in.png", png(draw(12, 10, 3)), "s.pfm", "--model", "standard"), standard)
        high = self.denoises("in.png", png(draw(12, 10, 3)), "high.pfm", "--model", "high")
        self.assertEqual(self.denoises("in.png", png(draw(12, 10, 3)), "w.pfm", "--weights", self.large), high)
        self.assertNotEqual(high, standard)
        self.denoises("in.png", png(draw(12, 10, 3)), "half.pfm", "--model", "high", "--precision", "bf16")
        self.assertIn("model             high (", self.succeeds("denoise", "in.png", "o.png", "--model", "high", "--verbose"))
        self.assertIn("model             standard (", self.succeeds("denoise", "in.png", "p.png", "--verbose"))
        self.assertEqual(self.succeeds("info", "--model", "standard"), self.succeeds("info"))

    def test_folder_of_the_environment(self):
        self.place("prefix/bin")
        self.environment["MIRNET_WEIGHTS"] = str(self.path / "weights")
        self.finds(self.place("weights"))

    def test_no_other_folder_than_that_of_the_environment(self):
        beside = self.place("prefix/bin")
        self.place("prefix/share/mirnet")
        (self.path / "empty").mkdir()
        for folder in ("empty", "none", "in.png", beside):
            self.environment["MIRNET_WEIGHTS"] = str(folder)
            for command in (("info",), ("denoise", "in.png", "o.png")):
                message = self.fails(MODEL, *command, "--model", "high", says=f"cannot find the file {self.NAME}; ")
                self.assertIn(f"it is not in {folder}, which MIRNET_WEIGHTS names\n", message)
            self.succeeds("info")
        self.environment["MIRNET_WEIGHTS"] = ""
        self.finds(beside)

    def test_beside_the_program(self):
        self.place("prefix/share/mirnet", b"not this one")
        self.finds(self.place("prefix/bin"))

    def test_beside_the_program_that_links_lead_to(self):
        beside = self.place("prefix/bin")
        (self.path / "links").mkdir()
        os.symlink("../prefix/bin/mirnet", self.path / "links" / "first")
        os.symlink("first", self.path / "links" / "second")
        self.place("links", b"not this one")
        self.program = self.path / "links" / "second"
        self.finds(beside)
        self.program = "second"
        self.environment["PATH"] = str(self.path / "links")
        self.finds(beside)

    def test_a_file_that_is_a_link(self):
        file = self.path / "prefix" / "bin" / self.NAME
        os.symlink(self.large, file)
        self.finds(file)

    def test_installed_anywhere(self):
        installed = self.place("prefix/share/mirnet")
        os.symlink(self.path / "nowhere", self.path / "prefix" / "bin" / self.NAME)  # as in a build without the file
        self.finds(installed)
        os.rename(self.path / "prefix", self.path / "elsewhere")
        self.program = self.path / "elsewhere" / "bin" / "mirnet"
        self.finds(self.path / "elsewhere" / "share" / "mirnet" / self.NAME)

    def test_nowhere(self):
        if self.run_program("info", "--model", "high").returncode == 0:
            self.skipTest(f"{self.NAME} is installed on this machine")
        for command, option in ((("info",), "FILE"), (("denoise", "in.png", "o.png"), "--weights")):
            message = self.fails(MODEL, *command, "--model", "high", says=f"cannot find the file {self.NAME}; ")
            self.assertIn(f"set MIRNET_WEIGHTS to its folder, or give its path as {option};", message)
            prefix = re.escape(str(self.path / "prefix"))
            self.assertRegex(message, rf"it is not in {prefix}/bin, {prefix}/share/mirnet or /\S+/mirnet\n")
        self.succeeds("denoise", "in.png", "o.png")

    def test_what_is_found_must_be_a_weight_file(self):
        """The next folder would hide that the file is damaged."""
        self.place("prefix/share/mirnet")
        beside = self.place("prefix/bin", self.large.read_bytes()[:-1])
        self.fails(MODEL, "denoise", "in.png", "o.png", "--model", "high", says=f"{beside}: ")
        beside.unlink()
        beside.mkdir()
        self.fails(MODEL, "info", "--model", "high", says=f"{beside}: is a folder; expected a regular file")

    def test_wrong_usage(self):
        self.place("prefix/bin")
        for model in ("standard", "high"):
            for arguments in (("denoise", "in.png", "o.png", "--weights", self.large), ("info", self.large)):
                self.fails(USAGE, *arguments, "--model", model, says="excludes --model")
        for arguments in (("denoise", "in.png", "o.png"), ("info",)):
            for model in ("", "../denoise", "a b"):
                self.fails(USAGE, *arguments, "--model", model, says="must be standard, high or a version such as 0.1")
            self.fails(MODEL, *arguments, "--model", "best", says="--model best: cannot find the file denoise-best.mirw;")
        self.fails(USAGE, "info", "--model")

    def test_earlier_versions(self):
        self.place("prefix/bin")
        os.rename(self.path / "prefix" / "bin" / self.NAME, self.path / "prefix" / "bin" / "denoise-0.1.mirw")
        old = self.denoises("in.png", png(draw(12, 10, 3)), "old.pfm", "--model", "0.1")
        self.assertEqual(old, self.denoises("in.png", png(draw(12, 10, 3)), "w.pfm", "--weights", self.large))

    def test_the_old_name_of_the_option(self):
        self.place("prefix/bin")
        self.file("in.png", png(draw(12, 10, 3)))
        for model in ("standard", "high"):
            for number, arguments in enumerate((("denoise", "in.png"), ("profile", "8x8", "--repeat", "1", "--warmup", "0",
                                                                        "-o"))):
                result = self.run_program(*arguments, f"{model}{number}.pfm", "--quality", model)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(f"warning: --quality {model} is now --model {model}".encode(), result.stderr)
        self.assertEqual((self.path / "high0.pfm").read_bytes(),
                         self.denoises("in.png", png(draw(12, 10, 3)), "h.pfm", "--model", "high"))


class Outputs(ProgramTest):
    def setUp(self):
        super().setUp()
        self.file("in.png", png(draw(8, 8, 3)))

    def test_unknown_extension(self):
        for name in ("o", "png"):
            self.fails(OUTPUT, "denoise", "in.png", name,
                       says=f"{name}: the name has no extension that says the format; for a folder, write {name}/")
        for name in ("o.tga", "o.gif", "o.png.txt"):
            self.fails(OUTPUT, "denoise", "in.png", name, says=f"{name}: unsupported output extension; use one of .png, ")

    def test_unwritable(self):
        (self.path / "folder.png").mkdir()
        os.mkfifo(self.path / "pipe.png")
        self.succeeds("denoise", "in.png", "folder.png", "--quiet")
        self.assertEqual(os.listdir(self.path / "folder.png"), ["in.png"])
        self.fails(OUTPUT, "denoise", "in.png", "folder.png", says="folder.png/in.png: already exists")
        self.fails(OUTPUT, "denoise", "in.png", "pipe.png", "--overwrite", says="is a pipe")
        self.succeeds("denoise", "in.png", "none/deep/o.png", "--quiet")
        self.assertTrue((self.path / "none/deep/o.png").exists())
        self.fails(OUTPUT, "denoise", "in.png", "in.png/o.png", says="Not a directory")
        if os.geteuid() != 0:
            (self.path / "closed").mkdir(mode=0o500)
            self.fails(OUTPUT, "denoise", "in.png", "closed/o.png", says="Permission denied")

    def test_existing_files_stay(self):
        self.file("o.png", b"precious")
        os.symlink("nowhere", self.path / "link.png")
        self.fails(OUTPUT, "denoise", "in.png", "o.png", says="already exists")
        self.fails(OUTPUT, "denoise", "in.png", "link.png", says="exists already")
        self.assertEqual((self.path / "o.png").read_bytes(), b"precious")
        self.succeeds("denoise", "in.png", "o.png", "--overwrite", "--quiet")
        self.assertEqual(read_png((self.path / "o.png").read_bytes()).width, 8)
        self.fails(OUTPUT, "denoise", "in.png", "in.png", says="already exists")
        self.succeeds("denoise", "in.png", "in.png", "--overwrite", "--quiet")

    def test_checks_come_before_the_computation(self):
        """A picture that would take minutes fails at once where the output cannot be written."""
        self.file("large.ppm", b"P6 4000 3000 255\n" + bytes(36_000_000))
        self.file("o.png", b"")
        for output in ("o.gif", "o.png/x.png", "o.png"):
            self.fails(OUTPUT, "denoise", "large.ppm", output)

    def test_sides_of_a_jpeg(self):
        self.file("wide.pgm", pnm(draw(65501, 1, 1)))
        self.fails(OUTPUT, "denoise", "wide.pgm", "o.jpg", says="65501 x 1 pixels; the sides of a JPEG have at most 65500")

    def test_a_colour_image_is_no_pgm(self):
        self.fails(OUTPUT, "denoise", "in.png", "o.pgm", says="write a PPM")

    def test_quiet(self):
        self.assertEqual(self.succeeds("denoise", "in.png", "o.png", "--quiet"), "")

    def test_names_with_spaces_and_other_letters(self):
        name = "ein Bild %s ö.png"
        self.denoises(name, png(draw(8, 8, 3)), "aus gabe.png")
        self.fails(INPUT, "denoise", "fehlt %s %n.png", "o.png", says="fehlt %s %n.png: cannot be opened")
        self.fails(INPUT, "denoise", "two\nlines.png", "o.png")

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_a_full_standard_output(self):
        for arguments in (["--version"], ["--help"], ["info"], ["compare", "in.png", "in.png"]):
            with open("/dev/full", "wb") as full:
                result = subprocess.run([PROGRAM, *arguments], cwd=self.path, stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(result.returncode, OUTPUT)
            self.assertEqual(result.stderr, b"mirnet: the standard output cannot be written\n")


class Licences(ProgramTest):
    """What the program says of its parts, against what it is built from here."""
    # What find_package is asked for: the name that is printed, a header, and its version as the preprocessor has it.
    PACKAGES = {
        "CLI11": ("CLI11", "CLI/Version.hpp", "CLI11_VERSION"),
        "JPEG": ("libjpeg(?:-turbo)?", "jpeglib.h", "LIBJPEG_TURBO_VERSION"),
        "nlohmann_json": ("nlohmann JSON", "nlohmann/json.hpp",
                          "NLOHMANN_JSON_VERSION_MAJOR.NLOHMANN_JSON_VERSION_MINOR.NLOHMANN_JSON_VERSION_PATCH"),
        "PNG": ("libpng", "png.h", "PNG_LIBPNG_VER_STRING"),
        "Seccomp": ("libseccomp", "seccomp.h", "SCMP_VER_MAJOR.SCMP_VER_MINOR.SCMP_VER_MICRO"),
        "ZLIB": ("zlib", "zlib.h", "ZLIB_VERSION"),
        "XsimdHeaders": ("xsimd", "xsimd/config/xsimd_config.hpp",
                         "XSIMD_VERSION_MAJOR.XSIMD_VERSION_MINOR.XSIMD_VERSION_PATCH"),
    }
    NOT_LINKED = {"Threads", "Eigen3"}  # the system's; networks of double, which the program has none of

    def parts(self):
        """Name, version and licence of each part, and the texts below them."""
        table, texts = self.succeeds("--licences").split("\n\nThird-party notices", 1)
        version, weights, *lines = table.replace("\n\n", "\n").splitlines()
        self.assertRegex(version, r"\Amirnet \d+\.\d+\.\d+ \(\w+\), Apache-2\.0\Z")
        self.assertEqual(weights, "built-in weights: Apache-2.0")
        part = re.compile(r"(.{16}) (\d\S*(?: \(built with [^)]+\))?) +(\S.+)")
        return [part.fullmatch(line).groups() for line in lines], texts

    def test_spellings(self):
        said = self.succeeds("--licences")
        for arguments in (("--licenses",), ("--version", "--licences"), ("--licences", "--version")):
            self.assertEqual(self.succeeds(*arguments), said)
        self.fails(USAGE, "--licence", says="did you mean --licences?")

    def test_every_part_is_named_with_its_version(self):
        asked = set()
        for file in ("CMakeLists.txt", "examples/CMakeLists.txt", "examples/cli/CMakeLists.txt"):
            asked |= set(re.findall(r"find_package\((\w+)", (ROOT / file).read_text()))
        self.assertEqual(asked, set(self.PACKAGES) | {"StbHeaders"} | self.NOT_LINKED)
        source = "".join(f"#include <{header}>\n" for _, header, _ in self.PACKAGES.values())
        source += "".join(f"\n{name}_IS {version}" for name, (_, _, version) in self.PACKAGES.items())
        compiler = os.environ.get("CXX", "c++")
        preprocessed = subprocess.run([compiler, "-std=c++20", "-E", "-P", "-x", "c++", "-include", "cstdio", "-"],
                                      input="#include <stb/stb_image.h>\n" + source, capture_output=True, text=True)
        if preprocessed.returncode != 0:
            self.skipTest(f"{compiler} does not find the headers")
        parts = {name.strip(): version for name, version, _ in self.parts()[0]}
        for package, (name, _, _) in self.PACKAGES.items():
            version = re.search(rf"^{package}_IS (.+)$", preprocessed.stdout, re.MULTILINE)[1]
            version = version.replace(" ", "").strip('"')
            self.assertRegex(version, r"\A\d+\.\d+")
            named = [part for part in parts if re.fullmatch(name, part)]
            self.assertEqual(len(named), 1, package)
            self.assertIn(version, re.findall(r"[\d.]+", parts[named[0]]), package)

    def test_every_linked_library_is_named(self):
        if not shutil.which("readelf"):
            self.skipTest("needs readelf")
        dynamic = subprocess.run(["readelf", "--wide", "--dynamic", self.program], capture_output=True, text=True)
        needed = re.findall(r"\(NEEDED\)\s+Shared library: \[([a-z+_-]+)", dynamic.stdout)
        if not needed:
            self.skipTest("the program is no ELF file with libraries")
        names = {"libpng": "libpng", "libjpeg": "libjpeg", "libz": "zlib", "libstdc++": "libstdc++", "libc++": "libc++",
                 "libgcc_s": "libstdc++", "libwebpmux": "libwebp", "liblcms": "Little CMS", "libm": "glibc", "libc": "glibc",
                 "ld-linux-x": "glibc"}
        printed = " ".join(name for name, _, _ in self.parts()[0])
        for library in needed:
            if not (SANITIZED and library.endswith("san")):
                self.assertIn(names.get(library, library), printed)

    def test_texts(self):
        """Each part has a paragraph with a licence, and the sentence that libjpeg's licence wants is there."""
        parts, texts = self.parts()
        for name, _, licence in parts:
            name = {"libstdc++": "The C++ runtime: libstdc++", "glibc": "The C library: glibc",
                    "stb_image_write": "stb_image, stb_image_write"}.get(name.strip(), name.strip())
            self.assertRegex(texts, rf"\n\n{re.escape(name)}[ (,:][^\n]*\)\n-+\n", licence)
        self.assertIn("based in part on the work of the Independent JPEG Group", texts)
        self.assertIn("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION", texts)
        for line in (ROOT / "THIRD-PARTY-NOTICES").read_text(encoding="utf-8").splitlines()[1:]:
            self.assertIn(line, texts)


if __name__ == "__main__":
    unittest.main()
