"""What the tests of the program mirnet share: which program it is, how it is run, and pictures put together and read byte
by byte, by other code than the program's.

The program is the one that the environment variable MIRNET or the test's first argument names.
"""
import hashlib
import itertools
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MIRNET", str(ROOT / "build" / "release" / "mirnet"))
if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and os.path.isfile(sys.argv[1]):
    PROGRAM = os.path.abspath(sys.argv.pop(1))
WEIGHTS = ROOT / "weights" / "denoise.mirw"
WINDOWS = "MIRNET_WINDOWS" in os.environ  # the program is one for Windows, under Wine
SANITIZED = "MIRNET_SANITIZED" in os.environ  # then memory and time are not the program's own

USAGE, INPUT, MODEL, MEMORY, UNMET, PARTIAL, OUTPUT, CANCELLED = 2, 3, 4, 5, 6, 7, 8, 130


def with_slashes(output):
    """What the program printed, with the separators of POSIX in its paths. In JSON, where a backslash begins an escape
    sequence, a separator is two of them."""
    return output.replace(b"\\\\", b"/") if output[:1] in (b"{", b"[") else output.replace(b"\\", b"/")


# Pictures: width, height, and rows of samples, `channels` to a pixel.

class Picture:
    def __init__(self, width, height, channels, samples, maximum=255):
        self.width, self.height, self.channels = width, height, channels
        self.samples = list(samples)
        self.maximum = maximum

    def pixels(self):
        return [self.samples[i:i + self.channels] for i in range(0, len(self.samples), self.channels)]

    def rows(self):
        step = self.width * self.channels
        return [self.samples[i:i + step] for i in range(0, len(self.samples), step)]


