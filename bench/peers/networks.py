"""The networks of compare.py in PyTorch."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "weights"), str(ROOT / "examples/networks")]

from mirnet_torch import MIRNet  # noqa: E402
from networks_torch import DnCNN  # noqa: E402


def make(name, arguments):
    """arguments: features, groups and blocks of MIRNet."""
    return DnCNN() if name == "dncnn" else MIRNet(*arguments)
