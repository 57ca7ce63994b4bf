#!/usr/bin/env python3
"""Tests of weights/convert.py with the standard library alone: python3 tests/converter/test_convert.py -v

Checkpoints are assembled here opcode by opcode, and weight files are read by a second reader, `read_mirw`, written
from the specification.
"""
import contextlib
import hashlib
import importlib.util
import io
import itertools
import json
import math
import os
import pathlib
import pickle
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "weights" / "convert.py"
GOLDEN = ROOT / "tests" / "golden"

sys.dont_write_bytecode = True
SPEC = importlib.util.spec_from_file_location("convert", SCRIPT)
convert = sys.modules["convert"] = importlib.util.module_from_spec(SPEC)  # which onnx_graph/ imports by this name
SPEC.loader.exec_module(convert)


def run(*arguments):
    """Runs the program in this process: (exit code, stdout, stderr). An exception that escapes it fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["convert.py", *map(str, arguments)]), \
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = convert.main()
        except SystemExit as leave:  # argparse
            code = leave.code
    return code, out.getvalue(), err.getvalue()


# A second reader of weight files.

def crc_step(register, bits):
    for _ in range(bits):
        register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register


CRC_TABLE = [crc_step(byte, 8) for byte in range(256)]


def crc32c(data):
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ CRC_TABLE[(register ^ byte) & 255]
    return register ^ 0xFFFFFFFF


HEADER_FIELDS = {  # name: (offset, size)
    "version_major": (8, 2), "version_minor": (10, 2), "endian": (12, 4), "file_size": (16, 8), "header_size": (24, 4),
    "flags": (28, 4), "crc": (32, 4), "arch": (36, 2), "task": (38, 2), "in_channels": (40, 2),
    "out_channels": (42, 2), "features": (44, 2), "groups": (46, 2), "blocks": (48, 2), "streams": (50, 2),
    "columns": (52, 2), "reduction": (54, 2), "factor_num": (56, 2), "factor_den": (58, 2), "bias": (60, 2),
    "scale": (62, 2), "pad_multiple": (64, 2), "unshuffle": (66, 2), "meta_crc": (68, 4), "tensor_count": (72, 4),
    "alignment": (76, 4), "table_off": (80, 8), "strings_off": (88, 8), "data_off": (96, 8), "data_size": (104, 8),
    "meta_off": (112, 8), "meta_size": (120, 4), "strings_size": (124, 4)}
CONSTANTS = {"version_major": 0, "endian": 0x01020304, "header_size": 128, "alignment": 64, "table_off": 128}
CONSTANTS_OF = {  # arch
    0: {"version_minor": 4},
    1: {"reduction": 8, "factor_num": 2, "factor_den": 1, "bias": 0, "scale": 1},
    2: {"version_minor": 4, "out_channels": 3, "groups": 4, "streams": 3, "columns": 2, "reduction": 8, "factor_num": 3,
        "factor_den": 2, "scale": 1, "pad_multiple": 4, "unshuffle": 1}}
NUMBERS = list(HEADER_FIELDS)[list(HEADER_FIELDS).index("features"):list(HEADER_FIELDS).index("meta_crc")]


def number_at(data, offset, size):
    return int.from_bytes(data[offset:offset + size], "little")


def unpacked(name, shape, payload, size, transposed):
    """The values of a packed tensor where a checkpoint has them; all others must be zero."""
    line, (a, b, height, width) = 64 // size, shape
    inputs, outputs = (a, b) if transposed else (b, a)
    phases = [[(y, x) for y in range(height) for x in range(width)]]
    if transposed:  # even rows see the kernel's middle row, odd rows its last and its first; columns likewise
        phases = [[(1, 1)], [(1, 2), (1, 0)], [(2, 1), (0, 1)], [(2, 2), (2, 0), (0, 2), (0, 0)]]
    values, at = {}, 0
    for taps in phases:
        for group in range(-(-outputs // line)):
            for y, x in taps:
                for i in range(inputs):
                    for o in range(group * line, (group + 1) * line):
                        value = payload[at * size:(at + 1) * size]
                        at += 1
                        if o < outputs:
                            first, second = (i, o) if transposed else (o, i)
                            values[((first * b + second) * height + y) * width + x] = value
                        else:
                            assert not any(value), name
    assert at * size == len(payload) and len(values) == math.prod(shape), name
    return b"".join(values[i] for i in range(len(values)))


def unpadded(name, shape, payload, size):
    """The values of a vector, which are followed by zeros up to the end of a line."""
    assert len(payload) == -(-shape[0] * size // 64) * 64 and not any(payload[shape[0] * size:]), name
    return payload[:shape[0] * size]


def read_mirw(data, transposed=()):
    """Returns (header, {name: (dtype, shape, bytes)}, metadata); AssertionError where the format is violated.

    The bytes are those of the checkpoint's arrangement, whichever the file has. `transposed` are the names of a network
    of one's own.
    """
    assert data[:8] == bytes.fromhex("894d4952570d0a1a")
    header = {name: number_at(data, *place) for name, place in HEADER_FIELDS.items()}
    own = header["arch"] == 0
    for name, value in {**CONSTANTS, **CONSTANTS_OF[header["arch"]]}.items():
        assert header[name] == value, (name, header[name])
    assert header["task"] <= 5 and header["flags"] <= 1
    if header["arch"] == 2:
        assert header["in_channels"] == 3 or (header["in_channels"], header["task"]) == (6, 5)
        assert header["features"] in range(16, 513, 16) and header["blocks"] in range(1, 17) and header["bias"] < 2
    if header["arch"] == 1:
        assert (header["version_minor"] == 4) == (header["task"] > 1)
        assert (header["version_minor"], header["flags"], header["unshuffle"]) in (
            (1, 0, 0), (2, 1, 0), *itertools.product((3,), (0, 1), (2, 4)), *itertools.product((4,), (0, 1), (1, 2, 4)))
        assert header["in_channels"] == header["out_channels"]
        assert header["pad_multiple"] == (header["unshuffle"] or 1) * 2 ** (header["streams"] - 1)
    strings_off, meta_off = header["strings_off"], header["meta_off"]
    strings_end = strings_off + header["strings_size"]
    assert header["file_size"] == len(data) == meta_off + header["meta_size"]
    assert strings_off == 128 + 64 * header["tensor_count"]
    assert header["data_off"] == -(-strings_end // 64) * 64
    assert header["data_off"] + header["data_size"] == meta_off and meta_off % 64 == 0
    assert header["crc"] == crc32c(data[:32] + data[36:strings_end])
    meta = data[meta_off:]
    assert header["meta_crc"] == crc32c(meta)
    tensors, position, name_position = {}, strings_end, 0
    for at in range(128, strings_off, 64):
        name_off, name_len, dtype, rank = struct.unpack_from("<IHBB", data, at)
        dims = struct.unpack_from("<4I", data, at + 8)
        offset, size, scale, crc = struct.unpack_from("<QQII", data, at + 24)
        name = data[strings_off + name_off:strings_off + name_off + name_len].decode("ascii")
        assert name_off == name_position and re.fullmatch(r"[A-Za-z0-9._]{1,120}", name) and name not in tensors
        assert dims[rank:] == (1,) * (4 - rank) and scale == 0xFFFFFFFF and not any(data[at + 48:at + 64])
        assert offset == -(-position // 64) * 64 and not any(data[position:offset])
        item = (4, 2, 2)[dtype]
        payload = data[offset:offset + size]
        assert crc == crc32c(payload), name
        is_plain = "SA.spatial.conv" in name or header["arch"] == 2 and "gcnet.conv_mask" in name
        if header["flags"] and rank == 4 and name.endswith("weight") and not is_plain:
            assert size % 64 == 0
            is_transposed = name in transposed if own else re.search(r"\.(last_up|up)\.\d.*top\.2\.weight", name)
            payload = unpacked(name, dims, payload, item, is_transposed)
        elif header["flags"] and rank == 1 and (dims[0] > 1 or name.endswith("bias")):
            payload = unpadded(name, dims, payload, item)
        assert len(payload) == math.prod(dims) * item
        tensors[name] = (("f32", "f16", "bf16")[dtype], dims[:rank], payload)
        name_position += name_len
        position = offset + size
    assert name_position == header["strings_size"]
    assert -(-position // 64) * 64 == meta_off and not any(data[position:meta_off])
    return header, tensors, dict(line.split("=", 1) for line in meta.decode().splitlines())


# Pickles, by hand.

def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"J" + struct.pack("<i", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def dictionary(pairs):
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def name_of(module, name):
    return f"c{module}\n{name}\n".encode()


ORDERED_DICT = name_of("collections", "OrderedDict") + b")R"


def storage(key, count, kind="FloatStorage", extra=b""):
    return tuple_of(text("storage"), name_of("torch", kind), text(key), text("cuda:0"), number(count), extra) + b"Q"


def row_major(shape):
    return [math.prod(shape[i + 1:]) for i in range(len(shape))]


def tensor(stored, shape, strides=None, offset=0):
    sizes = tuple_of(*map(number, shape))
    steps = tuple_of(*map(number, row_major(shape) if strides is None else strides))
    return (name_of("torch._utils", "_rebuild_tensor_v2")
            + tuple_of(stored, number(offset), sizes, steps, b"\x89", ORDERED_DICT) + b"R")


def pickled(body):
    return b"\x80\x02" + body + b"."


# The smallest MIRNet with an alias: 8 features, one stream, two columns.

UNIT = [("body.0.weight", (8, 8, 3, 3)), ("body.1.weight", (1,)), ("body.2.weight", (8, 8, 3, 3)),
        ("SA.spatial.conv.weight", (1, 2, 5, 5)), ("CA.conv_du.0.weight", (1, 8, 1, 1)),
        ("CA.conv_du.2.weight", (8, 1, 1, 1)), ("conv1x1.weight", (8, 16, 1, 1))]
FIRST, SECOND = "body.0.body.0.blocks.0.0.", "body.0.body.0.blocks.0.1."
SMALL = ([("conv_in.weight", (8, 3, 3, 3))] + [(FIRST + name, shape) for name, shape in UNIT]
         + [("body.0.body.0.conv_out.weight", (8, 8, 3, 3)),
            ("body.0.body.0.selective_kernel.0.conv_du.0.weight", (4, 8, 1, 1)),
            ("body.0.body.0.selective_kernel.0.conv_du.1.weight", (1,)),
            ("body.0.body.0.selective_kernel.0.fcs.0.weight", (8, 4, 1, 1)),
            ("body.0.body.1.weight", (8, 8, 3, 3)), ("conv_out.weight", (3, 8, 3, 3))])


def small_model():
    """{name: (shape, values)}, values that every dtype holds exactly, aliases included."""
    source = random.Random(7)
    model = {name: (shape, [source.randrange(-128, 128) / 64 for _ in range(math.prod(shape))])
             for name, shape in SMALL}
    model.update({SECOND + name: model[FIRST + name] for name, _ in UNIT})
    return model


def model_of_channels(channels):
    """The small model with so many channels at its ends."""
    model, values = small_model(), [(i % 255 - 127) / 64 for i in range(8 * channels * 9)]
    model["conv_in.weight"] = ((8, channels, 3, 3), values)
    model["conv_out.weight"] = ((channels, 8, 3, 3), values[::-1])
    return model


# The smallest MIRNet-v2: 16 features, one block in each group.

def v2_shapes(features=16, blocks=1, channels=3, bias=False):
    """[(name, shape)] in the order of PyTorch."""
    def layer(name, *shape, biased=bias):
        return [(f"{name}.weight", shape)] + [(f"{name}.bias", shape[:1])] * biased

    top, mid, bot = features, features // 2 * 3, features // 4 * 9
    shapes = layer("conv_in", top, channels, 3, 3)
    for group, parts in enumerate((1, 2, 4, 4)):
        for block in (f"body.{group}.body.{b}." for b in range(blocks)):
            for unit, c in (("dau_top.", top), ("dau_mid.", mid), ("dau_bot.", bot)):
                shapes += layer(block + unit + "body.0", c, c // parts, 3, 3)
                shapes += layer(block + unit + "body.2", c, c // parts, 3, 3)
                shapes += layer(block + unit + "gcnet.conv_mask", 1, c, 1, 1)
                shapes += layer(block + unit + "gcnet.channel_add_conv.0", c, c, 1, 1)
                shapes += layer(block + unit + "gcnet.channel_add_conv.2", c, c, 1, 1)
            for name, out, c in (("down2.body.0.bot.1", mid, top), ("down4.0.body.0.bot.1", mid, top),
                                 ("down4.1.body.0.bot.1", bot, mid), ("up21_1.body.0.bot.0", top, mid),
                                 ("up21_2.body.0.bot.0", top, mid), ("up32_1.body.0.bot.0", mid, bot),
                                 ("up32_2.body.0.bot.0", mid, bot)):
                shapes += layer(block + name, out, c, 1, 1, biased=False)
            shapes += layer(block + "conv_out", top, top, 1, 1)
            for fusion, c in (("skff_top.", top), ("skff_mid.", mid)):
                squeezed = max(c // 8, 4)
                shapes += layer(block + fusion + "conv_du.0", squeezed, c, 1, 1, biased=False)
                for stream in "01":
                    shapes += layer(f"{block}{fusion}fcs.{stream}", c, squeezed, 1, 1, biased=False)
        shapes += layer(f"body.{group}.body.{blocks}", top, top, 3, 3)
    return shapes + layer("conv_out", 3, top, 3, 3)


def v2_model(**options):
    """{name: (shape, values)}, values that every dtype holds exactly and that differ from one tensor to the next."""
    return {name: (shape, [(i * 7 + at * 31) % 255 / 64 - 2 for i in range(math.prod(shape))])
            for at, (name, shape) in enumerate(v2_shapes(**options))}


def with_config(unshuffle, body):
    """A pickled state_dict beside what the training of this project says of its network."""
    config = dictionary([(text("width"), number(8)), (text("unshuffle"), unshuffle)])
    return dictionary([(text("config"), config), (text("state_dict"), body)])


TORCH_KINDS = {"f32": "FloatStorage", "f16": "HalfStorage", "bf16": "BFloat16Storage", "f64": "DoubleStorage"}


def raw_values(values, dtype="f32"):
    if dtype == "bf16":  # of values that bfloat16 holds exactly
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{dict(f32='f', f16='e', f64='d', i64='q')[dtype]}", *values)


def checkpoint_parts(model, dtype="f32", prefix="", legacy=False):
    """The pickled state_dict (with buffers, as a network of several streams has) and {key: bytes}."""
    storages, pairs = {}, []
    model = {**model, "a.filt": ((1, 1, 3, 3), [0.0] * 9), "b.num_batches_tracked": ((), [1.0])}
    for index, (name, (shape, values)) in enumerate(model.items()):
        key = str(index)
        storages[key] = raw_values(values, dtype)
        stored = storage(key, len(values), TORCH_KINDS[dtype], b"N" if legacy else b"")
        pairs.append((text(prefix + name), tensor(stored, shape)))
    return ORDERED_DICT + b"(" + b"".join(key + value for key, value in pairs) + b"u", storages


def zip_of(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, raw in members:
            archive.writestr(zipfile.ZipInfo(name), raw, compression)
    return file.getvalue()


def zip_members(body, storages):
    return [("m/data.pkl", pickled(body)), ("m/byteorder", b"little"), ("m/version", b"3\n"),
            *((f"m/data/{key}", raw) for key, raw in storages.items())]


def zip_checkpoint(body, storages):
    return zip_of(zip_members(body, storages))


MAGIC_PICKLE = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def legacy_checkpoint(body, storages, item=4, version=pickled(number(1001)), little=b"\x88", keys=None):
    system = pickled(dictionary([(text("protocol_version"), number(1001)), (text("little_endian"), little)]))
    order = sorted(storages, reverse=True)  # PyTorch's order is that of addresses
    listed = pickled(b"](" + b"".join(map(text, order if keys is None else keys)) + b"e")
    items = item if isinstance(item, dict) else dict.fromkeys(order, item)
    raw = b"".join(struct.pack("<q", len(storages[key]) // items[key]) + storages[key] for key in order)
    return MAGIC_PICKLE + version + system + pickled(body) + listed + raw


def safetensors_file(header, body):
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + body


def safetensors_parts(model, dtype="f32"):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in model.items():
        raw = raw_values(values, dtype)
        header[name] = {"dtype": dtype.upper(), "shape": list(shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    return header, body


def small_zip(model=None, dtype="f32", wrap=lambda body: body, prefix=""):
    body, storages = checkpoint_parts(model or small_model(), dtype, prefix)
    return zip_checkpoint(wrap(body), storages)


def small_legacy(model=None):
    return legacy_checkpoint(*checkpoint_parts(model or small_model(), legacy=True))


def changed(**values):
    """The small model with one value of a tensor replaced; dots in names are written __."""
    model = small_model()
    for name, value in values.items():
        shape, old = model[name.replace("__", ".")]
        model[name.replace("__", ".")] = (shape, [value, *old[1:]])
    return model


# A network that the library does not know. Its counters are integers, as PyTorch's are.

def own_model():
    """{name: (shape, values)}, values that every dtype holds exactly: convolutions with and without a bias, a transposed
    one, slopes, and tensors of all other ranks.
    """
    shapes = {"head.0.weight": (20, 3, 3, 3), "head.1.weight": (20,), "body.conv.weight": (20, 5, 3, 2),
              "body.conv.bias": (20,), "body.act.weight": (1,), "up.weight": (20, 6, 3, 3), "up.bias": (6,),
              "SA.spatial.conv.weight": (1, 2, 5, 5), "line.weight": (7, 6), "wave.weight": (3, 2, 5), "gamma": (6,),
              "beta": (1, 6, 1, 1), "alpha": (), "last.weight": (1, 6, 1, 1), "last.bias": (1,)}
    source = random.Random(11)
    return {name: (shape, [source.randrange(-128, 128) / 64 for _ in range(math.prod(shape))])
            for name, shape in shapes.items()}


OWN_TRANSPOSED = ("--transposed", "up.weight")


def own_dtype(name, dtype="f32"):
    return "i64" if name.endswith("num_batches_tracked") else dtype


def own_parts(model, prefix="", legacy=False, dtype="f32"):
    """As checkpoint_parts."""
    kinds = {**TORCH_KINDS, "i64": "LongStorage"}
    storages, pairs = {}, []
    for index, (name, (shape, values)) in enumerate(model.items()):
        stored, key = own_dtype(name, dtype), str(index)
        storages[key] = raw_values(values, stored)
        pairs.append((text(prefix + name), tensor(storage(key, len(values), kinds[stored], b"N" if legacy else b""),
                                                  shape)))
    return ORDERED_DICT + b"(" + b"".join(key + value for key, value in pairs) + b"u", storages


def own_zip(model, wrap=lambda body: body, prefix="", legacy=False, dtype="f32"):
    body, storages = own_parts(model, prefix, legacy, dtype)
    if not legacy:
        return zip_checkpoint(wrap(body), storages)
    items = {str(index): convert.ITEM_SIZE[own_dtype(name, dtype)] for index, name in enumerate(model)}
    return legacy_checkpoint(wrap(body), storages, items)


def own_safetensors(model, dtype="f32"):
    header, body = {}, b""
    for name, (shape, values) in model.items():
        raw = raw_values(values, own_dtype(name, dtype))
        header[name] = {"dtype": own_dtype(name, dtype).upper(), "shape": list(shape),
                        "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    return safetensors_file(header, body)


def batch_norm(layer, count, seed=5, parts=("weight", "bias", "running_mean", "running_var", "num_batches_tracked")):
    source = random.Random(seed)
    model = {f"{layer}.{part}": ((count,), [source.uniform(0.25, 2) if part in ("weight", "running_var")
                                            else source.uniform(-1, 1) for _ in range(count)])
             for part in parts if part != "num_batches_tracked"}
    if "num_batches_tracked" in parts:
        model[f"{layer}.num_batches_tracked"] = ((), [1234])
    return {name: (shape, [as_f32(value) for value in values] if shape else values)
            for name, (shape, values) in model.items()}


def as_f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.source, self.target = self.folder / "model.pth", self.folder / "model.mirw"

    def convert(self, data, *options, transposed=()):
        """Converts bytes; returns read_mirw's result."""
        self.source.write_bytes(data)
        code, self.said, err = run(self.source, self.target, *options)
        self.assertEqual((code, err), (0, ""))
        return read_mirw(self.target.read_bytes(), transposed)

    def refuse(self, data, phrase, *options, code=4):
        """Asserts the exit code and one sentence with `phrase` in it, and that nothing is left in the folder."""
        self.source.write_bytes(data)
        found, out, err = run(self.source, self.target, *options)
        self.assertEqual((found, out), (code, ""), err)
        self.assert_sentence(err, phrase)
        self.assertEqual(os.listdir(self.folder), [self.source.name])

    def refuse_fields(self, good, changes, phrase):
        """Asserts that --inspect refuses a weight file whose header has these (offset, value), and the right checksum."""
        data = bytearray(good)
        for offset, value in changes:
            struct.pack_into("<H", data, offset, value)
        end = number_at(good, 88, 8) + number_at(good, 124, 4)
        struct.pack_into("<I", data, 32, crc32c(data[:32] + data[36:end]))
        self.target.write_bytes(data)
        with self.subTest(phrase):
            code, out, err = run(self.target, "--inspect")
            self.assertEqual((code, out), (4, ""))
            self.assert_sentence(err, phrase)

    def assert_sentence(self, err, phrase):
        self.assertRegex(err, r"\Aconvert\.py: [ -~]{10,400}\n\Z")
        self.assertIn(phrase, err)

    def assert_small(self, tensors, dtype="f32"):
        model = small_model()
        self.assertEqual([(name, shape) for name, (_, shape, _) in tensors.items()], SMALL)
        for name, (stored, shape, raw) in tensors.items():
            self.assertEqual(stored, "f32" if len(shape) == 1 else dtype, name)
            self.assertEqual(raw, raw_values(model[name][1], stored), name)


