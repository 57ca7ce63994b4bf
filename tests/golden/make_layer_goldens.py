#!/usr/bin/env python3
"""Writes what PyTorch computes with single layers, for tests/unit/pytorch_layers_test.cpp.

Needs PyTorch (Debian: python3-torch python3-numpy). layers/outputs.npy has the outputs in double precision, one behind
the other, each channels first; layers/cases.txt has the name and the shape (channels, height, width) of each. Inputs
and parameters are numbers() here as in the test: multiples of 1/128, which all types hold exactly.
"""
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent


def numbers(seed, *shape):
    """SplitMix64's upper eight bits, from [-1, 1)."""
    values, mask = [], (1 << 64) - 1
    for _ in range(int(np.prod(shape))):
        seed = seed + 0x9E3779B97F4A7C15 & mask
        z = seed
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        values.append(((z ^ z >> 31) >> 56) / 128 - 1)
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


x, y = numbers(1, 1, 20, 5, 7), numbers(2, 1, 20, 5, 7)
vector, plane = numbers(3, 1, 20, 1, 1), numbers(4, 1, 1, 5, 7)
few, many, small = numbers(5, 1, 2, 5, 7), numbers(6, 1, 2, 17, 19), numbers(7, 1, 17, 1, 1)
grouped = numbers(8, 1, 32, 3, 4)
far = 1000 + 2 * many


def filled(module):
    """The module with numbers: the weight's of seed 100, the bias's of seed 101."""
    module = module.double()
    with torch.no_grad():
        for seed, parameter in enumerate(module.parameters(), 100):
            parameter.copy_(numbers(seed, *parameter.shape))
    return module


