#!/usr/bin/env python3
"""The same network with the same weights in mirnet, PyTorch and ONNX Runtime, in turn

    bench/peers/compare.py [--program PROGRAM] [--size 256] [--rounds 3] [--threads 1]
                           [--network mirnet|mirnet-v2|dncnn|nafnet] [--features 64] [--groups 3] [--blocks 2]
                           [--peers eager,frozen,onnxruntime] [--onnxruntime FOLDER]

    eager        PyTorch as a script uses it
    frozen       PyTorch after torch.jit.trace, freeze and optimize_for_inference, and malloc told to keep its memory
    onnxruntime  ONNX Runtime on node, with the network as torch.onnx exports it

--network mirnet-v2 compares MIRNet-v2, by default with 80 features as published, and always with four groups;
--network dncnn and nafnet compare DnCNN and NAFNet (examples/networks). PROGRAM is build/release/mirnet, or for these
two build/bench/bench/mirnet_network_worker.

scripts/install-packages.sh peers installs what this needs, but for ONNX Runtime: its npm package (0.3 GB) is put in
FOLDER, by default $XDG_CACHE_HOME/mirnet-bench, the first time. A peer that cannot be had is left out, and the reason
given.

The weights are random; all see the same image and compute in fp32. Every engine is a process of its own, and all are
held to the same cores, as many as there are threads (taskset chooses among which). A peer has run before the first
round, and so have DnCNN and NAFNet; the program mirnet is started anew for each. The time is that of the network alone: files and
start-up are not counted for anyone. Peak memory is that of the process from its start, weights and interpreter
included. A difference is that from mirnet's output, relative to the peer's largest residual, in the worst round; above
1e-4 the exit code is 1. Run it while the machine is quiet.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OWN_NETWORKS = {"dncnn": "DnCNN, 17 convolutions of 64 features",
                "nafnet": "NAFNet, width 32, 2 + 2 + 4 + 8, 12 and 2 + 2 + 2 + 2 blocks"}
PEERS = {"eager": "PyTorch eager", "frozen": "PyTorch frozen", "onnxruntime": "ONNX Runtime"}
ONNXRUNTIME_VERSION = "1.30.0"
TOLERANCE = 1e-4  # of the largest residual

# Blocks that are freed stay with the process. By default glibc maps a large tensor anew each time, and the kernel
# clears its pages.
TUNED_MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


class Unavailable(Exception):
    """Why there is no figure from an engine, in one sentence."""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--network", choices=("mirnet", "mirnet-v2", *OWN_NETWORKS), default="mirnet")
    for name, default in [("size", 256), ("rounds", 3), ("threads", 1), ("features", None), ("groups", None),
                          ("blocks", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--peers", default=",".join(PEERS))
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument("--onnxruntime", type=pathlib.Path, default=cache / "mirnet-bench", metavar="FOLDER")
    options = parser.parse_args()
    if options.program is None:
        options.program = str(ROOT / ("build/bench/bench/mirnet_network_worker" if options.network in OWN_NETWORKS else
                                      "build/release/mirnet"))
    is_v2 = options.network == "mirnet-v2"
    published = {"features": 80, "groups": 4} if is_v2 else {"features": 64, "groups": 3}
    for name, value in published.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if is_v2 and (options.groups != 4 or options.features % 16):
        parser.error("MIRNet-v2 has four groups, and a multiple of 16 features")
    options.peers = options.peers.split(",")
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"unknown peer {unknown[0]!r}: there are {', '.join(PEERS)}")
    cores = len(os.sched_getaffinity(0))
    if not 1 <= options.threads <= cores:
        parser.error(f"{options.threads} threads need as many cores; this process may use {cores}")
    multiple = 16 if options.network == "nafnet" else 4
    if options.size < 8 or options.size % multiple:
        parser.error(f"the network takes sizes that are multiples of {multiple}, and its borders at least 8")
    if min(options.rounds, options.features, options.groups, options.blocks) < 1:
        parser.error("rounds, features, groups and blocks are at least 1")
    if not os.access(options.program, os.X_OK):
        parser.error(f"there is no program {options.program}: build it, or name it with --program")
    return options


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1].strip()


# Files that the engines share. The peers read and write bare float32 samples in the order (channel, row, column).


def write_pfm(path, image):
    rows = image.transpose(1, 2, 0)[::-1]
    path.write_bytes(b"PF\n%d %d\n-1.0\n" % (rows.shape[1], rows.shape[0]) + rows.astype("<f4").tobytes())


def read_pfm(path):
    import numpy
    kind, size, scale, samples = path.read_bytes().split(b"\n", 3)
    assert kind == b"PF" and float(scale) < 0, "a colour PFM file of little-endian samples"
    width, height = map(int, size.split())
    return numpy.frombuffer(samples, "<f4").reshape(height, width, 3)[::-1].transpose(2, 0, 1)


def make_network(options, folder):
    """Writes the random network for every engine, and the image; returns the image and what PyTorch this is."""
    try:
        import numpy
        import torch

        import networks
    except ImportError as error:
        sys.exit(f"{sys.executable} has no {error.name}: "
                 "Debian's python3-torch and python3-numpy are for /usr/bin/python3")
    torch.set_num_threads(options.threads)
    torch.manual_seed(20201)
    network = networks.make(options.network, options.features, options.groups, options.blocks).eval()
    networks.randomize(options.network, network)
    image = torch.rand(1, 3, options.size, options.size)
    samples = image[0].numpy().astype("<f4")
    (folder / "in.f32").write_bytes(samples.tobytes())
    write_pfm(folder / "in.pfm", samples)
    torch.save({"state_dict": network.state_dict()}, folder / "network.pth")
    subprocess.run([sys.executable, ROOT / "weights/convert.py", folder / "network.pth", folder / "network.mirw",
                    "--network", "generic" if options.network in OWN_NETWORKS else "mirnet"],
                   check=True, stdout=subprocess.DEVNULL)
    if "onnxruntime" in options.peers:
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # on tracing in general; the outputs are compared
                # Of the very size of the image: ONNX Runtime plans its memory better when it knows the shapes.
                torch.onnx.export(network, image, str(folder / "network.onnx"), opset_version=13,
                                  input_names=["image"], output_names=["restored"])
        except Exception as error:  # whatever the exporter of another PyTorch throws; onnxruntime() tells of it
            (folder / "network.onnx").unlink(missing_ok=True)
            (folder / "export-error").write_text(f"{error or type(error).__name__}\n")
    return samples, torch.__version__


class Mirnet:
    name = "mirnet"

    def __init__(self, options, folder):
        self.command = [options.program, "denoise", folder / "in.pfm", folder / "out.pfm", "--overwrite", "--verbose",
                        "--weights", folder / "network.mirw", "--threads", str(options.threads), "--precision", "fp32"]
        self.result = folder / "out.pfm"
        self.times = []
        self.peak = 0  # MB

    def run(self):
        program = subprocess.run(self.command, capture_output=True, text=True)
        if program.returncode != 0:
            sys.exit(f"mirnet failed: {last_line(program.stderr)}")
        self.times.append(float(re.search(r"^time\s+([\d.]+) s", program.stdout, re.M).group(1)))
        # VmHWM, like a worker's
        mebibytes = float(re.search(r"^peak memory\s+([\d.]+) MiB", program.stdout, re.M).group(1))
        self.peak = max(self.peak, mebibytes * 1.048576)
        return read_pfm(self.result)


class Peer:
    """A worker: a process that runs the network once for each line that it reads, and answers with the seconds."""

    def __init__(self, name, command, environment, folder):
        self.name = name
        self.result = folder / f"{name}.f32"
        self.times = []
        self.peak = 0  # MB
        self.difference = 0.0
        self.errors = folder / f"{name}.stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen([*command, self.result], env={**os.environ, **environment}, text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.answer()  # that it is ready

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise Unavailable(f"it {ended}: {last_line(self.errors.read_text())}")
        return line

    def run(self, shape):
        import numpy
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() finds out why
        self.times.append(float(self.answer()))
        # Not ru_maxrss: a process inherits that of the one that started it.
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        self.peak = int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M).group(1)) * 1024e-6
        return numpy.frombuffer(self.result.read_bytes(), "<f4").reshape(shape)

    def compare(self, output, ours, image):
        import numpy
        difference = abs(output - ours).max() / abs(output - image).max()
        self.difference = float(numpy.maximum(self.difference, difference))  # max() may lose what is not a number

    def end(self):
        self.process.kill()
        self.process.wait()


class OwnNetwork(Peer):
    """mirnet's own worker, with the interface of a peer."""

    def __init__(self, options, folder):
        super().__init__("mirnet", [options.program, options.network, folder, str(options.threads), str(options.size)],
                         {}, folder)
        self.shape = 3, options.size, options.size

    def run(self):
        return super().run(self.shape)


