"""Restores photographs with the MIRNet networks on the CPU.

    import mirnet
    clean = mirnet.denoise(noisy)

Images are numpy arrays in sRGB. Their shape is (height, width) for gray images, or (height, width, channels) with
1 channel (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha). Their dtype is uint8 (0 to 255), uint16 (0 to 65535)
or float32 (black is 0 and white is 1; values outside are kept). The result has the same shape and dtype. Alpha is
copied.

Results have the same bits as those of the program mirnet with the same weights, options and instruction set. They do
not depend on the number of threads.

Arrays are read in place if the samples of each row are contiguous. Rows may be apart, as in `image[10:20, 30:40]`, or
reversed, as in `image[::-1]`. Other arrays are copied first: those such as `image[:, ::2]` and `image[..., ::-1]`, and
those that are not aligned or not in the machine's byte order.

The GIL is released during a computation, and Ctrl-C ends it at once. Models and plans are immutable: any number of
threads may use one at the same time.

Errors: TypeError and ValueError for arguments that are not accepted, OSError for files that cannot be read, ModelError
for weight files that cannot be used, MemoryError, and Error for anything else. Each message says what was found and
what was expected.
"""
from __future__ import annotations

import atexit
import numbers
import operator
import os
import pathlib
import threading
from typing import Any, Callable, NoReturn, Optional, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _mirnet
from ._mirnet import Error, ModelError

__all__ = ["Error", "Model", "ModelError", "Plan", "WEIGHTS", "denoise", "instruction_sets", "profile"]

__version__: str = _mirnet.version

#: The weight file that comes with the package.
WEIGHTS = pathlib.Path(__file__).with_name("denoise.mirw")

Sample = TypeVar("Sample", np.uint8, np.uint16, np.float32)
Progress = Callable[[float], Any]
WeightFile = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]

_TYPES = {np.dtype(np.uint8): _mirnet.U8, np.dtype(np.uint16): _mirnet.U16, np.dtype(np.float32): _mirnet.F32}
_PRECISIONS = {"auto": _mirnet.PRECISION_AUTO, "fp32": _mirnet.FP32, "bf16": _mirnet.BF16}
_ALGORITHMS = {"auto": _mirnet.ALGORITHM_AUTO, "direct": _mirnet.DIRECT}
_MOST_INT32 = 2**31 - 1
_MOST_INT64 = 2**63 - 1
_MOST_THREADS = 1024
_SHORTEST_TILE = 256


def _choice(name: str, value: Any, choices: dict[str, int]) -> int:
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        raise (ValueError if isinstance(value, str) else TypeError)(
            f"{name} is {value!r}; expected {', '.join(others)} or {last}")
    return choices[value]


def _integer(name: str, value: Any, least: int = 1, most: int = _MOST_INT32, beside: str = "") -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected a whole number{beside}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} is {number}; expected a whole number from {least} to {most}{beside}")
    return number


def _real(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}; expected a number")
    return float(value)


def _sample_type(name: str, dtype: np.dtype[Any]) -> int:
    try:
        return _TYPES[dtype.newbyteorder("=")]
    except KeyError:
        raise TypeError(
            f"{name} is {dtype}; expected uint8 (0 to 255), uint16 (0 to 65535) or float32 (0 to 1)") from None


def _image(name: str, array: Any) -> npt.NDArray[Any]:
    """`array` as a numpy array. Raises an exception if it is not an image."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; expected an array without a mask")
    image = np.asarray(array)
    _sample_type(f"the dtype of {name}", image.dtype)
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
        raise ValueError(f"{name} has the shape {image.shape}; expected (height, width), or (height, width, channels) "
                         f"with 1 to 4 channels")
    return image


def _has_rows(image: npt.NDArray[Any]) -> bool:
    """Whether the library can read or write the samples in place."""
    height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)
    pixel = channels * image.itemsize
    return (image.flags.aligned and image.dtype.isnative
            and (channels == 1 or image.strides[2] == image.itemsize)
            and (width == 1 or image.strides[1] == pixel)
            and (height == 1 or abs(image.strides[0]) >= width * pixel))


def _in_rows(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`image`, or a copy whose rows the library can read."""
    return image if _has_rows(image) else np.array(image, image.dtype.newbyteorder("="), order="C")


