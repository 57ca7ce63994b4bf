"""The networks of compare.py in PyTorch."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "weights"), str(ROOT / "examples/networks")]

import torch  # noqa: E402

from mirnet_torch import MIRNet  # noqa: E402
from mirnet_v2_torch import MIRNetV2  # noqa: E402
from networks_torch import DnCNN, NAFNet  # noqa: E402


def make(name, features, groups, blocks):
    """MIRNet-v2 has four groups, and own networks always the same layers."""
    return {"mirnet": lambda: MIRNet(features, groups, blocks), "mirnet-v2": lambda: MIRNetV2(features, blocks),
            "dncnn": DnCNN, "nafnet": NAFNet}[name]()


def randomize(name, network):
    """Parameters with which no part of the network is negligible."""
    init = torch.nn.init
    for key, p in network.named_parameters():
        if name == "nafnet":
            if key.endswith(("beta", "gamma")):
                init.uniform_(p, -0.5, 0.5)
            elif "norm" in key:
                init.uniform_(p, *((0.5, 1.5) if key.endswith("weight") else (-0.2, 0.2)))
        elif name != "dncnn":
            init.kaiming_uniform_(p, a=1.5) if p.dim() == 4 else init.uniform_(p, 0.05, 0.4)
