"""JPEG and PNG files with their metadata, read and written as `mirnet denoise` does it: results hold the same pixels,
the right way up, with colour profile, EXIF, XMP, IPTC data and resolution. Pillow decodes pixels and encodes JPEG; what
Pillow drops or rounds (16 bits of colours, makers' notes in EXIF) is handled here. Whatever the program converts and
this does not, such as other colour spaces, is refused with Unsupported, never restored differently.
"""
import io
import struct
import zlib

import numpy as np
from PIL import ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin
from PIL.Image import fromarray

from listing import Refused


class Unsupported(Refused):
    """A picture that the program restores and this does not."""

    def __init__(self, message):
        super().__init__(3, message)


EXIF, XMP, XMP_MORE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/"
PROFILE, RESOURCES = b"ICC_PROFILE\0", b"Photoshop 3.0\0"
MOST_IN_A_SEGMENT = 65533
MOST_OF_A_KIND = MOST_IN_A_SEGMENT - len(XMP)  # of metadata in a JPEG
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_IN_IDAT = 1 << 20
XMP_KEYWORD = b"XML:com.adobe.xmp"
INCH = 0.0254


class Metadata:
    def __init__(self):
        self.icc = self.exif = self.xmp = self.iptc = b""
        self.resolution = (0.0, 0.0, True)  # across, down; an inch, or only how they compare
        self.tags = {}  # what PNG's chunks say of colours: cICP, sRGB, gAMA, cHRM


class Picture:
    """An upright picture: `samples` of uint8 or uint16, (height, width) or (height, width, channels)."""

    def __init__(self, kind, samples, metadata, warnings):
        self.kind, self.samples, self.metadata, self.warnings = kind, samples, metadata, warnings


# --- EXIF: a TIFF structure, changed in place, as makers' notes count from its start ---------------------------------

PROCESSING_SOFTWARE, WIDTH, LENGTH, STRIP_OFFSETS, ORIENTATION, STRIP_COUNTS = 0x0B, 0x100, 0x101, 0x111, 0x112, 0x117
X_RESOLUTION, Y_RESOLUTION, UNIT, THUMBNAIL, THUMBNAIL_LENGTH = 0x11A, 0x11B, 0x128, 0x201, 0x202
EXIF_DIRECTORY, PIXEL_X, PIXEL_Y = 0x8769, 0xA002, 0xA003
SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
RATIONAL, WHOLE_NUMBERS = 5, (1, 3, 4)


