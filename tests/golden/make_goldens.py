#!/usr/bin/env python3
"""Writes the golden cases of this folder: random checkpoints in the published layouts, and what PyTorch computes.

Needs PyTorch (Debian: python3-torch python3-numpy). Arrays are channels first: (channels, height, width); float32,
but for output_f64.npy and v2_sizes/*.out.npy, which the same parameters give in double precision. PyTorch 1.13 makes
the same parameters and inputs as are here, to the bit; its outputs differ in rounding from one processor to the next.
"""
import pathlib
import sys

import numpy as np
import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "weights"))
from mirnet_torch import DualAttention, Down2, Fusion, MIRNet, MultiScaleBlock, ResidualGroup, Up2  # noqa: E402
from mirnet_v2_torch import MIRNetV2  # noqa: E402

BLOCKS = {DualAttention: "dual_attention", Down2: "down", Up2: "up", Fusion: "fusion",
          MultiScaleBlock: "multi_scale_block", ResidualGroup: "residual_group"}
# Between them, the context blocks have each number of convolution groups and of channels.
V2_BLOCKS = {"body.0.body.0.dau_top": "residual_context", "body.1.body.0.dau_mid": "residual_context_2",
             "body.2.body.0.dau_bot": "residual_context_4", "body.0.body.0.down2.body.0": "down",
             "body.0.body.0.up32_1.body.0": "up", "body.0.body.0.skff_top": "fusion",
             "body.1.body.0": "multi_scale_block", "body.2": "residual_group"}


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

    is_v2 = isinstance(model, MIRNetV2)
    for path, module in model.named_modules():
        kind = V2_BLOCKS.get(path) if is_v2 else BLOCKS.get(type(module))
        if kind is not None:
            module.register_forward_hook(hook_for(kind, path))
    return seen


def restored(model, image, pad):
    """The image is continued at the right and below to multiples of `pad`, and the result cropped."""
    height, width = image.shape[2:]
    padded = image
    for side, lacking, sides in ((height, -height % pad, (0, 0, 0, 1)), (width, -width % pad, (0, 1, 0, 0))):
        # Where there is too little to reflect, the edge is repeated.
        mode = "reflect" if lacking < side else "replicate"
        padded = F.pad(padded, [lacking * at for at in sides], mode=mode)
    return model(padded)[..., :height, :width]


def initialize(model, mask):
    """Random parameters. The weights of MIRNet-v2's masks are `mask` times as large, so that its softmax tells pixels
    apart.
    """
    torch.manual_seed(20201)
    for name, p in model.named_parameters():
        if p.dim() == 4:
            torch.nn.init.kaiming_uniform_(p, a=1.5)
            if "conv_mask" in name:
                p.data *= mask
        else:
            torch.nn.init.uniform_(p, *((-0.3, 0.3) if name.endswith("bias") else (0.05, 0.4)))


def checkpoint(model):
    """In the authors' layouts: of MIRNet, a network that was trained on several devices, inside of a training state."""
    if isinstance(model, MIRNetV2):
        return {"params": model.state_dict()}
    # No parameter tells of cells of pixels: a training of ours notes them.
    config = {"config": {"unshuffle": model.unshuffle}} if model.unshuffle > 1 else {}
    state = {"module." + key: value for key, value in model.state_dict().items()}
    return {"epoch": 1, **config, "state_dict": state, "optimizer": {}}


def report(what, model, x, y):
    # Of a network that does not add the image, what matters is the output.
    is_residual = not getattr(model, "defocus", False)
    largest = float((y - x if is_residual else y).abs().max())
    print(f"{what}: {sum(p.numel() for p in model.parameters())} parameters, largest "
          f"{'residual' if is_residual else 'output'} {largest:.4f}")
    return largest


def case(name, model, height, width, blocks=True, legacy=False, pad=1, mask=1, half=False):
    """With `half`, the numbers of the checkpoint have 16 bits. Returns the network in double precision."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    initialize(model, mask)
    if half:
        model.half().float()
    model.eval()
    x = torch.rand(1, model.conv_in.in_channels if isinstance(model, MIRNetV2) else 3, height, width)
    seen = record_blocks(model, folder) if blocks else {}
    with torch.no_grad():
        y = restored(model, x, pad)
        save(folder / "input.npy", x)
        save(folder / "output.npy", y)
        if blocks:
            (folder / "blocks.txt").write_text("".join(f"{kind}\t{path}\n" for kind, path in seen.items()))
        torch.save(checkpoint(model.half() if half else model), folder / "model.pth",
                   _use_new_zipfile_serialization=not legacy)
        model.double()
        exact = restored(model, x.double(), pad)
        save(folder / "output_f64.npy", exact)
    largest = report(name, model, x, y)
    print(f"    in which float32 is wrong by {float((y - exact).abs().max()) / largest:.1e}")
    return model


def other_sizes(name, model, sizes, pad):
    """The network on images of other sizes."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for height, width in sizes:
        x = torch.rand(1, 3, height, width)
        with torch.no_grad():
            y = restored(model, x.double(), pad)
        save(folder / f"{height}x{width}.in.npy", x)
        save(folder / f"{height}x{width}.out.npy", y)
        report(f"{name} {height}x{width}", model, x, y)


if __name__ == "__main__":
    case("v1_w16_blocks", MIRNet(16, 1, 1), 20, 28)
    case("v1_w8_legacy", MIRNet(8, 2, 2), 16, 12, blocks=False, legacy=True)
    case("v1_w24_two_streams", MIRNet(24, 1, 1, streams=2, columns=3), 12, 20)
    case("v1_w8_four_streams", MIRNet(8, 1, 1, streams=4), 24, 16)
    case("v1_w8_unshuffle", MIRNet(8, 1, 1, unshuffle=2), 21, 27, blocks=False, pad=8)
    case("v2_w16", MIRNetV2(16, 1), 20, 28, pad=4)
    biased = case("v2_w16_bias", MIRNetV2(16, 1, bias=True), 21, 27, pad=4, mask=20)
    other_sizes("v2_sizes", biased, ((1, 1), (2, 3), (5, 1), (67, 131)), pad=4)
    case("v2_w16_defocus", MIRNetV2(16, 1, channels=6, defocus=True), 19, 25, blocks=False, pad=4, mask=20, half=True)
    case("v2_w16_two_blocks", MIRNetV2(16, 2), 18, 23, blocks=False, pad=4, mask=20, half=True)
    case("v2_w32", MIRNetV2(32, 1), 22, 33, blocks=False, pad=4, mask=20, half=True)
