#!/usr/bin/env python3
"""Exports the networks of examples/networks by torch.onnx, with random parameters, and what PyTorch computes with them

    export_onnx.py FOLDER [--networks dncnn,ffdnet,edsr,unet,nafnet] [--opset 13] [--size 48x64] [--whole]

writes NAME.onnx, the input NAME.in.f32 and the output NAME.out.f32: bare float32 samples in the order (channel, row,
column), the output computed in double precision. --size is HEIGHTxWIDTH, of the image and of the graph. NAFNet has one
block a level, and as many as the published one (29 million parameters) with --whole. Needs PyTorch.
"""
import argparse
import math
import pathlib
import sys
import warnings

import torch
from torch import nn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples/networks"))
from networks_torch import (EDSR, DnCNN, FFDNet, LayerNorm2d, NAFBlock, NAFNet,  # noqa: E402
                            ResidualBlock, UNet)

ONE_BLOCK = {"encoders": (1, 1, 1, 1), "middle": 1, "decoders": (1, 1, 1, 1)}
NETWORKS = {"dncnn": DnCNN, "ffdnet": FFDNet, "edsr": EDSR, "unet": UNet, "nafnet": lambda: NAFNet(**ONE_BLOCK)}


def randomize(network):
    """Parameters that keep the scale of the features, and of which none is as if it were not there."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = math.sqrt((3 if isinstance(network, NAFNet) else 6) / module.weight[0].numel())  # 6: behind a ReLU
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.1, 0.1)
        elif isinstance(module, (nn.BatchNorm2d, LayerNorm2d)):
            nn.init.uniform_(module.weight, 0.75, 1.25)
            nn.init.uniform_(module.bias, -0.1, 0.1)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, NAFBlock):
            nn.init.uniform_(module.beta, -0.5, 0.5)
            nn.init.uniform_(module.gamma, -0.5, 0.5)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            with torch.no_grad():
                module.body[2].weight.mul_(0.3)


@torch.no_grad()
def export(name, folder, opset=13, size=(48, 64), whole=False):
    """Returns the shapes of the input and the output: (channels, height, width)."""
    torch.manual_seed(1703)
    network = NAFNet() if name == "nafnet" and whole else NETWORKS[name]()
    network.eval()
    randomize(network)
    x = torch.rand(1, 4 if name == "ffdnet" else 3, *size)
    x[:, 3:] *= 0.2  # FFDNet's noise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on shapes that the trace takes for constant: they are
        torch.onnx.export(network, x, str(folder / f"{name}.onnx"), opset_version=opset, input_names=["image"],
                          output_names=["restored"])
    y = network.double()(x.double()).float()
    (folder / f"{name}.in.f32").write_bytes(x[0].numpy().tobytes())
    (folder / f"{name}.out.f32").write_bytes(y[0].numpy().tobytes())
    return tuple(x.shape[1:]), tuple(y.shape[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--opset", type=int, default=13)
    parser.add_argument("--size", default="48x64")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.networks.split(","):
        shapes = export(name, options.folder, options.opset, tuple(map(int, options.size.split("x"))), options.whole)
        print(f"{name}: {shapes[0]} -> {shapes[1]}")


if __name__ == "__main__":
    main()
