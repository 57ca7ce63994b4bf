"""The results are those of the program: names, pixels and metadata."""
import json
import os
import pathlib
import struct
import threading
import zlib

import numpy as np
import pytest

import kinds
import listing
import mirnet
import picture_files
import restoring
from pictures import noisy, program, write_png  # noqa: F401, a fixture


def chunks(path):
    """Those of a PNG beside its pixels, and these."""
    content, at, found, raster = path.read_bytes(), 8, [], b""
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        data = content[at + 8:at + 8 + length]
        assert zlib.crc32(name + data) == struct.unpack_from(">I", content, at + 8 + length)[0]
        if name == b"IDAT":
            raster += data
        else:
            found.append((name, zlib.decompress(data[data.index(b"\0") + 2:]) if name == b"iCCP" else data))
        at += 12 + length
    assert zlib.decompress(raster)
    return found


def assert_same(path, expected):
    if path.read_bytes() == expected.read_bytes():
        return
    assert path.suffix == ".png", f"{path.name} differs"  # compressed differently
    assert chunks(path) == chunks(expected), path.name
    ours, theirs = (picture_files.read_picture(file.read_bytes(), 10**9).samples for file in (path, expected))
    assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), path.name


def names_of(reports, state):
    return {os.path.basename(report["input"]) for report in reports if report["state"] == state}


def test_all_kinds(program, shared_cluster, restore_here, tmp_path):
    """First what Python restores, then the rest by the program, with one worker of two threads."""
    done, by_program, never = kinds.make(tmp_path / "in")
    assert program("denoise", "in", "-o", "expected").returncode == 7
    at = ("--scheduler", shared_cluster.address, "--wait", 100)
    ours = restore_here("in", "-o", "out", *at)
    assert ours.code == 7, ours.errors
    assert names_of(ours.reports, "restored") == done
    assert (ours.summary["restored"], ours.summary["failed"]) == (len(done), len(by_program) + len(never))
    failed = {os.path.basename(report["input"]): report["error"] for report in ours.reports
              if report["state"] == "failed"}
    for name in by_program:
        assert failed[name]["code"] == 3 and "--program" in failed[name]["message"], failed[name]
    for name in never:
        assert failed[name]["code"] == 3 and failed[name]["message"].startswith(f"in/{name}: ")
    assert all(report["threads"] == 2 for report in ours.reports if report["state"] == "restored")
    rest = restore_here("in", "-o", "out", "--skip-existing", "--program", os.environ["MIRNET"], *at)
    assert rest.code == 7, rest.errors
    assert rest.summary["skipped"] == len(done)
    assert names_of(rest.reports, "restored") == by_program
    expected = sorted(path.name for path in (tmp_path / "expected").iterdir())
    assert sorted(os.listdir(tmp_path / "out")) == expected and len(expected) == len(done) + len(by_program)
    for name in expected:
        assert_same(tmp_path / "out" / name, tmp_path / "expected" / name)


class Options:
    def __init__(self, *files, output_dir=None, suffix=None, recursive=False, include_results=False):
        self.files, self.output_dir, self.suffix = list(files), output_dir, suffix
        self.recursive, self.include_results = recursive, include_results


@pytest.mark.parametrize("arguments", [
    {"output_dir": "out"}, {"output_dir": "out", "recursive": True}, {"recursive": True}, {"suffix": "-x"},
    {"recursive": True, "suffix": "-new", "output_dir": "out"}, {"recursive": True, "include_results": True}, {}])
def test_names(program, tmp_path, monkeypatch, arguments):
    tree = tmp_path / "tree"
    for name in ("a.png", "B.PNG", "sub/c.png", "sub/deep/d.e.png", "a.b/f.png", ".hidden.png", ".h/i.png", "k-x.png",
                 "j-clean.png", "l-new.png", "m-clean.tga.png", "-n.png", "-clean.png", "tree-clean/o.png",
                 "out/p.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tree / name, noisy(1, 1, 3))
    (tree / "notes.txt").write_text("no picture\n")
    (tree / "made.png").write_bytes((tree / "a.png").read_bytes() + b"mirnet denoise 0.2.0, model standard (0)")
    os.symlink("sub", tree / "link")
    os.symlink("a.png", tree / "linked.png")
    monkeypatch.chdir(tmp_path)
    options = Options("tree", **arguments)
    flags = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
             for name, value in arguments.items()]
    said = program("denoise", "tree", "--estimate", "--json", *flags).stdout
    reports = [json.loads(line) for line in said.splitlines()]
    found = listing.list_work(options)
    assert [(work.source, work.target) for work in found.works] == [
        (report["input"], report["output"]) for report in reports[:-1]]
    summary = reports[-1]["summary"]
    assert (found.results, found.subfolders, found.others) == (
        summary["results_left_out"], summary["subfolders_left_out"], summary["other_files_left_out"])


def test_refused_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.png", "b/x.png", "empty/notes.txt", "done/x-clean.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_png(tmp_path / name, noisy(1, 1))
    for options, code, words in ((Options("a", "b", output_dir="out"), 2, "have the same result"),
                                 (Options("empty"), 3, "contains no photographs"),
                                 (Options("done"), 3, "only results of earlier runs"),
                                 (Options("a", "b", "clean"), 3, "no such file"),
                                 (Options("a/x.png", "a/x.png", output_dir="out"), 2, "have the same result"),
                                 (Options("/"), 2, "no folder beside it")):
        with pytest.raises(listing.Refused, match=words) as refused:
            listing.list_work(options)
        assert refused.value.code == code
    os.mkfifo("pipe")
    assert listing.list_work(Options("pipe", output_dir="out")).works[0].target == "out/pipe.png"
    works = listing.list_work(Options("a", output_dir="a/x.png/out")).works
    with pytest.raises(listing.Refused, match="x.png is a file") as refused:
        listing.check_output_folders(works)
    assert refused.value.code == 8


