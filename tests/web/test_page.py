#!/usr/bin/env python3
"""The page, in Chromium: python3 tests/web/test_page.py [PROGRAM] [--long] [--screenshots FOLDER]

What is saved is compared with what the kernels for SSE2 of the program mirnet give, which the environment variable
MIRNET or the first argument names. MIRNET_WEB is the folder with the page, build/web without it. --long adds a
photograph of 24 megapixels and prints the memory that it takes; --screenshots saves how the page looks. Skipped (exit
code 77) without Chromium, its driver or Selenium.
"""
import functools
import http.server
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    # Debian's modules are for Debian's Python.
    if os.path.exists("/usr/bin/python3") and not os.path.samefile(sys.executable, "/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])
    webdriver = None

LONG = "--long" in sys.argv
SCREENSHOTS = pathlib.Path(sys.argv[sys.argv.index("--screenshots") + 1]) if "--screenshots" in sys.argv else None
if LONG:
    sys.argv.remove("--long")
if SCREENSHOTS:
    del sys.argv[sys.argv.index("--screenshots"):sys.argv.index("--screenshots") + 2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from chromium import BROWSER  # noqa: E402
from program import ROOT, Picture, ProgramTest, png, png_chunk, read_png  # noqa: E402

DRIVER = shutil.which("chromedriver")
PAGE = pathlib.Path(os.environ.get("MIRNET_WEB", ROOT / "build" / "web")) / "page"


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".wasm": "application/wasm"}

    def do_GET(self):
        if self.path == "/index.html" and self.server.redirects:
            self.send_response(302)
            self.send_header("Location", "/")
            self.end_headers()
        else:
            super().do_GET()

    def end_headers(self):
        if self.server.isolates:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *arguments):
        pass


