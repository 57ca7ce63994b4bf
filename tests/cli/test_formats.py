#!/usr/bin/env python3
"""TIFF and WebP as the program reads and writes them, against files put together and read here byte by byte, and
against Pillow where it is there: MIRNET=build/release/mirnet python3 tests/cli/test_formats.py -v

With --strength 0 the pixels stay as they are, so results can be compared with what was in the file.
"""
import io
import struct
import unittest
import zlib

from program import (INPUT, OUTPUT, USAGE, Picture, ProgramTest, draw, exif, png, png_chunks, profile,
                     read_png, result_mark, with_png_chunks)

try:
    import PIL.Image
except ImportError:
    PIL = None

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD8 = 1, 2, 3, 4, 5, 7, 18
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, IFD8: 8}
XMP_TEXT = b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><?xpacket end='w'?>"
IPTC_RECORDS = b"\x1c\x02\x00\x00\x02\x00\x04" + b"\x1c\x02\x5a\x00\x04Rome" + b"\x1c\x02\x19\x00\x03sea"


# Writing: a directory is a dictionary of tags; values are (type, values), bytes (UNDEFINED) or another directory.

def directory(entries, at, order, big=False, following=0):
    """The bytes of a directory that stands at `at`, with what belongs to it."""
    room = 8 if big else 4
    size = 8 + 20 * len(entries) + 8 if big else 2 + 12 * len(entries) + 4
    head = struct.pack(order + ("Q" if big else "H"), len(entries))
    tail = b""
    for tag, entry in sorted(entries.items()):
        if isinstance(entry, dict):
            body = directory(entry, at + size + len(tail), order, big)
            kind = IFD8 if big else LONG
            head += struct.pack(order + ("HHQQ" if big else "HHII"), tag, kind, 1, at + size + len(tail))
            tail += body + b"\0" * (len(body) % 2)
            continue
        kind, values = (UNDEFINED, entry) if isinstance(entry, bytes) else entry
        if isinstance(values, bytes):
            body, count = values, len(values) // SIZES[kind]
        elif kind == RATIONAL:
            body, count = b"".join(struct.pack(order + "II", *value) for value in values), len(values)
        else:
            body = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
            count = len(values)
        head += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count)
        if len(body) <= room:
            head += body + b"\0" * (room - len(body))
        else:
            head += struct.pack(order + ("Q" if big else "I"), at + size + len(tail))
            tail += body + b"\0" * (len(body) % 2)
    return head + struct.pack(order + ("Q" if big else "I"), following) + tail


def packed(samples, bits, order):
    """Rows of samples, the first bits first."""
    if bits in (16, 32):
        return struct.pack(f"{order}{len(samples)}{'H' if bits == 16 else 'I'}", *samples)
    text = "".join(f"{sample:0{bits}b}" for sample in samples)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def differences(row, channels, order, bits):
    whole = (1 << bits) - 1
    return [(v - (row[i - channels] if i >= channels else 0)) & whole for i, v in enumerate(row)]


def tiff(pages, order="<", big=False):
    """A file of (entries, pieces of pixels, whether these are tiles)."""
    data = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42))
    data += struct.pack(order + "HHQ", 8, 0, 0) if big else struct.pack(order + "I", 0)
    link = 8 if big else 4
    for entries, pieces, tiled in pages:
        offsets = []
        for piece in pieces:
            offsets.append(len(data))
            data += piece + b"\0" * (len(piece) % 2)
        where, sizes = (324, 325) if tiled else (273, 279)
        entries = {**entries, where: (LONG, offsets), sizes: (LONG, [len(piece) for piece in pieces])}
        struct.pack_into(order + ("Q" if big else "I"), data, link, len(data))
        at = len(data)
        link = at + (8 + 20 * len(entries) if big else 2 + 12 * len(entries))
        data += directory(entries, at, order, big)
    return bytes(data)


