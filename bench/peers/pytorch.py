#!/usr/bin/env python3
"""The same network with the same weights in PyTorch (eager mode) and in mirnet, in turn

    bench/peers/pytorch.py [--program build/release/mirnet] [--size 256] [--rounds 3] [--threads 1]
                           [--features 64] [--groups 3] [--blocks 2]

Needs PyTorch (Debian: python3-torch python3-numpy libopenblas0-pthread; without OpenBLAS PyTorch is ten times slower). The weights are random; both see the same image. Prints each
round, the medians, their ratio, and by how much the outputs differ relative to the largest residual. The time is that
of the network alone: files and start-up are not counted for either. Run it while the machine is quiet.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/release/mirnet"))
    for name, default in [("size", 256), ("rounds", 3), ("threads", 1), ("features", 64), ("groups", 3), ("blocks", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def write_pfm(path, image):
    """image: (height, width, 3), float32."""
    path.write_bytes(b"PF\n%d %d\n-1.0\n" % (image.shape[1], image.shape[0]) + image[::-1].astype("<f4").tobytes())


def read_pfm(path, numpy):
    kind, size, scale, samples = path.read_bytes().split(b"\n", 3)
    assert kind == b"PF" and float(scale) < 0, "a colour PFM file of little-endian samples"
    width, height = map(int, size.split())
    return numpy.frombuffer(samples, "<f4").reshape(height, width, 3)[::-1]


def main():
    options = parse_arguments()
    # Read when the libraries are loaded: each would start a thread for every core.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    import numpy
    import torch
    sys.path.insert(0, str(ROOT / "weights"))
    from mirnet_torch import MIRNet

    torch.set_num_threads(options.threads)
    torch.manual_seed(20201)
    network = MIRNet(options.features, options.groups, options.blocks).eval()
    for p in network.parameters():
        torch.nn.init.kaiming_uniform_(p, a=1.5) if p.dim() == 4 else torch.nn.init.uniform_(p, 0.05, 0.4)
    image = torch.rand(1, 3, options.size, options.size)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        torch.save({"state_dict": network.state_dict()}, folder / "network.pth")
        subprocess.run([sys.executable, ROOT / "weights/convert.py", folder / "network.pth", folder / "network.mirw"],
                       check=True, stdout=subprocess.DEVNULL)
        write_pfm(folder / "in.pfm", image[0].permute(1, 2, 0).numpy())

        def run_pytorch():
            start = time.perf_counter()
            with torch.no_grad():
                output = network(image)
            return time.perf_counter() - start, output[0].permute(1, 2, 0).numpy()

        def run_mirnet():
            report = subprocess.run([options.program, "denoise", folder / "in.pfm", folder / "out.pfm", "--overwrite",
                                     "--weights", folder / "network.mirw", "--threads", str(options.threads)],
                                    check=True, capture_output=True, text=True).stdout
            return float(re.search(r"^time\s+([\d.]+) s", report, re.M).group(1)), read_pfm(folder / "out.pfm", numpy)

        run_pytorch()  # the first run prepares what later ones reuse
        times = {"PyTorch": [], "mirnet": []}
        outputs = {}
        for number in range(1, options.rounds + 1):
            for name, run in (("PyTorch", run_pytorch), ("mirnet", run_mirnet)):
                seconds, output = run()
                times[name].append(seconds)
                outputs[name] = output
            print(f"round {number}: PyTorch {times['PyTorch'][-1]:.2f} s, mirnet {times['mirnet'][-1]:.2f} s", flush=True)

    source = image[0].permute(1, 2, 0).numpy()
    residual = abs(outputs["PyTorch"] - source).max()
    difference = abs(outputs["PyTorch"] - outputs["mirnet"]).max()
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{options.size}x{options.size}, {options.features} features, {options.groups} groups of {options.blocks} blocks, "
          f"{options.threads} thread(s), PyTorch {torch.__version__}")
    print(f"medians: PyTorch {medians['PyTorch']:.2f} s, mirnet {medians['mirnet']:.2f} s; "
          f"mirnet / PyTorch {medians['mirnet'] / medians['PyTorch']:.3f}")
    print(f"largest difference {difference:.2e}, {difference / residual:.1e} of the largest residual")


if __name__ == "__main__":
    main()
