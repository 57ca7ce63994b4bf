"""The networks of compare.py in PyTorch."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "weights"), str(ROOT / "examples/networks")]

from mirnet_torch import MIRNet  # noqa: E402
from mirnet_v2_torch import MIRNetV2  # noqa: E402
from networks_torch import DnCNN  # noqa: E402


def make(name, features, groups, blocks):
    """MIRNet-v2 has four groups, and DnCNN always the same layers."""
    return {"mirnet": lambda: MIRNet(features, groups, blocks), "mirnet-v2": lambda: MIRNetV2(features, blocks),
            "dncnn": DnCNN}[name]()
