#!/usr/bin/env python3
"""bench/gate.py: what it decides, with benchmark programs that say what the tests want."""
import importlib.util
import io
import json
import pathlib
import stat
import subprocess
import sys
import tempfile
import types
import unittest
from contextlib import redirect_stdout

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "bench" / "gate.py"
spec = importlib.util.spec_from_file_location("gate", SCRIPT)
gate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gate)
OTHERS_SHARE = gate.Others.share

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu

processor\t: 1
vendor_id\t: Another
"""
EPYC = "AMD EPYC, family 25, model 17, stepping 1"

# Takes the arguments of Google Benchmark. times.json has {name: [time/peak of each run], ...} for each time that a
# benchmark is asked for (the last goes on), and under "peaks" the FMA peaks, which go round.
PROGRAM = """#!{python} -SE
import json, pathlib, re, sys
folder = pathlib.Path(__file__).parent
name = pathlib.Path(__file__).name
options = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:] if "=" in argument)
plan = json.loads((folder / "times.json").read_text())
real = "/real_time" if name == "mirnet_bench_network" else ""
names = [n for n in plan["batches"][0] if ("threads:" in n) == bool(real)]
if "--benchmark_list_tests" in sys.argv:
    print("\\n".join(n + real for n in names))
    sys.exit()
calls = folder / (name + ".calls")
number = int(calls.read_text()) if calls.exists() else 0
calls.write_text(str(number + 1))
batch = plan["batches"][min(number, len(plan["batches"]) - 1)]
results = []
for n in names:
    if not re.search(options["benchmark_filter"], n + real):
        continue
    for i, value in enumerate(batch.get(n, [])):
        # Networks: twice the time by the clock.
        results.append({{"name": n, "run_name": n + real, "run_type": "iteration",
                         "time/peak": value * (2 if real else 1), "cpu_time": 1.0,
                         "FMA peak": plan["peaks"][i % len(plan["peaks"])], "real_time": 2.0 if real else 1.0}})
    results.append({{"name": n + "_median", "run_name": n + real, "run_type": "aggregate"}})
