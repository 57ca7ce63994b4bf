#!/usr/bin/env python3
"""Tests of endless training, compact states and long_run.sh: python3 tests/train/test_long_run.py."""
import contextlib
import io
import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib
from unittest import mock

from pytorch import ROOT

import numpy
import torch
from PIL import Image

import compact
import network as networks
import plot
import train

TRAIN = ROOT / "weights" / "train"
OPTIONS = ["--features", "8", "--streams", "2", "--patches", "32x2", "--warmup", "5", "--engine", "torch"]
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
HEADER = {"config": {"width": 8}, "step": 7, "pixels": 700, "seconds": 1.5, "seed": 1, "origin": "random"}


def make_photographs(folder):
    folder.mkdir()
    rng = numpy.random.default_rng(1)
    for number in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=numpy.uint8))
        coarse.resize((160, 144), Image.BICUBIC).save(folder / f"{number}.png")


def wait_until(condition, what, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} seconds for {what}")
        time.sleep(0.05)


class CompactState(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "a.state"
        rng = numpy.random.default_rng(1)
        # Tensors of very different scales, one of zeros, and differences far smaller than what they are added to.
        self.sizes = [1000, 1, 64, 333]
        scales = numpy.repeat([1e-3, 0.25, 0, 3e7], self.sizes)
        self.average = (rng.normal(size=sum(self.sizes)) * scales).astype("f4")
        self.parameters = (self.average + rng.normal(size=sum(self.sizes)) * scales * 0.01).astype("f4")

    def write(self, log=()):
        compact.write(self.path, {**HEADER, "log": list(log)}, self.sizes, self.average, self.parameters)

    def test_round_trip(self):
        log = [{"step": 1, "pixels": 5}]
        self.write(log)
        header, average, parameters = compact.read(self.path)
        self.assertEqual(header, {**HEADER, "log": log, "sizes": self.sizes})
        self.assertEqual(compact.read_header(self.path), header)
        offset = 0
        for size in self.sizes:
            part = slice(offset, offset + size)
            offset += size
            scale = numpy.abs(self.average[part]).max()
            self.assertLessEqual(numpy.abs(average - self.average)[part].max(), scale * 2.0 ** -11)
            # Storing the average does not move the parameters.
            self.assertLessEqual(numpy.abs(parameters - self.parameters)[part].max(), scale * 0.05 * 2.0 ** -11)
        small = numpy.abs(self.average) > 0
        self.assertLess((numpy.abs(average - self.average)[small] / numpy.abs(self.average[small])).max(), 2.0 ** -10)
        self.assertLess(self.path.stat().st_size, 4 * len(self.average) + 400)
        before = self.path.read_bytes()
        self.average, self.parameters = average, parameters
        self.write(log)
        self.assertEqual(self.path.read_bytes(), before)  # what was stored is stored again as it is
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["a.state"])

    def refused(self, data, sentence):
        self.path.write_bytes(data)
        with self.assertRaisesRegex(ValueError, sentence):
            compact.read(self.path)

    def test_damage_is_refused(self):
        self.write()
        good = self.path.read_bytes()
        for place in range(0, len(good), 97):
            changed = bytearray(good)
            changed[place] ^= 4
            self.refused(changed, "damaged|no state|version|header")
        for length in (0, 7, 19, 20, 100, len(good) - 1):
            self.refused(good[:length], "damaged|no state")
        self.refused(good + b"\0", "damaged")

    def test_headers_that_lie_are_refused(self):
        self.write()
        good = self.path.read_bytes()
        length = struct.unpack_from("<I", good, 12)[0]
        header, rest = json.loads(good[20:20 + length]), good[20 + length:]

        def with_header(text):
            body = text + rest
            return compact.START.pack(compact.MAGIC, 1, len(text), zlib.crc32(body)) + body

        for change in ({"sizes": [1]}, {"sizes": [1398, 0]}, {"sizes": [-1, 1399]}, {"sizes": 5}, {"sizes": [1e9]},
                       {"gradient_norm": "1"}, {"gradient_norm": -1}, {"gradient_norm": float("nan")},
                       {"step": -1}, {"step": "1"}, {"pixels": None}, {"config": []}, {"log": [1]}, {"seconds": "x"}):
            self.refused(with_header(json.dumps({**header, **change}).encode()), "header")
        for text in (b"", b"[]", b"{", b"\xff", json.dumps({"step": 1}).encode()):
            self.refused(with_header(text), "header")
        rest = rest[:4] + struct.pack("<e", float("inf")) + rest[6:]
        self.refused(with_header(good[20:20 + length]), "not finite")

    def test_logs_are_thinned(self):
        lines = [{"pixels": number * number} for number in range(1, 2000)]
        few = compact.thinned(lines)
        self.assertTrue(150 < len(few) <= compact.MOST_LINES, len(few))
        self.assertEqual([few[0], few[-1]], [lines[0], lines[-1]])
        self.assertEqual([line["pixels"] for line in few], sorted({line["pixels"] for line in few}))
        self.assertEqual(compact.thinned(few), few)


