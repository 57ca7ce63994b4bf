"""Pictures without noise that look as if they had some: dither, halftones, scans of 1 bit, patterns, drawings.

The noise of a dark photograph is cut off at black, so a denoiser learns that black pixels with bright ones among them
are darker than their mean. Of a dithered gray, which is black and white pixels too, that is wrong: nothing is cut off.
From noise the two differ by their colours, which are few, and by their order. These pictures teach that: they are to
come out as they went in.

A picture is made from a patch of a photograph, as bytes (height, width, 3), and from random numbers alone.
"""
import math

import numpy
from PIL import Image, ImageDraw, ImageFont

PLAIN_SHARE = 0.4  # of the dithered pictures: made from one colour or a gradient in place of a photograph
GRAY_SHARE = 0.6  # of the dithered pictures and the drawings
BLACK_AND_WHITE_SHARE = 0.6  # of the pictures of two tones; the others have other darkest and brightest tones
ENLARGED_SHARE = 0.2  # every pixel becomes 2 x 2 or 3 x 3
BAYER_SIZES = (2, 4, 8)
HALFTONE_PERIODS = (3.0, 10.0)  # pixels
LARGEST_PATTERN = 6  # pixels
LARGEST_SMALL = 24
SHORTEST_MIRRORED = 10  # image/tiles.hpp


def gray(picture):
    """0..1, from bytes."""
    return picture.astype(numpy.float32) @ numpy.array([0.299, 0.587, 0.114], numpy.float32) / 255


def bayer(size):
    """Thresholds between 0 and 1 (Bayer, "An optimum method for two-level rendition of continuous-tone pictures", ICC
    1973); `size` is a power of two."""
    matrix = numpy.zeros((1, 1))
    while matrix.shape[0] < size:
        matrix = numpy.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return ((matrix + 0.5) / size ** 2).astype(numpy.float32)


def tiled(tile, shape):
    """`tile` side by side, cut to the shape."""
    rows, columns = (numpy.arange(size) % period for size, period in zip(shape, tile.shape))
    return tile[rows[:, None], columns]


def halftone(shape, rng):
    """Thresholds whose dots grow on a turned grid, as printers' do; evenly spread over 0..1."""
    period, angle = rng.uniform(*HALFTONE_PERIODS), rng.uniform(0, math.pi)
    across, along = (2 * math.pi / period * f(angle) for f in (math.cos, math.sin))
    y, x = numpy.mgrid[:shape[0], :shape[1]]
    waves = numpy.cos(across * x + along * y) + numpy.cos(along * x - across * y)
    ranks = numpy.empty(waves.size, numpy.float32)
    ranks[waves.argsort(axis=None)] = (numpy.arange(waves.size) + 0.5) / waves.size
    return ranks.reshape(shape)


def source(patch, rng):
    """What is dithered: the patch, one colour, or a gradient of two. Bytes."""
    if rng.random() >= PLAIN_SHARE:
        return patch
    first, second = rng.integers(0, 256, (2, 3))
    if rng.random() < 0.5:
        return numpy.broadcast_to(first.astype(numpy.uint8), patch.shape)
    y, x = (numpy.linspace(0, 1, size) for size in patch.shape[:2])
    part = rng.random() * y[:, None] + rng.random() * x[None]
    part = (part / max(part.max(), 1e-3))[..., None]
    return numpy.rint(first + (second - first) * part).astype(numpy.uint8)


def tones(levels, rng):
    """`levels` bytes from black to white, or between two other tones."""
    low, high = (0, 255) if rng.random() < BLACK_AND_WHITE_SHARE else (rng.integers(0, 100), rng.integers(130, 256))
    return numpy.rint(numpy.linspace(low, high, levels)).astype(numpy.uint8)


def levels_of(rng):
    return int(rng.choice([2, 2, 2, 2, 3, 4, 6, 16]))


def ordered(patch, rng):
    picture, levels = source(patch, rng), levels_of(rng)
    thresholds = halftone(patch.shape[:2], rng) if rng.random() < 0.3 \
        else tiled(bayer(int(rng.choice(BAYER_SIZES))), patch.shape[:2])
    light = gray(picture) if rng.random() < GRAY_SHARE else picture.astype(numpy.float32) / 255
    if light.ndim == 3:
        thresholds = thresholds[..., None]
    steps = numpy.floor(light * (levels - 1) + thresholds).clip(0, levels - 1).astype(int)
    result = tones(levels, rng)[steps]
    return result if result.ndim == 3 else numpy.repeat(result[..., None], 3, 2)


