"""Clusters for the tests: a scheduler and workers of Dask, each a process of its own on the loopback address."""
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import distributed
import pytest

HERE = pathlib.Path(__file__).parent
CLUSTER = HERE.parent
for folder in (CLUSTER, HERE.parents[2] / "bindings" / "python" / "tests"):
    sys.path.insert(0, str(folder))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Processes:
    """Ends what it has started."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, *command, **options):
        number = len(self.running)
        with open(self.folder / f"process-{number}.log", "wb") as log:
            process = subprocess.Popen([sys.executable, "-B", *map(str, command)], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, cwd=self.folder, **options)
        self.running.append(process)
        return process

    def logs(self):
        return "".join(f"--- {log.name}\n{log.read_text(errors='replace')}"
                       for log in sorted(self.folder.glob("process-*.log")))

    def end(self):
        for process in self.running:
            process.kill()
            process.wait()


class Cluster:
    def __init__(self, folder):
        self.processes = Processes(folder)
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers = []

    def start_scheduler(self):
        self.scheduler = self.processes.start("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
                                              self.port, "--no-dashboard", "--no-show")
        wait_for(lambda: can_connect(self.port), self.processes)

    def start_worker(self, threads=1, **environment):
        worker = self.processes.start("-m", "distributed.cli.dask_worker", self.address, "--no-nanny", "--no-dashboard",
                                      "--nthreads", threads, "--memory-limit", 0, "--local-directory",
                                      self.processes.folder, env={**os.environ, **environment})
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count):
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=300)

    def end_workers(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers = []


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition, processes, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, processes.logs()
        time.sleep(0.02)


@pytest.fixture
def empty_cluster(tmp_path_factory):
    """A scheduler without workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start_scheduler()
    yield cluster
    cluster.processes.end()


@pytest.fixture
def cluster(empty_cluster):
    """With three workers."""
    for _ in range(3):
        empty_cluster.start_worker()
    empty_cluster.wait_for_workers(3)
    return empty_cluster


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory):
    """With one worker of two threads, for tests that leave it as it is."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start_scheduler()
    cluster.start_worker(threads=2)
    yield cluster
    cluster.processes.end()


def heed_interrupts():
    """Which a shell makes its background processes ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Client:
    """denoise_folder.py while it runs; its output is JSON."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen([sys.executable, "-B", CLUSTER / "denoise_folder.py", "--json",
                                         *map(str, arguments)], cwd=folder, text=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=heed_interrupts)
        self.reports = []

    def read_until_restored(self, count):
        while sum(report.get("state") == "restored" for report in self.reports) < count:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self.reports.append(json.loads(line))

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)  # as a terminal does

    def end(self):
        try:
            output, errors = self.process.communicate(timeout=100)
        finally:
            self.process.kill()
        return Ended(self.process.returncode, self.reports + list(map(json.loads, output.splitlines())), errors)


class Ended:
    """What it has said."""

    def __init__(self, code, reports, errors):
        self.code, self.errors = code, errors
        self.summary = next((report["summary"] for report in reports if "summary" in report), None)
        self.reports = [report for report in reports if "summary" not in report]

    def states(self):
        return [report["state"] for report in self.reports]


@pytest.fixture
def start(tmp_path):
    """Starts the client in the test's folder."""
    clients = []

    def start(*arguments):
        clients.append(Client(tmp_path, *arguments))
        return clients[-1]

    yield start
    for client in clients:
        client.process.kill()
        client.process.wait()


@pytest.fixture
def restore(start):
    """Runs the client."""
    return lambda *arguments: start(*arguments).end()


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """Runs the client in this process, as it takes a second to start another. Returns its exit code and its output."""
    import denoise_folder
    monkeypatch.chdir(tmp_path)
    for name in ("signal", "getsignal"):
        monkeypatch.setattr(denoise_folder.signal, name, lambda *_: None)

    def main(*arguments):
        try:
            code = denoise_folder.main(list(map(str, arguments)))
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    yield main
    logging.disable(logging.NOTSET)


@pytest.fixture
def restore_here(main):
    """The same as `restore`, on a cluster that is there."""
    def restore_here(*arguments):
        code, output, errors = main("--json", *arguments)
        return Ended(code, list(map(json.loads, output.splitlines())), errors)

    return restore_here
