#!/usr/bin/env python3
"""Which files the program mirnet takes, what it makes of their names, and what becomes of the files that it replaces.
python3 tests/cli/test_files.py [PROGRAM]
"""
import ctypes
import json
import os
import shlex
import shutil
import socket
import stat
import subprocess
import time
import unittest

from program import (INPUT, MEMORY, MODEL, OUTPUT, PARTIAL, ROOT, USAGE, ProgramTest, bmp, draw, pnm, png, tga)

PICTURE = png(draw(12, 9, 3))


def without_privileges():
    """To be called before the program starts: what root may do beyond other users is gone."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        if libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
            os._exit(99)


class FilesTest(ProgramTest):
    def put(self, *names, content=PICTURE):
        for name in names:
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def tree(self, folder="."):
        return sorted(str(path.relative_to(self.path / folder)) for path in (self.path / folder).rglob("*")
                      if path.is_file())

    def jpeg(self):
        """A small JPEG."""
        return self.denoises("for-jpeg.png", PICTURE, "for-jpeg.jpg", "--strength", "0")

    def shell(self, command):
        """What `command` gives, with $M for the program."""
        return subprocess.run(["bash", "-c", command], cwd=self.path, env={**self.environment, "M": self.program},
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def sentence(self, result, code, says):
        message = result.stderr.decode()
        self.assertEqual(result.returncode, code, message)
        self.assertRegex(message, r"\Amirnet: [^\n]+\n\Z")
        self.assertIn(says, message)


class Results(FilesTest):
    """What may be a result is no input of a folder."""

    def test_runs_over_a_folder(self):
        self.put("d/a.png", "d/inside/b.png")
        self.put("d/t.tga", content=tga(draw(12, 9, 3)))
        before = self.tree("d")
        for folder in ("d", "d/", "./d", str(self.path / "d")):
            said = self.succeeds("denoise", "-r", folder, "--skip-existing")
            self.assertEqual(self.tree("d"), before)
            self.assertEqual(self.tree("d-clean"), ["a.png", "inside/b.png", "t.png"])
        self.assertIn("0 restored, 3 skipped, 0 failed", said)
        result = subprocess.run([self.program, "denoise", ".", "-r", "--quiet", "--overwrite"], cwd=self.path / "d",
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(self.tree(), sorted(["d-clean/a.png", "d-clean/inside/b.png", "d-clean/t.png",
                                              "d/a.png", "d/inside/b.png", "d/t.tga"]))
        # A pattern of the shell names the results as well.
        self.succeeds("denoise", "d", "d-clean", "--suffix", "-x", "--quiet")
        self.assertEqual([name for name in self.tree() if "-x" in name], ["d/a-x.png", "d/t-x.png"])

    def test_what_it_wrote_is_known_under_any_name(self):
        self.put("d/a.png")
        for name in ("b.png", "c.jpg", "e.webp", "f.tif", "g.jxl"):
            result = self.run_program("denoise", "d/a.png", f"d/{name}", "--quiet")
            if result.returncode != 0:  # this build does not write the format
                self.assertIn(b"cannot write", result.stderr)
        self.put("d/other-clean.png")
        written = len(self.tree("d")) - 1
        self.assertGreaterEqual(written, 3)
        for options in ((), ("--skip-existing",), ("--overwrite",)):
            said = self.succeeds("denoise", "d", *options)
            self.assertIn(f"left out {written} results of earlier runs (--include-results)", said)
            self.assertEqual(self.tree("d-clean"), ["a.png"])
        self.succeeds("denoise", "d", "--include-results", "--output-dir", "all", "--quiet")
        self.assertEqual(len(self.tree("all")), written + 1)

    def test_no_folder_for_results(self):
        self.put("d/a.png")
        (self.path / "d-clean").write_bytes(b"mine")
        self.fails(OUTPUT, "denoise", "d", says="d-clean is a file; use another folder")
        self.fails(USAGE, "denoise", "/", says="/: has no folder beside it for the results; use --output-dir")

    def test_outputs_that_are_folders(self):
        self.put("a.png", "b.png", "d/c.png", "there/x.png")
        for output, result in (("new/", "new/a.png"), ("there", "there/a.png"), ("deep/er/", "deep/er/a.png"),
                               ("p/q/o.png", "p/q/o.png")):
            self.succeeds("denoise", "a.png", output, "--quiet")
            self.assertTrue((self.path / result).is_file(), output)
        self.succeeds("denoise", "d", "results", "--quiet")
        self.assertEqual(self.tree("results"), ["c.png"])
        self.succeeds("denoise", "a.png", "b.png", "d", "-o", "all", "--quiet")
        self.assertEqual(self.tree("all"), ["a.png", "b.png", "c.png"])

    def test_many_without_a_folder(self):
        self.put("a.png", "b.png", "c.png")
        self.assertIn("3 restored", self.succeeds("denoise", "a.png", "b.png", "c.png"))
        self.assertEqual(self.tree(), ["a-clean.png", "a.png", "b-clean.png", "b.png", "c-clean.png", "c.png"])
        self.fails(INPUT, "denoise", "a.png", "b.png", "none.png", says="none.png: no such file; of three names or more, "
                   "all are inputs, and -o says where results go")
        self.succeeds("denoise", "a.png", "b.png", "new/", "--quiet")
        self.assertEqual(self.tree("new"), ["a.png", "b.png"])

    def test_two_photographs_are_no_input_and_output(self):
        """As a pattern of the shell names them: the second one would be lost."""
        self.put("a.png", "b.png")
        for options in ((), ("--overwrite",), ("--skip-existing",)):
            self.fails(OUTPUT, "denoise", "a.png", "b.png", *options,
                       says="b.png: already exists, and is no result of mirnet; to restore both, use --output-dir or "
                            "--suffix; to replace it, use -o b.png --overwrite")
        self.assertEqual((self.path / "b.png").read_bytes(), PICTURE)
        self.succeeds("denoise", "a.png", "-o", "b.png", "--overwrite", "--quiet")
        self.assertNotEqual((self.path / "b.png").read_bytes(), PICTURE)
        self.succeeds("denoise", "a.png", "b.png", "--overwrite", "--quiet")  # a result
        self.succeeds("denoise", "a.png", "a.png", "--overwrite", "--quiet")
        self.fails(INPUT, "denoise", "phtos", "out", says="phtos: cannot be opened: No such file")
        self.fails(OUTPUT, "denoise", "a.png", "new", says="new: the name has no extension that says the format; for a "
                   "folder, write new/")

    def test_what_is_left_out_of_a_folder(self):
        self.put("d/a.png", "d/b.png", "d/sub/c.png", "d/notes.txt", "d/c-clean.png")
        said = self.succeeds("denoise", "d")
        self.assertRegex(said, r"2 restored, 0 skipped, 0 failed in \S+ s; left out 1 result of an earlier run "
                         r"\(--include-results\), 1 subfolder \(-r\), 1 file that is no photograph\n\Z")
        self.assertRegex(self.succeeds("denoise", "d", "--estimate"),
                         r"2 estimated, 0 skipped, 0 failed: about \S+ s, \S+ MiB of memory; left out ")

    def test_terminals_are_no_files(self):
        self.put("a.png")
        leader, follower = os.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        for arguments, streams in ((("-", "o.png"), {"stdin": follower}), (("a.png", "-"), {"stdout": follower})):
            result = subprocess.run([self.program, "denoise", *arguments], cwd=self.path, timeout=60,
                                    **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **streams},
                                    stderr=subprocess.PIPE)
            self.sentence(result, USAGE, "is a terminal")

    def test_with_a_suffix(self):
        self.put("d/a.png", "d/b.ppm", "d/c-clean.png")
        for _ in range(2):
            self.succeeds("denoise", "d", "--suffix", ".x", "--format", "jpg", "--skip-existing")
        self.assertEqual(self.tree("d"), ["a.png", "a.x.jpg", "b.ppm", "b.x.jpg", "c-clean.png"])
        # A name that is nothing but the suffix is nobody's result.
        self.put("e/-clean.png", "e/x-clean.txt.png")
        self.succeeds("denoise", "e", "--quiet")
        self.assertEqual(self.tree("e-clean"), ["-clean.png", "x-clean.txt.png"])

    def test_without_one(self):
        """--suffix "" and --suffix= are the same: in place."""
        self.put("d/a.png", "d/b-clean.png")
        for suffix in (("--suffix", ""), ("--suffix=",)):
            self.assertIn("2 restored, 0 skipped, 0 failed", self.succeeds("denoise", "d", *suffix, "--overwrite",
                                                                           "--include-results"))
        self.assertEqual(self.tree("d"), ["a.png", "b-clean.png"])

    def test_output_folder_inside(self):
        self.put("d/a.png", "d/inside/b.png")
        os.symlink("d", self.path / "link")
        for output in ("d/out", "d/inside/out", "link/out", str(self.path / "d/../d/out")):
            for _ in range(2):
                self.succeeds("denoise", "-r", "d", "--output-dir", output, "--skip-existing")
            self.assertEqual(sorted(os.listdir(self.path / output)), ["a.png", "inside"])
            shutil.rmtree(self.path / output)
        # As a shell names it with all others.
        for named in ((), ("d/out",)):
            self.succeeds("denoise", "d/a.png", *named, "d/inside", "--output-dir", "d/out", "--skip-existing")
        self.assertEqual(self.tree("d"), ["a.png", "inside/b.png", "out/a.png", "out/b.png"])

    def test_output_folder_is_the_folder(self):
        self.put("d/a.png", "d/inside/b.png")
        self.assertIn("2 restored", self.succeeds("denoise", "-r", "d", "--output-dir", "d", "--overwrite"))
        self.fails(INPUT, "denoise", "-r", "d", "--output-dir", "d", "--overwrite",
                   says="d: contains only results of earlier runs; --include-results takes them as inputs")
        self.put("d/a.png", "d/inside/b.png")
        self.assertIn("2 restored", self.succeeds("denoise", "-r", "d", "--output-dir", "d", "--suffix", "-x"))
        self.assertIn("0 restored, 2 skipped", self.succeeds("denoise", "-r", "d", "--output-dir", "d", "--suffix", "-x",
                                                             "--skip-existing"))

    def test_what_is_named_is_taken(self):
        self.put("a-clean.png", "out/b.png")
        self.succeeds("denoise", "a-clean.png", "--quiet")
        self.succeeds("denoise", "out/b.png", "a-clean.png", "--output-dir", "out", "--suffix", "-clean", "--quiet")
        self.assertEqual(self.tree(), ["a-clean-clean.png", "a-clean.png", "out/a-clean-clean.png", "out/b-clean.png",
                                       "out/b.png"])

    def test_nothing_but_results(self):
        self.put("d/a-clean.png")
        self.fails(INPUT, "denoise", "d", says="d: contains only results of earlier runs; --include-results takes them as inputs")


class Names(FilesTest):
    def test_no_name_has_a_meaning(self):
        names = ["[2024]", "[a,b]", "[]", "{}", "%%", "++", "{a}", "a,b", "~", "$HOME", "*"]
        for name in names:
            self.put(f"{name}/{len(name)}.png")
        self.put("2024/wrong.png", "a/wrong.png", "b/wrong.png")
        for name in names:
            self.succeeds("denoise", name, "--output-dir", f"out/{name}", "--quiet")
            self.assertEqual(self.tree(f"out/{name}"), [f"{len(name)}.png"])
        self.succeeds("denoise", "[2024]/6.png", "[a,b]", "--output-dir", "[x,y]", "--suffix", "[1,2]", "-r", "--quiet")
        self.assertEqual(self.tree("[x,y]"), ["5[1,2].png", "6[1,2].png"])
        self.succeeds("denoise", "--suffix", "++", "--quiet", "--", "++/2.png")
        self.assertEqual(self.tree("++"), ["2++.png", "2.png"])

    def test_in_all_commands(self):
        self.put("[a].png")
        self.succeeds("compare", "[a].png", "[a].png")
        self.succeeds("denoise", "[a].png", "[b].png", "--reference", "[a].png", "--quiet")
        self.succeeds("profile", "[a].png", "--repeat", "1", "--warmup", "0", "-o", "[c]")
        shutil.copy(ROOT / "weights" / "denoise.mirw", self.path / "[w]")
        self.assertIn("[w]", self.succeeds("info", "[w]"))
        self.assertEqual(self.tree(), ["[a].png", "[b].png", "[c]", "[w]"])

    def test_extensions_of_jpeg(self):
        jpeg = self.jpeg()
        self.put("x.jfif", "x.jpe", "x.JFIF", "d/y.jfif", "d/y.JPE", content=jpeg)
        for name in ("x.jfif", "x.jpe", "x.JFIF"):
            self.succeeds("denoise", name, "--quiet")
        self.succeeds("denoise", "d", "--output-dir", "o", "--include-results", "--quiet")
        self.assertEqual(self.tree("o"), ["y.JPE", "y.jfif"])
        self.succeeds("denoise", "x.jpe", "o.jfif", "--quiet")
        for name in ("x-clean.jfif", "x-clean.jpe", "x-clean.JFIF", "o/y.JPE", "o.jfif"):
            self.assertEqual((self.path / name).read_bytes()[:3], b"\xff\xd8\xff", name)

    def test_content_names_the_format_where_the_name_does_not(self):
        picture = draw(12, 9, 3)
        for name, content, result, start in (
                ("a", self.jpeg(), "a-clean.jpg", b"\xff\xd8\xff"), ("b", PICTURE, "b-clean.png", b"\x89PNG"),
                ("c", bmp(picture), "c-clean.bmp", b"BM"), ("d", pnm(picture), "d-clean.pnm", b"P6"),
                ("e", tga(picture), "e-clean.png", b"\x89PNG"), ("f.old", self.jpeg(), "f-clean.old.jpg", b"\xff\xd8\xff"),
                ("g.tga", tga(picture), "g-clean.png", b"\x89PNG"), (".h", self.jpeg(), ".h-clean.jpg", b"\xff\xd8\xff")):
            with self.subTest(name):
                self.put(name, content=content)
                self.succeeds("denoise", name, "--quiet")
                self.assertEqual((self.path / result).read_bytes()[:len(start)], start)
        self.succeeds("denoise", "a", "--format", "png", "--output-dir", "o", "--quiet")
        self.assertEqual(self.tree("o"), ["a.png"])
        self.fails(INPUT, "denoise", "missing", says="missing: cannot be opened")

    def test_too_long_for_its_result(self):
        """It is said before the computation, which takes seconds."""
        name = "x" * 246 + ".ppm"
        self.put(name, content=b"P6 4000 3000 255\n" + bytes(36_000_000))
        begin = time.monotonic()
        self.fails(OUTPUT, "denoise", name, says="cannot be created: File name too long")
        self.fails(OUTPUT, "denoise", name, "--overwrite", says="cannot be created: File name too long")
        self.assertLess(time.monotonic() - begin, 20)

    def test_names_that_are_no_utf8(self):
        name = b"\xff\xfe.png"
        (self.path / os.fsdecode(name)).write_bytes(PICTURE)
        self.put("\u00e4.png")
        result = self.run_program("denoise", os.fsdecode(name), "\u00e4.png", "--json", "--output-dir", "o",
                                  "--progress", "json")
        self.assertEqual(result.returncode, 0)
        odd, good, _ = (json.loads(line) for line in result.stdout.splitlines())
        self.assertEqual((odd["input"], odd["output"]), ("\ufffd\ufffd.png", "o/\ufffd\ufffd.png"))
        self.assertEqual(bytes.fromhex(odd["input_bytes"]), name)
        self.assertEqual(bytes.fromhex(odd["output_bytes"]), b"o/" + name)
        self.assertEqual((good["input"], good["output"]), ("\u00e4.png", "o/\u00e4.png"))
        self.assertFalse({"input_bytes", "output_bytes"} & good.keys())
        progress = [json.loads(line) for line in result.stderr.splitlines()]
        self.assertEqual({line.get("file_bytes") for line in progress}, {name.hex(), None})


class Folders(FilesTest):
    def run_without_privileges(self, *arguments):
        result = subprocess.run([self.program, *arguments], cwd=self.path, env=self.environment,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                preexec_fn=without_privileges)
        if result.returncode == 99:
            self.skipTest("root keeps its rights here")
        return result

    def closed(self, *folders, mode=0):
        for folder in folders:
            os.chmod(self.path / folder, mode)
            self.addCleanup(os.chmod, self.path / folder, 0o755)

    def test_folders_that_cannot_be_read(self):
        self.put("u/a.png", "u/closed/b.png", "u/open/c.png", "u/open/closed/d.png")
        self.closed("u/closed", "u/open/closed")
        result = self.run_without_privileges("denoise", "-r", "u", "--output-dir", "o")
        lines = sorted(result.stderr.decode().splitlines())
        self.assertEqual(result.returncode, PARTIAL, lines)
        self.assertEqual(lines, ["mirnet: 0 of 2 pictures failed, 2 folders not read",
                                 "mirnet: u/closed: the folder cannot be read: Permission denied",
                                 "mirnet: u/open/closed: the folder cannot be read: Permission denied"])
        self.assertEqual(self.tree("o"), ["a.png", "open/c.png"])
        # One of those that are named, for programs.
        result = self.run_without_privileges("denoise", "u/closed", "u/open", "--output-dir", "o2", "--json")
        self.assertEqual(result.returncode, PARTIAL)
        folder, picture, _ = (json.loads(line) for line in result.stdout.splitlines())
        self.assertEqual((folder["input"], folder["state"], folder["error"]["code"]), ("u/closed", "failed", INPUT))
        self.assertEqual(picture["state"], "restored")
        # Nothing else is there.
        self.sentence(self.run_without_privileges("denoise", "u/closed"), INPUT, "u/closed: the folder cannot be read")

    def test_pictures_that_cannot_be_reached(self):
        self.put("u/a.png")
        os.symlink("nowhere", self.path / "u/b.png")
        os.symlink("c.png", self.path / "u/c.png")
        os.symlink("nowhere", self.path / "u/notes.txt")
        result = self.run_program("denoise", "u", "--output-dir", "o")
        self.assertEqual(result.returncode, PARTIAL)
        self.assertIn(b"u/b.png: cannot be opened: No such file", result.stderr)
        self.assertIn(b"u/c.png: cannot be opened: Too many levels of symbolic links", result.stderr)
        self.assertEqual(self.tree("o"), ["a.png"])
        # A folder whose names can be read, and nothing else.
        self.put("v/a.png", "v/inside/b.png")
        self.closed("v", mode=0o400)
        result = self.run_without_privileges("denoise", "-r", "v", "--output-dir", "o2")
        self.assertIn(result.returncode, (INPUT, PARTIAL))
        self.assertIn(b"v/inside: the folder cannot be read: Permission denied", result.stderr)

    def test_what_is_hidden(self):
        self.put("d/a.png", "d/.b.png", "d/.hidden/c.png", "d/inside/.d.png")
        self.put("d/._a.png", "d/inside/._e.png", content=b"\0\5\x16\7\0\2\0\0Mac OS X        ")
        self.assertIn("d/a.png -> o/a.png  ", self.succeeds("denoise", "-r", "d", "--output-dir", "o"))
        self.assertEqual(self.tree("o"), ["a.png"])
        # What is named is taken.
        self.succeeds("denoise", "d/.b.png", "d/.hidden", "--output-dir", "o2", "--quiet")
        self.assertEqual(self.tree("o2"), [".b.png", "c.png"])
        for dots in (".", "../" + self.path.name):
            self.succeeds("denoise", f"{dots}/d", "--output-dir", f"o-{len(dots)}", "--quiet")
            self.assertEqual(self.tree(f"o-{len(dots)}"), ["a.png"])

    def test_what_is_no_picture(self):
        """A pipe in a folder is passed over, and waits for nobody."""
        self.put("d/a.png")
        os.mkfifo(self.path / "d/pipe.png")
        (self.path / "d/folder.png").mkdir()
        self.succeeds("denoise", "d", "--output-dir", "o", "--quiet")
        self.assertEqual(self.tree("o"), ["a.png"])


class Streams(FilesTest):
    """Pictures that do not come from files."""

    def setUp(self):
        super().setUp()
        self.expected = self.denoises("in.png", PICTURE, "expected.png")

    def gives_the_picture(self, command, output="o.png"):
        result = self.shell(command)
        self.assertEqual((result.returncode, result.stderr), (0, b""), command)
        self.assertEqual((self.path / output).read_bytes(), self.expected, command)
        (self.path / output).unlink()

    def test_pipes(self):
        for command in ("cat in.png | $M denoise /dev/stdin o.png --quiet",
                        "cat in.png | $M denoise /dev/fd/0 o.png --quiet --no-sandbox",
                        "$M denoise /dev/stdin o.png --quiet <in.png",
                        "$M denoise <(cat in.png) o.png --quiet",
                        "exec 7<in.png; $M denoise /dev/fd/7 o.png --quiet",
                        "$M denoise <(cat in.png) o.png --reference <(cat in.png) --quiet",
                        "mkfifo p; (sleep 0.5; cat in.png >p) & $M denoise p o.png --quiet; rm p",
                        "mkfifo p.png; cat in.png >p.png & $M denoise p.png --quiet; rm p.png; mv p-clean.png o.png"):
            self.gives_the_picture(command)
        self.assertIn(b"PSNR", self.shell("$M compare <(cat in.png) /dev/stdin <in.png").stdout)

    def test_a_socket(self):
        ours, its = socket.socketpair()
        with ours, its:
            ours.sendall(PICTURE)
            ours.shutdown(socket.SHUT_WR)
            result = subprocess.run([self.program, "denoise", "/dev/stdin", "o.png", "--quiet"], cwd=self.path,
                                    env=self.environment, stdin=its, capture_output=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual((self.path / "o.png").read_bytes(), self.expected)

    def test_no_name_for_the_result(self):
        for name in ("/dev/stdin", "/dev/fd/0", "-", "/proc/self/fd/0"):
            for options in ((), ("--output-dir", "o")):
                if (name, options) != ("-", ()):
                    self.fails(USAGE, "denoise", name, *options, says=f"{name}: the result of a stream has no name; use INPUT OUTPUT")
        os.mkfifo(self.path / "p")
        self.fails(USAGE, "denoise", "p", says="p: the name of a pipe gives no output format; use --format")

    def test_what_is_refused(self):
        self.fails(INPUT, "denoise", "/dev/zero", "o.png", says="/dev/zero: not an image of a known format")
        self.fails(INPUT, "denoise", "/dev/null", "o.png", says="/dev/null: not an image of a known format")
        self.fails(INPUT, "denoise", "in.png", "o.png", "--reference", ".", says=".: is a folder; expected a file or a pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.path / "socket"))
            self.fails(INPUT, "denoise", "socket", "o.png", says="socket: cannot be opened")
        devices = (f"/dev/{name}" for name in os.listdir("/dev"))
        block = next((name for name in devices if os.path.exists(name) and stat.S_ISBLK(os.stat(name).st_mode)), None)
        if block and os.access(block, os.R_OK):
            self.fails(INPUT, "denoise", block, "o.png", says="is a device; expected a file or a pipe")

    def test_waiting_for_a_writer_can_be_stopped(self):
        os.mkfifo(self.path / "p")
        with subprocess.Popen([self.program, "denoise", "p", "o.png"], cwd=self.path, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(0.5)
            self.assertIsNone(process.poll())
            process.terminate()
            _, message = process.communicate(timeout=60)
        self.assertEqual((process.returncode, message), (130, b"mirnet: stopped\n"))

    def test_closed_ones(self):
        closed_input = "the standard input: cannot be read: Bad file descriptor"
        closed_output = "the standard output is not open for writing"
        for command in ("$M denoise - o.png <&-", "$M compare - in.png <&-", "$M denoise - o.png <&- --no-sandbox",
                        "$M denoise in.png o.png --reference - <&-", "$M denoise - - <&- >&-", "$M profile - <&-"):
            self.sentence(self.shell(command), INPUT, closed_input)
        for command in ("$M denoise in.png - >&-", "$M denoise in.png o.png --json >&-", "$M profile 64x64 >&-",
                        "$M denoise in.png --estimate >&-", "$M bench >&-", "$M denoise in.png - 1</dev/null"):
            self.sentence(self.shell(command), OUTPUT, closed_output)
        for command in ("$M info >&-", "$M --version >&-", "$M compare in.png in.png >&-"):
            self.sentence(self.shell(command), OUTPUT, "the standard output cannot be written")
        self.assertFalse((self.path / "o.png").exists())
        # A service may start with some of the standard streams closed, or all.
        for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
            self.gives_the_picture(f"$M denoise in.png o.png {closed}" + (" --quiet" if ">&-" not in closed else ""))
        self.assertEqual(self.shell("$M denoise missing.png o.png <&- >&- 2>&-").returncode, INPUT)
        self.assertEqual(self.shell("$M denoise - - 2>&- --quiet <in.png").stdout, self.expected)


class Replaced(FilesTest):
    """--overwrite changes what is in a file."""

    def setUp(self):
        super().setUp()
        self.put("in.png", "-o", "o.png")

    def test_mode_and_owner(self):
        for mode in (0o600, 0o640, 0o444, 0o666):
            os.chmod(self.path / "o.png", mode)
            if os.geteuid() == 0:
                os.chown(self.path / "o.png", 12345, 23456)
            self.succeeds("denoise", "in.png", "-o", "o.png", "--overwrite", "--quiet")
            status = os.stat(self.path / "o.png")
            self.assertEqual(stat.S_IMODE(status.st_mode), mode)
            if os.geteuid() == 0:
                self.assertEqual((status.st_uid, status.st_gid), (12345, 23456))

    def test_a_group_that_cannot_be_kept(self):
        """Its rights are not another group's."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        os.chmod(self.path, 0o777)
        self.put("o.png")
        os.chmod(self.path / "o.png", 0o664)
        os.chown(self.path / "o.png", 12345, 23456)

        def without_chown():
            if ctypes.CDLL(None).prctl(24, 0, 0, 0, 0) != 0:  # CAP_CHOWN
                os._exit(99)

        result = subprocess.run([self.program, "denoise", "in.png", "-o", "o.png", "--overwrite", "--quiet"], cwd=self.path,
                                env=self.environment, capture_output=True, preexec_fn=without_chown, timeout=60)
        if result.returncode == 99:
            self.skipTest("root keeps its rights here")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        status = os.stat(self.path / "o.png")
        self.assertEqual((status.st_uid, status.st_gid), (os.geteuid(), os.getegid()))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o644)

    @unittest.skipUnless(hasattr(os, "setxattr"), "Linux")
    def test_attributes(self):
        try:
            os.setxattr(self.path / "o.png", "user.tag", b"sunset")
        except OSError:
            self.skipTest("no attributes here")
        self.succeeds("denoise", "in.png", "-o", "o.png", "--overwrite", "--quiet")
        self.assertEqual(os.getxattr(self.path / "o.png", "user.tag"), b"sunset")

    def test_mounted_files(self):
        """It is said before the computation that they cannot be replaced."""
        self.put("large.ppm", content=b"P6 4000 3000 255\n" + bytes(36_000_000))
        program, folder = shlex.quote(self.program), shlex.quote(str(self.path))
        result = subprocess.run(["unshare", "-m", "sh", "-c", f"cd {folder} && mount --bind o.png o.png || exit 99\n"
                                 f"exec {program} denoise large.ppm -o o.png --overwrite"],
                                env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60) \
            if shutil.which("unshare") else None
        if result is None or result.returncode == 99 or b"unshare:" in result.stderr:
            self.skipTest("nothing can be mounted here")
        self.sentence(result, OUTPUT, "o.png: cannot be replaced: it is mounted as a single file")



