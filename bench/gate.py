#!/usr/bin/env python3
"""Whether the kernels are as fast as they were

    bench/gate.py [--bench FOLDER] [--figures FILE] [--isa NAME] [--record]

measures a dozen kernels and two networks with random weights, on one thread, and compares their times with those that
FILE has for this processor and instruction set. Times are in units of the definition's multiply-accumulates at the FMA
peak that is measured beside them, so that the clock does not matter. What takes more than 10 % longer in the median of
the runs is measured again, twice, and fails the gate if it stays so.

It passes, and says so, where FILE has no figures for the processor, and where the machine is too noisy to tell: where
the peak, or the typical benchmark, varies by more than these 10 % from run to run, other programs take more than 10 %
of the processors, whose caches and memory they share, or a witness is more than 5 % slower than it was: a loop of
multiply-adds and loads, and a sum of maps in memory, which other guests of the host slow down and changes of kernels
hardly. A benchmark of which some runs are within the 10 % is reported and does not fail. What is not measured after 80
seconds is too slow.

    --bench FOLDER   where mirnet_bench_kernels and mirnet_bench_network are; default: build/bench/bench
    --figures FILE   default: gate.json beside this script
    --isa NAME       the instruction set; default: the fastest that the programs and the processor have
    --record         writes what it measures to FILE instead

Exit status: 0 passed, 1 too slow, 2 something else is wrong. Needs Python 3.9 or newer and nothing else.
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
import time

MARGIN = 0.10
WITNESS_MARGIN = 0.05
SECONDS = 80  # of measuring: when they are over, nothing is begun any more
REPEATS = 2

# The instruction sets, the fastest last; those of bfloat16 are where it is multiplied by the processor.
SETS = ["sse2", "avx2", "avx512"]
BFLOAT16_OF = {"avx512": "avx512bf16"}

KERNELS = ["conv3x3/3->64/256x256", "conv3x3/64->3/256x256", "conv3x3/64->64/256x256", "conv3x3/256->256/64x64",
           "conv3x3/16->16/256x256", "conv3x3/32->32/128x128", "conv1x1/64->64/256x256", "conv1x1/256->256/64x64",
           "conv1x1/32->32/128x128", "gated_projection/64->64/256x256", "blurred_projection/64->128/256x256",
           "transposed3x3/128->128/128x128"]
# What tells of the machine and not of what is tested: loads beside multiply-adds, and the memory.
WITNESSES = ["core/fma+loads:12", "fp32/auto/weighted_sum/64->64/256x256"]
NETWORKS = ["published/256x256/threads:1", "unshuffle/512x512/threads:1"]
PROGRAMS = {"mirnet_bench_kernels": (KERNELS + WITNESSES, ["--benchmark_min_time=0.05", "--benchmark_repetitions=5"]),
            "mirnet_bench_network": (NETWORKS, ["--benchmark_min_time=0.1", "--benchmark_repetitions=3"])}


class Failure(Exception):
    """Something that is not slowness."""


# --- Decisions --------------------------------------------------------------------------------------------------------


def spread(values):
    """By how much most of the values differ, relative to the median: a tenth at either end is left out."""
    if len(values) < 2:
        return 0.0
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return (tenths[8] - tenths[0]) / statistics.median(values)


def noise(measured, others, figures):
    """Of the machine, as a share and in words: the largest of what tells of it. `others` is what other programs took of
    the processors; `figures` are what the witnesses took when they were recorded."""
    peaks = spread([run["peak"] for runs in measured.values() for run in runs if run["peak"]])
    typical = statistics.median(spread([run["time"] for run in runs]) for runs in measured.values())
    slower = {name: statistics.median(run["time"] for run in measured[name]) / figures[name] - 1
              for name in WITNESSES if name in measured and name in figures}
    witnesses = [(by / WITNESS_MARGIN * MARGIN, f"{name} is {by:.1%} slower than it was") for name, by in slower.items()]
    return max((peaks, f"the FMA peak varies by {peaks:.1%} from run to run"),
               (typical, f"the typical benchmark varies by {typical:.1%} from run to run"),
               (others, f"other programs took {others:.1%} of the processors"), *witnesses)


def verdict(recorded, times):
    """"ok", "slow", or "unclear" where the median says so and some of the runs do not."""
    most = recorded * (1 + MARGIN)
    if statistics.median(times) <= most:
        return "ok"
    return "unclear" if min(times) <= most else "slow"


def judge(figures, measured, measure_again):
    """Compares with the recorded figures; measure_again(names) gives more runs, or fewer than asked for when time is
    over. Returns the names that are slow, those that are unclear, and all runs."""
    measured = {name: list(runs) for name, runs in measured.items()}
    verdicts = {name: verdict(figures[name], [run["time"] for run in runs])
                for name, runs in measured.items() if name in figures and name not in WITNESSES}
    for _ in range(REPEATS):
        suspects = [name for name, is_now in verdicts.items() if is_now != "ok"]
        if not suspects:
            break
        # The new runs alone decide: what disturbed the old ones may be over.
        for name, runs in measure_again(suspects).items():
            verdicts[name] = verdict(figures[name], [run["time"] for run in runs])
            measured[name] += runs
    return ([name for name, is_now in verdicts.items() if is_now == "slow"],
            [name for name, is_now in verdicts.items() if is_now == "unclear"], measured)


# --- The machine ------------------------------------------------------------------------------------------------------


def processor(cpuinfo):
    """What names the processor in the figures, from the text of /proc/cpuinfo; None where it does not say. Names as
    "AMD EPYC" stand for many: the numbers tell them apart."""
    fields = dict(re.findall(r"^([^:\n]+?)\s*: (.*)$", cpuinfo.split("\n\n")[0], re.MULTILINE))
    if "vendor_id" in fields:
        return (f"{fields.get('model name', fields['vendor_id'])}, family {fields.get('cpu family')}, "
                f"model {fields.get('model')}, stepping {fields.get('stepping')}")
    if "CPU part" in fields:
        return (f"implementer {fields.get('CPU implementer')}, part {fields['CPU part']}, "
                f"variant {fields.get('CPU variant')}, revision {fields.get('CPU revision')}")
    return None


class Others:
    """What others take of the processors from now on."""

    def __init__(self):
        self.begin = self.ticks()

    @staticmethod
    def ticks():
        """Of all processors: in all, busy, and busy for this program and those that it ran."""
        try:
            first = pathlib.Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
        except OSError:
            return None
        user, nice, system, idle, waiting, *interrupts_and_stolen = map(int, first[1:9])
        busy = user + nice + system + sum(interrupts_and_stolen)
        return busy + idle + waiting, busy, sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK")

    def share(self):
        """0 where the system does not tell."""
        now = self.ticks()
        if self.begin is None or now is None or now[0] == self.begin[0]:
            return 0.0
        total, busy, own = (after - before for before, after in zip(self.begin, now))
        return min(max(busy - own, 0) / total, 1.0)


def run(program, arguments, limit):
    try:
        return subprocess.run([program, *arguments], check=True, text=True, capture_output=True, timeout=limit).stdout
    except OSError as error:
        raise Failure(f"{program}: cannot be run: {error.strerror}; build it, or name its folder by --bench") from None
    except subprocess.CalledProcessError as error:
        raise Failure(f"{program}: ended with {error.returncode}: {error.stderr.strip()}") from None


class Bench:
    """The benchmark programs, for so many seconds."""

    def __init__(self, folder, seconds):
        self.folder = folder
        self.end = time.monotonic() + seconds
        self.is_late = False

    def instruction_sets(self):
        """Those of float that can be measured here, and the prefixes of names that are of bfloat16."""
        names = run(self.folder / "mirnet_bench_kernels", ["--benchmark_list_tests"], 60).split()
        found = {tuple(name.split("/")[:2]) for name in names}
        return ([isa for isa in SETS if (isa, "fp32") in found],
                {isa for isa, bfloat16 in BFLOAT16_OF.items() if (bfloat16, "bf16") in found})

    def measure(self, wanted):
        """{name: [{"time", "peak"}, ...]} of benchmarks, from a list of (instruction set, name). Runs of different
        benchmarks alternate. Without those that are left when time is over."""
        measured = {}
        for program, (benchmarks, options) in PROGRAMS.items():
            here = {f"{isa}/{name}": name for isa, name in wanted
                    if name in benchmarks or name.split("/auto/")[-1] in benchmarks}
            left = self.end - time.monotonic()
            if not here:
                continue
            if left <= 0:
                self.is_late = True
                continue
            pattern = "^(" + "|".join(re.escape(name).replace("\\-", "-") for name in here) + ")(/real_time)?$"
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "out.json"
                try:
                    run(self.folder / program,
                        [f"--benchmark_filter={pattern}", f"--benchmark_out={path}", "--benchmark_out_format=json",
                         "--benchmark_enable_random_interleaving=true", *options], left)
                except subprocess.TimeoutExpired:
                    self.is_late = True
                    continue
                results = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
            for result in results:
                if result.get("run_type") != "iteration":
                    continue
                if result.get("error_occurred"):
                    raise Failure(f"{result['name']}: {result.get('error_message')}")
                # Of the processor's time, in which other programs do not count; that of networks is the clock's.
                is_network = program == "mirnet_bench_network"
                share = result["cpu_time"] / result["real_time"] if is_network else 1.0
                name = here[result["run_name"].removesuffix("/real_time")]
                # What only moves data has no multiply-adds: its time in milliseconds.
                run_time = result["time/peak"] * share if "time/peak" in result else result["cpu_time"]
                measured.setdefault(name, []).append({"time": run_time, "peak": result.get("FMA peak")})
        return measured


# --- The program ------------------------------------------------------------------------------------------------------


def wanted_benchmarks(isa, has_bfloat16):
    names = [(isa, name) for name in WITNESSES] + [(isa, f"fp32/auto/{name}") for name in KERNELS + NETWORKS]
    if has_bfloat16:
        names += [(BFLOAT16_OF[isa], f"bf16/auto/{name}") for name in KERNELS + NETWORKS]
    return names


def line(name, figures, runs):
    times = [entry["time"] for entry in runs]
    now = statistics.median(times)
    before = f"{figures[name]:8.3f} {now / figures[name] - 1:+7.1%}" if name in figures else f"{'':16}"
    return f"{name:52} {now:8.3f} {before} {spread(times):7.1%}"


def load(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: cannot be read: {error}") from None


def gate(arguments, cpuinfo, seconds=SECONDS):
    name = processor(cpuinfo)
    if name is None:
        print("passed: the system does not tell which processor this is")
        return 0
    everything = load(arguments.figures)
    if not arguments.record and name not in everything:
        print(f"passed: {arguments.figures.name} has no figures for this processor ({name})")
        return 0
    bench = Bench(arguments.bench, seconds)
    sets, with_bfloat16 = bench.instruction_sets()
    isa = arguments.isa or (sets[-1] if sets else None)
    if isa not in sets:
        raise Failure(f"--isa {isa}: expected one of {', '.join(sets)}")
    figures = everything.get(name, {}).get(isa, {})
    if not arguments.record and not figures:
        print(f"passed: {arguments.figures.name} has no figures for {isa} on this processor ({name})")
        return 0

    wanted = wanted_benchmarks(isa, isa in with_bfloat16)
    others = Others()
    measured = bench.measure(wanted)
    missing = [n for _, n in wanted if n not in measured and (arguments.record or n in figures)]
    gone = [n for n in figures if n not in {n for _, n in wanted}] + ([] if bench.is_late else missing)
    if gone:
        raise Failure(f"there is no such benchmark: {', '.join(gone)}")
    if not measured or (arguments.record and missing):
        raise Failure(f"{seconds} seconds were not enough to measure {', '.join(missing)}")
    slow, unclear = [], []
    if not arguments.record:
        slow, unclear, measured = judge(figures, measured,
                                        lambda names: bench.measure([w for w in wanted if w[1] in names]))

    print(f"{name}; {isa}\n{'time / time at the FMA peak':52} {'now':>8} {'before':>8} {'change':>7} {'spread':>7}")
    for _, n in wanted:
        if n in measured:
            print(line(n, figures, measured[n]))
    level, words = noise(measured, others.share(), figures)
    print(f"noise: {words}")
    if arguments.record:
        if level > MARGIN:
            print(f"warning: the noise is above {MARGIN:.0%}; record on a quiet machine")
        everything.setdefault(name, {})[isa] = {
            n: round(statistics.median(entry["time"] for entry in measured[n]), 4) for _, n in wanted}
        arguments.figures.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"recorded in {arguments.figures}")
        return 0
    slow += missing
    for n in missing:
        print(f"not measured after {seconds} seconds: {n}")
    for n in unclear:
        print(f"unclear: {n} takes longer in the median, but not in all runs")
    if slow and level > MARGIN:
        print(f"passed: the machine is too noisy ({words}) to tell whether these are more than {MARGIN:.0%} slower: "
              f"{', '.join(slow)}")
        return 0
    if slow:
        print(f"failed: more than {MARGIN:.0%} slower, also when repeated: {', '.join(slow)}")
        return 1
    print("passed")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=pathlib.Path, default=pathlib.Path("build/bench/bench"), help=argparse.SUPPRESS)
    parser.add_argument("--figures", type=pathlib.Path, default=pathlib.Path(__file__).with_name("gate.json"),
                        help=argparse.SUPPRESS)
    parser.add_argument("--isa", choices=SETS, help=argparse.SUPPRESS)
    parser.add_argument("--record", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        cpuinfo = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        cpuinfo = ""
    try:
        return gate(arguments, cpuinfo)
    except Failure as failure:
        print(f"bench/gate.py: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