def _have_memory_in_common(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)
    except RuntimeError:  # numpy gave up
        return True


def _check_progress(progress: Optional[Progress]) -> None:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; expected a function of one number, or None")


class Model:
    """A network with its weights, made by `Model.load`.

    Models are immutable: any number of threads may use one at the same time.
    """

    __slots__ = ("_model", "__weakref__")
    _model: _mirnet.Model

    def __init__(self) -> None:
        raise TypeError("mirnet.Model has no constructor: mirnet.Model.load loads a weight file")

    @classmethod
    def load(cls, path: Optional[WeightFile] = None, precision: str = "auto", isa: Optional[str] = None,
             algorithm: str = "auto") -> Model:
        """Loads a weight file (.mirw).

        path       its name, or its content as bytes, bytearray or memoryview; None: the weights of the package, WEIGHTS
        precision  the type of weights and intermediate results: "fp32"; "bf16", which takes half the memory; or "auto",
                   which is bf16 if the processor has instructions for it, else fp32
        isa        an instruction set from instruction_sets(); None: the fastest
        algorithm  how convolutions are computed: "auto", or "direct", which is slower and rounds slightly less

        Raises OSError (such as FileNotFoundError) if the file cannot be read, ModelError if it is damaged or is for
        another network, TypeError and ValueError for arguments that are not accepted, and MemoryError.
        """
        options = (_choice("precision", precision, _PRECISIONS), _choice("algorithm", algorithm, _ALGORITHMS))
        if isa is not None and not isinstance(isa, str):
            raise TypeError(f"isa is {isa!r}; expected the name of an instruction set, or None")
        model = cls.__new__(cls)
        if isinstance(path, (bytes, bytearray, memoryview)):
            model._model = _mirnet.Model(None, bytes(path), isa, *options)
            return model
        name = os.fsencode(WEIGHTS if path is None else path)
        if b"\0" in name:
            raise ValueError(f"the path {path!r} has a null character in it")
        try:
            model._model = _mirnet.Model(name, None, isa, *options)
        except ModelError as failure:
            try:
                with open(name, "rb") as file:
                    file.read(1)
            except OSError as error:
                # The class of the error follows from its number.
                raise OSError(error.errno, str(failure)) from None
            raise
        return model

    @property
    def network(self) -> str:
        """The network's name: "MIRNet"."""
        return self._model.network

    @property
    def task(self) -> str:
        """What the weights were trained for: "denoise"."""
        return self._model.task

    @property
    def isa(self) -> str:
        """The instruction set of the kernels that run.

        It differs from the one that was asked for if that one has no kernels of its own for this precision.
        """
        return self._model.isa

    @property
    def precision(self) -> str:
        """The type of weights and intermediate results: "fp32" or "bf16"."""
        return self._model.precision

    @property
    def parameters(self) -> int:
        """The number of learned parameters."""
        return self._model.parameters

    @property
    def bytes(self) -> int:
        """The memory that the weights take, in bytes."""
        return self._model.bytes

    @property
    def views(self) -> int:
        """The number of images that a run takes: 1, or 2 (the left and the right view of a scene)."""
        return self._model.views

    def plan(self, height: int, width: int, channels: int = 3, dtype: npt.DTypeLike = np.uint8, *,
             tile: Union[int, str, None] = None, threads: Optional[int] = None,
             most_memory: Optional[int] = None) -> Plan:
        """Plans the tiles, the threads and the memory for images of one format. Computes nothing yet.

        height, width  in pixels
        channels       1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha)
        dtype          uint8, uint16 or float32
        tile           the longest side of a tile in pixels, 256 or more; None: 768; "off": one tile. Results differ
                       slightly with the tile.
        threads        1 to 1024; None: one for each core that the process may use. Results do not depend on it.
        most_memory    the limit of the memory that a run takes, without the images, in bytes; None: no limit

        Raises TypeError and ValueError for arguments that are not accepted. Raises MemoryError if a run needs more than
        most_memory (the message names the tile that fits) or more than can be addressed.
        """
        plan = Plan.__new__(Plan)
        plan._views = self.views
        plan._dtype = np.dtype(dtype).newbyteorder("=")
        sample_type = _sample_type("dtype", plan._dtype)
        plan._height = _integer("height", height)
        plan._width = _integer("width", width)
        plan._channels = _integer("channels", channels, 1, 4)
        if isinstance(tile, str) and tile != "off":
            raise ValueError(f"tile is {tile!r}; expected a number of pixels, 'off' or None")
        plan._plan = _mirnet.Plan(
            self._model, plan._height, plan._width, plan._channels, sample_type,
            0 if tile is None else _mirnet.WHOLE if tile == "off" else
            _integer("tile", tile, _SHORTEST_TILE, beside=", 'off' or None"),
            0 if threads is None else _integer("threads", threads, 1, _MOST_THREADS, ", or None"),
            0 if most_memory is None else _integer("most_memory", most_memory, 1, _MOST_INT64, ", or None"))
        return plan

    def run(self, array: npt.NDArray[Sample], strength: float = 1.0, *, keep_grain: float = 0.0,
            right: Optional[npt.NDArray[Sample]] = None, tile: Union[int, str, None] = None,
            threads: Optional[int] = None, progress: Optional[Progress] = None,
            out: Optional[npt.NDArray[Sample]] = None) -> npt.NDArray[Sample]:
        """Makes a plan for the image and runs it. `plan` and `Plan.run` explain the arguments and the errors.

        For many images of one format, make the plan once.
        """
        image = _image("array", array)
        height, width = image.shape[:2]
        channels = image.shape[2] if image.ndim == 3 else 1
        plan = self.plan(height, width, channels, image.dtype, tile=tile, threads=threads)
        return plan.run(image, strength, keep_grain=keep_grain, right=right, progress=progress, out=out)

    def __repr__(self) -> str:
        return (f"<mirnet.Model {self.network} to {self.task}, {self.precision}, {self.isa}, "
                f"{self.parameters} parameters>")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a mirnet.Model cannot be pickled or copied: threads share one, and each process loads its own")


