#!/usr/bin/env python3
"""Compares the training engine in C++ with PyTorch's autograd in float64: python3 tests/train/test_native.py."""
import os
import shutil
import sys
import unittest
from unittest import mock

import pytorch  # noqa: F401

import torch

import native
import optimizer
from mirnet_torch import MIRNet

NAMES = ("width", "groups", "blocks", "streams", "columns", "channels", "unshuffle")
EPS = 1e-2


def network(config, seed, slopes):
    """Random parameters that keep activations of order 1, so that no part of the network is negligible."""
    torch.manual_seed(seed)
    net = MIRNet(**config).double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.numel() == 1:
                p.uniform_(*slopes)
                continue
            fan_in = p[0].numel() if "top.2" not in name else p.shape[0] * 9 / 4
            p.normal_(0, (0.8 / fan_in) ** 0.5)
            if "CA" in name or "selective_kernel" in name or "SA" in name:
                p.mul_(3)
            if "CA.conv_du.0" in name or "selective_kernel" in name and "conv_du.0" in name:
                p[1::2] = -p[0::2]  # half of the hidden values are positive, whatever they see
        for p in net.parameters():  # exactly what the engine gets
            p.copy_(p.float().double())
    return net


def flatten(net):
    return torch.cat([p.detach().reshape(-1).float() for p in net.parameters()])


def unflatten(vector, net):
    parameters = list(net.parameters())
    return [piece.view_as(p) for piece, p in zip(torch.split(vector, [p.numel() for p in parameters]), parameters)]


def batch_of(config, patch, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, config["channels"], *patch)
    noisy, clean = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    return noisy, clean, torch.rand(batch, generator=generator) + 0.5


def reference(net, noisy, clean, sample_weight):
    out = net(noisy.double())
    errors = out - clean.double()
    losses = (errors ** 2 + EPS ** 2).sqrt().mean((1, 2, 3))
    gradient = torch.autograd.grad((losses * sample_weight.double()).mean(), list(net.parameters()), allow_unused=True)
    return out.detach(), gradient, losses.detach(), (errors ** 2).mean((1, 2, 3)).detach()