def page(picture, *, bits=None, photometric=None, compression=1, predictor=1, planar=1, tile=None, rows=4, order="<",
         extra=(), more=None):
    """What tiff() takes of a picture whose samples are those in the file."""
    bits = bits or (8 if picture.maximum == 255 else 16)
    channels = picture.channels
    colours = channels - len(extra)
    if photometric is None:
        photometric = 2 if colours == 3 else 1
    planes = [range(c, c + 1) for c in range(channels)] if planar == 2 else [range(channels)]
    pieces = []
    for plane in planes:
        lines = [[v for x in range(picture.width) for v in row[x * channels + plane[0]:x * channels + plane[-1] + 1]]
                 for row in picture.rows()]
        width, height = tile or (picture.width, rows)
        for y in range(0, picture.height, height):
            for x in range(0, picture.width, width):
                piece = b""
                block = [line[x * len(plane):(x + width) * len(plane)] for line in lines[y:y + height]]
                if tile:
                    block = [line + [0] * (width * len(plane) - len(line)) for line in block]
                    block += [[0] * (width * len(plane))] * (height - len(block))
                for line in block:
                    if predictor == 2:
                        line = differences(line, len(plane), order, bits)
                    piece += packed(line, bits, order)
                pieces.append(zlib.compress(piece) if compression == 8 else piece)
    entries = {256: (LONG, [picture.width]), 257: (LONG, [picture.height]), 258: (SHORT, [bits] * channels),
               259: (SHORT, [compression]), 262: (SHORT, [photometric]), 277: (SHORT, [channels]),
               284: (SHORT, [planar]), **(more or {})}
    if predictor != 1:
        entries[317] = (SHORT, [predictor])
    if extra:
        entries[338] = (SHORT, list(extra))
    if tile:
        entries |= {322: (SHORT, [tile[0]]), 323: (SHORT, [tile[1]])}
    else:
        entries[278] = (SHORT, [rows])
    return entries, pieces, tile is not None


def one_page(picture, order="<", big=False, **kind):
    return tiff([page(picture, order=order, **kind)], order, big)


# Reading what the program writes: strips, deflate and the predictor.

