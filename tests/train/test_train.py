#!/usr/bin/env python3
"""Tests of weights/train: python3 tests/train/test_train.py. Needs PyTorch, numpy and Pillow."""
import dataclasses
import math
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

import graphics
import mirnet_torch
import network as networks
import noise
from optimizer import GradientLimit, Muon, orthogonalized
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


def correlation(x):
    """Of horizontal neighbours."""
    return float((x[..., 1:] * x[..., :-1]).mean() / (x * x).mean())


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
        clean = torch.rand(24, 3, 32, 32)
        for preset in noise.PRESETS.values():
            first, second, third = (noise.add_noise(clean, 32, seed, preset)[0] for seed in (1, 1, 2))
            self.assertTrue(torch.equal(first, second))
            self.assertFalse(torch.equal(first, third))
            self.assertTrue(torch.equal(first, noise.round_to_bytes(first)))

    def test_larger_patches_become_smaller(self):
        for larger in (48, 64, 96):
            noisy, clean = noise.add_noise(torch.rand(12, 3, larger, larger), 32, 1)
            self.assertEqual([noisy.shape, clean.shape], [torch.Size((12, 3, 32, 32))] * 2)

    def test_gaussian_noise_is_what_it_says(self):
        clean = torch.full((64, 3, 32, 32), 0.5)
        deviations = (noise.gaussian(clean, noise.Random(1, 64, clean.device)) - clean).std((1, 2, 3)) * 255
        self.assertLess(float(deviations.max()), 57)
        self.assertTrue(20 < float(deviations.mean()) < 35, deviations)
        clean = torch.full((400, 3, 16, 16), 0.5)
        noisy = noise.gaussian(clean, noise.Random(1, 400, clean.device), noise.PHONE)
        deviations = (noisy - clean).std((1, 2, 3)) * 255
        self.assertTrue(70 < float(deviations.max()) < 80, deviations)
        weak = (10 / 255 / noise.PHONE_LARGEST_SIGMA) ** (1 / noise.SIGMA_POWER)
        self.assertAlmostEqual(float((deviations < 10).float().mean()), weak, delta=0.06)

    def camera_differences(self, preset, clean=None):
        """Of flat colours."""
        if clean is None:
            clean = torch.rand(48, 3, 1, 1) * 0.6 + 0.2
        clean = clean.expand(48, 3, 64, 64)
        return noise.camera(clean, noise.Random(1, 48, clean.device), preset) - clean

    def test_camera_noise(self):
        """No colour cast, a wide range of strengths, and neighbours that are correlated."""
        difference = self.camera_differences(noise.PLAIN)
        self.assertLess(float(difference.mean((2, 3)).abs().median()), 1 / 255)
        deviation = difference.std((1, 2, 3)) * 255
        self.assertTrue(0.1 < float(deviation.min()) < 3 and 8 < float(deviation.max()) < 100, deviation)
        self.assertGreater(correlation(difference), 0.2)

    def test_a_phone_has_stronger_noise(self):
        pushed = dataclasses.replace(noise.PHONE, pushed=1.0)
        deviations = [self.camera_differences(preset).std((1, 2, 3)) for preset in (noise.PLAIN, noise.PHONE, pushed)]
        self.assertGreater(float(deviations[2].median()), 2 * float(deviations[0].median()))
        self.assertLess(abs(float(deviations[1].median() / deviations[0].median()) - 1), 0.7)
        self.assertGreater(float(deviations[2].max()), 0.2)

    def test_black_is_clipped_and_becomes_brighter(self):
        random = noise.Random(1, 256, torch.device("cpu"))
        light, read = torch.zeros(256, 1, 16, 16), torch.full((256, 1, 1, 1), 0.01)
        mosaic = random.normal(light.shape) * 0.1
        before = mosaic.clone()
        noise.clip_at_black(mosaic, light, read, random)
        changed = (mosaic != before).flatten(1).any(1)
        self.assertAlmostEqual(float(changed.float().mean()), noise.BLACK_SHARE, delta=0.1)
        lowest = mosaic.amin((1, 2, 3))
        self.assertGreaterEqual(float(lowest[changed].min()), -0.1 * noise.LARGEST_PEDESTAL - 1e-6)
        # Half of them have no pedestal: what is left of normal noise has a mean of 1 / sqrt(2 pi) deviations.
        at_zero = changed & (lowest == 0)
        self.assertAlmostEqual(float(at_zero.sum() / changed.sum()), 0.5, delta=0.1)
        self.assertAlmostEqual(float(mosaic[at_zero].mean()), 0.04, delta=0.002)

        strong = dataclasses.replace(noise.PHONE, pushed=1.0)
        dark = self.camera_differences(strong, torch.full((48, 3, 1, 1), 0.05))
        self.assertGreater(float(dark.mean()), 3 / 255)

    def test_hot_pixels_are_rare_and_bright(self):
        random = noise.Random(1, 400, torch.device("cpu"))
        mosaic = torch.zeros(400, 1, 64, 64)
        noise.add_hot_pixels(mosaic, random)
        share = (mosaic > 0).float().mean((1, 2, 3))
        self.assertAlmostEqual(float((share > 0).float().mean()), noise.HOT_SHARE, delta=0.08)
        self.assertLess(float(share.max()), 2 * noise.HOT_DENSITIES[1])
        low, high = noise.HOT_DENSITIES
        self.assertAlmostEqual(float(share.sum() / (share > 0).sum()), (high - low) / math.log(high / low), delta=5e-4)
        hot = mosaic[mosaic > 0]
        self.assertTrue(noise.HOT_AMPLITUDES[0] <= float(hot.min()) and float(hot.max()) <= noise.HOT_AMPLITUDES[1])

    def test_blurred_noise(self):
        random = noise.Random(1, 64, torch.device("cpu"))
        for radius in (0.6, 1.0, 3.0):
            radii = torch.full((64, 1, 1, 1), radius)
            field = noise.blurred_normal(random, 1, (64, 64), radii)
            self.assertAlmostEqual(float(field.std()), 1, delta=0.05)
            self.assertAlmostEqual(correlation(field), math.exp(-1 / (4 * radius ** 2)), delta=0.03)
            white = torch.randn(64, 1, 64, 64)
            self.assertAlmostEqual(correlation(noise.blur(white, radii)), math.exp(-1 / (4 * radius ** 2)), delta=0.03)
        # Diameters of blotches, from half of the correlation to half of it: 20 to 60 pixels.
        for radius, diameter in zip(noise.BLOTCH_RADII, (20, 60)):
            field = noise.blurred_normal(random, 1, (256, 256), torch.full((64, 1, 1, 1), radius), mean_free=True)
            self.assertLess(float(field.mean((2, 3)).abs().max()), 1e-5)
            half = diameter // 2
            found = float((field[..., half:] * field[..., :-half]).mean())
            self.assertAlmostEqual(found, 0.5, delta=0.1)

    def test_colours_without_brightness(self):
        colours = noise.colours_without_brightness(torch.randn(4, 2, 8, 8))
        self.assertLess(float(noise.brightness(colours).abs().max()), 1e-6)

    def test_weak_noise(self):
        clean = torch.full((256, 3, 64, 64), 1 / 3)  # where it is strongest
        difference = noise.weak(clean, noise.Random(1, 256, clean.device)) - clean
        luma = noise.brightness(difference)
        deviations = luma.std((1, 2, 3))
        low, high = noise.WEAK_SIGMAS
        self.assertTrue(0.9 * low < float(deviations.min()) < 1.2 * low, deviations.min() * 255)
        self.assertTrue(0.8 * high < float(deviations.max()) < 1.1 * high, deviations.max() * 255)
        self.assertTrue(0.4 < correlation(luma) < 0.75)
        self.assertGreater(correlation(difference - luma), 0.75)

    def test_film(self):
        """Grain is stronger in grays than in black and white, and its brightness correlated."""
        deviations = []
        for gray in (0.02, 0.5, 0.98):
            clean = torch.full((64, 3, 48, 48), gray)
            difference = noise.film(clean, noise.Random(1, 64, clean.device)) - clean
            deviations.append(float(difference.std()))
        self.assertGreater(deviations[1], 1.4 * deviations[0])
        self.assertGreater(deviations[1], 1.4 * deviations[2])
        self.assertGreater(correlation(difference), 0.5)

    def test_shares(self):
        rng = numpy.random.default_rng(1)
        for preset in noise.PRESETS.values():
            self.assertAlmostEqual(sum(preset.shares.values()), 1)
            counts = dict.fromkeys(preset.shares, 0)
            for place in rng.random(2000):
                names = noise.kinds(8, preset, place)
                self.assertEqual(len(names), 8)
                for name in names:
                    counts[name] += 1
            for name, share in preset.shares.items():
                self.assertAlmostEqual(counts[name] / 16000, share, delta=0.01)

    def test_sharpening_leaves_the_picture(self):
        clean = torch.rand(64, 3, 32, 32)
        names = ["gaussian"] * 16 + ["camera"] * 48
        noisy = clean.clone()
        noise.sharpen(noisy, clean, noise.Random(1, 64, clean.device), names)
        self.assertLess(float((noisy - clean).abs().max()), 1e-6)
        noisy = clean + 0.1 * torch.randn(clean.shape)
        before = (noisy - clean).std((1, 2, 3))
        noise.sharpen(noisy, clean, noise.Random(1, 64, clean.device), names)
        gain = (noisy - clean).std((1, 2, 3)) / before
        self.assertTrue(bool((gain[:16] == 1).all()))
        self.assertTrue(0 < int((gain > 1.1).sum()) < 16 and float(gain.max()) < 1 + noise.SHARPENING_AMOUNTS[1])

    def test_jpeg(self):
        names = ["camera"] * 4000
        random = noise.Random(1, 4000, torch.device("cpu"))
        for preset, (low, high) in ((noise.PLAIN, noise.JPEG_QUALITIES), (noise.PHONE, noise.PHONE_JPEG_QUALITIES)):
            passes = noise.jpegs(random, names, preset)
            self.assertAlmostEqual(len(passes) / 4000, preset.jpeg_shares["camera"], delta=0.03)
            qualities = [quality for arguments in passes.values() for quality, _, _ in arguments]
            self.assertTrue(low <= min(qualities) < low + 8 and max(qualities) == high)
        twice = [arguments for arguments in passes.values() if len(arguments) == 2]
        self.assertAlmostEqual(len(twice) / len(passes), noise.JPEG_TWICE_SHARE, delta=0.03)

        y, x = numpy.mgrid[0:64, 0:64]
        ramp = numpy.stack([2 * y + x, 4 * x % 256, 3 * y], 2).astype(numpy.uint8)
        for shift in ((0, 0), (3, 5)):
            result = noise.jpeg(ramp, 30, 2, shift)
            self.assertEqual(result.shape, ramp.shape)
            steps = numpy.abs(numpy.diff(result[..., 0].astype(float), axis=1)).mean(0)  # highest where blocks meet
            edges = numpy.arange(63) % 8 == (7 - shift[1]) % 8
            self.assertGreater(steps[edges].mean(), steps[~edges].mean())

    def test_plain_noise_is_what_it_was(self):
        """For a seed, the error is what it was before there were presets: validation goes on as in old logs."""
        clean = torch.linspace(0, 1, 4 * 3 * 32 * 32).reshape(4, 3, 32, 32)
        noisy = noise.camera(clean, noise.Random(2, 4, clean.device))
        self.assertAlmostEqual(float((noisy - clean).square().sum()), 21.6388, delta=0.002)
        self.assertEqual(noise.PLAIN.shares, {"gaussian": 0.5, "camera": 0.5})

    def test_weak_noise_is_as_frequent_as_in_plain(self):
        colours = 0.2 + 0.3 * torch.rand(32, 3, 4, 4)
        clean = torch.nn.functional.interpolate(colours, size=(32, 32), mode="bilinear")
        errors = {name: torch.cat([(noise.add_noise(clean, 32, 10 * seed, preset)[0] - clean).square().mean((1, 2, 3))
                                   for seed in range(60)]).sqrt() * 255 for name, preset in noise.PRESETS.items()}
        for limit in (3, 10, 25):
            phone, plain = (float((errors[name] < limit).float().mean()) for name in ("phone", "plain"))
            self.assertGreater(phone, plain - 0.03, limit)


