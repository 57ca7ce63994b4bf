"""Runs while they last: progress, ends before time, other threads, and the end of Python itself."""
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import mirnet
from pictures import SANITIZED, noisy

PROMPTLY = 10 if SANITIZED else 3  # seconds, on a machine with other work; alone, it takes a tenth of one
SIDE = 90 if SANITIZED else 220  # pixels that take the slow model some tenths of a second


def test_progress(slow_model, large):
    told, threads = [], set()

    def progress(done):
        told.append(done)
        threads.add(threading.current_thread())
        return "what it returns does not matter"

    result = slow_model.run(large[:SIDE, :SIDE], progress=progress, threads=1)
    assert len(told) > 2 and told == sorted(set(told)) and 0 <= told[0] < 1 and told[-1] == 1
    assert threads == {threading.current_thread()}
    assert np.array_equal(result, slow_model.run(large[:SIDE, :SIDE]))


def test_progress_of_short_runs_ends_at_1(model, image):
    told = []
    model.run(image, progress=told.append)
    assert told[-1] == 1.0 and all(type(done) is float for done in told)


def test_an_exception_of_progress_ends_the_run(slow_model, large):
    class Enough(Exception):
        pass

    def progress(done):
        raise Enough(done)

    for threads in 1, None:
        start = time.perf_counter()
        with pytest.raises(Enough) as caught:
            slow_model.run(large, progress=progress, threads=threads, tile="off")
        assert caught.value.args[0] < 0.9 and time.perf_counter() - start < PROMPTLY
    assert slow_model.run(noisy(40, 40)).shape == (40, 40)


def test_runs_within_progress(model, slow_model, large, image):
    expected, results = model.run(image), []
    slow_model.run(large[:SIDE, :SIDE], progress=lambda done: results.append(model.run(image)))
    assert results and all(np.array_equal(result, expected) for result in results)


def test_the_gil_is_free_during_a_run(slow_model, large):
    """Without a progress function, so the run itself has nothing to do with Python."""
    thread = threading.Thread(target=slow_model.run, args=(large[:SIDE, :SIDE],))
    thread.start()
    steps = 0
    while thread.is_alive():
        time.sleep(0.001)
        steps += 1
    assert steps > 20


def test_two_threads_run_at_the_same_time(slow_model, large):
    """Each run waits, in its progress function, until the other is under way."""
    under_way = [threading.Event(), threading.Event()]
    met = [False, False]

    def run(index):
        def progress(done):
            if done < 1:
                under_way[index].set()
                met[index] = met[index] or under_way[1 - index].wait(60)

        slow_model.run(large[:SIDE, :SIDE], threads=1, progress=progress)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [True, True]


