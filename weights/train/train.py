#!/usr/bin/env python3
"""Trains a blind denoiser from clean photographs.

    weights/train/train.py --photos DIR --output DIR --minutes 120
    weights/train/train.py --photos DIR --output DIR --minutes 240 --resume DIR/state.pth
    weights/train/train.py --photos DIR --output DIR --endless
    weights/train/train.py --photos DIR --output DIR2 --finish 60 --resume DIR/state.pth

Writes into --output:
    denoise.pth     the network (moving average of the parameters), for ../convert.py
    state.pth       everything to go on from: written every few minutes and at the end
    stable.pth      the same at the moment when the learning rate began to fall: what a longer run resumes from
    long-run.state  with --endless: the same as state.pth in 4 bytes a parameter, without the optimizer's state
                    (compact.py has the format)
    log.jsonl       a line of JSON for each progress line; plot.py draws it

--resume continues a run, also with other options. Its --minutes or --steps count from the beginning of the whole run,
time with earlier processes included. Minutes are of work: those in which the process is stopped, or other programs keep
the processors from it, do not count. Ctrl-C ends a run as if its time were over, without the falling rate.

The learning rate stays as it is until the last part of a run (--cooldown) and then falls to zero, which is worth some
tenths of a decibel. Patches grow in steps during that part (--patches). An --endless run stays before that part, and
--finish is that part alone: it lets the rate of a state fall to zero in so many minutes.

Needs PyTorch 1.13 or newer, numpy and Pillow (Debian: python3-torch python3-numpy python3-pil; python3-torch without
libopenblas0-pthread is slow). On a CPU, with a C++ compiler, the passes through the network are computed by native/,
which is several times faster than PyTorch's.
"""
import argparse
import contextlib
import ctypes
import dataclasses
import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import numpy
import torch
from torch.nn import functional as F

import compact
import network as networks
import noise
from optimizer import GradientLimit, Muon
from photographs import Patches, hold_out, read_tiles
from plot import read as read_log

VALIDATION_SIZE = 128
VALIDATION_CROPS = 8
SMALL_VALIDATION_SIZE = 96  # of the cases that came later: reports are to stay quick
SMALL_VALIDATION_CROPS = 4
DARK = 0.12  # mean brightness of dark crops
REBUILD_STEPS = 50  # in which the rate rises after a resume without the optimizer's state
MOST_SKIPPED = 100  # steps in a row
SAVE_EVERY = 180  # seconds
LIBRARIES = 250  # megabytes of memory that are PyTorch's own files, rounded up


def fail(sentence):
    print(f"train: {sentence}", file=sys.stderr)
    sys.exit(2)


class Weights:
    """The parameters of a network in one flat vector, and their gradients in another."""

    def __init__(self, network):
        parameters = list(network.parameters())
        self.shapes = [parameter.shape for parameter in parameters]
        self.flat = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradient = torch.zeros_like(self.flat)
        offset = 0
        for parameter in parameters:
            end = offset + parameter.numel()
            parameter.data = self.flat[offset:end].view(parameter.shape)
            parameter.grad = self.gradient[offset:end].view(parameter.shape)
            offset = end


class Forward:
    """The network as PyTorch is to run it in training: on a GPU channels-last, compiled, in bfloat16."""

    def __init__(self, network, device, autocast, compiled):
        if compiled and not hasattr(torch, "compile"):
            fail("--compile needs PyTorch 2.0 or newer")
        self.run = torch.compile(network) if compiled else network
        self.device, self.autocast = device, autocast

    def __call__(self, noisy):
        if self.device.type == "cuda":
            noisy = noisy.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if self.autocast else contextlib.nullcontext():
            return self.run(noisy).float()


class TorchEngine:
    """Passes through the network by PyTorch."""

    def __init__(self, network, weights, device):
        self.run, self.weights, self.device = network, weights, device

    def step(self, noisy, clean, sample_weights, epsilon):
        self.weights.gradient.zero_()
        squares = (self.run(noisy) - clean) ** 2
        losses = (squares + epsilon * epsilon).sqrt().mean((1, 2, 3))
        (losses * sample_weights).mean().backward()
        return losses.detach(), squares.detach().mean((1, 2, 3))


