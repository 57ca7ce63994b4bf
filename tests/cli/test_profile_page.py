#!/usr/bin/env python3
"""The page of mirnet profile --format html, opened in a browser: python3 tests/cli/test_profile_page.py [PROGRAM]

The program is the one that the environment variable MIRNET or the argument names. Skipped (exit code 77) where there is
no Chromium or Chrome.
"""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from chromium import BROWSER, ROOT, main, program

PROGRAM = program("MIRNET", "mirnet")


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        # A name that a careless page would take for its own end.
        weights = cls.path / "<b>&<!--.mirw"
        shutil.copy(ROOT / "weights" / "denoise.mirw", weights)
        cls.page = cls.path / "profile.html"
        subprocess.run([PROGRAM, "profile", "64x48", "--threads", "2", "--repeat", "2", "--weights", weights,
                        "--format", "html", "-o", cls.page], check=True)
        data = re.search(r"^const profile = (\{.*\});$", cls.page.read_text(), re.MULTILINE).group(1)
        cls.profile = json.loads(data)

    def browse(self, *options, page=None):
        """Every request but for the page itself would have to go through a proxy that is not there."""
        return subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               "--proxy-server=127.0.0.1:9", f"--user-data-dir={self.path / 'browser'}",
                               "--enable-logging=stderr", "--virtual-time-budget=4000", *options,
                               (page or self.page).as_uri()],
                              capture_output=True, timeout=120, check=True)

    def test_what_is_drawn(self):
        result = self.browse("--dump-dom")
        errors = [line for line in result.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        self.assertEqual(errors, [])
        page = result.stdout.decode()
        page = page[:page.index("<script>")]
        layers = self.profile["layers"]
        self.assertTrue(f'data-drawn="{len(layers)}"' in page)
        table = page[page.index("<tbody>"):page.index("</tbody>")]
        self.assertEqual(table.count("<tr"), len(layers))
        for name in ("conv_in", "body.0.body.1.blocks.2.0.body.0#2", "body.0.body.0.down.16_4.body.0.top.5+bot.1"):
            self.assertTrue(f">{name}</td>" in table, name)
        points = [row for row in layers if row["gflops"] and row["flop_per_byte"]]
        self.assertEqual(page.count("<circle"), len(points))
        bars = len(self.profile["operations"]) + len(self.profile["blocks"])
        self.assertEqual(page.count('class="fill"'), bars)
        self.assertIsNone(re.search("NaN|undefined|Infinity", page))
        self.assertTrue("&lt;b&gt;&amp;&lt;!--.mirw" in page)

    def test_mouse(self):
        """A click on a heading sorts the table, and a point under the mouse tells its name."""
        page = self.path / "clicked.html"
        page.write_text(self.page.read_text().replace("</body>", """<script>
            [...document.querySelectorAll("th")].find(cell => cell.textContent === "ms").click();
            document.querySelector("circle").dispatchEvent(new PointerEvent("pointermove", {clientX: 9, clientY: 9}));
            </script></body>"""))
        text = self.browse("--dump-dom", page=page).stdout.decode()
        names = re.findall(r'<tr><td class="text">([^<]+)</td>', text[:text.index("<script>")])
        times = {row["name"]: row["median_ms"] for row in self.profile["layers"]}
        self.assertEqual(len(names), len(times))
        self.assertEqual([times[name] for name in names], sorted(times.values(), reverse=True))
        slowest = max((row for row in self.profile["layers"] if row["gflops"]), key=lambda row: row["median_ms"])
        tip = r'id="tip" style="display: block;[^>]*><b>' + re.escape(slowest["name"]) + "</b>"
        self.assertIsNotNone(re.search(tip, text))

    def test_light_and_dark(self):
        """Both are drawn, and are not the same."""
        pictures = []
        for scheme in (1, 0):
            picture = self.path / f"{scheme}.png"
            self.browse(f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1300,1800",
                        f"--screenshot={picture}")
            pictures.append(picture.read_bytes())
        for picture in pictures:
            self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
            self.assertGreater(len(picture), 50_000)
        self.assertNotEqual(*pictures)


if __name__ == "__main__":
    main()