def draw(width, height, channels, maximum=255):
    """A gradient with something like noise."""
    levels = ((x * 3 + y * 5 + c * 40 + (x * 31 + y * 17 + c * 7) % 41) % 256
              for y in range(height) for x in range(width) for c in range(channels))
    return Picture(width, height, channels, (level * maximum // 255 for level in levels), maximum)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(picture):
    bits = 8 if picture.maximum == 255 else 16
    code = "B" if bits == 8 else "H"
    raw = b"".join(b"\0" + struct.pack(f">{len(row)}{code}", *row) for row in picture.rows())
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[picture.channels]
    header = struct.pack(">IIBBBBB", picture.width, picture.height, bits, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(raw))
            + png_chunk(b"IEND", b""))


def png_chunks(data):
    """Kind and body of each chunk, whose checksums are looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        yield kind, body
        at += 12 + length


def read_png(data):
    """A PNG of 8 or 16 bits without interlacing."""
    chunks = list(png_chunks(data))
    width, height, bits, colour, *rest = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    assert bits in (8, 16) and rest == [0, 0, 0]
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    pixel = channels * bits // 8
    step = width * pixel
    above, samples = [0] * step, []
    for y in range(height):
        kind, row = raw[y * (step + 1)], list(raw[y * (step + 1) + 1:(y + 1) * (step + 1)])
        for x in range(step):
            left, up = (row[x - pixel] if x >= pixel else 0), above[x]
            corner = above[x - pixel] if x >= pixel else 0
            nearest = min((left, up, corner), key=lambda v: abs(left + up - corner - v))
            row[x] = (row[x] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
        samples += row if bits == 8 else struct.unpack(f">{step // 2}H", bytes(row))
        above = row
    return Picture(width, height, channels, samples, (1 << bits) - 1)


def pnm(picture):
    code = "B" if picture.maximum < 256 else "H"
    kind = {1: "P5", 3: "P6"}[picture.channels]
    return (f"{kind}\n{picture.width} {picture.height}\n{picture.maximum}\n".encode()
            + struct.pack(f">{len(picture.samples)}{code}", *picture.samples))


def read_pnm(data):
    kind, width, height, maximum, raster = data.split(maxsplit=3)[:3] + data.split(b"\n", 3)[2:]
    channels = {b"P5": 1, b"P6": 3}[kind]
    width, height, maximum = int(width), int(height), int(maximum)
    count = width * height * channels
    return Picture(width, height, channels, struct.unpack(f">{count}{'B' if maximum < 256 else 'H'}", raster), maximum)


def pam(picture):
    kind = ("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA")[picture.channels - 1]
    return (f"P7\nWIDTH {picture.width}\nHEIGHT {picture.height}\nDEPTH {picture.channels}\n"
            f"MAXVAL {picture.maximum}\nTUPLTYPE {kind}\nENDHDR\n".encode()
            + struct.pack(f">{len(picture.samples)}{'B' if picture.maximum < 256 else 'H'}", *picture.samples))


def read_pam(data):
    header, raster = data.split(b"ENDHDR\n", 1)
    fields = dict(line.split() for line in header.splitlines()[1:])
    width, height, channels, maximum = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    count = width * height * channels
    return Picture(width, height, channels, struct.unpack(f">{count}{'B' if maximum < 256 else 'H'}", raster), maximum)


def pfm(width, height, channels, samples, order="<"):
    rows = [samples[i:i + width * channels] for i in range(0, len(samples), width * channels)]
    header = f"{'PF' if channels == 3 else 'Pf'}\n{width} {height}\n{'-' if order == '<' else ''}1.0\n".encode()
    return header + b"".join(struct.pack(f"{order}{len(row)}f", *row) for row in reversed(rows))


def read_pfm(data):
    kind, size, scale, raster = data.split(b"\n", 3)
    width, height = map(int, size.split())
    assert float(scale) == -1.0
    step = width * (3 if kind == b"PF" else 1)
    floats = struct.unpack(f"<{step * height}f", raster)
    return [v for y in reversed(range(height)) for v in floats[y * step:(y + 1) * step]]


def bmp(picture):
    rows = []
    for row in reversed(picture.rows()):
        line = b"".join(bytes(row[i:i + 3][::-1]) for i in range(0, len(row), 3))
        rows.append(line + b"\0" * (-len(line) % 4))
    raster = b"".join(rows)
    return (b"BM" + struct.pack("<I4xI", 54 + len(raster), 54)
            + struct.pack("<IiiHHII16x", 40, picture.width, picture.height, 1, 24, 0, len(raster)) + raster)


def read_bmp(data):
    start, _, width, height = struct.unpack_from("<IIii", data, 10)
    step = (3 * width + 3) // 4 * 4
    samples = []
    for y in reversed(range(height)):
        row = data[start + y * step:start + y * step + 3 * width]
        samples += itertools.chain.from_iterable(row[i:i + 3][::-1] for i in range(0, 3 * width, 3))
    return Picture(width, height, 3, samples)


def tga(picture, run_lengths=False):
    kind = {1: 3, 3: 2, 4: 2}[picture.channels] + (8 if run_lengths else 0)
    header = struct.pack("<2xB9xHHBB", kind, picture.width, picture.height, 8 * picture.channels, 0x20)
    body = b""
    for pixel in picture.pixels():
        sample = bytes(pixel[2::-1] + pixel[3:])
        body += b"\x80" + sample if run_lengths else sample
    return header + body


# Metadata.

def result_mark(data):
    """The mark of a result in EXIF data (ProcessingSoftware), and the data without it, whose first directory was at 8."""
    order = "<" if data[:2] == b"II" else ">"
    start, = struct.unpack_from(order + "I", data, 4)
    count, = struct.unpack_from(order + "H", data, start)
    entries = [data[start + 2 + 12 * i:start + 14 + 12 * i] for i in range(count)]
    assert [entry[:2] for entry in entries] == sorted((entry[:2] for entry in entries),
                                                      key=lambda tag: struct.unpack(order + "H", tag))
    mark, = (entry for entry in entries if struct.unpack_from(order + "H", entry)[0] == 0x000B)
    kind, length, offset = struct.unpack_from(order + "HII", mark, 2)
    assert (kind, offset + length) == (2, len(data))
    entries.remove(mark)
    assert data[start + 2 + 12 * count:offset] == bytes(4)  # no directory after it
    text = data[offset:offset + length - 1].decode()
    if start == 8:
        return text, b""
    before, = struct.unpack_from(order + "H", data, 8)
    assert entries == [data[10 + 12 * i:22 + 12 * i] for i in range(before)]
    return text, data[:4] + struct.pack(order + "I", 8) + data[8:start]


def exif(orientation, order="<", thumbnail=b""):
    """A TIFF structure with a camera's name and an orientation, and a directory for a thumbnail."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    name = b"A camera\0"
    directory = struct.pack(order + "HHHIIHHIHHI", 2, 0x010F, 2, len(name), 38, 0x0112, 3, 1, orientation, 0,
                            38 + len(name) if thumbnail else 0)
    return mark + struct.pack(order + "I", 8) + directory + name + thumbnail


def with_png_chunks(data, *chunks):
    """A PNG with more chunks behind its header."""
    return data[:33] + b"".join(png_chunk(kind, body) for kind, body in chunks) + data[33:]


def profile(size):
    """A colour profile that libpng takes: the header of an RGB display, and one tag of data that do not compress."""
    data = b"".join(hashlib.sha256(struct.pack(">I", i)).digest() for i in range((size - 144) // 32 + 1))[:size - 144]
    return (struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
            + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
            + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
            + struct.pack(">I4sII", 1, b"test", 144, size - 144) + data)


# Weight files.

CRC_TABLE = [0] * 256
for number in range(256):
    register = number
    for _ in range(8):
        register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    CRC_TABLE[number] = register


def crc32c(data):
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ CRC_TABLE[(register ^ byte) & 255]
    return register ^ 0xFFFFFFFF


def with_header_checksum(weights):
    """The weight file with the checksum that its header, table and strings call for."""
    strings_off, = struct.unpack_from("<Q", weights, 88)
    strings_size, = struct.unpack_from("<I", weights, 124)
    covered = weights[:32] + weights[36:strings_off + strings_size]
    return weights[:32] + struct.pack("<I", crc32c(covered)) + weights[36:]


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name).resolve()
        self.program = PROGRAM
        self.environment = {name: value for name, value in os.environ.items() if name != "MIRNET_WEIGHTS"}

    def file(self, name, content):
        (self.path / name).write_bytes(content)
        return name

    def run_program(self, *arguments, timeout=120):
        result = subprocess.run([self.program, *map(str, arguments)], cwd=self.path, env=self.environment,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        if WINDOWS:
            result.stderr = with_slashes(re.sub(rb"wine client error:[^\n]*\n?", b"", result.stderr))  # Wine's own
            result.stdout = with_slashes(result.stdout)
        return result

    def succeeds(self, *arguments):
        result = self.run_program(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""), arguments)
        return result.stdout.decode()

    def denoises(self, name, content, output="out.png", *options):
        """The bytes of the output."""
        self.file(name, content)
        self.succeeds("denoise", name, "-o", output, "--quiet", "--overwrite", *options)
        return (self.path / output).read_bytes()

    def fails(self, code, *arguments, says=""):
        """One line on the standard error, nothing on the other, and no file more or less than before."""
        before = sorted(os.listdir(self.path))
        result = self.run_program(*arguments)
        message = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, code, (arguments, message))
        self.assertRegex(message, r"\Amirnet: [^\n]+\n\Z", arguments)
        self.assertIn(says, message)
        self.assertEqual(result.stdout, b"", arguments)
        self.assertEqual(sorted(os.listdir(self.path)), before, arguments)
        return message