class Server:
    def __init__(self, isolates, redirects=False):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=PAGE))
        self.server.isolates = isolates
        self.server.redirects = redirects  # from index.html to its folder, as some hosts do
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def start_browser(downloads, dark=False, size=(1200, 900)):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # mirnet.test is no secure context, so the page is not isolated there, whatever it does.
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
                   "--host-resolver-rules=MAP mirnet.test 127.0.0.1", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(option)
    if dark:
        options.add_argument("--blink-settings=preferredColorScheme=0")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def noisy(width, height, seed=1):
    """Shapes with noise, whose samples stay away from black and white."""
    random.seed(seed)
    samples = []
    for y in range(height):
        for x in range(width):
            level = 70 + 50 * ((x // 37 + y // 29) % 3) + (x * 3 + y) % 20
            samples += [min(215, max(40, round(level + c * 8 + random.gauss(0, 12)))) for c in range(3)]
    return Picture(width, height, 3, samples)


class PageTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.downloads = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.downloads.cleanup)
        cls.isolating, cls.plain = Server(True), Server(False)
        cls.browser = start_browser(cls.downloads.name)
        cls.addClassCleanup(cls.browser.quit)

    def tearDown(self):
        # Chromium says that a download is not encrypted where the page is not.
        self.assertEqual([entry for entry in self.browser.get_log("browser")
                          if entry["level"] == "SEVERE" and "over an insecure connection" not in entry["message"]], [])

    def open(self, address=None):
        self.browser.get(address or f"http://127.0.0.1:{self.isolating.port}/index.html")
        self.wait(lambda: self.get("file").is_enabled())
        self.wait(lambda: self.get("about").text)

    def get(self, name):
        return self.browser.find_element(By.ID, name)

    def run_script(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition, seconds=120):
        # Elements of a page that loads once more are gone.
        stale = [StaleElementReferenceException]
        return WebDriverWait(self.browser, seconds, 0.05, ignored_exceptions=stale).until(lambda _: condition())

    def choose(self, name, content):
        self.file(name, content)
        self.get("file").send_keys(str(self.path / name))

    def finish(self, seconds=120):
        def finished():
            if self.get("error").is_displayed():
                raise AssertionError(self.get("error").text)
            return self.get("save-png").is_enabled()
        self.wait(finished, seconds)

    def saved(self, name, press):
        """The bytes of the download that press() starts."""
        path = pathlib.Path(self.downloads.name) / name
        path.unlink(missing_ok=True)
        press()
        self.wait(path.exists)
        self.wait(lambda: self.get("save-png").is_enabled())
        return path.read_bytes()

    def program_result(self, picture, *options):
        return read_png(self.denoises("expected-in.png", png(picture), "expected.png", "--isa", "sse2", "--precision",
                                      "fp32", *options)).samples

    def colours(self, data):
        """Of a PNG with or without alpha."""
        picture = read_png(data)
        if picture.channels == 4:
            self.assertEqual(set(picture.samples[3::4]), {255})
            del picture.samples[3::4]
        return picture.samples

    def assert_close(self, samples, expected, most=1):
        self.assertEqual(len(samples), len(expected))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(samples, expected)), most)

    def restores(self, threads):
        self.assertRegex(self.get("about").text, f"^mirnet .*, MIRNet, {threads}")
        picture = noisy(253, 187)
        self.choose("photo.png", png(picture))
        self.finish()
        self.assertEqual(self.get("size").text, "253 × 187 pixels")
        result = self.colours(self.saved("photo-clean.png", self.get("save-png").click))
        self.assert_close(result, self.program_result(picture))
        self.assertGreater(max(abs(a - b) for a, b in zip(result, picture.samples)), 20)

    def test_with_threads(self):
        self.open()
        self.assertTrue(self.run_script("return crossOriginIsolated"))
        self.restores("[0-9]+ threads" if os.cpu_count() > 1 else "one thread")
        names = self.run_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        self.assertTrue(any(name.endswith("denoise.mirw") for name in names))
        origin = f"http://127.0.0.1:{self.isolating.port}/"
        self.assertEqual([name for name in names if not name.startswith((origin, f"blob:{origin}"))], [])

    def test_without_threads(self):
        self.open(f"http://mirnet.test:{self.plain.port}/index.html")
        self.assertFalse(self.run_script("return crossOriginIsolated"))
        self.restores("one thread")

    def test_isolates_itself(self):
        self.open(f"http://127.0.0.1:{self.plain.port}/")
        self.wait(lambda: self.run_script("return crossOriginIsolated"))
        self.wait(lambda: self.get("about").text)
        self.restores("[0-9]+ threads" if os.cpu_count() > 1 else "one thread")

    def test_isolates_nothing_else(self):
        server = Server(False, redirects=True)
        self.open(f"http://127.0.0.1:{server.port}/")
        self.wait(lambda: self.run_script("return crossOriginIsolated"))
        self.open(f"http://127.0.0.1:{server.port}/index.html")  # the service worker meets the redirection
        self.assertEqual(self.run_script("return location.pathname"), "/")
        self.assertTrue(self.run_script("return crossOriginIsolated"))
        policies = self.browser.execute_async_script("""
            const done = arguments[0];
            Promise.all(['/', 'mirnet/worker.js', 'icon.svg'].map(async (file) =>
              (await fetch(file)).headers.get('cross-origin-embedder-policy'))).then(done);""")
        self.assertEqual(policies, ["require-corp", "require-corp", None])

    def test_connects_to_nothing_else(self):
        self.open()
        blocked = self.browser.execute_async_script("""
            const done = arguments[0];
            addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), {once: true});
            fetch('https://mirnet.invalid/').catch(() => {});""")
        self.assertEqual(blocked, "connect-src")
        self.browser.get_log("browser")  # tells of what was blocked

    def test_strength_and_jpeg(self):
        self.open()
        picture = noisy(150, 120, seed=2)
        self.choose("A photo.of me.jpeg", png(picture))  # browsers look at the content
        self.finish()
        self.run_script("""
            const strength = document.getElementById('strength');
            strength.value = 50;
            strength.dispatchEvent(new Event('input'));""")
        self.assertEqual(self.get("strength-value").text, "50 %")
        half = self.colours(self.saved("A photo.of me-clean.png", self.get("save-png").click))
        self.assert_close(half, self.program_result(picture, "--strength", "0.5"))
        jpeg = self.saved("A photo.of me-clean.jpg", self.get("save-jpeg").click)
        self.assertEqual(jpeg[:3], b"\xff\xd8\xff")
        self.file("half.jpg", jpeg)
        self.file("half.png", png(Picture(150, 120, 3, half)))
        psnr = float(re.search(r"([\d.]+) dB", self.succeeds("compare", "half.jpg", "half.png"))[1])
        self.assertGreater(psnr, 30)  # colours at half of the resolution

    def test_transparency(self):
        picture = noisy(64, 48)
        samples = [sample for i in range(0, len(picture.samples), 3)
                   for sample in (*picture.samples[i:i + 3], 0 if i // 3 % 64 < 32 else 255)]
        self.open()
        self.choose("photo.png", png(Picture(64, 48, 4, samples)))
        self.finish()
        clean = read_png(self.saved("photo-clean.png", self.get("save-png").click))
        self.assertEqual(clean.samples[3::4], samples[3::4])
        self.assertIn("transparent parts become white", self.get("save-jpeg").get_attribute("title"))
        jpeg = self.saved("photo-clean.jpg", self.get("save-jpeg").click)
        shown = read_png(self.denoises("clean.jpg", jpeg, "shown.png", "--strength", "0"))
        left = [sample for row in shown.rows() for sample in row[:20 * 3]]
        right = [sample for row in shown.rows() for sample in row[44 * 3:]]
        self.assertGreater(min(left), 250)
        self.assertLess(max(right), 250)

    def test_save_whose_worker_dies(self):
        self.open()
        picture = noisy(90, 70)
        self.choose("photo.png", png(picture))
        self.finish()
        self.run_script("""
            window.realWorker = Worker;
            window.Worker = class {
              postMessage(message, transfer) {
                structuredClone(message, {transfer});
                setTimeout(() => this.onerror({message: 'it has died'}));
              }
              terminate() { window.ended = true; }
            };""")
        self.get("save-png").click()
        self.wait(lambda: self.get("error").is_displayed())
        self.assertIn("it has died", self.get("error").text)
        self.assertTrue(self.run_script("window.Worker = window.realWorker; return window.ended"))
        self.assertFalse(self.get("save-png").is_enabled())
        self.get("again").click()
        self.finish()
        result = self.colours(self.saved("photo-clean.png", self.get("save-png").click))
        self.assert_close(result, self.program_result(picture))

    def test_drop_without_a_file(self):
        self.open()
        self.run_script("""
            const event = new Event('drop', {cancelable: true});
            Object.defineProperty(event, 'dataTransfer', {value: {types: ['Files'], files: []}});
            dispatchEvent(event);""")
        self.assertEqual(self.get("invitation").text, "Choose a photograph")
        self.choose("photo.png", png(noisy(64, 64)))
        self.finish()

    def test_keyboard(self):
        self.open()
        active = self.browser.switch_to.active_element
        active.send_keys(Keys.TAB)
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "file")
        self.choose("photo.png", png(noisy(120, 90)))
        self.finish()
        focused = lambda: self.browser.switch_to.active_element  # noqa: E731
        self.wait(lambda: focused().get_attribute("id") == "save-png")
        self.saved("photo-clean.png", lambda: focused().send_keys(Keys.ENTER))
        order = []
        self.run_script("document.getElementById('compare').focus()")
        for _ in range(6):
            order.append(focused().get_attribute("id"))
            focused().send_keys(Keys.TAB)
        self.assertEqual(order, ["compare", "strength", "zoom", "save-png", "save-jpeg", "other"])
        left = self.run_script("return document.getElementById('divider').offsetLeft")
        self.get("compare").send_keys(Keys.ARROW_LEFT * 10)
        self.assertEqual(self.get("compare").get_attribute("aria-valuetext"), "40 % before, 60 % after")
        self.assertLess(self.run_script("return document.getElementById('divider').offsetLeft"), left)
        self.get("zoom").send_keys(Keys.SPACE)
        self.assertEqual(self.get("zoom").get_attribute("aria-pressed"), "true")

    def test_cancel(self):
        self.open()
        picture = noisy(620, 400)
        self.choose("photo.png", png(picture))
        self.wait(lambda: float(self.get("progress").get_attribute("value") or 0) > 0)
        start = time.monotonic()
        self.get("cancel").send_keys(Keys.ESCAPE)
        self.wait(lambda: self.get("again").is_displayed())
        self.assertLess(time.monotonic() - start, 1)
        self.assertEqual(self.get("live").get_attribute("textContent"), "Cancelled.")
        self.assertFalse(self.get("save-png").is_enabled())
        hidden = self.run_script("""
            document.getElementById('again').click();
            return ['actions', 'running'].map((name) => document.getElementById(name).hidden);""")
        self.assertEqual(hidden, [True, False])  # while the file is decoded, too
        self.finish()
        result = self.colours(self.saved("photo-clean.png", self.get("save-png").click))
        self.assert_close(result, self.program_result(picture))

    def time_pauses(self):
        self.run_script("""
            let last = performance.now();
            window.longest = 0;
            setInterval(() => {
              const now = performance.now();
              window.longest = Math.max(window.longest, now - last);
              last = now;
            }, 5);""")

    def test_answers_while_it_computes(self):
        pauses = []
        for _ in range(3):  # the machine may do other things meanwhile
            self.open()
            self.time_pauses()
            self.choose("photo.png", png(noisy(500, 400)))
            self.finish()
            pauses.append(self.run_script("return window.longest"))
            if pauses[-1] < 200:
                break
        self.assertLess(min(pauses), 200)

    def test_another_photograph_while_one_is_computed(self):
        self.open()
        self.choose("large.png", png(noisy(700, 500)))
        self.wait(lambda: self.get("running").is_displayed())
        picture = noisy(90, 70)
        self.choose("small.png", png(picture))
        self.wait(lambda: self.get("name").text == "small.png")
        self.finish()
        result = self.colours(self.saved("small-clean.png", self.get("save-png").click))
        self.assert_close(result, self.program_result(picture))

    def test_what_is_no_picture(self):
        self.open()
        self.choose("notes.txt", b"no picture")
        self.wait(lambda: self.get("error").is_displayed())
        self.assertIn("notes.txt is not a picture that this browser can read. Choose a JPEG", self.get("error").text)
        self.choose("photo.png", png(noisy(64, 64)))  # and the page goes on
        self.finish()
        self.assertFalse(self.get("error").is_displayed())

    def test_names_for_screen_readers(self):
        self.open()
        self.choose("photo.png", png(noisy(100, 80)))
        self.finish()
        nodes = self.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        controls = [node for node in nodes if node.get("role", {}).get("value") in ("button", "slider", "progressbar")]
        names = {node["name"]["value"] for node in controls}
        self.assertLessEqual({"Compare", "Strength", "Actual size", "Save as PNG", "Save as JPEG"}, names)
        self.assertNotIn("", names)
        self.assertIn("photo.png is clean", self.get("live").get_attribute("textContent"))

    def test_narrow(self):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        self.open()
        self.choose("a-photograph-with-a-name-that-is-much-longer-than-a-telephone-is-wide.png",
                    png(noisy(300, 200)))
        self.finish()
        self.assertLessEqual(self.run_script("return document.documentElement.scrollWidth"), 360)
        small = self.run_script("""
            return [...document.querySelectorAll('button, input[type=range]')].filter((one) => one.offsetParent)
                .filter((one) => one.offsetHeight < 44).map((one) => one.id)""")
        self.assertEqual(small, [])

    @unittest.skipUnless(LONG, "takes minutes: --long")
    def test_24_megapixels(self):
        rows = [b"\0" + bytes(row) * 10 for row in noisy(600, 400).rows()]
        header = struct.pack(">IIBBBBB", 6000, 4000, 8, 2, 0, 0, 0)
        self.open()
        self.choose("large.png", b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
                    + png_chunk(b"IDAT", zlib.compress(b"".join(rows) * 10, 1)) + png_chunk(b"IEND", b""))
        self.wait(lambda: self.get("running").is_displayed())
        self.time_pauses()
        peak, start = 0, time.monotonic()
        while not self.get("save-png").is_enabled():
            self.assertFalse(self.get("error").is_displayed(), self.get("error").text)
            self.assertLess(time.monotonic() - start, 3600)
            peak = max(peak, self.renderer_bytes())
            time.sleep(0.5)
        seconds = time.monotonic() - start
        gap = self.run_script("return window.longest")
        size = len(self.saved("large-clean.png", self.get("save-png").click))
        peak = max(peak, self.renderer_bytes())
        print(f"24 megapixels: {seconds:.0f} s, {peak / 1e6:.0f} MB in the page's process at most, longest pause "
              f"{gap:.0f} ms, PNG of {size / 1e6:.1f} MB")
        self.assertLess(peak, 2e9)
        self.assertLess(gap, 200)

    def renderer_bytes(self):
        """Resident memory of the largest of this browser's processes for pages."""
        folder = self.browser.capabilities["chrome"]["userDataDir"]
        found = subprocess.run(["ps", "-ww", "-eo", "rss=,args="], capture_output=True, text=True).stdout
        pages = [line for line in found.splitlines() if "--type=renderer" in line and folder in line]
        return max((int(line.split()[0]) for line in pages), default=0) * 1024

    @unittest.skipUnless(SCREENSHOTS, "--screenshots FOLDER")
    def test_screenshots(self):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples" / "noisy.png", self.path / "noisy.png")
        for dark in (False, True):
            for width, height in ((1200, 900), (375, 800)):
                name = f"{'dark' if dark else 'light'}-{width}"
                self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
                    {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
                self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": height, "deviceScaleFactor": 1 if width > 500 else 2,
                    "mobile": width < 500})
                self.open()
                self.browser.save_screenshot(str(SCREENSHOTS / f"{name}-empty.png"))
                self.get("file").send_keys(str(self.path / "noisy.png"))
                self.wait(lambda: self.get("running").is_displayed()
                          and float(self.get("progress").get_attribute("value") or 0) > 0.2)
                self.browser.save_screenshot(str(SCREENSHOTS / f"{name}-running.png"))
                self.finish()
                self.browser.save_screenshot(str(SCREENSHOTS / f"{name}-done.png"))
                self.get("zoom").click()
                self.browser.save_screenshot(str(SCREENSHOTS / f"{name}-actual.png"))
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


if __name__ == "__main__":
    missing = [name for name, there in (("Chromium", BROWSER), ("its driver", DRIVER), ("Selenium", webdriver))
               if not there]
    if missing:
        print(f"skipped: {', '.join(missing)} not found")
        sys.exit(77)
    unittest.main()
