"""The program mirnet and this package give the same bits, with each instruction set and precision of the machine."""
import numpy as np
import pytest

import mirnet
from pictures import SANITIZED, noisy, read_pam, read_pfm, write_pfm, write_png

FORMATS = {
    "8-bit RGB": (3, np.uint8),
    "8-bit gray": (None, np.uint8),
    "16-bit RGB and alpha": (4, np.uint16),
    "32-bit RGB": (3, np.float32),
}
MORE_FORMATS = {
    "8-bit RGB and alpha": (4, np.uint8),
    "8-bit gray and alpha": (2, np.uint8),
    "16-bit RGB": (3, np.uint16),
    "16-bit gray": (None, np.uint16),
    "32-bit gray": (None, np.float32),
}


def of_program(program, folder, image, *options):
    """What the program makes of an image, through files; None if it refuses the options."""
    kind = "pfm" if image.dtype == np.float32 else "pam"
    source, target = folder / ("in.pfm" if kind == "pfm" else "in.png"), folder / f"out.{kind}"
    (write_pfm if kind == "pfm" else write_png)(source, image)
    result = program("denoise", source, "-o", target, "--overwrite", "--quiet", *options)
    if result.returncode == 2:
        return None
    assert (result.returncode, result.stderr) == (0, "")
    return (read_pfm if kind == "pfm" else read_pam)(target).reshape(image.shape)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("isa", mirnet.instruction_sets())
def test_every_instruction_set(program, tmp_path, isa, precision):
    formats = dict(FORMATS)
    if isa == mirnet.instruction_sets()[0] and not SANITIZED:
        formats.update(MORE_FORMATS)
    for name, (channels, dtype) in formats.items():
        image = noisy(52, 75, channels, dtype)
        expected = of_program(program, tmp_path, image, "--isa", isa, "--precision", precision)
        if expected is None:
            with pytest.raises(ValueError):
                mirnet.Model.load(isa=isa, precision=precision)
        else:
            assert np.array_equal(mirnet.Model.load(isa=isa, precision=precision).run(image), expected), name


def test_defaults(program, tmp_path, image):
    assert np.array_equal(mirnet.denoise(image), of_program(program, tmp_path, image))


@pytest.mark.parametrize("strength, keep_grain", [(0.7, 0.0), (1.0, 0.5), (0.35, 0.8), (0.0, 0.0), (1.0, 1.0)])
def test_strength_and_grain(program, tmp_path, image, strength, keep_grain):
    expected = of_program(program, tmp_path, image, "--strength", strength, "--keep-grain", keep_grain)
    assert np.array_equal(mirnet.denoise(image, strength, keep_grain=keep_grain), expected)


@pytest.mark.parametrize("tile, option", [(256, "256"), ("off", "off"), (None, "auto")])
def test_tiles(program, tmp_path, tile, option):
    image = noisy(90, 300, 3) if SANITIZED else noisy(280, 400, 3)
    expected = of_program(program, tmp_path, image, "--tile", option)
    assert np.array_equal(mirnet.denoise(image, tile=tile), expected)
    assert np.array_equal(mirnet.denoise(image, tile=tile, threads=3), expected)


def test_two_views(program, tmp_path, weights_of_two_views):
    left, right = noisy(60, 70, 3), noisy(60, 70, 3, seed=2)
    write_png(tmp_path / "right.png", right)
    expected = of_program(program, tmp_path, left, "--weights", weights_of_two_views, "--right", tmp_path / "right.png")
    model = mirnet.Model.load(weights_of_two_views)
    assert (model.network, model.views) == ("MIRNet-v2", 2)
    assert np.array_equal(model.run(left, right=right), expected)


def test_algorithm(program, tmp_path, image):
    expected = of_program(program, tmp_path, image, "--algorithm", "direct", "--precision", "fp32")
    assert np.array_equal(mirnet.Model.load(precision="fp32", algorithm="direct").run(image), expected)


def test_instruction_sets(program):
    lines = [line for line in program("info").stdout.splitlines() if line.startswith("instruction sets built in")]
    assert len(lines) == 1 and all(name in lines[0] for name in mirnet.instruction_sets())


def test_version(program):
    assert program("--version").stdout.split()[1].rstrip(",") == mirnet.__version__
