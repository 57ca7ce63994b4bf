"""Runs on clusters that lose workers, schedulers and clients: each result is there once, with the program's bits."""
import asyncio
import concurrent.futures
import os
import pathlib
import signal
import subprocess

import distributed
import pytest

import denoise_folder
import listing
import mirnet
from pictures import noisy, program, write_png  # noqa: F401, a fixture
from test_pictures import assert_same

COUNT = 40


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder of them."""
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(COUNT):
        write_png(folder / f"{i:02}.png", noisy(48, 48 + i, 3, seed=i))
    return folder


@pytest.fixture(scope="session")
def expected(photographs):
    """What the program makes of them."""
    if "MIRNET" not in os.environ:
        pytest.skip("the environment variable MIRNET does not name the program")
    folder = pathlib.Path(f"{photographs}-expected")
    subprocess.run([os.environ["MIRNET"], "denoise", photographs, "-o", folder, "--quiet", "--threads", "1"],
                   check=True)
    return folder


def assert_all_there(folder, expected):
    assert sorted(os.listdir(folder)) == sorted(os.listdir(expected))  # hidden files, too
    for path in folder.iterdir():
        assert_same(path, expected / path.name)


def run_on(cluster):
    """The name of the run that is registered on a cluster."""
    with distributed.Client(cluster.address, set_as_default=False) as client:
        names = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        return next(iter(names), None)


def test_lost_worker_and_scheduler(cluster, start, restore_here, photographs, expected, tmp_path):
    """A worker is killed in the middle of one run, the scheduler in that of another, and a third completes all."""
    out = tmp_path / "out"
    arguments = (photographs, "-o", "out", "--scheduler", cluster.address, "--wait", 100)
    client = start(*arguments)
    client.read_until_restored(1)
    cluster.workers[0].send_signal(signal.SIGSTOP)  # the run waits for what this one has begun
    client.read_until_restored(10)
    # A worker that is killed while it writes leaves a part behind, under a name that tells the run.
    part = out / f".{run_on(cluster)}-host-1-1.tmp.png"
    part.write_bytes(b"\x89PNG")
    cluster.workers[0].kill()
    client = client.end()
    assert client.code == 0, client.errors + cluster.processes.logs()
    assert client.summary["restored"] == COUNT
    assert client.states() == ["restored"] * COUNT
    assert len({report["input"] for report in client.reports}) == COUNT
    assert len({report["worker"] for report in client.reports}) > 1
    assert_all_there(out, expected)

    for i in range(COUNT // 2):
        (out / f"{i:02}.png").unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    client = start(*arguments, "--skip-existing")
    client.read_until_restored(1)
    cluster.workers[1].send_signal(signal.SIGSTOP)
    client.read_until_restored(5)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    client = client.end()
    assert client.code == 9, client.errors
    assert "connection to the scheduler was lost" in client.errors and "--skip-existing continues" in client.errors
    assert "Traceback" not in client.errors
    cluster.end_workers()

    cluster.start_scheduler()
    cluster.start_worker()
    there = {name for name in os.listdir(out) if not name.startswith(".")}
    assert COUNT // 2 + 5 <= len(there) < COUNT
    part.write_bytes(b"\x89PNG")  # of an earlier run: it is no photograph and no result
    client = restore_here(*arguments, "--skip-existing")
    assert (client.code, client.summary["restored"], client.summary["skipped"]) == (0, COUNT - len(there), len(there))
    assert client.states() == ["skipped"] * len(there) + ["restored"] * (COUNT - len(there))
    part.unlink()
    assert_all_there(out, expected)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept

    # The cluster is as it was: nothing of the runs stays on it, and the next one works.
    assert run_on(cluster) is None
    client = restore_here(*arguments)
    assert client.code == 8 and f"{COUNT} of {COUNT} results already exist" in client.errors
    (out / "00.png").unlink()
    client = restore_here(*arguments, "--skip-existing")
    assert (client.code, client.summary["restored"], client.summary["skipped"]) == (0, 1, COUNT - 1)


def test_interrupt(start, restore_here, tmp_path):
    """Ctrl-C in a terminal, which also reaches the workers that the client has started."""
    (tmp_path / "in").mkdir()
    for i in range(10):
        write_png(tmp_path / "in" / f"{i:02}.png", noisy(200, 200, 3, seed=i))
    slowly = ("--isa", mirnet.instruction_sets()[-1], "--precision", "fp32")
    client = start("in", "-o", "out", "--workers", 2, "--threads", 1, *slowly)
    client.read_until_restored(2)
    client.interrupt()
    client = client.end()
    done = client.states().count("restored")
    assert client.code == 130 and f"stopped; {done} restored; the same command" in client.errors, client.errors
    assert "Traceback" not in client.errors
    there = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert done <= len(there) < 10 and not any(name.startswith(".") for name in there)
    for content in there.values():
        assert content.endswith(b"\0\0\0\0IEND\xaeB`\x82")
    client = restore_here("in", "-o", "out", "--skip-existing", "--workers", 1)
    assert (client.code, client.summary["skipped"], client.summary["restored"]) == (0, len(there), 10 - len(there))
    assert sorted(os.listdir(tmp_path / "out")) == sorted(os.listdir(tmp_path / "in"))
    assert there == {name: (tmp_path / "out" / name).read_bytes() for name in there}


def test_bad_files(shared_cluster, restore_here, tmp_path):
    """Some fail, the rest is restored, with the program's exit codes."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write_png(tmp_path / "in" / name, noisy(30, 20, 3))
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    (tmp_path / "list").write_text("in\nmissing.png\ngone/x.png\n")
    at = ("--scheduler", shared_cluster.address, "--wait", 100)
    client = restore_here("--list", "list", "-o", "out", *at)
    assert client.code == 7
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "c.png"]
    errors = {report["input"]: report["error"]["code"] for report in client.reports if report["state"] == "failed"}
    assert errors == {"in/b.png": 3, "missing.png": 3, "gone/x.png": 3}
    assert "3 of 5 pictures failed" in client.errors
    assert {report["threads"] for report in client.reports if report["state"] == "restored"} == {2}
    # One photograph has its own exit code, and no summary.
    client = restore_here("in/b.png", "-o", "out", *at)
    assert (client.code, client.summary) == (3, None)
    client = restore_here("in/a.png", "-o", "out", *at)
    assert client.code == 8 and "out/a.png: already exists; use --overwrite" in client.errors
    before = (tmp_path / "out" / "a.png").read_bytes()
    (tmp_path / "out" / "a.png").write_bytes(b"old")
    assert restore_here("in/a.png", "-o", "out", "--overwrite", *at).code == 0
    assert (tmp_path / "out" / "a.png").read_bytes() == before


