#!/usr/bin/env python3
"""Removes noise from folders of photographs on a Dask cluster, with the Python package mirnet.

    denoise_folder.py -r scans -o clean                                    # on this machine
    denoise_folder.py -r scans -o clean --scheduler tcp://10.0.0.1:8786    # on a cluster
    denoise_folder.py -r scans -o clean --skip-existing                    # goes on where a run has ended

It means what `mirnet denoise` means by the same options: which photographs a folder holds, what results are called,
what is skipped, what fails and how the summary and the exit codes tell it. All names are inputs; results go to
--output-dir, beside the photographs with --suffix, or else where the program puts them.

Workers read the photographs and write the results themselves, so the folders have to be on storage that all machines
share under the same paths. A worker restores one photograph at a time with all of its threads; with two or more, it
reads the next one or writes the last one meanwhile. A result is written to a hidden file in its folder, flushed to the
disk and then renamed: it is there as a whole or not at all. Where a worker is lost, others restore its photographs.

The workers need the packages mirnet, numpy, Pillow, distributed and psutil, and no file of this program. Python, mirnet
and distributed must have the same versions as here. These and the folders are checked before the work begins, and on
workers that join later. Weights of --weights are sent to them. All compute with the same instruction set, the fastest
that every one of them has, so that results do not depend on which worker made them.

Results have the pixels and the metadata of the program's results (colour profile, EXIF, XMP, IPTC data, resolution). In
Python, that is so for JPEG and for PNG with 8 or 16 bits, in sRGB. Others (TIFF, WebP, raw files, Adobe RGB, CMYK...)
fail with a sentence, unless --program names a program mirnet that the workers can start: it restores them. Pillow does
not report damage inside a JPEG's pixel data; the program warns of it. And while the program decodes in a sandbox, a
worker decodes in its own process: give it photographs whose origin you trust. Whoever reaches the scheduler of a Dask
cluster can run code on its workers: keep it to a network that you trust, or use Dask's TLS.
"""
import argparse
import asyncio
import collections
import concurrent.futures
import contextlib
import glob
import json
import logging
import os
import queue
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time

PROGRAM = "denoise_folder"
EXIT_CODES = """Exit codes: 0 done, 1 a defect, 2 wrong usage, 3 the input cannot be read, 4 the weight file cannot be
used, 5 not enough memory, 7 some of several photographs failed or a folder could not be read, 8 the output cannot be
written, 9 the cluster cannot be used or was lost, 130 stopped by Ctrl-C."""
CLUSTER = 9
MOST_IN_A_LINE = 200
MOST_FOLDERS = 100


def say(message):
    with contextlib.suppress(OSError):  # the run goes on without a reader of its errors
        print(f"{PROGRAM}: {message}", file=sys.stderr, flush=True)


try:
    import cloudpickle
    import dask.system
    import distributed.system
    import numpy  # noqa: F401, picture_files needs it

    import listing
    import mirnet
    import picture_files
    import restoring
    from listing import Refused
except ImportError as missing:
    say(f"{missing}; scripts/install-packages.sh cluster installs Debian's packages, and README.md says how to build "
        f"the Python package mirnet")
    sys.exit(CLUSTER)


# --- Arguments -------------------------------------------------------------------------------------------------------

def number(kind, least, most, name):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {name} from {least} to {most}, not {text!r}")
        return value
    return parse