def pytorch(mode, options, folder):
    numbers = options.threads, options.size, options.features, options.groups, options.blocks
    return Peer(mode, [sys.executable, HERE / "pytorch_worker.py", mode, folder, options.network, *map(str, numbers)],
                TUNED_MALLOC if mode == "frozen" else {}, folder)


def install_onnxruntime(folder):
    installed = folder / "node_modules/onnxruntime-node/package.json"
    if installed.exists() and json.loads(installed.read_text())["version"] == ONNXRUNTIME_VERSION:
        return
    print(f"installing onnxruntime-node {ONNXRUNTIME_VERSION} in {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    # The package holds the program for CPUs; all that its script does is to download more for GPUs.
    npm = subprocess.run(["npm", "install", "--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit",
                          "--no-fund", "--loglevel=error", f"onnxruntime-node@{ONNXRUNTIME_VERSION}"],
                         capture_output=True, text=True)
    if npm.returncode != 0:
        raise Unavailable(f"npm could not install it: {(npm.stderr.strip().splitlines() or ['it said nothing'])[0]}")


def onnxruntime(mode, options, folder):
    if (folder / "export-error").exists():
        raise Unavailable(f"PyTorch could not export the network: {last_line((folder / 'export-error').read_text())}")
    install_onnxruntime(options.onnxruntime)
    return Peer(mode, ["node", HERE / "onnxruntime_worker.mjs", options.onnxruntime.resolve(), folder,
                       str(options.threads), str(options.size)], {}, folder)


def start_peers(options, folder):
    peers = []
    for name in options.peers:
        try:
            peers.append((onnxruntime if name == "onnxruntime" else pytorch)(name, options, folder))
        except Unavailable as error:
            print(f"without {PEERS[name]}: {error}", flush=True)
        except OSError as error:  # no node, no npm, no place to install
            print(f"without {PEERS[name]}: {error.filename}: {error.strerror}", flush=True)
    return peers


def run_rounds(options, mirnet, peers, image):
    """Takes a peer that fails off the list."""
    for number in range(1, options.rounds + 1):
        ours = mirnet.run()
        print(f"round {number}: mirnet {mirnet.times[-1]:.3f} s", end="", flush=True)
        for peer in list(peers):
            try:
                output = peer.run(image.shape)
            except Unavailable as error:
                print(f"\nwithout {PEERS[peer.name]}: {error}", flush=True)
                peers.remove(peer)
                continue
            peer.compare(output, ours, image)
            print(f", {PEERS[peer.name]} {peer.times[-1]:.3f} s", end="", flush=True)
        print(flush=True)


def print_table(options, mirnet, peers, torch_version):
    ours = statistics.median(mirnet.times)
    versions = [f"PyTorch {torch_version}"] * any(peer.name != "onnxruntime" for peer in peers)
    versions += [f"ONNX Runtime {ONNXRUNTIME_VERSION}"] * any(peer.name == "onnxruntime" for peer in peers)
    network = OWN_NETWORKS.get(options.network) or (
        f"{'MIRNet-v2' if options.network == 'mirnet-v2' else 'MIRNet'}, {options.features} features, {options.groups} "
        f"groups of {options.blocks} blocks")
    print(f"\n{options.size}x{options.size}, {network}, {options.threads} thread(s), {options.rounds} round(s), "
          f"{', '.join(versions)}\n")
    print("| engine | median time | mirnet / engine | peak memory | difference |")
    print("|---|--:|--:|--:|--:|")
    print(f"| mirnet | {ours:.3f} s | | {mirnet.peak:.0f} MB | |")
    for peer in peers:
        median = statistics.median(peer.times)
        print(f"| {PEERS[peer.name]} | {median:.3f} s | {ours / median:.3f} | {peer.peak:.0f} MB "
              f"| {peer.difference:.1e} |")
    modes = {peer.name: ours / statistics.median(peer.times) for peer in peers if peer.name != "onnxruntime"}
    if len(modes) == 2:
        print(f"\nmirnet / the better PyTorch: {max(modes.values()):.3f} ({max(modes, key=modes.get)})")


def main():
    options = parse_arguments()
    # Every process that this one starts inherits these. The libraries would start a thread for every core.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        image, torch_version = make_network(options, folder)
        mirnet = (OwnNetwork if options.network in OWN_NETWORKS else Mirnet)(options, folder)
        started = start_peers(options, folder)
        peers = list(started)
        try:
            if peers:
                run_rounds(options, mirnet, peers, image)
        finally:
            for peer in started:
                peer.end()
    if not peers:
        sys.exit("no peer is left to compare with")
    print_table(options, mirnet, peers, torch_version)
    wrong = [PEERS[peer.name] for peer in peers if not peer.difference <= TOLERANCE]
    if wrong:
        sys.exit(f"mirnet's output differs by more than {TOLERANCE:g} of the largest residual from: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
