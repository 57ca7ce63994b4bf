#!/usr/bin/env python3
"""All code in docs/your-own-network.md is in files that the build compiles: python3 tests/package/test_tutorial.py"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILED = ["examples/networks/dncnn.hpp", "examples/networks/any_dncnn.hpp", "examples/networks/unet.hpp",
            "examples/networks/unet_from_onnx.hpp", "examples/networks/dncnn.cpp", "tests/model/own_networks_test.cpp"]


class Tutorial(unittest.TestCase):
    def setUp(self):
        text = (ROOT / "docs/your-own-network.md").read_text(encoding="utf-8")
        self.blocks = re.findall(r"^```cpp\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.files = {name: (ROOT / name).read_text(encoding="utf-8") for name in COMPILED}

    def test_every_block_is_compiled(self):
        self.assertGreater(len(self.blocks), 5)
        for block in self.blocks:
            with self.subTest(block):
                self.assertTrue(any(block in text for text in self.files.values()), "in none of the compiled files")

    def test_the_network_is_whole(self):
        """Nothing of the header but comments and blank lines is missing from the page."""
        shown = {line for block in self.blocks for line in block.splitlines()}
        for line in self.files["examples/networks/dncnn.hpp"].splitlines():
            if line and not line.startswith("//") and line != "#pragma once":
                self.assertIn(line, shown)

    def test_its_links_lead_somewhere(self):
        text = (ROOT / "docs/your-own-network.md").read_text(encoding="utf-8")
        text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            self.assertTrue((ROOT / "docs" / target).exists(), target)


if __name__ == "__main__":
    unittest.main()
