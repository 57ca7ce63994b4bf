"""What runs on the workers. It travels to them with the run, so that they need Python's packages and no file of this
folder: `denoise_folder.py` registers these modules to be pickled by value.
"""
import contextlib
import errno
import json
import os
import platform
import secrets
import signal
import stat
import subprocess
import tempfile
import threading
import time

import cloudpickle
import distributed
import psutil

from listing import WRITTEN, Refused, extension_of
from picture_files import Unsupported, encode, read_picture


def inspect(settings):
    """Facts about a worker; `problem` says why it cannot take part, or is None. It is a sentence that goes behind the
    worker's name.

    Runs before anything else is sent, and imports what workers may lack. settings["token"] is the name of a file that
    the client has made in those of settings["folders"] that are for results.
    """
    facts = {"version": None, "problem": None, "isas": (), "host": platform.node()}
    try:
        import mirnet
        import numpy  # noqa: F401
        from PIL import ImageCms  # noqa: F401
    except ImportError as why:
        facts["problem"] = f"lacks a Python module: {why}"
        return facts
    facts["version"], facts["isas"] = mirnet.__version__, mirnet.instruction_sets()
    if mirnet.__version__ != settings["version"]:
        facts["problem"] = f"has mirnet {mirnet.__version__}; expected {settings['version']}, as here"
        return facts
    if settings["weights"] is None:
        found = checksum_of(mirnet.WEIGHTS.read_bytes())
        if found != settings["checksum"]:
            facts["problem"] = f"has other weights in its mirnet, {found}; expected {settings['checksum']}, as here"
            return facts
    for kind, folder in settings["folders"]:
        if not os.path.isdir(folder):
            facts["problem"] = f"sees no folder {folder}; expected storage that all workers share, under one name"
        elif kind == "results" and not seen_soon(os.path.join(folder, settings["token"])):
            facts["problem"] = f"sees another folder {folder} than this machine; expected storage that all share"
        elif kind == "results" and not os.access(folder, os.W_OK | os.X_OK):
            facts["problem"] = f"cannot write to {folder}"
        if facts["problem"]:
            return facts
    if settings["program"]:
        try:
            said = subprocess.run([settings["program"], "--version"], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=20).stdout.split()
        except (OSError, subprocess.TimeoutExpired) as why:
            facts["problem"] = f"cannot start the program {settings['program']}: {why}"
            return facts
        version = said[1].rstrip(",") if said[:1] == ["mirnet"] and len(said) > 1 else "none"
        if version != settings["version"]:
            facts["problem"] = (f"has version {version} of the program {settings['program']}; expected "
                                f"{settings['version']}")
    return facts


def seen_soon(path):
    """A network's file system shows what is new after a while."""
    for _ in range(20):
        if os.path.exists(path):
            return True
        os.listdir(os.path.dirname(path))  # which makes NFS look again
        time.sleep(0.25)
    return False


def checksum_of(weights):
    """As results name it: a number in the header of a weight file (weights/README.md)."""
    return f"{int.from_bytes(weights[32:36], 'little'):08x}"


class Stopped(Exception):
    """The client has ended the run."""


class Plugin(distributed.WorkerPlugin):
    """On each worker as long as the run lasts; workers that join later get it, too."""

    def __init__(self, settings, restorer):
        self.settings = settings
        self.code = cloudpickle.dumps(restorer)  # opened by the first task, where a missing module can be reported

    def setup(self, worker):
        self.worker, self.lock, self.stopped = worker, threading.Lock(), threading.Event()
        self.restorer = None
        if self.settings["local"]:
            # Ctrl-C goes to all processes of a terminal. The client handles it.
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker):
        self.stopped.set()

    def restore(self, job):
        with self.lock:
            if self.restorer is None:
                try:
                    problem = inspect(self.settings)["problem"]  # of a worker that has joined late
                    if problem is None:
                        self.restorer = cloudpickle.loads(self.code)(self.settings, self.worker, self.stopped)
                except (ImportError, OSError, Refused) as why:
                    problem = f"cannot take part: {why}"
                if problem is not None:
                    return {"state": "unusable", "message": f"the worker {self.worker.address} {problem}"}
        return self.restorer.restore(*job)


def restore(run, job):
    """The task: restores a photograph, and returns a report. The same task may run again after its worker was lost."""
    worker = distributed.get_worker()
    plugin = worker.plugins.get(run)
    if plugin is None:
        return {"state": "stopped"}
    return plugin.restore(job)