def tile_of(text):
    if text in ("auto", "off"):
        return None if text == "auto" else "off"
    return number(int, 256, 2**31 - 1, "auto, off or a number of pixels")(text)


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n\n")[0], epilog=EXIT_CODES,
                                     allow_abbrev=False)
    whole = lambda most: number(int, 1, most, "a whole number")  # noqa: E731
    share = number(float, 0, 1, "a number")
    parser.add_argument("files", metavar="FILES", nargs="*", help="photographs and folders; all are inputs")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {mirnet.__version__}")
    add = parser.add_argument_group("files").add_argument
    add("--list", metavar="FILE",
        help="a file with names of more photographs and folders, one a line; - is the standard input")
    add("-o", "--output-dir", metavar="DIR",
        help="the folder for results; created if missing (default: FOLDER-clean, beside each folder)")
    add("--suffix", metavar="TEXT", help="text added to each result's name, before the extension; results are saved "
                                         "beside the inputs, or in --output-dir")
    add("-r", "--recursive", action="store_true", help="include subfolders")
    add("--include-results", action="store_true", help="in folders, also process results of earlier runs")
    add("--skip-existing", action="store_true", help="skip photographs whose result already exists")
    add("--overwrite", action="store_true", help="replace existing files")
    add("--max-pixels", metavar="N", type=whole(10**12), default=500_000_000,
        help="refuse photographs with more pixels, before decoding (default: %(default)s)")
    add = parser.add_argument_group("results").add_argument
    add("--weights", metavar="FILE.mirw",
        help="weight file; it is sent to the workers (default: the weights of the Python package)")
    add("--strength", metavar="X", type=share, default=1.0, help="how much of the noise to remove, 0-1 (default: 1)")
    add("--keep-grain", metavar="X", type=share, default=0.0,
        help="how much of the noise in brightness to keep, 0-1 (default: 0)")
    add("--quality", metavar="N", type=whole(100), default=95, help="quality of JPEG, 1-100 (default: 95)")
    add("--tile", metavar="auto|off|N", type=tile_of,
        help="process in overlapping tiles of at most N x N pixels (default: auto, 768)")
    add("--isa", metavar="NAME", help="instruction set (default: the fastest that all workers have)")
    add("--precision", choices=["auto", "fp32", "bf16"], default="auto",
        help="type of weights and intermediate results (default: auto)")
    add("--program", metavar="PATH", help="program mirnet on the workers, for photographs that only it reads")
    add = parser.add_argument_group("cluster").add_argument
    add("--scheduler", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://10.0.0.1:8786 (default: "
                                               "start workers on this machine)")
    add("--workers", metavar="N", type=whole(1024),
        help="workers to start on this machine (default: one for each core, if there are 2 GB of memory for each)")
    add("--threads", metavar="N", type=whole(1024), help="threads of each of them (default: they share the cores)")
    add("--wait", metavar="SECONDS", type=number(float, 1, 86400, "a number of seconds"), default=60.0,
        help="how long to wait for the scheduler, or while there is no worker (default: 60)")
    add = parser.add_argument_group("messages").add_argument
    add("--json", action="store_true", help="print one line of JSON per photograph, and a summary")
    add("--quiet", action="store_true", help="print errors only")
    options = parser.parse_args(argv)
    if options.scheduler and (options.workers or options.threads):
        parser.error("--workers and --threads: are for workers on this machine, and do not go with --scheduler")
    if options.skip_existing and options.overwrite:
        parser.error("--skip-existing and --overwrite: do not go together; expected one of them")
    if options.list is not None:
        options.files += names_in(options.list)
    if not options.files:
        parser.error("no photographs and no folders; expected FILES or --list with one or more")
    return options


def names_in(path):
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            return [os.fsdecode(line) for line in file.read().splitlines() if line]
    except OSError as why:
        raise Refused(3, f"--list {path}: cannot be read: {why.strerror}") from why


# --- Messages --------------------------------------------------------------------------------------------------------

def duration(seconds):
    if seconds < 9.95:
        return f"{seconds:.{2 if seconds < 0.995 else 1}f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60} min"


def put_name(report, key, name):
    """A name that is no UTF-8 has its bytes beside it, as in the program's JSON."""
    try:
        name.encode()
        report[key] = name
    except UnicodeEncodeError:
        report[key] = os.fsencode(name).decode(errors="replace")
        report[key + "_bytes"] = os.fsencode(name).hex()


