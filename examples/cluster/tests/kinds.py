"""Photographs of many kinds, with the metadata that cameras and programs write."""
import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from pictures import noisy, write_png

XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>')


def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(order, orientation, thumbnail=True):
    """EXIF data with a maker's note at a place that must not move, a resolution and a thumbnail at the end."""
    sign = {"II": "<", "MM": ">"}[order]
    number = lambda *values: struct.pack(sign + "".join(values[::2]), *values[1::2])  # noqa: E731
    entry = lambda tag, kind, count, value: number("H", tag, "H", kind, "I", count, "I", value)  # noqa: E731
    short = lambda tag, value: number("H", tag, "H", 3, "I", 1, "H", value, "H", 0)  # noqa: E731
    first, inner, second = 8, 110, 170
    note, resolution, camera = b"maker's note", number("I", 300, "I", 1, "I", 200, "I", 1), b"Camera\0\0"
    entries = [entry(0x010F, 2, 7, 240), short(0x0112, orientation), entry(0x011A, 5, 1, 200), entry(0x011B, 5, 1, 208),
               short(0x0128, 2), entry(0x8769, 4, 1, inner)]
    data = bytearray(order.encode() + number("H", 42, "I", first))
    data += number("H", len(entries)) + b"".join(entries) + number("I", second if thumbnail else 0)
    data += bytes(inner - len(data))
    inner_entries = [entry(0x927C, 7, len(note), 220), entry(0xA002, 4, 1, 1234), short(0xA003, 987)]
    data += number("H", len(inner_entries)) + b"".join(inner_entries) + number("I", 0)
    data += bytes(second - len(data))
    data += number("H", 2) + entry(0x0201, 4, 1, 248) + entry(0x0202, 4, 1, 10) + number("I", 0)
    for at, part in ((200, resolution), (220, note), (240, camera), (248, b"\xff\xd8thumb\xff\xd9\0")):
        data += bytes(at - len(data)) + part
    return bytes(data)


def with_segments(jpeg, *segments):
    """Behind the JFIF header."""
    return jpeg[:20] + b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
                                for marker, data in segments) + jpeg[20:]


def jpeg(image, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(image, *chunks, folder):
    """With chunks behind the header."""
    path = folder / ".made.png"
    write_png(path, image)
    content = path.read_bytes()
    path.unlink()
    made = b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
                    for name, data in chunks)
    return content[:33] + made + content[33:]


def with_wrong_checksum(content, name):
    """Of the chunk of this name."""
    at = content.index(name)
    end = at + 4 + int.from_bytes(content[at - 4:at], "big")
    return content[:end] + bytes([content[end] ^ 1]) + content[end + 1:]


def by_pillow(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def make(folder):
    """Returns (names that Python restores, names that only the program restores, names that nobody restores)."""
    folder.mkdir()
    rgb, gray = noisy(41, 53, 3), noisy(41, 53)
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", 9) + b"\x1c\x02\x78\0\x04text\0"
    done = {
        "rgb.jpg": jpeg(rgb, quality=90), "gray.JPG": jpeg(gray), "progressive.jpeg": jpeg(rgb, progressive=True),
        "density.jpg": jpeg(rgb, dpi=(240, 120)),
        "srgb.jpg": jpeg(rgb, icc_profile=srgb()),
        "metadata.jpg": with_segments(jpeg(rgb, dpi=(72, 72)), (0xE1, b"Exif\0\0" + exif("MM", 6)),
                                      (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
                                      (0xED, b"Photoshop 3.0\0" + resources)),
        **{f"turned-{i}.jpg": with_segments(jpeg(rgb), (0xE1, b"Exif\0\0" + exif("II", i, i % 2 == 0)))
           for i in range(1, 9)},
        "damaged-exif.jpg": with_segments(jpeg(rgb), (0xE1, b"Exif\0\0" + exif("II", 3)[:60])),
        "rgb.png": png(rgb, folder=folder), "gray.png": png(gray, folder=folder),
        "rgba.png": png(noisy(41, 53, 4), folder=folder), "gray-alpha.png": png(noisy(41, 53, 2), folder=folder),
        "deep.png": png(noisy(41, 53, 3, np.uint16), folder=folder),
        "deep-alpha.png": png(noisy(41, 53, 4, np.uint16), folder=folder),
        "deep-gray.png": png(noisy(41, 53, None, np.uint16), folder=folder),
        "metadata.png": png(noisy(41, 53, 3, np.uint16), (b"iCCP", b"some\0\0" + zlib.compress(srgb())),
                            (b"pHYs", struct.pack(">IIB", 3937, 7874, 1)), (b"eXIf", exif("II", 8)),
                            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), folder=folder),
        "tags.png": png(rgb, (b"gAMA", struct.pack(">I", 45455)),
                        (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
                        folder=folder),
        "srgb.png": png(rgb, (b"sRGB", b"\0"), (b"pHYs", struct.pack(">IIB", 2, 1, 0)), folder=folder),
        "compressed-xmp.png": png(rgb, (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)), folder=folder),
        "odd-chunks.png": with_wrong_checksum(png(
            rgb, (b"teXt", b"Comment\0wrong"), (b"gAMA", b"\0"), (b"pHYs", bytes(5)),
            (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 << 20))),
            (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b" " * (3 << 20))), folder=folder), b"teXt"),
        "palette.png": by_pillow(Image.fromarray(rgb).quantize(100)),
        "palette-alpha.png": by_pillow(Image.fromarray(rgb).quantize(16), transparency=bytes([0, 99, 255, 17])),
        "one-bit.png": by_pillow(Image.fromarray(gray).convert("1")),
        "pixel.png": png(rgb[:1, :1], folder=folder),
    }
    by_program = {
        "wide-gamut.png": png(rgb, (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
                              folder=folder),
        "linear.png": png(rgb, (b"gAMA", struct.pack(">I", 100000)), folder=folder),
        "cmyk.jpg": jpeg(Image.fromarray(rgb).convert("CMYK")),
        "transparent-colour.png": by_pillow(Image.fromarray(rgb), transparency=tuple(map(int, rgb[0, 0]))),
        "deep-gray-alpha.png": png(noisy(41, 53, 2, np.uint16), folder=folder),
        "png-inside.jpg": png(rgb, folder=folder),
    }
    whole = done["rgb.png"]
    never = {"cut-off.png": whole[:len(whole) // 2], "cut-off.jpg": done["rgb.jpg"][:900], "text.png": b"no picture\n",
             "empty.jpg": b"", "checksum.png": whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]}
    for name, content in {**done, **by_program, **never}.items():
        (folder / name).write_bytes(content)
    Image.fromarray(rgb).save(folder / "photo.tif")
    Image.fromarray(rgb).save(folder / "photo.webp", lossless=True)
    Image.fromarray(rgb).save(folder / "photo.bmp")
    (folder / "photo.tga").write_bytes(b"\0\0\2" + bytes(9) + struct.pack("<HHBB", 53, 41, 24, 32) + rgb.tobytes())
    return set(done), {*by_program, "photo.tif", "photo.webp", "photo.bmp", "photo.tga"}, set(never)
