#!/usr/bin/env python3
"""Tests of weights/train: python3 tests/train/test_train.py. Needs PyTorch, numpy and Pillow."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from pytorch import ROOT

import numpy
import torch
from PIL import Image

import mirnet_torch
import network as networks
import noise
from optimizer import Muon, orthogonalized
from photographs import Patches, hold_out, read_tiles

TRAIN = ROOT / "weights" / "train"
PROGRAM = pathlib.Path(os.environ.get("MIRNET", ROOT / "build" / "release" / "mirnet"))
SMALL = {"width": 16, "groups": 1, "blocks": 1, "streams": 2, "columns": 2}
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


def photograph(size, seed):
    """Soft shapes with some edges: enough for a network to learn that noise is none of it."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:size, 0:size] / size
    picture = numpy.zeros((size, size, 3))
    for _ in range(6):
        a, b, c = rng.normal(size=3) * 4
        picture += (numpy.sin(a * x + b * y + c) > rng.uniform(-0.5, 0.5))[..., None] * rng.uniform(0, 0.4, 3)
    return Image.fromarray((255 * picture / picture.max()).astype(numpy.uint8))


def trained_network(config, seed=0):
    """A network with a residual that is not small."""
    torch.manual_seed(seed)
    return mirnet_torch.MIRNet(**config)


class Network(unittest.TestCase):
    def test_quick_forms_compute_the_same(self):
        for config in (SMALL, dict(SMALL, streams=3, blocks=2)):
            plain, quick = trained_network(config), trained_network(config)
            networks.quicken(quick)
            x = torch.rand(2, 3, 24, 40)
            expected, found = plain(x), quick(x)
            self.assertGreater(float((expected - x).abs().max()), 0.05)
            self.assertLess(float((expected - found).abs().max()), 1e-5)
            for network, output in ((plain, expected), (quick, found)):
                (output ** 2).sum().backward()
            self.assertEqual([name for name, _ in plain.named_parameters()],
                             [name for name, _ in quick.named_parameters()])
            for (name, one), two in zip(plain.named_parameters(), quick.parameters()):
                self.assertLess(float((one.grad - two.grad).abs().max()),
                                1e-4 * float(one.grad.abs().max()) + 1e-6, name)

    def test_a_deeper_network_starts_as_the_old_one(self):
        old = trained_network(SMALL)
        x = torch.rand(1, 3, 16, 24)
        for groups, blocks in ((1, 1), (1, 3), (2, 1), (2, 2)):
            config = dict(SMALL, groups=groups, blocks=blocks)
            new = networks.build(config)
            networks.start_from(new, config, SMALL, {name: value for name, value in old.state_dict().items()
                                                     if not name.endswith(".filt")})
            self.assertLess(float((new(x) - old(x)).abs().max()), 1e-5, (groups, blocks))

    def test_other_networks_are_refused(self):
        state = networks.build(SMALL).state_dict()
        for config in (dict(SMALL, width=32), dict(SMALL, blocks=0)):
            with self.assertRaises(ValueError):
                networks.start_from(networks.build(SMALL), config, SMALL, state)


class Noise(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)

    def test_curves_have_inverses(self):
        x = torch.linspace(0, 1, 101)
        self.assertLess(float((noise.to_srgb(noise.to_linear(x)) - x).abs().max()), 1e-5)
        for amount in (0.0, 0.4, 0.8):
            self.assertLess(float((noise.remove_contrast(noise.add_contrast(x, amount), amount) - x).abs().max()), 1e-3)

    def test_demosaicing_keeps_flat_colours_and_samples(self):
        masks = noise.bayer_masks((16, 16), torch.device("cpu"))
        colour = torch.tensor([0.2, 0.5, 0.7])[:, None, None]
        for demosaic in (noise.demosaic_bilinear, noise.demosaic_malvar):
            gray = demosaic(torch.full((1, 1, 16, 16), 0.4), masks)
            self.assertLess(float((gray - 0.4).abs().max()), 1e-6, demosaic.__name__)
            flat = demosaic((colour * masks).sum(0)[None, None], masks)
            self.assertLess(float((flat[0, :, 4:-4, 4:-4] - colour).abs().max()), 1e-6, demosaic.__name__)
            mosaic = torch.rand(1, 1, 16, 16)
            self.assertLess(float(((demosaic(mosaic, masks) - mosaic) * masks).abs().max()), 1e-6, demosaic.__name__)

    def test_a_seed_is_a_batch(self):
        clean = torch.rand(6, 3, 32, 32)
        first, second, third = (noise.add_noise(clean, 32, seed)[0] for seed in (1, 1, 2))
        self.assertTrue(torch.equal(first, second))
        self.assertFalse(torch.equal(first, third))
        self.assertTrue(torch.equal(first, noise.round_to_bytes(first)))

    def test_larger_patches_become_smaller(self):
        noisy, clean = noise.add_noise(torch.rand(4, 3, 48, 48), 32, 1)
        self.assertEqual([noisy.shape, clean.shape], [torch.Size((4, 3, 32, 32))] * 2)

    def test_gaussian_noise_is_what_it_says(self):
        clean = torch.full((64, 3, 32, 32), 0.5)
        deviations = (noise.gaussian(clean, noise.Random(1, 64, clean.device)) - clean).std((1, 2, 3)) * 255
        self.assertLess(float(deviations.max()), 57)
        self.assertTrue(20 < float(deviations.mean()) < 35, deviations)

    def test_camera_noise(self):
        """No colour cast, more noise in dark places of the light than in none, and neighbours that are correlated."""
        clean = torch.rand(48, 3, 1, 1).expand(48, 3, 64, 64) * 0.6 + 0.2
        difference = noise.camera(clean, noise.Random(1, 48, clean.device)) - clean
        self.assertLess(float(difference.mean((2, 3)).abs().median()), 1 / 255)
        deviation = difference.std((1, 2, 3)) * 255
        self.assertTrue(0.1 < float(deviation.min()) < 3 and 8 < float(deviation.max()) < 100, deviation)
        def correlation(x):
            return float(((x[..., 1:] * x[..., :-1]).mean() / (x * x).mean()))
        self.assertGreater(correlation(difference), 0.2)


