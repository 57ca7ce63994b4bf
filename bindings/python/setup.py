"""Builds the wheel. CMake compiles the extension module from the sources of the whole project.

    pip wheel ./bindings/python --no-build-isolation --no-deps

needs a C++20 compiler, CMake, xsimd and pybind11; on Debian, scripts/install-packages.sh bindings installs them. CMake
reads its usual environment variables, such as CXX, CMAKE_GENERATOR, CMAKE_CXX_COMPILER_LAUNCHER and
CMAKE_BUILD_PARALLEL_LEVEL; CMAKE_ARGS has further options.

The build tree is build/wheel/... in the project's folder, or the one that MIRNET_PYTHON_BUILD_DIR names. If that one
has been configured already, with MIRNET_BUILD_PYTHON=ON, its objects are used as they are.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "wheel"


def version():
    text = (ROOT / "include" / "mirnet" / "version.hpp").read_text(encoding="utf-8")
    return ".".join(re.search(rf"^#define MIRNET_VERSION_{part} (\d+)$", text, re.MULTILINE)[1]
                    for part in ("MAJOR", "MINOR", "PATCH"))


class BuildWithCMake(build_ext):
    def run(self):
        tree = Path(os.environ.get("MIRNET_PYTHON_BUILD_DIR") or BUILD / sys.implementation.cache_tag)
        if "MIRNET_PYTHON_BUILD_DIR" not in os.environ or not (tree / "CMakeCache.txt").exists():
            self.configure(tree)
        self.cmake("--build", tree, "--target", "mirnet_python", "--config", "Release")
        module = Path(self.get_ext_fullpath("mirnet._mirnet")).resolve()
        self.cmake("--install", tree, "--component", "mirnet_python", "--prefix", module.parents[1],
                   "--config", "Release", "--strip")
        if not module.exists():
            raise RuntimeError(f"{tree} is configured for another Python: it has no {module.name}")

    def configure(self, tree):
        options = {"MIRNET_BUILD_C": "ON", "MIRNET_BUILD_PYTHON": "ON", "MIRNET_PYTHON": sys.executable}
        options.update((f"MIRNET_BUILD_{part}", "OFF") for part in ("CLI", "EXAMPLES", "TESTS", "BENCH"))
        options["MIRNET_INSTALL"] = "OFF"
        generator = ["-G", "Ninja"] if "CMAKE_GENERATOR" not in os.environ and shutil.which("ninja") else []
        self.cmake("-S", ROOT, "-B", tree, *generator, *(f"-D{name}={value}" for name, value in options.items()),
                   *shlex.split(os.environ.get("CMAKE_ARGS", "")))

    def cmake(self, *arguments):
        subprocess.run(["cmake", *map(str, arguments)], check=True)


BUILD.mkdir(parents=True, exist_ok=True)
setup(version=version(), cmdclass={"build_ext": BuildWithCMake}, ext_modules=[Extension("mirnet._mirnet", sources=[])],
      # Everything that a build leaves behind is in one folder, which git ignores.
      options={"build": {"build_base": str(BUILD / "setuptools")}, "egg_info": {"egg_base": str(BUILD)}})