class Refusals(FilesTest):
    """What can be known before the computation is refused before it: nothing has been computed by then."""

    def refused(self, code, *arguments, says=""):
        before = self.tree()
        result = self.run_program("denoise", *arguments, "--progress", "json")
        lines = result.stderr.decode(errors="replace").splitlines()
        self.assertEqual(result.returncode, code, lines)
        # A computation that has begun writes lines of JSON.
        self.assertEqual([line for line in lines if line.startswith("{")], [], arguments)
        self.assertIn(says, lines[-1])
        self.assertEqual(self.tree(), before)

    def test_progress_would_show(self):
        self.put("in.png")
        result = self.run_program("denoise", "in.png", "o.png", "--progress", "json")
        self.assertIn(b"{", result.stderr)

    def test_all(self):
        self.put("in.png", "taken.png", "small.png")
        self.put("alpha.png", content=png(draw(12, 9, 4)))
        self.put("other.png", content=png(draw(5, 9, 3)))
        self.put("wide.pgm", content=b"P5 70000 1 255\n" + bytes(70000))
        self.put("deep.ppm", content=pnm(draw(12, 9, 3, 65535)))
        self.put("noise.txt", content=b"no picture")
        self.put("w.mirw", content=b"no weights")
        self.put("folder/small.png")
        for code, arguments, says in (
                (INPUT, ("missing.png", "o.png"), "missing.png: cannot be opened"),
                (INPUT, ("noise.txt", "o.png"), "not an image of a known format"),
                (INPUT, ("in.png", "o.png", "--reference", "missing.png"), "missing.png"),
                (INPUT, ("in.png", "o.png", "--reference", "other.png"), "cannot be compared"),
                (INPUT, ("in.png", "o.png", "--max-pixels", "50"), "the limit is 50 pixels"),
                (OUTPUT, ("in.png", "taken.png"), "already exists, and is no result of mirnet"),
                (OUTPUT, ("in.png", "o.gif"), "unsupported output extension"),
                (OUTPUT, ("in.png", "taken.png/o.png"), "taken.png/o.png"),
                (OUTPUT, ("in.png", "a" * 300 + ".png"), "name"),
                (OUTPUT, ("alpha.png", "o.jpg"), "alpha channel"),
                (OUTPUT, ("alpha.png", "o.ppm"), "alpha channel"),
                (OUTPUT, ("in.png", "o.pgm"), "colours"),
                (OUTPUT, ("wide.pgm", "o.jpg"), "70000 x 1 pixels"),
                (OUTPUT, ("small.png", "folder"), "folder/small.png: already exists"),
                (USAGE, ("in.png", "o.jpg", "--depth", "16"), "--depth 16"),
                (USAGE, ("in.png", "o.pfm", "--depth", "8"), "--depth 8"),
                (USAGE, ("in.png", "o.png", "--min-psnr", "30"), "--reference"),
                (USAGE, ("in.png", "o.png", "--tile", "7"), "--tile"),
                (MODEL, ("in.png", "o.png", "--weights", "w.mirw"), "w.mirw"),
                (MEMORY, ("in.png", "o.png", "--max-memory", "1M"), "memory")):
            with self.subTest(arguments):
                self.refused(code, *arguments, says=says)


if __name__ == "__main__":
    unittest.main()
