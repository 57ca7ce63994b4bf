"""MIRNet as it is trained: the network of ../mirnet_torch.py, parameter names and numbers unchanged, with the parts
that PyTorch computes slowly put differently, and ways to start a larger network from a smaller one."""
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mirnet_torch  # noqa: E402 - it lies in the folder above

DEFAULTS = {"width": 16, "groups": 1, "blocks": 1, "streams": 3, "columns": 2, "unshuffle": 1}


class SlicedBlur(nn.Module):
    """mirnet_torch.BlurPool in two passes over slices. PyTorch's depthwise convolution has a slow backward pass."""

    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        rows = x[:, :, 0:-2:2] + 2 * x[:, :, 1:-1:2] + x[:, :, 2::2]
        return (rows[..., 0:-2:2] + 2 * rows[..., 1:-1:2] + rows[..., 2::2]) / 16


class PhasedTranspose(nn.Module):
    """ConvTranspose2d (3x3, stride 2) as one 2x2 convolution that computes the four pixels of each 2x2 output cell.

    An even row of the output sees the kernel's row 1, an odd one rows 2 and 0, and so do columns.
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        inputs, outputs = self.weight.shape[:2]
        # Row and column -1 of the kernel are the zeros put behind its last ones.
        rows = F.pad(self.weight, (0, 1, 0, 1))[:, :, [[1, 3], [2, 0]]]
        cells = rows[..., [[1, 3], [2, 0]]]  # inputs, outputs, phase y, tap y, phase x, tap x
        kernel = cells.permute(1, 2, 4, 0, 3, 5).reshape(4 * outputs, inputs, 2, 2)
        return F.pixel_shuffle(F.conv2d(F.pad(x, (0, 1, 0, 1)), kernel), 2)


def quicken(module):
    for name, child in module.named_children():
        if isinstance(child, mirnet_torch.BlurPool):
            setattr(module, name, SlicedBlur())
        elif isinstance(child, nn.ConvTranspose2d):
            setattr(module, name, PhasedTranspose(child.weight))
        else:
            quicken(child)
    return module


def build(config):
    """A network whose residual is 0, so that its first output is its input: that is where a denoiser starts best."""
    network = quicken(mirnet_torch.MIRNet(**config))
    with torch.no_grad():
        network.conv_out.weight.mul_(0.01)
        for group in network.body:
            for block in group.body[:-1]:
                block.conv_out.weight.mul_(0.1)
    return network


def load_checkpoint(path):
    """(config, state) of a file with 'config' and 'state_dict'. Only for files you trust: PyTorch unpickles them."""
    checkpoint = torch.load(path, map_location="cpu")
    config = dict(DEFAULTS)
    config.update({key: value for key, value in checkpoint["config"].items() if key in DEFAULTS})
    state = {name: value for name, value in checkpoint["state_dict"].items() if not name.endswith(".filt")}
    return config, state


def start_from(network, config, old_config, old_state):
    """Copies a trained network into one of the same width and unshuffling that is as deep or deeper.

    A block that the old network does not have becomes a copy of its last one with conv_out = 0, a group a copy of the
    last one with its closing convolution = 0. Both are residual, so the network computes what the old one did.
    """
    config, old_config = {**DEFAULTS, **config}, {**DEFAULTS, **old_config}
    for key in ("width", "streams", "columns", "unshuffle"):
        if config[key] != old_config[key]:
            raise ValueError(f"the checkpoint has {key} {old_config[key]}, the network to train {config[key]}: only "
                             "groups and blocks can be added")
    for key in ("groups", "blocks"):
        if config[key] < old_config[key]:
            raise ValueError(f"the checkpoint has {old_config[key]} {key}, the network to train only {config[key]}")
    state = {}
    for name in network.state_dict():
        parts = name.split(".")
        zero = False
        if parts[0] == "body":
            group, inner = int(parts[1]), int(parts[3])
            if group >= old_config["groups"]:
                parts[1] = str(old_config["groups"] - 1)
                zero = inner == config["blocks"]
            if inner == config["blocks"]:  # the convolution that closes a group
                parts[3] = str(old_config["blocks"])
            elif inner >= old_config["blocks"]:
                parts[3] = str(old_config["blocks"] - 1)
                zero = zero or parts[4] == "conv_out"
        value = old_state[".".join(parts)]
        state[name] = torch.zeros_like(value) if zero else value
    network.load_state_dict(state)