TWO_STREAMS = """conv_in.weight 24x3x3x3
B.blocks.0.0.body.0.weight 24x24x3x3
B.blocks.0.0.body.1.weight 1
B.blocks.0.0.body.2.weight 24x24x3x3
B.blocks.0.0.SA.spatial.conv.weight 1x2x5x5
B.blocks.0.0.CA.conv_du.0.weight 3x24x1x1
B.blocks.0.0.CA.conv_du.2.weight 24x3x1x1
B.blocks.0.0.conv1x1.weight 24x48x1x1
B.blocks.1.0.body.0.weight 48x48x3x3
B.blocks.1.0.body.2.weight 48x48x3x3
B.blocks.1.0.SA.spatial.conv.weight 1x2x5x5
B.blocks.1.0.CA.conv_du.0.weight 6x48x1x1
B.blocks.1.0.CA.conv_du.2.weight 48x6x1x1
B.blocks.1.0.conv1x1.weight 48x96x1x1
B.last_up.1.body.0.top.0.weight 48x48x1x1
B.last_up.1.body.0.top.1.weight 1
B.last_up.1.body.0.top.2.weight 48x48x3x3
B.last_up.1.body.0.top.3.weight 1
B.last_up.1.body.0.top.4.weight 24x48x1x1
B.last_up.1.body.0.bot.1.weight 24x48x1x1
B.down.24_2.body.0.top.0.weight 24x24x1x1
B.down.24_2.body.0.top.1.weight 1
B.down.24_2.body.0.top.2.weight 24x24x3x3
B.down.24_2.body.0.top.3.weight 1
B.down.24_2.body.0.top.5.weight 48x24x1x1
B.down.24_2.body.0.bot.1.weight 48x24x1x1
B.up.48_2.body.0.top.0.weight 48x48x1x1
B.up.48_2.body.0.top.1.weight 1
B.up.48_2.body.0.top.2.weight 48x48x3x3
B.up.48_2.body.0.top.3.weight 1
B.up.48_2.body.0.top.4.weight 24x48x1x1
B.up.48_2.body.0.bot.1.weight 24x48x1x1
B.conv_out.weight 24x24x3x3
B.selective_kernel.0.conv_du.0.weight 4x24x1x1
B.selective_kernel.0.conv_du.1.weight 1
B.selective_kernel.0.fcs.0.weight 24x4x1x1
B.selective_kernel.0.fcs.1.weight 24x4x1x1
B.selective_kernel.1.conv_du.0.weight 6x48x1x1
B.selective_kernel.1.conv_du.1.weight 1
B.selective_kernel.1.fcs.0.weight 48x6x1x1
B.selective_kernel.1.fcs.1.weight 48x6x1x1
body.0.body.1.weight 24x24x3x3
conv_out.weight 3x24x3x3
""".replace("B.", "body.0.body.0.")

HYPER = ("features", "groups", "blocks", "streams", "columns", "in_channels")
CASES = {  # golden case: (HYPER, parameters, tensors)
    "v1_w16_blocks": ((16, 1, 1, 3, 2, 3), 333392, 104), "v1_w24_two_streams": ((24, 1, 1, 2, 3, 3), 129997, 43),
    "v1_w8_four_streams": ((8, 1, 1, 4, 2, 3), 440417, 209), "v1_w8_legacy": ((8, 2, 2, 3, 2, 3), 333101, 405),
    "v1_w8_unshuffle": ((8, 1, 1, 3, 2, 3), 85184, 104)}
UNSHUFFLED = "v1_w8_unshuffle"
V2_CASES = {
    "v2_w16": ((16, 4, 1, 3, 2, 3), 123472, 122), "v2_w16_bias": ((16, 4, 1, 3, 2, 3), 124847, 192),
    "v2_w16_defocus": ((16, 4, 1, 3, 2, 6), 123904, 122), "v2_w16_two_blocks": ((16, 4, 2, 3, 2, 3), 236864, 238),
    "v2_w32": ((32, 4, 1, 3, 2, 3), 488864, 122)}
OF_16_BITS = ("v2_w16_defocus", "v2_w16_two_blocks", "v2_w32")