class Tiff:
    """Reads what is not there as 0. Where it is no TIFF structure, `valid` is false."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.order = {b"II": "little", b"MM": "big"}.get(bytes(data[:2]), "")
        self.valid = len(data) >= 8 and bool(self.order) and self.number(2, 2) == 42

    def number(self, at, size):
        return int.from_bytes(self.data[at:at + size], self.order) if at + size <= len(self.data) else 0

    def put(self, at, size, value):
        if at + size <= len(self.data):
            self.data[at:at + size] = value.to_bytes(size, self.order)

    @property
    def first(self):
        return self.number(4, 4)

    def count(self, directory):
        count = self.number(directory, 2)
        return min(count, (len(self.data) - directory - 2) // 12) if count else 0

    def next_at(self, directory):
        return directory + 2 + 12 * self.count(directory)

    def find(self, directory, tag):
        """(type, count, where the values are) or None."""
        for at in range(directory + 2, self.next_at(directory), 12):
            if self.number(at, 2) == tag:
                kind, count = self.number(at + 2, 2), self.number(at + 4, 4)
                size = SIZES[kind] if kind < len(SIZES) else 0
                if not size or not 0 < count <= len(self.data):
                    return None
                return kind, count, self.number(at + 8, 4) if count * size > 4 else at + 8
        return None

    def values(self, directory, tag):
        kind, count, at = self.find(directory, tag) or (0, 0, 0)
        size = SIZES[kind]
        return [self.number(at + i * size, size) for i in range(count)] if 0 < size <= 4 else []

    def value(self, directory, tag):
        kind, _, at = self.find(directory, tag) or (0, 0, 0)
        return self.number(at, SIZES[kind]) if 0 < SIZES[kind] <= 4 else 0

    def rational(self, directory, tag):
        kind, _, at = self.find(directory, tag) or (0, 0, 0)
        below = self.number(at + 4, 4) if kind == RATIONAL else 0
        return self.number(at, 4) / below if below else 0.0

    def replace(self, directory, tag, value):
        kind, _, at = self.find(directory, tag) or (0, 0, 0)
        if kind in WHOLE_NUMBERS and value < 256 ** SIZES[kind]:
            self.put(at, SIZES[kind], value)

    def erase(self, at, size):
        """Makes a range zeros; one that is the end is cut off."""
        end = min(at + size, len(self.data))
        if end == len(self.data) and at >= 8:
            del self.data[at:]
        elif at < end:
            self.data[at:end] = bytes(end - at)


def orientation_of(exif):
    tiff = Tiff(exif)
    value = tiff.value(tiff.first, ORIENTATION) if tiff.valid else 1
    return value if 1 <= value <= 8 else 1


def resolution_of(exif):
    tiff = Tiff(exif)
    if not tiff.valid:
        return 0.0, 0.0, True
    unit = tiff.value(tiff.first, UNIT) if tiff.find(tiff.first, UNIT) else 2
    factor = 2.54 if unit == 3 else 1.0
    return (factor * tiff.rational(tiff.first, X_RESOLUTION), factor * tiff.rational(tiff.first, Y_RESOLUTION),
            unit in (2, 3))


def erase_thumbnails(tiff):
    """Takes out the directories behind the first, and the pictures that they lead to: they show the old pixels."""
    ranges, link = [], tiff.next_at(tiff.first)
    first, first_end, directory = tiff.first, link + 4, tiff.number(link, 4)
    for _ in range(8):  # links may lead in circles
        if not directory:
            break
        if tiff.find(directory, THUMBNAIL):
            ranges.append((tiff.value(directory, THUMBNAIL), tiff.value(directory, THUMBNAIL_LENGTH)))
        ranges += zip(tiff.values(directory, STRIP_OFFSETS), tiff.values(directory, STRIP_COUNTS))
        end = tiff.next_at(directory)
        ranges.append((directory, end + 4 - directory))
        directory = tiff.number(end, 4)
    tiff.put(link, 4, 0)
    for at, size in sorted(ranges, key=lambda found: -found[0]):  # from the back, so that what is cut off goes at once
        if at >= 8 and not (at < first_end and at + size > first):
            tiff.erase(at, size)


def upright_exif(exif, width, height):
    """The same for pixels that are stored upright; nothing where that cannot be said."""
    tiff = Tiff(exif)
    if not tiff.valid:
        return b""
    turned = orientation_of(exif) >= 5
    tiff.replace(tiff.first, ORIENTATION, 1)
    tiff.replace(tiff.first, WIDTH, width)
    tiff.replace(tiff.first, LENGTH, height)
    if inner := tiff.value(tiff.first, EXIF_DIRECTORY):
        tiff.replace(inner, PIXEL_X, width)
        tiff.replace(inner, PIXEL_Y, height)
    x, y = tiff.find(tiff.first, X_RESOLUTION), tiff.find(tiff.first, Y_RESOLUTION)
    apart = x and y and x[0] == y[0] == RATIONAL and abs(x[2] - y[2]) >= 8
    if turned and apart and max(x[2], y[2]) + 8 <= len(tiff.data):
        across, down = (bytes(tiff.data[entry[2]:entry[2] + 8]) for entry in (x, y))
        tiff.data[x[2]:x[2] + 8], tiff.data[y[2]:y[2] + 8] = down, across
    erase_thumbnails(tiff)
    return bytes(tiff.data) if orientation_of(tiff.data) == 1 else b""


def with_mark(exif, mark, most):
    """EXIF data whose ProcessingSoftware is the mark: a copy of the first directory behind everything else."""
    text = mark.encode() + b"\0"
    if not exif:
        made = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, PROCESSING_SOFTWARE, 2, len(text), 26, 0) + text
        return made + bytes(len(made) % 2) if len(made) <= most else b""
    tiff = Tiff(exif)
    old = tiff.first
    count = tiff.count(old) if tiff.valid else 0
    if old < 8 or old + 2 > len(exif) or count != tiff.number(old, 2):
        return exif
    entries = [exif[at:at + 12] for at in range(old + 2, tiff.next_at(old), 12)]
    tag_of = lambda entry: int.from_bytes(entry[:2], tiff.order)  # noqa: E731
    entries = [entry for entry in entries if tag_of(entry) != PROCESSING_SOFTWARE]
    start = (len(exif) + 1) // 2 * 2
    text_at = start + 2 + 12 * (len(entries) + 1) + 4
    if len(entries) >= 65535 or text_at + len(text) > most:
        return exif
    number = lambda value, size: value.to_bytes(size, tiff.order)  # noqa: E731
    place = next((i for i, entry in enumerate(entries) if tag_of(entry) > PROCESSING_SOFTWARE), len(entries))
    entries.insert(place, number(PROCESSING_SOFTWARE, 2) + number(2, 2) + number(len(text), 4) + number(text_at, 4))
    link = number(tiff.number(tiff.next_at(old), 4), 4)
    return (exif[:4] + number(start, 4) + exif[8:] + bytes(start - len(exif)) + number(len(entries), 2)
            + b"".join(entries) + link + text)


def upright_xmp(xmp):
    """As an attribute, tiff:Orientation="6", or as an element."""
    name, changed, at = b"tiff:Orientation", bytearray(xmp), -1
    while (at := xmp.find(name, at + 1)) >= 0:
        digit = at + len(name)
        while digit < len(xmp) and xmp[digit] in b" \t\r\n=\"'>":
            digit += 1
        if digit < len(xmp) and xmp[digit] in b"12345678":
            changed[digit] = ord("1")
    return bytes(changed)


def iptc_of_resources(resources):
    """The records of IPTC-IIM in Photoshop's image resources."""
    at = 0
    while len(resources) - at >= 12 and resources[at:at + 4] == b"8BIM":
        kind, name = struct.unpack_from(">HB", resources, at + 4)
        length_at = at + 6 + (name + 2) // 2 * 2
        data = length_at + 4
        length = int.from_bytes(resources[length_at:data], "big")
        if data + length > len(resources):
            break
        if kind == 0x0404:
            return resources[data:data + length]
        at = data + (length + 1) // 2 * 2
    return b""


