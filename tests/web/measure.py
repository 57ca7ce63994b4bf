#!/usr/bin/env python3
"""How fast the npm package is: python3 tests/web/measure.py [PROGRAM] [--size 512] [--runs 5]

Prints a table of the program's kernels for SSE2, Node and Chromium, on one thread and on two: seconds of processor time
of a run and seconds that pass, each the least of some runs, which take turns. On a machine that does other things, only
the first means something. MIRNET and MIRNET_WEB are as for test_page.py.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

from test_page import PAGE, Server, noisy, start_browser  # makes sure of Selenium: it may start Debian's Python
from program import PROGRAM, pnm  # takes the program's name from the arguments

options = argparse.ArgumentParser()
options.add_argument("--size", type=int, default=512)
options.add_argument("--runs", type=int, default=5)
options = options.parse_args()

# Seconds that pass in one run, after one to warm up. ready() is called before and after.
SCRIPT = """
  const {load} = await import(module);
  const model = await load({threads});
  const data = Uint8Array.from({length: size * size * 3}, (_, i) => (i * 31 + (i >> 5) * 17) % 251);
  const run = () => model.denoise({width: size, height: size, channels: 3, data});
  await run();
  await ready();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1000;
  await ready();
  model.free();
  return seconds;
"""
NODE = f"""
  const [module, threads, size] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
  const used = [];
  const ready = () => {{ const {{user, system}} = process.cpuUsage(); used.push((user + system) / 1e6); }};
  const seconds = await (async () => {{ {SCRIPT} }})();
  console.log(JSON.stringify([used[1] - used[0], seconds]));
"""


class Page:
    def __init__(self, downloads):
        self.server = Server(isolates=True)
        self.browser = start_browser(downloads)
        self.browser.set_script_timeout(600)
        self.browser.get(f"http://127.0.0.1:{self.server.port}/mirnet/package.json")  # a page that does nothing itself

    def processor_seconds(self):
        folder = self.browser.capabilities["chrome"]["userDataDir"]
        used = 0
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if folder in (entry / "cmdline").read_text():
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except OSError:
                pass  # has ended
        return used

    def run(self, threads):
        # The page waits before and after the run until the processor's time was taken.
        self.browser.execute_script(f"""
            window.marks = 0;
            window.result = (async (module, threads, size) => {{
              const ready = () => new Promise((resolve) => {{ ++window.marks; window.go = resolve; }});
              {SCRIPT}
            }})('/mirnet/index.js', {threads}, {options.size});""")
        used = []
        for mark in (1, 2):
            while self.browser.execute_script("return window.marks") < mark:
                time.sleep(0.05)
            used.append(self.processor_seconds())
            self.browser.execute_script("window.go()")
        seconds = self.browser.execute_async_script("window.result.then(arguments[0])")
        return used[1] - used[0], seconds


def run_program(path, threads):
    before = os.times()
    report = subprocess.run([PROGRAM, "denoise", "in.ppm", "-o", "out.ppm", "--isa", "sse2", "--precision", "fp32",
                             "--threads", str(threads), "--overwrite", "--json"],
                            cwd=path, capture_output=True, check=True).stdout
    after = os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system,
            json.loads(report)["seconds"]["run"])


def run_node(threads):
    return json.loads(subprocess.run(["node", "--input-type=module", "-e", NODE, str(PAGE / "mirnet" / "index.js"),
                                      str(threads), str(options.size)], capture_output=True, check=True).stdout)


with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "in.ppm").write_bytes(pnm(noisy(options.size, options.size)))
    page = Page(folder)
    ways = {(name, threads): run for threads in (1, 2) for name, run in (
        ("program, SSE2", lambda threads=threads: run_program(folder, threads)),
        ("Node", lambda threads=threads: run_node(threads)), ("Chromium", lambda threads=threads: page.run(threads)))}
    least = {}
    for _ in range(options.runs):
        for way, run in ways.items():
            least[way] = [min(pair) for pair in zip(run(), least.get(way, (float("inf"),) * 2))]
    page.browser.quit()
print(f"{options.size} x {options.size} pixels, fp32, the least of {options.runs}\n")
print("| | threads | processor, s | passes, s | passes, of the program's on one thread |\n|---|---|---|---|---|")
for (name, threads), (used, passed) in least.items():
    print(f"| {name} | {threads} | {used:.2f} | {passed:.2f} | {passed / least['program, SSE2', 1][1]:.2f} |")
