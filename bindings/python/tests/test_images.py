"""What arrays may look like, and that they are read and written where they are."""
import tracemalloc

import numpy as np
import pytest

import mirnet
from pictures import noisy

SHAPES = [(40, 56), (40, 56, 1), (40, 56, 2), (40, 56, 3), (40, 56, 4), (1, 1), (1, 70, 3), (70, 1, 3)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_results_have_the_shape_and_dtype_of_the_input(model, shape, dtype):
    image = noisy(*shape, dtype=dtype)
    before = image.copy()
    result = model.run(image)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    assert np.array_equal(image, before)
    if len(shape) == 3 and shape[2] in (2, 4):
        assert np.array_equal(result[..., -1], image[..., -1])
    if shape[:2] == (40, 56):
        assert not np.array_equal(result, image)


def test_gray_is_the_same_with_and_without_an_axis_of_channels(model):
    image = noisy(40, 56)
    assert np.array_equal(model.run(image)[..., None], model.run(image[..., None]))


def test_noise_goes(model):
    y, x = np.mgrid[:96, :96]
    clean = np.stack([100 + 50 * np.sin(x / 30), 120 + 40 * np.cos(y / 25), 90 + 0.5 * (x + y)], -1)
    image = (clean + np.random.default_rng(3).normal(0, 25, clean.shape)).clip(0, 255).round().astype(np.uint8)
    error_before, error_after = (np.square(each - clean).mean() for each in (image, model.run(image).astype(float)))
    assert error_after < error_before / 10


def test_depths_agree(model):
    image = noisy(48, 64, 3)
    of_bytes = model.run(image).astype(float)
    assert np.abs(model.run(image.astype(np.uint16) * 257) / 257 - of_bytes).max() < 0.51
    assert np.abs(model.run((image / 255).astype(np.float32)) * 255.0 - of_bytes).max() < 0.51 or of_bytes.max() == 255


def test_float_values_outside_are_kept(model):
    image = noisy(48, 64, 3, np.float32) * 2 - 0.5
    result = model.run(image, 0.0)
    assert result.min() < 0 and result.max() > 1


VIEWS = {
    "rows reversed": lambda a: a[::-1],
    "every other row": lambda a: a[::2],
    "a part": lambda a: a[5:45, 7:60],
    "a part, rows reversed": lambda a: a[45:5:-1, 7:60],
    "columns reversed": lambda a: a[:, ::-1],
    "every other column": lambda a: a[:, ::2],
    "channels reversed": lambda a: a[..., ::-1],
    "transposed": lambda a: a.swapaxes(0, 1),
    "Fortran order": np.asfortranarray,
    "planes": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 2, 0)), 0, 2),
    "one row again and again": lambda a: np.broadcast_to(a[:1], a.shape),
    "rows that overlap": lambda a: np.lib.stride_tricks.as_strided(a, (20, 30, a.shape[2]),
                                                                   (10 * a.strides[1], *a.strides[1:])),
    "one row": lambda a: a[3:4, ::-1],
    "one column": lambda a: a[:, 3:4],
    "one channel": lambda a: a[..., 1],
    "one channel, with its axis": lambda a: a[..., 1:2],
    "two channels": lambda a: a[..., :2],
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("name", VIEWS)
def test_views_are_the_arrays_that_they_show(model, name, dtype):
    view = VIEWS[name](noisy(48, 64, 4, dtype))
    assert np.array_equal(model.run(view), model.run(np.array(view, order="C")))


@pytest.mark.parametrize("name", ["rows reversed", "a part", "a part, rows reversed", "every other row"])
def test_results_are_written_where_they_are_wanted(model, image, name):
    for source in image, image[:, ::-1]:  # where it is, and copied
        for canvas in np.full((48, 64, 3), 7, np.uint8), np.full((48, 64, 3), 9, np.uint8):
            out = VIEWS[name](canvas)
            expected = model.run(VIEWS[name](source))
            inside = np.zeros(canvas.shape, bool)
            VIEWS[name](inside)[:] = True
            around = canvas[~inside].copy()
            assert model.run(VIEWS[name](source), out=out) is out
            assert np.array_equal(out, expected)
            assert np.array_equal(canvas[~inside], around)


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<u2", "<f4"])
def test_any_byte_order(model, dtype):
    image = noisy(40, 56, 3, np.dtype(dtype).newbyteorder("=").type)
    result = model.run(image.astype(dtype))
    assert np.array_equal(result, model.run(image)) and result.dtype.isnative


