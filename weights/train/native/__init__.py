"""Trains MIRNet on CPUs faster than PyTorch does: both passes and the optimizer in C++, behind ctypes.

    engine = Engine({"width": 16, "groups": 1, "blocks": 1, "streams": 3, "columns": 2, "channels": 3}, patch=64)
    gradient, losses, errors = engine.step(parameters, noisy, clean)

`parameters` is all of them as one vector, in the order of MIRNet.parameters() of ../../mirnet_torch.py.

The library is compiled on first use, for this machine, into the user's cache. Whatever stands in the way raises
`Unavailable`, and the caller can do the same work with PyTorch.
"""
import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path

import torch

FLAGS = ["-std=c++20", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
         "-shared", "-fPIC", "-pthread"]
SOURCES = Path(__file__).resolve().parent

_library = None


class Unavailable(RuntimeError):
    """The engine cannot be used here: no compiler, or a network it does not support."""


def _cpu():
    """What -march=native depends on; a cache may be shared by several machines."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    except OSError:
        pass
    return platform.processor()


def build(folder=None):
    """Compiles the library unless it is in the cache already, and returns its path."""
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    sources = sorted(SOURCES.glob("*.hpp")) + [SOURCES / "engine.cpp"]
    parts = [s.name.encode() + b"\0" + s.read_bytes() for s in sources]
    parts.append(" ".join([*compiler, *FLAGS, platform.machine(), _cpu()]).encode())
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    try:
        cache = Path(folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirnet")
        library = cache / f"train-engine-{key}.so"
        if library.exists():
            return library
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            built = Path(scratch) / "engine.so"
            done = subprocess.run([*compiler, *FLAGS, str(SOURCES / "engine.cpp"), "-o", str(built)],
                                  capture_output=True, text=True)
            if done.returncode:
                raise Unavailable(f"{compiler[0]} cannot compile the training engine:\n{done.stderr.strip()[:2000]}")
            os.replace(built, library)  # whole or not at all, for whoever runs beside
    except (OSError, RuntimeError) as error:
        if isinstance(error, Unavailable):
            raise
        raise Unavailable(f"cannot build the training engine: {error}") from error
    return library


def _load():
    global _library
    if _library is None:
        try:
            library = ctypes.CDLL(str(build()))
        except OSError as error:
            raise Unavailable(f"cannot load the training engine: {error}") from error
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        library.engine_create.restype = pointer
        library.engine_create.argtypes = [integer] * 10
        library.engine_destroy.restype = None
        library.engine_destroy.argtypes = [pointer]
        library.engine_parameter_count.restype = ctypes.c_int64
        library.engine_parameter_count.argtypes = [pointer]
        library.engine_arena_bytes.restype = ctypes.c_int64
        library.engine_arena_bytes.argtypes = [pointer]
        library.engine_step.restype = None
        library.engine_step.argtypes = [pointer] * 5 + [integer, ctypes.c_float] + [pointer] * 3
        library.engine_forward.restype = None
        library.engine_forward.argtypes = [pointer] * 3 + [integer, pointer]
        library.optimizer_create.restype = pointer
        library.optimizer_create.argtypes = [pointer] * 4 + [integer, ctypes.c_int64, integer]
        library.optimizer_destroy.restype = None
        library.optimizer_destroy.argtypes = [pointer]
        library.optimizer_step.restype = None
        library.optimizer_step.argtypes = [pointer] * 7
        _library = library
    return _library


def _checked(name, tensor, shape):
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu" or tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name}: expected float32 on the CPU of shape {tuple(shape)}, "
                         f"got {tensor.dtype} on {tensor.device} of {tuple(tensor.shape)}")
    return tensor.detach().contiguous()


def _in_place(name, tensor, shape):
    if _checked(name, tensor, shape).data_ptr() != tensor.data_ptr():
        raise ValueError(f"{name}: not contiguous")
    return tensor.data_ptr()


class Engine:
    """One network at one patch size. Not for use from several threads at once."""

    def __init__(self, config, patch, threads=None):
        """`config` has the arguments of MIRNet (width, groups, ...); `patch` is a side length or (height, width)."""
        self._handle = None
        self._library = _load()
        height, width = (patch, patch) if isinstance(patch, int) else patch
        defaults = {"width": 64, "groups": 3, "blocks": 2, "streams": 3, "columns": 2, "channels": 3, "unshuffle": 1}
        unknown = set(config) - set(defaults)
        if unknown:
            raise ValueError(f"unknown in config: {', '.join(sorted(unknown))}")
        c = {**defaults, **config}
        self.threads = threads or len(os.sched_getaffinity(0))
        self._handle = self._library.engine_create(c["width"], c["groups"], c["blocks"], c["streams"], c["columns"],
                                                   c["channels"], c["unshuffle"], height, width, self.threads)
        if not self._handle:
            raise Unavailable(f"the training engine does not support {c} with patches of {height}x{width}, "
                              "or there is not enough memory")
        self.sample_shape = (c["channels"], height, width)
        self.parameter_count = self._library.engine_parameter_count(self._handle)
        self.arena_bytes = self._library.engine_arena_bytes(self._handle)

    def __del__(self):
        if self._handle:
            self._library.engine_destroy(self._handle)
            self._handle = None

    def step(self, params, noisy, clean, sample_weight=None, eps=1e-3, out=None):
        """Gradient of mean(sample_weight * loss), and each sample's Charbonnier loss and mean squared error.

        The gradient is written to `out` if given (contiguous, like `params`).
        """
        batch = noisy.shape[0]
        params = _checked("params", params, (self.parameter_count,))
        noisy = _checked("noisy", noisy, (batch, *self.sample_shape))
        clean = _checked("clean", clean, (batch, *self.sample_shape))
        if sample_weight is not None:
            sample_weight = _checked("sample_weight", sample_weight, (batch,))
        if out is None:
            out = torch.empty(self.parameter_count)
        else:
            _in_place("out", out, (self.parameter_count,))
        losses, errors = torch.empty(batch), torch.empty(batch)
        self._library.engine_step(self._handle, params.data_ptr(), noisy.data_ptr(), clean.data_ptr(),
                                  None if sample_weight is None else sample_weight.data_ptr(), batch, eps,
                                  out.data_ptr(), losses.data_ptr(), errors.data_ptr())
        return out, losses, errors

    def forward(self, params, noisy):
        params = _checked("params", params, (self.parameter_count,))
        noisy = _checked("noisy", noisy, (noisy.shape[0], *self.sample_shape))
        out = torch.empty_like(noisy)
        self._library.engine_forward(self._handle, params.data_ptr(), noisy.data_ptr(), noisy.shape[0], out.data_ptr())
        return out


class Optimizer:
    """The steps of ../optimizer.py. Not for use from several threads at once."""

    def __init__(self, matrices, count, threads):
        """`matrices` are (offset, rows, columns, scale) in a flat vector of `count` parameters, in its order."""
        self._handle = None
        self._library = _load()
        self.count = count
        self.plain = count - sum(rows * columns for _, rows, columns, _ in matrices)
        offsets, rows, columns, scales = zip(*matrices) if matrices else [()] * 4
        size = len(matrices)
        self._handle = self._library.optimizer_create(
            (ctypes.c_int64 * size)(*offsets), (ctypes.c_int * size)(*rows), (ctypes.c_int * size)(*columns),
            (ctypes.c_float * size)(*scales), size, count, threads)
        if not self._handle:
            raise Unavailable("there is not enough memory for the optimizer")

    def __del__(self):
        if self._handle:
            self._library.optimizer_destroy(self._handle)
            self._handle = None

    def step(self, parameters, gradient, first, second, average, *options):
        """All vectors but the gradient change; `options` are those of StepOptions in optimizer.hpp."""
        vectors = [_in_place("parameters", parameters, (self.count,)), _in_place("gradient", gradient, (self.count,)),
                   _in_place("first", first, (self.count,)), _in_place("second", second, (self.plain,)),
                   _in_place("average", average, (self.count,))]
        self._library.optimizer_step(self._handle, *vectors, (ctypes.c_double * 9)(*options))