def diffused(patch, rng):
    """By the method of Floyd and Steinberg, to grays, to a cube of colours, or to a palette of the picture's own."""
    image = Image.fromarray(numpy.ascontiguousarray(source(patch, rng)))
    kind = rng.random()
    if kind < GRAY_SHARE:
        levels = levels_of(rng)
        colours = numpy.repeat(numpy.linspace(0, 255, levels).round()[:, None], 3, 1)
        image = image.convert("L").convert("RGB")
    elif kind < GRAY_SHARE + 0.25:
        levels = int(rng.integers(2, 7))
        line = numpy.linspace(0, 255, levels).round()
        colours = numpy.stack(numpy.meshgrid(line, line, line), -1).reshape(-1, 3)
    else:
        return numpy.asarray(image.quantize(int(rng.integers(2, 33)), dither=Image.FLOYDSTEINBERG).convert("RGB"))
    palette = Image.new("P", (1, 1))
    entries = numpy.concatenate([colours, numpy.repeat(colours[-1:], 256 - len(colours), 0)])
    palette.putpalette(entries.astype(numpy.uint8).tobytes())
    indices = numpy.asarray(image.quantize(palette=palette, dither=Image.FLOYDSTEINBERG)).clip(max=len(colours) - 1)
    if kind < GRAY_SHARE:
        return numpy.repeat(tones(levels, rng)[indices][..., None], 3, 2)
    return colours.astype(numpy.uint8)[indices]


def scanned(patch, rng):
    """What a scanner makes of a picture or of text with one threshold; with speckles, often."""
    light = gray(patch) if rng.random() < 0.5 else gray(drawn(patch, rng, text=True))
    light = light + rng.normal(size=light.shape) * rng.uniform(0, 0.15) * (rng.random() < 0.6)
    white = light > rng.uniform(0.2, 0.8) * (light.max() - light.min()) + light.min()
    return numpy.repeat(tones(2, rng)[white.astype(int)][..., None], 3, 2)


def pattern(patch, rng):
    """A few pixels of random colours again and again: a checkerboard, lines, a weave."""
    colours = rng.integers(0, 256, (int(rng.integers(2, 4)), 3)).astype(numpy.uint8)
    if rng.random() < GRAY_SHARE:
        colours = numpy.repeat(colours[:, :1], 3, 1)
    if rng.random() < 0.5:
        colours[:2] = [[0] * 3, [255] * 3]
    height, width = rng.integers(1, LARGEST_PATTERN + 1, 2)
    tile = rng.integers(0, len(colours), (height, width))
    if rng.random() < 0.4:
        tile = numpy.indices((height * 2, width * 2))
        tile = (tile[0] // height + tile[1] // width) % 2
    return colours[tiled(tile, patch.shape[:2])]


def drawn(patch, rng, text=False):
    """Areas, lines and letters of few colours, with soft or with hard edges."""
    height, width = patch.shape[:2]
    scale = int(rng.integers(1, 4))
    black_on_white = text or rng.random() < 0.3
    image = Image.new("RGB", (width * scale, height * scale),
                      (255, 255, 255) if black_on_white else tuple(rng.integers(0, 256, 3).tolist()))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default()
    for _ in range(int(rng.integers(2, 12))):
        colour = (0, 0, 0) if black_on_white else tuple(rng.integers(0, 256, 3).tolist())
        x, y, right, bottom = (rng.uniform(-0.1, 1.1, 4) * image.size[0]).tolist()
        box = [min(x, right), min(y, bottom), max(x, right), max(y, bottom)]
        kind = rng.random() * (1 if not text else 0.5)
        if kind < 0.35:
            letters = "".join(chr(c) for c in rng.integers(33, 127, int(rng.integers(3, 20))))
            draw.text((x, y), letters, fill=colour, font=font)
        elif kind < 0.6:
            draw.line([x, y, right, bottom], fill=colour, width=int(rng.integers(1, 4 * scale)))
        elif kind < 0.85:
            draw.rectangle(box, fill=colour)
        else:
            draw.ellipse(box, fill=colour)
    return numpy.asarray(image.resize((width, height), Image.BOX))


def small(patch, rng):
    """A picture of a few pixels in the middle of a patch, as programs run it: mirrored at its edges, or continued by its
    last pixels where it is too small for that."""
    height, width = (int(min(part, size)) for part, size in zip(rng.integers(1, LARGEST_SMALL + 1, 2), patch.shape))
    kind = rng.random()
    if kind < 0.4:
        picture = patch
    elif kind < 0.6:
        picture = drawn(patch, rng)
    else:
        colours = rng.integers(0, 256, (int(rng.integers(1, 9)), 3)).astype(numpy.uint8)
        picture = colours[rng.integers(0, len(colours), (height, width))]
    top, left = (int(rng.integers(0, size - part + 1)) for size, part in zip(picture.shape, (height, width)))
    picture = picture[top:top + height, left:left + width]
    room = [size - part for size, part in zip(patch.shape, picture.shape[:2])]
    for axis, (size, more) in enumerate(zip(picture.shape, room)):
        widths = [(0, 0)] * 3
        widths[axis] = (more // 2, more - more // 2)
        picture = numpy.pad(picture, widths, "edge" if size < SHORTEST_MIRRORED else "symmetric")
    return picture


KINDS = {ordered: 0.28, diffused: 0.25, scanned: 0.1, pattern: 0.1, drawn: 0.1, small: 0.17}


def graphics(patch, rng):
    """One picture from a patch: bytes (height, width, 3), of the same size."""
    kind = list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    if rng.random() >= ENLARGED_SHARE:
        return kind(patch, rng)
    height, width = patch.shape[:2]
    scale = int(rng.integers(2, 4))
    small = kind(patch[:-(-height // scale), :-(-width // scale)], rng)
    return small.repeat(scale, 0).repeat(scale, 1)[:height, :width]
