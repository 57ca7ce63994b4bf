"""States of training that travel: 4 bytes a parameter and a header, little-endian, in one file.

    offset  bytes
    0       8     "MIRSTATE"
    8       4     version of the format: 1
    12      4     length of the header
    16      4     CRC-32 of all that follows
    20            the header, JSON in UTF-8
            t     average: for each of the t tensors the exponent e of its scale, i8
            2n    average: the n values divided by 2^e, f16
            t     difference: the same for the parameters minus the average
            2n

The scale brings the largest value of each tensor to between 2^14 and 2^15, so all that is above a 2^-28th of it keeps
11 significant bits. The difference is to the average as it is stored: rounding the average moves no parameter.

The header has what the trainer keeps: "config", "step", "pixels", "seconds", "seed", "origin", and besides "sizes", the
number of values in each tensor, and "log", the lines of log.jsonl, thinned to MOST_LINES. "gradient_norm", which older
files do not have, is the median norm of the last gradients, or null. What the optimizer had gathered is left out: it
gathers that again while the rate rises.

Reading needs numpy alone, and the header nothing but the standard library. Nothing is unpickled.
"""
import json
import os
import struct
import zlib

MAGIC, VERSION = b"MIRSTATE", 1
START = struct.Struct("<8sIII")
LARGEST_HEADER = 1 << 20
MOST_LINES = 300
COUNTS = ("step", "pixels", "seed")


def is_compact(path):
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def thinned(lines, most=MOST_LINES):
    """At most `most` lines of a log, spread evenly over the pixels: of those that are too close together, the last."""
    if len(lines) <= most:
        return lines
    first, last = lines[0]["pixels"], lines[-1]["pixels"]
    kept = {(line["pixels"] - first) * (most - 2) // (last - first): line for line in lines[1:]}
    return [lines[0], *kept.values()]


def _encoded(values, sizes):
    import numpy
    exponents, halves, offset = [], [], 0
    for size in sizes:
        tensor = values[offset:offset + size].astype(numpy.float64)
        offset += size
        largest = numpy.abs(tensor).max()
        exponent = int(numpy.clip(numpy.frexp(largest)[1] - 15, -128, 127)) if largest > 0 else 0
        exponents.append(exponent)
        halves.append(numpy.ldexp(tensor, -exponent).astype("<f2"))
    return numpy.array(exponents, "i1"), numpy.concatenate(halves)


def _decoded(exponents, halves, sizes):
    import numpy
    return numpy.ldexp(halves.astype(numpy.float32), numpy.repeat(exponents.astype(numpy.int32), sizes))


def write(path, header, sizes, average, parameters):
    """Writes all of a file or nothing. `average` and `parameters` are flat float32 arrays of all tensors."""
    stored_average = _encoded(average, sizes)
    difference = _encoded(parameters - _decoded(*stored_average, sizes), sizes)
    text = json.dumps({**header, "sizes": sizes}, separators=(",", ":")).encode()
    body = b"".join([text, *(array.tobytes() for array in (*stored_average, *difference))])
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(START.pack(MAGIC, VERSION, len(text), zlib.crc32(body)) + body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _whole(path):
    """(header, what follows it). Raises ValueError with a sentence for a file that is damaged or something else."""
    data = path.read_bytes()
    if len(data) < START.size or data[:len(MAGIC)] != MAGIC:
        raise ValueError(f"{path} is no state that long_run.sh wrote")
    _, version, length, checksum = START.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"{path} has version {version} of the format, and this program reads version {VERSION}")
    body = memoryview(data)[START.size:]
    if length > min(LARGEST_HEADER, len(body)) or zlib.crc32(body) != checksum:
        raise ValueError(f"{path} is damaged: its checksum does not fit")
    try:
        header = json.loads(bytes(body[:length]))
        good = (isinstance(header["config"], dict) and all(_is_count(header[key]) for key in COUNTS)
                and isinstance(header["seconds"], (int, float)) and isinstance(header["origin"], str)
                and isinstance(header["log"], list) and all(isinstance(line, dict) for line in header["log"])
                and all(_is_count(size) and size > 0 for size in header["sizes"])
                and (header.get("gradient_norm") is None or 0 <= header["gradient_norm"] < float("inf")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} has a header that is not understood: {error!r}") from error
    rest = body[length:]
    if not good or len(rest) != 2 * len(header["sizes"]) + 4 * sum(header["sizes"]):
        raise ValueError(f"{path} has a header that does not fit to what follows it")
    return header, rest


def read_header(path):
    return _whole(path)[0]


def read(path):
    """(header, average, parameters), the latter as flat float32 arrays."""
    import numpy
    header, rest = _whole(path)
    sizes = header["sizes"]
    tensors, values = len(sizes), sum(sizes)
    vectors = []
    for offset in (0, tensors + 2 * values):
        exponents = numpy.frombuffer(rest, "i1", tensors, offset)
        vectors.append(_decoded(exponents, numpy.frombuffer(rest, "<f2", values, offset + tensors), sizes))
    average, difference = vectors
    parameters = average + difference
    if not (numpy.isfinite(average).all() and numpy.isfinite(parameters).all()):
        raise ValueError(f"{path} has values that are not finite")
    return header, average, parameters