# --- Colours: the network learned sRGB -------------------------------------------------------------------------------

SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SRGB_GAMMA = 45455


def check_colours(metadata, gray):
    """Raises Unsupported where the program might convert colours for the network."""
    if metadata.icc:
        space = metadata.icc[16:20]
        if space != (b"GRAY" if gray else b"RGB "):
            raise Unsupported("has a colour profile of another kind than its pixels")
        try:
            transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(metadata.icc)),
                                                ImageCms.createProfile("sRGB"), "L" if gray else "RGB", "RGB", 1)
        except (ImageCms.PyCMSError, OSError) as why:
            raise Unsupported("has a colour profile that cannot be used") from why
        levels = np.arange(8) * 255 // 7
        if gray:
            colours, expected = levels[None].astype(np.uint8), np.repeat(levels[None, :, None], 3, 2)
        else:
            expected = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
            colours = expected.astype(np.uint8)
        seen = np.asarray(ImageCms.applyTransform(fromarray(colours), transform)).astype(int)
        # The program takes what differs by less than 2 of 255 for sRGB.
        if np.abs(seen - expected).max() > 1:
            raise Unsupported("has a colour profile other than sRGB")
        return
    tags = metadata.tags
    if "cICP" in tags:
        if tags["cICP"][:2] != b"\1\x0d":
            raise Unsupported("has colours other than sRGB (cICP)")
        return
    if "sRGB" in tags:
        return
    if int.from_bytes(tags.get("gAMA", b""), "big") not in (0, SRGB_GAMMA):
        raise Unsupported("has a gamma other than that of sRGB (gAMA)")
    if "cHRM" in tags and max(abs(a - b) for a, b in zip(struct.unpack(">8I", tags["cHRM"]), SRGB_CHROMATICITIES)) > 10:
        raise Unsupported("has primaries other than those of sRGB (cHRM)")