class Messages:
    """What people and programs read: reports on the standard output, the line of progress on a terminal."""

    def __init__(self, options, settings, count):
        self.options, self.settings, self.count = options, settings, count
        self.draws = not options.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.begin = self.drawn = time.monotonic()
        self.on_screen = False

    def clear(self):
        if self.on_screen:
            self.draw("")
            self.on_screen = False

    def draw(self, line):
        with contextlib.suppress(OSError):
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def print(self, line):
        try:
            print(line, flush=True)
        except OSError as why:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python writes the rest at its end
            raise Refused(8, f"the standard output cannot be written: {why.strerror}") from why

    def progress(self, counts, workers):
        now = time.monotonic()
        if not self.draws or now - self.drawn < 0.1:
            return
        self.drawn = now
        done = counts["restored"] + counts["failed"]
        speed = done / (now - self.begin)
        line = f"{done} of {self.count}"
        if done:
            line += f", {speed:.3g} a second, {duration((self.count - done) / speed)} left"
        line += f", {workers} worker{'s' * (workers != 1)}"
        if counts["failed"]:
            line += f", {counts['failed']} failed"
        columns = shutil.get_terminal_size().columns - 1
        self.draw(line[:columns])
        self.on_screen = True

    def error(self, message):
        self.clear()
        say(message)

    def report(self, report):
        for warning in () if self.options.quiet else report.get("warnings", ()):
            self.error(f"warning: {report['input']}: {warning}")
        self.clear()
        if self.options.json:
            line = {}
            put_name(line, "input", report["input"])
            if "output" in report:
                put_name(line, "output", report["output"])
            for key in ("state", "error", "warnings", "width", "height", "channels", "bits", "seconds", "by", "worker",
                        "threads"):
                if report.get(key):
                    line[key] = report[key]
            if "error" in line:
                message = os.fsencode(line["error"]["message"]).decode(errors="replace")
                line["error"] = {**line["error"], "message": message}
            line["strength"] = self.settings["strength"]
            for key, name in (("isa", "instruction_set"), ("precision", "precision"), ("network", "network")):
                if key in report:
                    line[name] = report[key]
            for key in ("model", "version"):
                line[key] = self.settings[key]
            line["weights_checksum"] = self.settings["checksum"]
            self.print(json.dumps(line, ensure_ascii=False))
        elif not self.options.quiet and report["state"] == "skipped":
            self.print(f"{report['input']}: skipped, {report['output']} already exists")
        elif not self.options.quiet and report["state"] == "restored":
            pixels = report["width"] * report["height"]
            size = f"{pixels} pixels" if pixels < 1e4 else f"{pixels / 1e6:.{2 if pixels < 1e6 else 1}f} megapixels"
            self.print(f"{report['input']} -> {report['output']}  {size}, {duration(report['seconds']['run'])}")
        if report["state"] == "failed":
            self.error(report["error"]["message"])

    def summary(self, counts, found):
        self.clear()
        seconds = time.monotonic() - self.begin
        if self.options.json:
            self.print(json.dumps({"summary": {
                "restored": counts["restored"], "skipped": counts["skipped"], "failed": counts["failed"],
                "unreadable_folders": len(found.unreadable), "results_left_out": found.results,
                "subfolders_left_out": found.subfolders, "other_files_left_out": found.others, "seconds": seconds}}))
        elif not self.options.quiet:
            text = f"{counts['restored']} restored, {counts['skipped']} skipped, {counts['failed']} failed"
            if counts["restored"]:
                text += f" in {duration(seconds)}"
            left_out = [f"{count} {one if count == 1 else many}{remedy}" for count, one, many, remedy in (
                (found.results, "result of an earlier run", "results of earlier runs", " (--include-results)"),
                (found.subfolders, "subfolder", "subfolders", " (-r)"),
                (found.others, "file that is no photograph", "files that are no photographs", "")) if count]
            self.print(text + (f"; left out {', '.join(left_out)}" if left_out else ""))


