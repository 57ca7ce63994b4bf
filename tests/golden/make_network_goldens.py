#!/usr/bin/env python3
"""Writes what PyTorch computes with the networks of examples/networks and the checkpoints of network_checkpoints.py.

Needs PyTorch (Debian: python3-torch python3-numpy). For each network and size there are HEIGHTxWIDTH.in.npy and
HEIGHTxWIDTH.out.npy, channels first: (channels, height, width), float32; the output is computed in double precision, and
of the later networks (edsr, pooling_unet, nafnet) stored so.
"""
import math
import pathlib
import sys

import numpy as np
import torch

from network_checkpoints import parameters

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "examples/networks"))
from networks_torch import EDSR, DnCNN, FFDNet, NAFNet, SmallUNet, UNet  # noqa: E402


def main():
    one_block = NAFNet(32, (1, 1, 1, 1), 1, (1, 1, 1, 1))
    for name, network, channels, stored in (("dncnn", DnCNN(), 3, "<f4"), ("ffdnet", FFDNet(), 4, "<f4"),
                                            ("unet", SmallUNet(), 3, "<f4"), ("edsr", EDSR(), 3, "<f8"),
                                            ("pooling_unet", UNet(), 3, "<f8"), ("nafnet", one_block, 3, "<f8")):
        state = network.state_dict()
        for key, shape, values in parameters(name):
            assert tuple(state[key].shape) == shape, key
            if values is not None:
                state[key] = torch.tensor(values).reshape(shape)
        assert list(state) == [key for key, _, _ in parameters(name)]
        network.load_state_dict(state)
        network.double().eval()
        (HERE / name).mkdir(exist_ok=True)
        torch.manual_seed(1703)
        for height, width in ((20, 24), (17, 31), (1, 2), (33, 18)):
            x = torch.rand(1, channels, height, width)
            x[:, 3:] *= 0.2
            with torch.no_grad():
                y = network(x.double())
            change = (y - x[:, :3]).abs().max() if y.shape[2:] == x.shape[2:] else math.nan
            print(f"{name} {height}x{width}: largest {y.abs().max():.3f}, of the change {change:.3f}")
            np.save(HERE / name / f"{height}x{width}.in.npy", x[0].numpy())
            np.save(HERE / name / f"{height}x{width}.out.npy", y[0].numpy().astype(stored))


main()