# --- Reading ---------------------------------------------------------------------------------------------------------

def check_size(kind, width, height, max_pixels):
    if not width or not height:
        raise Refused(3, f"a {kind} of {width} x {height} pixels; expected 1 x 1 or more")
    if width * height > max_pixels:
        raise Refused(3, f"a {kind} of {width} x {height} pixels; expected at most {max_pixels} pixels")


def decoded(image, kind):
    """The pixels of one of Pillow's images as an array."""
    try:
        image.load()
        return np.asarray(image)
    except (OSError, SyntaxError, ValueError, IndexError, struct.error) as why:
        raise Refused(3, f"damaged or truncated {kind} file: {why}") from why


def opened(plugin, content, kind):
    """By the decoder for this format alone, and without the limit of Image.open, which is lower than ours."""
    try:
        return plugin(io.BytesIO(content))
    except (OSError, SyntaxError, ValueError, IndexError, KeyError, struct.error, EOFError) as why:
        raise Refused(3, f"damaged {kind} file: {why or type(why).__name__}") from why


def jpeg_segments(content):
    """(marker, data) of each segment before the pixels."""
    at = 2
    while True:
        while content[at:at + 1] not in (b"\xff", b""):  # libjpeg skips what is no marker
            at += 1
        while content[at:at + 1] == b"\xff":
            at += 1
        marker = content[at:at + 1]
        if marker in (b"", b"\xda", b"\xd9"):
            return
        if b"\xd0" <= marker <= b"\xd7" or marker == b"\1":
            at += 1
            continue
        length = int.from_bytes(content[at + 1:at + 3], "big")
        if length < 2:
            return
        yield marker[0], content[at + 3:at + 1 + length]
        at += 1 + length


def read_jpeg(content, max_pixels):
    metadata, warnings, profile, resources = Metadata(), [], {}, b""
    for marker, data in jpeg_segments(content):
        if marker == 0xE0 and data[:5] == b"JFIF\0" and len(data) >= 12:
            unit, x, y = struct.unpack_from(">BHH", data, 7)
            factor = 2.54 if unit == 2 else 1.0
            if unit or x != y:
                metadata.resolution = (factor * x, factor * y, unit != 0)
        elif marker == 0xE1 and data.startswith(EXIF):
            metadata.exif = metadata.exif or data[len(EXIF):]
        elif marker == 0xE1 and data.startswith(XMP):
            metadata.xmp = metadata.xmp or data[len(XMP):]
        elif marker == 0xE1 and data.startswith(XMP_MORE):
            warnings = ["its XMP is longer than one segment, of which the first is kept"]
        elif marker == 0xE2 and data.startswith(PROFILE) and len(data) > 14:
            profile[data[12], data[13]] = data[14:]
        elif marker == 0xED and data.startswith(RESOURCES):
            resources += data[len(RESOURCES):]
    if profile:
        count = next(iter(profile))[1]
        if sorted(profile) != [(i + 1, count) for i in range(count)]:
            raise Unsupported("has a colour profile whose parts do not fit")
        metadata.icc = b"".join(profile[key] for key in sorted(profile))
    metadata.iptc = iptc_of_resources(resources)
    image = opened(JpegImagePlugin.JpegImageFile, content, "JPEG")
    check_size("JPEG", *image.size, max_pixels)
    if image.mode not in ("L", "RGB"):
        raise Unsupported(f"is a JPEG with the colours {image.mode}")
    return finished("jpeg", decoded(image, "JPEG"), metadata, warnings)