# --- The cluster -----------------------------------------------------------------------------------------------------

class Cluster:
    """Workers that are ready for a run: somebody's, or those that are started here and end with this."""

    def __init__(self, options):
        self.options = options
        self.local = self.folder = self.client = None
        try:
            if options.scheduler:
                self.address = options.scheduler
            else:
                self.start()
                self.address = self.local.scheduler_address
            self.client = distributed.Client(self.address, timeout=options.wait, set_as_default=False,
                                             name="mirnet-denoise")
            self.wait_for_workers()
        except (OSError, ValueError, distributed.TimeoutError, ImportError, RuntimeError) as why:
            self.close()
            reason = str(why).splitlines()[0] if str(why) else type(why).__name__
            raise Refused(CLUSTER, f"{options.scheduler}: no scheduler can be reached there: {reason}"
                          if options.scheduler else f"no workers can be started on this machine: {reason}") from why
        except BaseException:
            self.close()
            raise

    def start(self):
        cores = dask.system.CPU_COUNT
        workers = self.options.workers or max(1, min(cores, distributed.system.MEMORY_LIMIT // 2_000_000_000))
        self.folder = tempfile.mkdtemp(prefix="mirnet-cluster-")
        self.local = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=self.options.threads or max(1, cores // workers), processes=True,
            host="127.0.0.1", dashboard_address="127.0.0.1:0", worker_dashboard_address=None,
            local_directory=self.folder, silence_logs=50)

    def workers(self):
        """Their addresses, with what the scheduler knows of each."""
        return dict(self.client.scheduler_info()["workers"])

    def wait_for_workers(self):
        end = time.monotonic() + self.options.wait
        while not self.workers():
            if time.monotonic() > end:
                raise Refused(CLUSTER, f"{self.address}: the scheduler has had no worker for {self.options.wait:.0f} "
                                       f"seconds; start some with dask-worker, or use a longer --wait")
            time.sleep(0.1)

    def check_versions(self):
        """Of Python and Dask, without which nothing can be sent to a worker."""
        found = self.client.get_versions()
        for place, versions in [("the scheduler", found["scheduler"]), *found["workers"].items()]:
            theirs, ours = ({"Python": ".".join(side["host"]["python"].split(".")[:2]),
                             "distributed": side["packages"]["distributed"]} for side in (versions, found["client"]))
            for name, version in ours.items():
                if theirs[name] != version:
                    raise Refused(CLUSTER, f"{place} has {name} {theirs[name]}; expected {version}, as here")

    def inspect(self, settings):
        """What the workers are. Raises Refused where one cannot take part."""
        found = self.client.run(restoring.inspect, settings, on_error="return")
        for worker, facts in found.items():
            problem = f"cannot be asked: {facts!r}" if isinstance(facts, BaseException) else facts["problem"]
            if problem:
                raise Refused(CLUSTER, f"the worker {worker} {problem}")
        return list(found.values())

    def close(self):
        """As far as it can be closed: the scheduler may be lost."""
        for each in (self.client, self.local):
            if each is not None:
                with contextlib.suppress(Exception):
                    each.close(timeout=10)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def common_isa(workers):
    """The fastest instruction set that all have."""
    for isa in workers[0]["isas"]:
        if all(isa in worker["isas"] for worker in workers):
            return isa
    raise Refused(CLUSTER, "the workers have no instruction set in common: " + ", ".join(
        sorted({f"{worker['host']}: {'/'.join(worker['isas'])}" for worker in workers}))[:MOST_IN_A_LINE])


LOST = "the connection to the scheduler was lost"
#: What Dask raises then. Python 3.11 has one TimeoutError for all.
LOSSES = (OSError, distributed.TimeoutError, concurrent.futures.TimeoutError, asyncio.CancelledError,
          concurrent.futures.CancelledError)


class Lost(Exception):
    """The scheduler does not answer any more, or has no workers."""


class Run:
    """Photographs on a cluster: a bounded number of tasks at a time, so that a million of them take no more memory."""

    def __init__(self, cluster, settings, works, messages, counts, interrupts):
        self.cluster, self.settings, self.messages, self.counts = cluster, settings, messages, counts
        self.interrupts = interrupts
        self.client = cluster.client
        self.waiting = collections.deque(works)
        self.under_way = {}  # future: work
        self.done = queue.SimpleQueue()
        self.folders, self.seen, self.code_of_last = set(), set(), 0
        self.asked = self.had_workers = 0.0
        self.workers = {}

    def begin(self):
        plugin = restoring.Plugin(self.settings, restoring.Restorer)
        self.client.register_worker_plugin(plugin, name=self.settings["run"])

    def look_for_workers(self):
        now = time.monotonic()
        if now - self.asked < 1:
            return
        self.asked = now
        self.workers = self.cluster.workers()
        self.seen |= set(self.workers)
        if self.workers:
            self.had_workers = now
        elif now - self.had_workers > self.cluster.options.wait:
            raise Lost(f"there has been no worker for {self.cluster.options.wait:.0f} seconds")

    def submit(self):
        # One that is computed, and one that is ready.
        while self.waiting and len(self.under_way) < 2 * max(len(self.workers), 1):
            work = self.waiting.popleft()
            job = (os.path.abspath(work.source), os.path.abspath(work.target), work.source, work.target)
            self.folders.add(os.path.dirname(job[1]))
            future = self.client.submit(restoring.restore, self.settings["run"], job, pure=False,
                                        key=f"restore-{secrets.token_hex(8)}")
            self.under_way[future] = work
            future.add_done_callback(self.done.put)

    def take(self, timeout):
        """Notes the result of a task that has ended, if one does in this time."""
        try:
            future = self.done.get(timeout=timeout)
        except queue.Empty:
            if self.client.status != "running":
                raise Lost(LOST) from None
            return False
        if future.status in ("pending", "lost"):  # the worker that had the result was lost: others compute it again
            future.add_done_callback(self.done.put)
            return False
        if future.status == "cancelled":
            raise Lost(LOST)
        try:
            failure = future.exception(timeout=1)
            report = None if failure is not None else future.result(timeout=1)
        except (TimeoutError, distributed.TimeoutError):  # the worker that has the result hangs: others may not
            self.done.put(future)
            return False
        work = self.under_way.pop(future)
        if failure is not None:
            code, message = 1, f"{work.source}: {failure!r}"
            if isinstance(failure, distributed.KilledWorker):
                code, message = CLUSTER, (f"{work.source}: each worker that restored it ended, several times; they may "
                                          f"have had too little memory")
            report = {"state": "failed", "input": work.source, "output": work.target,
                      "error": {"code": code, "message": message}}
        if report["state"] == "unusable":
            raise Lost(report["message"])
        if report["state"] == "stopped":
            raise Lost("a worker has ended the run")
        self.counts[report["state"]] += 1
        self.code_of_last = report.get("error", {}).get("code", 0)
        self.messages.report(report)
        return True

    def go(self):
        self.had_workers = time.monotonic()
        while self.waiting or self.under_way:
            self.interrupts.check()
            self.look_for_workers()
            self.submit()
            self.take(0.2)
            self.messages.progress(self.counts, len(self.workers))

    def end(self, ended_early):
        """Ends what is under way, and removes what workers that were killed have left behind."""
        with contextlib.suppress(Exception):
            while self.take(0):
                pass  # what is done counts, and is taken before it is cancelled
        with contextlib.suppress(Exception):
            if ended_early and self.client.status == "running":
                self.client.cancel(list(self.under_way))
        # A worker that hangs would not let this end.
        parting = threading.Thread(target=self.unregister, daemon=True)
        parting.start()
        parting.join(timeout=10)
        with contextlib.suppress(Exception):
            if not ended_early and self.seen <= set(self.cluster.workers()):
                return
        for folder in self.folders:
            for left in glob.glob(os.path.join(glob.escape(folder), f".{self.settings['run']}-*")):
                with contextlib.suppress(OSError):
                    os.unlink(left)

    def unregister(self):
        """Ends the computations on the workers, too."""
        with contextlib.suppress(Exception):
            if self.client.status == "running":
                self.client.unregister_worker_plugin(self.settings["run"])


# --- All of it -------------------------------------------------------------------------------------------------------

def settings_of(options):
    """What the workers are told. Raises Refused where the weights cannot be used."""
    try:
        weights = None if options.weights is None else open(options.weights, "rb").read()
        model = mirnet.Model.load(weights, precision=options.precision, isa=options.isa)
    except OSError as why:
        raise Refused(4, f"{options.weights}: cannot be read: {why.strerror}") from why
    except mirnet.ModelError as why:
        raise Refused(4, f"{options.weights or mirnet.WEIGHTS}: {why}") from why
    except ValueError as why:
        # This machine may lack what the workers have; they are asked for it later.
        if options.scheduler is None or options.isa is None:
            raise Refused(2, f"{why}") from why
        model = mirnet.Model.load(weights)
    except MemoryError as why:
        raise Refused(5, f"the weights: {why}") from why
    if model.views != 1:
        raise Refused(2, f"--weights: {options.weights} takes {model.views} views of a scene; expected weights that "
                         f"take one picture")
    name = "standard" if options.weights is None else os.path.basename(options.weights)
    checksum = restoring.checksum_of(mirnet.WEIGHTS.read_bytes() if weights is None else weights)
    return {"run": f"mirnet-{secrets.token_hex(4)}", "version": mirnet.__version__, "weights": weights,
            "weights_name": name, "model": name, "checksum": checksum, "isa": options.isa,
            "precision": options.precision, "strength": options.strength, "keep_grain": options.keep_grain,
            "tile": options.tile, "quality": options.quality, "overwrite": options.overwrite,
            "max_pixels": options.max_pixels, "program": options.program, "local": options.scheduler is None,
            "mark": f"mirnet denoise {mirnet.__version__}, model {name} ({checksum})"}


@contextlib.contextmanager
def marked_folders(works, run):
    """The folders that workers have to see, each with its kind; a file of the yielded name is in those for results."""
    token = f".{run}-shared.tmp"
    sources = {}  # folder: whether it is there
    results = {}
    for work in works:
        source = os.path.dirname(os.path.abspath(work.source))
        if source not in sources:
            sources[source] = os.path.isdir(source)
        if sources[source]:
            results[os.path.abspath(work.folder or os.path.dirname(work.target))] = True
    made = {}
    try:
        # Of very many folders, some will do. Where nothing can be created, photographs fail one by one.
        for folder in list(results)[:MOST_FOLDERS]:
            with contextlib.suppress(OSError):
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, token), "xb"):
                    made[folder] = os.path.join(folder, token)
        there = [folder for folder, is_there in sources.items() if is_there][:MOST_FOLDERS]
        yield [("results", folder) for folder in made] + [("sources", folder) for folder in there], token
    finally:
        for name in made.values():
            with contextlib.suppress(OSError):
                os.unlink(name)