class Time(unittest.TestCase):
    def test_only_work_counts(self):
        watch = train.Stopwatch()
        pid = os.getpid()
        helper = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -STOP {pid}; sleep 1; kill -CONT {pid}"])
        begin = time.monotonic()
        while helper.poll() is None or time.process_time() - watch.worked < 0.1:
            sum(range(1000))
        passed = time.monotonic() - begin
        self.assertGreater(passed, 1.3)
        self.assertTrue(0.1 <= watch.lap() < passed - 0.9)
        self.assertLess(watch.lap(), 0.1)


class Unshuffle(unittest.TestCase):
    def test_networks_on_cells(self):
        config = {"width": 8, "groups": 1, "blocks": 1, "streams": 2, "columns": 2, "unshuffle": 2}
        x = torch.rand(1, 3, 16, 24)
        network = networks.build(config)
        self.assertLess(float((network(x) - x).abs().max()), 0.1)
        deeper = networks.build({**config, "blocks": 2})
        state = network.state_dict()
        networks.start_from(deeper, {**config, "blocks": 2}, config, state)
        self.assertLess(float((deeper(x) - network(x)).abs().max()), 1e-5)
        with self.assertRaisesRegex(ValueError, "unshuffle"):
            networks.start_from(deeper, {**config, "blocks": 2}, {**config, "unshuffle": 1}, state)


