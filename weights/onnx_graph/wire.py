"""Reads ONNX files: protobuf's wire format, and the messages of which a model consists.

A file is untrusted: each length is checked against the message that it is in, no message is read deeper than the format
nests, and numbers of things have limits. Values of tensors stay in the file's bytes until they are asked for.
"""
import math
import struct
from typing import NamedTuple

from convert import BadModel, ITEM_SIZE, MAX_RANK, STRUCT_CODE, joined, shown, widen_bf16

MAX_NODES = 1 << 16  # NAFNet, as published, has 2500
MAX_ITEMS = 1 << 20  # of a list of numbers or names in one message, but for the values of tensors

VARINT, I64, LEN, I32 = 0, 1, 2, 5  # wire types

DTYPES = {1: "f32", 2: "u8", 3: "i8", 4: "u16", 5: "i16", 6: "i32", 7: "i64", 9: "bool", 10: "f16", 11: "f64",
          12: "u32", 13: "u64", 16: "bf16"}
INTEGER_CODE = {"i64": "q", "i32": "i", "i16": "h", "i8": "b", "u64": "Q", "u32": "I", "u16": "H", "u8": "B",
                "bool": "B"}


def varint(data, at, what):
    """The number and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise BadModel(f"{what} is cut off, or has a number of more than 64 bits")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value & (1 << 64) - 1, at


def fields(data, what):
    """Yields (number, wire type, value) for each field of a message; values are numbers or parts of `data`."""
    at = 0
    while at < len(data):
        key, at = varint(data, at, what)
        number, wire_type = key >> 3, key & 7
        if not 1 <= number < 1 << 29 or wire_type not in (VARINT, I64, LEN, I32):
            raise BadModel(f"{what} has a field {number} of wire type {wire_type}, which is not protobuf")
        if wire_type == VARINT:
            value, at = varint(data, at, what)
        else:
            size = 4 if wire_type == I32 else 8
            if wire_type == LEN:
                size, at = varint(data, at, what)
            if size > len(data) - at:
                raise BadModel(f"{what} is cut off: field {number} has {size} bytes, {len(data) - at} are left")
            value = data[at:at + size]
            at += size
        yield number, wire_type, value


class Message:
    """The fields of a message that are asked for, by number; all others are left alone."""

    def __init__(self, data, what, most=MAX_ITEMS):
        self.what, self.found = what, {}
        for count, (number, wire_type, value) in enumerate(fields(data, what)):
            if count >= most:
                raise BadModel(f"{what} has more than {most} fields")
            self.found.setdefault(number, []).append((wire_type, value))

    def __contains__(self, number):
        return number in self.found

    def all(self, number, wire_type):
        values = self.found.get(number, [])
        for found, _ in values:
            if found != wire_type:
                raise BadModel(f"field {number} of {self.what} has wire type {found}, expected {wire_type}")
        return [value for _, value in values]

    def last(self, number, wire_type, default):
        return next(reversed(self.all(number, wire_type)), default)

    def text(self, number):
        return decoded(self.last(number, LEN, b""), self.what)

    def integer(self, number, default=0):
        return signed(self.last(number, VARINT, default))

    def numbers(self, number, code, most=MAX_ITEMS):
        """A repeated number, packed or not. `code` is struct's for a fixed size, or "" for varints."""
        result = []
        for wire_type, value in self.found.get(number, []):
            if wire_type == LEN and not code:
                at = 0
                while at < len(value) and len(result) <= most:
                    item, at = varint(value, at, self.what)
                    result.append(signed(item))
            elif wire_type == VARINT and not code:
                result.append(signed(value))
            elif code and wire_type in (LEN, I64 if code in "dQ" else I32):
                if len(value) % struct.calcsize(code):
                    raise BadModel(f"field {number} of {self.what} is cut off")
                result += struct.unpack(f"<{len(value) // struct.calcsize(code)}{code}", value)
            else:
                raise BadModel(f"field {number} of {self.what} has wire type {wire_type}, which numbers have not")
            if len(result) > most:
                raise BadModel(f"field {number} of {self.what} has more than {most} numbers")
        return result


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def decoded(raw, what):
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadModel(f"{what} has text that is not UTF-8") from None


