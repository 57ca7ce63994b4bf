"""What the tests of pages share: the browser, and where there is none."""
import os
import pathlib
import shutil
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def program(variable, built):
    """The program that the test's first argument or an environment variable names, or else one in the release build."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and os.path.isfile(sys.argv[1]):
        return str(pathlib.Path(sys.argv.pop(1)).resolve())
    return os.environ.get(variable, str(ROOT / "build" / "release" / built))


def main():
    """Runs the tests, or ends with the exit code of a test that is skipped."""
    if BROWSER is None:
        print("skipped: there is no Chromium")
        sys.exit(77)
    unittest.main()