class Optimizer(unittest.TestCase):
    def test_orthogonalized(self):
        torch.manual_seed(1)
        for shape in ((3, 16, 40), (2, 40, 16)):
            singular = torch.linalg.svdvals(orthogonalized(torch.randn(shape)))
            self.assertTrue(0.5 < float(singular.min()) and float(singular.max()) < 1.3, singular)

    def test_both_find_a_minimum(self):
        for use_muon in (True, False):
            torch.manual_seed(1)
            target = torch.randn(16 * 24 + 5)
            parameters = torch.zeros_like(target)
            optimizer = Muon(parameters, [torch.Size((16, 24)), torch.Size((5,))], use_muon)
            for step in range(600):
                optimizer.step(parameters - target, 0.03 * (1 - step / 600))
            self.assertLess(float(((parameters - target) ** 2).mean()), 0.01, use_muon)


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        (cls.path / "photos").mkdir()
        for seed in range(4):
            photograph(160, seed).save(cls.path / "photos" / f"{seed}.png")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def train(self, output, *options, code=0):
        done = subprocess.run([sys.executable, TRAIN / "train.py", "--photos", self.path / "photos", "--output",
                               self.path / output, "--streams", "2", "--patches", "32x4", "--threads", "1",
                               "--warmup", "5", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_patches(self):
        pictures = [pixels for _, pixels in read_tiles(self.path / "photos", 128)]
        patches = Patches(pictures, "cpu").draw(5, 64, numpy.random.default_rng(1))
        self.assertEqual(patches.shape, (5, 3, 64, 64))
        with self.assertRaises(ValueError):
            read_tiles(self.path / "photos", 1000)

    def test_a_network_learns_and_the_program_runs_it(self):
        kind = "native" if COMPILER else "torch"
        self.train("learn", "--steps", "60", "--engine", kind, "--average", "0.8")
        checkpoint = torch.load(self.path / "learn" / "denoise.pth")
        network = networks.build({key: checkpoint["config"][key] for key in SMALL})
        network.load_state_dict(checkpoint["state_dict"])
        clean = torch.from_numpy(numpy.array(photograph(96, 9))).permute(2, 0, 1)[None].float() / 255
        noisy = (clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) * 0.15).clamp(0, 1)
        before, after = (float(((x - clean) ** 2).mean()) for x in (noisy, network(noisy).detach()))
        self.assertLess(after, 0.7 * before)
        if not PROGRAM.exists():
            self.skipTest(f"no program {PROGRAM}")
        weights, picture = self.path / "learn.mirw", self.path / "noisy.png"
        Image.fromarray((noisy[0].permute(1, 2, 0) * 255).round().byte().numpy()).save(picture)
        subprocess.run([sys.executable, ROOT / "weights" / "convert.py", self.path / "learn" / "denoise.pth", weights],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([PROGRAM, "denoise", picture, self.path / "denoised.png", "--weights", weights], check=True,
                       stdout=subprocess.DEVNULL)
        found = torch.from_numpy(numpy.array(Image.open(self.path / "denoised.png"))).permute(2, 0, 1)[None] / 255
        self.assertLess(float(((found - clean) ** 2).mean()), 0.72 * before)

    def test_resuming_changes_nothing(self):
        options = ["--engine", "torch", "--cooldown", "0.5", "--patches", "32x4,48x2"]
        self.train("whole", "--steps", "12", *options)
        self.train("parts", "--steps", "12", *options, "--report", "1000")
        stable = torch.load(self.path / "parts" / "stable.pth")
        self.assertEqual(stable["step"], 6)
        self.train("parts", "--steps", "12", *options, "--resume", self.path / "parts" / "stable.pth")
        one, two = (torch.load(self.path / name / "state.pth") for name in ("whole", "parts"))
        for key in ("step", "pixels"):
            self.assertEqual(one[key], two[key])
        for key in ("parameters", "average"):
            self.assertTrue(torch.equal(one[key], two[key]), key)

    def test_wrong_use(self):
        self.assertIn("--minutes or --steps", self.train("wrong", code=2).stderr)
        self.assertIn("multiples of 16", self.train("wrong", "--steps", "1", "--patches", "30x4", code=2).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