class Restorer:
    """Restores photographs one after the other with the threads of the worker; others are read or written meanwhile."""

    def __init__(self, settings, worker, stopped):
        import mirnet
        self.settings, self.worker, self.stopped = settings, worker, stopped
        try:
            self.model = mirnet.Model.load(settings["weights"], precision=settings["precision"], isa=settings["isa"])
        except (OSError, ValueError, MemoryError, mirnet.Error) as why:
            raise Refused(9, str(why)) from why
        self.threads = getattr(worker, "state", worker).nthreads
        self.held = threading.Semaphore(2)  # pictures in memory: one that is computed, and one before or after that
        self.computing = threading.Lock()
        self.weights_file = None

    def restore(self, source, target, name, output):
        """`source` and `target` are absolute; `name` and `output` are what the user calls them."""
        report = {"state": "failed", "input": name, "output": output, "warnings": [], "worker": self.worker.address,
                  "threads": self.threads, "isa": self.model.isa, "precision": self.model.precision,
                  "network": self.model.network}
        try:
            with self.held:
                if self.stopped.is_set():
                    raise Stopped
                self.restore_file(source, target, name, output, report)
            report["state"] = "restored"
        except Stopped:
            report["state"] = "stopped"
        except Refused as why:
            report["error"] = {"code": why.code, "message": str(why)}
        except MemoryError as why:
            report["error"] = {"code": 5, "message": f"{name}: {why or 'not enough memory'}"}
        return report

    def restore_file(self, source, target, name, output, report):
        begin = time.monotonic()
        try:
            content = read(source, name)
            picture = read_picture(content, self.settings["max_pixels"])
            if kind_of(target) != picture.kind:
                raise Unsupported(f"is a {picture.kind.upper()} by its content, and its result has another format")
        except Unsupported as why:
            if not self.settings["program"]:
                raise Refused(3, f"{name}: {why}; --program or mirnet denoise restores it") from why
            return self.restore_by_program(source, target, name, output, report)
        except Refused as why:
            raise Refused(why.code, f"{name}: {why}") from why
        samples = picture.samples
        height, width = samples.shape[:2]
        channels = samples.shape[2] if samples.ndim == 3 else 1
        bits = 8 * samples.itemsize
        report.update(width=width, height=height, channels=channels, bits={"read": bits, "stored": bits},
                      warnings=picture.warnings)
        make_folder(target, output)
        check_target(target, output, self.settings["overwrite"])
        seconds = {"read": time.monotonic() - begin}
        with self.computing:
            begin = time.monotonic()
            plan = self.model.plan(height, width, channels, samples.dtype, tile=self.settings["tile"],
                                   threads=self.threads, most_memory=self.memory())
            seconds["plan"] = time.monotonic() - begin
            begin = time.monotonic()
            restored = plan.run(samples, self.settings["strength"], keep_grain=self.settings["keep_grain"],
                                progress=self.stop_if_wanted)
            seconds["run"] = time.monotonic() - begin
        begin = time.monotonic()
        try:
            file = encode(picture, restored, self.settings["mark"], self.settings["quality"])
        except Refused as why:
            raise Refused(why.code, f"{output}: {why}") from why
        self.stop_if_wanted(1.0)
        temporary = self.temporary(target)
        with written(temporary, file, target, output):
            self.publish(temporary, target, output)
        seconds["write"] = time.monotonic() - begin
        report["seconds"] = seconds

    def stop_if_wanted(self, done):
        if self.stopped.is_set():
            raise Stopped

    def memory(self):
        """Three quarters of what the worker may take, or of what is free."""
        limit = getattr(self.worker.memory_manager, "memory_limit", None)
        free = psutil.virtual_memory().available
        return max(int(0.75 * min(limit or free, free)), 1)

    def temporary(self, target):
        """A name in the same folder that nothing else has, and that no run takes for a photograph."""
        return os.path.join(os.path.dirname(target), f".{self.settings['run']}-{platform.node()}-{os.getpid()}-"
                            f"{secrets.token_hex(4)}.tmp{os.path.splitext(target)[1]}")

    def publish(self, temporary, target, output):
        """Gives the file the result's name. Where the name is taken, its file has to have the same content: then this
        is a task that has run before, on a worker that was lost afterwards."""
        try:
            if self.settings["overwrite"]:
                return os.replace(temporary, target)
            try:
                return os.link(temporary, target)
            except OSError as why:
                # A file system without hard links.
                if why.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK) or os.path.lexists(
                        target):
                    raise
                return os.rename(temporary, target)
        except FileExistsError as why:
            if not same_content(temporary, target):
                raise exists_already(output) from why
        except OSError as why:
            raise cannot_write(output, why) from why

    def restore_by_program(self, source, target, name, output, report):
        """With the program, for what only that reads."""
        settings = self.settings
        make_folder(target, output)
        check_target(target, output, settings["overwrite"])
        temporary = self.temporary(target)
        command = [settings["program"], "denoise", source, "-o", temporary, "--json", "--progress", "none"]
        options = {"threads": self.threads, "isa": self.model.isa, "precision": self.model.precision,
                   "strength": settings["strength"], "keep-grain": settings["keep_grain"],
                   "quality": settings["quality"], "tile": settings["tile"] or "auto",
                   "max-pixels": settings["max_pixels"], "max-memory": self.memory()}
        if settings["weights"] is not None:
            options["weights"] = self.file_of_weights()
        for option, value in options.items():
            command += [f"--{option}", str(value)]
        try:
            with self.computing:
                try:
                    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE) as process:
                        said, errors = self.wait(process)
                except OSError as why:
                    raise Refused(9, f"{name}: {settings['program']} cannot be started: {why.strerror}") from why
            replace_names = ((source, name), (temporary, output))
            try:
                told = json.loads(said.decode(errors="replace").splitlines()[0])
            except (IndexError, ValueError):
                told = {}
            if process.returncode != 0 or told.get("state") != "restored":
                error = told.get("error") or {"code": process.returncode if process.returncode > 0 else 1,
                                              "message": errors.decode(errors="replace").strip() or
                                              f"{name}: the program ended with {process.returncode}"}
                message = error["message"].removeprefix("mirnet: ")
                for used, meant in replace_names:
                    message = message.replace(used, meant)
                raise Refused(error["code"], message)
            report.update({key: told[key] for key in ("width", "height", "channels", "bits", "seconds")})
            report["warnings"] = told.get("warnings", [])
            report["by"] = "program"
            if settings["overwrite"]:
                with open(temporary, "rb+") as file:
                    imitate(file.fileno(), target)
            self.publish(temporary, target, output)
        finally:
            remove(temporary)

    def wait(self, process):
        while True:
            try:
                return process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                if self.stopped.is_set():
                    process.terminate()
                    process.communicate()
                    raise Stopped from None

    def file_of_weights(self):
        """Under the name that they have on the client, as results name it."""
        if self.weights_file is None:
            self.folder = tempfile.TemporaryDirectory(prefix="mirnet-")
            self.weights_file = os.path.join(self.folder.name, self.settings["weights_name"])
            with open(self.weights_file, "wb") as file:
                file.write(self.settings["weights"])
        return self.weights_file


