"""Import this first: it makes sure of the modules that training needs, and finds those of this project.

Debian's modules are for Debian's Python: where another one comes first in the PATH and has none, the tests move on to
it. Exit code 77, for "skipped", where it has none either.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

try:
    import numpy  # noqa: F401
    import torch
    from PIL import Image  # noqa: F401
except ImportError as error:
    if os.path.exists("/usr/bin/python3") and not os.path.samefile(sys.executable, "/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])
    print(f"skipped: no Python module {error.name}")
    sys.exit(77)

torch.set_num_threads(1)
sys.path[:0] = [str(ROOT / "weights" / "train"), str(ROOT / "weights")]