def native_engine(config, size, threads):
    """An engine of native/ for patches of one size. Raises an exception that says why there is none."""
    from native import Engine
    engine = Engine(config, size, threads)
    torch.set_num_threads(1)  # what is left for PyTorch are small things; they would fight for the processors
    return engine


class Engines:
    """Hands each batch to the engine for its size of patches."""

    def __init__(self, kind, network, config, weights, device, threads):
        self.torch = TorchEngine(network, weights, device)
        self.config, self.weights, self.threads = config, weights, threads
        self.native = {} if kind != "torch" and device.type == "cpu" else None
        self.kind = kind
        if kind == "native" and self.native is None:
            fail("--engine native needs --device cpu")

    def for_size(self, size):
        if self.native is not None and size not in self.native:
            try:
                self.native[size] = native_engine(self.config, size, self.threads)
            except Exception as error:  # whatever it is, PyTorch can do the work
                if self.kind == "native":
                    fail(f"the native engine cannot be used: {error}")
                print(f"train: PyTorch computes, more slowly: the native engine cannot be used: {error}",
                      file=sys.stderr)
                self.native = None
        return self.native[size] if self.native is not None else None

    def step(self, noisy, clean, sample_weights, epsilon):
        engine = self.for_size(noisy.shape[2])
        if engine is None:
            return self.torch.step(noisy, clean, sample_weights, epsilon)
        _, losses, squares = engine.step(self.weights.flat, noisy, clean, sample_weights, epsilon,
                                         out=self.weights.gradient)
        return losses, squares


class Schedule:
    """What a run does when: a share of 0 to 1 of it is over."""

    def __init__(self, options):
        self.rate, self.cooldown, self.warmup = options.rate, options.cooldown, options.warmup
        self.patches = options.patches

    def learning_rate(self, share, step):
        falling = 1.0 if share < 1 - self.cooldown else max(0.0, (1 - share) / self.cooldown)
        return self.rate * min(1.0, (step + 1) / self.warmup) * falling

    def patch(self, share):
        """(size, batch): the first until the rate falls, then the others, equally long."""
        if len(self.patches) == 1 or share < 1 - self.cooldown:
            return self.patches[0]
        place = (share - 1 + self.cooldown) / self.cooldown
        return self.patches[min(1 + int(place * (len(self.patches) - 1)), len(self.patches) - 1)]


