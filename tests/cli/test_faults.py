#!/usr/bin/env python3
"""The program mirnet where the machine fails it: no memory, a full disk, files that vanish, signals and many processes
at once. python3 tests/cli/test_faults.py [PROGRAM]

MIRNET_LONG_TESTS=1 goes through every request for memory and not a part of them, and takes more of everything else.
"""
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from program import (CANCELLED, MEMORY, OUTPUT, PARTIAL, SANITIZED, Picture, ProgramTest, draw, exif, png, pnm, profile,
                     with_png_chunks)

LONG = "MIRNET_LONG_TESTS" in os.environ
COMPILER = shutil.which(os.environ.get("CC", "cc"))
SOURCE = pathlib.Path(__file__).with_name("faults.c")
TEMPORARY = re.compile(r"\.mirnet-\d+-\d+\.tmp\Z")


def noisy(width, height, seed=1):
    return Picture(width, height, 3, random.Random(seed).randbytes(3 * width * height))


@unittest.skipIf(SANITIZED, "sanitizers want to be the first library that is loaded")
@unittest.skipUnless(COMPILER and sys.platform == "linux", "needs a C compiler, and LD_PRELOAD")
class Preloaded(ProgramTest):
    """With faults.c between the program and the system."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.library = pathlib.Path(folder.name) / "faults.so"
        subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", SOURCE, "-o", cls.library], check=True)

    def with_faults(self, *arguments, **faults):
        environment = {**self.environment, "LD_PRELOAD": str(self.library),
                       **{f"FAULT_{name.upper()}": str(value) for name, value in faults.items()}}
        return subprocess.run([self.program, *map(str, arguments)], cwd=self.path, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def one_sentence(self, result, code):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertRegex(result.stderr.decode(), r"\Amirnet: [^\n]+\n\Z")


class NoMemory(Preloaded):
    def each_request(self, total, *arguments):
        """Each request for memory fails alone, and with all that follow: the exit code says so, or the result is what
        it is otherwise."""
        output = self.path / arguments[-1]
        self.with_faults(*arguments, "--quiet", "--threads", "2", count=self.path / "count")
        requests = int((self.path / "count").read_text())
        expected = output.read_bytes()
        output.unlink()
        before = sorted(os.listdir(self.path))
        numbers = range(1, requests + 1)
        if not LONG:  # closest to each other at the end: those are the picture's, the first the options'
            numbers = sorted({requests - requests * i ** 3 // total ** 3 for i in range(total)})
        failed = 0
        for number in (sign * n for n in numbers for sign in (1, -1)):
            with self.subTest(arguments=arguments, malloc=number):
                result = self.with_faults(*arguments, "--quiet", "--threads", "2", malloc=number)
                if result.returncode == 0:  # there may be another way
                    self.assertEqual(result.stderr, b"")
                    found = output.read_bytes()
                    output.unlink()
                    self.assertEqual(found, expected)
                else:
                    self.one_sentence(result, MEMORY)
                    failed += 1
                self.assertEqual(sorted(os.listdir(self.path)), before)
        self.assertGreater(failed, len(numbers) / 2)
        if LONG:
            print(f"{' '.join(arguments)}: {requests} requests for memory, {failed} of {2 * requests} runs ended by one",
                  file=sys.stderr)

    def with_metadata(self):
        """A picture that has to be turned, and a colour profile and EXIF data that must not get lost."""
        profile_chunk = b"icc\0\0" + zlib.compress(profile(600))
        self.file("in.png", with_png_chunks(png(draw(8, 8, 3)), (b"iCCP", profile_chunk), (b"eXIf", exif(6))))

    def test_png(self):
        self.with_metadata()
        self.each_request(100, "denoise", "in.png", "o.png")

    def test_jpeg(self):
        self.with_metadata()
        self.succeeds("denoise", "in.png", "in.jpg", "--quiet")
        self.each_request(100, "denoise", "in.jpg", "o.jpg")


class Threads(Preloaded):
    def test_fewer_than_were_asked_for(self):
        """It is done with the threads that there are, in the same bits."""
        self.file("in.png", png(draw(40, 30, 3)))
        self.succeeds("denoise", "in.png", "expected.png", "--quiet")
        for threads in (0, 2):
            result = self.with_faults("denoise", "in.png", "o.png", "--overwrite", "--verbose", "--threads", "100",
                                      threads=threads)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertRegex(result.stdout.decode(), rf"threads +{threads + 1}\n")
            self.assertEqual((self.path / "o.png").read_bytes(), (self.path / "expected.png").read_bytes())


class Disk(Preloaded):
    def setUp(self):
        super().setUp()
        self.file("in.png", png(draw(64, 48, 3)))
        self.succeeds("denoise", "in.png", "expected.png", "--quiet")
        self.expected = (self.path / "expected.png").read_bytes()

    def test_a_full_disk(self):
        """Whatever was there stays, and nothing else is there."""
        for room in (1, 100, len(self.expected) - 1):
            for old in (None, b"precious"):
                with self.subTest(room=room, old=old):
                    self.file("o.png", old) if old else None
                    before = sorted(os.listdir(self.path))
                    result = self.with_faults("denoise", "in.png", "o.png", "--quiet", "--overwrite", disk=room)
                    self.one_sentence(result, OUTPUT)
                    self.assertIn(b"o.png: cannot be written: No space left on device", result.stderr)
                    self.assertEqual(sorted(os.listdir(self.path)), before)
                    if old:
                        self.assertEqual((self.path / "o.png").read_bytes(), old)

    def test_a_disk_that_does_not_keep_what_is_written(self):
        self.one_sentence(self.with_faults("denoise", "in.png", "o.png", "--quiet", fsync=1), OUTPUT)
        self.assertEqual(sorted(os.listdir(self.path)), ["expected.png", "in.png"])

    def test_short_and_interrupted_writes(self):
        for piece in (1, 7, 1000):
            result = self.with_faults("denoise", "in.png", "o.png", "--quiet", "--overwrite", write=piece)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertEqual((self.path / "o.png").read_bytes(), self.expected)

    def test_names_that_the_disk_does_not_take(self):
        """They are refused before anything is computed."""
        result = self.with_faults("denoise", "in.png", "a:b.png", "--quiet", name=":")
        self.one_sentence(result, OUTPUT)
        self.assertIn(b"a:b.png: no file of this name can be created in its folder: Invalid argument", result.stderr)
        self.assertEqual(sorted(os.listdir(self.path)), ["expected.png", "in.png"])

    def test_a_full_disk_for_some_of_several(self):
        """The one that does not fit is named, and the rest go on."""
        (self.path / "many").mkdir()
        for name in ("a.ppm", "b.ppm", "c.ppm"):
            self.file(f"many/{name}", pnm(draw(20, 10, 3)))
        size = len((self.path / "many" / "a.ppm").read_bytes())
        result = self.with_faults("denoise", "many", "--output-dir", "out", "--quiet", disk=2 * size + 1)
        self.assertEqual(result.returncode, PARTIAL)
        self.assertRegex(result.stderr.decode(), r"\Amirnet: out/c.ppm: cannot be written: [^\n]+\n"
                                                 r"mirnet: 1 of 3 pictures failed\n\Z")
        self.assertEqual(sorted(os.listdir(self.path / "out")), ["a.ppm", "b.ppm"])

    def paused(self, *arguments):
        """The program, started; it waits before it gives the output its name."""
        pause = self.path / "pause"
        environment = {**self.environment, "LD_PRELOAD": str(self.library), "FAULT_PAUSE": str(pause)}
        process = subprocess.Popen([self.program, *arguments], cwd=self.path, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while not pause.exists() and time.monotonic() < end:
            time.sleep(0.005)
        self.assertTrue(pause.exists())
        return process, pause

    def test_the_output_folder_goes_away(self):
        (self.path / "out").mkdir()
        process, pause = self.paused("denoise", "in.png", "out/o.png", "--quiet")
        shutil.rmtree(self.path / "out")
        pause.unlink()
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, OUTPUT)
        self.assertRegex(message.decode(), r"\Amirnet: out/o.png: cannot be created: [^\n]+\n\Z")

    def test_somebody_else_writes_the_output(self):
        """Without --overwrite, what appeared meanwhile stays."""
        process, pause = self.paused("denoise", "in.png", "o.png", "--quiet")
        self.file("o.png", b"precious")
        pause.unlink()
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, OUTPUT)
        self.assertRegex(message.decode(), r"\Amirnet: o.png: cannot be created: File exists\n\Z")
        self.assertEqual((self.path / "o.png").read_bytes(), b"precious")
        self.assertEqual(sorted(os.listdir(self.path)), ["expected.png", "in.png", "o.png"])

    def test_asked_to_stop_while_it_writes(self):
        """The output is there, or it is not; no part of it, and nothing else."""
        for number in (signal.SIGINT, signal.SIGTERM):
            process, pause = self.paused("denoise", "in.png", "o.png", "--quiet", "--overwrite")
            process.send_signal(number)
            time.sleep(0.05)
            pause.unlink()
            _, message = process.communicate(timeout=60)
            self.assertIn((process.returncode, message), [(0, b""), (CANCELLED, b"mirnet: stopped\n")])
            left = sorted(os.listdir(self.path))
            self.assertIn(left, [["expected.png", "in.png"], ["expected.png", "in.png", "o.png"]])
            if "o.png" in left:
                self.assertEqual((self.path / "o.png").read_bytes(), self.expected)

    def test_killed_while_it_writes(self):
        """A temporary file stays, under a name that says whose it is; the next run does not mind."""
        self.file("o.png", b"precious")
        process, _ = self.paused("denoise", "in.png", "o.png", "--quiet", "--overwrite")
        process.kill()
        process.communicate(timeout=60)
        self.assertEqual((self.path / "o.png").read_bytes(), b"precious")
        left = [name for name in os.listdir(self.path) if name not in ("o.png", "in.png", "expected.png", "pause")]
        self.assertEqual(len(left), 1, left)
        self.assertRegex(left[0], TEMPORARY)
        self.succeeds("denoise", "in.png", "o.png", "--quiet", "--overwrite")
        self.assertEqual((self.path / "o.png").read_bytes(), self.expected)


class Limits(ProgramTest):
    """What the system allows a process."""

    def limited(self, limits, *arguments, stdout=subprocess.PIPE):
        def before():
            for what, most in limits.items():
                resource.setrlimit(what, (most, most))
        return subprocess.run([self.program, *arguments], cwd=self.path, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, preexec_fn=before,
                              timeout=120)

    def test_files_that_may_not_grow(self):
        """The system ends a program that writes beyond RLIMIT_FSIZE, unless it ignores the signal."""
        self.file("in.png", png(noisy(64, 48)))
        self.file("o.png", b"precious")
        result = self.limited({resource.RLIMIT_FSIZE: 1000}, "denoise", "in.png", "o.png", "--overwrite", "--quiet")
        self.assertEqual(result.returncode, OUTPUT, result)
        self.assertRegex(result.stderr.decode(), r"\Amirnet: o.png: cannot be written: File too large\n\Z")
        self.assertEqual((self.path / "o.png").read_bytes(), b"precious")
        self.assertEqual(sorted(os.listdir(self.path)), ["in.png", "o.png"])

    @unittest.skipIf(SANITIZED, "sanitizers need more room")
    def test_an_address_space_that_is_too_small(self):
        self.file("in.ppm", pnm(Picture(1500, 1000, 3, bytes(4_500_000))))
        for megabytes in (60, 150, 300):
            with self.subTest(megabytes=megabytes):
                result = self.limited({resource.RLIMIT_AS: megabytes << 20}, "denoise", "in.ppm", "o.ppm", "--quiet",
                                      "--threads", "2", "--tile", "off")
                self.assertEqual(result.returncode, MEMORY, result)
                self.assertRegex(result.stderr.decode(), r"\Amirnet: [^\n]+\n\Z")
                self.assertEqual(os.listdir(self.path), ["in.ppm"])

    def test_a_reader_that_goes_away(self):
        """Ended by SIGPIPE, as the shell expects it of a filter, or told in a sentence."""
        self.file("in.ppm", pnm(draw(300, 200, 3)))
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            result = self.limited({}, "denoise", "in.ppm", "-", "--quiet", stdout=closed)
        self.assertIn((result.returncode, bool(result.stderr)), [(-signal.SIGPIPE, False), (OUTPUT, True)])
        self.assertEqual(os.listdir(self.path), ["in.ppm"])


class Killed(ProgramTest):
    def test_at_any_moment(self):
        """The old output or the new one, as a whole, whenever SIGKILL comes."""
        self.file("in.ppm", pnm(draw(160, 120, 3)))
        self.succeeds("denoise", "in.ppm", "o.ppm", "--quiet")
        new = (self.path / "o.ppm").read_bytes()
        old = pnm(Picture(160, 120, 3, bytes(3 * 160 * 120)))
        begin = time.monotonic()
        self.succeeds("denoise", "in.ppm", "o.ppm", "--quiet", "--overwrite")
        longest = 1.2 * (time.monotonic() - begin)
        choose = random.Random(1)
        became_new = 0
        for _ in range(50 if LONG else 12):
            self.file("o.ppm", old)
            with subprocess.Popen([self.program, "denoise", "in.ppm", "o.ppm", "--quiet", "--overwrite"],
                                  cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL) as process:
                time.sleep(choose.uniform(0, longest))
                process.kill()
            found = (self.path / "o.ppm").read_bytes()
            self.assertTrue(found in (old, new))
            became_new += found == new
            for name in set(os.listdir(self.path)) - {"in.ppm", "o.ppm"}:
                self.assertRegex(name, TEMPORARY)
        self.succeeds("denoise", "in.ppm", "o.ppm", "--quiet", "--overwrite")
        self.assertEqual((self.path / "o.ppm").read_bytes(), new)
        if LONG:
            print(f"killed 50 times, the new output was there {became_new} times", file=sys.stderr)


class Inputs(ProgramTest):
    """Pictures that change while many are restored."""

    def setUp(self):
        super().setUp()
        (self.path / "many").mkdir()
        for i in range(6):
            self.file(f"many/{i}.ppm", pnm(draw(100, 80, 3)))

    def changed(self, change):
        with subprocess.Popen([self.program, "denoise", "many", "--output-dir", "out", "--threads", "1"], cwd=self.path,
                              env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.readline()  # the first is done
            change(self.path / "many" / "5.ppm")
            _, message = process.communicate(timeout=120)
        self.assertEqual(process.returncode, PARTIAL)
        lines = message.decode().splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertEqual(lines[1], "mirnet: 1 of 6 pictures failed")
        self.assertEqual(sorted(os.listdir(self.path / "out")), [f"{i}.ppm" for i in range(5)])
        return lines[0]

    def test_one_goes_away(self):
        self.assertIn("many/5.ppm: cannot be opened: No such file", self.changed(pathlib.Path.unlink))

    def test_one_becomes_shorter(self):
        self.assertIn("many/5.ppm", self.changed(lambda path: os.truncate(path, 1000)))


class Load(ProgramTest):
    def test_many_pictures_take_the_memory_of_few(self):
        counts = (50, 500) if LONG else (5, 50)
        peaks = []
        # At first glibc maps large blocks; later it takes them from its heap, where freed blocks leave holes. This
        # alone makes peaks differ by a picture's working memory. With a fixed threshold, each block is mapped and
        # unmapped.
        environment = {**(self.environment or os.environ), "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"}
        for count in counts:
            folder = self.path / f"{count}"
            folder.mkdir()
            for i in range(count):
                (folder / f"{i}.png").write_bytes(png(draw(32, 24, 3)))
            output = self.path / f"out{count}"
            with subprocess.Popen([self.program, "denoise", folder, "--output-dir", output, "--threads", "2"],
                                  cwd=self.path, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                seen = []
                for line in process.stdout:  # a line a picture
                    if process.poll() is None and line.strip():
                        seen.append(self.state(process.pid))
                self.assertEqual(process.stderr.read(), "")
            self.assertEqual(process.returncode, 0)
            self.assertEqual(len(os.listdir(output)), count)
            seen = [state for state in seen if state]
            peaks.append((max(peak for peak, _ in seen), max(files for _, files in seen)))
        (few_kib, few_files), (many_kib, many_files) = peaks
        if LONG:
            print(f"{counts}: peaks of {few_kib} and {many_kib} KiB, {few_files} and {many_files} files open",
                  file=sys.stderr)
        # With few pictures, few samples are taken, perhaps none while a file is open: so the bound is absolute.
        self.assertLessEqual(many_files, 16)
        if not SANITIZED:
            self.assertLess(many_kib, few_kib + 1024)

    @staticmethod
    def state(pid):
        """The most memory that a process has had, in KiB, and how many files it has open; None where it has ended."""
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)), len(os.listdir(f"/proc/{pid}/fd"))
        except (AttributeError, OSError):
            return None

    def test_eight_at_once(self):
        """Different outputs in one folder, and one output that all of them replace."""
        self.file("in.png", png(draw(60, 40, 3)))
        self.succeeds("denoise", "in.png", "expected.png", "--quiet")
        expected = (self.path / "expected.png").read_bytes()
        for round in range(5 if LONG else 1):
            processes = [subprocess.Popen([self.program, "denoise", "in.png", name, "--quiet", "--overwrite"],
                                          cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                         for i in range(8) for name in ((f"{i}.png", "same.png") if LONG else
                                                        (f"{i}.png" if i % 2 else "same.png",))]
            for process in processes:
                _, message = process.communicate(timeout=120)
                self.assertEqual((process.returncode, message), (0, b""))
            left = set(os.listdir(self.path)) - {"in.png"}
            self.assertEqual(len(left), 1 + (9 if LONG else 5))
            for name in left:
                self.assertEqual((self.path / name).read_bytes(), expected)


if __name__ == "__main__":
    unittest.main()