class EngineTest(unittest.TestCase):
    def errors_of(self, config, patch, batch, threads, slopes, seed):
        """Largest error of the output, and of each tensor's gradient relative to its largest value."""
        net = network(config, seed, slopes)
        noisy, clean, sample_weight = batch_of(config, patch, batch, seed + 1)
        out, gradient, losses, errors = reference(net, noisy, clean, sample_weight)
        engine = native.Engine(config, patch, threads)
        params = flatten(net)
        self.assertEqual(engine.parameter_count, params.numel())

        # what the network adds must matter, or the comparison says nothing
        self.assertGreater(float((out - noisy).abs().mean()), 0.05)
        scale = max(float(out.abs().max()), 1.0)
        self.assertLess(scale, 20)
        output_error = float((engine.forward(params, noisy) - out).abs().max()) / scale
        self.assertLess(output_error, 1e-5)

        previous = None
        for _ in range(2):  # nothing may be left over from the step before
            got, got_losses, got_errors = engine.step(params, noisy, clean, sample_weight, EPS)
            self.assertTrue(previous is None or torch.equal(got, previous))
            previous = got
        torch.testing.assert_close(got_losses.double(), losses, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(got_errors.double(), errors, rtol=1e-5, atol=1e-6)
        result = {}
        for (name, p), a, e in zip(net.named_parameters(), unflatten(got, net), gradient):
            if e is None:  # with one column, much is not used
                self.assertEqual(config["columns"], 1)
                self.assertEqual(float(a.abs().max()), 0, name)
                continue
            if "selective_kernel" in name and config["streams"] == 1:  # the only stream's share is always 1
                self.assertLess(float(a.abs().max()), 1e-7, name)
                continue
            largest = float(e.abs().max())
            self.assertGreater(largest, 1e-6, name)
            result[name] = float((a - e).abs().max()) / largest
        return output_error, result

    def check(self, values, patch, batch=3, threads=2, slopes=(0.1, 0.4)):
        """Where a value is almost at the kink of a PReLU, rounding decides on its side, and with it on the gradient of
        what is above. So every tensor has to be right for one of some seeds, and nearly right for all. With slopes of 1
        there are no such kinks."""
        config = {"unshuffle": 1, **dict(zip(NAMES, values))}
        report = f"{values} {patch[0]}x{patch[1]} batch {batch} threads {threads}:"
        for title, range_of_slopes, seeds in (("", slopes, (1, 2, 3)), ("slopes of 1: ", (1, 1), (4, 5))):
            runs = [self.errors_of(config, patch, batch, threads, range_of_slopes, seed) for seed in seeds]
            best = {name: min(errors[name] for _, errors in runs) for name in runs[0][1]}
            worst = {name: max(errors[name] for _, errors in runs) for name in runs[0][1]}
            report += (f"\n    {title}output {max(e for e, _ in runs):.1e}, {len(best)} gradients "
                       f"{max(best.values()):.1e} at best seed, {max(worst.values()):.1e} at worst")
            self.assertEqual({name: e for name, e in best.items() if not e < 1e-4}, {})
            self.assertEqual({name: e for name, e in worst.items() if not e < 3e-2}, {})
        print(report)

    def test_one_block(self):
        self.check((16, 1, 1, 3, 2, 3), (32, 32))

    def test_two_blocks(self):
        self.check((16, 1, 2, 3, 2, 3), (24, 40))

    def test_two_groups_of_two_streams(self):
        self.check((16, 2, 1, 2, 2, 3), (24, 40))

    def test_one_column(self):
        self.check((32, 1, 1, 3, 1, 3), (32, 32))

    def test_three_columns(self):
        self.check((16, 1, 1, 2, 3, 3), (12, 20))

    def test_one_stream_and_channel(self):
        self.check((48, 1, 1, 1, 2, 1), (9, 7))

    def test_four_streams(self):
        self.check((16, 1, 1, 4, 2, 4), (16, 24), batch=2)

    def test_smallest_patch(self):
        self.check((16, 1, 1, 3, 2, 3), (4, 4), threads=1)

    def test_negative_slopes(self):
        self.check((16, 1, 1, 3, 2, 3), (16, 16), slopes=(-0.3, -0.1))

    def test_slopes_of_any_sign(self):
        self.check((16, 1, 1, 3, 2, 3), (16, 16), slopes=(-0.3, 0.3))

    def test_unshuffled_by_two(self):
        self.check((16, 1, 1, 2, 2, 3, 2), (24, 40))

    def test_unshuffled_by_four(self):
        self.check((32, 1, 1, 1, 2, 1, 4), (24, 16))

    def test_more_threads_than_samples(self):
        self.check((16, 1, 1, 2, 2, 3), (16, 16), batch=2, threads=4)

    def test_is_additive(self):
        config = dict(zip(NAMES, (16, 1, 1, 2, 2, 3, 1)))
        noisy, clean, sample_weight = batch_of(config, (16, 16), 5, 1)
        engine, params = native.Engine(config, 16, 2), flatten(network(config, 1, (0.1, 0.4)))
        whole, _, _ = engine.step(params, noisy, clean, sample_weight, EPS)
        parts = sum(engine.step(params, noisy[i:i + 1], clean[i:i + 1], sample_weight[i:i + 1], EPS)[0] / 5
                    for i in range(5))
        self.assertLess(float((parts - whole).abs().max() / whole.abs().max()), 1e-5)

    def test_refuses_what_it_does_not_support(self):
        good = dict(zip(NAMES, (16, 1, 1, 3, 2, 3, 1)))
        for change, patch in (({"width": 24}, 32), ({"width": 8}, 32), ({"channels": 5}, 32), ({"streams": 9}, 256),
                              ({}, 30), ({}, (32, 34)), ({"groups": 0}, 32), ({"unshuffle": 0}, 32), ({"unshuffle": 3}, 24),
                              ({"unshuffle": 2}, 28)):
            with self.assertRaises(native.Unavailable):
                native.Engine({**good, **change}, patch, 1)
        engine = native.Engine(good, 16, 1)
        images = torch.zeros(2, 3, 16, 16)
        with self.assertRaises(ValueError):
            engine.step(torch.zeros(engine.parameter_count - 1), images, images)
        with self.assertRaises(ValueError):
            engine.step(torch.zeros(engine.parameter_count), images, images[:, :, :8])

    def test_threads_do_not_change_a_step_of_the_optimizer(self):
        results = []
        for threads in (1, 2, 3):
            parameters, average, optimizer, gradients = self.optimizers(threads)
            for gradient in gradients:
                optimizer.step(gradient, 1e-2, average, 0.1)
            results.append(torch.cat([parameters, average, optimizer.first, optimizer.second]))
        self.assertTrue(torch.equal(results[0], results[1]))
        self.assertTrue(torch.equal(results[0], results[2]))

    # Matrices of all kinds: wide, tall, square, with sides that are no multiples of 16, and what is AdamW's between them.
    SHAPES = [(16, 12, 3, 3), (1,), (64, 32, 3, 3), (4, 32), (32, 8), (9, 50), (7,), (20, 20), (12, 16, 3, 3), (3,),
              (12, 16, 3, 3)]

    def optimizers(self, threads, dtype=torch.float32, steps=4, **options):
        """A vector of parameters and its average, an optimizer for it, and gradients: the same in each type."""
        generator = torch.Generator().manual_seed(1)
        count = sum(torch.Size(shape).numel() for shape in self.SHAPES)
        parameters, *gradients = (torch.randn(count, generator=generator).to(dtype) for _ in range(1 + steps))
        # Singular values of a real gradient differ by more than those of random numbers do.
        gradients = [gradient * torch.logspace(-4, 0, count, dtype=dtype) for gradient in gradients]
        shapes = [torch.Size(shape) for shape in self.SHAPES]
        return parameters, parameters.clone(), optimizer.Muon(parameters, shapes, threads=threads, **options), gradients

    def test_steps_of_the_optimizer_are_those_of_pytorch(self):
        """Rounding grows in the iterations, so PyTorch's own error in float32 is the measure."""
        for use_muon in (True, False):
            results = {}
            for name, threads, dtype in (("exact", None, torch.float64), ("pytorch", None, torch.float32),
                                         ("native", 2, torch.float32)):
                parameters, average, one, gradients = self.optimizers(threads, dtype, use_muon=use_muon)
                before = parameters.clone()
                for gradient in gradients:
                    one.step(gradient, 1e-2, average, 0.1)
                results[name] = [(parameters - before).double(), (average - before).double(), one.first.double(),
                                 one.second.double()]
            for exact, pytorch, native in zip(*results.values()):
                errors = [float((x - exact).norm() / exact.norm()) if exact.numel() else 0 for x in (pytorch, native)]
                self.assertLess(errors[1], 2 * errors[0] + 2e-7)
                self.assertLess(errors[1], 1e-3)

    def test_optimizer_refuses_other_vectors(self):
        parameters, average, one, (gradient, *_) = self.optimizers(1)
        for wrong in (gradient[1:], gradient.double(), torch.stack([gradient, gradient], 1)[:, 0]):
            with self.assertRaises(ValueError):
                one.step(gradient, 1e-2, wrong, 0.1)

    def test_says_so_without_a_compiler(self):
        with mock.patch.dict(os.environ, {"CXX": "no-such-compiler"}):
            with self.assertRaises(native.Unavailable):
                native.build()


if __name__ == "__main__":
    if not shutil.which(os.environ.get("CXX", "g++")):
        print("skipped: no C++ compiler")
        sys.exit(77)
    unittest.main(verbosity=2)
