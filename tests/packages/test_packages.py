#!/usr/bin/env python3
"""Debian packages and the archive: what is in them, whether lintian finds errors or warnings, whether what is installed
works and goes away without a trace, and whether two runs of cpack make the same bytes.

    python3 tests/packages/test_packages.py --build build/release --cpack cpack ... [-v]

Packages are installed into a folder, beside a database of dpkg that knows the packages of this system that they depend
on. With MIRNET_INSTALL_TEST=1, root also installs them on the system itself, with apt-get, and purges them.
"""
import argparse
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
sys.argv, arguments = sys.argv[:1], sys.argv[1:]
import program  # noqa: E402

DATE = 1700000000
SYSTEM_TEST = os.environ.get("MIRNET_INSTALL_TEST") == "1"
LONG = SYSTEM_TEST or os.environ.get("MIRNET_LONG_TESTS") == "1"


def environment(**changes):
    kept = {name: value for name, value in os.environ.items()
            if name not in ("DESTDIR", "LD_LIBRARY_PATH", "MIRNET_WEIGHTS", "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH")}
    # Debian keeps ldconfig, which dpkg wants to find, where users do not look.
    return kept | {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"} | changes


def run(*command, fails=False, **changes):
    """What a command prints."""
    cwd = changes.pop("cwd", None)
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment(**changes), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def make_packages(folder, *cpack_options, **changes):
    """{name: file} of the Debian packages, and the archive."""
    if not LONG:  # a third of the time of xz
        cpack_options += "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=gzip"
    run(options.cpack, "-B", folder, *cpack_options, cwd=options.build, **changes)
    debs = {file.name.split("_")[0]: file for file in folder.glob("*.deb")}
    archive, = list(folder.glob("*.tar.gz")) or [None]
    return debs, archive


def fields(deb):
    text = run("dpkg-deb", "--field", deb)
    return dict(re.findall(r"^([\w-]+): (.*(?:\n .*)*)", text, re.MULTILINE))


def members(deb, part="--fsys-tarfile"):
    """{path: (TarInfo, bytes or None)} of the files and folders of a package."""
    with subprocess.Popen(["dpkg-deb", part, str(deb)], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            return {info.name.removeprefix("./"): (info, tar.extractfile(info).read() if info.isfile() else None)
                    for info in tar}


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(options.work, ignore_errors=True)
        options.work.mkdir(parents=True)
        cls.debs, cls.archive = make_packages(options.work / "first", SOURCE_DATE_EPOCH=str(DATE))
        cls.heic = (options.build / "mirnet-heic").exists() and "mirnet-heic" in cls.debs
        picture = program.draw(40, 24, 3)
        cls.noisy, cls.noisy_ppm = options.work / "noisy.png", options.work / "noisy.ppm"
        cls.noisy.write_bytes(program.png(picture))
        cls.noisy_ppm.write_bytes(program.pnm(picture))

    @property
    def library(self):
        return f"libmirnet{options.interface}"

    def test_packages(self):
        """Names, versions, relations."""
        expected = {"mirnet", "mirnet-weights", "libmirnet-dev", self.library, "libmirnet-c-dev"}
        self.assertEqual(set(self.debs) - {"mirnet-heic"}, expected)
        control = {name: fields(deb) for name, deb in self.debs.items()}
        version, = {one["Version"] for one in control.values()}
        self.assertRegex(version, "^" + re.escape(options.version) + "-[a-z0-9.+~]+$")
        for name, deb in self.debs.items():
            self.assertEqual(deb.name, f"{name}_{version}_{control[name]['Architecture']}.deb")
        machine = run("dpkg", "--print-architecture").strip()
        for name, one in control.items():
            everywhere = name in ("mirnet-weights", "libmirnet-dev")
            self.assertEqual(one["Architecture"], "all" if everywhere else machine)
        for name in ("libc6", "libjpeg", "libpng", "libstdc++6", "zlib1g"):
            self.assertIn(name, control["mirnet"]["Depends"])
        self.assertIn("libc6", control[self.library]["Depends"])
        self.assertIn("libxsimd-dev", control["libmirnet-dev"]["Depends"])
        self.assertIn(f"{self.library} (= {version})", control["libmirnet-c-dev"]["Depends"])
        # Libraries that the program loads, by what it says of them itself.
        recommended = control["mirnet"]["Recommends"]
        self.assertIn(f"mirnet-weights (= {version})", recommended)
        binary = (options.build / "mirnet").read_bytes()
        loaded = set(re.findall(rb"(lib(?:tiff|jxl|avif|raw))\.so[.0-9]*\0", binary))
        self.assertEqual(recommended.count(", "), len(loaded))
        for name in loaded:
            self.assertIn(name.decode(), recommended)

    def test_files(self):
        """Owners, permissions, dates; manual and change logs; nothing of the build's folder."""
        for name, deb in self.debs.items():
            files = members(deb)
            for path, (info, content) in files.items():
                with self.subTest(package=name, path=path):
                    self.assertEqual((info.uid, info.gid, info.uname, info.gname), (0, 0, "root", "root"))
                    self.assertEqual(info.mtime, DATE)
                    runs = info.isdir() or content is not None and (
                        content.startswith(b"#!") or content.startswith(b"\x7fELF") and ".so." not in path)
                    if not info.issym():
                        self.assertEqual(oct(info.mode), oct(0o755 if runs else 0o644))
                    if content is not None:
                        self.assertNotIn(str(ROOT).encode(), content)
            doc = f"usr/share/doc/{name}"
            self.assertTrue(files[f"{doc}/copyright"][1].startswith(b"mirnet\n\nCopyright 2026 The authors of mirnet\n"))
            self.assertTrue(files[f"{doc}/copyright"][1].endswith((ROOT / "THIRD-PARTY-NOTICES").read_bytes()))
            for text in (b"xsimd (BSD-3-Clause)", b"(c) QuantStack", b"/usr/share/common-licenses/Apache-2.0"):
                self.assertIn(text, files[f"{doc}/copyright"][1])
            self.assertEqual(gzip.decompress(files[f"{doc}/changelog.gz"][1]), (ROOT / "CHANGELOG.md").read_bytes())
            changes = gzip.decompress(files[f"{doc}/changelog.Debian.gz"][1]).decode()
            self.assertTrue(changes.startswith(f"mirnet ({fields(deb)['Version']}) "), changes)
        files = members(self.debs["mirnet"])
        self.assertIn(b".TH", gzip.decompress(files["usr/share/man/man1/mirnet.1.gz"][1]))
        for path in ("bash-completion/completions/mirnet", "zsh/vendor-completions/_mirnet",
                     "fish/vendor_completions.d/mirnet.fish"):
            self.assertIn(f"usr/share/{path}", files)
        control = members(self.debs[self.library], "--ctrl-tarfile")
        self.assertEqual(set(control) - {"", "."}, {"control", "md5sums", "shlibs", "triggers"})
        self.assertEqual(control["shlibs"][1].decode().split()[:3], ["libmirnet", options.interface, self.library])

    @unittest.skipUnless(shutil.which("lintian"), "lintian is not there")
    def test_lintian(self):
        # It reads them: of a package without a copyright file it tells.
        damaged = options.work / "damaged"
        run("dpkg-deb", "--raw-extract", self.debs["libmirnet-c-dev"], damaged)
        shutil.move(damaged / "usr/share/doc/libmirnet-c-dev", damaged / "usr/share/doc/damaged")
        (damaged / "usr/share/doc/damaged/copyright").unlink()
        control = damaged / "DEBIAN/control"
        control.write_text(control.read_text("utf-8").replace("Package: libmirnet-c-dev", "Package: damaged"), "utf-8")
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", damaged, options.work / "damaged.deb")
        text = run("lintian", "--fail-on", "none", *self.debs.values(), options.work / "damaged.deb")
        found = re.findall(r"^[EW]: .*", text, re.MULTILINE)
        self.assertIn("E: damaged: no-copyright-file", found)
        self.assertEqual([line for line in found if not line.startswith(("E: damaged:", "W: damaged:"))], [])

    def test_same_bytes(self):
        """Another folder, umask, language and time zone make no difference."""
        before = os.umask(0o077)
        try:
            debs, archive = make_packages(options.work / "another folder", SOURCE_DATE_EPOCH=str(DATE), LC_ALL="C",
                                          TZ="Asia/Kolkata")
        finally:
            os.umask(before)
        self.assertEqual(set(debs), set(self.debs))
        self.assertTrue(archive.read_bytes() == self.archive.read_bytes())
        for name in debs:
            # But cpack applies the umask to the modes that the outer archive has for its three members.
            one, other = (of[name].read_bytes().replace(b"100600  ", b"100644  ") for of in (debs, self.debs))
            self.assertTrue(one == other, name)

    def test_refused(self):
        """Mistakes end in a sentence, and leave no package."""
        for says, changes, cpack_options in (
                ("SOURCE_DATE_EPOCH is \"yesterday\"; expected", {"SOURCE_DATE_EPOCH": "yesterday"}, ()),
                ("expected that of these packages, 9.9.9", {}, ("-D", "CPACK_PACKAGE_VERSION=9.9.9"))):
            folder = options.work / "refused"
            text = run(options.cpack, "-G", "DEB", "-B", folder, *cpack_options, cwd=options.build, fails=True,
                       **changes)
            self.assertIn(says, " ".join(text.split()))
            self.assertEqual(list(folder.glob("*.deb")), [])

    def check_program(self, binary):
        """The program that is installed computes what that of the build does, and finds its weights."""
        self.assertIn(options.version, run(binary, "--version"))
        for model in ("standard", "high"):
            results = []
            for one in (options.build / "mirnet", binary):
                results.append(options.work / f"result-{len(results)}.png")
                run(one, "denoise", self.noisy, results[-1], "--overwrite", "--model", model)
            self.assertTrue(results[0].read_bytes() == results[1].read_bytes())
            self.assertNotEqual(results[1].read_bytes(), self.noisy.read_bytes())

    def check_libraries(self, work, *cmake_options, **changes):
        """Programs in C and C++ that find the libraries by pkg-config and CMake."""
        work.mkdir()
        self.assertEqual(run("pkg-config", "--modversion", "mirnet-c", **changes).strip(), options.version)
        self.assertEqual(run("pkg-config", "--modversion", "mirnet", **changes).strip(), options.version)
        flags = run("pkg-config", "--cflags", "--libs", "mirnet-c", **changes).split()
        weights = run("pkg-config", "--variable=weights", "mirnet-c", **changes).strip()
        run(options.cc, "-std=c99", ROOT / "bindings/c/examples/restore_ppm.c", *flags, "-o", work / "restore")
        self.assertRegex(run("readelf", "-d", work / "restore"), rf"NEEDED.*\[libmirnet\.so\.{options.interface}\]")
        run(options.cmake, "-S", ROOT / "tests/packages/consumer", "-B", work / "build", "-G", options.generator,
            f"-DCMAKE_C_COMPILER={options.cc}", f"-DCMAKE_CXX_COMPILER={options.cxx}", "-DCMAKE_BUILD_TYPE=None",
            f"-DMIRNET_VERSION={options.version}", *cmake_options)
        run(options.cmake, "--build", work / "build")
        self.assertEqual(f"mirnet {options.version}: 40 x 24\n", run(work / "build/consumer", self.noisy))
        results = []
        for binary in (work / "restore", work / "build/restore_c", work / "build/restore_c_static"):
            results.append(work / f"{binary.name}.ppm")
            run(binary, weights, self.noisy_ppm, results[-1], **changes)
            self.assertTrue(results[-1].read_bytes() == results[0].read_bytes())
        self.assertNotEqual(results[0].read_bytes(), self.noisy_ppm.read_bytes())

    @unittest.skipUnless(shutil.which("fakeroot"), "fakeroot is not there")
    def test_in_a_folder(self):
        """Installed with dpkg, used, purged; nothing is left."""
        system = options.work / "system"
        database = system / "var/lib/dpkg"
        for folder in ("info", "updates", "triggers"):
            (database / folder).mkdir(parents=True)
        # Of this system's packages, those that are depended on: dpkg looks whether they are there, and new enough.
        names = {re.split(r"[ :(]", one)[0] for deb in self.debs.values()
                 for one in fields(deb).get("Depends", "").split(", ")} - set(self.debs) - {""}
        stanzas = [stanza for name in sorted(names) for stanza in run("dpkg-query", "--status", name).split("\n\n")]
        self.assertGreater(len(stanzas), 5)
        (database / "status").write_text("".join(
            re.sub(r"^(Pre-Depends|Depends|Conffiles|Breaks|Conflicts):.*\n(?: .*\n)*", "", stanza.strip() + "\n",
                   flags=re.MULTILINE) + "\n" for stanza in stanzas), encoding="utf-8")
        for stanza in stanzas:
            name, same = re.search("^Package: (.*)", stanza)[1], re.search("\nMulti-Arch: same\n", stanza)
            machine = re.search("\nArchitecture: (.*)", stanza)[1]
            for kind in ("list", "md5sums"):
                (database / "info" / (f"{name}:{machine}.{kind}" if same else f"{name}.{kind}")).touch()
        dpkg = "fakeroot", "dpkg", f"--root={system}", "--force-script-chrootless", "--force-unsafe-io"
        installed = set(self.debs)

        text = run(*dpkg, "--install", *self.debs.values())
        self.assertNotIn("warning", text)
        self.assertEqual(set(re.findall(r"^Setting up ([^ :]+)", text, re.MULTILINE)), installed)
        self.assertEqual(run(*dpkg, "--audit"), "")
        self.assertEqual(run(*dpkg, "--verify", *installed), "")
        usr = system / "usr"
        self.check_program(usr / "bin/mirnet")
        self.assertIn(str(usr), run(usr / "bin/mirnet", "info", "--model", "high"))
        if self.heic:
            run(usr / "bin/mirnet", "denoise", ROOT / "tests/cli/pictures/rgb.heic", options.work / "heic.png")
        libraries = usr / options.libraries
        self.check_libraries(options.work / "programs", f"-DCMAKE_PREFIX_PATH={usr}", LD_LIBRARY_PATH=str(libraries),
                             PKG_CONFIG_PATH=f"{libraries}/pkgconfig:{usr}/share/pkgconfig")
        share = usr / "share/mirnet"
        # As root does who runs the converter: Python leaves files.
        subprocess.run([sys.executable, "-c", "import convert, onnx_graph"], check=True, cwd=share,
                       env=environment(PYTHONPATH=str(share), PYTHONDONTWRITEBYTECODE=""))
        self.assertTrue((share / "__pycache__").is_dir())
        self.assertIn("denoise", run(sys.executable, share / "convert.py", "--inspect", share / "denoise.mirw"))

        self.assertNotIn("warning", run(*dpkg, "--purge", *installed))
        left = [str(path.relative_to(system)) for path in sorted(system.rglob("*"))
                if not path.is_relative_to(system / "var")]
        self.assertEqual(left, [])
        known = re.findall("^Package: (.*)", (database / "status").read_text("utf-8"), re.MULTILINE)
        self.assertEqual(set(known), names)

    def test_archive(self):
        """It runs where it is unpacked."""
        name = self.archive.name.removesuffix(".tar.gz")
        self.assertRegex(name, f"^mirnet-{re.escape(options.version)}-linux-[a-z0-9_]+$")
        folder = options.work / "where it is unpacked"
        with tarfile.open(self.archive) as tar:
            infos = tar.getmembers()
            tar.extractall(folder)
        self.assertEqual({(info.uid, info.gid, info.mtime) for info in infos}, {(0, 0, DATE)})
        self.assertEqual({info.name.split("/")[0] for info in infos}, {name})
        files = {info.name.removeprefix(f"{name}/") for info in infos if info.isfile()}
        self.assertLessEqual({"README.txt", "bin/mirnet", "share/man/man1/mirnet.1", "share/mirnet/denoise-large.mirw",
                              "share/doc/mirnet/LICENSE", "share/doc/mirnet/THIRD-PARTY-NOTICES"}, files)
        self.assertEqual([path for path in files if not path.startswith(("README.txt", "bin/mirnet", "share/"))], [])
        self.assertEqual([path for path in files if "libmirnet" in path or path.endswith((".hpp", ".h"))], [])
        self.check_program(folder / name / "bin/mirnet")
        self.assertIn(str(folder), run(folder / name / "bin/mirnet", "info", "--model", "high"))
        readme = (folder / name / "README.txt").read_text("utf-8")
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", options.build / "mirnet"))
        self.assertGreater(len(needed), 5)
        for library in needed:
            self.assertIn(f"\n    {library}\n", readme)

    @unittest.skipUnless(SYSTEM_TEST, "changes the system: MIRNET_INSTALL_TEST=1 allows it")
    def test_on_this_system(self):
        self.assertEqual(os.geteuid(), 0, "MIRNET_INSTALL_TEST=1: only root can install packages")
        for name in self.debs:
            state = subprocess.run(["dpkg-query", "-W", "-f${Status}", name], text=True, capture_output=True).stdout
            self.assertNotIn("installed", state.replace("not-installed", ""), f"{name} is installed here already")
        apt = "apt-get", "-o", "DPkg::Lock::Timeout=600", "--yes"
        try:
            run(*apt, "install", *self.debs.values(), DEBIAN_FRONTEND="noninteractive")
            self.check_program("/usr/bin/mirnet")
            self.assertIn(f"libmirnet.so.{options.interface}", run("ldconfig", "-p"))
            self.check_libraries(options.work / "programs of this system")
            # A package of a program that uses the library depends on its package.
            (options.work / "debian").mkdir()
            (options.work / "debian/control").touch()
            self.assertIn(f"{self.library} (>= {options.version})", run(
                "dpkg-shlibdeps", "-O", options.work / "programs of this system/restore", cwd=options.work))
        finally:
            run(*apt, "purge", *self.debs, DEBIAN_FRONTEND="noninteractive")
        self.assertNotIn("libmirnet", run("ldconfig", "-p"))
        for path in ("bin/mirnet", "libexec/mirnet", "share/mirnet", "share/doc/mirnet", "include/mirnet",
                     "include/mirnet.h", f"{options.libraries}/cmake/mirnet-c"):
            self.assertFalse(os.path.lexists(f"/usr/{path}"), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="folder of the build")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for what is made here; emptied first")
    for name in ("cpack", "cmake", "generator", "cc", "cxx", "version", "interface", "libraries"):
        parser.add_argument(f"--{name}", required=True)
    options, rest = parser.parse_known_args(arguments)
    options.build, options.work = options.build.resolve(), options.work.resolve()
    unittest.main(argv=sys.argv + rest)
