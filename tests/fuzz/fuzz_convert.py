#!/usr/bin/env python3
"""Feeds damaged and hostile checkpoints, ONNX models and weight files to weights/convert.py's readers.

    fuzz_convert.py [--runs N | --seconds N] [--seed N] [--first N]

Each case is made from a small good file of a kind that the converter reads, by changes that know the kind: a pickle's
opcodes are removed, doubled, exchanged and brought in from other pickles, hostile ones among them; archives and streams
are put together again around it, with lengths and checksums that are right; so are the header of safetensors, the
fields of a weight file and the messages of an ONNX model, whose nodes lose their inputs or get those of others. A case follows from the seed and its number alone, so --seed S --first N --runs 1 is case N.

What has to hold: a file is read, or refused with one sentence; what was read becomes a weight file that reads back
the same; nothing is imported, opened, run or sent while a file is read; and a case takes seconds and megabytes at most.
"""
import argparse
import codecs
import collections
import importlib.util
import json
import math
import pathlib
import pickletools
import random
import resource
import signal
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS, MEGABYTES = 10, 256  # that a case may take

sys.dont_write_bytecode = True
SPEC = importlib.util.spec_from_file_location("test_onnx", ROOT / "tests" / "converter" / "test_onnx.py")
onnx_samples = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(onnx_samples)
onnx, samples, convert = onnx_samples.onnx, onnx_samples.samples, onnx_samples.convert


class Defect(Exception):
    """What must not happen, whatever the file."""


# Nothing happens but reading: Python tells of whatever could.

watching = False
seen = []


def watch(event, arguments):
    if watching and event != "builtins.id":  # which reads nothing
        seen.append(f"{event} {str(arguments)[:200]}")


def too_slow(*_):
    raise Defect(f"it takes more than {SECONDS} seconds")


# Good files, and their parts.

MODEL = samples.small_model()
CELLS_MODEL = samples.model_of_channels(12)  # on cells of 2x2 pixels
BODY, STORAGES = samples.checkpoint_parts(CELLS_MODEL)
BODY = samples.with_config(samples.number(2), BODY)
LEGACY_BODY, LEGACY_STORAGES = samples.checkpoint_parts(MODEL, legacy=True)
OWN_MODEL = {**samples.own_model(), **samples.batch_norm("norm", 1)}  # behind the last convolution, of one channel
OWN_BODY, OWN_STORAGES = samples.own_parts(OWN_MODEL)
V2_MODEL = samples.v2_model(bias=True)
V2_BODY, V2_STORAGES = samples.own_parts(V2_MODEL)


def opcodes(pickle):
    """A pickle's opcodes with their arguments, as pieces of bytes."""
    places = [position for _, _, position in pickletools.genops(pickle)]
    return [pickle[begin:end] for begin, end in zip(places, [*places[1:], len(pickle)])]


GOOD_PICKLE = opcodes(samples.pickled(BODY))
LEGACY_PICKLE = opcodes(samples.pickled(LEGACY_BODY))
OWN_PICKLE = opcodes(samples.pickled(OWN_BODY))
V2_PICKLE = opcodes(samples.pickled(V2_BODY))
HOSTILE = [samples.name_of("os", "system"), samples.name_of("builtins", "eval"), samples.name_of("torch", "load"),
           samples.name_of("collections", "OrderedDict"), samples.name_of("torch._utils", "_rebuild_tensor_v2"),
           samples.name_of("torch._utils", "_rebuild_parameter"), samples.name_of("torch", "HalfStorage"),
           samples.name_of("torch", "LongStorage"), b"(Vecho\nios\nsystem\n", b"(S'ls'\nios\nsystem\n", b"R", b"o",
           b"\x81", b"\x92", b"b", b"\x93", b"Q", b"Pkey\n", b"\x82\x01", b"\x84\x01\0\0\0", b"0", b"1", b"2", b"(",
           b"t", b"\x85", b"\x86", b"\x87", b"u", b"s", b"a", b"e", b"l", b"d", b"}", b"]", b")", b"\x8f", b"\x90",
           b"\x91",
           b"N", b"\x88", b"\x89", b"\x94", b"\x80\x04", b"\x95" + b"\xff" * 8, b"q\0", b"h\0", b"r\0\0\0\0",
           b"j\0\0\0\0", b"r\xff\xff\xff\xff", b"G" + struct.pack(">d", math.nan), b"G" + struct.pack(">d", math.inf),
           b"I01\n", b"I99999999999999999999\n", b"L1L\n", b"\x8a\xff" + b"\x7f" * 255, b"\x8a\x01\xff", b"\x8a\x00",
           b"\x8b" + struct.pack("<i", -1), b"\x8b" + struct.pack("<i", 1 << 30), b"J" + struct.pack("<i", -1),
           b"J" + struct.pack("<i", (1 << 31) - 1), b"K\xff", b"M\xff\xff", b"X" + b"\xff" * 4,
           b"X\x02\0\0\0\xed\xa0", b"X\x03\0\0\0\xed\xa0\x80", b"\x8d" + b"\xff" * 8, b"\x8c\xffshort", b"\x8c\x01a",
           b"B\x01\0\0\0a", b"C\x01a", b"\x8e" + b"\xff" * 8, b"\x96" + b"\xff" * 8, b"\x97", b"\x98", b"."]
