#!/usr/bin/env python3
"""Writes a checkpoint of one of the networks in examples/networks, with random parameters.

    network_checkpoints.py dncnn|ffdnet|unet OUT.safetensors

The parameters are the same on every machine and need no PyTorch, so checkpoints of several megabytes are generated
where they are needed. make_network_goldens.py computes the networks' outputs with PyTorch.
"""
import json
import math
import random
import struct
import sys


def convolution(name, inputs, outputs, numbers, bias=True):
    """PyTorch's own initialisation times sqrt(6): a ReLU behind it keeps the scale."""
    bound = math.sqrt(6 / (inputs * 9))
    yield f"{name}.weight", (outputs, inputs, 3, 3), [bound * numbers() for _ in range(outputs * inputs * 9)]
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


NETWORKS = {"dncnn": dncnn, "ffdnet": ffdnet, "unet": unet}


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