def read_directory(data, at=None):
    """Tags with (type, bytes), and the byte order."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    assert struct.unpack_from(order + "H", data, 2)[0] == 42
    if at is None:
        at, = struct.unpack_from(order + "I", data, 4)
    count, = struct.unpack_from(order + "H", data, at)
    found, tags = {}, []
    for i in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, i)
        size = SIZES[kind] * values
        where = i + 8 if size <= 4 else struct.unpack_from(order + "I", data, i + 8)[0]
        assert where + size <= len(data)
        found[tag] = kind, data[where:where + size]
        tags.append(tag)
    assert tags == sorted(set(tags)), tags
    assert struct.unpack_from(order + "I", data, at + 2 + 12 * count)[0] == 0
    return found, order


def numbers(entry, order):
    kind, body = entry
    count = len(body) // (2 if kind == SHORT else 4)  # rationals are two numbers
    return list(struct.unpack(f"{order}{count}{'H' if kind == SHORT else 'I'}", body))


def read_tiff(data):
    entries, order = read_directory(data)
    (width,), (height,), bits, (channels,), (rows,) = (
        numbers(entries[tag], order) for tag in (256, 257, 258, 277, 278))
    assert len(set(bits)) == 1 and len(bits) == channels
    assert numbers(entries[259], order) == [8] and numbers(entries[317], order) == [2]
    assert numbers(entries[274], order) == [1]
    assert numbers(entries[262], order) == [2 if channels > 2 else 1]
    assert (numbers(entries[338], order) if 338 in entries else []) == ([2] if channels in (2, 4) else [])
    whole, code = (1 << bits[0]) - 1, "B" if bits[0] == 8 else "H"
    samples = []
    for at, size in zip(numbers(entries[273], order), numbers(entries[279], order)):
        strip = zlib.decompress(data[at:at + size])
        step = width * channels * bits[0] // 8
        for y in range(0, len(strip), step):
            line = list(struct.unpack(f"{order}{width * channels}{code}", strip[y:y + step]))
            for i in range(channels, len(line)):
                line[i] = (line[i] + line[i - channels]) & whole
            samples += line
    assert rows >= 1 and len(samples) == width * height * channels
    return Picture(width, height, channels, samples, whole)


def described(order="<"):
    """EXIF data with directories inside of the first, as a TIFF structure and as the entries of its directories."""
    notes = bytes(range(200))
    camera = {0x829A: (RATIONAL, [(1, 3)]), 0x9003: (ASCII, b"2026:01:02 03:04:05\0"), 0x927C: notes,
              0xA005: {0x0001: (ASCII, b"R98\0")}, 0xA420: (ASCII, b"number\0")}
    place = {0x0001: (ASCII, b"N\0"), 0x0002: (RATIONAL, [(48, 1), (8, 1), (1234, 100)])}
    first = {0x010E: (ASCII, b"A description\0"), 0x010F: (ASCII, b"Maker\0"), 0x0110: (ASCII, b"A model\0"),
             0x0131: (ASCII, b"A program\0"), 0x0132: (ASCII, b"2026:01:02 03:04:06\0"), 0x013B: (ASCII, b"Somebody\0"),
             0x8298: (ASCII, b"Nobody\0"), 0x8769: camera, 0x8825: place}
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return header + directory(first, 8, order), first


class FormatTest(ProgramTest):
    """Tests of a format that the program may be built without."""
    START = b""

    def setUp(self):
        super().setUp()
        self.file("start", self.START)
        if b"it lacks lib" in self.run_program("denoise", "start", "o.png").stderr:
            self.skipTest("the program is built without it")
        (self.path / "start").unlink()


class Tiff(FormatTest):
    START = b"II*\0"

    def same(self, content, expected, *options):
        """The file's pixels, without the network's work on them."""
        out = read_png(self.denoises("in.tif", content, "out.png", "--strength", "0", *options))
        self.assertEqual((out.width, out.height, out.channels, out.maximum),
                         (expected.width, expected.height, expected.channels, expected.maximum))
        self.assertEqual(out.samples, expected.samples)

    def test_gray_and_colours_with_and_without_alpha(self):
        for maximum in (255, 65535):
            for channels in (1, 2, 3, 4):
                picture = draw(13, 9, channels, maximum)
                extra = (2,) if channels in (2, 4) else ()
                for order in "<>":
                    for kind in ({}, {"compression": 8, "predictor": 2}, {"planar": 2, "rows": 9},
                                 {"tile": (16, 16), "compression": 8}, {"tile": (16, 16), "planar": 2, "predictor": 2,
                                                                        "compression": 8}):
                        with self.subTest(maximum=maximum, channels=channels, order=order, **kind):
                            self.same(one_page(picture, order, extra=extra, **kind), picture)

    def test_big_tiff(self):
        for order in "<>":
            picture = draw(13, 9, 3, 65535)
            self.same(one_page(picture, order, big=True), picture)

    def test_few_bits(self):
        for bits in (1, 2, 4, 10, 12):
            most = (1 << bits) - 1
            stored = draw(13, 9, 1, most)
            white = 255 if bits <= 8 else 65535
            light = [(v * white + most // 2) // most for v in stored.samples]
            with self.subTest(bits=bits):
                self.same(one_page(stored, bits=bits), Picture(13, 9, 1, light, white))
                dark = Picture(13, 9, 1, [white - v for v in light], white)
                self.same(one_page(stored, bits=bits, photometric=0), dark)

    def test_palette(self):
        colours = [(i * 17, 255 - i * 9, i * 5) for i in range(16)]
        stored = draw(13, 9, 1, 15)
        expected = Picture(13, 9, 3, [v for i in stored.samples for v in colours[i]])
        for scale in (257, 1):  # 16 bits, as it should be, and 8, as some have it
            palette = (SHORT, [colour[c] * scale for c in range(3) for colour in colours])
            self.same(one_page(stored, bits=4, photometric=3, more={320: palette}), expected)
        self.file("in.tif", one_page(stored, bits=4, photometric=3))
        self.fails(INPUT, "denoise", "in.tif", "o.png", says="in.tif: damaged TIFF file: ")

    def test_premultiplied(self):
        alphas = [0, 1, 100, 255]
        stored = Picture(4, 1, 4, [v for a in alphas for v in (a, a * 3 // 4, 0, a)])
        expected = Picture(4, 1, 4, [0, 0, 0, 0, 255, 0, 0, 1, 255, 191, 0, 100, 255, 191, 0, 255])
        self.same(one_page(stored, extra=(1,)), expected)

    def test_other_channels_are_left_out(self):
        stored = draw(13, 9, 5)
        self.file("in.tif", one_page(stored, extra=(0, 2)))
        result = self.run_program("denoise", "in.tif", "o.png", "--strength", "0")
        self.assertIn(b"in.tif: channels beside colours and transparency are left out", result.stderr)
        expected = [v for pixel in stored.pixels() for v in pixel[:3] + pixel[4:]]
        self.assertEqual(read_png((self.path / "o.png").read_bytes()).samples, expected)

    def test_cmyk(self):
        stored = Picture(3, 1, 4, [0, 0, 0, 0, 255, 0, 51, 0, 0, 102, 0, 127])
        self.file("in.tif", one_page(stored, photometric=5))
        result = self.run_program("denoise", "in.tif", "o.png", "--strength", "0")
        self.assertIn(b"a CMYK picture, converted to RGB", result.stderr)
        light = read_png((self.path / "o.png").read_bytes())
        self.assertEqual(light.samples, [255, 255, 255, 0, 255, 204, 128, 77, 128])

    def test_floats(self):
        values = [0.0, 0.25, 0.5, 1.0]
        entries, _, _ = page(Picture(4, 1, 1, [0] * 4, 65535), bits=32, more={339: (SHORT, [3])})
        self.same(tiff([(entries, [struct.pack("<4f", *values)], False)]),
                  Picture(4, 1, 1, [round(v * 65535) for v in values], 65535))
        for wrong, says in ((float("nan"), "not a finite number"), (3e8, "white is 1"), (-200.0, "white is 1")):
            self.file("in.tif", tiff([(entries, [struct.pack("<4f", 0, 0, wrong, 0)], False)]))
            self.fails(INPUT, "denoise", "in.tif", "o.png", says=says)

    def test_pages(self):
        first, second, small = draw(13, 9, 3), draw(11, 7, 3), draw(4, 3, 3)
        reduced = {254: (LONG, [1])}
        self.same(tiff([page(small, more=reduced), page(first), page(small, more=reduced)]), first)
        self.file("in.tif", tiff([page(first), page(second)]))
        result = self.run_program("denoise", "in.tif", "o.png", "--strength", "0")
        self.assertEqual(result.stderr, b"mirnet: warning: in.tif: more than one page, of which the first is taken\n")
        self.assertEqual(read_png((self.path / "o.png").read_bytes()).samples, first.samples)
        self.file("in.tif", tiff([page(small, more=reduced)]))
        self.fails(INPUT, "denoise", "in.tif", "p.png", says="a small copy of a picture and without the picture")

    def test_results(self):
        for maximum in (255, 65535):
            for channels in (1, 2, 3, 4):
                picture = draw(130, 90, channels, maximum)
                data = self.denoises("in.png", png(picture), "o.tif", "--strength", "0")
                out = read_tiff(data)
                self.assertEqual((out.channels, out.maximum, out.samples), (channels, maximum, picture.samples))
        self.denoises("in.tif", one_page(draw(13, 9, 3)), "o.tiff")
        data = self.denoises("in.tif", one_page(draw(13, 9, 3, 65535)), "o.tif", "--depth", "8")
        self.assertEqual(read_tiff(data).maximum, 255)

    def test_orientation(self):
        picture = draw(4, 3, 1)
        turned = Picture(3, 4, 1, [picture.samples[(2 - x) * 4 + y] for y in range(4) for x in range(3)])
        more = {274: (SHORT, [6]), 282: (RATIONAL, [(300, 1)]), 283: (RATIONAL, [(150, 1)])}
        data = self.denoises("in.tif", one_page(picture, more=more), "o.tif", "--strength", "0")
        out = read_tiff(data)
        self.assertEqual((out.width, out.height, out.samples), (3, 4, turned.samples))
        entries, order = read_directory(data)
        self.assertEqual(numbers(entries[282], order) + numbers(entries[283], order), [150, 1, 300, 1])
        self.assertEqual(numbers(entries[296], order), [2])

    def test_exif_is_kept(self):
        for order in "<>":
            content, first = described(order)
            picture = with_png_chunks(png(draw(8, 8, 3)), (b"eXIf", content))
            data = self.denoises("in.png", picture, "there.tif")
            self.assertEqual(data[:2], content[:2])  # makers' notes may rely on it
            self.has(data, first, order)
            # From TIFF to PNG and from TIFF to TIFF.
            again = self.denoises("there.tif", data, "again.tif")
            self.has(again, first, order)
            kept = dict(png_chunks(self.denoises("there.tif", data, "back.png")))[b"eXIf"]
            self.has(kept, first, order)

    def has(self, data, expected, order, at=None):
        found, found_order = read_directory(data, at)
        self.assertEqual(found_order, order)
        for tag, entry in expected.items():
            if isinstance(entry, dict):
                self.has(data, entry, order, numbers(found[tag], order)[0])
                continue
            kind, values = (UNDEFINED, entry) if isinstance(entry, bytes) else entry
            if kind == RATIONAL:
                values = b"".join(struct.pack(order + "II", *value) for value in values)
            self.assertEqual(found[tag], (kind, values), hex(tag))

    def test_profile_xmp_iptc_and_resolution(self):
        icc = profile(1000)
        more = {282: (RATIONAL, [(118, 1)]), 283: (RATIONAL, [(59, 1)]), 296: (SHORT, [3]), 700: (BYTE, XMP_TEXT),
                33723: (LONG, IPTC_RECORDS + b"\0" * (-len(IPTC_RECORDS) % 4)), 34675: icc}
        for order in "<>":
            for big in (False, True):
                content = one_page(draw(8, 8, 3), order, big, more=more)
                entries, written = read_directory(self.denoises("in.tif", content, "o.tif"))
                self.assertEqual(entries[700], (BYTE, XMP_TEXT))
                self.assertEqual(entries[33723][1].rstrip(b"\0"), IPTC_RECORDS)
                self.assertEqual(entries[34675], (UNDEFINED, icc))
                self.assertEqual(numbers(entries[296], written), [2])
                for tag, per_centimetre in ((282, 118), (283, 59)):
                    above, below = numbers(entries[tag], written)
                    self.assertAlmostEqual(above / below, per_centimetre * 2.54, places=2)
        # Photoshop's resources hold the records, too.
        resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC_RECORDS)) + IPTC_RECORDS
        content = one_page(draw(8, 8, 3), more={34377: resources})
        entries, _ = read_directory(self.denoises("in.tif", content, "o.tif"))
        self.assertEqual(entries[33723][1].rstrip(b"\0"), IPTC_RECORDS)

    def test_no_thumbnail_stays(self):
        small = draw(4, 3, 3)
        secret = bytes(small.samples)
        content = tiff([page(draw(8, 8, 3)), page(small, rows=3, more={254: (LONG, [1])})])
        self.assertIn(secret, content)
        for output in ("o.tif", "o.png"):
            self.assertNotIn(secret, self.denoises("in.tif", content, output))

    def test_refusals(self):
        whole = one_page(draw(40, 30, 3), compression=8)
        for end in list(range(4, len(whole), len(whole) // 20)) + [len(whole) - 1]:
            self.file("in.tif", whole[:end])
            self.fails(INPUT, "denoise", "in.tif", "o.png", says="in.tif: ")
        for kind, says in (({"bits": 32}, "samples of 32 bits"), ({"photometric": 8}, "samples of kind 8"),
                           ({"compression": 60000}, "compressed by method 60000"),
                           ({"more": {339: (SHORT, [2])}}, "signed samples of 8 bits"),
                           ({"photometric": 5}, "too few for its colours")):
            self.file("in.tif", one_page(draw(8, 8, 3), **kind))
            self.fails(INPUT, "denoise", "in.tif", "o.png", says=says)
        self.file("in.tif", one_page(draw(8, 8, 3)))
        self.fails(INPUT, "denoise", "in.tif", "o.png", "--max-pixels", "63", says="8 x 8 pixels")
        entries, pieces, _ = page(draw(8, 8, 3))
        for wrong in ({256: (LONG, [0xFFFFFFFF])}, {257: (LONG, [0x7FFFFFFF])}, {277: (SHORT, [65535])},
                      {256: (LONG, [0])}, {322: (LONG, [1 << 30]), 323: (LONG, [1 << 30])}):
            self.file("in.tif", tiff([({**entries, **wrong}, pieces, 322 in wrong)]))
            self.fails(INPUT, "denoise", "in.tif", "o.png", says="in.tif: ")

    @unittest.skipUnless(PIL, "needs Pillow")
    def test_what_pillow_writes(self):
        picture = draw(61, 47, 3)
        image = PIL.Image.frombytes("RGB", (61, 47), bytes(picture.samples))
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
            file = io.BytesIO()
            stored = image.convert("1") if compression == "group4" else image
            stored.save(file, "TIFF", compression=compression)
            expected = PIL.Image.open(io.BytesIO(file.getvalue()))
            expected = expected.convert("L" if compression == "group4" else "RGB")
            out = read_png(self.denoises("in.tif", file.getvalue(), "o.png", "--strength", "0"))
            self.assertEqual(bytes(out.samples), expected.tobytes(), compression)

    @unittest.skipUnless(PIL, "needs Pillow")
    def test_pillow_reads_it(self):
        content, _ = described()
        picture = draw(61, 47, 3)
        data = self.denoises("in.png", with_png_chunks(png(picture), (b"eXIf", content)), "o.tif", "--strength", "0")
        image = PIL.Image.open(io.BytesIO(data))
        self.assertEqual(image.tobytes(), bytes(picture.samples))
        self.assertEqual(image.tag_v2[0x010F], "Maker")


def webp_chunks(data):
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP" and struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    at, found = 12, {}
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found[name] = data[at + 8:at + 8 + size]
        at += 8 + size + size % 2
    return found


class WebP(FormatTest):
    START = b"RIFF\0\0\0\0WEBP"

    def written(self, picture, *options):
        return self.denoises("in.png", png(picture), "o.webp", "--strength", "0", *options)

    def read(self, content):
        return read_png(self.denoises("in.webp", content, "o.png", "--strength", "0"))

    def test_without_loss(self):
        for channels in (1, 2, 3, 4):
            picture = draw(37, 21, channels)
            content = self.written(picture, "--lossless")
            self.assertIn(b"VP8L", webp_chunks(content))
            out = self.read(content)
            # There is no gray in it. Colours stay where nobody sees them.
            expected = picture.samples if channels > 2 else [
                v for pixel in picture.pixels() for v in pixel[:1] * 3 + pixel[1:]]
            self.assertEqual((out.channels, out.samples), (3 if channels in (1, 3) else 4, expected))

    def test_alpha_of_zero_keeps_its_colours(self):
        picture = Picture(8, 8, 4, [v for i in range(64) for v in (i, 255 - i, 7, 0)])
        self.assertEqual(self.read(self.written(picture, "--lossless")).samples, picture.samples)

    def test_with_loss(self):
        picture = Picture(64, 64, 3, [v for y in range(64) for x in range(64) for v in (x * 2, y * 2, 90)])
        sizes = [len(self.written(picture, "--quality-jpeg", str(quality))) for quality in (20, 60, 95)]
        self.assertEqual(sizes, sorted(sizes))
        content = self.written(picture)
        self.assertIn(b"VP8 ", webp_chunks(content))
        out = self.read(content)
        self.assertLess(max(abs(a - b) for a, b in zip(out.samples, picture.samples)), 16)

    def test_a_result_is_as_the_photograph(self):
        picture = draw(16, 16, 3)
        for options, chunk in (((), b"VP8 "), (("--lossless",), b"VP8L")):
            content = self.written(picture, *options)
            for more, expected in (((), chunk), (("--lossless",), b"VP8L"), (("--lossy",), b"VP8 ")):
                again = self.denoises("in.webp", content, "o2.webp", *more)
                self.assertIn(expected, webp_chunks(again), (options, more))
        self.file("in.png", png(picture))
        self.fails(USAGE, "denoise", "in.png", "o.jpg", "--lossless", says="--lossless: a JPEG is never without loss")
        self.fails(USAGE, "denoise", "in.png", "p.webp", "--lossless", "--lossy", says="--loss")
        self.succeeds("denoise", "in.png", "o3.png", "--lossless", "--quiet")

    def test_metadata(self):
        content, _ = described()
        icc = profile(1000)
        source = with_png_chunks(png(draw(8, 8, 3)), (b"iCCP", b"x\0\0" + zlib.compress(icc)), (b"eXIf", content),
                                 (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_TEXT))
        for options in ((), ("--lossless",)):
            chunks = webp_chunks(self.denoises("in.png", source, "o.webp", *options))
            self.assertEqual((chunks[b"ICCP"], chunks[b"XMP "]), (icc, XMP_TEXT))
            self.assertEqual(result_mark(chunks[b"EXIF"])[1][:len(content)], content)
            kept = webp_chunks(self.denoises("in.webp", (self.path / "o.webp").read_bytes(), "o2.webp"))
            self.assertEqual((kept[b"ICCP"], kept[b"XMP "]), (icc, XMP_TEXT))
            self.assertEqual(result_mark(kept[b"EXIF"])[1][:len(content)], content)

    def test_orientation_and_the_mark_of_jpegs(self):
        picture = draw(4, 3, 3)
        pixels = webp_chunks(self.written(picture, "--lossless"))[b"VP8L"]
        pixels = b"VP8L" + struct.pack("<I", len(pixels)) + pixels + b"\0" * (len(pixels) % 2)
        for mark in (b"", b"Exif\0\0"):
            body = mark + exif(3)
            head = b"VP8X" + struct.pack("<II", 10, 8) + struct.pack("<I", 3)[:3] + struct.pack("<I", 2)[:3]
            chunks = head + pixels + b"EXIF" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
            content = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
            out = self.read(content)
            self.assertEqual(out.pixels(), picture.pixels()[::-1])

    def test_refusals(self):
        whole = self.written(draw(40, 30, 3), "--lossless")
        for end in list(range(12, len(whole), len(whole) // 20)) + [len(whole) - 2]:
            self.file("in.webp", whole[:end])
            self.fails(INPUT, "denoise", "in.webp", "p.png", says="in.webp: truncated WebP file")
        self.file("in.webp", whole)
        self.fails(INPUT, "denoise", "in.webp", "p.png", "--max-pixels", "1199", says="40 x 30 pixels")
        size = struct.pack("<I", 39)[:3] + struct.pack("<I", 29)[:3]
        frame = bytes(6) + size + bytes(4) + whole[12:]
        chunks = (b"VP8X" + struct.pack("<II", 10, 2) + size
                  + b"ANIM" + struct.pack("<IIH", 6, 0, 0) + b"ANMF" + struct.pack("<I", len(frame)) + frame)
        self.file("in.webp", b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks)
        self.fails(INPUT, "denoise", "in.webp", "p.png", says="in.webp: an animation; expected a still picture")
        self.file("wide.png", png(Picture(16384, 1, 1, [0] * 16384)))
        self.fails(OUTPUT, "denoise", "wide.png", "p.webp", says="the sides of a WebP have at most 16383")
        self.file("deep.png", png(draw(8, 8, 3, 65535)))
        self.fails(USAGE, "denoise", "deep.png", "p.webp", "--depth", "16", says="a WebP holds 8 bits a sample")

    def test_what_it_does_not_hold_is_said(self):
        self.file("in.tif", one_page(draw(8, 8, 3), more={282: (RATIONAL, [(300, 1)]), 283: (RATIONAL, [(300, 1)]),
                                                          33723: (UNDEFINED, IPTC_RECORDS)}))
        result = self.run_program("denoise", "in.tif", "o.webp")
        self.assertEqual((result.returncode, result.stderr.count(b"\n")), (0, 1))
        self.assertIn(b"in.tif: a WebP does not hold IPTC data", result.stderr)

    @unittest.skipUnless(PIL, "needs Pillow")
    def test_pillow(self):
        picture = draw(61, 47, 4)
        image = PIL.Image.frombytes("RGBA", (61, 47), bytes(picture.samples))
        for options in ({"lossless": True, "exact": True}, {"quality": 80}):
            file = io.BytesIO()
            image.save(file, "WEBP", **options)
            expected = PIL.Image.open(io.BytesIO(file.getvalue())).tobytes()
            self.assertEqual(bytes(self.read(file.getvalue()).samples), expected)
        content = self.written(picture, "--lossless")
        self.assertEqual(PIL.Image.open(io.BytesIO(content)).tobytes(), bytes(picture.samples))


if __name__ == "__main__":
    unittest.main()