class Constant:
    """A tensor whose values are known. `values` is a list of Python numbers; `name` is the initializer's, or ""."""

    def __init__(self, dtype, shape, values=None, raw=None, name=""):
        self.dtype, self.shape, self.name = dtype, tuple(shape), name
        self._values, self._raw = values, raw

    @property
    def count(self):
        return math.prod(self.shape)

    @property
    def is_float(self):
        return self.dtype in STRUCT_CODE or self.dtype == "bf16"

    @property
    def values(self):
        if self._values is not None:
            return self._values
        raw, dtype = bytes(self._raw), self.dtype
        if dtype == "bf16":
            raw, dtype = widen_bf16(raw), "f32"
        code = STRUCT_CODE.get(dtype) or INTEGER_CODE[dtype]
        values = struct.unpack(f"<{len(raw) // ITEM_SIZE[dtype]}{code}", raw)
        if len(values) <= 1 << 10:  # what is large is read once
            self._values = values
        return values

    def named(self, name):
        return Constant(self.dtype, self.shape, self._values, self._raw, name)

    def identity(self):
        """What two constants of the same values have in common."""
        return self.dtype, self.shape, bytes(self._raw) if self._raw is not None else tuple(map(repr, self._values))


def read_tensor(data, what):
    message = Message(data, what)
    name = message.text(8)
    what = f"the tensor {shown(name)}" if name else what
    if 13 in message or message.integer(14):
        raise BadModel(f"{what} lies in another file (external data), expected its values in this one: save the model "
                       "as one file")
    if 3 in message:
        raise BadModel(f"{what} is stored in segments, which are not supported")
    kind = message.integer(2)
    if kind not in DTYPES:
        raise BadModel(f"{what} has the data type {kind}, expected numbers")
    dtype, shape = DTYPES[kind], tuple(message.numbers(1, "", MAX_RANK))
    if not all(0 <= size < 1 << 32 for size in shape):
        raise BadModel(f"the shape of {what} is {joined(shape)}, expected dimensions of 0 to {(1 << 32) - 1}")
    count = math.prod(shape)
    if 9 in message:
        raw = message.last(9, LEN, b"")
        if len(raw) != count * ITEM_SIZE[dtype]:
            raise BadModel(f"{what} has {len(raw)} bytes, expected {count * ITEM_SIZE[dtype]} for {joined(shape)} of "
                           f"{dtype}")
        return Constant(dtype, shape, raw=raw, name=name)
    number, code = {"f32": (4, "f"), "f64": (10, "d"), "i64": (7, ""), "u64": (11, ""), "u32": (11, "")}.get(
        dtype, (5, ""))
    values = message.numbers(number, code, max(count, 1))
    if len(values) != count:
        raise BadModel(f"{what} has {len(values)} values, expected {count} for {joined(shape)}")
    if dtype in ("f16", "bf16"):
        if not all(0 <= value < 1 << 16 for value in values):
            raise BadModel(f"{what} has a value that is not 16 bits of {dtype}")
        return Constant(dtype, shape, raw=struct.pack(f"<{count}H", *values), name=name)
    if code == "":
        if dtype in ("u64", "u32"):
            values = [value & (1 << 64) - 1 for value in values]
        low, high = (0, 2) if dtype == "bool" else bounds(dtype)
        if not all(low <= value < high for value in values):
            raise BadModel(f"{what} has a value that is not {dtype}")
    return Constant(dtype, shape, values=values, name=name)


def bounds(dtype):
    bits = 8 * ITEM_SIZE[dtype]
    return (0, 1 << bits) if dtype[0] in "ub" else (-(1 << bits - 1), 1 << bits - 1)


class Node(NamedTuple):
    op: str
    name: str
    inputs: tuple
    outputs: tuple
    attributes: dict

    def __str__(self):
        """What sentences call it."""
        name = self.name or next(filter(None, self.outputs), "")
        return f"the {self.op} node {shown(name)}"


ATTRIBUTE_KINDS = {1: "float", 2: "int", 3: "string", 4: "tensor", 6: "floats", 7: "ints", 8: "strings"}


