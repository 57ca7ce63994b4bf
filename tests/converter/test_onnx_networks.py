#!/usr/bin/env python3
"""From PyTorch over ONNX to a header: python3 tests/converter/test_onnx_networks.py

Exports the five networks of export_onnx.py, converts each into weights and a header, compiles the headers into one
program without a warning, and compares its outputs with PyTorch's and, where bench/peers has installed it, with those
of ONNX Runtime. MIRNET_LONG_TESTS=1 takes all blocks of NAFNet. Skipped without PyTorch.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests" / "train"))
import pytorch  # noqa: E402, F401

import numpy  # noqa: E402

import convert as mirw  # noqa: E402
import export_onnx  # noqa: E402

SIZE = (48, 64)  # that of onnx_networks.cpp
TOLERANCE = 2e-5  # of the largest output
OPSETS = (11, 13, 16, 17)
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def convert(folder, name):
    run(sys.executable, "-B", ROOT / "weights/convert.py", folder / f"{name}.onnx", folder / f"{name}.mirw",
        "--header", folder / f"{name}.hpp")
    return (folder / f"{name}.hpp").read_text()


def without_opset(header):
    return re.sub(r"\bopset \d+", "opset", header)


def tensors_of(path):
    """Their names, shapes and values: the file without its header and what it says of its source."""
    data = path.read_bytes()
    return data[mirw.HEADER.size:mirw.Header(*mirw.HEADER.unpack_from(data)).meta_off]


def network_of(header):
    found = re.findall(r"^struct (\w+) : (?:public )?mirnet::NetworkBase<\1<T>, T>", header, re.MULTILINE)
    if len(found) != 1:
        raise AssertionError(f"the header has {len(found)} networks, expected one:\n{header}")
    return found[0]


class OnnxNetworksTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "opsets").mkdir()
        includes = entries = ""
        for name in export_onnx.NETWORKS:
            export_onnx.export(name, cls.folder, size=SIZE, whole="MIRNET_LONG_TESTS" in os.environ)
            includes += f'#include "{name}.hpp"\n'
            entries += f" run({name}, {network_of(convert(cls.folder, name))})"
        (cls.folder / "exported_networks.hpp").write_text(
            f"#pragma once\n\n{includes}\n#define MIRNET_EXPORTED_NETWORKS(run){entries}\n")
        run(os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-ffp-contract=off", "-march=native", *WARNINGS,
            "-I", ROOT / "include", "-I", cls.folder, HERE / "onnx_networks.cpp", "-o", cls.folder / "networks")
        print(run(cls.folder / "networks", cls.folder), end="")

    def outputs(self, name, whose):
        return numpy.fromfile(self.folder / f"{name}.{whose}.f32", "<f4")

    def compare(self, whose, called):
        for name in export_onnx.NETWORKS:
            with self.subTest(name):
                ours, theirs = self.outputs(name, "ours"), self.outputs(name, whose)
                self.assertEqual(ours.shape, theirs.shape)
                largest = abs(theirs).max()
                self.assertGreater(largest, 0.5)
                difference = abs(ours - theirs).max() / largest
                print(f"{name}: {difference:.1e} of the largest output from {called}")
                self.assertLess(difference, TOLERANCE)

    def test_pytorch(self):
        self.compare("out", "PyTorch")

    def test_onnxruntime(self):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mirnet-bench"
        if shutil.which("node") is None or not (cache / "node_modules/onnxruntime-node").exists():
            self.skipTest("there is no ONNX Runtime: bench/peers/compare.py installs it")
        run("node", HERE / "run_onnx.mjs", cache, self.folder, *export_onnx.NETWORKS)
        self.compare("onnxruntime", "ONNX Runtime")

    def test_the_header_in_the_documentation(self):
        """examples/networks/unet_from_onnx.hpp is what the converter writes."""
        example = ROOT / "examples/networks/unet_from_onnx.hpp"
        written = self.folder / example.name
        run(sys.executable, "-B", ROOT / "weights/convert.py", self.folder / "unet.onnx",
            self.folder / "unet_again.mirw", "--header", written)
        self.assertEqual(written.read_text(), example.read_text())

    def test_opsets(self):
        """All opsets that this PyTorch exports are the same network."""
        for name in export_onnx.NETWORKS:
            found = []
            for opset in OPSETS:
                export_onnx.export(name, self.folder / "opsets", opset, SIZE)
                header = convert(self.folder / "opsets", name)
                found.append((without_opset(header), tensors_of(self.folder / "opsets" / f"{name}.mirw")))
            for opset, (header, tensors) in zip(OPSETS[1:], found[1:]):
                with self.subTest(name, opset=opset):
                    self.assertEqual(header, found[0][0])
                    self.assertTrue(tensors == found[0][1])  # megabytes are not for a message


if __name__ == "__main__":
    unittest.main()
