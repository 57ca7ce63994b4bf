#!/usr/bin/env python3
"""The program mirnet with weight files of MIRNet-v2, and with files of networks that it does not know.
python3 tests/cli/test_networks.py [PROGRAM]
"""
import ast
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

from program import (INPUT, MODEL, OUTPUT, ROOT, SANITIZED, USAGE, WEIGHTS, Picture, ProgramTest, draw, pfm, png, read_pfm,
                     read_png, with_header_checksum)

GOLDEN = ROOT / "tests" / "golden"


def read_npy(path):
    """Shape and numbers of an array of floats or doubles."""
    data = path.read_bytes()
    size, = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10:10 + size].decode())
    assert not header["fortran_order"]
    code = {"<f4": "f", "<f8": "d"}[header["descr"]]
    return header["shape"], struct.unpack(f"<{(len(data) - 10 - size) // struct.calcsize(code)}{code}", data[10 + size:])


class NetworkTest(ProgramTest):
    """With v2.mirw for pictures, bias.mirw likewise with biases, and views.mirw for a left and a right view."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        path = pathlib.Path(folder.name).resolve()
        cls.weights, cls.bias, cls.views = path / "v2.mirw", path / "bias.mirw", path / "views.mirw"
        cls.defocus = path / "defocus.mirw"
        for file, case, *options in ((cls.weights, "v2_w16", "--task", "denoise"), (cls.bias, "v2_w16_bias"),
                                     (cls.defocus, "v2_w16", "--task", "defocus"), (cls.views, "v2_w16_defocus")):
            subprocess.run([sys.executable, "-B", ROOT / "weights" / "convert.py", GOLDEN / case / "model.pth", file,
                            *options], check=True, stdout=subprocess.DEVNULL)

    def with_fields(self, *fields):
        """The name of a copy of v2.mirw with other header fields of 16 bits, and the checksum for them."""
        changed = bytearray(self.weights.read_bytes())
        for offset, value in fields:
            struct.pack_into("<H", changed, offset, value)
        return self.file("changed.mirw", with_header_checksum(bytes(changed)))


class Info(NetworkTest):
    def test_each_network_has_its_own_hyper_parameters(self):
        def names(*arguments):
            said = self.succeeds("info", *arguments)
            self.assertRegex(said, r"\nchecksum +[0-9a-f]{8}\nnetwork ")
            return dict(re.findall(r"^([a-z_ -]*[a-z])  +(.+)$", said, re.MULTILINE))

        first, second, bias, views = map(names, (WEIGHTS, self.weights, self.bias, self.views))
        self.assertEqual(first["network"], "MIRNet")
        self.assertEqual((first["groups"], first["streams"], first["unshuffle"]), ("1", "3", "1"))
        self.assertEqual({key: second[key] for key in ("network", "task", "features", "blocks", "channels", "bias",
                                                       "adds_image")},
                         {"network": "MIRNet-v2", "task": "denoise", "features": "16", "blocks": "1", "channels": "3",
                          "bias": "no", "adds_image": "yes"})
        self.assertEqual({key: views[key] for key in ("network", "task", "features", "blocks", "channels", "bias",
                                                      "adds_image")},
                         {"network": "MIRNet-v2", "task": "defocus", "features": "16", "blocks": "1", "channels": "6",
                          "bias": "no", "adds_image": "no"})
        self.assertEqual((bias["bias"], bias["adds_image"], bias["task"]), ("yes", "yes", "unspecified"))
        for key in ("groups", "streams", "columns", "unshuffle"):
            self.assertNotIn(key, second)
        self.assertEqual(second["parameters"], "123472")
        self.assertIn("MiB for 64 x 48 pixels", names(self.weights, "--size", "64x48")["working memory"])


class Denoise(NetworkTest):
    def test_the_result_is_that_of_pytorch(self):
        (channels, height, width), samples = read_npy(GOLDEN / "v2_sizes" / "67x131.in.npy")
        shape, expected = read_npy(GOLDEN / "v2_sizes" / "67x131.out.npy")
        self.assertEqual((shape, channels), ((3, height, width), 3))

        def interleaved(values):
            plane = height * width
            return [values[c * plane + i] for i in range(plane) for c in range(3)]

        before = interleaved(samples)
        result = read_pfm(self.denoises("in.pfm", pfm(width, height, 3, before), "out.pfm", "--weights", self.bias,
                                        "--precision", "fp32"))
        largest = max(abs(a - b) for a, b in zip(interleaved(expected), before))
        self.assertGreater(largest, 0.1)
        self.assertLess(max(abs(a - b) for a, b in zip(interleaved(expected), result)), 2e-5 * largest)

    def test_precisions_threads_and_algorithms(self):
        picture = png(draw(90, 70, 3))
        self.file("in.png", picture)

        def restored(*options):
            return read_pfm(self.denoises("in.png", picture, "out.pfm", "--weights", self.weights, *options))

        def apart(a, b):
            return max(abs(x - y) for x, y in zip(a, b))

        in_fp32 = restored("--precision", "fp32")
        before = restored("--strength", "0")
        self.assertLess(apart(before, [sample / 255 for sample in draw(90, 70, 3).samples]), 1e-6)
        self.assertEqual(restored("--precision", "fp32", "--threads", "1"), in_fp32)
        change = apart(in_fp32, before)
        self.assertGreater(change, 0.01)
        self.assertLess(apart(restored("--precision", "fp32", "--algorithm", "direct"), in_fp32), 1e-4 * change)
        in_bf16 = restored("--precision", "bf16")
        self.assertNotEqual(in_bf16, in_fp32)
        self.assertLess(apart(in_bf16, in_fp32), 0.1 * change)
        # It is not the network that is built in.
        self.assertGreater(apart(read_pfm(self.denoises("in.png", picture, "out.pfm", "--precision", "fp32")), in_fp32),
                           0.01)

    def test_tiles_and_json(self):
        self.file("in.png", png(draw(301, 45, 3)))
        for options, tiles, size in ((("--tile", "off"), [1, 1], [301, 45]), (("--tile", "256"), [2, 1], [168, 45]),
                                     (("--tile", "256", "--precision", "bf16"), [2, 1], [168, 45])):
            said = json.loads(self.succeeds("denoise", "in.png", "out.png", "--overwrite", "--weights", self.weights,
                                            "--json", *options))
            self.assertEqual((said["plan"]["tiles"], said["plan"]["tile_size"]), (tiles, size))
            self.assertEqual((said["state"], said["network"], said["model"]), ("restored", "MIRNet-v2", "v2.mirw"))
            restored = read_png((self.path / "out.png").read_bytes())
            self.assertEqual((restored.width, restored.height), (301, 45))
        self.assertEqual(json.loads(self.succeeds("denoise", "in.png", "a.png", "--json"))["network"], "MIRNet")

    def test_reports(self):
        self.file("in.png", png(draw(40, 30, 3)))
        said = self.succeeds("denoise", "in.png", "out.png", "--weights", self.weights, "--verbose")
        self.assertRegex(said, r"\nnetwork +MIRNet-v2\nmodel +v2\.mirw \([0-9a-f]{8}\)\n")
        said = self.succeeds("denoise", "in.png", "a.png", "--verbose")
        self.assertRegex(said, r"\nnetwork +MIRNet\nmodel +standard ")
        said = self.succeeds("denoise", "in.png", "b.png", "--weights", self.weights, "--estimate", "--verbose")
        self.assertRegex(said, r"\ntime +about .*\n(?:.*\n)*network +MIRNet-v2\n")

    def test_batch(self):
        (self.path / "photos").mkdir()
        for name in ("a", "b"):
            self.file(f"photos/{name}.png", png(draw(24, 20, 3)))
        self.file("photos/gray.png", png(draw(24, 20, 1)))
        said = self.succeeds("denoise", "photos", "--weights", self.weights, "--json").splitlines()
        self.assertEqual([json.loads(line).get("network") for line in said], 3 * ["MIRNet-v2"] + [None])
        self.assertEqual(json.loads(said[-1])["summary"]["restored"], 3)
        self.assertEqual(sorted(os.listdir(self.path / "photos-clean")), ["a.png", "b.png", "gray.png"])

    def test_preview(self):
        self.file("in.png", png(draw(300, 200, 3)))
        self.succeeds("denoise", "in.png", "--preview", "--weights", self.weights)
        self.assertIn("model v2.mirw", (self.path / "in-preview.html").read_text())


class Views(NetworkTest):
    """--right, with a network that sees a left and a right view."""

    def setUp(self):
        super().setUp()
        self.left, self.right = draw(90, 70, 3), draw(90, 70, 1)
        self.file("left.png", png(self.left))
        self.file("right.png", png(self.right))

    def restored(self, *options, left="left.png", right="right.png"):
        said = self.succeeds("denoise", left, "out.pfm", "--weights", self.views, "--right", right, "--overwrite",
                             "--json", *options)
        return read_pfm((self.path / "out.pfm").read_bytes()), json.loads(said)

    def test_both_views_count(self):
        both, report = self.restored()
        self.assertEqual((report["input"], report["right"], report["network"]), ("left.png", "right.png", "MIRNet-v2"))
        self.assertEqual((report["width"], report["height"], report["channels"]), (90, 70, 3))
        self.assertNotEqual(self.restored(right="left.png")[0], both)
        self.assertNotEqual(self.restored(left="right.png", right="left.png")[0], both)
        self.assertEqual(self.restored("--threads", "1")[0], both)
        self.assertRegex(self.succeeds("denoise", "left.png", "o.png", "--weights", self.views, "--right", "right.png",
                                       "--verbose"), r"\nright view +right\.png\n")

    def test_either_view_from_the_standard_input(self):
        both = self.restored()[0]
        for arguments, piped in ((("-", "--right", "right.png"), self.left),
                                 (("left.png", "--right", "-"), self.right)):
            subprocess.run([self.program, "denoise", *arguments, "-o", "piped.pfm", "--overwrite", "--weights",
                            str(self.views)], cwd=self.path, input=png(piped), check=True, capture_output=True)
            self.assertEqual(read_pfm((self.path / "piped.pfm").read_bytes()), both)

    def test_blended_with_the_left_view(self):
        said = self.succeeds("denoise", "left.png", "o.png", "--weights", self.views, "--right", "right.png",
                             "--strength", "0", "--reference", "left.png")
        self.assertIn("PSNR inf -> inf dB", said)

    def test_tiles_and_crops_are_those_of_both_views(self):
        left, right = draw(301, 45, 3), draw(301, 45, 1)
        self.file("wide.png", png(left))
        self.file("wide-right.png", png(right))
        tiled, report = self.restored("--tile", "256", left="wide.png", right="wide-right.png")
        self.assertEqual(report["plan"]["tiles"], [2, 1])
        self.assertNotEqual(self.restored("--tile", "256", left="wide.png", right="wide.png")[0], tiled)

        def part(picture):
            rows = [row[20 * picture.channels:100 * picture.channels] for row in picture.rows()[3:43]]
            return Picture(80, 40, picture.channels, (sample for row in rows for sample in row))

        self.file("part.png", png(part(left)))
        self.file("part-right.png", png(part(right)))
        cropped = self.restored("--crop", "20,3,80,40", left="wide.png", right="wide-right.png")[0]
        self.assertEqual(cropped, self.restored(left="part.png", right="part-right.png")[0])

    def test_previews_and_estimates(self):
        arguments = ("denoise", "left.png", "--weights", self.views, "--right", "right.png")
        self.succeeds(*arguments, "--preview")
        self.assertTrue((self.path / "left-preview.html").exists())
        self.assertEqual(json.loads(self.succeeds(*arguments, "--estimate", "--json"))["state"], "estimated")
        self.assertFalse((self.path / "left-clean.png").exists())
        self.succeeds(*arguments, "--hot-pixels", "--compare", "page.html")
        self.assertTrue((self.path / "page.html").exists())

    def test_refusals(self):
        self.file("other.png", png(draw(91, 70, 3)))
        two = ("--weights", self.views, "--right")
        for code, arguments, says in (
                (INPUT, ("left.png", "o.png", *two, "other.png"),
                 "left.png has 90 x 70 pixels, and its right view other.png 91 x 70; expected the same size"),
                (INPUT, ("left.png", "o.png", *two, "none.png"), "none.png"),
                (USAGE, ("left.png", "other.png", "-o", "d/", *two, "right.png"), "one picture, its left view; found 2"),
                (USAGE, ("-", "o.png", *two, "-"), "both views"),
                (OUTPUT, ("left.png", "-o", "right.png", "--overwrite", *two, "right.png"),
                 "right.png: is the right view, and would be replaced by the result"),
                (USAGE, ("left.png", "o.png", "--weights", self.defocus, "--strength", "auto"), "for defocus"),
                (USAGE, ("left.png", "o.png", *two, "right.png", "--strength", "auto"), "--strength auto"),
                (USAGE, ("left.png", "o.png", "--right", "right.png"),
                 "the built-in weights: the network takes one picture, and was given two, a left and a right view"),
                (USAGE, ("left.png", "o.png", "--weights", self.weights, "--right", "right.png"), "takes one picture")):
            self.fails(code, "denoise", *arguments, says=says)


class Profile(NetworkTest):
    def profile(self, weights, *options):
        return self.succeeds("profile", "64x48", "--threads", "1", "--repeat", "1", "--warmup", "0", "--weights",
                             weights, *options)

    def test_json(self):
        for precision in ("fp32", "bf16"):
            profile = json.loads(self.profile(self.weights, "--format", "json", "--precision", precision),
                                 parse_constant=self.fail)
            network = profile["network"]
            self.assertEqual([(key, network[key]) for key in list(network)[:7] if key != "weights"],
                             [("name", "MIRNet-v2"), ("features", 16), ("blocks", 1), ("channels", 3), ("bias", False),
                              ("adds_image", True)])
            self.assertEqual(network["precision"], precision)
            a_pixel = re.search(r"multiply-adds a pixel +(\d+)", self.succeeds("info", self.weights, "--size", "64x48"))
            self.assertAlmostEqual(sum(row["mmac"] for row in profile["layers"]) * 1e6,
                                   int(a_pixel.group(1)) * 64 * 48, delta=1e4)
            blocks = [row["name"] for row in profile["blocks"]]
            for name in ("network", "body.0", "body.0.body.0", "body.0.body.0.dau_top", "body.0.body.0.skff_mid",
                         "body.3.body.0.up21_2"):
                self.assertIn(name, blocks)

    def test_other_formats(self):
        self.assertRegex(self.profile(self.weights),
                         r"\nnetwork +MIRNet-v2\nweights +\S+v2\.mirw: features 16, blocks 1, channels 3, bias no, "
                         r"adds_image yes; 0\.123 M parameters\n")
        trace = json.loads(self.profile(self.weights, "--format", "trace"))
        self.assertEqual(trace["otherData"]["network"], "MIRNet-v2")
        page = self.profile(self.weights, "--format", "html")
        self.assertIn('"hyper_parameters":"features 16, blocks 1, channels 3, bias no, adds_image yes"', page)

    def test_views(self):
        """Six channels of noise go in, three colours come out."""
        layers = json.loads(self.profile(self.views, "--format", "json"))["layers"]
        self.assertEqual(next(row for row in layers if row["name"] == "conv_in")["input"], "48x64x6")
        self.assertEqual(next(row for row in layers if row["name"] == "conv_out")["output"], "48x64x3")

    @unittest.skipIf(SANITIZED, "takes minutes")
    def test_bench(self):
        for weights in (self.weights, self.views):
            said = self.succeeds("bench", "--weights", weights, "--size", "16", "--threads", "1", "--isa", "sse2")
            rows = re.findall(r"^(\S+) +(\w+) +(fp32|bf16) +[\d.]+ +[\d.]+", said, re.MULTILINE)
            self.assertEqual(rows, [(weights.name, "sse2", "fp32")] + [row for row in rows if row[2] == "bf16"])
            self.assertRegex(said, rf"\nmirnet \d+\.\d+\.\d+, MIRNet-v2 in {weights.name}, ")


class Refusals(NetworkTest):
    def test_unknown_networks(self):
        self.file("in.png", png(draw(8, 8, 3)))
        expected = "expected MIRNet (1) or MIRNet-v2 (2)"
        for number, found in ((0, "somebody's own network (architecture 0)"),
                              (3, "a network that this version does not know (architecture 3)"),
                              (65535, "a network that this version does not know (architecture 65535)")):
            name = self.with_fields((36, number))
            for arguments in (("denoise", "in.png", "o.png", "--weights", name), ("info", name),
                              ("profile", "8x8", "--weights", name), ("bench", "--weights", name)):
                message = self.fails(MODEL, *arguments, says=f"{name}: the file has weights of {found}, {expected}")
                self.assertTrue(message.endswith(f"{expected}\n"), message)

    def test_the_other_network(self):
        """A file of one network that says it is of the other: tensors and hyper-parameters do not fit."""
        self.fails(MODEL, "info", self.with_fields((36, 1)), says="changed.mirw")
        changed = bytearray(WEIGHTS.read_bytes())
        struct.pack_into("<H", changed, 36, 2)
        self.fails(MODEL, "info", self.file("changed.mirw", with_header_checksum(bytes(changed))), says="changed.mirw")

    def test_wrong_header_fields(self):
        """Every field that means something to the network."""
        for offset, value in ((40, 0), (40, 4), (40, 6), (42, 6), (44, 0), (44, 24), (44, 65535), (46, 3), (48, 0),
                              (48, 17), (50, 4), (52, 3), (54, 16), (56, 2), (58, 1), (60, 1), (60, 2), (62, 2),
                              (64, 8), (66, 2)):
            with self.subTest(offset=offset, value=value):
                self.fails(MODEL, "info", self.with_fields((offset, value)), says="changed.mirw: ")

    def test_damage(self):
        content = self.weights.read_bytes()
        for end in (0, 100, len(content) // 2, len(content) - 1):
            self.fails(MODEL, "info", self.file("w.mirw", content[:end]), says="w.mirw")
        for at in (130, len(content) // 2 // 64 * 64, len(content) - 64):
            self.fails(MODEL, "info", self.file("w.mirw", content[:at] + bytes([content[at] ^ 16]) + content[at + 1:]),
                       says="w.mirw")

    def test_views_need_two_pictures(self):
        self.file("in.png", png(draw(8, 8, 3)))
        says = ("views.mirw: the network takes two pictures, the left and the right view, and was given one; the right "
                "one is given by denoise --right FILE")
        for arguments in (("denoise", "in.png", "o.png"), ("denoise", "in.png", "--preview"), ("profile", "in.png"),
                          ("denoise", "in.png", "o.png", "--precision", "bf16", "--estimate")):
            self.fails(USAGE, *arguments, "--weights", self.views, says=says)


if __name__ == "__main__":
    unittest.main()