def test_refused_clusters(empty_cluster, restore_here, photographs, tmp_path):
    """What is wrong with a cluster is said before the work begins."""
    at = ("--scheduler", empty_cluster.address, "--wait", 100)
    arguments = (photographs, "-o", "out")

    def said(*more):
        client = restore_here(*arguments, *more)
        assert client.code == 9 and client.reports == [] and "Traceback" not in client.errors, client.errors
        assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []
        return client.errors

    assert "has had no worker for 1 seconds" in said(*at, "--wait", 1)
    assert "no scheduler can be reached there" in said("--scheduler", "tcp://127.0.0.1:1", "--wait", 1)
    empty_cluster.start_worker(PYTHONPATH="")
    assert "lacks a Python module: No module named 'mirnet'" in said(*at)


@pytest.mark.parametrize("code, words, arguments", [
    (2, "no photographs and no folders", ""),
    (2, "do not go with --scheduler", "in --scheduler tcp://127.0.0.1:1 --workers 2"),
    (2, "--strength: must be a number from 0 to 1, not '2'", "in --strength 2"),
    (2, "--skip-existing and --overwrite: do not go together", "in --skip-existing --overwrite"),
    (2, "abacus: no instruction set", "in --isa abacus"),
    (3, "--list nowhere: cannot be read", "--list nowhere"),
    (3, "empty: contains no photographs", "empty"),
    (4, "missing.mirw: cannot be read", "in --weights missing.mirw"),
    (4, "damaged.mirw: ", "in --weights damaged.mirw"),
    (8, "cannot create this folder", "in -o file/out"),
    (8, "2 of 2 results already exist, such as out/a.png", "in -o out"),
    (0, "", "in -o out --skip-existing")])
