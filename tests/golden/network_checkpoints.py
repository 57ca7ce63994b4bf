#!/usr/bin/env python3
"""Writes a checkpoint of one of the networks in examples/networks, with random parameters.

    network_checkpoints.py dncnn|ffdnet|unet|edsr|pooling_unet|nafnet OUT.safetensors

The parameters are the same on every machine and need no PyTorch, so checkpoints of several megabytes are generated
where they are needed. make_network_goldens.py computes the networks' outputs with PyTorch.
"""
import json
import math
import random
import struct
import sys


def convolution(name, inputs, outputs, numbers, bias=True, size=3, gain=6):
    """PyTorch's own initialisation times sqrt(gain): with 6, a ReLU behind it keeps the scale, with 3, it keeps it alone."""
    taps = size * size
    bound = math.sqrt(gain / (inputs * taps))
    yield f"{name}.weight", (outputs, inputs, size, size), [bound * numbers() for _ in range(outputs * inputs * taps)]
    if bias:
        yield f"{name}.bias", (outputs,), [0.1 * numbers() for _ in range(outputs)]


def batch_norm(name, channels, numbers):
    yield f"{name}.weight", (channels,), [1 + 0.25 * numbers() for _ in range(channels)]
    yield f"{name}.bias", (channels,), [0.1 * numbers() for _ in range(channels)]
    yield f"{name}.running_mean", (channels,), [0.1 * numbers() for _ in range(channels)]
    yield f"{name}.running_var", (channels,), [1 + 0.5 * numbers() for _ in range(channels)]
    yield f"{name}.num_batches_tracked", (), None


def dncnn(numbers):
    yield from convolution("model.0", 3, 64, numbers)
    for i in range(15):
        yield from convolution(f"model.{2 + 3 * i}", 64, 64, numbers)
        yield from batch_norm(f"model.{3 + 3 * i}", 64, numbers)
    yield from convolution("model.47", 64, 3, numbers)


def ffdnet(numbers):
    yield from convolution("model.0", 13, 96, numbers)
    for i in range(1, 11):
        yield from convolution(f"model.{2 * i}", 96, 96, numbers)
    yield from convolution("model.22", 96, 12, numbers)


def unet(numbers):
    yield from convolution("enter", 3, 32, numbers)
    yield from convolution("down", 32, 64, numbers)
    yield "slopes.weight", (64,), [0.25 + 0.1 * numbers() for _ in range(64)]
    yield from convolution("middle", 64, 64, numbers, bias=False)
    yield from batch_norm("norm", 64, numbers)
    yield from convolution("up", 64, 128, numbers)
    yield from convolution("join", 64, 32, numbers)
    yield from convolution("depthwise", 1, 32, numbers)
    yield from convolution("leave", 32, 3, numbers)


def edsr(numbers):
    yield from convolution("head.0", 3, 64, numbers, gain=3)
    for i in range(16):
        yield from convolution(f"body.{i}.body.0", 64, 64, numbers)
        yield from convolution(f"body.{i}.body.2", 64, 64, numbers, gain=0.5)
    yield from convolution("body.16", 64, 64, numbers, gain=3)
    yield from convolution("tail.0.0", 64, 256, numbers, gain=3)
    yield from convolution("tail.1", 64, 3, numbers, gain=3)


def pooling_unet(numbers):
    for name, inputs, outputs in (("down.0", 3, 32), ("down.1", 32, 64), ("bottom", 64, 128), ("up.0", 192, 64),
                                  ("up.1", 96, 32)):
        yield from convolution(f"{name}.0", inputs, outputs, numbers)
        yield from convolution(f"{name}.2", outputs, outputs, numbers)
    yield from convolution("last", 32, 3, numbers, size=1)


def naf_block(name, channels, numbers):
    for part in ("beta", "gamma"):
        yield f"{name}.{part}", (1, channels, 1, 1), [0.7 * numbers() for _ in range(channels)]
    for part, inputs, outputs, size in (("conv1", channels, 2 * channels, 1), ("conv2", 1, 2 * channels, 3),
                                        ("conv3", channels, channels, 1), ("sca.1", channels, channels, 1),
                                        ("conv4", channels, 2 * channels, 1), ("conv5", channels, channels, 1)):
        yield from convolution(f"{name}.{part}", inputs, outputs, numbers, size=size, gain=3)
    for part in ("norm1", "norm2"):
        yield f"{name}.{part}.weight", (channels,), [1 + 0.5 * numbers() for _ in range(channels)]
        yield f"{name}.{part}.bias", (channels,), [0.2 * numbers() for _ in range(channels)]


def nafnet(numbers):
    """One block a level."""
    widths = (32, 64, 128, 256)
    yield from convolution("intro", 3, 32, numbers, gain=3)
    yield from convolution("ending", 32, 3, numbers, gain=0.3)
    for i, width in enumerate(widths):
        yield from naf_block(f"encoders.{i}.0", width, numbers)
    for i, width in enumerate(reversed(widths)):
        yield from naf_block(f"decoders.{i}.0", width, numbers)
    yield from naf_block("middle_blks.0", 512, numbers)
    for i, width in enumerate(reversed(widths)):
        yield from convolution(f"ups.{i}.0", 2 * width, 4 * width, numbers, bias=False, size=1, gain=3)
    for i, width in enumerate(widths):
        yield from convolution(f"downs.{i}", width, 2 * width, numbers, size=2, gain=3)


NETWORKS = {"dncnn": dncnn, "ffdnet": ffdnet, "unet": unet, "edsr": edsr, "pooling_unet": pooling_unet,
            "nafnet": nafnet}


def parameters(network):
    """(name, shape, values rounded to float) in the order of the state dict; the values of a counter are None."""
    generator = random.Random(f"mirnet {network}")
    for name, shape, values in NETWORKS[network](lambda: 2 * generator.random() - 1):
        yield name, shape, values and struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values))


def safetensors(network):
    header, data = {}, bytearray()
    for name, shape, values in parameters(network):
        first = len(data)
        data += struct.pack("<q", 0) if values is None else struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "I64" if values is None else "F32", "shape": shape, "data_offsets": [first, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in NETWORKS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(NETWORKS)} OUT.safetensors")
    with open(sys.argv[2], "wb") as file:
        file.write(safetensors(sys.argv[1]))
