#!/usr/bin/env python3
"""The npm package, run by Node: python3 tests/web/test_npm.py [PROGRAM]

Compares with the kernels for SSE2 of the program mirnet, which the environment variable MIRNET or the argument names.
MIRNET_WEB is the folder with the package and the page, build/web without it. Skipped (exit code 77) without Node.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from program import ROOT, ProgramTest, draw, pam, pfm, read_pam, read_pfm  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
WEB = pathlib.Path(os.environ.get("MIRNET_WEB", ROOT / "build" / "web"))
NPM = WEB / "npm"
NODE = shutil.which("node") or shutil.which("nodejs")
LIMIT = 1_000_000  # bytes of page and module


def picture(width, height, channels, maximum=255):
    """A drawing, the last of whose channels is alpha in some of its values if it has one."""
    drawn = draw(width, height, channels, maximum)
    if channels % 2 == 0:
        for i in range(channels - 1, len(drawn.samples), channels):
            drawn.samples[i] = (0, maximum // 3, maximum, maximum)[i // channels // 5 % 4]
    return drawn


class NpmTest(ProgramTest):
    def run_node(self, *arguments):
        result = subprocess.run([NODE, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                                env=self.environment | {"MIRNET_NPM": str(NPM)})
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def restore(self, jobs):
        """The package's samples for each: model options, options, type, width, height, channels, samples."""
        listed = []
        for i, (model, options, kind, width, height, channels, samples) in enumerate(jobs):
            code = {"u8": "B", "u16": "H", "f32": "f"}[kind]
            self.file(f"{i}.in", struct.pack(f"<{len(samples)}{code}", *samples))
            listed.append({"input": str(self.path / f"{i}.in"), "output": str(self.path / f"{i}.out"), "model": model,
                           "options": options, "type": kind, "width": width, "height": height, "channels": channels})
        self.file("jobs.json", json.dumps(listed).encode())
        self.run_node(HERE / "npm_run.mjs", NPM, self.path / "jobs.json")
        results = []
        for i, job in enumerate(jobs):
            code = {"u8": "B", "u16": "H", "f32": "f"}[job[2]]
            results.append(list(struct.unpack(f"<{len(job[6])}{code}", (self.path / f"{i}.out").read_bytes())))
        return results

    def expected(self, drawn, *options, precision="fp32"):
        return read_pam(self.denoises("in.pam", pam(drawn), "out.pam", "--isa", "sse2", "--precision", precision,
                                      *options)).samples

    def difference(self, a, b):
        self.assertEqual(len(a), len(b))
        return max(abs(one - other) for one, other in zip(a, b))

    def test_same_as_the_program(self):
        one, two = {"threads": 1}, {"threads": 2}
        cases = [
            ("RGB of odd sides", one, {}, picture(67, 45, 3), ()),
            ("gray", one, {}, picture(33, 70, 1), ()),
            ("gray and alpha", one, {}, picture(41, 29, 2), ()),
            ("RGB and alpha", two, {}, picture(50, 41, 4), ()),
            ("16 bits", two, {}, picture(37, 52, 3, 65535), ()),
            ("one pixel", one, {}, picture(1, 1, 3), ()),
            ("strength", one, {"strength": 0.5, "keepGrain": 0.25}, picture(48, 33, 3),
             ("--strength", "0.5", "--keep-grain", "0.25")),
            ("tiles", two, {"tile": 256}, picture(270, 261, 3), ("--tile", "256")),
            ("without SIMD", {"simd": False}, {}, picture(24, 20, 3), ()),
            ("bfloat16", {"threads": 1, "precision": "bf16"}, {}, picture(45, 40, 3), ()),
        ]
        results = self.restore([(model, options, "u8" if drawn.maximum == 255 else "u16", drawn.width, drawn.height,
                                 drawn.channels, drawn.samples) for _, model, options, drawn, _ in cases])
        for (name, model, _, drawn, options), result in zip(cases, results):
            with self.subTest(name):
                expected = self.expected(drawn, *options, precision=model.get("precision", "fp32"))
                # 1 of 255 at most; 0 with Emscripten 3.1.6 and GCC 12.
                self.assertLessEqual(self.difference(result, expected), drawn.maximum // 255)
                if name != "one pixel":
                    self.assertGreater(self.difference(result, drawn.samples), drawn.maximum // 255)

    def test_floats(self):
        samples = [sample / 200 - 0.1 for sample in draw(40, 36, 3).samples]  # some outside of [0, 1]
        result, = self.restore([({"threads": 1}, {}, "f32", 40, 36, 3, samples)])
        expected = read_pfm(self.denoises("in.pfm", pfm(40, 36, 3, samples), "out.pfm", "--isa", "sse2", "--precision",
                                          "fp32"))
        self.assertLess(self.difference(result, expected), 1e-5)

    def test_same_bits_for_any_number_of_threads(self):
        drawn = picture(290, 140, 3)
        several = self.restore([({"threads": threads}, {"tile": 256}, "u8", 290, 140, 3, drawn.samples)
                                for threads in (1, 2, 3, 5)])
        for other in several[1:]:
            self.assertEqual(other, several[0])

    def test_interface(self):
        self.assertRegex(self.run_node("--test", HERE / "npm_api.mjs"), r"# fail 0\n")

    def test_package(self):
        described = json.loads((NPM / "package.json").read_text())
        self.assertEqual(described["name"], "mirnet-wasm")
        self.assertEqual(described["type"], "module")
        version = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout
        self.assertIn(described["version"], version)
        named = set(described["files"]) | {"package.json", "README.md", "LICENSE"}  # these are always packed
        self.assertEqual(named, {file.name for file in NPM.iterdir()})
        exported = {described["exports"]["."]["default"], described["exports"]["."]["types"]}
        self.assertEqual(exported, {"./index.js", "./index.d.ts"})
        self.assertEqual((NPM / "denoise.mirw").read_bytes(), (ROOT / "weights" / "denoise.mirw").read_bytes())

    def test_resolved_by_name(self):
        modules = self.path / "node_modules"
        modules.mkdir()
        (modules / "mirnet-wasm").symlink_to(NPM.resolve(), target_is_directory=True)
        script = "import {load} from 'mirnet-wasm'; console.log((await load({threads: 2})).info.network);"
        self.file("app.mjs", script.encode())
        for arguments in (["app.mjs"], ["--input-type=module", "--eval", script]):  # and ends without free()
            result = subprocess.run([NODE, *arguments], cwd=self.path, capture_output=True, text=True, timeout=60)
            self.assertEqual((result.stdout, result.stderr), ("MIRNet\n", ""))

    def test_ends_after_a_failure(self):
        """A run that could not start keeps no worker alive."""
        script = f"""
            import {{load}} from {json.dumps((NPM / "index.js").as_uri())};
            const model = await load({{threads: 2}});
            const data = new Uint8Array(new SharedArrayBuffer(1200));
            await model.denoise({{width: 20, height: 20, channels: 3, data}}, {{transfer: true}})
                .catch((error) => console.log(error.code));"""
        result = subprocess.run([NODE, "--input-type=module", "--eval", script], capture_output=True, text=True,
                                timeout=60)
        self.assertEqual((result.stdout, result.stderr), ("invalid_argument\n", ""))

    def test_size(self):
        """A visitor loads the page and one of the modules."""
        page = sum(file.stat().st_size for file in (WEB / "page").iterdir() if file.is_file())
        script = sum((NPM / name).stat().st_size for name in ("index.js", "worker.js"))
        for variant in ("simd", "threads", "plain"):
            with self.subTest(variant):
                module = (NPM / f"mirnet-{variant}.wasm").stat().st_size
                self.assertLess(page + script + module, LIMIT)


if __name__ == "__main__":
    if NODE is None:
        print("skipped: there is no Node")
        sys.exit(77)
    unittest.main()