def cases():
    def transposed(name, channels, outputs, kernel, input=None, after=None, **options):
        layer = filled(nn.ConvTranspose2d(channels, outputs, kernel, **options))
        output = layer(x if input is None else input)
        return f"transposed {name}", output if after is None else after(output)

    yield transposed("2x2 stride 2", 20, 6, 2, stride=2)
    yield transposed("2x2 stride 2 without bias", 20, 6, 2, stride=2, bias=False)
    yield transposed("2x2 stride 2 of a pixel", 17, 18, 2, input=small, stride=2)
    yield transposed("2x2 stride 1", 20, 3, 2)
    yield transposed("1x1", 20, 3, 1)
    yield transposed("1x1 stride 1 padding 1", 20, 3, 1, padding=1)
    yield transposed("3x3", 20, 3, 3, padding=1)
    yield transposed("3x3 stride 2", 20, 3, 3, stride=2, padding=1)
    yield transposed("3x3 stride 2 output_padding 1", 20, 3, 3, stride=2, padding=1, output_padding=1)
    yield transposed("3x3 stride 2 padding 0 output_padding 1", 20, 3, 3, stride=2, output_padding=1)
    yield transposed("3x3 stride 2 padding 2", 20, 3, 3, stride=2, padding=2)
    yield transposed("3x3 stride 3 output_padding 2", 20, 2, 3, stride=3, output_padding=2)
    yield transposed("4x4 stride 2", 20, 3, 4, stride=2, padding=1)
    yield transposed("4x4 stride 2, GELU", 20, 3, 4, stride=2, padding=1, after=F.gelu)
    yield transposed("4x4 stride 2, ReLU", 20, 3, 4, stride=2, padding=1, after=F.relu)
    yield transposed("4x4 stride 2 of a pixel", 17, 3, 4, input=small, stride=2, padding=1)
    yield transposed("4x4 stride 4", 20, 1, 4, stride=4)
    yield transposed("5x5 stride 3", 20, 2, 5, stride=3)
    yield transposed("5x5 stride 3 padding 2 output_padding 1", 20, 2, 5, stride=3, padding=2, output_padding=1)
    yield transposed("5x5 stride 3 of a pixel, SiLU", 17, 2, 5, input=small, stride=3, padding=2, after=F.silu)
    yield transposed("4x4 stride 2 groups 2", 32, 2, 4, input=grouped, stride=2, padding=1, groups=2)
    yield transposed("2x2 stride 2 groups 2 of whole lines", 32, 32, 2, input=grouped, stride=2, groups=2, bias=False)
    yield transposed("3x3 stride 3 groups 5", 20, 10, 3, input=x[:, :, :2, :3], stride=3, groups=5)
    yield transposed("4x4 stride 2 depthwise", 20, 20, 4, input=x[:, :, :3, :4], stride=2, padding=1, groups=20)
    yield transposed("3x3 depthwise, two outputs of a channel", 20, 40, 3, input=x[:, :, :2, :3], groups=20)

    linear = filled(nn.Linear(20, 6))
    yield "linear", linear(x.movedim(1, 3)).movedim(3, 1)
    linear = filled(nn.Linear(20, 5, bias=False))
    yield "linear without bias, GELU", F.gelu(linear(x.movedim(1, 3))).movedim(3, 1)

    for kernel, options in (
        (2, {}), (3, dict(stride=2, padding=1)), (4, dict(stride=2, padding=1, ceil_mode=True)), (3, dict(stride=1)),
        (2, dict(stride=2, ceil_mode=True)), (2, dict(stride=3, padding=1, ceil_mode=True)), (5, dict(padding=2)),
    ):
        text = ", ".join([str(kernel)] + [f"{key} {int(value)}" for key, value in options.items()])
        yield f"max pool {text}", F.max_pool2d(few, kernel, **options)
        yield f"average pool {text}", F.avg_pool2d(few, kernel, **options)
        yield f"average pool {text}, padding left out", F.avg_pool2d(few, kernel, **options, count_include_pad=False)
    yield "max pool of all channels", F.max_pool2d(x, 2)
    yield "average pool of all channels", F.avg_pool2d(x, 2)
    yield "global average", F.adaptive_avg_pool2d(many, 1)
    yield "global average of all channels", F.adaptive_avg_pool2d(x, 1)
    yield "global max", F.adaptive_max_pool2d(many - 2, 1)
    yield "global max of all channels", F.adaptive_max_pool2d(x, 1)

    functions = {
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu,
        "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"), "silu": F.silu, "hard_sigmoid": F.hardsigmoid,
        "hard_swish": F.hardswish, "clamp": lambda v: torch.clamp(v, -0.75, 1.5), "relu": F.relu,
        "leaky_relu": lambda v: F.leaky_relu(v, 0.125),
    }
    convolution = filled(nn.Conv2d(2, 3, 3, padding=1))
    for name, function in functions.items():
        yield f"function {name}", function(4 * few)
        yield f"convolution, {name}", function(convolution(few))
        yield f"convolution, {name}, added", function(convolution(few)) + y[:, :3]
        yield f"convolution, {name}, subtracted", y[:, :3] - function(convolution(few))
    yield "convolution of whole lines, gelu", F.gelu(filled(nn.Conv2d(20, 16, 3, padding=1))(x))
    yield "1x1 convolution, silu", F.silu(filled(nn.Conv2d(20, 17, 1))(x))
    yield "convolution of stride 2, tanh", torch.tanh(filled(nn.Conv2d(20, 9, 3, stride=2, padding=1))(x))
    yield "grouped convolution, gelu", F.gelu(filled(nn.Conv2d(32, 32, 3, padding=1, groups=2))(grouped))
    yield "grouped convolution of parts of lines, silu", F.silu(filled(nn.Conv2d(20, 10, 3, padding=1, groups=5))(x))
    yield "depthwise convolution, hard_swish", F.hardswish(filled(nn.Conv2d(20, 20, 3, padding=1, groups=20))(x))

    for name, results in (("1x1", filled(nn.Conv2d(20, 64, 1))(x[:, :, :2])),
                          ("3x3", filled(nn.Conv2d(20, 10, 3, padding=1))(x)),
                          ("depthwise", filled(nn.Conv2d(32, 32, 3, padding=1, groups=32))(grouped))):
        left, right = results.chunk(2, 1)
        yield f"{name} convolution, gate", left * right

    yield "softmax of channels", F.softmax(8 * x, 1)
    yield "softmax of pixels", F.softmax((8 * many).flatten(2), 2).reshape(many.shape)
    yield "softmax of pixels, all channels", F.softmax((8 * x).flatten(2), 2).reshape(x.shape)

    for factor in (0.5, 1.5, 2, 2.7, 3):
        yield f"nearest {factor}", F.interpolate(few, scale_factor=factor, mode="nearest")
        for mode in ("bilinear", "bicubic"):
            for corners in (False, True):
                yield (f"{mode} {factor}{', corners' * corners}",
                       F.interpolate(few, scale_factor=factor, mode=mode, align_corners=corners))
    for size in ((10, 14), (3, 4), (7, 5), (1, 1), (5, 7), (1, 9)):
        text = f"to {size[1]}x{size[0]}"
        yield f"nearest {text}", F.interpolate(few, size=size, mode="nearest")
        for mode in ("bilinear", "bicubic"):
            for corners in (False, True):
                yield (f"{mode} {text}{', corners' * corners}",
                       F.interpolate(few, size=size, mode=mode, align_corners=corners))
    yield "bilinear 1.5 of all channels", F.interpolate(x[:, :, :2, :3], scale_factor=1.5, mode="bilinear")
    yield "bicubic of a pixel", F.interpolate(small, scale_factor=2, mode="bicubic")

    def layer_norm(map, **options):
        return filled(nn.LayerNorm(map.shape[1], **options))(map.movedim(1, 3)).movedim(3, 1)

    yield "layer norm", layer_norm(x)
    yield "layer norm, eps 1e-6", layer_norm(x, eps=1e-6)
    yield "layer norm of two channels", layer_norm(few)
    yield "layer norm, not affine", layer_norm(x, elementwise_affine=False)
    yield "instance norm", F.instance_norm(many)
    yield "instance norm, affine", filled(nn.InstanceNorm2d(20, affine=True))(x)
    yield "instance norm, affine, eps 0.25", filled(nn.InstanceNorm2d(20, affine=True, eps=0.25))(x)
    yield "instance norm, mean 1000", F.instance_norm(far)
    yield "instance norm, affine, mean 1000", filled(nn.InstanceNorm2d(2, affine=True))(far)

    for name, function in (("add", torch.add), ("subtract", torch.sub), ("multiply", torch.mul)):
        yield f"{name} a map", function(x, y)
        yield f"{name} a vector", function(few, vector[:, :2])
        yield f"{name} a plane", function(few, plane)
        yield f"{name} a constant", function(few, numbers(100, 1, 2, 1, 1))
    yield "addcmul", torch.addcmul(x, y, x)
    yield "addcmul of a vector", torch.addcmul(few, few, vector[:, :2])
    yield "channels 3 to 9", x[:, 3:9]
    yield "channels 16 to 20", x[:, 16:20]


def main():
    folder = HERE / "layers"
    folder.mkdir(exist_ok=True)
    with torch.no_grad():
        outputs = [(name, output[0].numpy()) for name, output in cases()]
    assert len({name for name, _ in outputs}) == len(outputs)
    np.save(folder / "outputs.npy", np.concatenate([output.ravel() for _, output in outputs]))
    lines = ["{} {} {} {}\n".format(*output.shape, name) for name, output in outputs]
    (folder / "cases.txt").write_text("".join(lines))


main()
