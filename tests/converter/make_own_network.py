#!/usr/bin/env python3
"""Writes weight files of the network in tests/support/enlarge.hpp: make_own_network.py FOLDER

Writes own.mirw, own-packed.mirw and own-bf16.mirw by weights/convert.py --network generic. They come from a
checkpoint that is assembled here, without PyTorch, and has a batch normalization behind the first convolution.
tests/model/network_test.cpp computes the network's output from these numbers.
"""
import importlib.util
import math
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
SPEC = importlib.util.spec_from_file_location("test_convert", pathlib.Path(__file__).with_name("test_convert.py"))
samples = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(samples)

WIDTH, INPUTS, OUTPUTS = 24, 4, 5


def weights(shape, seed):
    return shape, [((i * 37 + seed * 11) % 64 - 32) / 128 for i in range(math.prod(shape))]


def channels(factor, offset):
    return (WIDTH,), [(o * factor) % 16 / 16 + offset for o in range(WIDTH)]


MODEL = {
    "first.weight": weights((WIDTH, INPUTS, 3, 3), 1),
    "norm.weight": channels(7, 0.5),
    "norm.bias": channels(5, -0.5),
    "norm.running_mean": channels(3, -0.5),
    "norm.running_var": channels(11, 0.25),
    "norm.num_batches_tracked": ((), [1000]),
    "act.weight": ((1,), [0.25]),
    "last.weight": weights((WIDTH, OUTPUTS, 3, 3), 2),
}

with tempfile.TemporaryDirectory() as folder:
    checkpoint = pathlib.Path(folder, "own.pth")
    checkpoint.write_bytes(samples.own_zip(MODEL))
    for name, dtype, layout in (("own", "f32", "checkpoint"), ("own-packed", "f32", "packed"),
                                ("own-bf16", "bf16", "packed")):
        subprocess.run([sys.executable, "-B", samples.SCRIPT, checkpoint, pathlib.Path(sys.argv[1], f"{name}.mirw"),
                        "--network", "generic", "--dtype", dtype, "--layout", layout, "--task", "upscale",
                        "--channels", f"{INPUTS},{OUTPUTS}", "--numbers", str(WIDTH), "--transposed", "last.weight"],
                       check=True)