class EndlessTraining(unittest.TestCase):
    """train.py in this process: it takes most of the time of a short run to start another."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        make_photographs(self.path / "photos")
        for name in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, name, signal.getsignal(name))

    def trainer(self, output, *options):
        with mock.patch.object(sys, "argv", ["train.py", "--photos", str(self.path / "photos"), "--output",
                                             str(self.path / output), *OPTIONS, *map(str, options)]):
            return train.Trainer(train.parse_options())

    def run_steps(self, trainer, last):
        """Trains up to a step, as if a signal had come then."""
        share = trainer.average.share  # which is asked for once in each step

        def counted(step):
            trainer.stop = step + 1 >= last
            return share(step)

        trainer.average.share = counted
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            trainer.run()
        trainer.lock.close()
        return printed.getvalue()

    def fails(self, sentence, *arguments):
        printed = io.StringIO()
        with contextlib.redirect_stderr(printed), self.assertRaises(SystemExit) as caught:
            self.trainer(*arguments)
        self.assertEqual(caught.exception.code, 2)
        self.assertIn(sentence, printed.getvalue())

    def test_the_rate_stays_and_the_state_goes_on(self):
        first = self.trainer("a", "--endless", "--unshuffle", "2")
        self.fails("another process trains in", "a", "--endless")
        self.assertIn("endless step 12 ", self.run_steps(first, 12))
        line = json.loads((self.path / "a" / "log.jsonl").read_text())
        self.assertEqual((line["step"], line["pixels"], line["rate"]), (12, 12 * 2 * 32 * 32, 2e-3))
        state = self.path / "a" / "long-run.state"

        second = self.trainer("b", "--endless", "--unshuffle", "2", "--resume", state)
        self.assertEqual((second.step, second.pixels, second.optimizer_since), (12, first.pixels, 12))
        largest = float(first.weights.flat.abs().max())
        self.assertLess(float((second.weights.flat - first.weights.flat).abs().max()), largest * 1e-5)
        self.assertLess(float((second.average.flat - first.average.flat).abs().max()), largest * 2.0 ** -11)
        self.assertEqual(len(first.limit.norms), 12)
        self.assertEqual(second.limit.median(), first.limit.median())
        self.run_steps(second, 14)
        log = [json.loads(text) for text in (self.path / "b" / "log.jsonl").read_text().splitlines()]
        self.assertEqual([entry["step"] for entry in log], [12, 14])
        self.assertAlmostEqual(log[1]["rate"], 2e-3 * 2 / 5)  # rising again
        self.assertEqual(compact.read_header(self.path / "b" / "long-run.state")["log"], log)

        with open(self.path / "b" / "log.jsonl", "a", encoding="utf-8") as file:  # as a process that is killed does
            file.write(json.dumps({**log[1], "step": 15}) + "\n" + '{"step": 1')
        third = self.trainer("b", "--endless", "--unshuffle", "2", "--resume", self.path / "b" / "state.pth")
        self.assertEqual((third.step, third.optimizer_since), (14, 12))
        self.assertEqual(plot.read(self.path / "b" / "log.jsonl"), log)
        self.assertTrue(torch.equal(third.weights.flat, second.weights.flat))
        self.assertEqual(third.limit.norms, second.limit.norms)

        self.fails("the options say", "c", "--endless", "--resume", state)
        state.write_bytes(state.read_bytes()[:-1])
        with self.assertRaisesRegex(ValueError, "damaged"):
            self.trainer("c", "--endless", "--unshuffle", "2", "--resume", state)

    def test_the_rate_falls_in_the_end(self):
        self.run_steps(self.trainer("a", "--endless"), 8)
        last = self.trainer("b", "--finish", "0.02", "--resume", self.path / "a" / "state.pth")
        self.assertAlmostEqual(last.schedule.learning_rate(last.share(), 99), 2e-3)
        self.run_steps(last, 10 ** 9)
        rates = [json.loads(text)["rate"] for text in (self.path / "b" / "log.jsonl").read_text().splitlines()]
        self.assertLess(rates[-1], 1e-3)
        self.assertGreater(last.step, 8)
        self.assertAlmostEqual(last.share(), 1)
        self.assertFalse((self.path / "b" / "long-run.state").exists())

    def test_what_a_gpu_does(self):
        """The same code with the CPU as the device: bfloat16, a network that is compiled, everything on the device."""
        compiled = mock.Mock(side_effect=lambda network: lambda x: network(x))
        with mock.patch.object(torch, "compile", compiled, create=True):
            half = self.trainer("half", "--endless", "--device", "cpu", "--autocast", "--compile")
        compiled.assert_called_once_with(half.network)
        plain = self.trainer("plain", "--endless", "--device", "cpu")
        x = torch.rand(2, 3, 32, 32)
        outputs = [trainer.engines.torch.run(x) for trainer in (half, plain)]
        self.assertEqual(outputs[0].dtype, torch.float32)
        difference = float((outputs[0] - outputs[1]).abs().max())
        self.assertTrue(0 < difference < 0.02, difference)
        for trainer in (half, plain):
            self.run_steps(trainer, 6)
        self.assertEqual(half.weights.flat.dtype, torch.float32)
        change = plain.weights.flat - half.weights.flat
        self.assertTrue(0 < float(change.abs().mean()) < 1e-2, change)
        if not hasattr(torch, "compile"):
            self.fails("PyTorch 2.0", "refused", "--endless", "--compile")
        self.fails("not for --engine native", "refused", "--endless", "--autocast", "--engine", "native")

    def test_wrong_use(self):
        for options, sentence in ((["--endless", "--steps", "5"], "one of them"), (["--finish", "5"], "--resume"),
                                  (["--endless", "--unshuffle", "3"], "multiples of 6"),
                                  (["--endless", "--resume", self.path / "photos" / "0.png"], "no state")):
            self.fails(sentence, "wrong", *options)

    def test_numbers_that_are_not_finite_are_not_saved(self):
        trainer = self.trainer("a", "--endless")
        trainer.weights.flat[3] = float("nan")
        with contextlib.redirect_stderr(io.StringIO()) as printed, self.assertRaises(SystemExit):
            self.run_steps(trainer, 2)
        self.assertIn("lower --rate", printed.getvalue())
        self.assertFalse((self.path / "a" / "state.pth").exists())

    def test_batches_whose_loss_is_not_finite_are_skipped(self):
        for kind in ("torch", "native") if COMPILER else ("torch",):
            trainer = self.trainer(kind, "--endless", "--features", "16", "--engine", kind)
            passes, seen = trainer.engines.step, []

            def step(noisy, clean, weights, epsilon):
                seen.append(trainer.weights.flat.clone())
                return passes(noisy * (math.nan if len(seen) in (3, 4) else 1), clean, weights, epsilon)

            trainer.engines.step = step
            self.run_steps(trainer, 6)
            changes = [not torch.equal(*pair) for pair in zip(seen, seen[1:])]
            self.assertEqual(changes, [True, True, False, False, True], kind)
            line = json.loads((self.path / kind / "log.jsonl").read_text())
            self.assertTrue(line["step"] == 6 and 0 < line["loss"] < 1, line)
            self.assertEqual(len(trainer.limit.norms), 4)

    def test_a_run_whose_loss_is_never_finite_ends(self):
        trainer = self.trainer("a", "--endless")
        trainer.engines.step = lambda noisy, *_: (noisy.new_tensor([math.nan]), noisy.new_zeros(len(noisy)))
        with contextlib.redirect_stderr(io.StringIO()) as printed, self.assertRaises(SystemExit):
            self.run_steps(trainer, 10 ** 9)
        self.assertIn(f"not finite in {train.MOST_SKIPPED} steps", printed.getvalue())


class LongRun(unittest.TestCase):
    """long_run.sh in a copy of what it needs, with a tiny network."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name).resolve()
        self.scripts = self.path / "weights" / "train"
        shutil.copytree(TRAIN, self.scripts, ignore=shutil.ignore_patterns("state", "native", "__pycache__"))
        for name in ("mirnet_torch.py", "convert.py"):
            shutil.copy(ROOT / "weights" / name, self.path / "weights")
        self.configure(*OPTIONS, "--unshuffle 2")
        make_photographs(self.path / "photos")
        self.folder = self.path / "long-run"
        self.environment = {**os.environ, "PYTHON": sys.executable, "MIRNET_LONG_RUN_PRIORITY": "normal",
                            "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        for name in ("MIRNET_PHOTOS", "MIRNET_LONG_RUN"):
            self.environment.pop(name, None)
        self.addCleanup(self.kill)

    def configure(self, *options):
        (self.scripts / "long_run.conf").write_text("# tiny\n" + "\n".join(options) + "  # one a line\n\n--report 0.5")

    def kill(self):
        """Nothing may go on after a test that failed."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            if str(self.folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                os.killpg(pid, signal.SIGKILL)

    def command(self, *arguments, code=0, **environment):
        done = subprocess.run([self.scripts / "long_run.sh", *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, cwd=self.path, stdin=subprocess.DEVNULL,
                              env={**self.environment, **environment})
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def choice(self, committed):
        """What start would go on from."""
        return subprocess.run([sys.executable, self.scripts / "long_run.py", "choose", self.folder, committed],
                              stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def logged(self):
        log = self.folder / "log.jsonl"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def test_a_life(self):
        committed = self.scripts / "state" / "long-run.state"
        subprocess.run(["git", "init", "-q", self.path], check=False)
        self.assertIn("there are no photographs", self.command("start", code=1))
        self.assertIn("is stopped", self.command("status"))
        self.assertIn("not running", self.command("pause", code=1))
        self.assertIn("there is no state", self.command("cooldown", code=1, MIRNET_PHOTOS=self.path / "photos"))

        started = self.command("start", "photos")
        self.assertIn("from random parameters", started)
        pid = int((self.folder / "pid").read_text())
        self.assertEqual(os.getsid(pid), pid)  # so it survives the session of its shell
        self.assertIn(f"running already, as process {pid}", self.command("start", code=1))
        wait_until(lambda: self.logged() >= 2, "two lines of the log")

        self.assertIn("paused", self.command("pause"))
        wait_until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] == "T", "the pause")
        lines, paused_since = self.logged(), time.monotonic()
        self.assertIn("paused already", self.command("pause", code=1))
        status = self.command("status")
        self.assertIn(f"paused, process {pid}", status)
        for pattern in (r"step \d+", r"kpixel/s", r"sigma25 +[▁▂▃▄▅▆▇█]{2,}", r"kpixel/s\n( +[\d.]+)+\n"):
            self.assertRegex(status, pattern)
        time.sleep(1)
        self.assertEqual(self.logged(), lines)
        pause = time.monotonic() - paused_since
        begin = time.monotonic()
        self.assertIn("going on", self.command("resume"))
        self.assertIn("not paused", self.command("resume", code=1))
        wait_until(lambda: self.logged() > lines, "a line after the pause")
        before, after = (json.loads(text)["seconds"]
                         for text in (self.folder / "log.jsonl").read_text().splitlines()[lines - 1:lines + 1])
        self.assertLess(after - before, time.monotonic() - begin + 0.2 + max(0, 1 - pause))

        self.command("pause")
        stopped = self.command("stop")
        self.assertIn("moved on from step 0 to", stopped)
        if shutil.which("git"):
            self.assertIn("git add weights/train/state/long-run.state\n", stopped)
        self.assertIn("is stopped", self.command("status"))
        header = compact.read_header(committed)
        self.assertEqual(len(header["log"]), self.logged())
        self.assertEqual(plot.read(committed), header["log"])
        self.assertIn(f"step {header['step']}", self.command("status"))
        self.assertIn("did not move on", self.command("stop"))

        # Elsewhere: only the repository's file is there.
        shutil.rmtree(self.folder)
        self.assertIn(f"training from {committed}", self.command("start", MIRNET_PHOTOS=self.path / "photos"))
        wait_until(lambda: self.logged() > len(header["log"]), "a line after the start")
        cooled = self.command("cooldown", "--minutes", "0.02", "--output", self.path / "cool", "--features", "8")
        self.assertIn("gigapixels in", cooled)
        for name in ("denoise.pth", "denoise.mirw"):
            self.assertGreater((self.path / "cool" / name).stat().st_size, 1000)
        self.assertIn("is running", self.command("status"))
        self.assertIn(f"moved on from step {header['step']} to", self.command("stop"))
        self.assertEqual(self.choice(committed), str(self.folder / "state.pth"))
        (self.folder / "state.pth").unlink()
        self.assertEqual(self.choice(committed), str(self.folder / "long-run.state"))

        # Damage ends in a sentence, not in a run from random parameters.
        for path in (committed, self.folder / "long-run.state"):
            path.write_bytes(path.read_bytes()[:-1])
            self.assertIn("is damaged", self.command("start", code=1))

    def test_memory_has_a_limit(self):
        failed = self.command("start", "photos", "--memory", "300", code=1)
        self.assertIn("need more than 300 MB", failed)
        self.assertFalse((self.folder / "pid").exists())
        self.assertIn("is stopped", self.command("status"))

    def test_priority(self):
        """Of a program that only says what it is."""
        report = self.path / "report"
        stub = self.path / "python"
        stub.write_text(f"""#!/bin/sh
case "$1" in
  *train.py) exec {sys.executable} -c 'import os