def keep_memory():
    """glibc returns large blocks to the kernel when they are freed, and the kernel clears them when they are wanted
    again: up to half of the time that noise takes. This makes glibc keep them; other libraries have no mallopt."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, size in ((-1, 1 << 30), (-3, 1 << 25)):  # M_TRIM_THRESHOLD; M_MMAP_THRESHOLD, its largest value
        mallopt(parameter, size)


class Batches:
    """Makes noisy batches in threads of its own, a few ahead. Batch k depends on the seed, k, and patch(k), which is
    (size, count), only. With as many threads as the passes have, these take the same from each core."""

    AHEAD = 4

    def __init__(self, patches, seed, first, patch, resized_share, preset, threads):
        self.patches, self.seed, self.patch, self.resized_share = patches, seed, patch, resized_share
        self.preset = preset
        self.made = {}  # by number
        self.to_make = self.to_use = first
        self.error = None
        self.changed = threading.Condition()
        keep_memory()
        for _ in range(min(threads, self.AHEAD)):
            threading.Thread(target=self.work, daemon=True).start()

    def make(self, number):
        size, count = self.patch(number)
        rng = numpy.random.default_rng([self.seed, number])
        larger = size
        if rng.random() < self.resized_share:  # an even size, for the Bayer pattern
            larger = 2 * round(size * rng.uniform(0.6, 1.0))
            if self.preset.phone and rng.random() < 0.2:  # what viewers and web sites make of the pictures of phones
                larger = size * int(rng.integers(2, 4))
            larger = min(larger, *(min(p.shape[1:]) // 2 * 2 for p in self.patches.pictures))
        clean = self.patches.draw(count, larger, rng)
        return noise.add_noise(clean, size, int(rng.integers(2**31)), self.preset)

    def work(self):
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.to_make < self.to_use + self.AHEAD)
                    number, self.to_make = self.to_make, self.to_make + 1
                batch = self.make(number)
                with self.changed:
                    self.made[number] = batch
                    self.changed.notify_all()
        except Exception as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def next(self):
        with self.changed:
            self.changed.wait_for(lambda: self.error or self.to_use in self.made)
            if self.error:
                raise self.error
            self.to_use += 1
            self.changed.notify_all()
            return self.made.pop(self.to_use - 1)


def sample_weights(noise_power):
    """Charbonnier's loss counts errors, and people count decibels: a tenth less error is worth as much in a picture
    with little noise. The error that stays grows more slowly than the noise, so weights fall with its power 0.6."""
    weights = (noise_power.sqrt() * 255 + 4) ** -0.6
    return weights / weights.mean()


def dark_and_flat(tiles, size, count):
    """Crops as 0..1 with little detail and little light, though not black ones, each of another photograph. Where none
    is dark enough it is darkened."""
    best = {}
    for origin, picture in tiles:
        gray = noise.brightness(picture[None].float() / 255)
        gradient = F.pad((gray[..., 1:] - gray[..., :-1]).abs(), (0, 1)) + \
            F.pad((gray[..., 1:, :] - gray[..., :-1, :]).abs(), (0, 0, 0, 1))
        light, detail = (F.avg_pool2d(x, size, size // 4)[0, 0] for x in (gray, gradient))
        score = (light - DARK).abs() + 3 * detail
        place = int(score.argmin())
        y, x = (size // 4 * index for index in divmod(place, score.shape[1]))
        crop = picture[:, y:y + size, x:x + size].float() / 255 * min(1.0, DARK / float(light.flatten()[place] + 1e-3))
        best[origin] = min(best.get(origin, (9.0,)), (float(score.flatten()[place]), crop), key=lambda pair: pair[0])
    return torch.stack([crop for _, crop in sorted(best.values(), key=lambda pair: pair[0])[:count]])


class Validation:
    """PSNR on crops of photographs that are not trained on, with the same noise each time. `tiles` are all of these
    photographs, `chosen` some of them, for all cases but the dark one."""

    def __init__(self, chosen, tiles, device):
        rng = numpy.random.default_rng(1)
        patches = Patches([pixels for _, pixels in chosen], device)
        clean = patches.draw(VALIDATION_CROPS, VALIDATION_SIZE, rng)
        random = noise.Random(2, len(clean), device)
        self.cases = {f"sigma{sigma}": (noise.round_to_bytes(clean + sigma / 255 * random.normal(clean.shape)), clean)
                      for sigma in (15, 25, 50)}
        self.cases["camera"] = (noise.round_to_bytes(noise.camera(clean, random)), clean)

        clean = patches.draw(SMALL_VALIDATION_CROPS, SMALL_VALIDATION_SIZE, rng)
        dark = dark_and_flat(tiles, SMALL_VALIDATION_SIZE, SMALL_VALIDATION_CROPS).to(device)
        strong = dataclasses.replace(noise.PHONE, pushed=1.0, pushed_stops=(7, 9.5))
        weaker = dataclasses.replace(noise.PHONE, pushed=0.0)
        for seed, (name, picture, model, preset) in enumerate((
                ("dark", dark, noise.camera, strong), ("weak", clean, noise.weak, noise.PHONE),
                ("blocky", clean, noise.camera, weaker), ("grain", clean, noise.film, noise.PHONE))):
            noisy = noise.round_to_bytes(model(picture, noise.Random(3 + seed, len(picture), device), preset))
            if name == "blocky":
                noise.through_jpeg(noisy, {index: [(40, 2, (0, 0))] for index in range(len(noisy))})
            self.cases[name] = (noisy, picture)

    @torch.no_grad()
    def measure(self, network):
        decibels = {}
        for name, (noisy, clean) in self.cases.items():
            output = noise.round_to_bytes(torch.cat([network(part) for part in noisy.split(4)]))
            decibels[name] = float((-10 * torch.log10(((output - clean) ** 2).mean((1, 2, 3)) + 1e-8)).mean())
        return decibels


class Average:
    """The exponential moving average of the parameters. It follows closely at first."""

    def __init__(self, flat, decay):
        self.flat, self.decay = flat.clone(), decay

    def share(self, step):
        """Of the way to the parameters that the average goes in a step."""
        return 1 - min(self.decay, (step + 1) / (step + 10))

    def inside(self, weights):
        """A context in which the network computes with the average."""
        return Swapped(weights.flat, self.flat)


class Swapped:
    def __init__(self, first, second):
        self.first, self.second = first, second

    def __enter__(self):
        kept = self.first.clone()
        self.first.copy_(self.second)
        self.second.copy_(kept)

    __exit__ = lambda self, *_: self.__enter__()  # noqa: E731


class Stopwatch:
    """The seconds of work between laps. A thread is at work all the time, so the time of the processors is shorter than
    the time that passes only where the process is stopped (SIGSTOP), or others keep the processors from it."""

    def __init__(self):
        self.passed, self.worked = time.monotonic(), time.process_time()

    def lap(self):
        passed, worked = time.monotonic(), time.process_time()
        seconds = min(passed - self.passed, worked - self.worked)
        self.passed, self.worked = passed, worked
        return seconds


def limit_memory(megabytes):
    """Lets requests for more memory fail. What is limited is memory of the process's own: with the address space, as
    `ulimit -v` limits it, PyTorch takes twice what it uses."""
    limit = int((megabytes - LIBRARIES) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def save(value, path):
    """Writes all of a file or nothing."""
    temporary = path.with_suffix(".tmp")
    torch.save(value, temporary)
    os.replace(temporary, path)


def clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


class Trainer:
    def __init__(self, options):
        self.options = options
        self.device = torch.device(options.device)
        self.output = options.output
        self.output.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.output / "lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"another process trains in {self.output}")
        self.config = {name: getattr(options, "features" if name == "width" else name) for name in networks.DEFAULTS}
        self.step = self.pixels = 0
        self.optimizer_since = 0  # the step in which the optimizer began to gather its state
        self.seconds = 0.0
        self.stable_saved = False
        torch.manual_seed(options.seed)
        self.network = networks.build(self.config)
        self.origin = "random"
        if options.start:
            networks.start_from(self.network, self.config, *networks.load_checkpoint(options.start))
            self.origin = options.start.name
        self.network.to(self.device)
        self.weights = Weights(self.network)
        self.average = Average(self.weights.flat, options.average)
        forward = Forward(self.network, self.device, options.autocast, options.compile)
        self.engines = Engines(options.engine, forward, self.config, self.weights, self.device, options.threads)
        native = self.engines.for_size(options.patches[0][0]) is not None
        self.optimizer = Muon(self.weights.flat, self.weights.shapes, options.optimizer == "muon",
                              options.threads if native else None)
        self.limit = GradientLimit()
        self.skipped = 0  # steps in a row
        if options.resume:
            self.resume(options.resume)
        if options.endless:
            self.tidy_log()
        if options.finish:
            options.minutes = self.seconds / 60 + options.finish
            options.cooldown = options.finish / options.minutes
        self.schedule = Schedule(options)
        if self.optimizer_since:
            self.schedule.warmup = min(options.warmup, REBUILD_STEPS)

        sizes = [size for size, _ in options.patches]
        tiles = read_tiles(options.photos, max([*sizes, VALIDATION_SIZE]))
        chosen, held_out, trained = hold_out(tiles, VALIDATION_CROPS)
        if not trained:
            fail(f"{options.photos}: there must be two photographs or more")
        self.validation = Validation(chosen, held_out, self.device)
        self.patches = Patches([pixels for _, pixels in trained], self.device)
        self.stop = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self.ask_to_stop)

    def ask_to_stop(self, *_):
        self.stop = True

    def resume(self, path):
        if compact.is_compact(path):
            state, average, parameters = compact.read(path)
            state.update(average=torch.from_numpy(average), parameters=torch.from_numpy(parameters))
        else:
            try:
                state = torch.load(path, map_location="cpu")
            except Exception as error:  # of any kind, as the file is a pickle in an archive
                fail(f"{path} is damaged, or no state: {error}")
        if {**networks.DEFAULTS, **state["config"]} != self.config:
            fail(f"{path} is of the network {state['config']}, the options say {self.config}")
        if "sizes" in state and state["sizes"] != self.sizes():
            fail(f"{path} has tensors of other sizes than the network")
        self.step, self.pixels, self.seconds = state["step"], state["pixels"], state["seconds"]
        self.origin = state["origin"]
        self.weights.flat.copy_(state["parameters"])
        self.average.flat.copy_(state["average"])
        if state.get("optimizer_kind") == self.options.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
            self.optimizer_since = state.get("optimizer_since", 0)
        else:
            self.optimizer_since = self.step
        if "gradient_norms" in state:
            self.limit.norms.extend(state["gradient_norms"])
        elif state.get("gradient_norm"):
            self.limit.start_from(state["gradient_norm"])
        if "log" in state:
            self.log_file().write_text("".join(json.dumps(line) + "\n" for line in state["log"]), encoding="utf-8")

    def tidy_log(self):
        """Takes out what a process that was killed wrote after its last state, or had not finished."""
        lines = []
        for text in self.log_file().read_text(encoding="utf-8").splitlines() if self.log_file().exists() else []:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                lines += [text] if json.loads(text)["step"] <= self.step else []
        self.log_file().write_text("".join(text + "\n" for text in lines), encoding="utf-8")

    def sizes(self):
        return [shape.numel() for shape in self.weights.shapes]

    def log_file(self):
        return self.output / "log.jsonl"

    def share(self, step=None):
        """How much of the run is over, 0 to 1: now, or at a step where their number is what ends it."""
        if self.options.endless:
            return 0.0
        step = self.step if step is None else step
        return min(1.0, step / self.options.steps if self.options.steps
                   else self.seconds / (60 * self.options.minutes))

    def save_state(self, name):
        # Everything that is random comes from the seed and the number of the step, so there is no random state.
        header = {"config": self.config, "step": self.step, "pixels": self.pixels, "seconds": self.seconds,
                  "origin": self.origin, "seed": self.options.seed}
        save({**header, "parameters": self.weights.flat, "average": self.average.flat,
              "optimizer_kind": self.options.optimizer, "optimizer_since": self.optimizer_since,
              "optimizer": self.optimizer.state_dict(), "gradient_norms": list(self.limit.norms)}, self.output / name)
        if self.options.endless:
            log = compact.thinned(read_log(self.log_file()))
            compact.write(self.output / "long-run.state",
                          {**header, "gradient_norm": self.limit.median(), "log": log}, self.sizes(),
                          self.average.flat.cpu().numpy(), self.weights.flat.cpu().numpy())

    def check(self):
        """A network without a loss is neither measured nor saved."""
        if not self.weights.flat.isfinite().all():
            fail(f"the parameters are no longer finite in step {self.step}: resume from state.pth with a lower --rate")

    def save_network(self):
        with self.average.inside(self.weights):
            save({"iteration": self.step, "config": {**self.config, "pixels": self.pixels},
                  "state_dict": {name: value.detach().cpu().clone()
                                 for name, value in self.network.state_dict().items()}}, self.output / "denoise.pth")

    @contextlib.contextmanager
    def averaged_network(self):
        """The network with the averaged parameters, computed by whatever is fast here."""
        if self.engines.for_size(VALIDATION_SIZE) is not None:
            yield lambda noisy: self.engines.for_size(noisy.shape[2]).forward(self.average.flat, noisy)
        else:
            with self.average.inside(self.weights):
                yield self.network

    def report(self, loss, gain, rate, speed):
        with self.averaged_network() as network:
            decibels = self.validation.measure(network)
        share = self.share()
        left = self.seconds / share * (1 - share) if share > 0 else 0
        line = {"step": self.step, "pixels": self.pixels, "seconds": round(self.seconds, 1), "loss": loss,
                "gain": gain, "rate": rate, "pixels_per_second": round(speed),
                **{name: round(value, 4) for name, value in decibels.items()}}
        with open(self.log_file(), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        endless = self.options.endless
        done, rest = ("endless", clock(self.seconds)) if endless else (f"{share:4.0%}", f"{clock(left)} left")
        print(f"{done} step {self.step} loss {loss:.5f} gain {gain:5.2f} dB | validation "
              + " ".join(f"{name} {value:.2f}" for name, value in decibels.items())
              + f" dB | {speed / 1e3:.0f} kpixel/s, rate {rate:.1e}, {rest}", flush=True)

    def update(self, losses, rate):
        """Changes the parameters by the gradient, unless it or a loss is not finite; returns whether it did."""
        if self.limit.apply(self.weights.gradient, losses):
            self.optimizer.step(self.weights.gradient, rate, self.average.flat, self.average.share(self.step))
            self.skipped = 0
        else:
            self.skipped += 1
            if self.skipped == MOST_SKIPPED:
                self.check()
                fail(f"the loss or its gradient is not finite in {MOST_SKIPPED} steps up to {self.step}: resume from "
                     "state.pth with a lower --rate")
        return not self.skipped

    def run(self):
        options = self.options
        print(f"{self.weights.flat.numel()} parameters from {self.origin}; {len(self.patches.pictures)} photographs; "
              f"computed by {'native/' if self.engines.for_size(options.patches[0][0]) else 'PyTorch'} "
              f"on {self.device}", flush=True)
        batches = Batches(self.patches, options.seed, self.step,
                          lambda step: self.schedule.patch(self.share(step)), options.resized,
                          noise.PRESETS[options.noise], options.threads)
        watch = Stopwatch()
        last_report = last_save = self.seconds
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # there, because reading them waits for a GPU
        count, pixels_reported = 0, self.pixels
        while self.share() < 1 and not self.stop:
            share = self.share()
            if not self.stable_saved and share >= 1 - options.cooldown:
                self.save_state("stable.pth")
                self.stable_saved = True
            noisy, clean = batches.next()
            noise_power = ((noisy - clean) ** 2).mean((1, 2, 3))
            losses, squares = self.engines.step(noisy, clean, sample_weights(noise_power), options.epsilon)
            rate = self.schedule.learning_rate(share, self.step - self.optimizer_since)
            updated = self.update(losses, rate)
            self.step += 1
            self.pixels += noisy.shape[0] * noisy.shape[2] * noisy.shape[3]
            self.seconds += watch.lap()
            if updated:
                gains = 10 * torch.log10((noise_power + 1e-6) / (squares + 1e-6))
                sums += torch.stack([losses.mean(), gains.mean()])
                count += 1
            if self.seconds - last_report >= options.report or self.share() >= 1 or self.stop:
                self.check()
                speed = (self.pixels - pixels_reported) / max(self.seconds - last_report, 1e-9)
                self.report(*(sums / max(count, 1)).cpu().numpy().round(6).tolist(), rate, speed)
                self.seconds += watch.lap()
                last_report = self.seconds
                sums.zero_()
                count, pixels_reported = 0, self.pixels
            if self.seconds - last_save >= SAVE_EVERY:
                self.check()
                self.save_state("state.pth")
                self.save_network()
                last_save = self.seconds
        self.save_state("state.pth")
        self.save_network()
        print(f"{self.pixels / 1e9:.3f} gigapixels in {self.step} steps and {clock(self.seconds)}: "
              f"{self.output / 'denoise.pth'}", flush=True)


def patch_list(text):
    """'64x8,128x2': patches of 64 x 64 pixels, 8 at a time, then of 128 x 128, 2 at a time."""
    try:
        patches = [tuple(int(number) for number in part.split("x")) for part in text.split(",")]
        if all(len(patch) == 2 and patch[0] % 16 == 0 and min(patch) > 0 for patch in patches):
            return patches
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: expected SIZExBATCH,... with sizes that are multiples of 16")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--photos", type=Path, required=True, metavar="DIR", help="clean photographs, also in folders")
    add("--output", type=Path, required=True, metavar="DIR", help="where results go")
    add("--minutes", type=float, help="length of the run, of work")
    add("--steps", type=int, help="length of the run, in place of --minutes")
    add("--endless", action="store_true", help="train until a signal (SIGTERM or Ctrl-C) ends it; the rate never falls")
    add("--finish", type=float, metavar="MINUTES", help="let the rate of --resume fall to zero in so many minutes")
    add("--start", type=Path, metavar="FILE.pth", help="begin with the parameters of this checkpoint; a deeper network "
        "computes at first what the checkpoint's did")
    add("--resume", type=Path, metavar="FILE.pth", help="go on from a state, state.pth or compact; after a "
        "compact one the rate rises again, in %d steps" % REBUILD_STEPS)
    for name, value in networks.DEFAULTS.items():
        name = "features" if name == "width" else name
        add(f"--{name}", type=int, default=value, help="of the network (default: %(default)s)")
    add("--patches", type=patch_list, default="64x8,96x4,128x2", metavar="SIZExBATCH,...",
        help="patches: the first until the rate falls, then the others (default: %(default)s)")
    add("--rate", type=float, default=2e-3, help="learning rate (default: %(default)s)")
    add("--warmup", type=int, default=200, help="steps in which the rate rises (default: %(default)s)")
    add("--cooldown", type=float, default=0.4, help="share of the run in which the rate falls (default: %(default)s)")
    add("--optimizer", choices=["muon", "adamw"], default="muon", help="default: %(default)s")
    add("--average", type=float, default=0.999, help="decay of the moving average (default: %(default)s)")
    add("--epsilon", type=float, default=1e-2, help="of Charbonnier's loss (default: %(default)s)")
    add("--resized", type=float, default=0.15, help="share of batches made from larger patches (default: %(default)s)")
    add("--noise", choices=list(noise.PRESETS), default="phone", help="phone: all that noise.py has; plain: Gaussian "
        "noise to a sigma of 55 and cameras to ISO 25600, what the first weights learned (default: %(default)s)")
    add("--engine", choices=["auto", "native", "torch"], default="auto", help="default: %(default)s")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    add("--autocast", action="store_true", help="PyTorch computes the passes in bfloat16 where that does no harm")
    add("--compile", action="store_true", help="PyTorch compiles the network (torch.compile, PyTorch 2.0 or newer)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    add("--memory", type=int, metavar="MB", help="take no more memory than that; not with --device cuda")
    add("--report", type=float, default=30, help="seconds between progress lines (default: %(default)s)")
    add("--seed", type=int, default=1)
    options = parser.parse_args()
    if sum(map(bool, (options.minutes, options.steps, options.endless, options.finish))) != 1:
        fail("say --minutes or --steps, --endless or --finish, one of them")
    if options.finish and not options.resume:
        fail("--finish goes on from a state: --resume says which")
    multiple = options.unshuffle * 2 ** (options.streams - 1)
    for size in (*(size for size, _ in options.patches), VALIDATION_SIZE):
        if size % multiple:
            fail(f"this network needs patches whose sizes are multiples of {multiple}, and {size} is not")
    if options.autocast or options.compile:
        if options.engine == "native":
            fail("--autocast and --compile are for PyTorch, not for --engine native")
        options.engine = "torch"
    if not options.photos.is_dir():
        fail(f"{options.photos} is not a folder")
    return options


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    if options.memory and options.device == "cpu":
        limit_memory(options.memory)
    try:
        Trainer(options).run()
    except (OSError, ValueError) as error:
        fail(error)
    except (MemoryError, RuntimeError) as error:
        if options.memory and (isinstance(error, MemoryError) or "memory" in str(error)):
            fail(f"the photographs and the training need more than {options.memory} MB (--memory)")
        raise


if __name__ == "__main__":
    main()
