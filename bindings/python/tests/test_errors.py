"""What is refused, with which class of exception and which sentence."""
import errno
import os
import pathlib

import numpy as np
import pytest

import mirnet
from pictures import noisy


def refused(error, sentence, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("array, error, sentence", [
    (np.zeros((8, 8, 3)), TypeError, "the dtype of array is float64; expected uint8 (0 to 255)"),
    (np.zeros((8, 8), np.int64), TypeError, "the dtype of array is int64; expected"),
    (np.zeros((8, 8), bool), TypeError, "the dtype of array is bool; expected"),
    (np.zeros((8, 8), np.float16), TypeError, "the dtype of array is float16; expected"),
    (np.zeros((8, 8), np.int8), TypeError, "the dtype of array is int8; expected"),
    (np.zeros((8, 8), "U3"), TypeError, "the dtype of array is <U3; expected"),
    ([[1, 2], [3, 4]], TypeError, "the dtype of array is int64; expected"),
    (None, TypeError, "the dtype of array is object; expected"),
    ("a.png", TypeError, "the dtype of array is <U5; expected"),
    (np.ma.masked_equal(np.zeros((8, 8), np.uint8), 1), TypeError, "array is a masked array, whose mask would be lost"),
    (np.zeros(8, np.uint8), ValueError,
     "array has the shape (8,); expected (height, width), or (height, width, channels) with 1 to 4 channels"),
    (np.zeros((), np.uint8), ValueError, "array has the shape (); expected"),
    (np.zeros((8, 8, 5), np.uint8), ValueError, "array has the shape (8, 8, 5); expected"),
    (np.zeros((8, 8, 0), np.uint8), ValueError, "array has the shape (8, 8, 0); expected"),
    (np.zeros((1, 8, 8, 3), np.uint8), ValueError, "array has the shape (1, 8, 8, 3); expected"),
    (np.zeros((0, 8), np.uint8), ValueError, "height is 0; expected a whole number from 1"),
    (np.zeros((8, 0, 3), np.uint8), ValueError, "width is 0; expected a whole number from 1"),
])
def test_arrays(array, error, sentence):
    refused(error, sentence, mirnet.denoise, array)


@pytest.mark.parametrize("options, error, sentence", [
    ({"strength": 1.5}, ValueError, "strength is 1.5"),
    ({"strength": -0.1}, ValueError, "strength is -0.1"),
    ({"strength": float("nan")}, ValueError, "strength is nan"),
    ({"strength": "1"}, TypeError, "strength is '1'; expected a number"),
    ({"strength": None}, TypeError, "strength is None; expected a number"),
    ({"keep_grain": 2}, ValueError, "keep_grain is 2"),
    ({"keep_grain": 1j}, TypeError, "keep_grain is 1j; expected a number"),
    ({"precision": "fp16"}, ValueError, "precision is 'fp16'; expected 'auto', 'fp32' or 'bf16'"),
    ({"precision": 32}, TypeError, "precision is 32; expected 'auto', 'fp32' or 'bf16'"),
    ({"threads": 0}, ValueError, "threads is 0; expected a whole number from 1 to 1024, or None"),
    ({"threads": 2000}, ValueError, "threads is 2000; expected a whole number from 1 to 1024, or None"),
    ({"threads": 10**30}, ValueError, "threads is 1000000000000000000000000000000; expected"),
    ({"threads": 1.0}, TypeError, "threads is 1.0; expected a whole number, or None"),
    ({"tile": "on"}, ValueError, "tile is 'on'; expected a number of pixels, 'off' or None"),
    ({"tile": -1}, ValueError, "tile is -1; expected"),
    ({"tile": 100}, ValueError, "tile is 100; expected a whole number from 256 to 2147483647, 'off' or None"),
    ({"tile": 300.0}, TypeError, "tile is 300.0; expected"),
    ({"progress": 3}, TypeError, "progress is 3; expected a function of one number, or None"),
])
def test_options(image, options, error, sentence):
    refused(error, sentence, mirnet.denoise, image, **options)


def test_outputs(model, image):
    shape = image.shape
    read_only = np.zeros(shape, np.uint8)
    read_only.setflags(write=False)
    for out, error, sentence in [
            (read_only, ValueError, "out is read-only; expected an array that can be written"),
            (np.zeros((48, 63, 3), np.uint8), ValueError,
             "out has the shape (48, 63, 3); expected that of array, (48, 64, 3)"),
            (np.zeros(shape, np.uint16), ValueError, "the dtype of out is uint16; expected that of array, uint8"),
            (np.zeros((48, 128, 3), np.uint8)[:, ::2], ValueError,
             "out has the strides (384, 6, 1); expected contiguous samples in each row"),
            (np.broadcast_to(np.zeros((1, 64, 3), np.uint8), shape), ValueError, "out is read-only"),
            (np.lib.stride_tricks.as_strided(np.zeros(shape, np.uint8), shape, (0, 3, 1)), ValueError,
             "out has the strides (0, 3, 1); expected"),
            (bytearray(image.nbytes), TypeError, "out is of the type bytearray; expected a numpy array without a mask"),
            (np.ma.zeros(shape, np.uint8), TypeError,
             "out is of the type MaskedArray; expected a numpy array without a mask"),
            (image, ValueError, "out has memory in common with the input; expected separate memory"),
            (image[::-1], ValueError, "out has memory in common with the input; expected separate memory")]:
        refused(error, sentence, model.run, image, out=out)
    both = np.zeros((96, 64, 3), np.uint8)
    refused(ValueError, "out has memory in common with the input", model.run, both[:48], out=both[40:88])
    gray = noisy(48, 64)
    refused(ValueError, "out has the shape (48, 64, 1); expected that of array, (48, 64)", model.run, gray,
            out=np.zeros((48, 64, 1), np.uint8))
    model.run(both[:48], out=both[48:])


def test_big_endian_outputs(model):
    image = noisy(48, 64, 3, np.uint16)
    refused(ValueError, "the dtype of out is >u2; expected that of array, uint16", model.run, image,
            out=np.zeros(image.shape, ">u2"))


def test_arrays_that_do_not_reach_the_library(model):
    """The package copies or refuses these arrays. The extension module does not rely on that."""
    plan = model.plan(48, 64, dtype=np.uint16)
    canvas = np.zeros((96, 128, 4), np.uint16)
    strided = np.lib.stride_tricks.as_strided
    shape = (48, 64, 3)
    for array, sentence in [
            (canvas[:48, :64], "not an image of the plan's format"),
            (canvas[:48, :64, 0], "not an image of the plan's format"),
            (canvas[:47, :64, :3].copy(), "not an image of the plan's format"),
            (np.zeros(shape, np.int16), "not an image of the plan's format"),
            (np.zeros(shape, ">u2"), "not an image of the plan's format"),
            (canvas[:48, :64, :3], "not side by side in rows of their own"),
            (np.zeros(shape, np.uint16)[:, ::-1], "not side by side in rows of their own"),
            (np.zeros(shape, np.uint16)[..., ::-1], "not side by side in rows of their own"),
            (strided(canvas, shape, (0, 6, 2)), "not side by side in rows of their own"),
            (strided(canvas, shape, (6, 6, 2)), "the stride is 6; expected at least the 384 bytes of a row"),
            (strided(canvas, shape, (385, 6, 2)), "not an image of the plan's format"),
            (np.zeros(48 * 64 * 6 + 1, np.uint8)[1:].view(np.uint16).reshape(shape),
             "not an image of the plan's format")]:
        other = np.zeros(shape, np.uint16)
        refused(ValueError, sentence, plan._plan.run, array, other, None, 1.0, 0.0, None)
        refused(ValueError, sentence, plan._plan.run, other, array, None, 1.0, 0.0, None)


def test_plans(model, image):
    for arguments, error, sentence in [
            ((0, 8), ValueError, "height is 0; expected a whole number from 1 to 2147483647"),
            ((8, 2**31), ValueError, "width is 2147483648; expected a whole number from 1 to 2147483647"),
            ((8, 8.0), TypeError, "width is 8.0; expected a whole number"),
            ((8, 8, 5), ValueError, "channels is 5; expected a whole number from 1 to 4"),
            ((8, 8, 3, np.float64), TypeError, "dtype is float64; expected uint8")]:
        refused(error, sentence, model.plan, *arguments)
    plan = model.plan(48, 64)
    refused(ValueError, "the dtype of array is uint16; expected the plan's, uint8", plan.run,
            noisy(48, 64, 3, np.uint16))
    refused(ValueError, "array has the shape (64, 48, 3); expected the plan's, (48, 64, 3)", plan.run, noisy(64, 48, 3))
    refused(ValueError, "array has the shape (48, 64); expected the plan's, (48, 64, 3)", plan.run, noisy(48, 64))
    refused(ValueError, "expected the plan's, (48, 64, 1) or (48, 64)", model.plan(48, 64, 1).run, image)
    refused(ValueError, "runs is 0; expected a whole number from 1", plan.profile, 0)
    refused(ValueError, "right is an image; expected None: the model takes one view", plan.run, image, right=image)


def test_two_views(weights_of_two_views, image):
    model = mirnet.Model.load(weights_of_two_views)
    refused(ValueError, "right is None; expected the right view: the model takes two views", model.run, image)
    refused(ValueError, "the dtype of right is uint16; expected the plan's, uint8", model.run, image,
            right=noisy(48, 64, 3, np.uint16))
    refused(ValueError, "right has the shape (48, 60, 3); expected the plan's, (48, 64, 3)", model.run, image,
            right=noisy(48, 60, 3))
    right = image.copy()
    refused(ValueError, "out has memory in common with the input", model.run, image, right=right, out=right)


def test_memory(model):
    refused(MemoryError, "most_memory is 100000", model.plan, 1000, 1000, most_memory=100_000)
    refused(MemoryError, "", model.plan, 2**31 - 1, 2**31 - 1, tile="off")
    refused(ValueError, "most_memory is 0; expected a whole number from 1", model.plan, 1000, 1000, most_memory=0)
    need = model.plan(1000, 1000).memory
    assert model.plan(1000, 1000, most_memory=need).memory == need


def test_weight_files(tmp_path):
    content = mirnet.WEIGHTS.read_bytes()
    damaged = tmp_path / "damaged.mirw"
    damaged.write_bytes(content[:-100] + bytes(100))
    refused(mirnet.ModelError, "damaged.mirw", mirnet.Model.load, damaged)
    refused(mirnet.ModelError, "", mirnet.Model.load, content[:1000])
    refused(mirnet.ModelError, "", mirnet.Model.load, b"")
    refused(mirnet.Error, "", mirnet.Model.load, b"no weights")
    missing = tmp_path / "missing.mirw"
    for path in missing, str(missing):
        with pytest.raises(FileNotFoundError, match="missing.mirw") as caught:
            mirnet.Model.load(path)
        assert caught.value.errno == errno.ENOENT
    refused(IsADirectoryError, str(tmp_path), mirnet.Model.load, tmp_path)
    refused(ValueError, "null character", mirnet.Model.load, "a\0b")
    refused(TypeError, "", mirnet.Model.load, 5)
    if os.geteuid() != 0:
        damaged.chmod(0)
        refused(PermissionError, "damaged.mirw", mirnet.Model.load, damaged)


def test_names_of_files_in_any_encoding(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\xfe weights.mirw"
    with pytest.raises(FileNotFoundError):
        mirnet.Model.load(os.fsdecode(name))
    try:
        pathlib.Path(os.fsdecode(name)).write_bytes(mirnet.WEIGHTS.read_bytes()[:500])
    except OSError:
        pytest.skip("the file system does not take such names")
    refused(mirnet.ModelError, "weights.mirw", mirnet.Model.load, os.fsdecode(name))


def test_model_options():
    refused(ValueError, "mmx", mirnet.Model.load, isa="mmx")
    refused(TypeError, "isa is 3; expected the name of an instruction set, or None", mirnet.Model.load, isa=3)
    refused(ValueError, "algorithm is 'fft'; expected 'auto' or 'direct'", mirnet.Model.load, algorithm="fft")
    refused(ValueError, "precision is 'int8'", mirnet.Model.load, precision="int8")


def test_classes():
    assert issubclass(mirnet.Error, RuntimeError) and issubclass(mirnet.ModelError, mirnet.Error)
    assert mirnet.ModelError.__module__ == "mirnet" and mirnet.Error.__doc__ and mirnet.ModelError.__doc__


def test_objects_that_are_not_made_directly():
    refused(TypeError, "mirnet.Model.load loads a weight file", mirnet.Model)
    refused(TypeError, "mirnet.Model.plan makes a plan", mirnet.Plan)