def test_wrong_usage(main, tmp_path, monkeypatch, code, words, arguments):
    """Found before a worker is started; and none is where nothing is to be done."""
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png"):
            write_png(tmp_path / folder / name, noisy(1, 1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.mirw").write_bytes(b"MIRW" + bytes(2000))
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(denoise_folder, "Cluster", None)
    found, output, errors = main(*arguments.split())
    assert found == code and words in errors, errors
    assert output.splitlines()[-1:] == (["0 restored, 2 skipped, 0 failed"] if code == 0 else [])


def test_lost_at_the_start(main, tmp_path, monkeypatch):
    """The scheduler ends between the first message and the first task."""
    class Cluster:
        address, client = "tcp://nowhere", None

        def __init__(self, options):
            pass

        def check_versions(self):
            raise failure

        def close(self):
            pass

    monkeypatch.setattr(denoise_folder, "Cluster", Cluster)
    write_png(tmp_path / "a.png", noisy(1, 1))
    for failure in (OSError("closed"), asyncio.TimeoutError(), concurrent.futures.CancelledError()):
        code, _, errors = main("a.png", "-o", "out")
        assert code == 9 and "tcp://nowhere: the connection to the scheduler was lost; 0 restored" in errors
        assert not (tmp_path / "out").exists()


def test_full_standard_output(main, tmp_path, monkeypatch):
    """Of which the scheduler is innocent."""
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / "a.png", noisy(1, 1))
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(denoise_folder.sys, "stdout", full)
        code, _, errors = main("in", "-o", "out", "--skip-existing")
    assert code == 8 and "the standard output cannot be written: No space left on device" in errors


def test_marked_folders(tmp_path):
    """Those that are there. A folder that is missing or cannot be written to fails with its photographs."""
    for name in ("in", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_bytes(b"")
    works = [listing.Work(str(tmp_path / source), str(tmp_path / target), None) for source, target in (
        ("in/a.png", "in/a-clean.png"), ("gone/b.png", "gone/b-clean.png"), ("more/c.png", "file/c.png"),
        ("in/d.png", "new/d.png"))]
    with denoise_folder.marked_folders(works, "mirnet-0") as (folders, token):
        assert folders == [("results", str(tmp_path / "in")), ("results", str(tmp_path / "new")),
                           ("sources", str(tmp_path / "in")), ("sources", str(tmp_path / "more"))]
        assert all((tmp_path / name / token).exists() for name in ("in", "new"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "in", "more", "new"]


def test_done_counts_at_the_end():
    """Ctrl-C cancels what is under way, after it has taken what is done."""
    class Client:
        status = "running"

        def cancel(self, futures):
            cancelled.extend(futures)

        def unregister_worker_plugin(self, name):
            pass

    class Done:
        status = "finished"

        def exception(self, timeout):
            return None

        def result(self, timeout):
            return {"state": "restored"}

    class Cluster:
        client = Client()

    class Messages:
        def report(self, report):
            reports.append(report)

    counts, reports, cancelled, done, pending = {"restored": 0}, [], [], Done(), object()
    run = denoise_folder.Run(Cluster(), {"run": "mirnet-0"}, [], Messages(), counts, None)
    run.under_way = {done: None, pending: None}
    run.done.put(done)
    run.end(True)
    assert (counts, reports, cancelled) == ({"restored": 1}, [{"state": "restored"}], [pending])


def test_weights_travel(shared_cluster, restore_here, program, tmp_path):  # noqa: F811
    """The worker need not have the file, and each of the options is the program's."""
    (tmp_path / "mine").mkdir()
    weights = tmp_path / "mine" / "other.mirw"
    weights.write_bytes((pathlib.Path(__file__).parents[3] / "weights" / "denoise-0.1.mirw").read_bytes())
    write_png(tmp_path / "a.png", noisy(20, 300, 3))
    options = ("--strength", 0.7, "--keep-grain", 0.5, "--tile", 256, "--isa", mirnet.instruction_sets()[-1],
               "--precision", "fp32")
    assert program("denoise", "a.png", "-o", "expected.png", "--weights", weights, *options).returncode == 0
    client = restore_here("a.png", "-o", "out", "--weights", weights, *options, "--scheduler",
                          shared_cluster.address, "--wait", 100)
    assert client.code == 0, client.errors
    assert_same(tmp_path / "out" / "a.png", tmp_path / "expected.png")
    assert client.reports[0]["model"] == "other.mirw"
