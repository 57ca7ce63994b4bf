"""A recipe for Conan 2: the headers, and what find_package(mirnet) needs to know. It builds nothing."""
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy
from conan.tools.layout import basic_layout


class MirnetConan(ConanFile):
    name = "mirnet"
    description = "MIRNet image restoration on CPUs: a header-only C++20 library"
    license = "Apache-2.0"
    topics = ("image-restoration", "denoising", "neural-network", "simd", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"io": [True, False], "eigen": [True, False]}
    default_options = {"io": False, "eigen": False}
    exports = "include/mirnet/version.hpp"
    exports_sources = "include/*", "cmake/mirnet_*.cmake", "LICENSE"
    no_copy_source = True

    def set_version(self):
        text = (Path(self.recipe_folder) / "include/mirnet/version.hpp").read_text(encoding="utf-8")
        self.version = ".".join(re.findall(r"^#define MIRNET_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE))

    def layout(self):
        basic_layout(self)

    def requirements(self):
        self.requires("xsimd/[>=8.1]", transitive_headers=True)
        if self.options.io:
            self.requires("stb/cci.20230920", transitive_headers=True)
        if self.options.eigen:
            self.requires("eigen/[>=3.4]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", self.source_folder, str(Path(self.package_folder) / "licenses"))
        for pattern in "*.hpp", "kernels.cpp":
            copy(self, pattern, str(Path(self.source_folder) / "include"), str(Path(self.package_folder) / "include"))
        for name in "mirnet_kernels.cmake", "mirnet_check_symbols.cmake":
            copy(self, name, str(Path(self.source_folder) / "cmake"), str(Path(self.package_folder) / "cmake"))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        def part(name, target, requires):
            component = self.cpp_info.components[name]
            component.set_property("cmake_target_name", target)
            component.bindirs = component.libdirs = []
            component.requires = requires
            return component

        self.cpp_info.set_property("cmake_file_name", "mirnet")
        self.cpp_info.set_property("cmake_build_modules", ["cmake/mirnet_kernels.cmake"])  # mirnet_add_kernels
        core = part("core", "mirnet::mirnet", ["xsimd::xsimd"])
        core.set_property("pkg_config_name", "mirnet")
        if self.settings.get_safe("compiler") in ("gcc", "clang", "apple-clang"):
            core.cxxflags = ["-ffp-contract=off"]
        threads = part("threads", "mirnet::threads", ["core"])
        if self.settings.get_safe("os") in ("Linux", "FreeBSD"):
            threads.system_libs = ["pthread"]
        if self.options.io:
            part("io", "mirnet::io", ["core", "stb::stb"])
        if self.options.eigen:
            part("eigen", "mirnet::eigen", ["core", "eigen::eigen"])