def png_chunks(content):
    """(name, data) of each chunk. Raises Refused where one that matters is damaged; one that does not is left out. If
    the file ends within pixels, those before its end are the last chunk."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(content):
        length = int.from_bytes(content[at:at + 4], "big")
        name, data = content[at + 4:at + 8], content[at + 8:at + 8 + length]
        if at + 12 + length > len(content):
            if name == b"IDAT":
                yield "IDAT", data
            return
        if zlib.crc32(data, zlib.crc32(name)) == int.from_bytes(content[at + 8 + length:at + 12 + length], "big"):
            yield name.decode("latin-1"), data
        elif not name[0] & 32:
            raise Refused(3, f"damaged PNG file: the checksum of its chunk {name.decode('latin-1')!r} does not match")
        if name == b"IEND":
            return
        at += 12 + length


def inflated(data):
    try:
        return zlib.decompress(data)
    except zlib.error:
        return b""


def read_png(content, max_pixels):
    metadata, warnings, names = Metadata(), [], []
    depth = colour_type = width = height = None
    essential = [PNG_SIGNATURE]  # all that Pillow sees: it refuses files for what else is damaged or large
    for name, data in png_chunks(content):
        names.append(name)
        if name in ("IHDR", "PLTE", "tRNS", "IDAT", "IEND"):
            essential.append(png_chunk(name.encode(), data))
        if name == "IHDR" and len(data) == 13 and len(names) == 1:
            width, height, depth, colour_type = struct.unpack_from(">IIBB", data)
            check_size("PNG", width, height, max_pixels)
        elif name == "iCCP" and not metadata.icc:
            metadata.icc = inflated(data[data.find(b"\0") + 2:])
            if not metadata.icc:
                warnings.append("its colour profile is damaged and left out")
        elif name == "eXIf" and len(data) > 8:
            metadata.exif = data
        elif name == "pHYs" and len(data) == 9:
            x, y, unit = struct.unpack(">IIB", data)
            factor = INCH if unit == 1 else 1.0
            metadata.resolution = (factor * x, factor * y, unit == 1)
        elif (name, len(data)) in (("sRGB", 1), ("gAMA", 4), ("cHRM", 32), ("cICP", 4)):
            metadata.tags[name] = data
        elif name == "iTXt" and data.startswith(XMP_KEYWORD + b"\0"):
            rest = data[len(XMP_KEYWORD) + 1:]  # whether and how it is compressed, language, keyword translated, text
            parts = rest[2:].split(b"\0", 2)
            if len(parts) == 3:
                metadata.xmp = inflated(parts[2]) if rest[0] else parts[2]
        elif name in ("zTXt", "tEXt") and data.startswith(b"Raw profile type "):
            raise Unsupported("has metadata as ImageMagick writes it (Raw profile)")
    if depth is None:
        raise Refused(3, "damaged PNG file: its first chunk is not its header")
    if "acTL" in names:
        raise Unsupported("is an animation")
    if "tRNS" in names and colour_type != 3:
        raise Unsupported("is a PNG with a transparent colour")
    if (depth, colour_type) == (16, 4):
        raise Unsupported("is a PNG with gray and alpha of 16 bits")
    if "IEND" not in names:
        warnings.append("the file ends, or is damaged, behind its pixels")
    content = b"".join(essential)
    image = opened(PngImagePlugin.PngImageFile, content, "PNG")
    if depth == 16 and colour_type in (2, 6):
        # Pillow keeps one byte of each sample: the high one, or the low one when told that the byte order is the
        # opposite.
        halves = []
        for half in ("16B", "16L"):
            image = opened(PngImagePlugin.PngImageFile, content, "PNG")
            image.tile = [(codec, box, at, f"{image.mode};{half}") for codec, box, at, _ in image.tile]
            halves.append(decoded(image, "PNG").astype(np.uint16))
        samples = halves[0] << 8 | halves[1]
    elif colour_type == 3:
        decoded(image, "PNG")
        samples = np.asarray(image.convert("RGBA" if "tRNS" in names else "RGB"))
    else:
        samples = decoded(image, "PNG")
        samples = samples.astype(np.uint16) if depth == 16 else samples * np.uint8(255) if depth == 1 else samples
    return finished("png", samples, metadata, warnings)


def finished(kind, samples, metadata, warnings):
    """Rotates the picture upright, and its metadata with it."""
    if metadata.resolution[0] <= 0 or metadata.resolution[1] <= 0:
        metadata.resolution = resolution_of(metadata.exif)
    orientation = orientation_of(metadata.exif)
    if orientation in (2, 3, 7, 8):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 6, 7):
        samples = samples[::-1]
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
        x, y, per_inch = metadata.resolution
        metadata.resolution = (y, x, per_inch)
    metadata.exif = upright_exif(metadata.exif, samples.shape[1], samples.shape[0])
    metadata.xmp = upright_xmp(metadata.xmp)
    check_colours(metadata, samples.ndim == 2 or samples.shape[2] == 2)
    return Picture(kind, np.ascontiguousarray(samples), metadata, warnings)


def read_picture(content, max_pixels):
    """The picture in a file's content. Raises Refused, and Unsupported where the program can do it and this cannot."""
    if content.startswith(PNG_SIGNATURE):
        return read_png(content, max_pixels)
    if content.startswith(b"\xff\xd8\xff"):
        return read_jpeg(content, max_pixels)
    raise Unsupported("is no JPEG and no PNG")