def test_noise_as_jpeg():
    """The largest files that there are; and results of the same pixels have the same bytes before and after them."""
    small = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    before = picture_files.encode_png(small, picture_files.Metadata())
    noise = np.random.default_rng(2).integers(0, 2, (300, 400, 3), np.uint8) * np.uint8(255)
    for quality in (90, 95, 100):
        content = picture_files.encode_jpeg(noise, picture_files.Metadata(), quality)
        assert picture_files.read_picture(content, 10**6).samples.shape == noise.shape
    assert picture_files.encode_png(small, picture_files.Metadata()) == before
    with pytest.raises(listing.Refused, match="cannot be encoded as a JPEG") as refused:
        picture_files.encode_jpeg(np.zeros((1, 65501), np.uint8), picture_files.Metadata(), 95)
    assert refused.value.code == 8


class Worker:
    """As much of one as a Restorer asks."""

    class state:
        nthreads = 1

    class memory_manager:
        memory_limit = None

    address = "here"


@pytest.fixture
def restorer(tmp_path):
    settings = {"run": "mirnet-01234567", "version": mirnet.__version__, "weights": None, "isa": None,
                "precision": "auto", "strength": 1.0, "keep_grain": 0.0, "tile": None, "quality": 95,
                "overwrite": False, "max_pixels": 10**6, "program": None, "folders": [], "token": ".mirnet-shared.tmp",
                "checksum": restoring.checksum_of(mirnet.WEIGHTS.read_bytes()), "mark": "mirnet denoise of a test"}
    return restoring.Restorer(settings, Worker, threading.Event())


def test_task_runs_again(restorer, tmp_path):
    """A result with the same bytes is that of the task's first run. Any other stays as it is."""
    source, target = tmp_path / "a.png", tmp_path / "out" / "a.png"
    write_png(source, noisy(20, 30, 3))
    restore = lambda: restorer.restore(str(source), str(target), "a", "out/a.png")  # noqa: E731
    assert restore()["state"] == "restored"
    first, status = target.read_bytes(), target.stat()
    assert restore()["state"] == "restored"
    assert target.stat() == status and target.read_bytes() == first
    target.write_bytes(first + b"!")
    report = restore()
    assert report["error"] == {"code": 8, "message": "out/a.png: already exists; use --overwrite to replace it"}
    assert target.read_bytes() == first + b"!"
    restorer.settings["overwrite"] = True
    target.chmod(0o640)
    assert restore()["state"] == "restored"
    assert target.read_bytes() == first and target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(target.parent) == ["a.png"]


def test_worker_that_does_not_fit(restorer, tmp_path, monkeypatch):
    """One that joins late is found by its first task."""
    monkeypatch.setattr(restoring.time, "sleep", lambda seconds: None)
    for settings, words in (({"version": "0.0.1"}, "expected 0.0.1"), ({"isa": "abacus"}, "abacus"),
                            ({"checksum": "00000000"}, "other weights"),
                            ({"program": "/nowhere/mirnet"}, "cannot start the program /nowhere/mirnet"),
                            ({"folders": [("sources", "/nowhere/in")]}, "sees no folder /nowhere/in"),
                            ({"folders": [("results", str(tmp_path))]}, "sees another folder")):
        plugin = restoring.Plugin({**restorer.settings, "local": False, **settings}, restoring.Restorer)
        plugin.setup(Worker)
        report = plugin.restore(("a", "b", "a", "b"))
        assert report["state"] == "unusable" and words in report["message"]


def test_failures_leave_nothing(restorer, tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "out" / "a.png"
    write_png(source, noisy(20, 30, 3))

    def code(name=source, to=target):
        report = restorer.restore(str(name), str(to), str(name), str(to))
        assert report["state"] == "failed" and report["error"]["message"].startswith((f"{name}: ", f"{to}: "))
        return report["error"]["code"]

    restorer.settings["max_pixels"] = 599
    assert code() == 3
    restorer.settings["max_pixels"] = 600
    restorer.memory = lambda: 1000
    assert code() == 5
    del restorer.memory
    assert code(tmp_path / "missing.png") == code(tmp_path) == 3
    os.mkfifo(tmp_path / "pipe.png")
    assert code(tmp_path / "pipe.png") == 3
    (tmp_path / "file").write_bytes(b"")
    assert code(to=tmp_path / "file" / "a.png") == 8
    assert code(to=tmp_path / "out" / ("a" * 300 + ".png")) == 8
    assert os.listdir(target.parent) == []
    target.mkdir()
    assert code() == 8
    restorer.stopped.set()
    assert restorer.restore(str(source), str(target), "a", "b")["state"] == "stopped"
    assert os.listdir(target.parent) == ["a.png"]


def test_temporary_files(restorer, tmp_path):
    """Two have two names, and one that another has made stays."""
    target = tmp_path / "a.png"
    name = restorer.temporary(str(target))
    assert name != restorer.temporary(str(target))
    pathlib.Path(name).write_bytes(b"another's")
    with pytest.raises(listing.Refused) as refused:
        with restoring.written(name, b"mine", str(target), "a.png"):
            pass
    assert refused.value.code == 8 and pathlib.Path(name).read_bytes() == b"another's"
