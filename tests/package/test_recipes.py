#!/usr/bin/env python3
"""The recipes for vcpkg and Conan name this version and this library: python3 tests/package/test_recipes.py -v

Neither tool is asked: the recipes are only read, and Conan's is run with a stand-in for the tool.
"""
import json
import pathlib
import re
import sys
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]


def version():
    text = (ROOT / "include/mirnet/version.hpp").read_text(encoding="utf-8")
    parts = re.findall(r"^#define MIRNET_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE)
    assert len(parts) == 3
    return ".".join(parts)


def cmake_description():
    return re.search(r'DESCRIPTION "([^"]+)"', (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[1]


class Recipes(unittest.TestCase):
    def test_vcpkg(self):
        recipe = json.loads((ROOT / "vcpkg.json").read_text(encoding="utf-8"))
        self.assertEqual(recipe["name"], "mirnet")
        self.assertEqual(recipe["version"], version())
        self.assertEqual(recipe["description"], cmake_description())
        self.assertEqual(recipe["license"], "Apache-2.0")
        self.assertIn("xsimd", recipe["dependencies"])
        self.assertIn("stb", recipe["features"]["io"]["dependencies"])
        self.assertIn("eigen3", recipe["features"]["eigen"]["dependencies"])

    def recipe(self, io=False, eigen=False):
        """Conan's recipe as an object of a class that records what it is told."""
        conan = mock.MagicMock()
        conan.ConanFile = type("ConanFile", (), {})
        modules = {"conan": conan}
        for name in "conan.tools", "conan.tools.build", "conan.tools.files", "conan.tools.layout":
            modules[name] = mock.MagicMock()
        module = types.ModuleType("conanfile")
        source = (ROOT / "conanfile.py").read_text(encoding="utf-8")
        with mock.patch.dict(sys.modules, modules):
            exec(compile(source, "conanfile.py", "exec"), module.__dict__)
        recipe = module.MirnetConan()
        recipe.recipe_folder = str(ROOT)
        recipe.options = types.SimpleNamespace(io=io, eigen=eigen)
        recipe.settings = mock.Mock()
        recipe.settings.get_safe = {"compiler": "gcc", "os": "Linux"}.get
        recipe.requires = mock.Mock()
        recipe.cpp_info = mock.MagicMock()
        recipe.cpp_info.components = {name: mock.Mock() for name in ("core", "threads", "io", "eigen")}
        return recipe

    def test_conan(self):
        recipe = self.recipe()
        recipe.set_version()
        self.assertEqual((recipe.name, recipe.version, recipe.license), ("mirnet", version(), "Apache-2.0"))
        self.assertTrue(cmake_description().startswith(recipe.description))
        self.assertTrue((ROOT / recipe.exports).is_file())
        recipe.requirements()
        self.assertEqual([call.args[0].split("/")[0] for call in recipe.requires.call_args_list], ["xsimd"])
        recipe.package_info()
        self.assertEqual(recipe.cpp_info.components["core"].cxxflags, ["-ffp-contract=off"])

        everything = self.recipe(io=True, eigen=True)
        everything.requirements()
        self.assertEqual([call.args[0].split("/")[0] for call in everything.requires.call_args_list],
                         ["xsimd", "stb", "eigen"])
        everything.package_info()
        targets = [component.set_property.call_args_list[0].args for component in everything.cpp_info.components.values()]
        self.assertEqual(targets, [("cmake_target_name", "mirnet::" + name)
                                   for name in ("mirnet", "threads", "io", "eigen")])


if __name__ == "__main__":
    unittest.main()
