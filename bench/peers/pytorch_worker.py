"""compare.py's worker for PyTorch: eager|frozen FOLDER NETWORK THREADS SIZE FEATURES GROUPS BLOCKS RESULT"""
import pathlib
import sys
import time
import warnings

import torch

import networks


def load(mode, folder, name, arguments):
    network = networks.make(name, *arguments).eval()
    network.load_state_dict(torch.load(folder / "network.pth")["state_dict"])
    if mode == "eager":
        return network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on tracing in general; the outputs are compared
        # The trace holds for every size; a small one takes little time and does not count in the peak memory.
        traced = torch.jit.trace(network, torch.rand(1, 3, 32, 32), check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


@torch.no_grad()
def main():
    mode, folder, name, result = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[-1])
    threads, size, *arguments = map(int, sys.argv[4:-1])
    torch.set_num_threads(threads)
    network = load(mode, folder, name, arguments)
    image = torch.frombuffer(bytearray((folder / "in.f32").read_bytes()), dtype=torch.float32).view(1, 3, size, size)
    # TorchScript watches its first run and compiles in the second.
    for _ in range(1 if mode == "eager" else 2):
        network(image)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        output = network(image)
        seconds = time.perf_counter() - start
        result.write_bytes(output.numpy().tobytes())
        del output
        print(seconds, flush=True)


main()