def restore_all(options, interrupts):
    settings = settings_of(options)
    found = listing.list_work(options)
    works = found.works
    listing.check_output_folders(works)
    exist = listing.existing(works)
    if len(works) > 1 and any(exist) and not (options.skip_existing or options.overwrite):
        first = works[exist.index(True)].target
        raise Refused(8, f"{sum(exist)} of {len(works)} results already exist, such as {first}; use --skip-existing or "
                         f"--overwrite")
    if len(works) == 1 and exist[0] and not (options.skip_existing or options.overwrite):
        raise Refused(8, f"{works[0].target}: already exists; use --overwrite to replace it")
    counts = {"restored": 0, "skipped": 0, "failed": 0}
    to_do = [work for work, there in zip(works, exist) if not (there and options.skip_existing)]
    messages = Messages(options, settings, len(to_do))
    for folder, why in found.unreadable:
        messages.report({"state": "failed", "input": folder, "error": {"code": 3, "message": why}})
    for work, there in zip(works, exist):
        if there and options.skip_existing:
            counts["skipped"] += 1
            messages.report({"state": "skipped", "input": work.source, "output": work.target})
    code = work_off(options, settings, to_do, messages, counts, interrupts) if to_do else 0
    many = len(works) + len(found.unreadable) > 1
    if many or found.results or found.subfolders:
        messages.summary(counts, found)
    if not many:
        return code
    if counts["failed"] == 0 and not found.unreadable:
        return 0
    unread = len(found.unreadable)
    say(f"{counts['failed']} of {len(works)} pictures failed"
        + (f", {unread} folder{'s' * (unread > 1)} not read" if unread else ""))
    return 7