group = "/proc/self/autogroup"
text = str([os.nice(0), os.sched_getscheduler(0)]) + (open(group).read() if os.path.exists(group) else "")
open("{report}.tmp", "w").write(text)
os.rename("{report}.tmp", "{report}")' ;;
  *long_run.py) exec {sys.executable} "$@" ;;
esac
""")
        stub.chmod(0o755)
        self.command("start", "photos", code=1, PYTHON=stub, MIRNET_LONG_RUN_PRIORITY="lowest")
        wait_until(report.exists, "the report")
        text = report.read_text()
        idle = shutil.which("chrt") and subprocess.run(["chrt", "--idle", "0", "true"]).returncode == 0
        self.assertIn(f"[19, {os.SCHED_IDLE if idle else os.SCHED_OTHER}]", text)
        if "autogroup" in text:
            self.assertIn("nice 19", text)

    def test_wrong_use(self):
        self.assertTrue(self.command("--help").startswith("weights/train/long_run.sh start [PHOTOS]"))
        for arguments, sentence in (([], "say what to do"), (["begin"], "unknown command"), (["stop", "now"], "takes no"),
                                    (["cooldown", "--minutes"], "needs a value")):
            self.assertIn(sentence, self.command(*arguments, code=2))
        self.assertIn("is not a folder", self.command("start", "nowhere", code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