# --- Writing ---------------------------------------------------------------------------------------------------------

def jpeg_segment(number, data):
    return struct.pack(">BBH", 0xFF, 0xE0 + number, len(data) + 2) + data


def encode_jpeg(samples, metadata, quality):
    buffer = io.BytesIO()
    # Without a number, libjpeg stores colours at half the resolution.
    sampling = {"subsampling": 0} if quality >= 90 else {}
    # To optimize, libjpeg writes all of the file at once, into a buffer of Pillow's. No code takes more bytes a sample.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 4 * samples.size)
    try:
        fromarray(samples).save(buffer, "JPEG", quality=quality, optimize=True, **sampling)
    except OSError as why:
        raise Refused(8, f"cannot be encoded as a JPEG: {why}") from why
    encoded = bytearray(buffer.getvalue())
    x, y, per_inch = metadata.resolution
    if x > 0 and y > 0:
        factor = 1.0 if per_inch else min(1.0, 65535 / max(x, y))
        whole = [min(max(int(factor * value + 0.5), 1), 65535) for value in (x, y)]
        struct.pack_into(">BHH", encoded, 13, int(per_inch), *whole)
    segments = []
    for number, start, data in ((1, EXIF, metadata.exif), (1, XMP, metadata.xmp)):
        if data:
            segments.append(jpeg_segment(number, start + data))
    if metadata.iptc:
        records = struct.pack(">4sHHI", b"8BIM", 0x0404, 0, len(metadata.iptc)) + metadata.iptc
        segments.append(jpeg_segment(13, RESOURCES + records + bytes(len(records) % 2)))
    most = MOST_IN_A_SEGMENT - 14
    parts = [metadata.icc[at:at + most] for at in range(0, len(metadata.icc), most)]
    segments += [jpeg_segment(2, PROFILE + bytes([i + 1, len(parts)]) + part) for i, part in enumerate(parts)]
    header = 2 + 18  # the marker of the start, and that of JFIF
    return bytes(encoded[:header]) + b"".join(segments) + bytes(encoded[header:])


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def filtered(rows, pixel):
    """Rows of bytes, each by the filter of PNG that leaves the smallest differences, with its number before them."""
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, pixel:] = rows[:, :-pixel]
    above[1:] = rows[:-1]
    corner = np.zeros_like(rows)
    corner[1:, pixel:] = rows[:-1, :-pixel]
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, above, corner))
    candidates = [rows, rows - left, rows - above, rows - ((a + b) >> 1).astype(np.uint8), rows - paeth]
    costs = [np.abs(candidate.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64) for candidate in candidates]
    best = np.argmin(costs, 0)
    result = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    result[:, 0] = best
    for number, candidate in enumerate(candidates):
        result[best == number, 1:] = candidate[best == number]
    return result


