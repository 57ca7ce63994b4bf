import pathlib
import subprocess
import sys

import numpy as np
import pytest

import mirnet
from pictures import noisy, program  # noqa: F401, a fixture


@pytest.fixture(scope="session")
def model():
    return mirnet.Model.load()


@pytest.fixture(scope="session")
def slow_model():
    """One whose runs last."""
    return mirnet.Model.load(precision="fp32", isa=mirnet.instruction_sets()[-1], algorithm="direct")


@pytest.fixture(scope="session")
def weights_of_two_views(tmp_path_factory):
    """A network for two views of a scene, with random weights."""
    project = pathlib.Path(__file__).parents[3]
    weights = tmp_path_factory.mktemp("weights") / "two_views.mirw"
    subprocess.run([sys.executable, "-B", project / "weights" / "convert.py",
                    project / "tests" / "golden" / "v2_w16_defocus" / "model.pth", weights], check=True,
                   stdout=subprocess.DEVNULL)
    return weights


@pytest.fixture
def image():
    return noisy(48, 64, 3)


@pytest.fixture(scope="session")
def large():
    """With the slow model, it takes seconds."""
    return np.tile(noisy(192, 192, 3), (4, 4, 1))