def read_attribute(data, node):
    what = f"an attribute of {node}"
    message = Message(data, what)
    name = message.text(1)
    what = f"the attribute {shown(name)} of {node}"
    if 6 in message or 11 in message:
        raise BadModel(f"{node} has a graph of its own ({shown(name)}), which depends on values: export a model without "
                       "branches and loops")
    kinds = {2: 1, 3: 2, 4: 3, 5: 4, 7: 6, 8: 7, 9: 8}
    kind = message.integer(20) or next((kinds[number] for number in message.found if number in kinds), 0)
    kind = ATTRIBUTE_KINDS.get(kind)
    if kind is None or 21 in message:
        raise BadModel(f"{what} is of a kind that is not supported")
    if kind == "float":
        value = struct.unpack("<f", message.last(2, I32, bytes(4)))[0]
    elif kind == "int":
        value = message.integer(3)
    elif kind == "string":
        value = message.text(4)
    elif kind == "tensor":
        value = read_tensor(message.last(5, LEN, b""), what)
    elif kind == "floats":
        value = message.numbers(7, "f")
    elif kind == "ints":
        value = message.numbers(8, "")
    else:
        value = [decoded(item, what) for item in message.all(9, LEN)]
    return name, value


def read_node(data, index):
    what = f"node {index}"
    message = Message(data, what)
    op, domain = message.text(4), message.text(7)
    inputs, outputs = ([decoded(item, what) for item in message.all(number, LEN)] for number in (1, 2))
    node = Node(op if op.isidentifier() else shown(op), message.text(3), tuple(inputs), tuple(outputs), {})
    if domain not in ("", "ai.onnx"):
        raise BadModel(f"{node} is of the domain {shown(domain)}, expected ONNX's own operators")
    for item in message.all(5, LEN):
        name, value = read_attribute(item, node)
        if name in node.attributes:
            raise BadModel(f"{node} has the attribute {shown(name)} twice")
        node.attributes[name] = value
    return node


class Info(NamedTuple):
    """An input or output: its shape has None for dimensions that are not numbers, and is None where nothing is said."""
    name: str
    dtype: str
    shape: tuple


def read_info(data, what):
    message = Message(data, what)
    name = message.text(1)
    what = f"the {what} {shown(name)}"
    tensor = Message(Message(message.last(2, LEN, b""), what).last(1, LEN, b""), what)
    shape = None
    if 2 in tensor:
        dims = [Message(dim, what) for dim in Message(tensor.last(2, LEN, b""), what).all(1, LEN)]
        if len(dims) > MAX_RANK:
            raise BadModel(f"{what} has {len(dims)} dimensions, expected 4")
        shape = tuple(dim.integer(1) if 1 in dim else None for dim in dims)
    return Info(name, DTYPES.get(tensor.integer(1), "?"), shape)


class Graph(NamedTuple):
    opset: int
    producer: str
    nodes: list
    initializers: dict  # name: Constant
    inputs: list  # of Info, without those that are initializers
    outputs: list


def read_graph(data):
    """The graph of a model, as it is written: names may be missing or double, nodes in any order."""
    model = Message(memoryview(data), "the model", MAX_NODES)
    if 7 not in model:
        raise BadModel("not an ONNX model: it has no graph")
    if 20 in model:
        raise BadModel("it has information for training, expected a model for inference")
    if 25 in model:
        raise BadModel("it defines functions, expected ONNX's own operators alone")
    opset = 0
    for item in model.all(8, LEN):
        entry = Message(item, "an opset")
        if entry.text(1) in ("", "ai.onnx"):
            opset = entry.integer(2)
    if not 11 <= opset <= 20:
        raise BadModel(f"its opset is {opset or 'not stated'}, expected 11 to 20: export it with one of these "
                       "(opset_version=17, for instance)")
    graph = Message(model.last(7, LEN, b""), "the graph", 4 * MAX_NODES)
    if 15 in graph:
        raise BadModel("it has sparse tensors, which are not supported")
    if len(graph.all(1, LEN)) > MAX_NODES:
        raise BadModel(f"it has {len(graph.all(1, LEN))} nodes, expected {MAX_NODES} at most")
    initializers = {}
    for index, item in enumerate(graph.all(5, LEN)):
        tensor = read_tensor(item, f"initializer {index}")
        if tensor.name in initializers:
            raise BadModel(f"it has the tensor {shown(tensor.name)} twice")
        initializers[tensor.name] = tensor
    inputs, outputs = ([read_info(item, what) for item in graph.all(number, LEN)]
                       for number, what in ((11, "input"), (12, "output")))
    nodes = [read_node(item, index) for index, item in enumerate(graph.all(1, LEN))]
    producer = f"{model.text(2)} {model.text(3)}".strip()
    return Graph(opset, producer, nodes, initializers, [info for info in inputs if info.name not in initializers],
                 outputs)
