#!/usr/bin/env python3
"""The page of pictures before and after, in a browser: python3 tests/cli/test_comparison_page.py [MAKE_COMPARISON_PAGE]

The program that makes a page is the one that the environment variable MAKE_COMPARISON_PAGE or the argument names.
Skipped (exit code 77) where there is no Chromium or Chrome.
"""
import base64
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time
import unittest

from chromium import BROWSER, main, program

PROGRAM = program("MAKE_COMPARISON_PAGE", "tests/make_comparison_page")
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, " ": 32}


class Browser:
    """Chromium, driven by its own protocol through a pipe. Every request but for files would have to go through a proxy
    that is not there."""

    def __init__(self, folder, scripts=True):
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--proxy-server=127.0.0.1:9",
                   "--hide-scrollbars", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
        # The protocol wants the descriptors 3 and 4.
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" "$@"'
        self.process = subprocess.Popen(["bash", "-c", shell, BROWSER, *options], pass_fds=(to_browser, from_browser),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.last, self.rest, self.session, self.messages = 0, b"", None, []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        os.close(self.to)
        os.close(self.back)

    def receive(self):
        deadline = time.monotonic() + 60
        while b"\0" not in self.rest:
            if not select.select([self.back], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self.back, 1 << 20)
            if not part:
                raise EOFError("the browser has ended")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(message)
        if message.get("method") == "Page.loadEventFired":
            self.loaded = True
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
            self.messages.append(message["params"])
        return message

    def call(self, method, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = {}
        while answer.get("id") != self.last:
            answer = self.receive()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, address, width=1200, height=900, scale=1, dark=False, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        for one in ("about:blank", address):  # from one place in a page to another nothing would be loaded
            self.loaded = False
            self.call("Page.navigate", url=one)
            while not self.loaded:
                self.receive()

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def key(self, kind, key, **more):
        text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
        code = KEYS.get(key, ord(key.upper()[0]))
        self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text, **more)

    def press(self, key, **more):
        self.key("keyDown", key, **more)
        self.key("keyUp", key, **more)

    def mouse(self, kind, x, y):
        held = kind != "mouseReleased"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(held), clickCount=1)

    def drag(self, x, y, to_x, to_y):
        self.mouse("mousePressed", x, y)
        for step in (0.3, 0.7, 1):
            self.mouse("mouseMoved", x + (to_x - x) * step, y + (to_y - y) * step)
        self.mouse("mouseReleased", to_x, to_y)

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.path = pathlib.Path(folder.name)
        page = cls.path / "page.html"
        subprocess.run([PROGRAM, page], check=True)
        cls.address = page.as_uri()
        cls.browser = Browser(cls.path / "browser")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.messages.clear()
        self.value = self.browser.value

    def tearDown(self):
        self.assertEqual(self.browser.messages, [])

    def open(self, fragment="", **how):
        self.browser.open(self.address + fragment, **how)
        self.assertEqual(self.value("document.documentElement.dataset.drawn"), "3")

    def box(self, selector):
        return self.value(f"""(() => {{ const box = document.querySelector("section:not([hidden]) {selector}").getBoundingClientRect();
                              return {{x: box.x, y: box.y, width: box.width, height: box.height}}; }})()""")

    def line(self):
        return int(self.value("""document.querySelector("section:not([hidden]) .handle").getAttribute("aria-valuenow")"""))

    def clips(self):
        """Of the shown picture's first pair: how much of each image's width is seen, in per cent."""
        return self.value("""[...document.querySelectorAll("section:not([hidden]) .pair:first-child img")].map(image => {
            const numbers = image.style.clipPath.match(/[\\d.]+/g).map(Number);  // as short as CSS allows
            const right = numbers[1] ?? numbers[0], left = numbers[3] ?? right;
            return Math.round(100 * (1 - (left + right) / image.clientWidth)); })""")

    def heading(self):
        return self.value("""document.querySelector("section:not([hidden]) h2").textContent""")

    def test_what_is_shown(self):
        self.open()
        self.assertEqual(self.value("""document.querySelectorAll("section:not([hidden])").length"""), 1)
        self.assertEqual(self.heading(), "<b>&<!--</script>.png")
        self.assertEqual(self.value("""document.querySelectorAll("section:not([hidden]) .handle").length"""), 4)
        self.assertEqual(self.value("""[...document.querySelectorAll("img")].filter(image =>
            image.naturalWidth !== +image.getAttribute("width") || image.naturalHeight !== +image.getAttribute("height")).length"""), 0)
        self.assertEqual(self.value("""document.querySelector("section:not([hidden]) table").innerText"""),
                         "size\t6000 x 4000\ntime\t12.3 s\nsettings\tquality standard")
        self.assertEqual(self.clips(), [50, 50])

    def test_keyboard_moves_the_line(self):
        self.open()
        self.value("""document.querySelector(".handle").focus()""")
        self.assertEqual(self.value("document.activeElement.role"), "slider")
        for key, expected in (("ArrowRight", 51), ("ArrowLeft", 50), ("ArrowUp", 51), ("ArrowDown", 50), ("Home", 0),
                              ("ArrowLeft", 0), ("End", 100), ("ArrowRight", 100)):
            self.browser.press(key)
            self.assertEqual(self.line(), expected, key)
            self.assertEqual(self.clips(), [expected, 100 - expected])
        self.browser.press("ArrowLeft", modifiers=8)  # Shift
        self.assertEqual(self.line(), 90)
        self.assertEqual(self.value("""document.activeElement.getAttribute("aria-valuetext")"""), "90 % before")

    def test_mouse_moves_the_line(self):
        self.open()
        box = self.box(".pan")
        middle = box["y"] + box["height"] / 2
        self.browser.drag(box["x"] + box["width"] / 2, middle, box["x"] + box["width"] / 4, middle)  # the line
        self.assertEqual(self.clips(), [25, 75])
        self.browser.drag(box["x"] + 0.5 * box["width"], middle, box["x"] + 0.8 * box["width"], middle)  # the picture
        self.assertEqual(self.clips(), [80, 20])
        self.browser.drag(box["x"] + 0.3 * box["width"], middle, box["x"] + 0.3 * box["width"], middle)  # a click
        self.assertEqual(self.clips(), [30, 70])
        self.browser.press("Home")  # the line has the focus now
        self.assertEqual(self.clips(), [0, 100])

    def test_finger_moves_the_line(self):
        self.open(width=400, height=800, scale=2, mobile=True)
        self.value("""document.querySelector('.zoom [value="0"]').click()""")
        box = self.box(".pan")
        y = box["y"] + box["height"] / 2
        at = lambda share: [{"x": box["x"] + share * box["width"], "y": y}]
        self.browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=at(0.5))
        for share in (0.6, 0.7, 0.75):
            self.browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=at(share))
        self.browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.assertEqual(self.clips(), [75, 25])

    def test_before_and_after_alone(self):
        self.open()
        for key, expected in (("b", [100, 0]), ("a", [0, 100])):
            self.browser.key("keyDown", key)
            self.assertEqual(self.clips(), expected)
            self.browser.key("keyUp", key)
            self.assertEqual(self.clips(), [50, 50])
        for which, expected in (("before", [100, 0]), ("after", [0, 100])):
            box = self.value(f"""document.querySelector('[data-which="{which}"]').getBoundingClientRect().toJSON()""")
            at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            self.browser.mouse("mousePressed", *at)
            self.assertEqual(self.clips(), expected)
            self.browser.mouse("mouseReleased", *at)
            self.assertEqual(self.clips(), [50, 50])
            self.value(f"""document.querySelector('[data-which="{which}"]').focus()""")
            self.browser.key("keyDown", " ")
            self.assertEqual(self.clips(), expected)
            self.browser.key("keyUp", " ")
            self.assertEqual(self.clips(), [50, 50])

    def test_zoom_counts_pixels_of_the_screen(self):
        rendering = """getComputedStyle(document.querySelector("section:not([hidden]) img")).imageRendering"""
        for scale in (1, 1.25, 2, 3):
            self.open("#picture-3", scale=scale)
            for key, factor in (("1", 1), ("2", 2)):
                self.browser.press(key)
                box = self.box("img")
                self.assertAlmostEqual(box["width"] * scale, 40 * factor, delta=0.1)
                self.assertAlmostEqual(box["height"] * scale, 30 * factor, delta=0.1)
                self.assertEqual(self.value(rendering), "pixelated")
        self.open("#picture-2", width=800, height=600)
        self.assertAlmostEqual(self.box("img")["width"], 1600, delta=0.1)
        self.browser.press("0")
        box = self.box("img")
        self.assertLessEqual(box["width"], 800)
        self.assertLessEqual(box["height"], 600)
        self.assertAlmostEqual(box["width"] / box["height"], 4 / 3, delta=0.01)
        self.assertEqual(self.value(rendering), "auto")

    def scrolled(self):
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.value("""(({scrollLeft, scrollTop}) => [scrollLeft, scrollTop])(document.querySelector("#picture-2 .pan"))""")

    def test_large_pictures_move_under_the_line(self):
        self.open("#picture-2", width=800, height=600)
        box = self.box(".pan")
        for seen, place in zip(self.scrolled(), ((1600 - box["width"]) / 2, (1200 - box["height"]) / 2)):
            self.assertAlmostEqual(seen, place, delta=1)  # the middle first
        left, top = self.scrolled()
        y = box["y"] + 100
        self.browser.drag(box["x"] + 0.3 * box["width"], y, box["x"] + 0.3 * box["width"] - 150, y - 60)
        self.assertEqual(self.scrolled(), [left + 150, top + 60])
        self.assertEqual(self.line(), 50)
        line = self.box(".handle")
        self.assertAlmostEqual(line["x"] + line["width"] / 2, box["x"] + box["width"] / 2, delta=1)
        self.assertAlmostEqual(self.clips()[0], 100 * (left + 150 + box["width"] / 2) / 1600, delta=1)
        self.browser.press("2")  # around the same place
        self.assertAlmostEqual(self.scrolled()[0] + box["width"] / 2, 2 * (left + 150 + box["width"] / 2), delta=2)

    def test_pictures_one_after_the_other(self):
        self.open()
        names = ["<b>&<!--</script>.png", "all of \ufffd.jpg", "third.png"]
        self.browser.press("n")
        self.assertEqual(self.heading(), names[1])
        self.assertEqual(self.value("location.hash"), "#picture-2")
        self.value("""document.getElementById("next").click()""")
        self.assertEqual(self.heading(), names[2])
        self.assertTrue(self.value("""document.getElementById("next").disabled"""))
        self.browser.press("p")
        self.assertEqual(self.heading(), names[1])
        self.assertEqual(self.value("""document.getElementById("pictures").selectedOptions[0].text"""), f"2 of 3: {names[1]}")
        self.open("#picture-3")
        self.assertEqual(self.heading(), names[2])

    def test_narrow_windows(self):
        """Nothing is wider than a phone, and all that can be pressed is there."""
        for fragment in ("#picture-1", "#picture-2"):
            self.open(fragment, width=360, height=700, scale=3, mobile=True)
            for key in ("0", "1", "2"):
                self.browser.press(key)
                self.assertLessEqual(self.value("document.documentElement.scrollWidth"), 360)
        for selector in ("button", ".zoom span"):
            self.assertLessEqual(self.value(f"""Math.max(...[...document.querySelectorAll("{selector}")].map(
                one => one.getBoundingClientRect().right))"""), 360)

    def test_light_and_dark(self):
        """Both are drawn, and are not the same."""
        pictures = []
        for dark in (False, True):
            self.open(dark=dark)
            pictures.append(self.browser.screenshot())
            self.assertEqual(pictures[-1][:8], b"\x89PNG\r\n\x1a\n")
        self.assertNotEqual(*pictures)

    def test_nothing_is_fetched(self):
        """The page's own policy forbids what is not in it."""
        self.open()
        refused = self.value("""new Promise(done => {
            addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            new Image().src = "https://example.com/a.png"; })""")
        self.assertEqual(refused, "img-src")
        self.browser.call("Log.clear")
        self.browser.messages.clear()  # which say the same

    def test_without_scripts(self):
        """All images of all pictures can be seen."""
        browser = Browser(self.path / "without scripts", scripts=False)
        self.addCleanup(browser.close)
        browser.open(self.address, width=900)
        text = browser.call("Page.captureSnapshot")["data"]
        self.assertNotIn("data-drawn", text)
        document = browser.call("DOM.getDocument", depth=-1)["root"]
        images = browser.call("DOM.querySelectorAll", nodeId=document["nodeId"], selector="section img")["nodeIds"]
        self.assertEqual(len(images), 12)
        boxes = [browser.call("DOM.getBoxModel", nodeId=image)["model"]["border"] for image in images]
        for box, other in zip(boxes[::2], boxes[1::2]):
            self.assertTrue(other[0] >= box[2] or other[1] >= box[5], "the images of a pair lie over one another")
            self.assertGreater(box[2] - box[0], 30)
            self.assertLessEqual(other[2], 900)


if __name__ == "__main__":
    main()
