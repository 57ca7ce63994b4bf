"""Pictures for the tests, the files of theirs that the program mirnet takes, and the program itself."""
import os
import struct
import subprocess
import zlib

import numpy as np
import pytest

SANITIZED = "MIRNET_SANITIZED" in os.environ  # then everything takes many times as long


def noisy(height, width, channels=None, dtype=np.uint8, seed=1):
    """A gradient with noise; with opaque and transparent pixels where there is alpha. Without channels: of two axes."""
    random = np.random.default_rng(seed)
    shape = (height, width, channels or 1)
    y, x, c = np.meshgrid(*map(np.arange, shape), indexing="ij")
    levels = 90 + 60 * np.sin(x / 17 + c) + 50 * np.cos(y / 23 - c) + random.normal(0, 20, shape)
    if channels in (2, 4):
        levels[..., -1] = (np.arange(width) * 255 // max(width - 1, 1))[None, :]
    levels = levels.clip(0, 255).round().reshape(shape if channels else shape[:2])
    if dtype == np.uint16:
        return (levels * 257 + random.integers(-60, 61, levels.shape)).clip(0, 65535).astype(dtype)
    return (levels / 255).astype(dtype) if dtype == np.float32 else levels.astype(dtype)


def write_png(path, image):
    """A PNG of 8 or 16 bits."""
    height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = image.astype(image.dtype.newbyteorder(">")).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8 * image.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    raster = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", raster) + chunk(b"IEND", b""))


def read_pam(path):
    header, raster = path.read_bytes().split(b"ENDHDR\n", 1)
    fields = dict(line.split() for line in header.splitlines()[1:])
    shape = tuple(int(fields[name]) for name in (b"HEIGHT", b"WIDTH", b"DEPTH"))
    return np.frombuffer(raster, np.uint8 if int(fields[b"MAXVAL"]) < 256 else ">u2").reshape(shape)


def write_pfm(path, image):
    kind = "PF" if image.ndim == 3 else "Pf"
    header = f"{kind}\n{image.shape[1]} {image.shape[0]}\n-1.0\n"
    path.write_bytes(header.encode() + image[::-1].astype("<f4").tobytes())


def read_pfm(path):
    kind, size, scale, raster = path.read_bytes().split(b"\n", 3)
    assert float(scale) == -1
    width, height = map(int, size.split())
    return np.frombuffer(raster, "<f4").reshape((height, width, 3) if kind == b"PF" else (height, width))[::-1]


@pytest.fixture
def program(tmp_path):
    """Runs the program that the environment variable MIRNET names."""
    if "MIRNET" not in os.environ:
        pytest.skip("the environment variable MIRNET does not name the program")
    # A sanitizer that is loaded for Python is not for the program, which has one of its own.
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "MIRNET_WEIGHTS")}

    def run(*arguments):
        return subprocess.run([os.environ["MIRNET"], *map(str, arguments)], cwd=tmp_path, env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=300)

    return run
