"""Which element of a feature map an element of an ONNX tensor is.

ONNX stores a map as a tensor of batch, channels, height and width. Exporters reshape and transpose it on the way to
what a layer computes: channels last for a linear layer, six dimensions for a pixel shuffle. Nothing has to be moved for
most of that, as the library's layers know which dimension is which. So a tensor is a map and a layout: for each
dimension, the parts of the map's axes that it runs over, from the outermost to the innermost.
"""
import math
from typing import NamedTuple, Optional


class Part(NamedTuple):
    """Of an axis ('c', 'h' or 'w'): `count` steps of `step`."""
    axis: str
    step: int
    count: int


def dimension(*parts):
    """A dimension of these parts: those of one step vanish, and those that continue one another are one."""
    result = []
    for part in parts:
        if part.count == 1:
            continue
        if result and result[-1].axis == part.axis and result[-1].step == part.step * part.count:
            result[-1] = Part(part.axis, part.step, result[-1].count * part.count)
        else:
            result.append(part)
    return tuple(result)


def size_of(parts):
    return math.prod(part.count for part in parts)


def sizes_of(layout):
    return tuple(map(size_of, layout))


def plain(shape):
    """The layout of batch, channels, height, width. A shape is (height, width, channels)."""
    return (), whole("c", shape), whole("h", shape), whole("w", shape)


def whole(axis, shape):
    return dimension(Part(axis, 1, shape["hwc".index(axis)]))


def pixels(shape):
    """A dimension over all pixels of a map."""
    return dimension(Part("h", 1, shape[0]), Part("w", 1, shape[1]))


def is_whole(layout, shape):
    """Whether no axis is split, however the dimensions are ordered."""
    parts = sorted(part for parts in layout for part in parts)
    return parts == sorted(chained(whole(axis, shape) for axis in "hwc"))


def chained(lists):
    return [item for items in lists for item in items]


def reshape(layout, sizes) -> Optional[tuple]:
    """The layout with dimensions of other sizes; None if a dimension would begin within a part's step."""
    parts = chained(layout)
    result = []
    for size in sizes:
        taken = []
        while size > 1:
            if not parts:
                return None
            axis, step, count = parts[0]
            if size % count == 0:
                taken.append(parts.pop(0))
                size //= count
            elif count % size == 0:
                inner = count // size
                taken.append(Part(axis, step * inner, size))
                parts[0] = Part(axis, step, inner)
                size = 1
            else:
                return None
        result.append(dimension(*taken))
    return tuple(result) if not parts else None


def shuffled(shape, r):
    """The layout of a pixel shuffle's result, of a map before it: r*r channels become the pixels of a cell."""
    height, width, channels = shape
    return ((), dimension(Part("c", r * r, channels // (r * r))), dimension(Part("h", 1, height), Part("c", r, r)),
            dimension(Part("w", 1, width), Part("c", 1, r)))


def unshuffled(shape, r):
    """The same of a pixel unshuffle."""
    height, width, channels = shape
    return ((), dimension(Part("c", 1, channels), Part("h", 1, r), Part("w", 1, r)),
            dimension(Part("h", r, height // r)), dimension(Part("w", r, width // r)))


def every(shape, n):
    """The layout of every n-th row and column of a map, from the first on."""
    (height, width, _), (batch, channels, *_) = shape, plain(shape)
    return batch, channels, dimension(Part("h", n, -(-height // n))), dimension(Part("w", n, -(-width // n)))


def movement(layout, shape):
    """What moves a map so that the tensor is plain: ("none", 1), ("pixel_shuffle", r), ("pixel_unshuffle", r), ("every",
    n) for every n-th pixel in both directions, or None if nothing does.
    """
    if layout == plain(shape):
        return "none", 1
    if len(layout) != 4:
        return None
    sizes = sizes_of(layout)
    if sizes[0] != 1:
        return None
    if layout[2] and layout[2][0].axis == "h" and layout[2][0].step > 1 and layout == every(shape, layout[2][0].step):
        return "every", layout[2][0].step
    r = sizes[2] // shape[0]
    if r > 1 and shape[2] % (r * r) == 0 and layout == shuffled(shape, r):
        return "pixel_shuffle", r
    r = shape[0] // sizes[2]
    if r > 1 and shape[0] % r == 0 and shape[1] % r == 0 and layout == unshuffled(shape, r):
        return "pixel_unshuffle", r
    return None
