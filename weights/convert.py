#!/usr/bin/env python3
"""Converts a checkpoint to a .mirw weight file, or checks one. README.md beside this file specifies the format.

Reads PyTorch checkpoints (zip archives and the stream that PyTorch wrote before 1.6), safetensors files, weight files
and, with the modules of onnx_graph/, ONNX models, with nothing but the standard library. A checkpoint is untrusted
input: its pickle is interpreted here by a machine that knows plain data and three inert names, so nothing in the file
can import or call anything.
"""
import argparse
import contextlib
import hashlib
import importlib
import io
import itertools
import json
import math
import os
import pickletools
import re
import stat
import struct
import sys
import zipfile
from typing import Callable, NamedTuple, Optional

INTERNAL, USAGE, BAD_INPUT, BAD_MODEL, BAD_OUTPUT = 1, 2, 3, 4, 8  # exit codes; 0 is success

MAX_CHECKPOINT = 8 << 30  # bytes; the published network with its optimizer's state is 0.4 GB
MAX_INDEX = 16 << 20  # bytes of pickle or JSON; the published network needs 0.4 MB
MOST_SHOWN = 20  # lines on what was folded
MAX_RANK = 64  # dimensions of a tensor, as in PyTorch
MAX_SHARED = 32  # times the bytes of a checkpoint: those of its tensors, which may be views of the same values


class Failure(Exception):
    """Ends the program with an exit code and one sentence."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


class BadModel(Failure):
    def __init__(self, sentence):
        super().__init__(BAD_MODEL, sentence)


def shown(text):
    """Text from a file, safe to print: ASCII, on one line, of bounded length."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 130 else quoted[:126] + "...'"


def alternatives(items):
    *others, last = map(str, items)
    return f"{', '.join(others)} or {last}" if others else last


def joined(shape):
    sizes = "x".join(map(str, shape)) or "scalar"
    return sizes if len(sizes) <= 130 else sizes[:127] + "..."


# Numbers. Values travel as little-endian float32 bytes between the reader of a checkpoint and the writer.

ITEM_SIZE = {"f64": 8, "f32": 4, "f16": 2, "bf16": 2,
             "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u64": 8, "u32": 4, "u16": 2, "u8": 1, "bool": 1}
FLOATS = ("f64", "f32", "f16", "bf16")
STRUCT_CODE = {"f64": "d", "f32": "f", "f16": "e"}


def recode(raw, source, target):
    """Rounds to nearest, ties to even; OverflowError if a finite value does not fit."""
    count = len(raw) // ITEM_SIZE[source]
    return struct.pack(f"<{count}{STRUCT_CODE[target]}", *struct.unpack(f"<{count}{STRUCT_CODE[source]}", raw))


def widen_bf16(raw):
    wide = bytearray(2 * len(raw))
    wide[2::4] = raw[0::2]
    wide[3::4] = raw[1::2]
    return bytes(wide)


