#!/usr/bin/env python3
"""Writes the golden cases of this folder: random checkpoints in the published layouts, and what PyTorch computes.

Needs PyTorch (Debian: python3-torch python3-numpy). Arrays are channels first: (channels, height, width); float32,
but for output_f64.npy, which the same parameters give in double precision. PyTorch 1.13 makes the same parameters
and inputs as are here, to the bit; its outputs differ in rounding from one processor to the next.
"""
import pathlib
import sys

import numpy as np
import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "weights"))
from mirnet_torch import DualAttention, Down2, Fusion, MIRNet, MultiScaleBlock, ResidualGroup, Up2  # noqa: E402

BLOCKS = {DualAttention: "dual_attention", Down2: "down", Up2: "up", Fusion: "fusion",
          MultiScaleBlock: "multi_scale_block", ResidualGroup: "residual_group"}


def save(path, tensor):
    np.save(path, tensor.detach().squeeze(0).numpy())


def record_blocks(model, folder):
    """Saves what goes into and comes out of the first block of each kind; returns where each was found."""
    seen = {}

    def hook_for(kind, path):
        def hook(_module, inputs, output):
            if kind in seen:
                return
            seen[kind] = path
            arguments = inputs[0] if isinstance(inputs[0], (list, tuple)) else inputs
            for i, argument in enumerate(arguments):
                save(folder / f"{kind}.in{i}.npy", argument)
            save(folder / f"{kind}.out.npy", output)
        return hook

    for path, module in model.named_modules():
        if type(module) in BLOCKS:
            module.register_forward_hook(hook_for(BLOCKS[type(module)], path))
    return seen


def case(name, model, height, width, blocks=True, legacy=False, pad=1):
    """The image is padded to multiples of `pad` in height and width, and the result cropped."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    torch.manual_seed(20201)
    for p in model.parameters():
        torch.nn.init.kaiming_uniform_(p, a=1.5) if p.dim() == 4 else torch.nn.init.uniform_(p, 0.05, 0.4)
    model.eval()
    x = torch.rand(1, 3, height, width)
    seen = record_blocks(model, folder) if blocks else {}
    down, right = -height % pad, -width % pad

    def restored(image):
        return model(F.pad(image, (0, right, 0, down), mode="reflect"))[..., :height, :width]

    with torch.no_grad():
        y = restored(x)
        save(folder / "input.npy", x)
        save(folder / "output.npy", y)
        if blocks:
            (folder / "blocks.txt").write_text("".join(f"{kind}\t{path}\n" for kind, path in seen.items()))
        # The authors' layout: a network that was trained on several devices, inside of a training state.
        state = {"module." + key: value for key, value in model.state_dict().items()}
        # No parameter tells of cells of pixels: a training of ours notes them.
        config = {"config": {"unshuffle": model.unshuffle}} if model.unshuffle > 1 else {}
        torch.save({"epoch": 1, **config, "state_dict": state, "optimizer": {}}, folder / "model.pth",
                   _use_new_zipfile_serialization=not legacy)
        model.double()
        save(folder / "output_f64.npy", restored(x.double()))
    print(name, sum(p.numel() for p in model.parameters()), "parameters, largest residual", float((y - x).abs().max()))


if __name__ == "__main__":
    case("v1_w16_blocks", MIRNet(16, 1, 1), 20, 28)
    case("v1_w8_legacy", MIRNet(8, 2, 2), 16, 12, blocks=False, legacy=True)
    case("v1_w24_two_streams", MIRNet(24, 1, 1, streams=2, columns=3), 12, 20)
    case("v1_w8_four_streams", MIRNet(8, 1, 1, streams=4), 24, 16)
    case("v1_w8_unshuffle", MIRNet(8, 1, 1, unshuffle=2), 21, 27, blocks=False, pad=8)