class Plan:
    """How a model restores images of one format, made by `Model.plan`.

    Plans are immutable, and each run has its own memory: any number of threads may use one at the same time.
    """

    __slots__ = ("_plan", "_views", "_height", "_width", "_channels", "_dtype", "__weakref__")
    _plan: _mirnet.Plan
    _views: int
    _height: int
    _width: int
    _channels: int
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        raise TypeError("mirnet.Plan has no constructor: mirnet.Model.plan makes a plan")

    @property
    def height(self) -> int:
        """The height of the images, in pixels."""
        return self._height

    @property
    def width(self) -> int:
        """The width of the images, in pixels."""
        return self._width

    @property
    def channels(self) -> int:
        """The number of channels of the images, 1 to 4."""
        return self._channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the samples: uint8, uint16 or float32."""
        return self._dtype

    @property
    def tile(self) -> tuple[int, int]:
        """The height and the width of a tile, in pixels."""
        return self._plan.tile

    @property
    def tiles(self) -> tuple[int, int]:
        """The number of rows and of columns of tiles."""
        return self._plan.tiles

    @property
    def memory(self) -> int:
        """The memory that a run takes, without the images, in bytes."""
        return self._plan.memory

    @property
    def macs(self) -> int:
        """The number of multiply-accumulates of a run."""
        return self._plan.macs

    @property
    def threads(self) -> int:
        """The number of threads that compute."""
        return self._plan.threads

    def run(self, array: npt.NDArray[Sample], strength: float = 1.0, *, keep_grain: float = 0.0,
            right: Optional[npt.NDArray[Sample]] = None, progress: Optional[Progress] = None,
            out: Optional[npt.NDArray[Sample]] = None) -> npt.NDArray[Sample]:
        """Restores an image of the plan's format and returns the result, an array of the same shape and dtype.

        array       the image: (height, width, channels), or (height, width) if the plan has one channel
        strength    from 0, which leaves the image as it is, to 1, which applies all of the network's change
        keep_grain  the share of the change in brightness that is left out, 0 to 1: keeps grain and removes colour noise
        right       the right view, of the same shape and dtype, for models of two views (Model.views)
        progress    a function that is called up to 20 times a second, in the calling thread, with the share of the work
                    that is done, 0 to 1. Its result is ignored; an exception that it raises ends the run.
        out         an array for the result, which is returned; None: a new one. It has the shape and dtype of `array`,
                    contiguous samples in each row, and no memory in common with `array`. If the run fails, its content
                    is unspecified.

        Raises TypeError and ValueError for arguments that are not accepted, MemoryError, and what progress raises.
        KeyboardInterrupt ends the run at once.
        """
        _check_progress(progress)
        amounts = _real("strength", strength), _real("keep_grain", keep_grain)
        image = self._image_of_format("array", array)
        if (right is None) != (self._views == 1):
            raise ValueError("right is None; expected the right view: the model takes two views" if right is None else
                             "right is an image; expected None: the model takes one view")
        other = None if right is None else self._image_of_format("right", right)
        if other is not None and other.shape != image.shape:
            raise ValueError(f"right has the shape {other.shape}; expected that of array, {image.shape}")
        if out is None:
            out = np.empty(image.shape, self._dtype)
        else:
            self._check_output(out, image, other)
        self._plan.run(_in_rows(image), out, None if other is None else _in_rows(other), *amounts, progress)
        return out

    def profile(self, runs: int = 5) -> list[dict[str, Any]]:
        """Runs the network over one tile `runs` times and returns a dict for each step, in order, with these keys:

        name            the layer; "+" joins layers that are computed as one
        operation       such as "conv 3x3"
        kernel          the algorithm, such as "winograd F(4x4,3x3)"
        input_height, input_width, input_channels, output_height, output_width, output_channels
                        the size of the feature maps that the step reads and writes
        macs            the multiply-accumulates of the network as defined; the algorithm may need fewer
        bytes           the size of the input, the output and the weights
        seconds         the median time of the runs

        Raises ValueError if runs is less than 1, and MemoryError. KeyboardInterrupt ends the measurement at once.
        """
        return self._plan.profile(_integer("runs", runs))

    def _image_of_format(self, name: str, array: Any) -> npt.NDArray[Any]:
        image = _image(name, array)
        if image.dtype.newbyteorder("=") != self._dtype:
            raise ValueError(f"the dtype of {name} is {image.dtype}; expected the plan's, {self._dtype}")
        shape = self._height, self._width, self._channels
        if image.shape != shape and (*image.shape, 1) != shape:
            raise ValueError(f"{name} has the shape {image.shape}; expected the plan's, {shape}"
                             + (f" or {shape[:2]}" if self._channels == 1 else ""))
        return image

    def _check_output(self, out: Any, *inputs: Optional[npt.NDArray[Any]]) -> None:
        if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
            raise TypeError(f"out is of the type {type(out).__name__}; expected a numpy array without a mask")
        first = inputs[0]
        assert first is not None
        if out.dtype != self._dtype:
            raise ValueError(f"the dtype of out is {out.dtype}; expected that of array, {self._dtype}")
        if out.shape != first.shape:
            raise ValueError(f"out has the shape {out.shape}; expected that of array, {first.shape}")
        if not out.flags.writeable:
            raise ValueError("out is read-only; expected an array that can be written")
        if not _has_rows(out):
            raise ValueError(f"out has the strides {out.strides}; expected contiguous samples in each row")
        if any(image is not None and _have_memory_in_common(image, out) for image in inputs):
            raise ValueError("out has memory in common with the input; expected separate memory")

    def __repr__(self) -> str:
        return (f"<mirnet.Plan {self.height} x {self.width} x {self.channels} {self.dtype}, "
                f"{self.tiles[0]} x {self.tiles[1]} tiles, {self.threads} threads, {self.memory} bytes>")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a mirnet.Plan cannot be pickled or copied: threads share one, and each process makes its own")


_shipped: dict[str, Model] = {}
_shipped_lock = threading.Lock()


def _shipped_model(precision: str) -> Model:
    _choice("precision", precision, _PRECISIONS)
    with _shipped_lock:
        if precision not in _shipped:
            _shipped[precision] = Model.load(precision=precision)
        return _shipped[precision]


def denoise(array: npt.NDArray[Sample], strength: float = 1.0, precision: str = "auto", threads: Optional[int] = None,
            progress: Optional[Progress] = None, *, keep_grain: float = 0.0, tile: Union[int, str, None] = None,
            out: Optional[npt.NDArray[Sample]] = None) -> npt.NDArray[Sample]:
    """Removes the noise from an image with the weights of the package. Returns an array of the same shape and dtype.

    array       the image, in sRGB: (height, width), or (height, width, channels) with 1 (gray), 2 (gray and alpha),
                3 (RGB) or 4 channels (RGB and alpha); uint8 (0 to 255), uint16 (0 to 65535) or float32 (0 to 1)
    strength    how much of the noise is removed, from 0 (none) to 1
    precision   "fp32"; "bf16", which takes half the memory; or "auto", which is bf16 if the processor has instructions
                for it, else fp32
    threads     1 to 1024; None: one for each core that the process may use. Results do not depend on it.
    progress    a function that is called up to 20 times a second, in the calling thread, with the share of the work
                that is done, 0 to 1. Its result is ignored; an exception that it raises ends the run.
    keep_grain  how much of the noise in brightness is kept, 0 to 1; colour noise is removed all the same
    tile        the longest side of a tile in pixels, 256 or more; None: 768; "off": one tile
    out         an array for the result, as in Plan.run; None: a new one

    Raises TypeError and ValueError for arguments that are not accepted, MemoryError, and what progress raises.
    KeyboardInterrupt ends the run at once.
    """
    return _shipped_model(precision).run(array, strength, keep_grain=keep_grain, tile=tile, threads=threads,
                                         progress=progress, out=out)


def profile(height: int = 256, width: int = 256, precision: str = "auto", threads: Optional[int] = None, runs: int = 5,
            model: Optional[Model] = None) -> list[dict[str, Any]]:
    """Measures each layer of a network. Returns a list of dicts, with the keys that Plan.profile explains.

    height, width  the size of the image in pixels; of a larger image than a tile, one tile is measured
    precision      "auto", "fp32" or "bf16", for the weights of the package
    threads        1 to 1024; None: one for each core that the process may use
    runs           the number of runs, of whose times the median is taken
    model          a model to measure instead of the weights of the package; it has its own precision

    Raises TypeError and ValueError for arguments that are not accepted, and MemoryError.
    """
    if model is None:
        model = _shipped_model(precision)
    elif not isinstance(model, Model):
        raise TypeError(f"model is of the type {type(model).__name__}; expected mirnet.Model, or None")
    elif _choice("precision", precision, _PRECISIONS) and precision != model.precision:
        raise ValueError(f"precision is {precision!r}; expected 'auto' or that of model, {model.precision!r}")
    return model.plan(height, width, threads=threads).profile(runs)


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that the library can use on this machine, the fastest first, such as ("avx2", "sse2")."""
    return _mirnet.instruction_sets()


def _after_fork() -> None:
    global _shipped_lock
    _shipped_lock = threading.Lock()  # another thread may have held the old one
    _mirnet.after_fork()


atexit.register(_mirnet.end_computations)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