class Graphics(unittest.TestCase):
    def setUp(self):
        self.patch = numpy.asarray(photograph(64, 1))

    def test_a_seed_is_a_picture(self):
        for kind in [*graphics.KINDS, graphics.graphics]:
            for seed in range(20):
                patch = self.patch[:48] if seed % 2 else self.patch[:7, :11]
                first, second = (kind(patch, numpy.random.default_rng(seed)) for _ in range(2))
                self.assertEqual((first.shape, first.dtype), (patch.shape, numpy.uint8), kind)
                self.assertTrue((first == second).all(), kind)
        self.assertAlmostEqual(sum(graphics.KINDS.values()), 1)

    def test_dither_has_few_tones_and_keeps_the_mean(self):
        """Those in black and white have the light of what they were made from."""
        for kind in (graphics.ordered, graphics.diffused):
            seen = 0
            for seed in range(300):
                rng = numpy.random.default_rng(seed)
                light = graphics.source(self.patch, numpy.random.default_rng(seed))
                made = kind(self.patch, rng)
                self.assertLessEqual(len(numpy.unique(made.reshape(-1, 3), axis=0)), 16 ** 3)
                if sorted(numpy.unique(made)) == [0, 255] and (made.min(2) == made.max(2)).all():
                    seen += 1
                    self.assertAlmostEqual(made.mean() / 255, graphics.gray(light).mean(), delta=0.05)
            self.assertGreater(seen, 30)

    def test_thresholds_are_spread_evenly(self):
        for size in graphics.BAYER_SIZES:
            self.assertEqual(sorted(graphics.bayer(size).flatten() * size ** 2 - 0.5), list(range(size ** 2)))
        dots = graphics.halftone((40, 50), numpy.random.default_rng(1))
        self.assertAlmostEqual(float(dots.mean()), 0.5, delta=1e-3)
        self.assertAlmostEqual(float((dots < 0.25).mean()), 0.25, delta=1e-3)

    def test_small_pictures_are_mirrored_as_the_library_does(self):
        """Around the middle, pixels and their neighbours beyond an edge are equal."""
        for seed in range(40):
            made = graphics.small(self.patch, numpy.random.default_rng(seed)).astype(int)
            height, width = numpy.random.default_rng(seed).integers(1, graphics.LARGEST_SMALL + 1, 2)
            top, left = (64 - height) // 2, (64 - width) // 2
            self.assertTrue((made[top - 1] == made[top]).all() and (made[:, left - 1] == made[:, left]).all())
            self.assertTrue((made[top + height] == made[top + height - 1]).all())

    def test_a_share_of_the_patches_are_graphics_without_noise(self):
        """The other patches have the noise that they would have without graphics."""
        clean = torch.rand(16, 3, 32, 32)
        kept, share, gray_share = clean.clone(), noise.GRAPHICS_SHARE, noise.GRAY_SHARE
        noise.GRAY_SHARE = 0.0
        self.addCleanup(setattr, noise, "GRAY_SHARE", gray_share)
        count = 0
        for preset in noise.PRESETS.values():
            for seed in range(30):
                noisy, target = noise.add_noise(clean, 32, seed, preset)
                noise.GRAPHICS_SHARE = 0.0
                try:
                    without, same = noise.add_noise(clean, 32, seed, preset)
                finally:
                    noise.GRAPHICS_SHARE = share
                made = (target != same).flatten(1).any(1)
                count += int(made.sum())
                self.assertTrue(bool((noisy[made] == target[made]).all()))
                self.assertTrue(bool((noisy[~made] == without[~made]).all() and (target[~made] == clean[~made]).all()))
        self.assertTrue(bool((clean == kept).all()))
        self.assertAlmostEqual(count / (2 * 30 * 16), share, delta=0.03)


    def test_a_share_of_the_patches_is_gray_with_gray_noise(self):
        clean = torch.rand(16, 3, 32, 32)
        share = noise.GRAPHICS_SHARE
        noise.GRAPHICS_SHARE = 0.0
        self.addCleanup(setattr, noise, "GRAPHICS_SHARE", share)
        count = noisy_count = 0
        for seed in range(60):
            noisy, target = noise.add_noise(clean, 32, seed, noise.PLAIN)
            gray = (target[:, :1] == target).all(3).all(2).all(1)
            self.assertTrue(bool((noisy[gray][:, :1] == noisy[gray]).all()))
            count += int(gray.sum())
            noisy_count += int((noisy[gray] != target[gray]).flatten(1).any(1).sum())
        self.assertAlmostEqual(count / (60 * 16), noise.GRAY_SHARE, delta=0.03)
        self.assertGreater(noisy_count, 0.9 * count)


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

    def test_large_gradients_are_limited(self):
        limit, losses, one = GradientLimit(), torch.ones(2), torch.tensor([0.6, 0.8])
        for step in range(200):  # one of four is large: the median does not follow
            gradient = one * (8000.0 if step % 4 == 3 else 1.0 + 0.1 * (step % 3))
            before = gradient.clone()
            self.assertTrue(limit.apply(gradient, losses))
            if step % 4 == 3:
                self.assertAlmostEqual(float(gradient.norm()), 2 * limit.median(), places=4)
                self.assertTrue(torch.allclose(gradient / gradient.norm(), one))
            else:
                self.assertTrue(torch.equal(gradient, before))
            self.assertTrue(0.99 < limit.median() < 1.21)
        for _ in range(GradientLimit.WINDOW):  # gradients that stay large are no exceptions
            limit.apply(one * 50, losses)
        self.assertAlmostEqual(limit.median(), 50, places=3)

    def test_what_is_not_finite_is_no_gradient(self):
        limit = GradientLimit()
        limit.start_from(1.0)
        for wrong in (math.nan, math.inf, 1e30):  # the square of the last is not finite
            gradient = torch.tensor([3.0, wrong])
            self.assertFalse(limit.apply(gradient, torch.ones(2)))
            self.assertEqual(float(gradient[0]), 3)
        self.assertFalse(limit.apply(torch.ones(2), torch.tensor([1.0, math.nan])))
        self.assertEqual(list(limit.norms), [1.0] * GradientLimit.WINDOW)

    def test_one_large_gradient_does_not_decide_the_next_steps(self):
        """They begin at a minimum."""
        distances = []
        for limited in (True, False):
            torch.manual_seed(1)
            target = torch.randn(16 * 24 + 5)
            parameters = target.clone()
            optimizer, limit = Muon(parameters, [torch.Size((16, 24)), torch.Size((5,))]), GradientLimit()
            for step in range(100):
                gradient = parameters - target + 0.1 * torch.randn(parameters.shape)
                if step == 50:
                    gradient = 1000 * torch.randn(parameters.shape)
                if limited:
                    limit.apply(gradient, torch.ones(1))
                optimizer.step(gradient, 0.01)
            distances.append(float((parameters - target).norm()))
        self.assertLess(distances[0], 0.5 * distances[1])


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

    def test_whole_photographs_are_held_out(self):
        """Tiles of a photograph are known by a table, and a folder without one has photographs only."""
        folder = self.path / "tiles"
        folder.mkdir()
        rows = ["tile\tsource\toriginal"]
        for number in range(20):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / f"{number:02}.png")
            rows.append(f"{number:02}.png\there\t{number // 3}.jpg")
        for table in (True, False):
            if table:
                (folder / "LICENCES.tsv").write_text("\n".join(rows))
            else:
                (folder / "LICENCES.tsv").unlink()
            chosen, held_out, trained = hold_out(read_tiles(folder, 16), 8)
            self.assertEqual([int(pixels[0, 0, 0]) for _, pixels in chosen], [0, 10])
            self.assertEqual([int(pixels[0, 0, 0]) for _, pixels in held_out],
                             [0, 1, 2, 9, 10, 11] if table else [0, 10])
            self.assertEqual(len(held_out) + len(trained), 20)

    def test_a_network_learns_and_the_program_runs_it(self):
        kind = "native" if COMPILER else "torch"
        self.train("learn", "--steps", "80", "--rate", "4e-3", "--engine", kind, "--average", "0.8")
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