def test_one_plan_in_many_threads(model):
    images = [noisy(70, 90, 3, seed=seed) for seed in range(4)]
    plan = model.plan(70, 90, threads=2)
    expected = [plan.run(image) for image in images]
    wrong = []

    def run(index):
        for _ in range(3):
            if not np.array_equal(plan.run(images[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=run, args=(index % 4,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_weights_of_the_package_are_loaded_once(image, monkeypatch):
    monkeypatch.setattr(mirnet, "_shipped", {})
    models = []
    load = mirnet.Model.load
    monkeypatch.setattr(mirnet.Model, "load", lambda **options: models.append(load(**options)) or models[-1])
    threads = [threading.Thread(target=mirnet.denoise, args=(image,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 1


def test_any_number_of_threads_gives_the_same_bits(model):
    image = noisy(90, 300, 3)
    one = model.run(image, threads=1)
    for threads in 2, 3, 8, None:
        assert np.array_equal(model.run(image, threads=threads), one)


# What has to be seen from outside: programs in a Python of their own.

PREAMBLE = f"""
import os, signal, sys, threading, time
import numpy as np
import mirnet
model = mirnet.Model.load(precision="fp32", isa=mirnet.instruction_sets()[-1], algorithm="direct")
large = np.random.default_rng(1).integers(0, 255, (1200, 1200, 3), np.uint8)  # takes many seconds
small = large[:64, :64].copy()
medium = large[:{SIDE}, :{SIDE}]
def say(word):
    print(word, flush=True)
"""


class Program:
    def __init__(self, body):
        self.process = subprocess.Popen([sys.executable, "-c", PREAMBLE + textwrap.dedent(body)], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def says(self, word):
        line = self.process.stdout.readline()
        assert line == word + "\n", (line, self.process.stderr.read())

    def ends(self, code, errors=""):
        out, err = self.process.communicate(timeout=120)
        assert (self.process.returncode, out) == (code, ""), err
        assert errors in err if errors else err == ""


@pytest.fixture
def start():
    """Starts programs. What is left of them when the test ends is killed."""
    programs = []

    def start_program(body):
        programs.append(Program(body))
        return programs[-1]

    yield start_program
    for program in programs:
        try:
            os.killpg(program.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("call", ["run(large)", "run(large, tile='off', threads=1)",
                                  "run(large, progress=lambda done: None)", "plan(1200, 1200).profile()"])
def test_interrupts_end_a_computation_at_once(start, call):
    program = start(f"""
        say("ready")
        try:
            model.{call}
        except KeyboardInterrupt:
            say("interrupted")
        assert model.run(small).shape == small.shape
        say("goes on")
    """)
    program.says("ready")
    time.sleep(0.5)
    sent = time.perf_counter()
    program.process.send_signal(signal.SIGINT)
    program.says("interrupted")
    assert time.perf_counter() - sent < PROMPTLY
    program.says("goes on")
    program.ends(0)


def test_interrupts_that_nobody_catches(start):
    program = start("""
        say("ready")
        model.run(large)
    """)
    program.says("ready")
    time.sleep(0.5)
    program.process.send_signal(signal.SIGINT)
    program.ends(-signal.SIGINT, "KeyboardInterrupt")


def test_handlers_of_signals_run_during_a_run(start):
    program = start("""
        signal.signal(signal.SIGUSR1, lambda *_: say("handled"))
        def stop(*_):
            raise ValueError("stop")
        signal.signal(signal.SIGUSR2, stop)
        say("ready")
        try:
            model.run(large)
        except ValueError as error:
            say(error)
    """)
    program.says("ready")
    time.sleep(0.3)
    program.process.send_signal(signal.SIGUSR1)
    program.says("handled")
    program.process.send_signal(signal.SIGUSR2)
    program.says("stop")
    program.ends(0)


@pytest.mark.parametrize("runs", [1, 3])
def test_python_ends_while_daemon_threads_run(start, runs):
    program = start(f"""
        for _ in range({runs}):
            threading.Thread(target=model.run, args=(large,), kwargs={{"threads": 1}}, daemon=True).start()
        time.sleep(0.3)
        say("ends")
    """)
    program.says("ends")
    ended = time.perf_counter()
    program.ends(0)
    assert time.perf_counter() - ended < PROMPTLY


@pytest.mark.parametrize("call", [
    "model.run(large, progress=lambda done: threading.Event().wait())",
    "model.run(large, progress=lambda done: [time.sleep(0.01) for _ in range(1000)])",
    "[model.run(small, progress=lambda done: None) for _ in range(1000)]",
    "[model.plan(1000, 1000) for _ in range(100_000)]",
    "[mirnet.Model.load() for _ in range(1000)]",
])
def test_daemon_threads_ask_for_the_gil_when_python_has_ended(start, call):
    program = start(f"""
        class SlowToEnd:
            def __del__(self, sleep=time.sleep):
                sleep(0.3)
        slow_to_end = SlowToEnd()  # Python deletes it when no other thread gets the GIL any more
        threading.Thread(target=lambda: {call}, daemon=True).start()
        time.sleep(0.3)
        say("ends")
    """)
    program.says("ends")
    ended = time.perf_counter()
    program.ends(0)
    assert time.perf_counter() - ended < PROMPTLY + 0.3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the program cannot be kept to one core")
def test_signals_are_handled_while_python_waits_for_runs(start):
    """On one core, each run takes a while to notice that it has to end."""
    program = start("""
        import atexit
        handled = 0
        def handle(*_):
            global handled
            handled += 1
            if handled == 5:
                raise KeyboardInterrupt
        def end():
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            try:
                mirnet._mirnet.end_computations()
                signal.setitimer(signal.ITIMER_REAL, 0)
                say(f"not interrupted, {handled} signals")
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                say("interrupted")
        atexit.register(end)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for _ in range(16):
            threading.Thread(target=model.run, args=(medium,), kwargs={"threads": 1}, daemon=True).start()
        time.sleep(0.3)
    """)
    program.says("interrupted")
    program.ends(0)


def test_no_run_starts_when_python_has_ended(start):
    program = start("""
        import atexit
        @atexit.register
        def run():
            try:
                model.run(small)
            except mirnet.Error as error:
                say(error)
        atexit.unregister(mirnet._mirnet.end_computations)
        atexit.register(mirnet._mirnet.end_computations)  # runs before it, as if `run` had come before the import
    """)
    program.says("no computation can start: Python is about to end")
    program.ends(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
def test_forks_while_another_thread_runs(start, ending):
    program = start(f"""
        mirnet.denoise(small)
        thread = threading.Thread(target=model.run, args=(medium,))
        thread.start()
        time.sleep(0.1)
        child = os.fork()
        if child == 0:
            assert np.array_equal(mirnet.denoise(small), mirnet.denoise(small))
            {ending}
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
    """)
    program.ends(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.skipif(SANITIZED, reason="what a fork leaves in the child is a leak")
def test_forks_within_progress(start):
    program = start("""
        children = []
        def progress(done):
            if not children:
                children.append(os.fork())
        try:
            result = model.run(medium, progress=progress)
        except mirnet.Error as error:
            assert children == [0] and "forked" in str(error), error
            assert model.run(small).shape == small.shape
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
        assert np.array_equal(result, model.run(medium))
    """)
    program.ends(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.skipif(SANITIZED, reason="what a fork leaves in the child is a leak")
@pytest.mark.parametrize("run", ["model.run(medium, progress=lambda done: fork())",
                                 "in_a_moment(fork) or model.run(medium, threads=1)"])
def test_an_exception_ends_a_run_in_the_child_of_a_fork(start, run):
    program = start(f"""
        children = []
        def fork():
            if not children:
                children.append(os.fork())
                if children == [0]:
                    raise RuntimeError("the child")
        def in_a_moment(function):
            signal.signal(signal.SIGALRM, lambda *_: function())
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            result = {run}
        except RuntimeError as error:
            assert children == [0] and str(error) == "the child", error
            assert model.run(small).shape == small.shape
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
        assert np.array_equal(result, model.run(medium))
    """)
    program.ends(0)