def test_samples_that_are_not_aligned(model):
    image = noisy(40, 56, 3, np.float32)
    shifted = np.frombuffer(b"?" + image.tobytes(), np.uint8)[1:].view(np.float32).reshape(image.shape)
    records = np.zeros((40, 56), np.dtype([("pad", np.uint8), ("rgb", np.float32, 3)]))
    records["rgb"] = image
    for unaligned in shifted, records["rgb"]:
        assert not unaligned.flags.aligned
        assert np.array_equal(model.run(unaligned), model.run(image))


def test_two_views(weights_of_two_views):
    model = mirnet.Model.load(weights_of_two_views)
    left, right = noisy(40, 56, 3), noisy(40, 56, 3, seed=2)
    expected = model.run(left, right=right)
    assert not np.array_equal(expected, model.run(left, right=left))
    both = np.concatenate([left, right], axis=1)
    assert np.array_equal(model.run(both[:, :56], right=both[:, 56:]), expected)
    assert np.array_equal(model.run(left, right=np.asfortranarray(right)), expected)


def test_what_numpy_makes_an_array_of(model, image):
    class Picture:
        def __array__(self, dtype=None, copy=None):
            return image

    expected = model.run(image)
    assert np.array_equal(model.run(Picture()), expected)
    assert np.array_equal(model.run(memoryview(image)), expected)


def test_inputs_may_be_read_only(model, image, tmp_path):
    expected = model.run(image)
    image.tofile(tmp_path / "image")
    mapped = np.memmap(tmp_path / "image", np.uint8, "r", shape=image.shape)
    assert np.array_equal(model.run(mapped), expected)
    image.setflags(write=False)
    assert np.array_equal(model.run(image), expected)


def test_a_part_of_an_image_next_to_the_input(model, image):
    """Input and output are parts of one array, and have no sample in common."""
    both = np.concatenate([image, np.zeros_like(image)], axis=1)
    model.run(both[:, :64], out=both[:, 64:])
    assert np.array_equal(both[:, 64:], model.run(image))
    assert np.array_equal(both[:, :64], image)


def peak(function):
    """The memory that numpy and Python take for a call at most."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_nothing_is_copied_where_the_layout_allows(model):
    canvas = noisy(200, 220, 3)
    out = np.empty((160, 180, 3), np.uint8)
    plan = model.plan(160, 180)
    plan.run(canvas[:160, :180], out=out)
    for part in canvas[20:180, 30:210], canvas[180:20:-1, 30:210], np.ascontiguousarray(canvas[:160, :180]):
        assert peak(lambda: plan.run(part, out=out)) < out.nbytes / 4
    assert peak(lambda: plan.run(canvas[:160, :180])) < out.nbytes * 5 / 4  # the result
    assert peak(lambda: plan.run(canvas[:160, 180:0:-1], out=out)) > out.nbytes  # a copy: so it would be noticed


def test_results_do_not_share_memory(model, image):
    assert not np.shares_memory(model.run(image, 0.0), image)


def test_strength(model, image):
    assert np.array_equal(model.run(image, 0), image)
    whole, half = (model.run(image, strength).astype(int) for strength in (1, 0.5))
    assert np.abs(half - (whole + image) / 2).max() <= 1
    assert np.array_equal(mirnet.denoise(image, 0.5), model.run(image, np.float32(0.5)))


def test_keep_grain(model, image):
    """What is left out is the change in brightness."""
    def changes(**options):
        change = model.run(image.astype(np.float32) / 255, **options) - image.astype(np.float32) / 255
        brightness = change @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.abs(brightness).mean(), np.abs(change - brightness[..., None]).mean()

    brightness, colour = changes()
    kept_brightness, kept_colour = changes(keep_grain=1.0)
    assert kept_brightness < brightness / 4 and kept_colour > colour / 2