def encode_png(samples, metadata):
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    header = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header)]
    tags = dict(metadata.tags)
    if "cICP" in tags:
        chunks.append(png_chunk(b"cICP", tags["cICP"]))
    if metadata.icc:
        chunks.append(png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
        tags.pop("sRGB", None)
    chunks += [png_chunk(name.encode(), tags[name]) for name in ("sRGB", "gAMA", "cHRM") if name in tags]
    x, y, per_inch = metadata.resolution
    if x > 0 and y > 0:
        factor = 1 / INCH if per_inch else 1.0
        whole = [min(max(int(factor * value + 0.5), 1), 2**31 - 1) for value in (x, y)]
        chunks.append(png_chunk(b"pHYs", struct.pack(">IIB", *whole, int(per_inch))))
    if metadata.exif:
        chunks.append(png_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append(png_chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    chunks += [png_chunk(b"IDAT", part) for part in (compressed(samples) if samples.itemsize == 2 else
                                                     compressed_by_pillow(samples))]
    return PNG_SIGNATURE + b"".join(chunks) + png_chunk(b"IEND", b"")


def compressed_by_pillow(samples):
    """The pixels of 8 bits as a PNG has them, with filters in C."""
    buffer = io.BytesIO()
    fromarray(samples).save(buffer, "PNG", compress_level=3)
    stream = b"".join(data for name, data in png_chunks(buffer.getvalue()) if name == "IDAT")
    # Pillow cuts it by MAXBLOCK, and equal results have equal bytes.
    return [stream[at:at + MOST_IN_IDAT] for at in range(0, len(stream), MOST_IN_IDAT)]


def compressed(samples):
    """The same for 16 bits, which Pillow does not write."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    compressor = zlib.compressobj(3)
    pixel, band = channels * samples.itemsize, max((1 << 22) // (width * channels * samples.itemsize), 1)
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    raster = []
    for start in range(0, height, band):
        first = max(start - 1, 0)  # filters look at the row above
        lines = filtered(rows[first:start + band], pixel)[start - first:]
        raster.append(compressor.compress(lines.tobytes()))
    raster.append(compressor.flush())
    return [part for part in raster if part]


def encode(picture, samples, mark, quality):
    """The file of a result that has the metadata and the format of `picture`. May add to the picture's warnings."""
    metadata = picture.metadata
    if picture.kind == "png":
        metadata.exif = with_mark(metadata.exif, mark, 1 << 26)
        return encode_png(samples, metadata)
    too_long = []
    for name in ("exif", "xmp", "iptc"):
        if len(getattr(metadata, name)) > MOST_OF_A_KIND:
            setattr(metadata, name, b"")
            too_long.append(name.upper())
    if too_long:
        picture.warnings.append(f"its {' and '.join(too_long)} data is longer than the {MOST_OF_A_KIND} bytes that a "
                                f"JPEG holds, and is left out")
    metadata.exif = with_mark(metadata.exif, mark, MOST_OF_A_KIND)
    return encode_jpeg(samples, metadata, quality)
