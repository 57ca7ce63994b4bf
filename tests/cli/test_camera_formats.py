"""AVIF, HEIC, JPEG XL and cameras' raw files: pixels, depth, rotation and metadata, what is refused, and that pictures
from a pipe or without a sandbox are the same.

The files in pictures/ were made for these tests, from the picture that `quadrants` draws; raw files are made here.
Formats that the program was built without are skipped.
"""
import pathlib
import re
import shutil
import struct
import subprocess
import unittest
import zlib

from program import (INPUT, MEMORY, ROOT, SANITIZED, USAGE, Picture, ProgramTest, exif, png, png_chunk, png_chunks, read_png,
                     with_png_chunks)

PICTURES = pathlib.Path(__file__).with_name("pictures")
COLOURS = ((200, 30, 40), (20, 180, 60), (30, 60, 210), (128, 128, 128))
GRAYS = ((40,), (90,), (160,), (230,))


def quadrants(colours=COLOURS, width=16, height=12, maximum=255, scale=1, more=0):
    """A picture of four rectangles: above left, above right, below left, below right."""
    pixels = (colours[(x >= width // 2) + 2 * (y >= height // 2)] for y in range(height) for x in range(width))
    return Picture(width, height, len(colours[0]), (v * scale + more for pixel in pixels for v in pixel), maximum)


def transposed(picture):
    rows = [picture.pixels()[i:i + picture.width] for i in range(0, picture.width * picture.height, picture.width)]
    return Picture(picture.height, picture.width, picture.channels,
                   (v for column in zip(*rows) for pixel in column for v in pixel), picture.maximum)


def rotated_left(picture):
    turned = transposed(picture)
    return Picture(turned.width, turned.height, turned.channels, (v for row in reversed(turned.rows()) for v in row),
                   turned.maximum)


def mirrored(picture):
    return Picture(picture.width, picture.height, picture.channels,
                   (v for row in picture.rows() for i in reversed(range(0, len(row), picture.channels))
                    for v in row[i:i + picture.channels]), picture.maximum)


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def profile(space=b"RGB ", gamma=563):
    """A small colour profile that is whole: primaries of P3, and a power of gamma / 256 as the curve."""
    def xyz(*numbers):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(n * 65536) for n in numbers))
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, gamma) + b"\0\0"
    text = b"text\0\0\0\0mirnet\0\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 7) + b"mirnet\0" + bytes(78) + b"\0\0\0", b"cprt": text,
            b"wtpt": xyz(0.9642, 1, 0.8249)}
    if space == b"RGB ":
        tags |= {b"rXYZ": xyz(0.5151, 0.2412, -0.0011), b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
                 b"bXYZ": xyz(0.1571, 0.0666, 0.7841), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags[b"kTRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    for kind, body in tags.items():
        table += struct.pack(">4sII", kind, 132 + 12 * len(tags) + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size = 128 + len(table) + len(data)
    header = (struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
              + bytes(28) + struct.pack(">3i", 63190, 65536, 54061))
    return header.ljust(128, b"\0") + table + data


def dng(level, width=64, height=48, orientation=1, neutral=(1, 1, 1), maker=b"Mirnet", photometric=32803, more=()):
    """A raw file of 16 bits, not compressed, of a camera whose colours are those of sRGB. level(x, y) is what the
    sensor has; red, green, green and blue repeat."""
    data = b"".join(struct.pack("<H", level(x, y)) for y in range(height) for x in range(width))
    entries = []

    def add(tag, kind, *values):
        if kind == "text":
            entries.append((tag, 2, len(values[0]) + 1, values[0] + b"\0"))
        elif kind == "byte":
            entries.append((tag, 1, len(values), bytes(values)))
        elif kind == "ratio":
            entries.append((tag, 10 if tag == 0xC621 else 5, len(values),
                            b"".join(struct.pack("<ii", round(v * 10000), 10000) for v in values)))
        else:
            size, letter = {"short": (3, "H"), "long": (4, "I")}[kind]
            entries.append((tag, size, len(values), struct.pack(f"<{len(values)}{letter}", *values)))

    for entry in ((0xFE, "long", 0), (0x100, "long", width), (0x101, "long", height), (0x102, "short", 16),
                  (0x103, "short", 1), (0x106, "short", photometric), (0x10F, "text", maker), (0x110, "text", b"One"),
                  (0x111, "long", 0), (0x112, "short", orientation), (0x115, "short", 1), (0x116, "long", height),
                  (0x117, "long", len(data)), (0x132, "text", b"2024:05:06 07:08:09"), (0x828D, "short", 2, 2),
                  (0x828E, "byte", 0, 1, 1, 2), (0xC612, "byte", 1, 4, 0, 0), (0xC614, "text", b"Mirnet One"),
                  (0xC61D, "long", 65535), (0xC65A, "short", 21), (0xC628, "ratio", *neutral),
                  (0xC621, "ratio", 3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572), *more):
        add(*entry)
    entries.sort()
    behind = 8 + 2 + 12 * len(entries) + 4
    pixels_at = behind + sum((len(raw) + 1) // 2 * 2 for *_, raw in entries if len(raw) > 4)
    head, values = b"", b""
    for tag, kind, count, raw in entries:
        if tag == 0x111:
            raw = struct.pack("<I", pixels_at)
        if len(raw) > 4:
            raw, values = struct.pack("<I", behind + len(values)), values + raw + bytes(len(raw) % 2)
        head += struct.pack("<HHI", tag, kind, count) + raw.ljust(4, b"\0")
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + head + bytes(4) + values + data)


def srgb(light):
    """What stands for light from 0 to 1, with 16 bits."""
    return 65535 * (1.055 * light ** (1 / 2.4) - 0.055)


class FormatTest(ProgramTest):
    FORMAT = ""

    def setUp(self):
        super().setUp()
        self.formats = dict(re.findall(r"(?m)^(reads|writes) +(.+)$", self.succeeds("info")))
        if self.FORMAT not in self.formats["reads"].split(", "):
            self.skipTest(f"built without {self.FORMAT}")
        if SANITIZED and self.FORMAT in ("HEIC", "JPEG XL"):
            # A sanitizer's threads make calls that the filter does not know, and what libjxl prints is not kept away.
            self.skipTest("not with sanitizers")

    def picture(self, content, *options, warns="", name=None):
        """What is read of a file of pictures/ or of these bytes, and the chunks that it was written with."""
        if isinstance(content, str):
            name, content = content, (PICTURES / content).read_bytes()
        self.file(name, content)
        result = self.run_program("denoise", "--strength", "0", "--overwrite", name, "out.png", *options)
        warnings = "".join(f"mirnet: warning: {name}: {line}\n" for line in [warns] if line)
        self.assertEqual((result.returncode, result.stderr.decode()), (0, warnings))
        data = (self.path / "out.png").read_bytes()
        return read_png(data), dict(png_chunks(data))

    def expect(self, picture, wanted, within=0):
        self.assertEqual((picture.width, picture.height, picture.channels, picture.maximum),
                         (wanted.width, wanted.height, wanted.channels, wanted.maximum))
        worst = max(abs(a - b) for a, b in zip(picture.samples, wanted.samples))
        self.assertLessEqual(worst, within)

    def refuses(self, content, *options, says, code=INPUT):
        name = self.file("refused", content)
        return self.fails(code, "denoise", name, "none.png", *options, says=says)

    def refuses_what_is_not_whole(self, name, word):
        """Cut anywhere, damaged anywhere: a picture or a sentence, and no crash."""
        whole = (PICTURES / name).read_bytes()
        for length in range(40, len(whole), max(1, len(whole) // 12)):
            self.file("cut", whole[:length])
            result = self.run_program("denoise", "cut", "cut.png", "--overwrite", "--strength", "0")
            if result.returncode != 0:
                self.assertEqual(result.returncode, INPUT, (length, result.stderr))
                self.assertRegex(result.stderr.decode(), rf"\Amirnet: cut: (truncated|damaged) {word} file[^\n]*\n\Z")
        for at in range(12, len(whole), max(1, len(whole) // 12)):
            self.file("damaged", whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
            result = self.run_program("denoise", "damaged", "damaged.png", "--overwrite", "--strength", "0")
            self.assertIn(result.returncode, (0, INPUT), (at, result.stderr))
            self.assertNotRegex(result.stderr.decode(), "crash|attack|without an answer")

    def says_where_there_is_no_memory(self, name, size, at):
        """The file with other sizes in its header: nothing is decoded of it, as there is no memory for that."""
        whole = (PICTURES / name).read_bytes()
        self.assertEqual(whole[at:at + 8], struct.pack(">II", 16, 12))
        big = whole[:at] + struct.pack(">II", *size) + whole[at + 8:]
        self.refuses(big, "--max-memory", "60M", says="not enough memory to decode this picture; --max-memory allows 60.0 MiB, of which ", code=MEMORY)

    def is_the_same_otherwise(self, name, content=None):
        """From a pipe, and without a sandbox."""
        content = content or (PICTURES / name).read_bytes()
        self.file(name, content)
        results = []
        for options in ((), ("--no-sandbox",)):
            for source in (name, "-"):
                result = subprocess.run([self.program, "denoise", "--quiet", source, "-", "--format", "png", *options],
                                        cwd=self.path, input=content, capture_output=True, timeout=120)
                self.assertEqual((result.returncode, result.stderr), (0, b""), (source, options))
                results.append(result.stdout)
        self.assertEqual(set(results), {results[0]})


class Avif(FormatTest):
    FORMAT = "AVIF"

    def test_pixels(self):
        picture, chunks = self.picture("rgb.avif")
        self.expect(picture, quadrants())
        self.assertNotIn(b"cICP", chunks)

    def test_gray(self):
        self.expect(self.picture("gray.avif")[0], quadrants(GRAYS))

    def test_alpha_that_was_multiplied_in(self):
        wanted = quadrants(tuple((*colour, 255 if i % 2 == 0 else 51) for i, colour in enumerate(COLOURS)))
        # A fifth of the levels are left of what is under an alpha of 51.
        self.expect(self.picture("premultiplied.avif")[0], wanted, within=4)

    def test_ten_bits_and_colour(self):
        picture, chunks = self.picture("ten-bits-p3-pq.avif")
        self.expect(picture, quadrants(maximum=65535, scale=257), within=260)
        self.assertEqual(chunks[b"cICP"], bytes([12, 16, 0, 1]))

    def test_turned_and_cropped(self):
        self.expect(self.picture("turned.avif")[0], mirrored(rotated_left(quadrants())))
        whole = quadrants()
        part = Picture(12, 8, 3, (v for row in whole.rows()[2:10] for v in row[4 * 3:]))
        self.expect(self.picture("cropped.avif")[0], part)

    def test_metadata(self):
        """EXIF's orientation does not count in these files."""
        picture, chunks = self.picture("metadata.avif")
        self.assertEqual((picture.width, picture.height), (12, 16))  # its writer made a rotation of it
        self.assertIn(b"Mirnet", chunks[b"eXIf"])
        self.assertEqual(chunks[b"iTXt"].split(b"\0")[-1], b'<x:xmpmeta xmlns:x="adobe:ns:meta/">mirnet</x:xmpmeta>')

    def test_an_animation(self):
        picture, _ = self.picture("animation.avif", warns="an animation, of which the first picture is taken")
        self.expect(picture, quadrants(), within=40)

    def test_refusals(self):
        whole = (PICTURES / "rgb.avif").read_bytes()
        self.refuses(whole, "--max-pixels", "191", says="the AVIF header says 16 x 12 pixels, and the limit is 191")
        self.refuses(whole[:-20], says="truncated AVIF file")
        self.refuses_what_is_not_whole("rgb.avif", "AVIF")

    @unittest.skipIf(SANITIZED, "sanitizers have no limit of memory")
    def test_without_memory(self):
        at = (PICTURES / "rgb.avif").read_bytes().find(b"ispe") + 8
        self.says_where_there_is_no_memory("rgb.avif", (4000, 3000), at)

    def test_ways(self):
        self.is_the_same_otherwise("rgb.avif")

    def test_the_result_is_a_jpeg(self):
        self.file("a.avif", (PICTURES / "rgb.avif").read_bytes())
        self.succeeds("denoise", "a.avif", "--suffix=-clean", "--quiet")
        self.assertEqual((self.path / "a-clean.jpg").read_bytes()[:3], b"\xff\xd8\xff")


class JpegXl(FormatTest):
    FORMAT = "JPEG XL"

    def test_a_profile_that_ends_the_library(self):
        """libjxl 0.7 calls abort() on it; it is left out, with a warning."""
        self.file("in.jpg", (ROOT / "tests/fuzz/regressions/image/profile_for_jxl").read_bytes())
        result = self.run_program("denoise", "in.jpg", "o.jxl", "--quiet")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        result = self.run_program("denoise", "in.jpg", "o2.jxl")
        self.assertIn(b"colour profile", result.stderr)

    def test_pixels(self):
        picture, chunks = self.picture("rgb.jxl")
        self.expect(picture, quadrants())
        self.assertEqual(set(chunks), {b"IHDR", b"eXIf", b"IDAT", b"IEND"})
        self.expect(self.picture("gray.jxl")[0], quadrants(GRAYS))
        self.expect(self.picture("sixteen-bits.jxl")[0], quadrants(maximum=65535, scale=257, more=3))
        wanted = quadrants(tuple((*colour, 255 if i % 2 == 0 else 51) for i, colour in enumerate(COLOURS)))
        self.expect(self.picture("rgba.jxl")[0], wanted)

    def test_metadata(self):
        """The first box is as it is, the second is compressed; EXIF's orientation does not count in these files."""
        picture, chunks = self.picture("metadata.jxl")
        self.expect(picture, quadrants())
        self.assertIn(b"Mirnet", chunks[b"eXIf"])
        self.assertEqual(chunks[b"iTXt"].split(b"\0")[-1], b'<x:xmpmeta xmlns:x="adobe:ns:meta/">mirnet</x:xmpmeta>')

    def test_an_animation(self):
        picture, _ = self.picture("animation.jxl", warns="an animation, of which the first picture is taken")
        self.assertEqual((picture.width, picture.height), (16, 12))

    def test_what_lies_behind_the_pixels(self):
        whole = (PICTURES / "metadata.jxl").read_bytes()
        self.picture(whole[:-3], name="cut.jxl", warns="the file ends, or is damaged, behind its pixels")

    def test_refusals(self):
        whole = (PICTURES / "rgb.jxl").read_bytes()
        self.refuses(whole, "--max-pixels", "191", says="the JPEG XL header says 16 x 12 pixels, and the limit is 191")
        self.refuses(whole[:-20], says="truncated JPEG XL file")
        self.refuses_what_is_not_whole("rgb.jxl", "JPEG XL")

    def test_ways(self):
        self.is_the_same_otherwise("rgb.jxl")

    def written(self, picture, *chunks, warns="", options=()):
        """A PNG as JPEG XL and back."""
        self.file("in.png", with_png_chunks(png(picture), *chunks))
        result = self.run_program("denoise", "--strength", "0", "--overwrite", "in.png", "out.jxl", *options)
        warnings = f"mirnet: warning: in.png: {warns}\n" if warns else ""
        self.assertEqual((result.returncode, result.stderr.decode()), (0, warnings))
        return self.picture((self.path / "out.jxl").read_bytes(), name="again.jxl")

    def test_writing(self):
        for colours, maximum, scale in ((COLOURS, 255, 1), (GRAYS, 255, 1), (COLOURS, 65535, 257), (GRAYS, 65535, 257)):
            picture = quadrants(colours, 32, 24, maximum, scale)
            self.expect(self.written(picture)[0], picture, within=16 * scale)

    def test_writing_without_loss(self):
        """Also by itself, where the picture was without loss."""
        for colours, maximum, more in ((COLOURS, 255, 0), (GRAYS, 255, 0), (COLOURS, 65535, 3)):
            picture = quadrants(colours, maximum=maximum, scale=maximum // 255, more=more)
            self.expect(self.written(picture, options=("--lossless",))[0], picture)
        name = self.file("in.jxl", (PICTURES / "rgb.jxl").read_bytes())
        self.succeeds("denoise", "--strength", "0", "--quiet", "--overwrite", name, "out.jxl")
        self.expect(self.picture((self.path / "out.jxl").read_bytes(), name="again.jxl")[0], quadrants())
        _, chunks = self.written(quadrants(), (b"iCCP", b"ICC profile\0\0" + zlib.compress(profile())),
                                 options=("--lossless",))
        self.assertEqual(zlib.decompress(chunks[b"iCCP"].split(b"\0\0", 1)[1]), profile())

    def test_writing_metadata(self):
        xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>"
        picture, chunks = self.written(quadrants(), (b"eXIf", exif(6)), (b"iTXt", xmp))
        self.assertEqual((picture.width, picture.height), (12, 16))
        self.assertEqual(chunks[b"iTXt"], xmp)
        self.assertIn(b"eXIf", chunks)

    def test_writing_profiles(self):
        """Colours of a profile come back as the same light, in a profile that says so; what is none is left out."""
        good = (b"iCCP", b"ICC profile\0\0" + zlib.compress(profile()))
        picture, chunks = self.written(quadrants(), good)
        self.assertIn(b"iCCP", chunks)
        bad = profile()[:128] + bytes(300)
        bad = (b"iCCP", b"ICC profile\0\0" + zlib.compress(bad))
        self.written(quadrants(), bad, warns="its colour profile is not one that libjxl understands, and is left out")


class Raw(FormatTest):
    FORMAT = "RAW"

    def centre(self, picture):
        at = (picture.height // 2 * picture.width + picture.width // 2) * picture.channels
        return picture.samples[at:at + picture.channels]

    def test_light(self):
        """No brightness is chosen for the picture: a third of full light is that in sRGB's curve."""
        for level in (3000, 20000, 60000):
            picture, _ = self.picture(dng(lambda x, y: level), name="a.dng")
            self.assertEqual((picture.width, picture.height, picture.channels, picture.maximum), (64, 48, 3, 65535))
            for value in self.centre(picture):
                self.assertAlmostEqual(value, srgb(level / 65535), delta=20)

    def test_white_balance(self):
        """Of the camera: where it says that gray is half as much red and blue as green, that becomes gray."""
        picture, _ = self.picture(dng(lambda x, y: 10000 if x % 2 == y % 2 else 20000, neutral=(0.5, 1, 0.5)),
                                  name="a.dng")
        red, green, blue = self.centre(picture)
        self.assertLess(max(red, green, blue) - min(red, green, blue), 200)

    def test_turned(self):
        left_is_bright = lambda x, y: 30000 if x < 32 else 3000
        picture, chunks = self.picture(dng(left_is_bright, orientation=6), name="a.dng")
        self.assertEqual((picture.width, picture.height), (48, 64))
        self.assertGreater(picture.samples[0], 2 * picture.samples[-1])  # left is above
        self.assertEqual(struct.unpack_from("<HHIH", chunks[b"eXIf"], chunks[b"eXIf"].find(b"\x12\x01\x03\0")),
                         (0x112, 3, 1, 1))

    def test_metadata(self):
        _, chunks = self.picture(dng(lambda x, y: 9000), name="a.dng")
        for text in (b"Mirnet\0", b"One\0", b"2024:05:06 07:08:09\0"):
            self.assertIn(text, chunks[b"eXIf"])

    def test_refusals(self):
        whole = dng(lambda x, y: 9000)
        self.refuses(whole, "--max-pixels", "3071", says="the RAW header says 64 x 48 pixels, and the limit is 3071")
        self.refuses(whole[:-2000], says="truncated RAW file")
        self.refuses(b"FUJIFILMCCD-RAW " + bytes(500), says="RAW")
        for at in range(4, 600, 37):
            self.file("damaged", whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
            result = self.run_program("denoise", "damaged", "damaged.png", "--overwrite", "--strength", "0")
            self.assertIn(result.returncode, (0, INPUT), (at, result.stderr))
            self.assertNotRegex(result.stderr.decode(), "crash|attack|without an answer")

    def test_directories_in_a_circle(self):
        whole = bytearray(dng(lambda x, y: 9000, photometric=1, more=((0x14A, "long", 8),)))
        whole = whole.replace(struct.pack("<HHI", 0xC612, 1, 4), struct.pack("<HHI", 0xC600, 1, 4))
        entries = struct.unpack_from("<H", whole, 8)[0]
        struct.pack_into("<I", whole, 10 + 12 * entries, 8)
        self.file("circle.tif", bytes(whole))
        self.assertIn(self.run_program("denoise", "circle.tif", "o.png").returncode, (0, INPUT))

    def test_ways(self):
        self.is_the_same_otherwise("a.dng", dng(lambda x, y: 9000 + 100 * x))


class Heic(FormatTest):
    FORMAT = "HEIC"

    def test_pixels(self):
        self.expect(self.picture("rgb.heic")[0], quadrants(), within=2)
        self.expect(self.picture("ten-bits.heic")[0], quadrants(maximum=65535, scale=257), within=260)
        wanted = quadrants(tuple((*colour, 255 if i % 2 == 0 else 51) for i, colour in enumerate(COLOURS)))
        self.expect(self.picture("rgba.heic")[0], wanted, within=2)

    def test_turned(self):
        """Where the file says how many bits its samples have, it says a rotation here."""
        whole = (PICTURES / "lossy.heic").read_bytes()
        self.assertEqual(whole.count(b"pixi\0"), 1)
        straight, _ = self.picture("lossy.heic")
        turned, _ = self.picture(whole.replace(b"pixi\0", b"irot\1"), name="turned.heic")
        self.expect(turned, rotated_left(straight))

    def test_metadata(self):
        picture, chunks = self.picture("metadata.heic")
        self.expect(picture, quadrants(), within=2)  # EXIF's orientation does not count in these files
        self.assertIn(b"Mirnet", chunks[b"eXIf"])

    def test_several_pictures(self):
        picture, _ = self.picture("two.heic", warns="it holds 2 pictures, of which the main one is taken")
        self.expect(picture, quadrants(), within=2)

    def test_refusals(self):
        whole = (PICTURES / "rgb.heic").read_bytes()
        self.refuses(whole, "--max-pixels", "191", says="the HEIC header says 16 x 12 pixels, and the limit is 191")
        self.refuses_what_is_not_whole("rgb.heic", "HEIC")

    def test_ways(self):
        self.is_the_same_otherwise("rgb.heic")

    def test_in_a_folder(self):
        (self.path / "folder").mkdir()
        shutil.copy(PICTURES / "metadata.heic", self.path / "folder" / "a.heic")
        self.succeeds("denoise", "folder", "--output-dir", "out", "--quiet")
        self.assertEqual([path.name for path in (self.path / "out").iterdir()], ["a.jpg"])

    def test_where_the_plugin_is(self):
        """Beside the program or in libexec; without it, a sentence says what is missing."""
        plugin = pathlib.Path(self.program).with_name("mirnet-heic")
        for folder in ("bin", "libexec/mirnet"):
            (self.path / folder).mkdir(parents=True)
        shutil.copy(self.program, self.path / "bin" / "mirnet")
        self.program = str(self.path / "bin" / "mirnet")
        for options in ((), ("--no-sandbox",)):
            self.refuses((PICTURES / "rgb.heic").read_bytes(), *options,
                         says="is a picture in HEIC, which the plug-in mirnet-heic decodes; it is not installed")
        self.assertRegex(self.succeeds("info"), r"(?m)^does not read +.*HEIC \(the plug-in mirnet-heic is not")
        shutil.copy(plugin, self.path / "libexec" / "mirnet")
        self.expect(self.picture("rgb.heic")[0], quadrants(), within=2)

    def test_the_plugin_alone(self):
        plugin = pathlib.Path(self.program).with_name("mirnet-heic")
        result = subprocess.run([plugin], capture_output=True)
        self.assertEqual(result.returncode, USAGE)
        self.assertRegex(result.stderr.decode(), r"\Amirnet-heic [\d.]+ is started by mirnet [\d.]+, to decode HEIC\n\Z")

    def test_the_program_links_nothing_of_it(self):
        if not shutil.which("readelf"):
            self.skipTest("needs readelf")
        dynamic = subprocess.run(["readelf", "--wide", "--dynamic", self.program], capture_output=True, text=True)
        self.assertNotRegex(dynamic.stdout, r"\[lib(heif|de265|x265)")


if __name__ == "__main__":
    unittest.main()