def narrow_to_bf16(raw):
    """Rounds every value at once, in one integer with a 32-bit lane for each.

    Only a NaN is large enough to carry into the next lane, and those have been refused.
    """
    lanes = int.from_bytes(raw, "little")
    ones = int.from_bytes(b"\1\0\0\0" * (len(raw) // 4), "little")
    rounded = (lanes + 0x7FFF * ones + ((lanes >> 16) & ones)).to_bytes(len(raw), "little")
    narrow = bytearray(len(raw) // 2)
    narrow[0::2] = rounded[2::4]
    narrow[1::2] = rounded[3::4]
    return bytes(narrow)


def all_finite(raw):
    # A sum of float32 values in float64 cannot overflow, and no Inf or NaN can leave it again.
    return math.isfinite(sum(struct.unpack(f"<{len(raw) // 4}f", raw)))


def widen(raw, dtype):
    if dtype == "f32":
        return bytes(raw)
    return widen_bf16(raw) if dtype == "bf16" else recode(raw, dtype, "f32")


def narrow(raw, dtype):
    if dtype == "f32":
        return raw
    if dtype == "f16":
        return recode(raw, "f32", "f16")
    rounded = narrow_to_bf16(raw)
    if not all_finite(widen_bf16(rounded)):
        raise OverflowError
    return rounded


CRC32C = 0x82F63B78  # Castagnoli's polynomial; in this bit order the top bit is x^0 and x^32 is implied


def times_x(a):
    return (a >> 1) ^ (CRC32C if a & 1 else 0)


def times(a, b):
    """The product of two polynomials, modulo the CRC's."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = times_x(b)
    return product


def fold_constants(count):
    """x^(2^m + 32) for m = 0, 1, ..."""
    power, x32 = 1 << 30, CRC32C
    constants = []
    for _ in range(count):
        constants.append(times(power, x32))
        power = times(power, power)
    return constants


FOLD = fold_constants(40)


def crc32c(data):
    """CRC-32C without a loop over bytes: the message is one long polynomial, reduced by big-integer arithmetic.

    Bit 0 is the coefficient of the highest power. With k = 2^m + 32 the leading part H of H*x^k + L is replaced by
    H * (x^k mod P), at most 32 shifted copies of H, which halves the length; a few microseconds per kilobyte.
    """
    message = int.from_bytes(data, "little") ^ 0xFFFFFFFF
    bits = 8 * len(data)  # and the 32 zeros that the CRC is left in
    while bits > 64:
        m = (bits - 1).bit_length() - 1
        head_bits = bits - (1 << m)
        head = message & ((1 << head_bits) - 1)
        product = 0
        for shift in range(32):
            if FOLD[m] >> shift & 1:
                product ^= head << shift
        bits = 1 << m
        message = (message >> head_bits) ^ (product << (bits + 1 - head_bits))
    for _ in range(bits):
        message = times_x(message)
    return message ^ 0xFFFFFFFF


# A file's description of its network and of the tensors.

# The arrangement of a tensor in packed data. All but slopes may have any dtype.
SLOPE, PLAIN, LINES, CONVOLUTION, TRANSPOSED = "slope", "plain", "lines", "convolution", "transposed convolution"


class Parameter(NamedTuple):
    """A tensor of a weight file. A slope is one number, always f32. Slopes and plain tensors are stored as they are;
    lines are the values of a vector and zeros up to the end of the last line.
    """
    name: str
    shape: tuple
    kind: str


def is_spatial_attention(name):
    return name.endswith("SA.spatial.conv.weight")


TASKS = ("unspecified", "denoise", "brighten", "upscale", "deblur", "defocus")
DEFOCUS = TASKS.index("defocus")
OWN_NETWORK, MIRNET_V1, MIRNET_V2 = 0, 1, 2  # values of arch


class Own(NamedTuple):
    """A network that the library does not know."""
    in_channels: int
    out_channels: int
    numbers: tuple
    tensors: tuple  # of Parameter

    arch, title, since = OWN_NETWORK, "another network", 4  # since: the first version_minor that has it
    usual_task = 0

    def check_task(self, task):
        pass

    def version(self, _task, _layout):
        return 4

    def fields(self, _version):
        return (self.in_channels, self.out_channels, *self.numbers)

    def notes(self, _task, _is_given):
        return ()

    @property
    def transposed(self):
        return [tensor.name for tensor in self.tensors if tensor.kind == TRANSPOSED]

    def __str__(self):
        used = max((at + 1 for at, value in enumerate(self.numbers) if value), default=0)
        return (f"not the library's own: channels {self.in_channels or '?'} to {self.out_channels or '?'}, numbers "
                f"{', '.join(map(str, self.numbers[:used])) or 'none'}")


def split(name):
    """The name of the layer, with the dot, and of its parameter."""
    layer, dot, last = name.rpartition(".")
    return layer + dot, last


def is_weight(name, shape):
    """Whether the tensor can be the weights of a convolution."""
    return len(shape) == 4 and split(name)[1] == "weight" and not is_spatial_attention(name)


def kind_of(name, shape, is_transposed):
    if len(shape) == 1:
        return SLOPE if shape == (1,) and split(name)[1] != "bias" else LINES
    if is_weight(name, shape):
        return TRANSPOSED if is_transposed else CONVOLUTION
    return PLAIN


def own_network(channels, numbers, shapes, transposed):
    """`shapes` is {name: shape} in the order of the file, `transposed` the names of transposed convolutions."""
    transposed = set(transposed)
    for name in sorted(transposed):
        if name not in shapes or not is_weight(name, shapes[name]):
            raise BadModel(f"{shown(name)} is said to be a transposed convolution, but it is not the weight of one")
    return Own(*channels, numbers,
               tuple(Parameter(name, shape, kind_of(name, shape, name in transposed))
                     for name, shape in shapes.items()))


# The library's networks. `parameters` has what their parameters are called, in PyTorch's order of registration: (name,
# shape, owner) for each name in a checkpoint; a name that is not its own owner is an alias.

REDUCTION = 8
UNSHUFFLES = (1, 2, 4)
SHARED_SLOPE = "body.0.body.0.blocks.0.0.body.1.weight"


def check_number(what, value, numbers):
    """`numbers` are those that are allowed, in a range or a tuple."""
    if value not in numbers:
        low, high = numbers[0], numbers[-1]
        expected = alternatives(numbers) if len(numbers) < 4 else f"{low} to {high}" if numbers.step == 1 else \
            f"a multiple of {numbers.step} from {low} to {high}"
        raise BadModel(f"{what} {value}, expected {expected}")


def checked(network, what=None):
    """`what` is what the fields are called, if not by their names."""
    for name, value, numbers in zip(what or network._fields, network, network.ranges):
        check_number(f"{name} is", value, numbers)
    return network


def counts(pattern, names):
    """One more than the largest of each of the numbers that a pattern finds in names."""
    found = [map(int, match.groups()) for match in map(pattern.match, names) if match]
    return [max(numbers) + 1 for numbers in zip(*found)]


class Mirnet(NamedTuple):
    channels: int
    features: int
    groups: int
    blocks: int
    streams: int
    columns: int
    unshuffle: int

    arch, title, since = MIRNET_V1, "MIRNet", 1
    unit = re.compile(  # in names that no other network has
        r"body\.(\d{1,4})\.body\.(\d{1,4})\.blocks\.(\d{1,4})\.(\d{1,4})\.")
    ranges = (range(1, 17), range(8, 1025), range(1, 17), range(1, 17), range(1, 5), range(1, 5), UNSHUFFLES)
    usual_task = 0

    @classmethod
    def of_checkpoint(cls, tensors, first, unshuffle):
        """`first` is the shape of conv_in.weight."""
        if first[1] % unshuffle ** 2:
            raise BadModel(f"conv_in.weight has {first[1]} input channels, expected a multiple of {unshuffle ** 2} for "
                           f"unshuffle {unshuffle}")
        return checked(cls(first[1] // unshuffle ** 2, first[0], *counts(cls.unit, tensors), unshuffle))

    @classmethod
    def of_header(cls, header):
        return checked(cls(header.in_channels, header.features, header.groups, header.blocks, header.streams,
                           header.columns, header.unshuffle if header.version_minor >= 3 else 1))

    def check_task(self, task):
        pass

    @property
    def cell_channels(self):
        """Those of the map on which the network works: a pixel of it is a cell of the image's."""
        return self.channels * self.unshuffle ** 2

    def parameters(self):
        """The columns of a block share one dual attention unit per stream, and all units of a network share one slope.
        """
        f = self.features
        yield "conv_in.weight", (f, self.cell_channels, 3, 3), "conv_in.weight"
        for g in range(self.groups):
            for b in range(self.blocks):
                block = f"body.{g}.body.{b}."
                for s, c in itertools.product(range(self.streams), range(self.columns)):
                    for name, shape in dual_attention(f << s):
                        owner = SHARED_SLOPE if name == "body.1.weight" else f"{block}blocks.{s}.0.{name}"
                        yield f"{block}blocks.{s}.{c}.{name}", shape, owner
                for name, shape in after_units(self):
                    yield block + name, shape, block + name
            tail = f"body.{g}.body.{self.blocks}.weight"
            yield tail, (f, f, 3, 3), tail
        yield "conv_out.weight", (self.cell_channels, f, 3, 3), "conv_out.weight"

    @property
    def tensors(self):
        return schema(self, r"\.(last_up|up)\..*\.top\.2\.weight$", TRANSPOSED)

    def version(self, task, layout):
        return 4 if task > 1 else 3 if self.unshuffle > 1 else 1 + LAYOUTS.index(layout)

    def fields(self, version):
        return (self.channels, self.channels, self.features, self.groups, self.blocks, self.streams, self.columns,
                REDUCTION, 2, 1, 0, 1, self.unshuffle << (self.streams - 1), self.unshuffle if version >= 3 else 0)

    def notes(self, _task, _is_given):
        return ()

    def __str__(self):
        return described(self)


def described(network):
    return f"{network.title}: {', '.join(f'{name} {value}' for name, value in network._asdict().items())}"


def schema(network, special, kind):
    """The tensors of a weight file, in order. Those in whose names the pattern `special` is found are of that kind."""
    return tuple(Parameter(name, shape, kind if re.search(special, name) else kind_of(name, shape, False))
                 for name, shape, owner in network.parameters() if name == owner)


def dual_attention(c):
    return (("body.0.weight", (c, c, 3, 3)), ("body.1.weight", (1,)), ("body.2.weight", (c, c, 3, 3)),
            ("SA.spatial.conv.weight", (1, 2, 5, 5)),
            ("CA.conv_du.0.weight", (c // REDUCTION, c, 1, 1)), ("CA.conv_du.2.weight", (c, c // REDUCTION, 1, 1)),
            ("conv1x1.weight", (c, 2 * c, 1, 1)))


def resampler(c, out, last):
    return (("top.0.weight", (c, c, 1, 1)), ("top.1.weight", (1,)), ("top.2.weight", (c, c, 3, 3)),
            ("top.3.weight", (1,)), (f"top.{last}.weight", (out, c, 1, 1)), ("bot.1.weight", (out, c, 1, 1)))


def upsamplers(prefix, c, steps):
    for i in range(steps):
        for name, shape in resampler(c >> i, c >> (i + 1), 4):
            yield f"{prefix}.body.{i}.{name}", shape


def downsamplers(prefix, c, steps):
    for i in range(steps):
        for name, shape in resampler(c << i, c << (i + 1), 5):  # top.4 is a blur, without parameters
            yield f"{prefix}.body.{i}.{name}", shape


def fusion(c, streams):
    squeezed = max(c // REDUCTION, 4)
    yield "conv_du.0.weight", (squeezed, c, 1, 1)
    yield "conv_du.1.weight", (1,)
    for j in range(streams):
        yield f"fcs.{j}.weight", (c, squeezed, 1, 1)


def after_units(network):
    """The parameters of a multi-scale block behind its dual attention units."""
    n = network.streams
    ch = [network.features << s for s in range(n)]
    for s in range(1, n):
        yield from upsamplers(f"last_up.{s}", ch[s], s)
    for s in range(n):
        for d in range(n - 1 - s, 0, -1):
            yield from downsamplers(f"down.{ch[s]}_{1 << d}", ch[s], d)
    for s in range(n - 1, -1, -1):
        for d in range(s, 0, -1):
            yield from upsamplers(f"up.{ch[s]}_{1 << d}", ch[s], d)
    yield "conv_out.weight", (ch[0], ch[0], 3, 3)
    for t in range(n):
        for name, shape in fusion(ch[t], n):
            yield f"selective_kernel.{t}.{name}", shape


class MirnetV2(NamedTuple):
    channels: int  # of the image that goes in
    features: int
    blocks: int
    bias: int

    arch, title, since = MIRNET_V2, "MIRNet-v2", 4
    unit = re.compile(r"body\.(\d{1,4})\.body\.(\d{1,4})\.(?:dau_|skff_|down[24]\.|up21_|up32_)")
    unshuffle = 1
    convolution_groups = (1, 2, 4, 4)  # in each residual group
    ranges = (range(3, 7, 3), range(16, 513, 16), range(1, 17), range(2))

    @classmethod
    def of_checkpoint(cls, tensors, first, unshuffle):
        if unshuffle != cls.unshuffle:
            raise BadModel(f"unshuffle is {unshuffle}, expected {cls.unshuffle}: MIRNet-v2 works on single pixels")
        groups, blocks = counts(cls.unit, tensors)
        wanted = len(cls.convolution_groups)
        if groups != wanted:
            raise BadModel(f"body.{groups - 1} is the last residual group, expected body.{wanted - 1}: MIRNet-v2 has "
                           f"{wanted}")
        network = checked(cls(first[1], first[0], blocks, 1), (
            "the number of input channels of conv_in.weight", "the number of output channels of conv_in.weight",
            "the number of blocks in a residual group"))
        biases = [name for name, _, _ in network.parameters() if split(name)[1] == "bias"]
        there = [name for name in biases if name in tensors]
        if not there:
            return network._replace(bias=0)
        # Where the whole layer is missing, that is what has to be said.
        missing = [name for name in biases if name not in tensors and split(name)[0] + "weight" in tensors]
        if missing:
            raise BadModel(f"{there[0]} is there and {missing[0]} is not, expected all biases or none")
        return network

    @classmethod
    def of_header(cls, header):
        return checked(cls(header.in_channels, header.features, header.blocks, header.bias))

    @property
    def usual_task(self):
        return DEFOCUS if self.channels == 6 else 0

    def check_task(self, task):
        if self.channels == 6 and task != DEFOCUS:
            raise BadModel(f"the task is {TASKS[task]}, expected defocus: conv_in.weight has 6 input channels, for the "
                           "left and the right view")

    def parameters(self):
        for name, shape, has_bias in self.convolutions():
            yield f"{name}.weight", shape, f"{name}.weight"
            if has_bias and self.bias:
                yield f"{name}.bias", shape[:1], f"{name}.bias"

    def convolutions(self):
        """Yields (name, shape, whether it has a bias where the network has biases)."""
        f = self.features
        yield "conv_in", (f, self.channels, 3, 3), True
        for g, groups in enumerate(self.convolution_groups):
            for b in range(self.blocks):
                for name, shape, has_bias in multi_scale_block(f, f * 3 // 2, f * 9 // 4, groups):
                    yield f"body.{g}.body.{b}.{name}", shape, has_bias
            yield f"body.{g}.body.{self.blocks}", (f, f, 3, 3), True
        yield "conv_out", (3, f, 3, 3), True

    @property
    def tensors(self):
        return schema(self, r"\.gcnet\.conv_mask\.weight$", PLAIN)

    def version(self, _task, _layout):
        return 4

    def fields(self, _version):
        return (self.channels, 3, self.features, len(self.convolution_groups), self.blocks, 3, 2, REDUCTION, 3, 2,
                self.bias, 1, 4, self.unshuffle)

    def notes(self, task, is_given):
        """What no shape tells. `is_given` says whether the user gave the task."""
        if task == DEFOCUS:
            yield "the network's output is the result: the image is not added to it"
        elif task or is_given:
            yield "the image is added to the network's output"
        else:
            yield ("the image is added to the network's output, which no shape tells; converting with --task defocus "
                   "leaves it out")

    def __str__(self):
        return described(self)


def residual_context(c, groups):
    yield "body.0", (c, c // groups, 3, 3)
    yield "body.2", (c, c // groups, 3, 3)
    yield "gcnet.conv_mask", (1, c, 1, 1)
    yield "gcnet.channel_add_conv.0", (c, c, 1, 1)
    yield "gcnet.channel_add_conv.2", (c, c, 1, 1)


def multi_scale_block(top, mid, bot, groups):
    """Of MIRNet-v2, as MirnetV2.convolutions; top, mid and bot are the channels of the streams."""
    for stream, c in (("top", top), ("mid", mid), ("bot", bot)):
        for name, shape in residual_context(c, groups):
            yield f"dau_{stream}.{name}", shape, True
    for name, c, out in (("down2.body.0.bot.1", top, mid), ("down4.0.body.0.bot.1", top, mid),
                         ("down4.1.body.0.bot.1", mid, bot), ("up21_1.body.0.bot.0", mid, top),
                         ("up21_2.body.0.bot.0", mid, top), ("up32_1.body.0.bot.0", bot, mid),
                         ("up32_2.body.0.bot.0", bot, mid)):
        yield name, (out, c, 1, 1), False
    yield "conv_out", (top, top, 1, 1), True
    for stream, c in (("top", top), ("mid", mid)):
        squeezed = max(c // REDUCTION, 4)
        yield f"skff_{stream}.conv_du.0", (squeezed, c, 1, 1), False
        for j in range(2):
            yield f"skff_{stream}.fcs.{j}", (c, squeezed, 1, 1), False


LIBRARY = (Mirnet, MirnetV2)


# Checkpoints: each reader returns a Checkpoint. Bytes are fetched when a tensor is used.

class Storage:
    def __init__(self, dtype, count, fetch: Callable):
        self.dtype, self.count, self.fetch = dtype, count, fetch
        self.raw = None

    def bytes(self):
        if self.raw is None:  # any number of tensors may be views of it
            self.raw = memoryview(self.fetch())
        raw = self.raw
        if len(raw) != self.count * ITEM_SIZE[self.dtype]:
            raise BadModel(f"a storage has {len(raw)} bytes, expected {self.count} values of {self.dtype}")
        return raw


def row_major(shape):
    return tuple(math.prod(shape[i + 1:]) for i in range(len(shape)))


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count values."""
    storage: Storage
    offset: int
    shape: tuple
    strides: tuple

    def fits(self):
        if 0 in self.shape:
            return True
        return self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides)) < self.storage.count

    def bytes(self):
        """The values in row-major order, in the dtype of the storage."""
        raw = self.storage.bytes()
        size = ITEM_SIZE[self.storage.dtype]
        count = math.prod(self.shape)
        packed = row_major(self.shape)
        if all(n == 1 or s == p for n, s, p in zip(self.shape, self.strides, packed)):
            return raw[self.offset * size:(self.offset + count) * size]
        if count > self.storage.count or any(n > 1 and s == 0 for n, s in zip(self.shape, self.strides)):
            raise BadModel("a tensor is a view that repeats values")
        code = {2: "H", 4: "I", 8: "Q"}[size]
        source = raw.cast(code)
        target = memoryview(bytearray(count * size)).cast(code)
        # One strided copy along the longest axis for each index of the others.
        axis = self.shape.index(max(self.shape))
        length = self.shape[axis]
        for index in itertools.product(*(range(1 if i == axis else n) for i, n in enumerate(self.shape))):
            read = self.offset + sum(map(int.__mul__, index, self.strides))
            write = sum(map(int.__mul__, index, packed))
            target[write:write + (length - 1) * packed[axis] + 1:packed[axis]] = \
                source[read:read + (length - 1) * self.strides[axis] + 1:self.strides[axis]]
        return target.cast("B")


class Global(NamedTuple):
    """A name that a pickle may mention. It stays a name."""
    name: str


TORCH_STORAGES = {"torch.DoubleStorage": "f64", "torch.FloatStorage": "f32", "torch.HalfStorage": "f16",
                  "torch.BFloat16Storage": "bf16", "torch.LongStorage": "i64", "torch.IntStorage": "i32",
                  "torch.ShortStorage": "i16", "torch.CharStorage": "i8", "torch.ByteStorage": "u8",
                  "torch.BoolStorage": "bool"}
ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER = (
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter")
GLOBALS = {ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, *TORCH_STORAGES}


def is_count(value):
    return type(value) is int and 0 <= value < 1 << 63


def is_sizes(value, kind=tuple):
    """Whether a value is one number for each dimension of a tensor, in a tuple or a list."""
    return type(value) is kind and len(value) <= MAX_RANK and all(map(is_count, value))


class Unpickler:
    """Interprets the opcodes that torch.save writes for dictionaries of tensors and plain values; refuses all others.

    `fetch(key)` returns the bytes of a storage. Values from the pickle are never hashed, compared or printed before
    their type is known: tuples that share their members can stand for more data than the universe holds.
    """

    def __init__(self, fetch):
        self.fetch = fetch
        self.storages = {}

    def load(self, file):
        """The next of the pickles that follow each other in a file; they share storages, nothing else."""
        start = file.tell()
        self.stack, self.outer, self.memo = [], [], {}
        try:
            for opcode, argument, position in pickletools.genops(file):
                if position - start > MAX_INDEX:
                    raise BadModel(f"its pickle is longer than {MAX_INDEX} bytes")
                if opcode.name not in self.OPCODES:
                    raise BadModel(f"its pickle uses {opcode.name}, which a dictionary of tensors does not need")
                self.OPCODES[opcode.name](self, argument)
            return self.stack.pop()
        except (IndexError, KeyError, ValueError):
            raise BadModel("its pickle is damaged or cut off") from None

    def push(self, value):
        self.stack.append(value)

    def pop_mark(self):
        items, self.stack = self.stack, self.outer.pop()
        return items

    def mark(self, _):
        self.outer.append(self.stack)
        self.stack = []

    def put(self, index):
        self.memo[index] = self.stack[-1]

    def memoize(self, _):
        self.put(len(self.memo))

    def get(self, index):
        self.push(self.memo[index])

    def push_tuple(self, count):
        self.push(tuple([self.stack.pop() for _ in range(count)][::-1]))

    def extend(self, items):
        if type(self.stack[-1]) is not list:
            raise BadModel("its pickle appends to something that is not a list")
        self.stack[-1].extend(items)

    def update(self, items):
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise BadModel("its pickle sets an item of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if type(key) not in (str, int):
                raise BadModel("its pickle has a dictionary whose key is neither text nor a number")
            if key in target:
                raise BadModel(f"its pickle has the dictionary key {shown(key)} twice")
            target[key] = value

    def find(self, name):
        if name not in GLOBALS:
            raise BadModel(f"its pickle asks for {shown(name)}, which is not run; save the state_dict alone")
        self.push(Global(name))

    def find_on_stack(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise BadModel("its pickle asks for a name that is not text")
        self.find(f"{module}.{name}")

    def build(self, _):
        # torch hangs the versions of modules on a state_dict in this way; they are of no use here.
        self.stack.pop()
        if type(self.stack[-1]) is not dict:
            raise BadModel("its pickle sets the attributes of something that is not a dictionary")

    def reduce(self, _):
        arguments, function = self.stack.pop(), self.stack.pop()
        name = function.name if type(function) is Global else None
        count = len(arguments) if type(arguments) is tuple else -1
        if name == ORDERED_DICT and count == 0:
            self.push({})
        elif name == REBUILD_TENSOR and count in (6, 7):
            self.push(self.tensor(*arguments[:4]))
        elif name == REBUILD_PARAMETER and count == 3 and type(arguments[0]) is Tensor:
            self.push(arguments[0])
        else:
            raise BadModel("its pickle calls something other than the functions that rebuild tensors")

    def tensor(self, storage, offset, shape, strides):
        if (type(storage) is not Storage or not is_count(offset) or not is_sizes(shape) or not is_sizes(strides)
                or len(shape) != len(strides)):
            raise BadModel("its pickle describes a tensor that makes no sense")
        tensor = Tensor(storage, offset, shape, strides)
        if not tensor.fits():
            raise BadModel("a tensor reaches beyond the end of its storage")
        return tensor

    def persistent(self, _):
        identity = self.stack.pop()
        # ("storage", type, key, device, count), and in the old stream None, for a storage that is no view
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise BadModel("its pickle refers to something other than a storage")
        kind, key, _, count = identity[1:5]
        if (type(kind) is not Global or kind.name not in TORCH_STORAGES or type(key) is not str or not is_count(count)
                or any(view is not None for view in identity[5:])):
            raise BadModel("its pickle describes a storage that makes no sense")
        dtype = TORCH_STORAGES[kind.name]
        storage = self.storages.setdefault(key, Storage(dtype, count, lambda: self.fetch(key)))
        if (storage.dtype, storage.count) != (dtype, count):
            raise BadModel("its pickle describes one storage in two ways")
        self.push(storage)

    OPCODES = {
        **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda self, _: None),
        **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"), push),
        "NONE": lambda self, _: self.push(None),
        "NEWTRUE": lambda self, _: self.push(True),
        "NEWFALSE": lambda self, _: self.push(False),
        "EMPTY_DICT": lambda self, _: self.push({}),
        "EMPTY_LIST": lambda self, _: self.push([]),
        "EMPTY_TUPLE": lambda self, _: self.push(()),
        "MARK": mark,
        "TUPLE": lambda self, _: self.push(tuple(self.pop_mark())),
        "TUPLE1": lambda self, _: self.push_tuple(1),
        "TUPLE2": lambda self, _: self.push_tuple(2),
        "TUPLE3": lambda self, _: self.push_tuple(3),
        "APPEND": lambda self, _: self.extend([self.stack.pop()]),
        "APPENDS": lambda self, _: self.extend(self.pop_mark()),
        "SETITEM": lambda self, _: self.update([self.stack.pop(-2), self.stack.pop()]),
        "SETITEMS": lambda self, _: self.update(self.pop_mark()),
        **dict.fromkeys(("BINPUT", "LONG_BINPUT"), put),
        "MEMOIZE": memoize,
        **dict.fromkeys(("BINGET", "LONG_BINGET"), get),
        "GLOBAL": lambda self, name: self.find(name.replace(" ", ".", 1)),
        "STACK_GLOBAL": find_on_stack,
        "BINPERSID": persistent,
        "REDUCE": reduce,
        "BUILD": build,
    }


def read_zip(data):
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {}
        for member in archive.infolist():
            if member.filename in members:
                raise BadModel(f"the archive has two members named {shown(member.filename)}")
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size \
                    or member.flag_bits & 1:
                raise BadModel(f"the archive's member {shown(member.filename)} is compressed or encrypted")
            members[member.filename] = member
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, OSError):
        raise BadModel("the zip archive is damaged or cut off") from None
    # Members that overlap could stand for more data than the file has.
    if sum(member.file_size for member in members.values()) > len(data):
        raise BadModel("the members of the archive overlap")

    def read(name):
        if name not in members:
            raise BadModel(f"the archive has no member {shown(name)}")
        try:
            return archive.read(members[name])
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError,
                struct.error, OSError):
            raise BadModel(f"the archive's member {shown(name)} is damaged (wrong header or checksum)") from None

    folders = [name[:-len("data.pkl")] for name in members if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(folders) != 1:
        raise BadModel("a zip archive, but not a PyTorch checkpoint (it needs one FOLDER/data.pkl)")
    folder = folders[0]
    if folder + "byteorder" in members and read(folder + "byteorder") != b"little":
        raise BadModel("the checkpoint was written on a big-endian machine")
    return checkpoint_of(Unpickler(lambda key: read(f"{folder}data/{key}")).load(io.BytesIO(read(folder + "data.pkl"))))


LEGACY_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # pickled behind the two bytes of PROTO


def read_legacy(data):
    file = io.BytesIO(data)
    view = memoryview(data)
    places = {}
    unpickler = Unpickler(lambda key: places[key])
    unpickler.load(file)  # the magic number
    version, system = unpickler.load(file), unpickler.load(file)
    if type(version) is not int or version != 1001:
        raise BadModel("the checkpoint is of an unknown version of PyTorch's old format")
    if type(system) is not dict or system.get("little_endian") is not True:
        raise BadModel("the checkpoint was written on a big-endian machine")
    checkpoint = checkpoint_of(unpickler.load(file))
    keys = unpickler.load(file)
    if type(keys) is not list or any(type(key) is not str for key in keys) \
            or sorted(keys) != sorted(unpickler.storages):
        raise BadModel("the checkpoint's list of storages is not that of its tensors")
    position = file.tell()
    for key in keys:
        storage = unpickler.storages[key]
        begin, size = position + 8, storage.count * ITEM_SIZE[storage.dtype]
        if begin > len(data) or size > len(data) - begin:
            raise BadModel("the checkpoint is cut off")
        if int.from_bytes(view[position:begin], "little") != storage.count:
            raise BadModel("a storage is not as long as its tensors say")
        places[key] = view[begin:begin + size]
        position = begin + size
    if position != len(data):
        raise BadModel(f"the checkpoint has {len(data) - position} bytes behind its end")
    return checkpoint


class Checkpoint(NamedTuple):
    tensors: dict  # {name: Tensor}
    unshuffle: Optional[int]  # None where it says nothing


def checkpoint_of(value):
    return Checkpoint(named_tensors(value), configured_unshuffle(value))


def configured_unshuffle(value):
    """What the training of this project notes beside the parameters: no shape tells it."""
    config = value.get("config") if type(value) is dict else None
    if type(config) is not dict or "unshuffle" not in config:
        return None
    unshuffle = config["unshuffle"]
    check_number("the checkpoint's config has unshuffle",
                 unshuffle if is_count(unshuffle) else f"of type {type(unshuffle).__name__}", UNSHUFFLES)
    return unshuffle


def named_tensors(value):
    """The parameters among what a checkpoint holds: in a container, under DataParallel's prefix, or bare."""
    containers = ("params_ema", "params", "state_dict", "model_state_dict", "model")
    if type(value) is dict:
        value = next((value[name] for name in containers if type(value.get(name)) is dict), value)
    if type(value) is not dict or not any(type(item) is Tensor for item in value.values()):
        raise BadModel(f"the checkpoint holds no tensors (looked in {', '.join(containers)} and at the top)")
    tensors = {}
    for name, tensor in value.items():
        if type(name) is not str or type(tensor) is not Tensor:
            raise BadModel(f"{shown(name)} is not a named tensor")
        name = name[len("module."):] if name.startswith("module.") else name
        if name in tensors:
            raise BadModel(f"the tensor {shown(name)} is there with and without the prefix 'module.'")
        tensors[name] = tensor
    return tensors


SAFETENSORS_DTYPES = {"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16", "I64": "i64", "I32": "i32",
                      "I16": "i16", "I8": "i8", "U64": "u64", "U32": "u32", "U16": "u16", "U8": "u8", "BOOL": "bool"}


def unique_keys(pairs):
    table = dict(pairs)
    if len(table) != len(pairs):
        raise BadModel("the safetensors header has a key twice")
    return table


def safetensors_header(data):
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_INDEX, len(data) - 8):
        raise BadModel(f"the safetensors header claims {size} bytes, more than the file has or than {MAX_INDEX}")
    try:
        header = json.loads(data[8:8 + size].decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise BadModel("the safetensors header is not valid JSON") from None
    return header, memoryview(data)[8 + size:]


def read_safetensors(data):
    header, body = safetensors_header(data)
    aliases = header.pop("__metadata__", {})
    if type(aliases) is not dict or any(type(value) is not str for value in aliases.values()):
        raise BadModel("the safetensors metadata is not a table of text")
    spans, tensors = [], {}
    for name, entry in header.items():
        if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise BadModel(f"the safetensors entry {shown(name)} does not have dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if (type(dtype) is not str or dtype not in SAFETENSORS_DTYPES or not is_sizes(shape, list)
                or not is_sizes(offsets, list) or len(offsets) != 2):
            raise BadModel(f"the safetensors entry {shown(name)} has a dtype, shape or range that makes no sense")
        begin, end = offsets
        dtype, shape = SAFETENSORS_DTYPES[dtype], tuple(shape)
        if end - begin != math.prod(shape) * ITEM_SIZE[dtype]:
            raise BadModel(f"the safetensors entry {shown(name)} has {end - begin} bytes for {joined(shape)} {dtype}")
        spans.append((begin, end))
        storage = Storage(dtype, math.prod(shape), lambda begin=begin, end=end: body[begin:end])
        tensors[name] = Tensor(storage, 0, shape, row_major(shape))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise BadModel(f"the safetensors data has a gap or an overlap at byte {min(begin, position)}")
        position = end
    if position != len(body):
        raise BadModel(f"the safetensors data has {len(body)} bytes, its header describes {position}")
    # safetensors.torch.save_model keeps one name of each shared tensor, and lists the others here.
    for alias, name in aliases.items():
        if name in tensors:
            tensors.setdefault(alias, tensors[name])
    return checkpoint_of(tensors)


def read_checkpoint(data):
    if data[:4] == b"PK\3\4":
        return read_zip(data)
    if data[2:2 + len(LEGACY_MAGIC)] == LEGACY_MAGIC:
        return read_legacy(data)
    if data[8:9] == b"{":
        return read_safetensors(data)
    raise BadModel("neither a PyTorch checkpoint nor a safetensors file")


# From a checkpoint to a model.

def infer(tensors, unshuffle):
    """Which of the library's networks these are the parameters of."""
    network = next((network for network in LIBRARY if any(map(network.unit.match, tensors))), None)
    if network is None:
        raise BadModel("a checkpoint of another network (MIRNet has body.0.body.0.blocks.0.0.*, MIRNet-v2 "
                       "body.0.body.0.dau_top.*): --network generic converts any")
    first = tensors.get("conv_in.weight")
    if first is None:
        raise BadModel("'conv_in.weight' is missing")
    if len(first.shape) != 4:
        raise BadModel(f"the shape of conv_in.weight is {joined(first.shape)}, expected 4 dimensions")
    return network.of_checkpoint(tensors, first.shape, unshuffle)


def check_names_and_shapes(tensors, expected, title):
    for name, shape, _ in expected:
        if name in tensors and tensors[name].shape != shape:
            raise BadModel(f"the shape of {name} is {joined(tensors[name].shape)}, expected {joined(shape)}")
        if name in tensors and tensors[name].storage.dtype not in FLOATS:
            raise BadModel(f"{name} is {tensors[name].storage.dtype}, expected floating-point numbers")
    known = {name: shape for name, shape, _ in expected}
    for verdict, names in (("is missing", [name for name in known if name not in tensors]),
                           (f"is not a parameter of {title}", [name for name in tensors if name not in known])):
        if names:
            others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise BadModel(f"{shown(names[0])} {verdict}{others}")


def finite_values(name, tensor):
    dtype = tensor.storage.dtype
    try:
        values = widen(tensor.bytes(), dtype)
    except OverflowError:
        raise BadModel(f"{name} has a value too large for f32") from None
    if not all_finite(values):
        raise BadModel(f"{name} has a value that is NaN or infinite")
    return values


def check_asked(found, asked):
    """`asked` is --unshuffle's value, None without it."""
    if asked is not None and asked != found:
        raise BadModel(f"it says unshuffle {found}, --unshuffle says {asked}")


def read_model(data, unshuffle=None):
    """Returns the network and {name: float32 bytes} for the names of its tensors, of a checkpoint.

    Without `unshuffle` it is what the checkpoint says, or 1.
    """
    checkpoint = read_checkpoint(data)
    if checkpoint.unshuffle is not None:
        check_asked(checkpoint.unshuffle, unshuffle)
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items()
               if name.rpartition(".")[2] not in ("filt", "num_batches_tracked")}  # buffers that are no parameters
    network = infer(tensors, checkpoint.unshuffle or unshuffle or 1)
    expected = list(network.parameters())
    check_names_and_shapes(tensors, expected, network.title)
    values = {name: finite_values(name, tensors[name]) for name, _, owner in expected if name == owner}
    for name, _, owner in expected:
        if name != owner and finite_values(name, tensors[name]) != values[owner]:
            raise BadModel(f"{name} and {owner} are one parameter of {network.title}, but their values differ")
    return network, values


NORM = ("weight", "bias", "running_mean", "running_var")  # the tensors of a batch normalization


def doubles(tensor):
    """The values as Python numbers, exactly."""
    raw, dtype = tensor.bytes(), tensor.storage.dtype
    if dtype == "bf16":
        raw, dtype = widen_bf16(raw), "f32"
    return struct.unpack(f"<{len(raw) // ITEM_SIZE[dtype]}{STRUCT_CODE[dtype]}", raw)


def floats(name, values):
    try:
        return struct.pack(f"<{len(values)}f", *values)
    except OverflowError:
        raise BadModel(f"{name} has a value too large for f32") from None


def check_own_tensor(name, tensor):
    """Refuses a tensor that a weight file cannot have; networks of other kinds have no further rules."""
    if not re.fullmatch(NAME, name):
        raise BadModel(f"the name {shown(name)} is not one of a weight file (1 to 120 of A-Z, a-z, 0-9, '.' and '_')")
    if tensor.storage.dtype not in FLOATS:
        raise BadModel(f"{name} is {tensor.storage.dtype}, expected floating-point numbers: if the network does not need "
                       "it, leave it out with --drop")
    if len(tensor.shape) > 4:
        raise BadModel(f"{name} has {len(tensor.shape)} dimensions, expected 1 to 4")
    if not all(1 <= size < 1 << 32 for size in tensor.shape):
        raise BadModel(f"the shape of {name} is {joined(tensor.shape)}, expected dimensions of 1 to {(1 << 32) - 1}")


def with_biases_behind_weights(names):
    """The tensors in their order, but each bias right after the weight of its layer, where readers expect it."""
    known, ordered = set(names), []
    for name in names:
        layer, last = split(name)
        if last == "bias" and layer + "weight" in known:
            continue
        ordered.append(name)
        if last == "weight" and layer + "bias" in known:
            ordered.append(layer + "bias")
    return ordered


class Norm(NamedTuple):
    """A batch normalization as a function of a channel: x * gain + shift."""
    gains: list
    shifts: list


def batch_norm(layer, tensors, epsilon):
    """`layer` ends with the dot."""
    what = f"the batch normalization {shown(layer[:-1])}"
    parts = {last: tensors[layer + last] for last in NORM if layer + last in tensors}
    missing = [last for last in NORM[2:] if last not in parts]
    if len(parts) == 3 and not missing:
        missing = [last for last in NORM if last not in parts]
    if missing:
        raise BadModel(f"{what} has no {missing[0]}, so that it cannot be folded into a convolution")
    count = math.prod(parts["running_var"].shape)
    for last, tensor in parts.items():
        if tensor.shape != (count,):
            raise BadModel(f"{what} has a {last} of shape {joined(tensor.shape)}, expected {count} as of running_var")
        finite_values(layer + last, tensor)
    gains, shifts, means, variances = (doubles(parts[last]) if last in parts else (float(last == "weight"),) * count
                                       for last in NORM)
    if min(variances) < 0:
        raise BadModel(f"{what} has a variance below 0 ({min(variances):g})")
    gains = [gain / math.sqrt(variance + epsilon) for gain, variance in zip(gains, variances)]
    return Norm(gains, [shift - mean * gain for shift, mean, gain in zip(shifts, means, gains)])


def fold(norm, name, before, tensors, transposed):
    """The convolution whose last tensor is `before`, after folding: {name: (shape, float32 bytes)}."""
    channels, (layer, last) = len(norm.gains), split(before)
    weight, bias = layer + "weight", layer + "bias"
    shape = tensors[weight].shape if last in ("weight", "bias") and weight in tensors else ()
    outputs = shape[weight in transposed] if len(shape) == 4 else 0
    if outputs != channels or bias in tensors and tensors[bias].shape != (channels,):
        there = f"{before} lies before it" if before else "nothing lies before it"
        raise BadModel(f"the batch normalization {shown(name)} cannot be folded: {there}, expected a convolution of "
                       f"{channels} output channels")
    for tensor in (weight, bias) if bias in tensors else (weight,):
        finite_values(tensor, tensors[tensor])
    step = math.prod(shape[1 + (weight in transposed):])  # values of one output channel that follow each other
    values = doubles(tensors[weight])
    scaled = [value * norm.gains[at // step % channels] for at, value in enumerate(values)]
    old = doubles(tensors[bias]) if bias in tensors else (0.0,) * channels
    shifted = [value * gain + shift for value, gain, shift in zip(old, norm.gains, norm.shifts)]
    return {weight: (shape, floats(weight, scaled)), bias: ((channels,), floats(bias, shifted))}


def read_own(data, channels=(0, 0), numbers=(0,) * 12, transposed=(), epsilon=1e-5, drop=()):
    """Returns the network, {name: float32 bytes} and what was folded, in sentences, of a checkpoint of any network."""
    given = read_checkpoint(data).tensors
    for name in drop:
        if given.pop(name, None) is None:
            raise BadModel(f"it has no tensor {shown(name)}, which --drop names")
    tensors = {name: tensor for name, tensor in given.items() if split(name)[1] != "num_batches_tracked"}
    for name, tensor in tensors.items():
        check_own_tensor(name, tensor)
        if not tensor.shape:
            tensors[name] = tensor._replace(shape=(1,), strides=(1,))
    size = sum(math.prod(tensor.shape) * ITEM_SIZE[tensor.storage.dtype] for tensor in tensors.values())
    if size > MAX_SHARED * len(data):
        raise BadModel(f"its tensors have {size} bytes, more than {MAX_SHARED} times those of the checkpoint")
    order = with_biases_behind_weights(tensors)
    norms = {layer for layer, last in map(split, given) if last in NORM[2:] or last == "num_batches_tracked"
             and (layer + "weight" in tensors or layer + "bias" in tensors)}
    # Folding relies on the names in `transposed`, so refuse those that are not convolutions first.
    own_network(channels, numbers, {name: tensors[name].shape for name in order}, transposed)
    result, folded, done = {}, [], set()
    for name, before in zip(order, ["", *order]):
        layer, last = split(name)
        if layer not in norms or last not in NORM:
            result[name] = tensors[name].shape, finite_values(name, tensors[name])
        elif layer not in done:
            done.add(layer)
            norm = batch_norm(layer, tensors, epsilon)
            changed = fold(norm, layer[:-1], before, tensors, transposed)
            new = "" if set(changed) <= set(result) else ", which has a bias now"
            result.update(changed)
            folded.append(f"{layer[:-1]} into {split(before)[0][:-1]}{new}")
    if not result:
        raise BadModel("the checkpoint holds no parameters")
    network = own_network(channels, numbers, {name: shape for name, (shape, _) in result.items()}, transposed)
    return network, {name: values for name, (_, values) in result.items()}, folded


# The weight file.

MAGIC = b"\x89MIRW\r\n\x1a"
# A file has the oldest version that has everything it uses: plain data, packed data, a network on cells of pixels, any
# other network and any task.
VERSIONS = ((0, 1), (0, 2), (0, 3), (0, 4))
LAYOUTS = ("checkpoint", "packed")  # their places are the values of the flag
ENDIAN_TAG = 0x01020304
ALIGNMENT = 64
NO_SCALE = 0xFFFFFFFF
NUMBERS = 12  # of a network that the library does not know
NAME = r"[A-Za-z0-9._]{1,120}"
OLD_TASKS = 2  # before 0.4
DTYPES = ("f32", "f16", "bf16")
HEADER = struct.Struct("<8sHHIQIII16HIIIQQQQQII")
ENTRY = struct.Struct("<IHBB4IQQII16x")


class Header(NamedTuple):
    magic: bytes
    version_major: int
    version_minor: int
    endian_tag: int
    file_size: int
    header_size: int
    flags: int
    header_crc: int
    arch: int
    task: int
    in_channels: int
    out_channels: int
    features: int
    groups: int
    blocks: int
    streams: int
    columns: int
    reduction: int
    channel_factor_num: int
    channel_factor_den: int
    bias: int
    scale: int
    pad_multiple: int
    unshuffle: int
    meta_crc: int
    tensor_count: int
    alignment: int
    table_off: int
    strings_off: int
    data_off: int
    data_size: int
    meta_off: int
    meta_size: int
    strings_size: int


class Entry(NamedTuple):
    name_off: int
    name_len: int
    dtype: int
    rank: int
    dim0: int
    dim1: int
    dim2: int
    dim3: int
    data_off: int
    data_len: int
    scale_index: int
    crc: int


def align(size):
    return -size % ALIGNMENT + size


# Packed weights are arranged as matrix products read them: lines of 64 bytes with one weight of as many output channels
# each. What of a convolution's weights belongs to one product is a list of taps, which are (row, column) of the kernel.

def products(parameter):
    """The products that a tensor's layer consists of, as lists of taps."""
    if parameter.kind == TRANSPOSED:  # even and odd rows, columns
        return [list(itertools.product(rows, columns)) for rows in ((1,), (2, 0)) for columns in ((1,), (2, 0))]
    return [list(itertools.product(range(parameter.shape[2]), range(parameter.shape[3])))]


def runs(parameter, line):
    """Yields (place in the packed tensor, place in the checkpoint's, step there, count) for each line that is used.

    Places and steps count values; a line is `line` values, and what is not used is zero.
    """
    if parameter.kind == LINES:
        yield 0, 0, 1, parameter.shape[0]
        return
    outputs, inputs, height, width = parameter.shape
    output_step, input_step = height * width * inputs, height * width
    if parameter.kind == TRANSPOSED:
        outputs, inputs, output_step, input_step = inputs, outputs, input_step, output_step
    place = 0
    for taps in products(parameter):
        for channel in range(0, outputs, line):
            for (y, x), i in itertools.product(taps, range(inputs)):
                source = channel * output_step + i * input_step + y * width + x
                yield place, source, output_step, min(line, outputs - channel)
                place += line


def stored_count(parameter, dtype, layout):
    """The values that a file has of a tensor."""
    count = math.prod(parameter.shape)
    if layout == "checkpoint" or parameter.kind in (SLOPE, PLAIN):
        return count
    line = ALIGNMENT // ITEM_SIZE[dtype]
    outputs = parameter.shape[parameter.kind == TRANSPOSED]
    return -(-outputs // line) * line * (count // outputs)


def arranged(raw, parameter, dtype, back=False):
    """The bytes of a tensor, packed, or of a packed one as a checkpoint has them."""
    if parameter.kind in (SLOPE, PLAIN):
        return raw
    size = ITEM_SIZE[dtype]
    code = {2: "H", 4: "I"}[size]
    count = math.prod(parameter.shape) if back else stored_count(parameter, dtype, "packed")
    source, target = memoryview(raw).cast("B").cast(code), memoryview(bytearray(count * size)).cast(code)
    for place, at, step, used in runs(parameter, ALIGNMENT // size):
        line, values = slice(place, place + used), slice(at, at + (used - 1) * step + 1, step)
        if back:
            target[values] = source[line]
        else:
            target[line] = source[values]
    return target.tobytes()


def check_packable(network):
    for name, shape, kind in network.tensors:
        if kind == TRANSPOSED and shape[2:] != (3, 3):
            raise BadModel(f"{name} is {joined(shape)}, and packed transposed convolutions have kernels of 3x3")


def describe(network, task, dtypes, crcs, meta, layout):
    """The header, table and strings of a file: all but the data is determined by these."""
    tensors = network.tensors
    strings = "".join(tensor.name for tensor in tensors).encode()
    strings_off = HEADER.size + ENTRY.size * len(tensors)
    data_off = position = align(strings_off + len(strings))
    entries, name_off = [], 0
    for tensor, dtype, crc in zip(tensors, dtypes, crcs):
        name, shape, _ = tensor
        size = stored_count(tensor, DTYPES[dtype], layout) * ITEM_SIZE[DTYPES[dtype]]
        entries.append(Entry(name_off, len(name), dtype, len(shape), *shape, *(1,) * (4 - len(shape)),
                             position, size, NO_SCALE, crc))
        name_off += len(name)
        position = align(position + size)
    version = network.version(task, layout)
    header = Header(
        MAGIC, 0, version, ENDIAN_TAG, position + len(meta), HEADER.size, LAYOUTS.index(layout), 0, network.arch, task,
        *network.fields(version), crc32c(meta), len(tensors), ALIGNMENT,
        HEADER.size, strings_off, data_off, position - data_off, position, len(meta), len(strings))
    table = b"".join(ENTRY.pack(*entry) for entry in entries) + strings
    packed = HEADER.pack(*header)
    return header._replace(header_crc=crc32c(packed[:32] + packed[36:] + table)), entries, table


def encode(network, task, values, dtype, meta, layout):
    """Returns the bytes of a weight file."""
    if layout == "packed":
        check_packable(network)
    dtypes, payloads = [], []
    for tensor in network.tensors:
        stored = "f32" if tensor.kind == SLOPE else dtype  # a few bytes, and every pixel's value depends on them
        try:
            payload = narrow(values[tensor.name], stored)
        except OverflowError:
            raise BadModel(f"{tensor.name} has a value too large for {stored}; try --dtype f32") from None
        payloads.append(arranged(payload, tensor, stored) if layout == "packed" else payload)
        dtypes.append(DTYPES.index(stored))
    header, entries, table = describe(network, task, dtypes, map(crc32c, payloads), meta, layout)
    file = bytearray(header.file_size)
    parts = [(0, HEADER.pack(*header)), (header.table_off, table), (header.meta_off, meta)]
    for offset, part in itertools.chain(parts, ((e.data_off, p) for e, p in zip(entries, payloads))):
        file[offset:offset + len(part)] = part
    return bytes(file)


def check_fields(what, found, expected):
    for name, f, e in zip(found._fields, found, expected):
        if f != e:
            raise BadModel(f"{what}{name} is {f}, expected {e}")


class WeightFile(NamedTuple):
    header: Header
    network: NamedTuple  # Own or one of LIBRARY
    tensors: list  # (Parameter, Entry)
    meta: bytes


def own_of(data, header, transposed):
    """The network that the table of a file describes. The metadata names the transposed convolutions, which shapes do
    not tell; `transposed` are those that the user names, or None.
    """
    if header.tensor_count == 0:
        raise BadModel("tensor_count is 0, expected 1 or more")
    strings_off = HEADER.size + ENTRY.size * header.tensor_count
    strings_end = strings_off + header.strings_size
    if strings_end > len(data):
        raise BadModel(f"cut off: {len(data)} bytes, the names of the tensors end at {strings_end}")
    names, shapes = data[strings_off:strings_end], {}
    position = 0
    for index, fields in enumerate(ENTRY.iter_unpack(data[HEADER.size:strings_off])):
        entry = Entry(*fields)
        if entry.name_off != position:
            raise BadModel(f"tensor {index}: name_off is {entry.name_off}, expected {position}")
        position += entry.name_len
        name = names[entry.name_off:position].decode("latin-1")
        if len(name) != entry.name_len or not re.fullmatch(NAME, name) or name in shapes:
            raise BadModel(f"tensor {index} has the name {shown(name)}, expected another than before, of 1 to 120 "
                           "characters (A-Z, a-z, 0-9, '.' and '_')")
        if not 1 <= entry.rank <= 4:
            raise BadModel(f"{name}: rank is {entry.rank}, expected 1 to 4")
        shapes[name] = (entry.dim0, entry.dim1, entry.dim2, entry.dim3)[:entry.rank]
        if not 1 <= math.prod(shapes[name]) <= len(data):
            raise BadModel(f"the shape of {name} is {joined(shapes[name])}, expected 1 value or more, and no more than "
                           "fit in the file")
    meta = data[header.meta_off:]
    if crc32c(meta) != header.meta_crc:
        raise BadModel("wrong checksum of the metadata")
    said = transposed_in(meta)
    if said is not None and transposed is not None and set(said) != set(transposed):
        raise BadModel(f"it says transposed {shown(','.join(said))}, --transposed says {shown(','.join(transposed))}")
    numbers = header[Header._fields.index("features"):Header._fields.index("meta_crc")]
    network = own_network((header.in_channels, header.out_channels), numbers, shapes, said or transposed or ())
    if header.flags:
        check_packable(network)
    return network


def transposed_in(meta):
    for line in meta.decode("utf-8", "replace").split("\n"):
        if line.startswith("transposed="):
            return line[len("transposed="):].split(",")
    return None


def decode(data, transposed=None):
    """Parses and checks a weight file: it must be, byte for byte, what `encode` makes of its values and metadata."""
    if data[:8] != MAGIC:
        raise BadModel("not a .mirw file (wrong first bytes)")
    if len(data) < HEADER.size:
        raise BadModel(f"cut off: {len(data)} bytes, the header alone has {HEADER.size}")
    header = Header(*HEADER.unpack_from(data))
    if header.endian_tag != ENDIAN_TAG:
        raise BadModel("the bytes of its numbers are in the wrong order")
    if (header.version_major, header.version_minor) not in VERSIONS:
        raise BadModel(f"format version {header.version_major}.{header.version_minor}, this program reads "
                       f"{', '.join('.'.join(map(str, version)) for version in VERSIONS)}: convert the checkpoint "
                       "again")
    if header.flags >= len(LAYOUTS):
        raise BadModel(f"flags is {header.flags}, expected less than {len(LAYOUTS)}")
    if header.file_size != len(data):
        raise BadModel(f"file_size is {header.file_size}, but the file has {len(data)} bytes")
    known = {network.arch: network for network in (*LIBRARY, Own) if network.since <= header.version_minor}
    if header.arch not in known:
        names = alternatives(f"{arch} ({network.title})" for arch, network in known.items())
        raise BadModel(f"arch is {header.arch}, expected {names}")
    tasks = len(TASKS) if header.version_minor >= 4 else OLD_TASKS
    if header.task >= tasks:
        raise BadModel(f"task is {header.task}, expected less than {tasks}")
    is_own = header.arch == OWN_NETWORK
    network = own_of(data, header, transposed) if is_own else known[header.arch].of_header(header)
    network.check_task(header.task)
    tensors = network.tensors
    if header.tensor_count != len(tensors):
        raise BadModel(f"tensor_count is {header.tensor_count}, expected {len(tensors)}")
    table_end = HEADER.size + ENTRY.size * len(tensors)
    if table_end > len(data):
        raise BadModel(f"cut off: {len(data)} bytes, the table of tensors ends at {table_end}")
    entries = [Entry(*fields) for fields in ENTRY.iter_unpack(data[HEADER.size:table_end])]
    for tensor, entry in zip(tensors, entries):
        if entry.dtype >= len(DTYPES):
            raise BadModel(f"{tensor.name}: dtype is {entry.dtype}, expected less than {len(DTYPES)}")
    meta = data[header.meta_off:]
    expected, expected_entries, table = describe(network, header.task, [e.dtype for e in entries],
                                                 [e.crc for e in entries], meta, LAYOUTS[header.flags])
    for tensor, found, wanted in zip(tensors, entries, expected_entries):
        check_fields(tensor.name + ": ", found, wanted)
    check_fields("", header._replace(header_crc=expected.header_crc), expected)
    if data[HEADER.size:HEADER.size + len(table)] != table:
        raise BadModel("a tensor's name, or a reserved byte of the table, is not what the format says")
    if header.header_crc != expected.header_crc:
        raise BadModel("wrong checksum of the header and table")
    check_data(data, header, tensors, entries)
    return WeightFile(header, network, list(zip(tensors, entries)), meta)


def check_data(data, header, tensors, entries):
    position = header.strings_off + header.strings_size
    for tensor, entry in zip(tensors, entries):
        name = tensor.name
        if any(data[position:entry.data_off]):
            raise BadModel(f"a padding byte before {name} is not zero")
        position = entry.data_off + entry.data_len
        payload = data[entry.data_off:position]
        if crc32c(payload) != entry.crc:
            raise BadModel(f"{name}: wrong checksum")
        if not all_finite(widen(payload, DTYPES[entry.dtype])):
            raise BadModel(f"{name} has a value that is NaN or infinite")
        if header.flags:
            dtype = DTYPES[entry.dtype]
            if arranged(arranged(payload, tensor, dtype, back=True), tensor, dtype) != payload:
                raise BadModel(f"{name} has a weight of a channel that does not exist{hint(header, tensor)}")
    if any(data[position:header.meta_off]):
        raise BadModel("a padding byte behind the last tensor is not zero")


def hint(header, tensor):
    """A hint at an option that the user may have left out."""
    is_open = header.arch == OWN_NETWORK and tensor.kind == CONVOLUTION and tensor.shape[2:] == (3, 3)
    return "; if it is a transposed convolution, name it by --transposed" if is_open else ""


# The program.

@contextlib.contextmanager
def about(path):
    """Puts the file's name before the sentence of a failure."""
    try:
        yield
    except Failure as failure:
        raise Failure(failure.code, f"{path}: {failure}") from None


def read_file(path):
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            raise Failure(BAD_INPUT, "not a regular file")
        if status.st_size > MAX_CHECKPOINT:
            raise Failure(BAD_INPUT, f"larger than {MAX_CHECKPOINT} bytes")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(BAD_INPUT, f"cannot be read: {error.strerror}") from None


def write_files(files):
    """Writes {path: bytes}: beside the paths, compares what can be read back, and renames once all of that is done. No
    path is ever there in part, and none is touched if one cannot be written.
    """
    staged = {}
    try:
        for path, data in files.items():
            with about(path):
                temporary = os.path.join(os.path.dirname(path), f".mirw-{os.getpid()}{len(staged) or ''}.tmp")
                stage(path, data, temporary, staged)
        for path in files:
            with about(path):
                replace(staged[path], path)
            del staged[path]
    finally:
        for temporary in staged.values():
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def stage(path, data, temporary, staged):
    if os.path.exists(path) and not os.path.isfile(path):  # a rename would replace /dev/null
        raise Failure(BAD_OUTPUT, "cannot be written: not a regular file")
    try:
        with open(temporary, "xb") as file:
            staged[path] = temporary
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with open(temporary, "rb") as file:
            if file.read() != data:
                raise Failure(BAD_OUTPUT, "what was read back is not what was written")
    except OSError as error:
        raise Failure(BAD_OUTPUT, f"cannot be written: {error.strerror}") from None


def replace(temporary, path):
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise Failure(BAD_OUTPUT, f"cannot be written: {error.strerror}") from None


def values_of(data, model):
    """What read_model returns, of a weight file that has been decoded."""
    values = {}
    for tensor, entry in model.tensors:
        dtype = DTYPES[entry.dtype]
        raw = data[entry.data_off:entry.data_off + entry.data_len]
        values[tensor.name] = widen(arranged(raw, tensor, dtype, back=True) if model.header.flags else raw, dtype)
    return model.network, values


def metadata(path, digest, network, extra, before):
    """The lines about the source, those of this program, of --meta, then the others that the source had.

    Control characters in a file's name become '?'.
    """
    name = os.fsencode(os.path.basename(path)).decode("utf-8", "replace")
    lines = {"source": re.sub(r"[\x00-\x1f\x7f]", "?", name), "source_sha256": digest}
    if network.arch == OWN_NETWORK:
        lines["transposed"] = ",".join(network.transposed)
    for pair in extra:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[a-z0-9_]{1,40}", key) or not value.isprintable():
            raise Failure(USAGE, f"--meta {shown(pair)} is not KEY=VALUE (a key of a-z, 0-9 and _; a printable value)")
        if key in lines:
            raise Failure(USAGE, f"--meta {key} is given twice, or set by this program")
        lines[key] = value
    for line in filter(None, before.decode("utf-8", "replace").split("\n")):
        key, _, value = line.partition("=")
        lines.setdefault(key, value)
    if network.arch == OWN_NETWORK and not network.transposed:
        del lines["transposed"]
    return "".join(f"{key}={value}\n" for key, value in lines.items()).encode()


def print_summary(model, is_task_given=False):
    count = sum(math.prod(tensor.shape) for tensor, _ in model.tensors)
    print(f"network     {model.network}")
    print(f"task        {TASKS[model.header.task]}")
    for note in model.network.notes(model.header.task, is_task_given):
        print(f"note        {note}")
    print(f"parameters  {count} in {len(model.tensors)} tensors")


def check_options(is_own, options):
    """Refuses options that are for the other kind of networks."""
    names = ("unshuffle",) if is_own else ("numbers", "channels", "transposed", "epsilon", "drop")
    for name in names:
        if getattr(options, name) is not None:
            raise Failure(USAGE, f"--{name} is for {'MIRNet' if is_own else '--network generic'} alone")


def read_any(data, options):
    """Returns the decoded weight file or None, the network, its values and what was folded."""
    if data[:8] == MAGIC:
        given = decode(data, options.transposed)
        is_own = given.network.arch == OWN_NETWORK
        if options.network is not None and (options.network == "generic") != is_own:
            raise BadModel(f"it is a weight file of {given.network.title}, --network says {options.network}")
        check_options(is_own, options)
        if options.epsilon is not None:
            raise Failure(USAGE, "--epsilon is for checkpoints: nothing is folded in a weight file")
        if options.drop is not None:
            raise Failure(USAGE, "--drop is for checkpoints")
        network, values = values_of(data, given)
        if not is_own:
            check_asked(network.unshuffle, options.unshuffle)
        else:
            channels = options.channels or (network.in_channels, network.out_channels)
            network = Own(*channels, options.numbers or network.numbers, network.tensors)
        return given, network, values, []
    is_own = options.network == "generic"
    check_options(is_own, options)
    if not is_own:
        return (None, *read_model(data, options.unshuffle), [])
    asked = {name: getattr(options, name) for name in ("channels", "numbers", "transposed", "epsilon", "drop")}
    return (None, *read_own(data, **{name: value for name, value in asked.items() if value is not None}))


def check_apart(source, *targets):
    """Refuses outputs that are the input, or one another."""
    for target in targets:
        if os.path.exists(target) and os.path.samefile(source, target):
            raise Failure(USAGE, "the output would overwrite it")
    if len(set(map(os.path.realpath, targets))) < len(targets):
        raise Failure(USAGE, "the weights and the header would be one file")


def convert(source, target, options):
    if options.header is not None or source.lower().endswith(".onnx"):
        convert_onnx(source, target, options)
        return
    with about(source):
        data = read_file(source)
        check_apart(source, target)
    digest = hashlib.sha256(data).hexdigest()
    with about(source):
        given, network, values, folded = read_any(data, options)
    said = network.usual_task if given is None else given.header.task
    task = said if options.task is None else TASKS.index(options.task)
    meta = metadata(source, digest, network, options.meta, b"" if given is None else given.meta)
    with about(source):
        network.check_task(task)
        file = encode(network, task, values, options.dtype, meta, options.layout)
    with about(target):
        model = decode(file)
    write_files({target: file})
    print_summary(model, options.task is not None)
    print_result(folded, digest, file)


def print_result(folded, digest, file):
    for what in folded[:MOST_SHOWN]:
        print(f"folded      {what}")
    if len(folded) > MOST_SHOWN:
        print(f"            and {len(folded) - MOST_SHOWN} more")
    print(f"source      SHA-256 {digest}")
    print(f"result      SHA-256 {hashlib.sha256(file).hexdigest()}, {len(file)} bytes")


def onnx_graph():
    """The package for ONNX, which is imported only where it is needed. It imports this file as `convert`."""
    sys.modules.setdefault("convert", sys.modules[__name__])
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module("onnx_graph")


def convert_onnx(source, target, options):
    """Writes the weights and the header of an ONNX model."""
    if options.header is None:
        raise Failure(USAGE, f"{source}: an ONNX model becomes weights and a header, and --header says where that goes")
    for name in ("network", "unshuffle", "channels", "numbers", "transposed", "epsilon", "drop"):
        if getattr(options, name) is not None:
            raise Failure(USAGE, f"--{name} is for checkpoints, not for ONNX models")
    with about(source):
        data = read_file(source)
        check_apart(source, target, options.header)
    digest = hashlib.sha256(data).hexdigest()
    with about(source):
        made = onnx_graph().convert_model(data, os.path.basename(source), options.header, options.layout)
    meta = metadata(source, digest, made.network, options.meta, b"")
    task = 0 if options.task is None else TASKS.index(options.task)
    with about(source):
        file = encode(made.network, task, made.values, options.dtype, meta, options.layout)
    with about(target):
        model = decode(file)
    write_files({target: file, options.header: made.header.encode()})
    print_summary(model)
    print(f"header      {shown(options.header)}, struct {made.name}")
    print_result(made.folded, digest, file)


def inspect(path, transposed):
    with about(path):
        data = read_file(path)
        model = decode(data, transposed)
    print_summary(model)
    print(f"file        SHA-256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")
    for line in model.meta.decode("utf-8", "replace").splitlines():
        print(f"metadata    {shown(line)}")
    fields = model.header._asdict()
    first = Header._fields.index("features")
    for at, (name, value) in enumerate(fields.items()):
        if model.header.arch == OWN_NETWORK and first <= at < first + NUMBERS:
            name = f"number {at - first}"
        print(f"{name:18}  {value if isinstance(value, int) else value.hex(' ')}")
    for (name, shape, _), entry in model.tensors:
        dtype = DTYPES[entry.dtype]
        print(f"{entry.data_off:10} {entry.data_len:9} {entry.crc:08x} {dtype:4} {joined(shape):13} {name}")


def halves(least, most):
    """A reader of some numbers of 16 bits, separated by commas."""
    def read(text):
        parts = text.split(",")
        if not least <= len(parts) <= most or not all(re.fullmatch(r"[0-9]{1,5}", part) and int(part) < 1 << 16
                                                      for part in parts):
            count = f"{most}" if least == most else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"expected {count} numbers of 0 to 65535, separated by commas")
        return tuple(map(int, parts)) + (0,) * (most - len(parts))
    return read


def positive(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("expected a number above 0")
    return value


def main():
    parser = argparse.ArgumentParser(description="Converts a checkpoint to a .mirw weight file, or an ONNX model to a "
                                                 ".mirw weight file and the network in C++.")
    parser.add_argument("input", help="the checkpoint: a PyTorch .pth or a .safetensors file; or a .mirw file; or an "
                                      "ONNX model, with --header")
    parser.add_argument("output", nargs="?", help="the .mirw file to write")
    parser.add_argument("--network", choices=("mirnet", "generic"),
                        help="the network of the checkpoint: mirnet for MIRNet and MIRNet-v2, whose tensors are known, "
                             "or generic for any other, whose tensors are written as they are (default: mirnet, or "
                             "what a .mirw file has)")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="how to store the weights (default: f32)")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0],
                        help="how to arrange them: as the checkpoint does (default), or packed, as programs need them "
                             "that use the file where it lies in memory")
    parser.add_argument("--task", choices=TASKS,
                        help="what the network was trained for; with defocus, MIRNet-v2 does not add the image to its "
                             "output (default: what a .mirw file says, else defocus for a MIRNet-v2 that takes 6 "
                             f"channels and {TASKS[0]} for others)")
    parser.add_argument("--unshuffle", type=int, choices=UNSHUFFLES,
                        help="MIRNet works on cells of so many pixels in width and height (default: what the "
                             "checkpoint's config or the .mirw file says, else 1)")
    parser.add_argument("--header", metavar="NETWORK.hpp",
                        help="the C++ header to write, of the network in the ONNX model INPUT; the struct is called "
                             "after the file, MyNetwork for my_network.hpp")
    parser.add_argument("--meta", action="append", default=[], metavar="KEY=VALUE", help="a line of metadata")
    parser.add_argument("--inspect", action="store_true", help="check the .mirw file INPUT and print what it holds")
    generic = parser.add_argument_group("for --network generic")
    generic.add_argument("--channels", type=halves(2, 2), metavar="IN,OUT",
                         help="channels of the images (default: 0,0, not stated)")
    generic.add_argument("--numbers", type=halves(1, NUMBERS), metavar="N,N,...",
                         help=f"up to {NUMBERS} numbers that the network alone understands, sizes for instance")
    generic.add_argument("--transposed", nargs="+", action="extend", metavar="NAME",
                         help="the weights of transposed convolutions, which shapes do not tell")
    generic.add_argument("--drop", nargs="+", action="extend", metavar="NAME",
                         help="tensors to leave out: buffers that the network does not need")
    generic.add_argument("--epsilon", type=positive,
                         help="epsilon of the batch normalizations that are folded into convolutions (default: 1e-5)")
    options = parser.parse_args()
    if options.inspect == (options.output is not None):
        parser.error("give an input and an output, or --inspect and a .mirw file")
    if options.inspect and options.header is not None:
        parser.error("--header is for converting an ONNX model, --inspect writes nothing")
    if options.layout == "packed" and options.dtype == "f16":
        parser.error("--layout packed is for programs that use the weights in place, which no kernel does with f16: "
                     "take --dtype f32 or bf16")
    try:
        if options.inspect:
            inspect(options.input, options.transposed)
        else:
            convert(options.input, options.output, options)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `--inspect | head`; nothing is left to print, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Failure as failure:
        print(f"convert.py: {failure}", file=sys.stderr)
        return failure.code
    except Exception as error:
        print(f"convert.py: internal error, please report it: {type(error).__name__}: {error}", file=sys.stderr)
        return INTERNAL


if __name__ == "__main__":
    sys.exit(main())