NUMBERS = [0, 1, 2, 7, 8, 63, 64, 255, 256, 65535, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def pick(source, items):
    return items[source.randrange(len(items))]


def damaged(source, data):
    """Bytes that know nothing of what they mean."""
    data = bytearray(data)
    for _ in range(pick(source, (1, 1, 2, 5))):
        at, count = source.randrange(len(data) + 1), source.randrange(1, 9)
        kind = source.randrange(6)
        if kind == 0:
            data[at:at + 1] = [source.randrange(256)]
        elif kind == 1:
            data[at:at + count] = b""
        elif kind == 2:
            data[at:at] = source.randbytes(count)
        elif kind == 3:
            data[at:at] = data[source.randrange(len(data) + 1):][:count]
        elif kind == 4:
            data[at:at + 4] = struct.pack("<I", pick(source, NUMBERS) & 0xFFFFFFFF)
        elif source.randrange(4) == 0:
            data[at:] = b""
    return bytes(data)


def changed_pickle(source, pieces):
    pieces = list(pieces)
    for _ in range(pick(source, (1, 1, 1, 2, 3, 8))):
        at, other = source.randrange(len(pieces)), source.randrange(len(pieces))
        kind = source.randrange(8)
        if kind == 0:
            del pieces[at]
        elif kind == 1:
            pieces.insert(at, pieces[other])
        elif kind == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif kind == 3:
            pieces.insert(at, pick(source, HOSTILE))
        elif kind == 4:
            pieces[at] = pick(source, HOSTILE)
        elif kind == 5:
            pieces[at:at] = pieces[other:other + source.randrange(1, 40)]
        elif kind == 6:
            pieces[at] = pieces[at][:1] + damaged(source, pieces[at][1:] or b"\0")
        else:
            pieces[at] = pieces[at][:1] + struct.pack("<Q", pick(source, NUMBERS))[:len(pieces[at]) - 1]
        if not pieces:
            pieces = [b"."]
    return b"".join(pieces)


def changed_storages(source, storages):
    storages = dict(storages)
    key = pick(source, sorted(storages))
    kind = source.randrange(4)
    if kind == 0:
        del storages[key]
    elif kind == 1:
        storages[key] = damaged(source, storages[key])
    elif kind == 2:
        storages[key] += bytes(4)
    else:
        raw = bytearray(storages[key])
        struct.pack_into("<I", raw, 0, pick(source, (0x7FC00000, 0x7F800000, 0xFF800000, 1, 0x80000000)))
        storages[key] = bytes(raw)
    return storages


# Each makes a file of its kind.

def zip_case(source):
    body, storages, good = pick(source, ((BODY, STORAGES, GOOD_PICKLE), (OWN_BODY, OWN_STORAGES, OWN_PICKLE),
                                         (V2_BODY, V2_STORAGES, V2_PICKLE)))
    pickle = changed_pickle(source, good) if source.randrange(4) else b"".join(good)
    storages = changed_storages(source, storages) if source.randrange(3) == 0 else storages
    members = samples.zip_members(body, storages)
    members[0] = (members[0][0], pickle)
    if source.randrange(8) == 0:
        at = source.randrange(len(members))
        name = pick(source, ("m/data.pkl", "n/data.pkl", "data.pkl", "../data.pkl", "/etc/passwd", "m/data/0", "m/\0",
                             "", "m/data/" + "x" * 300))
        members[at] = (name, members[at][1])
    file = samples.zip_of(members)
    if source.randrange(4) == 0:
        # Near the ends are the headers and the directory.
        at = pick(source, (0, source.randrange(len(file)), max(0, len(file) - source.randrange(1, 1200))))
        file = file[:at] + damaged(source, file[at:at + 60]) + file[at + 60:]
    return file


def legacy_case(source):
    storages = changed_storages(source, LEGACY_STORAGES) if source.randrange(4) == 0 else LEGACY_STORAGES
    file = samples.legacy_checkpoint(LEGACY_BODY, storages)
    pickle = b"".join(LEGACY_PICKLE)
    kind = source.randrange(4)
    if kind < 2:
        file = file.replace(pickle, changed_pickle(source, LEGACY_PICKLE))
    elif kind == 2:  # the small pickles before and behind it
        begin = file.index(pickle)
        front, back = file[:begin], file[begin + len(pickle):]
        if source.randrange(2):
            file = damaged(source, front) + pickle + back
        else:
            file = front + pickle + damaged(source, back[:400]) + back[400:]
    else:
        file = damaged(source, file)
    return file


def changed_json(source, value):
    """A value of JSON with some part of it replaced."""
    others = (*NUMBERS, -1, 1.5, 1e308, True, None, "", "F32", "F16", "I8", [], {}, [0, 4], [1] * 100, [[[[1]]]],
              {"dtype": "F32"}, 10 ** 100)
    if isinstance(value, dict) and value and source.randrange(8):
        value, key = dict(value), pick(source, sorted(value))
        kind = source.randrange(8)
        if kind == 0:
            del value[key]
        elif kind == 1:
            names = ("dtype", "shape", "data_offsets", "__metadata__", "conv_in.weight", "", "a", "norm.bias",
                     "norm.running_var", "up.running_mean", "num_batches_tracked")
            value[pick(source, names)] = value[key]
        else:
            value[key] = changed_json(source, value[key])
        return value
    if isinstance(value, list) and value and source.randrange(4):
        value, at = list(value), source.randrange(len(value))
        kind = source.randrange(4)
        if kind == 0:
            del value[at]
        elif kind == 1:
            value.insert(at, value[at])
        else:
            value[at] = changed_json(source, value[at])
        return value
    if type(value) is int and source.randrange(2):
        return value + pick(source, (-1, 1, 4, -4, 64, 1 << 32, 1 << 63))
    return pick(source, others)


def safetensors_case(source):
    header, body = SAFETENSORS[source.randrange(len(SAFETENSORS))]
    kind = source.randrange(4)
    if kind == 0:
        return damaged(source, samples.safetensors_file(header, body))
    for _ in range(pick(source, (1, 1, 2, 4))):
        header = changed_json(source, header)
    packed = json.dumps(header).encode()
    if kind == 1:  # below the level of JSON
        packed = damaged(source, packed) if source.randrange(2) else packed.replace(b"0", b"0" * 5000, 1)
    if source.randrange(8) == 0:
        body = damaged(source, body)
    return samples.safetensors_file(packed, body)


def weight_file_case(source):
    data = bytearray(pick(source, WEIGHT_FILES))
    header = convert.HEADER.unpack_from(data)
    for _ in range(pick(source, (0, 1, 1, 2))):
        field = source.randrange(1, len(header))
        values = list(convert.HEADER.unpack_from(data))
        values[field] = pick(source, (values[field] + 1, values[field] - 1, *NUMBERS))
        try:
            convert.HEADER.pack_into(data, 0, *values)
        except struct.error:  # too large for the field
            pass
    count = header[convert.Header._fields.index("tensor_count")]
    for _ in range(pick(source, (0, 0, 1, 2))):
        at = convert.HEADER.size + convert.ENTRY.size * source.randrange(count)
        values = list(convert.ENTRY.unpack_from(data, at))
        field = source.randrange(len(values))
        values[field] = pick(source, (values[field] + 1, values[field] - 1, *NUMBERS))
        try:
            convert.ENTRY.pack_into(data, at, *values)
        except struct.error:
            pass
    if source.randrange(3) == 0:
        data = bytearray(damaged(source, data))
    if source.randrange(4) == 0:
        data[source.randrange(len(data) // 2):][:4] = b"\0\0\xc0\x7f"
    if source.randrange(8) and len(data) > convert.HEADER.size:  # the checksums fit
        good = convert.Header(*convert.HEADER.unpack_from(data))
        for i in range(min(good.tensor_count, count)):
            at = convert.HEADER.size + convert.ENTRY.size * i
            if at + convert.ENTRY.size > len(data):
                break
            entry = convert.Entry(*convert.ENTRY.unpack_from(data, at))
            if entry.data_len < 1 << 16:
                crc = convert.crc32c(bytes(data[entry.data_off:entry.data_off + entry.data_len]))
                convert.ENTRY.pack_into(data, at, *entry._replace(crc=crc))
        end = 128 + 64 * min(good.tensor_count, 1000) + min(good.strings_size, 1 << 16)
        struct.pack_into("<I", data, 32, convert.crc32c(bytes(data[:32] + data[36:end])))
    return bytes(data)


# ONNX models: trees of messages, which are written with lengths that are right whatever was changed.

MESSAGES = {  # path of field numbers: what is a message. Of a tensor, nothing that is in it
    (): (7, 8), (7,): (1, 5, 11, 12), (7, 1): (5,), (7, 1, 5): (5,), (7, 11): (2,), (7, 12): (2,), (7, 11, 2): (1,),
    (7, 12, 2): (1,), (7, 11, 2, 1): (2,), (7, 12, 2, 1): (2,), (7, 11, 2, 1, 2): (1,), (7, 12, 2, 1, 2): (1,)}


def tree_of(data, path=()):
    """[[number, value]]: values are numbers, bytes, floats as ("f", bytes), or such lists."""
    fields = []
    for number, wire_type, value in onnx_samples.package.wire.fields(memoryview(data), "a model"):
        if wire_type == 2 and number in MESSAGES.get(path, ()):
            value = tree_of(value, path + (number,))
        fields.append([number, ("f", bytes(value)) if wire_type == 5 else value if isinstance(value, (int, list)) else
                       bytes(value)])
    return fields


def bytes_of_tree(fields):
    parts = []
    for number, value in fields:
        if isinstance(value, tuple):
            parts.append(onnx.key(number, 5) + value[1])
        else:
            parts.append(onnx.field(number, bytes_of_tree(value) if isinstance(value, list) else value))
    return b"".join(parts)


def every_list(fields):
    yield fields
    for _, value in fields:
        if isinstance(value, list):
            yield from every_list(value)


def onnx_models():
    """Small models that have each operator, most in files of their own."""
    made = []
    with samples.mock.patch.object(onnx_samples.Case, "run_on", lambda self, data, *_: made.append(data) or (1, "", "")):
        for case in (onnx_samples.Layers, onnx_samples.Folding, onnx_samples.Memory, onnx_samples.Names):
            for name in sorted(vars(case)):
                if name.startswith("test"):
                    with samples.contextlib.suppress(AssertionError):
                        test = case(name)
                        test.setUp()
                        try:
                            getattr(test, name)()
                        finally:
                            test.doCleanups()
    return [data for data in made if len(data) < 1 << 17]


ONNX_MODELS = onnx_models()
ONNX_NAMES = [b"x", b"y", b"h", b"m", b"a.weight", b"b.weight", b"", b"nothing", b"onnx::Conv_1", b"class", b"\xff",
              b'"); //', b"\\\n", b"n" * 300]
ONNX_OPERATORS = [name.encode() for name in sorted(
    {*onnx_samples.package.operators.HANDLERS, "Constant", "ConstantOfShape", "Expand", "Range", "Tile", "Where", "Mod",
     "Floor", "Equal", "ReduceProd", "If", "Unknown"})]


def onnx_case(source):
    data = pick(source, ONNX_MODELS)
    tree = tree_of(data)
    lists = [fields for fields in every_list(tree) if fields]
    for _ in range(pick(source, (1, 1, 1, 2, 3, 8))):
        fields = pick(source, lists)
        if not fields:
            continue
        at, other = source.randrange(len(fields)), source.randrange(len(fields))
        kind = source.randrange(9)
        if kind == 0:
            del fields[at]
        elif kind == 1:
            fields.insert(at, fields[other])
        elif kind == 2:
            fields[at], fields[other] = fields[other], fields[at]
        elif kind == 3:
            fields[at] = [fields[at][0], pick(source, NUMBERS + [-1, 2, 3, 16])]
        elif kind == 4:
            fields[at] = [fields[at][0], pick(source, ONNX_NAMES)]
        elif kind == 5:
            fields[at] = [pick(source, range(1, 27)), fields[at][1]]
        elif kind == 6 and isinstance(fields[at][1], bytes):
            fields[at] = [fields[at][0], damaged(source, fields[at][1])]
        elif kind == 7:
            fields.insert(at, [pick(source, range(1, 27)), pick(source, lists)[:3]])
        else:
            changed_nodes(source, tree)
    try:
        data = bytes_of_tree(tree)
    except RecursionError:  # a list has come to hold itself
        data = bytes_of_tree(tree_of(data))
    return damaged(source, data) if source.randrange(6) == 0 else data


def changed_nodes(source, tree):
    """Another operator, or another input or output, which may close a circle."""
    graphs = [value for number, value in tree if number == 7 and isinstance(value, list)]
    nodes = [value for number, value in graphs[0] if number == 1 and isinstance(value, list)] if graphs else []
    names = [item for fields in nodes for number, item in fields if number in (1, 2) and isinstance(item, bytes)]
    if not names:
        return
    fields = pick(source, nodes)
    places = [at for at, (number, _) in enumerate(fields) if number in (1, 2, 4)]
    if places:
        at = pick(source, places)
        fields[at] = [fields[at][0], pick(source, ONNX_OPERATORS if fields[at][0] == 4 else names)]


SAFETENSORS = [samples.safetensors_parts(MODEL),
               ({"__metadata__": {samples.SECOND + "body.0.weight": samples.FIRST + "body.0.weight"},
                 "conv_in.weight": {"dtype": "F32", "shape": [8, 3, 3, 3], "data_offsets": [0, 864]}}, bytes(864)),
               convert.safetensors_header(samples.own_safetensors(OWN_MODEL)),
               convert.safetensors_header(samples.own_safetensors(samples.v2_model(channels=6)))]
NETWORK, VALUES = convert.read_model(samples.safetensors_file(*SAFETENSORS[0]))
CELLS = convert.read_model(samples.safetensors_file(*samples.safetensors_parts(CELLS_MODEL)), unshuffle=2)
V2 = convert.read_model(samples.own_safetensors(V2_MODEL))
OWN = convert.read_own(samples.own_safetensors(OWN_MODEL), (3, 1), tuple(range(12)), ("up.weight",))[:2]
WEIGHT_FILES = [convert.encode(network, 1 + 4 * (network is OWN[0]), values, dtype,
                               b"source=x\ntransposed=up.weight\n" if network is OWN[0] else b"source=x\n", layout)
                for (network, values), dtype, layout in (
                    ((NETWORK, VALUES), "f32", "checkpoint"), ((NETWORK, VALUES), "f16", "checkpoint"),
                    ((NETWORK, VALUES), "bf16", "packed"), (CELLS, "f32", "checkpoint"), (CELLS, "bf16", "packed"),
                    (V2, "f16", "checkpoint"), (V2, "bf16", "packed"),
                    (OWN, "f16", "checkpoint"), (OWN, "f32", "packed"), (OWN, "bf16", "packed"))]
KINDS = {"onnx": onnx_case, "zip": zip_case, "legacy": legacy_case, "safetensors": safetensors_case, "weight file": weight_file_case}


def read(data, generic):
    """What convert.py does with a file's bytes, up to writing the result."""
    if data[:8] == convert.MAGIC:
        network, values = convert.values_of(data, convert.decode(data))
    elif generic:
        network, values, _ = convert.read_own(data, transposed=("up.weight",) if len(data) % 3 == 0 else ())
    else:
        network, values = convert.read_model(data)
    layout = convert.LAYOUTS[len(data) % 2]
    is_own = network.arch == convert.OWN_NETWORK and network.transposed
    meta = f"transposed={','.join(network.transposed)}\n".encode() if is_own else b""
    return network, convert.decode(convert.encode(network, network.usual_task, values, "f32", meta, layout)), values


def read_onnx(data):
    """The same of an ONNX model."""
    made = onnx_samples.package.convert_model(data, "model.onnx", "my_network.hpp")
    if not made.header.isascii() or "\\" in made.header or made.header.count("{") != made.header.count("}"):
        raise Defect("the header has what names of the file may not bring in")
    meta = f"transposed={','.join(made.network.transposed)}\n".encode() if made.network.transposed else b""
    return made.network, convert.decode(convert.encode(made.network, 0, made.values, "f32", meta, "checkpoint")), made.values


def check(data, kind=""):
    """Reads a file (a checkpoint both as MIRNet's and as any network's) and returns whether it was accepted."""
    if kind == "onnx":
        return accepts(data, True, read_onnx)
    accepted = [accepts(data, generic) for generic in ((False,) if data[:8] == convert.MAGIC else (False, True))]
    return any(accepted)


def accepts(data, generic, reader=None):
    global watching
    signal.alarm(SECONDS)
    watching = True
    try:
        network, again, values = reader(data) if reader else read(data, generic)
    except convert.BadModel as refusal:
        sentence = str(refusal)
        if not 10 <= len(sentence) <= 400 or not sentence.isascii() or not sentence.isprintable():
            raise Defect(f"a sentence of {len(sentence)} characters: {ascii(sentence[:200])}") from None
        return False
    finally:
        watching = False
        signal.alarm(0)
        if seen:
            raise Defect(f"while it was read, {seen[0]}")
    if again.network != network or list(values) != [tensor.name for tensor, _ in again.tensors]:
        raise Defect("the weight file is of another network")
    return True


def main():
    parser = argparse.ArgumentParser(description="Feeds damaged and hostile files to weights/convert.py's readers.")
    parser.add_argument("--runs", type=int, help="how many cases (default: 2000)")
    parser.add_argument("--seconds", type=float, help="or for how long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    runs = options.runs if options.runs is not None else 2000 if options.seconds is None else math.inf

    signal.signal(signal.SIGALRM, too_slow)
    for data in (samples.zip_checkpoint(BODY, STORAGES), samples.legacy_checkpoint(LEGACY_BODY, LEGACY_STORAGES),
                 samples.safetensors_file(*SAFETENSORS[0]), samples.safetensors_file(*SAFETENSORS[-1]),
                 samples.own_zip(OWN_MODEL, legacy=True), samples.zip_checkpoint(V2_BODY, V2_STORAGES), *WEIGHT_FILES):
        if not check(data):
            raise Defect("a good file is refused")
    for data in ONNX_MODELS:
        check(data, "onnx")
    for codec in ("ascii", "cp437", "latin-1", "raw-unicode-escape", "unicode-escape", "utf-8"):
        codecs.lookup(codec)  # which Python imports at their first use
    sys.addaudithook(watch)
    start, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdicts = collections.Counter()
    number = options.first
    while number < options.first + runs and (options.seconds is None or time.monotonic() - start < options.seconds):
        source = random.Random(f"{options.seed}/{number}")
        kind = pick(source, sorted(KINDS))
        data = KINDS[kind](source)
        try:
            verdicts[kind, check(data, kind)] += 1
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
            if used > MEGABYTES << 10:
                raise Defect(f"it took {used >> 10} MB")
        except Exception as error:
            path = pathlib.Path(f"convert-{options.seed}-{number}.bin")
            path.write_bytes(data)
            print(f"case {number} of seed {options.seed} ({kind}, kept as {path}): {type(error).__name__}: {error}")
            raise
        number += 1
    seconds = time.monotonic() - start
    count = sum(verdicts.values())
    print(f"convert: {count} runs, {count / max(seconds, 1e-9):.0f}/s; " + "; ".join(
        f"{kind}: {verdicts[kind, False]} refused, {verdicts[kind, True]} accepted" for kind in sorted(KINDS)))


if __name__ == "__main__":
    main()