class Golden(Case):
    """The golden checkpoints, which PyTorch wrote."""

    def test_hyper_parameters_and_metadata(self):
        for name, (hyper, count, tensor_count) in {**CASES, **V2_CASES}.items():
            with self.subTest(name):
                data = (GOLDEN / name / "model.pth").read_bytes()
                header, tensors, meta = self.convert(data)
                self.assertEqual(header["arch"], 2 if name in V2_CASES else 1)
                self.assertEqual(tuple(header[field] for field in HYPER), hyper)
                self.assertEqual(header["unshuffle"], {UNSHUFFLED: 2}.get(name, int(name in V2_CASES)))
                self.assertEqual(header["task"], 5 if name == "v2_w16_defocus" else 0)
                self.assertEqual(header["bias"], int(name == "v2_w16_bias"))
                if name in V2_CASES:
                    self.assertEqual([(key, shape) for key, (_, shape, _) in tensors.items()],
                                     v2_shapes(hyper[0], hyper[2], hyper[5], header["bias"]))
                self.assertEqual(len(tensors), tensor_count)
                self.assertEqual(sum(math.prod(shape) for _, shape, _ in tensors.values()), count)
                self.assertEqual(meta, {"source": "model.pth", "source_sha256": hashlib.sha256(data).hexdigest()})

    def test_order_and_bytes_are_those_of_the_archive(self):
        # torch.save numbers storages as it meets them, so without the blur filters they are in canonical order.
        blur = struct.pack("<9f", *(value / 16 for value in (1, 2, 1, 2, 4, 2, 1, 2, 1)))
        for name in [name for name in (*CASES, *V2_CASES) if name != "v1_w8_legacy"]:
            with self.subTest(name):
                path = GOLDEN / name / "model.pth"
                with zipfile.ZipFile(path) as archive:
                    stored = [archive.read(f"model/data/{key}")
                              for key in range(sum("/data/" in member for member in archive.namelist()))]
                if name in OF_16_BITS:
                    stored = [raw_values(struct.unpack(f"<{len(raw) // 2}e", raw)) for raw in stored]
                _, tensors, _ = self.convert(path.read_bytes())
                self.assertEqual([raw for _, _, raw in tensors.values()],
                                 [raw for raw in stored if raw != blur * (len(raw) // 36)])

    def test_bytes_of_the_legacy_stream(self):
        data = (GOLDEN / "v1_w8_legacy" / "model.pth").read_bytes()
        _, tensors, _ = self.convert(data)
        for name, (_, shape, raw) in tensors.items():
            self.assertIn(struct.pack("<q", math.prod(shape)) + raw, data, name)

    def test_names_and_shapes_of_two_streams(self):
        _, tensors, _ = self.convert((GOLDEN / "v1_w24_two_streams" / "model.pth").read_bytes())
        self.assertEqual("".join(f"{name} {'x'.join(map(str, shape))}\n" for name, (_, shape, _) in tensors.items()),
                         TWO_STREAMS)

    def test_half_precision_is_the_nearest(self):
        for name in (*CASES, "v2_w16_bias", "v2_w16_defocus"):
            data = (GOLDEN / name / "model.pth").read_bytes()
            _, exact, _ = self.convert(data)
            for dtype, one in (("f16", lambda v: struct.pack("<e", v)), ("bf16", nearest_bf16)):
                with self.subTest(name, dtype=dtype):
                    _, tensors, _ = self.convert(data, "--dtype", dtype)
                    self.assertEqual(list(tensors), list(exact))
                    for key, (stored, shape, raw) in tensors.items():
                        if len(shape) == 1 and not key.endswith("bias"):
                            self.assertEqual((stored, raw), ("f32", exact[key][2]), key)
                        else:
                            values = struct.unpack(f"<{math.prod(shape)}f", exact[key][2])
                            self.assertEqual((stored, raw), (dtype, b"".join(map(one, values))), key)

    def test_packed(self):
        for name in (*CASES, "v2_w16_bias", "v2_w16_defocus"):
            data = (GOLDEN / name / "model.pth").read_bytes()
            for dtype in ("f32", "bf16"):
                with self.subTest(name, dtype=dtype):
                    plain, packed = (self.convert(data, "--dtype", dtype, "--layout", layout)
                                     for layout in ("checkpoint", "packed"))
                    versions = (3, 3) if name == UNSHUFFLED else (4, 4) if name in V2_CASES else (1, 2)
                    self.assertEqual((plain[0]["version_minor"], plain[0]["flags"]), (versions[0], 0))
                    self.assertEqual((packed[0]["version_minor"], packed[0]["flags"]), (versions[1], 1))
                    self.assertEqual(packed[1:], plain[1:])


def nearest_bf16(value):
    """By trying the two neighbours; the even one where they are equally near."""
    low = struct.unpack("<I", struct.pack("<f", value))[0] >> 16
    distance = [abs(struct.unpack("<f", struct.pack("<I", bits << 16))[0] - value) for bits in (low, low + 1)]
    up = distance[1] < distance[0] or distance[1] == distance[0] and low % 2
    return struct.pack("<H", low + bool(up))


class Numbers(unittest.TestCase):
    def test_crc32c(self):
        self.assertEqual(convert.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(convert.crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720, B.4
        self.assertEqual(convert.crc32c(b""), 0)
        source = random.Random(1)
        for size in [*range(130), 255, 256, 257, 4095, 4096, 4097, 10007]:
            data = bytes(source.randrange(256) for _ in range(size))
            self.assertEqual(convert.crc32c(data), crc32c(data), size)

    def test_bf16_rounds_to_nearest_even(self):
        bits = {0x00000000: 0x0000, 0x80000000: 0x8000, 0x3F800000: 0x3F80, 0x3F808000: 0x3F80, 0x3F808001: 0x3F81,
                0x3F818000: 0x3F82, 0x3F817FFF: 0x3F81, 0xBF808000: 0xBF80, 0xBFFF8000: 0xC000, 0x00000001: 0x0000,
                0x00018000: 0x0002, 0x7F7F7FFF: 0x7F7F}
        raw = struct.pack(f"<{len(bits)}I", *bits)
        self.assertEqual(convert.narrow(raw, "bf16"), struct.pack(f"<{len(bits)}H", *bits.values()))


class Checkpoints(Case):
    def test_dtypes_of_the_result(self):
        for dtype in ("f32", "f16", "bf16"):
            with self.subTest(dtype):
                self.assert_small(self.convert(small_zip(), "--dtype", dtype)[1], dtype)

    def test_dtypes_of_the_source(self):
        for dtype in TORCH_KINDS:
            with self.subTest(dtype):
                self.assert_small(self.convert(small_zip(dtype=dtype))[1])
                self.assert_small(self.convert(safetensors_file(*safetensors_parts(small_model(), dtype)))[1])

    def test_legacy_stream(self):
        self.assert_small(self.convert(small_legacy())[1])

    def test_containers(self):
        empty = b"}"
        for keys in ("state_dict", "params", "params_ema"):
            for prefix in ("", "module."):
                with self.subTest(keys, prefix=prefix):
                    wrapped = small_zip(prefix=prefix, wrap=lambda body: dictionary(
                        [(text("epoch"), number(3)), (text(keys), body), (text("optimizer"), empty)]))
                    self.assert_small(self.convert(wrapped)[1])

    def test_the_moving_average_comes_first(self):
        other = dictionary([(text("conv_in.weight"), tensor(storage("other", 1), (1,)))])
        data = small_zip(wrap=lambda body: dictionary([(text("params"), other), (text("params_ema"), body)]))
        self.assert_small(self.convert(data)[1])

    def test_parameters_and_protocol_4(self):
        model = small_model()
        body, storages = checkpoint_parts(model)
        rebuild = b"\x8c\x0ctorch._utils\x8c\x12_rebuild_parameter\x93"  # SHORT_BINUNICODE twice, STACK_GLOBAL
        stored = tensor(storage("0", 216), (8, 3, 3, 3))
        self.assertEqual(body.count(stored), 1)
        wrapped = rebuild + tuple_of(stored, b"\x89", ORDERED_DICT) + b"R\x94"
        body = b"\x95" + bytes(8) + body.replace(stored, wrapped)
        self.assert_small(self.convert(zip_checkpoint(body, storages))[1])

    def test_views_of_one_storage(self):
        model, pairs, values = small_model(), [], [0.0] * 5
        for name, (shape, numbers) in model.items():
            pairs.append((text(name), tensor(storage("all", 99999), shape, offset=len(values))))
            values += numbers
        body = dictionary(pairs).replace(number(99999), number(len(values)))
        self.assert_small(self.convert(zip_checkpoint(body, {"all": raw_values(values)}))[1])

    def test_views_in_any_order_of_axes(self):
        model = small_model()
        for order in itertools.permutations(range(4)):
            with self.subTest(order):
                storages, pairs = {}, []
                for name, (shape, values) in model.items():
                    strides, placed = row_major(shape), values
                    if len(shape) == 4:
                        step = 1
                        for axis in reversed(order):
                            strides[axis], step = step, step * shape[axis]
                        placed = [0.0] * len(values)
                        for value, index in zip(values, itertools.product(*map(range, shape))):
                            placed[sum(i * s for i, s in zip(index, strides))] = value
                    storages[name] = raw_values(placed)
                    pairs.append((text(name), tensor(storage(name, len(values)), shape, strides)))
                self.assert_small(self.convert(zip_checkpoint(dictionary(pairs), storages))[1])

    def test_attributes_of_a_state_dict_are_ignored(self):
        state = dictionary([(text("_metadata"), ORDERED_DICT), (text("items"), number(0))])
        self.assert_small(self.convert(small_zip(wrap=lambda body: body + state + b"b"))[1])

    def test_safetensors_of_save_model(self):
        # It drops the second name of a shared tensor and says so in the metadata.
        model = small_model()
        kept = {name: value for name, value in model.items() if not name.startswith(SECOND)}
        header, body = safetensors_parts(kept)
        header["__metadata__"].update({SECOND + name: FIRST + name for name, _ in UNIT})
        found, tensors, _ = self.convert(safetensors_file(header, body))
        self.assert_small(tensors)
        self.assertEqual(found["columns"], 2)

    def test_safetensors_padding_of_the_header(self):
        header, body = safetensors_parts(small_model())
        self.assert_small(self.convert(safetensors_file(json.dumps(header).encode() + b"   ", body))[1])


class Refusals(Case):
    def test_tensors(self):
        def without(name):
            return {key: value for key, value in small_model().items() if key != name}

        def reshaped(name, shape):
            return {**small_model(), name: (shape, [0.5] * math.prod(shape))}

        slope, tail = FIRST + "body.1.weight", "body.0.body.1.weight"
        cases = [
            (changed(**{(SECOND + "conv1x1.weight").replace(".", "__"): 9.0}),
             f"{SECOND}conv1x1.weight and {FIRST}conv1x1.weight are one parameter"),
            (changed(**{(SECOND + "body.1.weight").replace(".", "__"): 9.0}),
             f"{SECOND}body.1.weight and {slope} are one parameter"),
            (without("conv_out.weight"), "'conv_out.weight' is missing"),
            (without(SECOND + "body.0.weight"), f"'{SECOND}body.0.weight' is missing"),
            (without("conv_in.weight"), "'conv_in.weight' is missing"),
            ({"conv_in.weight": ((8, 3, 3, 3), [0.5] * 216)}, "a checkpoint of another network (MIRNet has body.0."),
            ({**small_model(), "conv_in.bias": ((8,), [0.5] * 8)}, "'conv_in.bias' is not a parameter"),
            ({**small_model(), "x" * 500: ((1,), [0.5])}, "'xxxx"),
            ({**small_model(), "\x1b[31m\n": ((1,), [0.5])}, r"'\x1b[31m\n' is not a parameter"),
            (reshaped(tail, (8, 8, 1, 1)), f"{tail} is 8x8x1x1, expected 8x8x3x3"),
            (reshaped(slope, (8,)), f"the shape of {slope} is 8, expected 1"),
            (reshaped(slope, ()), f"the shape of {slope} is scalar, expected 1"),
            (reshaped("conv_in.weight", (8, 27)), "the shape of conv_in.weight is 8x27, expected 4 dimensions"),
            (reshaped("conv_in.weight", (8,)), "the shape of conv_in.weight is 8, expected 4 dimensions"),
            (reshaped("conv_in.weight", (4, 3, 3, 3)), "features is 4, expected 8 to 1024"),
            (reshaped("conv_in.weight", (8, 17, 3, 3)), "channels is 17, expected 1 to 16"),
            (reshaped("conv_in.weight", (8, 0, 3, 3)), "channels is 0, expected 1 to 16"),
            (reshaped("body.16.body.0.blocks.0.0.x", (1,)), "groups is 17, expected 1 to 16"),
            (reshaped("body.0.body.16.blocks.0.0.x", (1,)), "blocks is 17, expected 1 to 16"),
            (reshaped("body.0.body.0.blocks.4.0.x", (1,)), "streams is 5, expected 1 to 4"),
            (reshaped("body.0.body.0.blocks.0.9999.x", (1,)), "columns is 10000, expected 1 to 4"),
            ({**small_model(), "module.conv_in.weight": ((1,), [0.5])}, "with and without the prefix"),
        ]
        for model, phrase in cases:
            with self.subTest(phrase):
                self.refuse(small_zip(model), phrase)
        for kind in ("BF16", "F16"):  # three names for one parameter count
            with self.subTest(kind):
                self.refuse(safetensors_file(*safetensors_parts(without("conv_out.weight"), kind.lower())), "missing")

    def test_values(self):
        tail = "body.0.body.1.weight"
        key = tail.replace(".", "__")
        for value, options, phrase in (
                (math.nan, (), "NaN or infinite"), (math.inf, (), "NaN or infinite"),
                (-math.inf, (), "NaN or infinite"),
                (65520.0, ("--dtype", "f16"), "too large for f16"), (-1e30, ("--dtype", "f16"), "too large for f16"),
                (3.4e38, ("--dtype", "bf16"), "too large for bf16")):
            with self.subTest(value=value, options=options):
                self.refuse(small_zip(changed(**{key: value})), f"{tail} has a value", *options)
                self.refuse(small_zip(changed(**{key: value})), phrase, *options)
        self.refuse(small_zip(changed(**{key: 1e39}), dtype="f64"), f"{tail} has a value too large for f32")
        for value, dtype, stored in ((65519.0, "f16", b"\xff\x7b"), (3.38e38, "bf16", b"\x7e\x7f")):
            _, tensors, _ = self.convert(small_zip(changed(**{key: value})), "--dtype", dtype)
            self.assertEqual(tensors[tail][2][:2], stored)

    def test_a_nan_in_an_alias(self):
        name = SECOND + "body.2.weight"
        self.refuse(small_zip(changed(**{name.replace(".", "__"): math.nan})), f"{name} has a value that is NaN")

    def test_integers_as_parameters(self):
        body, storages = checkpoint_parts(small_model())
        changed_body = body.replace(b"FloatStorage\nX\1\0\0\0" + b"0", b"IntStorage\nX\1\0\0\0" + b"0")
        self.assertNotEqual(body, changed_body)
        self.refuse(zip_checkpoint(changed_body, storages), "conv_in.weight is i32, expected floating-point")

    def test_storages(self):
        body, storages = checkpoint_parts(small_model())
        first = tensor(storage("0", 216), (8, 3, 3, 3))
        self.assertIn(first, body)
        for replacement, phrase in (
                (tensor(storage("0", 216), (8, 3, 3, 3), offset=1), "beyond the end of its storage"),
                (tensor(storage("0", 216), (8, 3, 3, 3), [2**30, 9, 3, 1]), "beyond the end of its storage"),
                (tensor(storage("0", 216), (8, 3, 3, 3), [-27, 9, 3, 1], 189), "makes no sense"),
                (tensor(storage("0", 216), (8, 3, 3, 3), [27, 9, 3, 1], -1), "makes no sense"),
                (tensor(storage("0", 216), (8, 3, 3, 3), [27, 9, 3]), "makes no sense"),
                (tensor(storage("0", 216), (8, 3, 3, 3), [0, 0, 0, 0]), "repeats values"),
                (tensor(storage("0", 100), (8, 3, 3, 3), [1, 1, 1, 1]), "repeats values"),
                (tensor(storage("0", 217), (8, 3, 3, 3)), "864 bytes, expected 217 values of f32"),
                (tensor(storage("0", 216, "DoubleStorage"), (8, 3, 3, 3)), "864 bytes, expected 216 values of f64"),
                (tensor(storage("0", -1), (8, 3, 3, 3)), "makes no sense"),
                (tensor(storage("nowhere", 216), (8, 3, 3, 3)), "no member 'm/data/nowhere'"),
                (tensor(storage("../data.pkl", 216), (8, 3, 3, 3)), "no member 'm/data/../data.pkl'"),
                (tensor(storage("1", 216), (8, 3, 3, 3)), "one storage in two ways"),
                (tensor(storage("0", 216, extra=tuple_of()), (8, 3, 3, 3)), "makes no sense"),
                (tensor(storage("0", 216, extra=b"NN"), (8, 3, 3, 3)), "other than a storage"),
                (tensor(tuple_of(text("module"), text("x")) + b"Q", (8, 3, 3, 3)), "other than a storage"),
                (tensor(text("storage"), (8, 3, 3, 3)), "makes no sense"),
                (number(7), "'conv_in.weight' is not a named tensor")):
            with self.subTest(phrase, replacement=replacement[-60:]):
                data = {**storages, "0": storages["0"][:400]} if "repeats" in phrase and b"J\x64" in replacement \
                    else storages
                self.refuse(zip_checkpoint(body.replace(first, replacement), data), phrase)

    def test_things_that_are_no_checkpoint(self):
        for data, phrase in (
                (b"", "neither"), (b"#!/bin/sh\necho hello\n", "neither"), (b"\x80\x02}.", "neither"),
                (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither"), (b"\x89HDF\r\n\x1a\n" + bytes(100), "neither"),
                (zip_of([("word/document.xml", b"<x/>")]), "not a PyTorch checkpoint"),
                (zip_of([]), "neither"), (b"PK\3\4", "damaged"),
                (zip_checkpoint(number(5), {}), "holds no tensors"),
                (zip_checkpoint(b"}", {}), "holds no tensors"),
                (zip_checkpoint(dictionary([(text("state_dict"), b"}")]), {}), "holds no tensors"),
                (zip_checkpoint(*checkpoint_parts({"layer1.0.conv1.weight": ((4, 4, 3, 3), [0.1] * 144),
                                                   "fc.bias": ((2,), [0.1, 0.2])})), "another network")):
            with self.subTest(data[:40]):
                self.refuse(data, phrase)


class Archives(Case):
    def setUp(self):
        super().setUp()
        self.members = zip_members(*checkpoint_parts(small_model()))

    def test_compressed(self):
        self.refuse(zip_of(self.members, zipfile.ZIP_DEFLATED), "is compressed or encrypted")

    def test_twice(self):
        self.refuse(zip_of(self.members + [self.members[-1]]), "two members named")

    def test_two_checkpoints_in_one(self):
        self.refuse(zip_of(self.members + [("n/data.pkl", pickled(b"}"))]), "not a PyTorch checkpoint")

    def test_big_endian(self):
        self.refuse(zip_of([(name, b"big" if name == "m/byteorder" else raw) for name, raw in self.members]),
                    "big-endian")

    def test_wrong_checksum(self):
        data = bytearray(zip_of(self.members))
        name, raw = self.members[3]
        self.assertEqual(data.count(raw), 1)
        data[data.index(raw) + 100] ^= 1
        self.refuse(bytes(data), f"'{name}' is damaged")

    def test_overlapping(self):
        # A directory whose entries all point to one member claims more bytes than the file has.
        count = 60
        data = bytearray(zip_of([("a" * 50, bytes(20000))]))
        directory = data.index(b"PK\1\2")
        end = data.index(b"PK\5\6")
        entry = bytes(data[directory:end])
        entries = b"".join(entry.replace(b"a" * 50, f"{i:050}".encode()) for i in range(count))
        tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), directory, 0)
        self.refuse(bytes(data[:directory]) + entries + tail, "overlap")

    def test_encrypted(self):
        data = bytearray(zip_of(self.members))
        data[data.index(b"PK\1\2") + 8] |= 1
        self.refuse(bytes(data), "is compressed or encrypted")


class LegacyStreams(Case):
    def setUp(self):
        super().setUp()
        self.parts = checkpoint_parts(small_model(), legacy=True)

    def test_headers(self):
        self.refuse(legacy_checkpoint(*self.parts, version=pickled(number(1002))), "unknown version")
        self.refuse(legacy_checkpoint(*self.parts, little=b"\x89"), "big-endian")
        self.refuse(legacy_checkpoint(*self.parts, keys=["0"]), "list of storages")
        self.refuse(legacy_checkpoint(*self.parts, keys=["0"] * len(self.parts[1])), "list of storages")

    def test_lengths(self):
        data = legacy_checkpoint(*self.parts)
        self.refuse(data + b"x", "1 bytes behind its end")
        self.refuse(data[:-1], "the checkpoint is cut off")
        count = struct.pack("<q", 216)
        self.assertEqual(data.count(count + self.parts[1]["0"]), 1)
        self.refuse(data.replace(count + self.parts[1]["0"], struct.pack("<q", -1) + self.parts[1]["0"]),
                    "not as long as its tensors say")


class Safetensors(Case):
    def setUp(self):
        super().setUp()
        self.header, self.body = safetensors_parts(small_model())

    def entry(self, **fields):
        header = json.loads(json.dumps(self.header))
        header["conv_in.weight"].update(fields)
        return safetensors_file(header, self.body)

    def test_ranges(self):
        self.refuse(self.entry(data_offsets=[4, 868]), "gap or an overlap at byte 0")
        self.refuse(self.entry(data_offsets=[864, 1728]), "gap or an overlap")
        self.refuse(self.entry(data_offsets=[0, 860]), "860 bytes for 8x3x3x3 f32")
        self.refuse(self.entry(data_offsets=[864, 0]), "-864 bytes")
        self.refuse(safetensors_file(self.header, self.body + b"1234"), "its header describes")
        self.refuse(safetensors_file(self.header, self.body[:-4]), "its header describes")

    def test_fields(self):
        for fields in ({"dtype": "F8_E4M3"}, {"dtype": ["F32"]}, {"shape": "8x3"}, {"shape": [8, 3, 3, True]},
                       {"shape": [8, 3, 3, -3]}, {"shape": [8, 3, 3.0, 3]}, {"data_offsets": [0]},
                       {"data_offsets": [0, 864, 9]}, {"data_offsets": [False, 864]}):
            with self.subTest(fields):
                self.refuse(self.entry(**fields), "makes no sense")
        self.refuse(self.entry(shape=[2**62, 2**62, 4]), "864 bytes for")
        self.refuse(self.entry(shape=[2**62] * convert.MAX_RANK), "864 bytes for 4611")  # one short line
        self.refuse(self.entry(shape=[8, 3, 3, 3] + [1] * 20_000), "makes no sense")  # whose strides would take long
        self.refuse(self.entry(extra=1), "does not have dtype, shape and data_offsets")

    def test_headers(self):
        twice = json.dumps(self.header)[:-1] + ', "conv_in.weight": ' + json.dumps(self.header["conv_in.weight"]) + "}"
        self.refuse(safetensors_file(twice.encode(), self.body), "a key twice")
        self.refuse(safetensors_file(b'{"a": ' + b"[" * 200000, b""), "not valid JSON")
        self.refuse(safetensors_file(b'{"a": \xff}', b""), "not valid JSON")
        self.refuse(safetensors_file(b'{"a": 1', b""), "not valid JSON")
        self.refuse(safetensors_file(b"{}", b""), "holds no tensors")
        self.refuse(safetensors_file(b'{"__metadata__": {"a": 1}}', b""), "metadata")
        self.refuse(safetensors_file(b'{"a": 1}', b""), "does not have dtype")
        for size in (1 << 63, (1 << 64) - 1, 100):
            with self.subTest(size):
                self.refuse(struct.pack("<Q", size) + b'{"a": 1}', "header claims")
        self.refuse(safetensors_file(b"{" + b" " * convert.MAX_INDEX + b"}", b""), "header claims")


class MaliciousPickles(Case):
    """No opcode may run anything. Each attack is first shown to work on the standard library's unpickler."""

    def setUp(self):
        super().setUp()
        self.outside = tempfile.TemporaryDirectory()
        self.addCleanup(self.outside.cleanup)
        self.canary = pathlib.Path(self.outside.name) / "canary"
        self.command = f"touch {self.canary}"

    def refuse_everywhere(self, body, phrase):
        self.refuse(zip_checkpoint(body, {}), phrase)
        self.refuse(small_zip(wrap=lambda good: dictionary([(text("state_dict"), good), (text("x"), body)])), phrase)
        good, storages = checkpoint_parts(small_model(), legacy=True)
        self.refuse(legacy_checkpoint(body, {}), phrase)
        self.refuse(legacy_checkpoint(good, storages, version=pickled(body)), phrase)
        self.refuse(legacy_checkpoint(good, storages, little=body), phrase)
        self.assertFalse(self.canary.exists())

    def test_commands(self):
        line = text(self.command)
        short = bytes([0x8C, len(self.command)]) + self.command.encode()
        python = text(f"open({str(self.canary)!r}, 'w')")
        attacks = {
            "GLOBAL and REDUCE": (name_of("os", "system") + tuple_of(line) + b"R", "'os.system', which is not run"),
            "the module's other name": (name_of("posix", "system") + tuple_of(line) + b"R", "'posix.system'"),
            "STACK_GLOBAL": (b"\x8c\x02os\x8c\x06system\x93" + short + b"\x85R", "'os.system', which is not run"),
            "eval": (name_of("builtins", "eval") + tuple_of(python) + b"R", "'builtins.eval'"),
            "a dotted name": (b"\x8c\x02os\x8c\x0epath.os.system\x93" + short + b"\x85R", "'os.path.os.system'"),
            "INST": (b"(" + line + b"ios\nsystem\n", "INST"),
            "OBJ": (b"(" + name_of("os", "system") + line + b"o", "'os.system'"),
            "a subprocess": (name_of("subprocess", "Popen") + tuple_of(b"](" + text("touch") + text(str(self.canary))
                                                                       + b"e") + b"R", "'subprocess.Popen'"),
        }
        for title, (body, phrase) in attacks.items():
            with self.subTest(title):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a process that nobody waits for
                    started = pickle.loads(b"\x80\x04" + body + b".")
                if hasattr(started, "wait"):
                    started.wait()
                self.assertTrue(self.canary.exists(), "the attack does not work, so refusing it proves nothing")
                self.canary.unlink()
                self.refuse_everywhere(body, phrase)

    def test_misuse_of_what_is_allowed(self):
        rebuild = name_of("torch._utils", "_rebuild_tensor_v2")
        nested = b"(" * 200000 + b"N" + b"t" * 200000
        laughs = b"N" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(100))
        for title, body, phrase in (
                ("a storage type as a function", name_of("torch", "FloatStorage") + b")R", "calls something other"),
                ("a dictionary of arguments", name_of("collections", "OrderedDict") + b"]\x85R", "calls something"),
                ("text as a function", text("os.system") + b")R", "calls something other"),
                ("too few arguments", rebuild + b")R", "calls something other"),
                ("another version's arguments", tensor(storage("s", 1), (1,)).replace(b"\x89" + ORDERED_DICT, b"\x89"),
                 "calls something other"),
                ("arguments that are a list", rebuild + b"]R", "calls something other"),
                ("strange arguments", rebuild + tuple_of(b"N", b"N", b"N", b"N", b"N", b"N") + b"R", "no sense"),
                ("strange lengths", tensor(storage("s", 1), (1,)).replace(tuple_of(number(1)), tuple_of(b"\x88")),
                 "no sense"),
                ("a parameter of nothing", name_of("torch._utils", "_rebuild_parameter") + b"NNN\x87R", "calls"),
                ("SETITEM on a list", b"]" + number(0) + number(0) + b"s", "not a dictionary"),
                ("SETITEMS on a tensor", tensor(storage("s", 1), (1,)) + b"(" + number(0) + number(0) + b"u",
                 "not a dictionary"),
                ("SETITEMS, odd", b"}(" + number(0) + b"u", "not a dictionary"),
                ("APPEND to a dictionary", b"}Na", "not a list"),
                ("BUILD on a list", b"]}b", "not a dictionary"),
                ("a key twice", b"}(" + (text("k") + b"N") * 2 + b"u", "twice"),
                ("keys that take for ever to hash", b"}" + laughs + b"Ns", "neither text nor a number"),
                ("one that takes for ever to compare", laughs + b"Q", "other than a storage"),
                ("one that takes for ever to print", laughs + b")R", "calls something other"),
                ("a storage's name that is no text", tuple_of(text("storage"), name_of("torch", "FloatStorage"),
                                                              b"N", b"N", number(1)) + b"Q", "no sense"),
                ("a module's name that is no text", b"NN\x93", "not text"),
                ("NEWOBJ", name_of("collections", "OrderedDict") + b")\x81", "NEWOBJ"),
                ("EXT1", b"\x82\x01", "EXT1"), ("PERSID", b"Pstorage\n", "PERSID"),
                ("STRING", b"S'a'\n", "STRING"), ("POP", b"N0", "POP"), ("an unknown opcode", b"\xff", "damaged"),
                ("no memo", b"h\xff", "damaged"), ("a length of 4 GiB", b"X\xff\xff\xff\xff", "damaged")):
            with self.subTest(title):
                self.refuse_everywhere(body, phrase)
        for title, body, phrase in (
                ("an empty stack", b"R", "damaged"), ("no mark", b"t", "damaged"), ("nothing", b"", "damaged"),
                ("put on an empty stack", b"q\0", "damaged"),
                ("a huge memo", b"Nr\xff\xff\xff\x7f", "holds no tensors"), ("a deep nest", nested, "holds no tensors"),
                ("a long one", b"N" * (convert.MAX_INDEX + 1), "longer than")):
            with self.subTest(title):
                self.refuse(zip_checkpoint(body, {}), phrase)


class Damage(Case):
    def assert_never_internal(self, data):
        """Refused or accepted, but never an internal error; refused leaves no file."""
        self.source.write_bytes(data)
        code, _, err = run(self.source, self.target)
        if code == 0:
            self.target.unlink()
        else:
            self.assertEqual(code, 4, err)
            self.assert_sentence(err, "")
        self.assertEqual(os.listdir(self.folder), [self.source.name])
        return code

    def good_files(self):
        return {"zip": small_zip(), "legacy": small_legacy(),
                "safetensors": safetensors_file(*safetensors_parts(small_model()))}

    def test_truncation(self):
        for kind, data in self.good_files().items():
            sizes = {*range(0, len(data), len(data) // 150), *range(40), *range(len(data) - 40, len(data))}
            for size in sorted(sizes):
                with self.subTest(kind, size=size):
                    self.assertEqual(self.assert_never_internal(data[:size]), 4)

    def test_mutation(self):
        source = random.Random(2020)
        for kind, data in self.good_files().items():
            # Most bytes are weights; aim half of the changes at the structure around them.
            structure = [i for i in range(len(data)) if data[max(i - 8, 0):i + 8].isascii()]
            self.assertGreater(len(structure), 1000)
            refused = 0
            for turn in range(300):
                at = source.choice(structure) if turn % 2 else source.randrange(len(data))
                broken = bytearray(data)
                broken[at] ^= 1 << source.randrange(8) if turn % 4 < 2 else source.randrange(1, 256)
                with self.subTest(kind, at=at, value=broken[at]):
                    refused += self.assert_never_internal(bytes(broken)) == 4
            self.assertGreater(refused, 50, kind)


class Output(Case):
    def test_same_bytes_each_time(self):
        first = self.folder / "first.mirw"
        self.convert(small_zip(), "--dtype", "bf16")
        self.target.rename(first)
        os.utime(self.source, (1, 1))
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        subprocess.run([sys.executable, SCRIPT, self.source, self.target, "--dtype", "bf16"], check=True,
                       env=environment, stdout=subprocess.DEVNULL)
        self.assertEqual(self.target.read_bytes(), first.read_bytes())

    def test_formats_give_the_same_weights(self):
        parts = [self.convert(data)[1] for data in (small_zip(), small_legacy(),
                                                    safetensors_file(*safetensors_parts(small_model())))]
        self.assertEqual(parts[0], parts[1])
        self.assertEqual(parts[0], parts[2])

    def test_report_and_metadata(self):
        data = small_zip()
        self.source.write_bytes(data)
        code, out, _ = run(self.source, self.target, "--task", "denoise", "--meta", "licence=CC0-1.0",
                           "--meta", "note=a = b, Zürich")
        self.assertEqual(code, 0)
        written = self.target.read_bytes()
        header, _, meta = read_mirw(written)
        self.assertEqual(header["task"], 1)
        self.assertEqual(meta, {"source": "model.pth", "source_sha256": hashlib.sha256(data).hexdigest(),
                                "licence": "CC0-1.0", "note": "a = b, Zürich"})
        count = sum(math.prod(shape) for _, shape in SMALL)
        for phrase in ("features 8", "groups 1", "blocks 1", "streams 1", "columns 2", "channels 3", f"{count} in 14",
                       hashlib.sha256(data).hexdigest(), hashlib.sha256(written).hexdigest()):
            self.assertIn(phrase, out)

    def test_a_source_name_with_control_characters(self):
        self.source = self.folder / "a\n=\x1b.pth"
        self.assertEqual(self.convert(small_zip())[2]["source"], "a?=?.pth")

    def test_wrong_usage(self):
        self.source.write_bytes(small_zip())
        both = (self.source, self.target)
        for arguments in ((), (self.source,), (*both, "--dtype", "i8"), (*both, "x"), (*both, "--inspect"),
                          (*both, "--layout", "x"), (*both, "--dtype", "f16", "--layout", "packed"),
                          (*both, "--meta", "novalue"), (*both, "--meta", "a=b\nc"), (*both, "--meta", "=x"),
                          (*both, "--meta", "A=x"), (*both, "--meta", "source=x"), (*both, "--task", "dance"),
                          (*both, "--meta", "a=1", "--meta", "a=2"), (self.source, self.source)):
            with self.subTest(arguments):
                self.assertEqual(run(*arguments)[0], 2)
                self.assertEqual(os.listdir(self.folder), [self.source.name])
        self.assertEqual(self.source.read_bytes(), small_zip())

    def test_unreadable_input(self):
        cases = [(self.folder / "missing.pth", "No such file"), (self.folder, "not a regular file")]
        if hasattr(os, "mkfifo"):
            os.mkfifo(self.folder / "pipe")
            cases.append((self.folder / "pipe", "not a regular file"))
        for path, phrase in cases:
            for arguments in ((path, self.target), (path, "--inspect")):
                with self.subTest(arguments):
                    code, out, err = run(*arguments)
                    self.assertEqual((code, out), (3, ""))
                    self.assert_sentence(err, phrase)
        self.assertFalse(self.target.exists())

    def test_unwritable_output(self):
        self.source.write_bytes(small_zip())
        (self.folder / "folder").mkdir()
        targets = [self.folder / "missing" / "x.mirw", self.source / "x.mirw", self.folder / "folder"]
        if os.path.exists("/dev/null"):  # must not become a file; a link to it is as good, and safer to lose
            (self.folder / "null").symlink_to("/dev/null")
            targets.append(self.folder / "null")
        there = sorted(os.listdir(self.folder))
        for target in targets:
            with self.subTest(target):
                code, out, err = run(self.source, target)
                self.assertEqual((code, out), (8, ""))
                self.assert_sentence(err, "cannot be written")
                self.assertEqual(sorted(os.listdir(self.folder)), there)
                self.assertEqual(os.listdir(self.folder / "folder"), [])

    def test_a_full_disk_leaves_the_old_file(self):
        self.source.write_bytes(small_zip())
        self.target.write_bytes(b"old")
        for function in ("fsync", "replace"):
            with self.subTest(function), mock.patch.object(os, function, side_effect=OSError(28, "No space left")):
                code, _, err = run(self.source, self.target)
                self.assertEqual(code, 8)
                self.assert_sentence(err, "No space left")
                self.assertEqual(self.target.read_bytes(), b"old")
                self.assertEqual(len(os.listdir(self.folder)), 2)

    @unittest.skipUnless(hasattr(os, "pwrite"), "needs POSIX")
    def test_what_is_on_the_disk_is_compared(self):
        self.source.write_bytes(small_zip())
        with mock.patch.object(os, "fsync", side_effect=lambda file: os.pwrite(file, b"!", 1000)):
            code, _, err = run(self.source, self.target)
        self.assertEqual(code, 8)
        self.assert_sentence(err, "what was read back is not what was written")
        self.assertEqual(os.listdir(self.folder), [self.source.name])

    def test_a_failure_leaves_the_old_file(self):
        self.source.write_bytes(small_zip()[:-1])
        self.target.write_bytes(b"old")
        self.assertEqual(run(self.source, self.target)[0], 4)
        self.assertEqual(self.target.read_bytes(), b"old")

    def test_an_unforeseen_error_is_one_sentence(self):
        self.source.write_bytes(small_zip())
        with mock.patch.object(convert, "read_model", side_effect=ZeroDivisionError("oops")):
            code, _, err = run(self.source, self.target)
        self.assertEqual(code, 1)
        self.assert_sentence(err, "internal error, please report it: ZeroDivisionError: oops")

    def test_as_a_program(self):
        if os.name == "posix":
            self.assertTrue(os.access(SCRIPT, os.X_OK))
        self.source.write_bytes(b"not a checkpoint")
        done = subprocess.run([sys.executable, "-I", SCRIPT, self.source, self.target], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assert_sentence(done.stderr, "neither a PyTorch checkpoint nor a safetensors file")


class Inspect(Case):
    """The check of weight files: nothing but what convert.py writes passes."""

    def setUp(self):
        super().setUp()
        self.convert(small_zip(), "--dtype", "f16", "--meta", "licence=CC0-1.0")
        self.data = self.target.read_bytes()

    def inspect(self, data):
        self.target.write_bytes(data)
        return run(self.target, "--inspect")

    def assert_refused(self, data, phrase=""):
        code, out, err = self.inspect(data)
        self.assertEqual((code, out), (4, ""), err)
        self.assert_sentence(err, phrase)

    def patched(self, offset, layout, *values):
        """The file with a field replaced and the checksum of header, table and strings made right again."""
        data = bytearray(self.data)
        struct.pack_into("<" + layout, data, offset, *values)
        end = number_at(self.data, 88, 8) + number_at(self.data, 124, 4)
        struct.pack_into("<I", data, 32, crc32c(data[:32] + data[36:end]))
        return bytes(data)

    def test_prints_what_is_there(self):
        code, out, err = self.inspect(self.data)
        self.assertEqual((code, err), (0, ""))
        for phrase in ("'licence=CC0-1.0'", hashlib.sha256(self.data).hexdigest(), "f16  3x8x3x3       conv_out.weight",
                       "f32  1             " + FIRST + "body.1.weight"):
            self.assertIn(phrase, out)

    def test_every_byte_matters(self):
        data_off = number_at(self.data, 96, 8)
        for at in [*range(data_off + 64), *range(data_off + 64, len(self.data), 31),
                   *range(len(self.data) - 40, len(self.data))]:
            broken = bytearray(self.data)
            broken[at] ^= 1 << at % 8
            with self.subTest(at):
                self.assert_refused(bytes(broken))

    def test_truncation_and_extension(self):
        for size in [*range(0, 300), *range(300, len(self.data), 97), len(self.data) - 1]:
            with self.subTest(size):
                self.assert_refused(self.data[:size])
        self.assert_refused(self.data + b"\0", "file_size")

    def test_fields_with_a_right_checksum(self):
        self.assertEqual(self.patched(44, "H", 8), self.data)
        for name, (offset, size) in HEADER_FIELDS.items():
            if name in ("crc", "task", "columns"):  # columns share their weights: any number of them fits
                continue
            layout = {2: "H", 4: "I", 8: "Q"}[size]
            value = number_at(self.data, offset, size)
            for other in {0, 1, value + 1, value ^ 1, (1 << 8 * size) - 1} - {value}:
                with self.subTest(name, value=other):
                    self.assert_refused(self.patched(offset, layout, other))
        self.assertEqual(self.inspect(self.patched(38, "H", 1))[0], 0)
        self.assertEqual(self.inspect(self.patched(52, "H", 4))[0], 0)
        self.assert_refused(self.patched(52, "H", 5), "columns is 5")
        self.assert_refused(self.patched(38, "H", 2), "task is 2")
        self.assert_refused(self.patched(10, "H", 2), "version_minor is 2, expected 1")
        self.assert_refused(self.patched(28, "I", 1), "data_len is 432, expected 1728")
        self.assert_refused(self.patched(28, "I", 2), "flags is 2, expected less than 2")
        self.assert_refused(self.patched(10, "H", 3), "unshuffle is 0, expected 1, 2 or 4")
        self.assert_refused(self.patched(10, "H", 4), "unshuffle is 0, expected 1, 2 or 4")
        self.assert_refused(self.patched(10, "H", 5), "format version 0.5, this program reads 0.1, 0.2, 0.3, 0.4")
        self.assert_refused(self.patched(36, "H", 0), "arch is 0, expected 1 (MIRNet)")
        self.assert_refused(self.patched(66, "H", 2), "unshuffle is 2, expected 0")
        self.assert_refused(self.patched(36, "H", 2), "arch is 2, expected 1 (MIRNet)")
        self.assert_refused(self.patched(44, "H", 7), "features is 7")

    def test_entries_with_a_right_checksum(self):
        entry = 128 + 64  # of the second tensor, 8x8x3x3 in f16
        for offset, layout, value, phrase in (
                (0, "I", 1, "name_off is 1, expected 14"), (4, "H", 1, "name_len is 1"), (6, "B", 3, "dtype is 3"),
                (6, "B", 0, "data_len is 1152, expected 2304"), (7, "B", 3, "rank is 3"), (8, "I", 9, "dim0 is 9"),
                (20, "I", 0, "dim3 is 0"), (24, "Q", 1 << 63, "data_off is"), (32, "Q", 1, "data_len is 1"),
                (40, "I", 0, "scale_index is 0"), (44, "I", 0, "wrong checksum"), (63, "B", 1, "reserved byte")):
            with self.subTest(phrase):
                self.assert_refused(self.patched(entry + offset, layout, value), phrase)
        self.assert_refused(self.patched(number_at(self.data, 88, 8), "B", ord("C")), "name")

    def test_values_that_are_not_finite(self):
        at = number_at(self.data, 128 + 64 + 24, 8)
        size = number_at(self.data, 128 + 64 + 32, 8)
        data = bytearray(self.data)
        struct.pack_into("<e", data, at, math.nan)
        self.data = bytes(data)
        self.assert_refused(self.patched(128 + 64 + 44, "I", crc32c(data[at:at + size])), "NaN or infinite")

    def test_packed(self):
        self.convert(small_zip(), "--layout", "packed")
        self.data = self.target.read_bytes()
        self.assertEqual(self.inspect(self.data)[0], 0)
        data_off = number_at(self.data, 96, 8)
        for at in [*range(data_off), *range(data_off, len(self.data), 97)]:
            broken = bytearray(self.data)
            broken[at] ^= 1 << at % 8
            with self.subTest(at):
                self.assert_refused(bytes(broken))
        # conv_in has 8 output channels in lines of 16: the ninth weight of a line is of none.
        at, size = number_at(self.data, 128 + 24, 8), number_at(self.data, 128 + 32, 8)
        self.assertEqual(size, 4 * 16 * 27)
        data = bytearray(self.data)
        struct.pack_into("<f", data, at + 4 * 8, 1.0)
        self.data = bytes(data)
        self.assert_refused(self.patched(128 + 44, "I", crc32c(data[at:at + size])), "does not exist")


class Unshuffle(Case):
    """Networks on cells of pixels, which no shape tells from networks for images of more channels."""

    def configured(self, value, channels=12):
        return small_zip(model_of_channels(channels), wrap=lambda body: with_config(value, body))

    def test_where_it_is_said(self):
        fields = ("version_minor", "in_channels", "pad_multiple", "unshuffle")
        for data, options, expected in (
                (small_zip(model_of_channels(12)), (), (1, 12, 1, 0)),
                (small_zip(model_of_channels(12)), ("--unshuffle", "1"), (1, 12, 1, 0)),
                (small_zip(model_of_channels(12)), ("--unshuffle", "2"), (3, 3, 2, 2)),
                (safetensors_file(*safetensors_parts(model_of_channels(12))), ("--unshuffle", "2"), (3, 3, 2, 2)),
                (small_zip(model_of_channels(16)), ("--unshuffle", "4"), (3, 1, 4, 4)),
                (self.configured(number(1)), (), (1, 12, 1, 0)),
                (self.configured(number(2)), (), (3, 3, 2, 2)),
                (self.configured(number(2)), ("--unshuffle", "2", "--layout", "packed"), (3, 3, 2, 2)),
                (self.configured(number(4), 16), (), (3, 1, 4, 4))):
            with self.subTest(options=options, expected=expected):
                header, tensors, _ = self.convert(data, *options)
                self.assertEqual(tuple(header[field] for field in fields), expected)
                channels = header["in_channels"] * (header["unshuffle"] or 1) ** 2
                self.assertEqual(tensors["conv_in.weight"][1:],
                                 ((8, channels, 3, 3), raw_values(model_of_channels(channels)["conv_in.weight"][1])))
        self.assertIn("unshuffle 4", run(self.target, "--inspect")[1])

    def test_the_same_bytes_however_it_is_said(self):
        _, said, _ = self.convert(small_zip(model_of_channels(12)), "--unshuffle", "2")
        _, configured, _ = self.convert(self.configured(number(2)))
        self.assertEqual(said, configured)

    def test_a_config_that_says_nothing(self):
        for config in (number(7), dictionary([(text("width"), number(8))]), tuple_of()):
            data = small_zip(model_of_channels(12), wrap=lambda body: dictionary(
                [(text("config"), config), (text("state_dict"), body)]))
            self.assertEqual(self.convert(data)[0]["in_channels"], 12)
            self.assertEqual(self.convert(data, "--unshuffle", "2")[0]["in_channels"], 3)

    def test_refusals(self):
        self.refuse(small_zip(), "conv_in.weight has 3 input channels, expected a multiple of 4 for unshuffle 2",
                    "--unshuffle", "2")
        self.refuse(small_zip(model_of_channels(12)), "has 12 input channels, expected a multiple of 16",
                    "--unshuffle", "4")
        self.refuse(self.configured(number(2), 13), "has 13 input channels, expected a multiple of 4")
        self.refuse(self.configured(number(2), 68), "channels is 17, expected 1 to 16")
        self.refuse(self.configured(number(2)), "it says unshuffle 2, --unshuffle says 1", "--unshuffle", "1")
        for value, phrase in ((number(3), "config has unshuffle 3, expected 1, 2 or 4"), (number(0), "unshuffle 0,"),
                              (number(-2), "of type int"), (b"\x88", "of type bool"), (text("2"), "of type str"),
                              (dictionary([(text("a"), number(2))]), "of type dict")):
            self.refuse(self.configured(value), phrase)
        self.source.write_bytes(small_zip(model_of_channels(12)))
        for value in ("3", "0", "two"):
            self.assertEqual(run(self.source, self.target, "--unshuffle", value)[0], 2)

    def test_from_a_weight_file(self):
        header, tensors, _ = self.convert(self.configured(number(2)), "--layout", "packed")
        data = self.target.read_bytes()
        for options in ((), ("--unshuffle", "2"), ("--layout", "packed")):
            again, same, _ = self.convert(data, *options)
            self.assertEqual((again["unshuffle"], same), (2, tensors))
        self.assertEqual(header["unshuffle"], 2)
        self.target.unlink()
        self.refuse(data, "it says unshuffle 2, --unshuffle says 4", "--unshuffle", "4")

    def test_fields_with_a_right_checksum(self):
        self.convert(self.configured(number(2)))
        good = self.target.read_bytes()
        for changes, phrase in ((((66, 0),), "unshuffle is 0, expected 1, 2 or 4"),
                                (((66, 3),), "unshuffle is 3, expected 1, 2 or 4"),
                                (((66, 4),), "dim1 is 12, expected 48"), (((64, 1),), "pad_multiple is 1, expected 2"),
                                (((10, 1),), "dim1 is 12, expected 3"), (((10, 2),), "dim1 is 12, expected 3"),
                                (((66, 1), (40, 12), (42, 12), (64, 1)), "version_minor is 3, expected 1")):
            self.refuse_fields(good, changes, phrase)


class FromWeightFile(Case):
    """Weight files are converted as checkpoints are."""

    def setUp(self):
        super().setUp()
        self.source = self.folder / "small.mirw"

    def convert_small(self, *options):
        checkpoint = self.folder / "small.pth"
        checkpoint.write_bytes(small_zip())
        self.assertEqual(run(checkpoint, self.source, *options)[0], 0)
        checkpoint.unlink()
        return self.source.read_bytes()

    def test_every_layout_and_dtype(self):
        plain = self.convert_small()
        for dtype, layout in (("f32", "checkpoint"), ("f16", "checkpoint"), ("f32", "packed"), ("bf16", "packed")):
            for back in ("f32", "bf16"):
                with self.subTest(dtype=dtype, layout=layout, back=back):
                    data = self.convert_small("--dtype", dtype, "--layout", layout)
                    header, tensors, _ = self.convert(data, "--dtype", back)  # every value fits every dtype
                    self.assertEqual(header["flags"], 0)
                    self.assert_small(tensors, back)
        self.assertEqual(self.convert(plain)[1], read_mirw(plain)[1])

    def test_what_it_says_is_kept(self):
        data = self.convert_small("--task", "denoise", "--meta", "licence=CC0-1.0", "--meta", "note=a")
        header, _, meta = self.convert(data, "--layout", "packed", "--meta", "note=b")
        self.assertEqual(header["task"], 1)
        self.assertEqual(meta, {"source": "small.mirw", "source_sha256": hashlib.sha256(data).hexdigest(),
                                "note": "b", "licence": "CC0-1.0"})
        self.assertEqual(self.convert(data, "--task", "unspecified")[0]["task"], 0)

    def test_damage(self):
        data = self.convert_small()
        for broken in (data[:-1], data[:200], data[:8], data[:1000] + b"!" + data[1001:]):
            with self.subTest(len(broken)):
                self.refuse(broken, "")


class OwnNetworks(Case):
    """--network generic."""

    def own(self, data, *options, transposed=()):
        return self.convert(data, "--network", "generic", *options, transposed=transposed)

    def refuse_own(self, model, phrase, *options, code=4):
        self.refuse(own_zip(model), phrase, "--network", "generic", *options, code=code)

    def assert_own(self, tensors, dtype="f32", model=None):
        model = own_model() if model is None else model
        self.assertEqual({name: shape for name, (_, shape, _) in tensors.items()},
                         {name: shape or (1,) for name, (shape, _) in model.items()})
        self.assertEqual(list(tensors), list(model))
        for name, (stored, shape, raw) in tensors.items():
            expected = "f32" if shape == (1,) and not name.endswith("bias") else dtype
            self.assertEqual((stored, raw), (expected, raw_values(model[name][1], expected)), name)

    def test_tensors_that_are_left_out(self):
        model = own_model()
        self.refuse_own(model, "it has no tensor 'delta', which --drop names", "--drop", "delta")
        tensors = self.own(own_zip(model), "--drop", "alpha", "beta")[1]
        self.assertEqual(list(tensors), [name for name in model if name not in ("alpha", "beta")])

    def test_every_kind_of_checkpoint(self):
        model = own_model()
        for title, data in {
                "zip": own_zip(model), "legacy": own_zip(model, legacy=True), "safetensors": own_safetensors(model),
                "module": own_zip(model, prefix="module."), "f64": own_zip(model, dtype="f64"),
                "bf16": own_safetensors(model, "bf16"), "f16": own_zip(model, legacy=True, dtype="f16"),
                **{key: own_zip(model, lambda body, key=key: dictionary([(text("n"), number(1)), (text(key), body)]))
                   for key in ("params_ema", "params", "state_dict")}}.items():
            with self.subTest(title):
                header, tensors, meta = self.own(data)
                self.assert_own(tensors)
                self.assertEqual([header[name] for name in ("version_minor", "arch", "task", "in_channels",
                                                            "out_channels", *NUMBERS)], [4] + [0] * 16)
                self.assertEqual(meta, {"source": "model.pth", "source_sha256": hashlib.sha256(data).hexdigest()})

    def test_what_the_header_says(self):
        header, _, _ = self.own(own_zip(own_model()), "--numbers", "17,64,0,65535", "--channels", "3,1", "--task",
                                "upscale")
        self.assertEqual([header[name] for name in ("task", "in_channels", "out_channels", *NUMBERS)],
                         [3, 3, 1, 17, 64, 0, 65535] + [0] * 8)
        self.assertIn("channels 3 to 1, numbers 17, 64, 0, 65535", self.said)
        twelve = list(range(1, 13))
        header, _, _ = self.own(own_zip(own_model()), "--numbers", ",".join(map(str, twelve)), "--channels", "0,6")
        self.assertEqual([header[name] for name in ("in_channels", "out_channels", *NUMBERS)], [0, 6, *twelve])
        self.assertIn("channels ? to 6", self.said)
        for task in range(6):
            name = ("unspecified", "denoise", "brighten", "upscale", "deblur", "defocus")[task]
            self.assertEqual(self.own(own_zip(own_model()), "--task", name)[0]["task"], task)
            self.assertIn(f"task        {name}\n", self.said)

    def test_dtypes_and_layouts(self):
        for dtype, layout in (("f32", "checkpoint"), ("f16", "checkpoint"), ("bf16", "checkpoint"), ("f32", "packed"),
                              ("bf16", "packed")):
            with self.subTest(dtype=dtype, layout=layout):
                header, tensors, meta = self.own(own_zip(own_model()), "--dtype", dtype, "--layout", layout,
                                                 *OWN_TRANSPOSED, transposed=("up.weight",))
                self.assert_own(tensors, dtype)
                self.assertEqual(header["flags"], layout == "packed")
                self.assertEqual(meta["transposed"], "up.weight")
                self.assertEqual(run(self.target, "--inspect")[0], 0)

    def test_a_bias_begins_where_the_packed_weights_of_its_convolution_end(self):
        for dtype in ("f32", "bf16"):
            self.own(own_zip(own_model()), "--dtype", dtype, "--layout", "packed", *OWN_TRANSPOSED,
                     transposed=("up.weight",))
            data = self.target.read_bytes()
            places = [struct.unpack_from("<QQ", data, 128 + 64 * i + 24) for i in range(len(own_model()))]
            for weight in (2, 5, 13):
                self.assertEqual(places[weight + 1][0], sum(places[weight]))

    def test_a_bias_is_behind_its_weight_whatever_the_order_was(self):
        model = own_model()
        shuffled = sorted(model)  # as safetensors files often have them
        self.assertLess(shuffled.index("last.bias"), shuffled.index("last.weight"))
        _, tensors, _ = self.own(own_safetensors({name: model[name] for name in shuffled}))
        self.assertEqual(list(tensors), ["SA.spatial.conv.weight", "alpha", "beta", "body.act.weight",
                                         "body.conv.weight", "body.conv.bias", "gamma", "head.0.weight",
                                         "head.1.weight", "last.weight", "last.bias", "line.weight", "up.weight",
                                         "up.bias", "wave.weight"])
        self.assert_own({name: tensors[name] for name in model})

    def test_from_a_weight_file(self):
        options = ("--numbers", "1,2,3", "--channels", "3,6", "--task", "deblur", *OWN_TRANSPOSED)
        self.own(own_zip(own_model()), *options, "--dtype", "bf16", "--layout", "packed", transposed=("up.weight",))
        data = self.target.read_bytes()
        for again in (("--dtype", "f16"), ("--layout", "packed"), ("--network", "generic"), OWN_TRANSPOSED):
            with self.subTest(again):
                header, tensors, meta = self.convert(data, *again, transposed=("up.weight",))
                self.assert_own(tensors, "f16" if "f16" in again else "f32")
                self.assertEqual([header[name] for name in ("task", "in_channels", "out_channels", *NUMBERS)],
                                 [4, 3, 6, 1, 2, 3] + [0] * 9)
                self.assertEqual(meta["transposed"], "up.weight")
        header, _, _ = self.convert(data, "--numbers", "9", "--channels", "1,1", "--task", "denoise")
        self.assertEqual([header[name] for name in ("task", "in_channels", "out_channels", *NUMBERS)],
                         [1, 1, 1, 9] + [0] * 11)
        self.target.unlink()
        self.refuse(data, "it is a weight file of another network, --network says mirnet", "--network", "mirnet")
        self.refuse(data, "it says transposed 'up.weight', --transposed says 'last.weight'", "--transposed",
                    "last.weight")
        self.refuse(data, "--unshuffle is for MIRNet alone", "--unshuffle", "1", code=2)
        self.refuse(data, "--epsilon is for checkpoints", "--epsilon", "1", code=2)
        self.convert(small_zip())
        mirnet = self.target.read_bytes()
        self.target.unlink()
        self.refuse(mirnet, "it is a weight file of MIRNet, --network says generic", "--network", "generic")
        self.refuse(mirnet, "--numbers is for --network generic alone", "--numbers", "1", code=2)

    def test_transposed_convolutions_can_be_named_later(self):
        self.own(own_zip(own_model()))
        data = self.target.read_bytes()
        self.convert(data, *OWN_TRANSPOSED, "--layout", "packed", transposed=("up.weight",))
        packed = self.target.read_bytes()
        # A packed file whose metadata does not name the transposed convolution.
        meta = packed.index(b"transposed=up.weight\n")
        silent = bytearray(packed[:meta] + packed[meta + 21:])
        struct.pack_into("<Q", silent, 16, len(silent))
        struct.pack_into("<I", silent, 120, len(silent) - number_at(silent, 112, 8))
        struct.pack_into("<I", silent, 68, crc32c(silent[number_at(silent, 112, 8):]))
        end = number_at(silent, 88, 8) + number_at(silent, 124, 4)
        struct.pack_into("<I", silent, 32, crc32c(silent[:32] + silent[36:end]))
        self.target.unlink()
        self.refuse(bytes(silent), "up.weight: data_len is 11520, expected 6912")
        self.assertEqual(run(self.source, "--inspect", *OWN_TRANSPOSED)[0], 0)
        self.assert_own(self.convert(bytes(silent), *OWN_TRANSPOSED)[1])

    def test_names_and_shapes(self):
        for name in ("a b", "a/b", "a-b", "x" * 121, "", "\x1b[31m", "\u00e9", "a\n"):
            with self.subTest(name):
                self.refuse_own({**own_model(), name: ((1,), [1.0])}, "is not one of a weight file")
        self.own(own_zip({**own_model(), "x" * 120: ((1,), [1.0])}))
        self.target.unlink()
        self.refuse_own({"a": ((1, 1, 1, 1, 1), [1.0])}, "a has 5 dimensions, expected 1 to 4")
        self.refuse_own({"a": ((2, 0), [])}, "the shape of a is 2x0, expected dimensions of 1 to 4294967295")
        self.refuse_own({"a": ((0,), [])}, "the shape of a is 0, expected dimensions of 1 to 4294967295")
        self.refuse_own({"b.num_batches_tracked": ((), [7])}, "the checkpoint holds no parameters")
        for shape in ((), (1,), (2, 1)):
            model = {"a": ((1,), [1.0]), "num_batches_tracked": (shape, [3] * math.prod(shape))}
            self.assertEqual(list(self.own(own_zip(model))[1]), ["a"])
            self.target.unlink()
        body = dictionary([(text("index"), tensor(storage("0", 1, "LongStorage"), ()))])
        self.refuse(zip_checkpoint(body, {"0": bytes(8)}), "index is i64, expected floating-point numbers", "--network",
                    "generic")
        self.refuse(own_zip({**own_model(), "module.gamma": ((1,), [1.0])}), "with and without the prefix", "--network",
                    "generic")
        self.refuse(zip_checkpoint(b"}", {}), "holds no tensors", "--network", "generic")
        self.refuse(b"#!/bin/sh", "neither a PyTorch checkpoint", "--network", "generic")

    def test_views_of_one_storage(self):
        def views(count):
            body = dictionary([(text(f"a{i}"), tensor(storage("0", 1000), (1000,))) for i in range(count)])
            return zip_checkpoint(body, {"0": raw_values([0.5] * 1000)})

        _, tensors, _ = self.own(views(20))
        self.assertEqual([raw for _, _, raw in tensors.values()], [raw_values([0.5] * 1000)] * 20)
        self.target.unlink()
        with mock.patch.object(convert, "MAX_SHARED", 4):
            self.refuse(views(20), "its tensors have 80000 bytes, more than 4 times those of the checkpoint",
                        "--network", "generic")

    def test_values(self):
        for value, options, phrase in ((math.nan, (), "gamma has a value that is NaN or infinite"),
                                       (-math.inf, (), "gamma has a value that is NaN or infinite"),
                                       (65520.0, ("--dtype", "f16"), "gamma has a value too large for f16"),
                                       (3.4e38, ("--dtype", "bf16"), "gamma has a value too large for bf16")):
            with self.subTest(value):
                self.refuse_own({**own_model(), "gamma": ((2,), [1.0, value])}, phrase, *options)
        self.refuse(own_zip({"gamma": ((1,), [1e39])}, dtype="f64"), "gamma has a value too large for f32", "--network",
                    "generic")

    def test_transposed(self):
        for name in ("missing.weight", "gamma", "head.1.weight", "beta", "up.bias", "line.weight"):
            self.refuse_own(own_model(), f"'{name}' is said to be a transposed convolution", "--transposed", name)
        model = {**own_model(), "up.weight": ((20, 6, 2, 2), [0.5] * 480)}
        self.refuse_own(model, "up.weight is 20x6x2x2, and packed transposed convolutions have kernels of 3x3",
                        *OWN_TRANSPOSED, "--layout", "packed")
        self.own(own_zip(model), *OWN_TRANSPOSED)
        self.target.unlink()
        self.refuse_own(own_model(), "--meta transposed is given twice, or set", "--meta", "transposed=x", code=2)

    def test_wrong_usage(self):
        self.source.write_bytes(own_zip(own_model()))
        for options in (("--numbers", "65536"), ("--numbers", "-1"), ("--numbers", ""), ("--numbers", "1,,2"),
                        ("--numbers", ",".join("1" * 13)), ("--numbers", "1.5"), ("--channels", "3"),
                        ("--channels", "3,3,3"), ("--channels", "a,b"), ("--epsilon", "0"), ("--epsilon", "-1"),
                        ("--epsilon", "nan"), ("--epsilon", "inf"), ("--epsilon", "x"), ("--unshuffle", "2"),
                        ("--transposed",), ("--task", "dance")):
            with self.subTest(options):
                code, out, err = run(self.source, self.target, "--network", "generic", *options)
                self.assertEqual((code, out), (2, ""))
        for options in (("--numbers", "1"), ("--channels", "3,3"), ("--epsilon", "1"), OWN_TRANSPOSED):
            with self.subTest(options):
                code, _, err = run(self.source, self.target, *options)
                self.assertEqual(code, 2)
                self.assert_sentence(err, f"{options[0]} is for --network generic alone")
        self.assertEqual(run(self.source, self.target, "--network", "other")[0], 2)
        self.assertEqual(os.listdir(self.folder), [self.source.name])
        self.refuse(own_zip(own_model()), "--network generic converts any")


class BatchNorms(Case):
    """Batch normalizations under --network generic."""

    def fold(self, model, *options, data=None):
        _, tensors, _ = self.convert(own_zip(model) if data is None else data, "--network", "generic", *options)
        return {name: (shape, struct.unpack(f"<{math.prod(shape)}f", raw))
                for name, (_, shape, raw) in tensors.items()}

    def refuse_norm(self, model, *phrases, options=()):
        for phrase in phrases:
            self.refuse(own_zip(model), phrase, "--network", "generic", *options)

    def conv(self, name, shape, bias=None, seed=3):
        source = random.Random(seed)
        model = {f"{name}.weight": (shape, [as_f32(source.uniform(-1, 1)) for _ in range(math.prod(shape))])}
        if bias is not None:
            model[f"{name}.bias"] = ((bias,), [as_f32(source.uniform(-1, 1)) for _ in range(bias)])
        return model

    def assert_folded(self, found, model, conv, norm, outputs, axis=0, epsilon=1e-5):
        """Against the definition: y = (conv(x) + b - mean) / sqrt(var + eps) * g + beta, for each output channel."""
        shape, weights = model[f"{conv}.weight"]
        part = {name: model.get(f"{norm}.{name}", ((), None))[1] for name in ("weight", "bias", "running_mean",
                                                                             "running_var")}
        bias = model.get(f"{conv}.bias", ((), [0.0] * outputs))[1]
        self.assertEqual(found[f"{conv}.weight"][0], shape)
        for index, value in zip(itertools.product(*map(range, shape)), range(math.prod(shape))):
            o = index[axis]
            gain = (part["weight"][o] if part["weight"] else 1.0) / (part["running_var"][o] + epsilon) ** 0.5
            self.assertTrue(math.isclose(found[f"{conv}.weight"][1][value], weights[value] * gain, rel_tol=1e-7))
        self.assertEqual(found[f"{conv}.bias"][0], (outputs,))
        for o in range(outputs):
            gain = (part["weight"][o] if part["weight"] else 1.0) / (part["running_var"][o] + epsilon) ** 0.5
            expected = (bias[o] - part["running_mean"][o]) * gain + (part["bias"][o] if part["bias"] else 0.0)
            self.assertTrue(math.isclose(found[f"{conv}.bias"][1][o], expected, rel_tol=2e-7, abs_tol=1e-9))

    def test_with_and_without_a_bias(self):
        model = {**self.conv("a", (5, 2, 3, 3)), **batch_norm("b", 5), "act.weight": ((5,), [0.5] * 5),
                 **self.conv("c", (4, 5, 1, 1), 4), **batch_norm("d", 4, 9)}
        for data in (own_zip(model), own_zip(model, legacy=True), own_safetensors(model)):
            found = self.fold(model, data=data)
            self.assertEqual(list(found), ["a.weight", "a.bias", "act.weight", "c.weight", "c.bias"])
            self.assert_folded(found, model, "a", "b", 5)
            self.assert_folded(found, model, "c", "d", 4)
            self.assertEqual(found["act.weight"], ((5,), (0.5,) * 5))
            self.assertIn("folded      b into a, which has a bias now\nfolded      d into c\n", self.said)

    def test_of_every_source_and_target(self):
        model = {**self.conv("a", (5, 2, 3, 3)), **batch_norm("b", 5)}
        half = {name: (shape, [round(value * 256) / 256 for value in values] if shape else values)
                for name, (shape, values) in model.items()}
        self.assert_folded(self.fold(half, data=own_zip(half, dtype="f16")), half, "a", "b", 5)
        self.assert_folded(self.fold(model, data=own_zip(model, dtype="f64")), model, "a", "b", 5)
        _, narrow, _ = self.convert(own_zip(model), "--network", "generic", "--dtype", "bf16", "--layout", "packed")
        _, wide, _ = self.convert(own_zip(model), "--network", "generic")
        for name in wide:
            values = struct.unpack(f"<{math.prod(wide[name][1])}f", wide[name][2])
            self.assertEqual((narrow[name][0], narrow[name][2]), ("bf16", b"".join(
                nearest_bf16(value) for value in values)))

    def test_doubles_are_not_rounded_before(self):
        model = {"a.weight": ((1, 1, 1, 1), [1.0 + 2.0 ** -40]), "b.running_mean": ((1,), [0.0]),
                 "b.running_var": ((1,), [2.0 ** -60])}
        found = self.fold(model, "--epsilon", repr(2.0 ** -60), data=own_zip(model, dtype="f64"))
        self.assertEqual(found["a.weight"][1][0], as_f32((1.0 + 2.0 ** -40) / math.sqrt(2.0 ** -59)))

    def test_without_affine_and_with_another_epsilon(self):
        model = {**self.conv("a", (3, 2, 3, 3)), **batch_norm("b", 3, parts=("running_mean", "running_var"))}
        self.assert_folded(self.fold(model), model, "a", "b", 3)
        self.assert_folded(self.fold(model, "--epsilon", "0.5"), model, "a", "b", 3, epsilon=0.5)

    def test_grouped_and_transposed_convolutions(self):
        model = {**self.conv("a", (6, 1, 3, 3)), **batch_norm("b", 6)}
        self.assert_folded(self.fold(model), model, "a", "b", 6)
        for shape in ((4, 6, 3, 3), (6, 6, 2, 2)):
            model = {**self.conv("a", shape), **batch_norm("b", 6)}
            self.assert_folded(self.fold(model, "--transposed", "a.weight"), model, "a", "b", 6, axis=1)
        self.target.unlink()
        model = {**self.conv("a", (4, 6, 3, 3)), **batch_norm("b", 6)}
        self.refuse_norm(model, "the batch normalization 'b' cannot be folded: a.weight lies before it, expected a "
                                "convolution of 6 output channels")

    def test_nested_names(self):
        model = {**self.conv("module.net.0.0", (3, 2, 1, 1)), **batch_norm("module.net.0.1", 3)}
        found = self.fold(model)
        self.assertEqual(list(found), ["net.0.0.weight", "net.0.0.bias"])
        self.assertIn("folded      net.0.1 into net.0.0, which has a bias now\n", self.said)

    def test_refusals(self):
        conv = self.conv("a", (5, 2, 3, 3))
        self.refuse_norm({**batch_norm("b", 5), **conv}, "the batch normalization 'b' cannot be folded: nothing lies "
                                                         "before it, expected a convolution of 5 output channels")
        self.refuse_norm({**conv, **batch_norm("b", 4)}, "'b' cannot be folded: a.weight lies before it", "of 4 output")
        self.refuse_norm({**conv, "p.weight": ((1,), [0.5]), **batch_norm("b", 5)}, "p.weight lies before it")
        self.refuse_norm({**conv, **batch_norm("b", 5), **batch_norm("c", 5)},
                         "'c' cannot be folded: b.running_var lies")
        self.refuse_norm({"a.kernel": ((5, 2, 3, 3), [0.5] * 90), **batch_norm("b", 5)}, "a.kernel lies before it")
        self.refuse_norm({"a.weight": ((5, 2), [0.5] * 10), **batch_norm("b", 5)}, "a.weight lies before it")
        self.refuse_norm({**conv, "a.bias": ((1,), [0.5]), **batch_norm("b", 5)}, "a.bias lies before it")
        whole = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        for missing, phrase in (("running_mean", "has no running_mean"), ("running_var", "has no running_var"),
                                ("weight", "has no weight"), ("bias", "has no bias")):
            parts = [part for part in whole if part != missing]
            self.refuse_norm({**conv, **batch_norm("b", 5, parts=parts)}, f"the batch normalization 'b' {phrase}")
        self.refuse_norm({**conv, **batch_norm("b", 5, parts=("weight", "bias", "num_batches_tracked"))},
                         "'b' has no running_mean")
        self.refuse_norm({**conv, **batch_norm("b", 5), "b.weight": ((4,), [1.0] * 4)},
                         "'b' has a weight of shape 4, expected 5 as of running_var")
        self.refuse_norm({**conv, **batch_norm("b", 5), "b.running_var": ((5,), [1.0] * 4 + [-0.5])},
                         "'b' has a variance below 0 (-0.5)")
        for name in ("b.running_mean", "b.weight", "a.weight"):
            shape = {**conv, **batch_norm("b", 5)}[name][0]
            self.refuse_norm({**conv, **batch_norm("b", 5), name: (shape, [math.nan] * math.prod(shape))},
                             f"{name} has a value that is NaN or infinite")
        self.refuse_norm({**conv, **batch_norm("b", 5), "b.weight": ((5,), [3e38] * 5),
                          "b.running_var": ((5,), [1e-30] * 5)}, "a.weight has a value too large for f32")

    def test_a_layer_normalization_stays(self):
        model = {**self.conv("a", (5, 2, 3, 3)), **batch_norm("n", 5, parts=("weight", "bias"))}
        model["n.scale"] = ((5,), [0.5] * 5)
        found = self.fold({**model, **self.conv("b", (3, 5, 1, 1)), **batch_norm("c", 3), "c.more": ((2,), [1.5, 2.5])})
        self.assertEqual(found.pop("c.more"), ((2,), (1.5, 2.5)))
        self.assertEqual([found.pop(f"b.{name}")[0] for name in ("weight", "bias")], [(3, 5, 1, 1), (3,)])
        self.assertEqual({name: (shape, list(values)) for name, (shape, values) in found.items()}, model)


class InspectOwn(Inspect):
    """The same for a file of a network of your own, which is checked as far as its table allows."""

    def setUp(self):
        Case.setUp(self)
        self.convert(own_zip(own_model()), "--network", "generic", "--layout", "packed", "--numbers", "17,64",
                     "--channels", "3,6", "--meta", "licence=CC0-1.0", *OWN_TRANSPOSED, transposed=("up.weight",))
        self.data = self.target.read_bytes()

    def test_prints_what_is_there(self):
        code, out, err = self.inspect(self.data)
        self.assertEqual((code, err), (0, ""))
        for phrase in ("'licence=CC0-1.0'", "'transposed=up.weight'", "not the library's own: channels 3 to 6, numbers "
                       "17, 64\n", "number 1            64\n", "number 11           0\n", "f32  20x5x3x2      body."):
            self.assertIn(phrase, out)

    def test_fields_with_a_right_checksum(self):
        free = ("crc", "task", "in_channels", "out_channels", *NUMBERS)
        for name, (offset, size) in HEADER_FIELDS.items():
            layout = {2: "H", 4: "I", 8: "Q"}[size]
            value = number_at(self.data, offset, size)
            for other in {0, 1, value + 1, value ^ 1, (1 << 8 * size) - 1} - {value}:
                with self.subTest(name, value=other):
                    if name not in free:
                        self.assert_refused(self.patched(offset, layout, other))
                    elif name not in ("crc", "task"):
                        self.assertEqual(self.inspect(self.patched(offset, layout, other))[0], 0)
        for task in range(6):
            self.assertEqual(self.inspect(self.patched(38, "H", task))[0], 0)
        self.assert_refused(self.patched(38, "H", 6), "task is 6, expected less than 6")
        self.assert_refused(self.patched(10, "H", 3), "arch is 0, expected 1 (MIRNet)")
        self.assert_refused(self.patched(36, "H", 2), "features is 17, expected a multiple of 16 from 16 to 512")
        self.assert_refused(self.patched(36, "H", 3),
                            "arch is 3, expected 1 (MIRNet), 2 (MIRNet-v2) or 0 (another network)")
        self.assert_refused(self.patched(72, "I", 0), "tensor_count is 0, expected 1 or more")
        self.assert_refused(self.patched(72, "I", 1 << 31), "cut off")
        self.assert_refused(self.patched(124, "I", (1 << 32) - 1), "cut off")

    def test_entries_with_a_right_checksum(self):
        entry = 128 + 64  # of the second tensor, head.1.weight: 20
        for offset, layout, value, phrase in (
                (0, "I", 1, "tensor 1: name_off is 1, expected 13"), (4, "H", 0, "tensor 1 has the name ''"),
                (4, "H", 1, "tensor 2: name_off is 26, expected 14"),
                (4, "H", 65535, "tensor 1 has the name"), (6, "B", 3, "dtype is 3"),
                (6, "B", 2, "data_len is 128, expected 64"), (7, "B", 0, "rank is 0"), (7, "B", 5, "rank is 5"),
                (7, "B", 2, "data_len is 128, expected 80"), (8, "I", 0, "is 0, expected 1 value or more"),
                (8, "I", (1 << 32) - 1, "no more than fit in the file"), (12, "I", 2, "dim1 is 2, expected 1"),
                (24, "Q", 1 << 63, "data_off is"), (32, "Q", 1, "data_len is 1"), (40, "I", 0, "scale_index is 0"),
                (44, "I", 0, "wrong checksum"), (63, "B", 1, "reserved byte")):
            with self.subTest(phrase):
                self.assert_refused(self.patched(entry + offset, layout, value), phrase)
        names = number_at(self.data, 88, 8)
        self.assert_refused(self.patched(names, "B", ord("/")), "tensor 0 has the name '/ead.0.weight'")
        self.assert_refused(self.patched(names, "26s", b"head.0.weight" * 2), "tensor 1 has the name 'head.0.weight'")
        huge = bytearray(self.data)  # more bytes than 64 bits count
        struct.pack_into("<B4I", huge, entry + 7, 4, *[(1 << 32) - 1] * 4)
        self.data = bytes(huge)
        self.assert_refused(self.patched(entry, "I", 13), "no more than fit in the file")

    def test_values_that_are_not_finite(self):
        at, size = number_at(self.data, 128 + 24, 8), number_at(self.data, 128 + 32, 8)
        data = bytearray(self.data)
        struct.pack_into("<f", data, at, math.inf)
        self.data = bytes(data)
        self.assert_refused(self.patched(128 + 44, "I", crc32c(data[at:at + size])), "NaN or infinite")

    def test_packed(self):
        # The zeros after the values of a vector, and after a convolution's 20 channels: lines of 16 have room for 32.
        for tensor, place, phrase in ((1, 20, "head.1.weight has a weight of a channel that does not exist"),
                                      (3, 31, "body.conv.bias has a weight of a channel"),
                                      (5, 6, "up.weight has a weight of a channel"),
                                      (0, 16 * 27 + 4, "does not exist; if it is a transposed convolution")):
            entry = 128 + 64 * tensor
            at, size = number_at(self.data, entry + 24, 8), number_at(self.data, entry + 32, 8)
            data, good = bytearray(self.data), self.data
            self.assertEqual(bytes(data[at + 4 * place:at + 4 * place + 4]), bytes(4))
            struct.pack_into("<f", data, at + 4 * place, 1.0)
            self.data = bytes(data)
            self.assert_refused(self.patched(entry + 44, "I", crc32c(data[at:at + size])), phrase)
            self.data = good

    def test_metadata_is_no_place_to_lie_in(self):
        meta = number_at(self.data, 112, 8)
        for old, new, phrase in ((b"up.weight", b"up.biased", "'up.biased' is said to be a transposed convolution"),
                                 (b"up.weight", b"gamma,,,,", "'' is said to be a transposed"),
                                 (b"transposed", b"transposes", "up.weight: data_len is 11520, expected 6912")):
            data, good = bytearray(self.data), self.data
            at = data.index(old, meta)
            data[at:at + len(old)] = new
            self.assert_refused(bytes(data), "wrong checksum of the metadata")
            self.data = bytes(data)
            self.assert_refused(self.patched(68, "I", crc32c(data[meta:])), phrase)
            self.data = good


class MirnetV2(Case):
    """MIRNet-v2, in both of its forms: the image is added to the output, or not, which is --task defocus."""

    FIELDS = ("version_minor", "arch", "task", "in_channels", "out_channels", *NUMBERS)

    def fields(self, header):
        return tuple(header[name] for name in self.FIELDS)

    def assert_model(self, tensors, model, dtype="f32"):
        self.assertEqual(list(tensors), list(model))
        for name, (shape, values) in model.items():
            self.assertEqual(tensors[name], (dtype, shape, raw_values(values, dtype)), name)

    def test_what_is_inferred(self):
        for options, said, expected in (
                ({}, (), (4, 2, 0, 3, 3, 16, 4, 1, 3, 2, 8, 3, 2, 0, 1, 4, 1)),
                ({"bias": True}, ("--task", "denoise"), (4, 2, 1, 3, 3, 16, 4, 1, 3, 2, 8, 3, 2, 1, 1, 4, 1)),
                ({"blocks": 2}, ("--network", "mirnet"), (4, 2, 0, 3, 3, 16, 4, 2, 3, 2, 8, 3, 2, 0, 1, 4, 1)),
                ({"features": 48, "bias": True}, ("--unshuffle", "1"),
                 (4, 2, 0, 3, 3, 48, 4, 1, 3, 2, 8, 3, 2, 1, 1, 4, 1)),
                ({}, ("--task", "defocus"), (4, 2, 5, 3, 3, 16, 4, 1, 3, 2, 8, 3, 2, 0, 1, 4, 1)),
                ({"channels": 6}, (), (4, 2, 5, 6, 3, 16, 4, 1, 3, 2, 8, 3, 2, 0, 1, 4, 1)),
                ({"channels": 6}, ("--task", "defocus"), (4, 2, 5, 6, 3, 16, 4, 1, 3, 2, 8, 3, 2, 0, 1, 4, 1))):
            with self.subTest(options, said=said):
                model = v2_model(**options)
                header, tensors, _ = self.convert(own_zip(model), *said)
                self.assertEqual(self.fields(header), expected)
                self.assert_model(tensors, model)
                self.assertIn(f"MIRNet-v2: channels {expected[3]}, features {expected[5]}, blocks {expected[7]}, bias "
                              f"{expected[13]}\n", self.said)
                self.assertIn("the image is not added" if expected[2] == 5 else "the image is added", self.said)
                self.assertEqual("--task defocus leaves it out" in self.said, expected[2] == 0)

    def test_the_task_that_was_given_is_not_proposed(self):
        hint, added = "--task defocus leaves it out", "note        the image is added to the network's output"
        self.convert(own_zip(v2_model()))
        for options, is_hinted in (((), True), (("--task", "unspecified"), False), (("--task", "deblur"), False),
                                   ((), False)):  # a weight file of deblur says so
            with self.subTest(options):
                self.convert(self.target.read_bytes(), *options)
                self.assertIn(added if is_hinted else added + "\n", self.said)
                self.assertEqual(hint in self.said, is_hinted)
        self.convert(self.target.read_bytes(), "--task", "defocus")
        self.assertIn("note        the network's output is the result: the image is not added to it\n", self.said)

    def test_every_kind_of_checkpoint(self):
        model = v2_model(bias=True)
        for title, data in {
                "legacy": own_zip(model, legacy=True), "f64": own_zip(model, dtype="f64"),
                "bf16": own_safetensors(model, "bf16"), "module": own_zip(model, prefix="module."),
                "another order": own_safetensors(dict(sorted(model.items()))),
                "params": own_zip(model, lambda body: dictionary([(text("params"), body)]))}.items():
            with self.subTest(title):
                self.assert_model(self.convert(data)[1], model)

    def test_every_layout_and_dtype_and_back(self):
        model = v2_model(bias=True, channels=6)
        for dtype, layout in (("f16", "checkpoint"), ("bf16", "checkpoint"), ("f32", "packed"), ("bf16", "packed")):
            with self.subTest(dtype=dtype, layout=layout):
                self.source = self.folder / "model.pth"
                header, tensors, _ = self.convert(own_zip(model), "--dtype", dtype, "--layout", layout)
                self.assertEqual(header["flags"], layout == "packed")
                self.assert_model(tensors, model, dtype)
                packed = self.target.read_bytes()
                self.source = self.folder / "again.mirw"
                again, tensors, _ = self.convert(packed)
                self.assertEqual(self.fields(again), self.fields(header))
                self.assert_model(tensors, model)
                self.assertIn("arch                2\n", run(self.target, "--inspect")[1])

    def test_a_bias_begins_where_the_packed_weights_of_its_convolution_end(self):
        self.convert(own_zip(v2_model(bias=True)), "--layout", "packed")
        data, names = self.target.read_bytes(), [name for name, _ in v2_shapes(bias=True)]
        places = {name: struct.unpack_from("<QQ", data, 128 + 64 * i + 24) for i, name in enumerate(names)}
        # The weights of a mask are as they were; its bias, a single number that is no slope, has a line of its own.
        mask = "body.0.body.0.dau_mid.gcnet.conv_mask."
        self.assertEqual([places[mask + last][1] for last in ("weight", "bias")], [24 * 4, 64])
        for name in names:
            if name.endswith(".bias"):
                end = sum(places[name.replace(".bias", ".weight")])
                self.assertEqual(places[name][0], -(-end // 64) * 64)
                self.assertEqual(end % 64, 32 if "dau_mid.gcnet.conv_mask" in name else
                                 16 if "dau_bot.gcnet.conv_mask" in name else 0)

    def test_a_weight_file_keeps_what_it_says(self):
        for options, task, said, expected in (
                ({}, "defocus", (), 5), ({}, "denoise", (), 1), ({}, "defocus", ("--task", "deblur"), 4),
                ({"channels": 6}, "defocus", (), 5)):
            self.convert(own_zip(v2_model(**options)), "--task", task)
            self.assertEqual(self.convert(self.target.read_bytes(), *said)[0]["task"], expected)
        data = self.target.read_bytes()
        self.target.unlink()
        self.refuse(data, "the task is upscale, expected defocus: conv_in.weight has 6", "--task", "upscale")
        self.refuse(data, "it is a weight file of MIRNet-v2, --network says generic", "--network", "generic")
        self.refuse(data, "it says unshuffle 1, --unshuffle says 2", "--unshuffle", "2")
        self.refuse(data, "--numbers is for --network generic alone", "--numbers", "1", code=2)

    def test_what_the_network_cannot_be(self):
        unit = "body.1.body.0.dau_top.body.0.weight"
        good, biased, both_views = v2_model(), v2_model(bias=True), v2_model(channels=6)

        def without(model, *parts):
            return {name: value for name, value in model.items() if not any(part in name for part in parts)}

        def renamed(model, old, new):
            return {name.replace(old, new): value for name, value in model.items()}

        def shaped(name, *shape):
            return {**good, name: (shape, [0.5] * math.prod(shape))}

        parts = ("dau_", "skff_", "down2", "down4", "up21_", "up32_")  # each tells that it is MIRNet-v2
        cases = [
            (without(good, "conv_in"), "'conv_in.weight' is missing"),
            (without(good, "body.0.body.0."), "'body.0.body.0.dau_top.body.0.weight' is missing (and 28 more)"),
            (without(good, "dau_"), "'body.0.body.0.dau_top.body.0.weight' is missing (and 59 more)"),
            (renamed(good, "dau_", "rcb_"), "'body.0.body.0.dau_top.body.0.weight' is missing (and 59 more)"),
            (renamed(biased, "dau_", "rcb_"), "'body.0.body.0.dau_top.body.0.weight' is missing (and 119 more)"),
            *((without(good, *(part for part in parts if part != left)), " is missing (and ") for left in parts),
            (without(good, *parts), "MIRNet-v2 body.0.body.0.dau_top.*): --network generic converts any"),
            (shaped("conv_in.weight", 24, 3, 3, 3), "the number of output channels of conv_in.weight is 24, expected a "
                                                    "multiple of 16 from 16 to 512"),
            (shaped("conv_in.weight", 528, 3, 3, 3), "is 528, expected a multiple of 16 from 16 to 512"),
            (shaped("conv_in.weight", 0, 3, 3, 3), "is 0, expected a multiple of 16 from 16 to 512"),
            (shaped("conv_in.weight", 32, 3, 3, 3),
             "body.0.body.0.dau_top.body.0.weight is 16x16x3x3, expected 32x32x3x3"),
            (shaped("conv_in.weight", 16, 4, 3, 3),
             "the number of input channels of conv_in.weight is 4, expected 3 or 6"),
            (shaped("conv_in.weight", 16, 3, 1, 1), "conv_in.weight is 16x3x1x1, expected 16x3x3x3"),
            (shaped("conv_in.weight", 16, 27), "the shape of conv_in.weight is 16x27, expected 4 dimensions"),
            (shaped("conv_out.weight", 6, 16, 3, 3), "conv_out.weight is 6x16x3x3, expected 3x16x3x3"),
            (shaped("body.0.body.16.dau_top.x", 1), "the number of blocks in a residual group is 17, expected 1 to 16"),
            (shaped("body.4.body.0.dau_top.x", 1), "body.4 is the last residual group, expected body.3"),
            (without(good, "body.3."), "body.2 is the last residual group, expected body.3: MIRNet-v2 has 4"),
            (shaped("body.2.body.1.dau_top.x", 1), "'body.0.body.1.dau_top.body.0.weight' is missing (and"),
            (shaped(unit, 16, 16, 3, 3), f"{unit} is 16x16x3x3, expected 16x8x3x3"),
            (shaped(unit, 16, 4, 3, 3), f"{unit} is 16x4x3x3, expected 16x8x3x3"),
            (shaped("body.0.body.0.down2.body.0.bot.1.weight", 32, 16, 1, 1),
             "body.0.body.0.down2.body.0.bot.1.weight is 32x16x1x1, expected 24x16x1x1"),
            (without(good, "body.3.body.0.up32_2"), "'body.3.body.0.up32_2.body.0.bot.0.weight' is missing"),
            (shaped("body.0.body.0.skff_bot.conv_du.0.weight", 4, 36, 1, 1),
             "'body.0.body.0.skff_bot.conv_du.0.weight' is not a parameter of MIRNet-v2"),
            (shaped("body.0.body.0.skff_top.conv_du.1.weight", 1),
             "'body.0.body.0.skff_top.conv_du.1.weight' is not a parameter of MIRNet-v2"),
            (shaped("conv_in.bias", 16), "conv_in.bias is there and body.0.body.0.dau_top.body.0.bias is not, expected "
                                         "all biases or none"),
            (without(biased, "body.2.body.1.bias"), "conv_in.bias is there and body.2.body.1.bias is not, expected"),
            ({**biased, "conv_out.bias": ((16,), [0.5] * 16)}, "the shape of conv_out.bias is 16, expected 3"),
            ({**biased, "body.0.body.0.down2.body.0.bot.1.bias": ((24,), [0.5] * 24)},
             "'body.0.body.0.down2.body.0.bot.1.bias' is not a parameter of MIRNet-v2"),
            ({**biased, "conv_in.bias": ((16,), [0.5] * 15 + [math.nan])}, "conv_in.bias has a value that is NaN"),
        ]
        for model, phrase in cases:
            with self.subTest(phrase):
                self.refuse(own_zip(model), phrase)
        for task in ("unspecified", "denoise", "brighten", "upscale", "deblur"):
            self.refuse(own_zip(both_views), f"the task is {task}, expected defocus: conv_in.weight has 6 input",
                        "--task", task)
        self.refuse(own_zip(good), "unshuffle is 2, expected 1: MIRNet-v2", "--unshuffle", "2")
        configured = own_zip(good, lambda body: with_config(number(2), body))
        self.refuse(configured, "unshuffle is 2, expected 1: MIRNet-v2")
        self.refuse(configured, "it says unshuffle 2, --unshuffle says 1", "--unshuffle", "1")

    def test_fields_with_a_right_checksum(self):
        self.convert(own_zip(v2_model(bias=True)), "--task", "denoise")
        good = self.target.read_bytes()
        for name in ("version_minor", "in_channels", "out_channels", *NUMBERS):
            offset, value = HEADER_FIELDS[name][0], number_at(good, *HEADER_FIELDS[name])
            for other in {0, 1, 2, 3, 5, value + 1, value ^ 1, 65535} - {value}:
                self.refuse_fields(good, ((offset, other),), "")
        for changes, phrase in ((((40, 6), (38, 1)), "the task is denoise, expected defocus: conv_in.weight has 6"),
                                (((40, 6), (38, 5)), "conv_in.weight: dim1 is 3, expected 6"),
                                (((40, 1),), "channels is 1, expected 3 or 6"),
                                (((42, 6),), "out_channels is 6, expected 3"),
                                (((44, 24),), "features is 24, expected a multiple of 16 from 16 to 512"),
                                (((46, 3),), "groups is 3, expected 4"),
                                (((48, 17),), "blocks is 17, expected 1 to 16"),
                                (((48, 2),), "tensor_count is 192, expected 372"),
                                (((50, 2),), "streams is 2, expected 3"), (((52, 1),), "columns is 1, expected 2"),
                                (((56, 2),), "channel_factor_num is 2, expected 3"),
                                (((58, 1),), "channel_factor_den is 1, expected 2"),
                                (((60, 2),), "bias is 2, expected 0 or 1"),
                                (((60, 0),), "tensor_count is 192, expected 122"),
                                (((62, 2),), "scale is 2, expected 1"), (((64, 8),), "pad_multiple is 8, expected 4"),
                                (((66, 2),), "unshuffle is 2, expected 1"),
                                (((10, 3),), "arch is 2, expected 1 (MIRNet)")):
            self.refuse_fields(good, changes, phrase)
        self.target.write_bytes(good)
        self.assertEqual(run(self.target, "--inspect")[0], 0)


class Tasks(Case):
    """MIRNet's files have a version that knows their task."""

    def test_versions(self):
        cells = small_zip(model_of_channels(12))
        for data, options, expected in (
                (small_zip(), (), (1, 0, 0)), (small_zip(), ("--task", "denoise"), (1, 1, 0)),
                (small_zip(), ("--task", "denoise", "--layout", "packed"), (2, 1, 0)),
                (cells, ("--task", "denoise", "--unshuffle", "2"), (3, 1, 2)),
                (small_zip(), ("--task", "brighten"), (4, 2, 1)),
                (small_zip(), ("--task", "defocus", "--layout", "packed"), (4, 5, 1)),
                (cells, ("--task", "upscale", "--unshuffle", "2"), (4, 3, 2))):
            with self.subTest(options):
                header, tensors, _ = self.convert(data, *options)
                self.assertEqual(tuple(header[name] for name in ("version_minor", "task", "unshuffle")), expected)
                again, same, _ = self.convert(self.target.read_bytes())
                self.assertEqual((again["task"], same), (header["task"], tensors))
                self.assertEqual(self.convert(self.target.read_bytes(), "--task", "denoise")[0]["task"], 1)

    def test_fields_with_a_right_checksum(self):
        self.convert(small_zip(), "--task", "deblur")
        good = self.target.read_bytes()
        for offset, value, phrase in ((38, 6, "task is 6, expected less than 6"),
                                      (38, 1, "version_minor is 4, expected 1"), (66, 0, "unshuffle is 0, expected 1"),
                                      (10, 3, "task is 4, expected less than 2"), (36, 3, "arch is 3")):
            self.refuse_fields(good, ((offset, value),), phrase)


if __name__ == "__main__":
    unittest.main()