def kind_of(target):
    return WRITTEN.get(extension_of(target))


def read(source, name):
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # pipes do not wait
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Refused(3, "is no regular file")
            return file.read()
    except IsADirectoryError as why:
        raise Refused(3, "is a folder; expected a picture") from why
    except OSError as why:
        raise Refused(3, f"cannot be opened: {why.strerror}") from why


def make_folder(target, output):
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    except OSError as why:
        raise Refused(8, f"{output}: cannot create the folder {os.path.dirname(output)}: {why.strerror}") from why


def exists_already(output):
    return Refused(8, f"{output}: already exists; use --overwrite to replace it")


def cannot_write(output, why):
    return Refused(8, f"{output}: cannot be written: {why.strerror}")


def check_target(target, output, overwrite):
    """What can be known before the computation. A result that exists is looked at when there is one to compare with."""
    try:
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise Refused(8, f"{output}: is no regular file; expected one or none")
    except FileNotFoundError:
        pass
    except OSError as why:
        raise cannot_write(output, why) from why
    if not overwrite and os.path.islink(target):
        raise exists_already(output)
    if not os.access(os.path.dirname(target), os.W_OK | os.X_OK):
        raise Refused(8, f"{output}: nothing can be created in its folder")


@contextlib.contextmanager
def written(temporary, content, target, output):
    """A new file that the disk has. It is removed at the end of the context, unless it has another name by then."""
    exists = os.path.exists(target)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if exists else 0o666)
    except OSError as why:
        raise cannot_write(output, why) from why
    try:
        try:
            with open(descriptor, "wb") as file:
                if exists:
                    imitate(file.fileno(), target)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as why:
            raise cannot_write(output, why) from why
        yield
    finally:
        remove(temporary)


def imitate(descriptor, target):
    """Gives a file what the one that it replaces has besides its content, as far as the system lets us."""
    try:
        old = os.stat(target)
    except OSError:
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(target):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(target, name))
    mode = old.st_mode & 0o7777
    try:
        os.fchown(descriptor, old.st_uid, old.st_gid)
    except OSError:
        mode &= 0o0707 if os.fstat(descriptor).st_gid != old.st_gid else 0o0777  # no rights for another group
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def same_content(a, b):
    try:
        with open(a, "rb") as one, open(b, "rb") as other:
            return os.fstat(one.fileno()).st_size == os.fstat(other.fileno()).st_size and one.read() == other.read()
    except OSError:
        return False


def remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)