pathlib.Path(options["benchmark_out"]).write_text(json.dumps({{"benchmarks": results}}))
"""


class Decisions(unittest.TestCase):
    def test_verdict(self):
        self.assertEqual(gate.verdict(1.0, [1.0, 1.02, 5.0]), "ok")
        self.assertEqual(gate.verdict(1.0, [1.09, 1.099, 1.3]), "ok")
        self.assertEqual(gate.verdict(1.0, [1.11, 1.12, 1.2]), "slow")
        self.assertEqual(gate.verdict(1.0, [1.05, 1.12, 1.2]), "unclear")
        self.assertEqual(gate.verdict(1.0, [0.5, 0.5, 0.5]), "ok")

    def test_spread_leaves_out_the_ends(self):
        self.assertEqual(gate.spread([3.0]), 0.0)
        self.assertAlmostEqual(gate.spread([1.0] * 20 + [9.0]), 0.0)
        self.assertAlmostEqual(gate.spread([0.8, 0.9, 1.0, 1.1, 1.2]), 0.32)

    def test_noise_is_the_largest_of_its_signs(self):
        quiet = {"a": [{"time": 1.0, "peak": 100.0}] * 3, "b": [{"time": 2.0, "peak": 100.0}] * 3}
        self.assertEqual(gate.noise(quiet, 0.0, {})[0], 0.0)
        level, words = gate.noise(quiet, 0.4, {})
        self.assertEqual(level, 0.4)
        self.assertIn("other programs took 40.0%", words)
        level, words = gate.noise({"a": [{"time": 1.0, "peak": peak} for peak in (100.0, 70.0, 100.0, 60.0)]}, 0.1,
                                  {})
        self.assertGreater(level, 0.3)
        self.assertIn("the FMA peak varies", words)
        level, words = gate.noise({"a": [{"time": time, "peak": 1.0} for time in (1.0, 1.5, 2.0)]}, 0.1, {})
        self.assertGreater(level, 0.3)
        self.assertIn("the typical benchmark varies", words)
        witness = gate.WITNESSES[1]
        quiet[witness] = [{"time": 1.06, "peak": None}] * 3
        level, words = gate.noise(quiet, 0.0, {witness: 1.0, "a": 0.1})
        self.assertGreater(level, gate.MARGIN)
        self.assertIn(f"{witness} is 6.0% slower than it was", words)
        self.assertLess(gate.noise(quiet, 0.0, {witness: 1.02})[0], gate.MARGIN)

    def test_a_witness_is_not_judged(self):
        slow = {gate.WITNESSES[0]: [{"time": 9.0, "peak": 1.0}] * 3}
        self.assertEqual(gate.judge({gate.WITNESSES[0]: 1.0}, slow, lambda names: {})[:2], ([], []))

    def test_what_looks_slow_is_measured_again_and_nothing_else(self):
        def runs(*times):
            return [{"time": time, "peak": 1.0} for time in times]

        asked = []

        def again(names):
            asked.append(names)
            return {name: runs(1.0, 1.0) if name == "recovers" else runs(2.0, 2.0) for name in names}

        figures = {"good": 1.0, "recovers": 1.0, "slow": 1.0}
        measured = {"good": runs(1.0, 1.0), "recovers": runs(2.0, 2.0), "slow": runs(2.0, 2.0), "new": runs(9.0)}
        slow, unclear, all_runs = gate.judge(figures, measured, again)
        self.assertEqual((slow, unclear), (["slow"], []))
        self.assertEqual(asked, [["recovers", "slow"], ["slow"]])
        self.assertEqual(len(all_runs["slow"]), 6)
        # When time is over, what there is decides.
        self.assertEqual(gate.judge(figures, measured, lambda names: {})[0], ["recovers", "slow"])

    def test_processor(self):
        self.assertEqual(gate.processor(CPUINFO), EPYC)
        self.assertEqual(gate.processor("processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\n"
                                        "CPU part\t: 0xd0c\nCPU revision\t: 1\n"),
                         "implementer 0x41, part 0xd0c, variant 0x3, revision 1")
        self.assertIsNone(gate.processor(""))


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for program in gate.PROGRAMS:
            path = self.folder / program
            path.write_text(PROGRAM.format(python=sys.executable))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.names = [f"{isa}/{name}" for isa, name in gate.wanted_benchmarks("avx512", True)]
        self.addCleanup(setattr, gate.Others, "share", OTHERS_SHARE)
        gate.Others.share = lambda _: 0.0

    def programs(self, *batches, peaks=(100.0,)):
        """batches: for each measurement {part of a name: times of the runs}, for those other than 1.0."""
        def times(name, different):
            return next((values for part, values in different.items() if part in name), [1.0, 1.0, 1.0])

        plan = {"peaks": peaks, "batches": [{name: times(name, b) for name in self.names} for b in batches]}
        (self.folder / "times.json").write_text(json.dumps(plan))
        for calls in self.folder.glob("*.calls"):
            calls.unlink()

    def gate(self, cpuinfo=CPUINFO, record=False, isa=None, seconds=60):
        """(exit status, what was printed)."""
        arguments = types.SimpleNamespace(bench=self.folder, figures=self.folder / "gate.json", isa=isa, record=record)
        printed = io.StringIO()
        with redirect_stdout(printed):
            status = gate.gate(arguments, cpuinfo, seconds)
        return status, printed.getvalue()

    def recorded(self):
        self.programs({})
        self.assertEqual(self.gate(record=True)[0], 0)

    def test_as_fast_as_recorded(self):
        self.recorded()
        figures = json.loads((self.folder / "gate.json").read_text())
        self.assertEqual(figures, {EPYC: {"avx512": {n.split("/", 1)[1]: 1.0 for n in self.names}}})
        status, printed = self.gate()
        self.assertEqual(status, 0)
        self.assertTrue(printed.endswith("\npassed\n"), printed)
        self.assertEqual(printed.count("+0.0%"), len(self.names))

    def test_slower(self):
        self.recorded()
        for name in ("avx512/fp32/auto/conv1x1/64->64", "avx512bf16/bf16/auto/published", "avx512/fp32/auto/unshuffle"):
            self.programs({name: [1.2, 1.2, 1.21]})
            status, printed = self.gate()
            self.assertEqual(status, 1)
            self.assertIn(f"failed: more than 10% slower, also when repeated: {name.split('/', 1)[1]}", printed)

    def test_slow_once(self):
        self.recorded()
        self.programs({"conv1x1/64->64": [1.5, 1.5, 1.5]}, {})
        status, printed = self.gate()
        self.assertEqual(status, 0)
        self.assertTrue(printed.endswith("\npassed\n"), printed)

    def test_runs_that_contradict_each_other(self):
        self.recorded()
        self.programs({"fp32/auto/conv1x1/64->64": [1.0, 1.5, 1.5]})
        status, printed = self.gate()
        self.assertEqual(status, 0)
        self.assertIn("unclear: fp32/auto/conv1x1/64->64", printed)

    def test_a_noisy_machine(self):
        self.recorded()
        self.programs({"conv1x1": [1.5, 1.5, 1.5]}, peaks=(100.0, 60.0, 90.0))
        status, printed = self.gate()
        self.assertEqual(status, 0)
        self.assertRegex(printed, r"passed: the machine is too noisy \(the FMA peak varies by \d\d\.\d% from run to")
        self.programs({"conv1x1": [1.5, 1.5, 1.5]})
        gate.Others.share = lambda _: 0.3
        status, printed = self.gate()
        self.assertEqual(status, 0)
        self.assertIn("too noisy (other programs took 30.0% of the processors) to tell", printed)

    def test_an_unknown_processor_runs_nothing(self):
        self.recorded()
        (self.folder / "mirnet_bench_kernels").unlink()
        status, printed = self.gate(CPUINFO.replace("stepping\t: 1", "stepping\t: 2"))
        self.assertEqual(status, 0)
        self.assertIn("passed: gate.json has no figures for this processor (AMD EPYC, family 25, model 17, stepping 2)",
                      printed)
        status, printed = self.gate("")
        self.assertEqual((status, printed), (0, "passed: the system does not tell which processor this is\n"))

    def test_an_instruction_set_without_figures(self):
        self.recorded()
        self.names += [name.replace("avx512/", "avx2/") for name in self.names if "bf16" not in name]
        self.programs({})
        status, printed = self.gate(isa="avx2")
        self.assertEqual(status, 0)
        self.assertIn("no figures for avx2", printed)
        self.assertEqual(self.gate(isa="avx2", record=True)[0], 0)
        figures = json.loads((self.folder / "gate.json").read_text())[EPYC]
        self.assertEqual((len(figures["avx512"]), len(figures["avx2"])), (30, 16))
        with self.assertRaisesRegex(gate.Failure, "--isa sse2: expected one of avx2, avx512"):
            self.gate(isa="sse2")

    def test_a_benchmark_that_is_gone(self):
        self.recorded()
        self.names = [name for name in self.names if "gated" not in name]
        self.programs({})
        with self.assertRaisesRegex(gate.Failure, "no such benchmark: fp32/auto/gated_projection"):
            self.gate()

    def test_what_takes_too_long(self):
        self.recorded()
        network = self.folder / "mirnet_bench_network"
        network.write_text(network.read_text().replace("import json", "import time; time.sleep(60)\nimport json"))
        status, printed = self.gate(seconds=5)
        self.assertEqual(status, 1)
        self.assertIn("not measured after 5 seconds: fp32/auto/published", printed)
        self.assertIn("failed: ", printed)
        gate.Others.share = lambda _: 0.3
        status, printed = self.gate(seconds=5)
        self.assertEqual(status, 0)
        with self.assertRaisesRegex(gate.Failure, "5 seconds were not enough to measure fp32/auto/published"):
            self.gate(seconds=5, record=True)

    def test_others(self):
        self.addCleanup(setattr, gate.Others, "ticks", staticmethod(gate.Others.ticks))
        ticks = iter([(1000, 100, 50), (2000, 900, 450)])
        gate.Others.ticks = staticmethod(lambda: next(ticks))
        self.assertAlmostEqual(OTHERS_SHARE(gate.Others()), 0.4)

    def test_the_command(self):
        """With the processor that this is run on."""
        self.recorded()
        command = [sys.executable, "-B", SCRIPT, "--bench", self.folder, "--figures", self.folder / "gate.json"]
        if pathlib.Path("/proc/cpuinfo").exists():
            result = subprocess.run(command + ["--record"], text=True, capture_output=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            result = subprocess.run(command, text=True, capture_output=True, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("passed", result.stdout)
            (self.folder / "mirnet_bench_network").unlink()
            result = subprocess.run(command, text=True, capture_output=True, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn("cannot be run", result.stderr)
        (self.folder / "gate.json").write_text("{")
        result = subprocess.run(command, text=True, capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("gate.json: cannot be read", result.stderr)

    def test_the_figures_of_the_repository(self):
        """They name benchmarks that the gate measures."""
        for processor, sets in json.loads((SCRIPT.parent / "gate.json").read_text(encoding="utf-8")).items():
            for isa, figures in sets.items():
                known = {name for _, name in gate.wanted_benchmarks(isa, isa in gate.BFLOAT16_OF)}
                self.assertLessEqual(set(figures), known, processor)
                self.assertTrue(all(0 < value < 100 for value in figures.values()))


if __name__ == "__main__":
    unittest.main()