def work_off(options, settings, works, messages, counts, interrupts):
    """Returns the exit code of the last photograph."""
    run = None
    how_to_go_on = "; the same command with --skip-existing continues"
    cluster = Cluster(options)
    ended_early = True
    marks = contextlib.ExitStack()  # until the end of the run: workers that join late look for them, too
    try:
        cluster.check_versions()
        settings["folders"], settings["token"] = marks.enter_context(marked_folders(works, settings["run"]))
        workers = cluster.inspect(settings)
        if options.isa is None:
            settings["isa"] = common_isa(workers)
        elif not all(options.isa in worker["isas"] for worker in workers):
            lacking = next(worker["host"] for worker in workers if options.isa not in worker["isas"])
            raise Refused(2, f"--isa {options.isa}: the machine {lacking} lacks this instruction set; all workers "
                             f"have {common_isa(workers)}")
        messages.begin = time.monotonic()
        run = Run(cluster, settings, works, messages, counts, interrupts)
        run.begin()
        with interrupts.noted():
            run.go()
        ended_early = False
        return run.code_of_last
    except (Lost, *LOSSES) as why:
        messages.clear()
        raise Refused(CLUSTER, f"{cluster.address}: {why if isinstance(why, Lost) else LOST}; {counts['restored']} "
                               f"restored" + how_to_go_on) from why
    except KeyboardInterrupt:
        interrupts.ignore()
        messages.clear()
        if run is not None:
            run.end(True)
            messages.clear()
            run = None
        say(f"stopped; {counts['restored']} restored" + how_to_go_on)
        raise SystemExit(130) from None
    finally:
        if run is not None:
            run.end(ended_early)
        marks.close()
        cluster.close()


class Interrupts:
    """Ctrl-C and SIGTERM. They end whatever waits, but while results are counted, they are noted until the next check,
    which a second one does not wait for. The clean-up that follows, of some seconds, ignores both."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.is_noted = self.waits = False
        for number in self.NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:  # whoever starts a program so wants that
                signal.signal(number, self.handle)

    def ignore(self):
        for number in self.NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def handle(self, *_):
        if not self.waits or self.is_noted:
            raise KeyboardInterrupt
        self.is_noted = True

    @contextlib.contextmanager
    def noted(self):
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def check(self):
        if self.is_noted:
            raise KeyboardInterrupt


def main(argv=None):
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="surrogateescape")  # names are bytes
    logging.disable(logging.CRITICAL)  # Dask's, with the stack of each connection that ends
    for module in (listing, picture_files, restoring):
        cloudpickle.register_pickle_by_value(module)
    try:
        return restore_all(arguments_of(argv), Interrupts())
    except Refused as why:
        say(why)
        return why.code
    except KeyboardInterrupt:
        say("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
