"""Writes ONNX files for tests with the standard library alone: protobuf's wire format, ONNX's messages."""
import math
import struct

FLOAT, INT32, INT64, BOOL, HALF, DOUBLE, BFLOAT16 = 1, 6, 7, 9, 10, 11, 16
PACKING = {FLOAT: "f", INT32: "i", INT64: "q", BOOL: "B", HALF: "e", DOUBLE: "d"}


def varint(value):
    value &= (1 << 64) - 1
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def key(number, wire_type):
    return varint(number << 3 | wire_type)


def field(number, value):
    """One field: an integer, a float of 32 bits, or bytes, text or a message behind its length."""
    if isinstance(value, float):
        return key(number, 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return key(number, 0) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return key(number, 2) + varint(len(raw)) + raw


def message(*pairs):
    return b"".join(field(number, value) for number, value in pairs)


def tensor(name, shape, values=None, kind=FLOAT, extra=b""):
    """With its values in raw_data; by default small ones that differ from each other."""
    if values is None:
        seed = sum(map(ord, name))
        values = [((i * 7 + seed) % 23 - 11) / 16 for i in range(math.prod(shape))]
    if kind == BFLOAT16:
        raw = b"".join(struct.pack("<f", value)[2:] for value in values)
    else:
        raw = struct.pack(f"<{len(values)}{PACKING[kind]}", *values)
    return message(*((1, size) for size in shape), (2, kind), (8, name), (9, raw)) + extra


def ints(name, *values):
    return tensor(name, (len(values),), values, INT64)


def number(name, value):
    return tensor(name, (), [value])


class Raw(bytes):
    """An attribute that is written as it is."""


def attribute(name, value):
    if isinstance(value, Raw):
        return value
    if isinstance(value, float):
        return message((1, name), (2, value), (20, 1))
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    if isinstance(value, str):
        return message((1, name), (4, value), (20, 3))
    if isinstance(value, bytes):
        return message((1, name), (5, value), (20, 4))
    if value and isinstance(value[0], float):
        return message((1, name), *((7, item) for item in value), (20, 6))
    return message((1, name), *((8, item) for item in value), (20, 7))


def node(op, inputs, outputs, name="", domain="", **attributes):
    """`inputs` and `outputs` are names, in a list or separated by spaces; "-" is an input that is left out."""
    inputs, outputs = (names.split() if isinstance(names, str) else names for names in (inputs, outputs))
    return message(*((1, "" if item == "-" else item) for item in inputs), *((2, item) for item in outputs), (3, name),
                   (4, op),
                   *((5, attribute(what, value)) for what, value in attributes.items()), (7, domain))


def info(name, shape, kind=FLOAT):
    """Dimensions are numbers, or text for those that have names, or None."""
    dims = b"".join(field(1, b"" if size is None else message((2, size) if isinstance(size, str) else (1, size)))
                    for size in shape)
    return message((1, name), (2, message((1, message((1, kind), (2, dims))))))


def model(nodes, tensors=(), inputs=None, outputs=None, opset=17, extra=b"", graph_extra=b""):
    """From "x", of three channels and 8x8 pixels, to "y", unless infos say otherwise."""
    inputs = [info("x", (1, 3, 8, 8))] if inputs is None else inputs
    outputs = [info("y", (1, 3, 8, 8))] if outputs is None else outputs
    graph = message(*((1, item) for item in nodes), (2, "test"), *((5, item) for item in tensors),
                    *((11, item) for item in inputs), *((12, item) for item in outputs))
    return message((1, 8), (2, "writer"), (3, "1.0"), (7, graph + graph_extra),
                   (8, message((1, ""), (2, opset)))) + extra


def conv(source, target, weights, name="", bias=None, **attributes):
    """A node for weights that are in a tensor of that name."""
    return node("Conv", f"{source} {weights}" + (f" {bias}" if bias else ""), target, name, **attributes)
