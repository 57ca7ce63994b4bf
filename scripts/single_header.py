#!/usr/bin/env python3
"""Makes one file of the core, which is what <mirnet/mirnet.hpp> includes, for projects that copy what they use.

What the file needs is xsimd, as the headers do. It is the same for the same headers: no date is in it.

With --namespace the copy is your own: namespace mirnet becomes NAMESPACE (acme, or acme::mirnet), and the macros,
those that an application may set included, begin with that name in capitals instead of MIRNET_ (ACME_MIRNET_ for both
examples). Copies of different namespaces can meet anywhere: in one translation unit, and in one program, compiled for
different instruction sets.
"""
import argparse
import re
import sys
from pathlib import Path

ROOT = "mirnet/mirnet.hpp"

DIRECTIVE = re.compile(r"\s*#\s*(\w+)")
INCLUDE = re.compile(r"\s*#\s*include\s*<([^>]+)>")
HARMLESS = ("include", "if", "ifdef", "ifndef", "elif", "else", "endif")


class Refusal(Exception):
    """What cannot be done, in one sentence."""


class Header:
    """A header's lines, and for each one how deep inside #if it stands."""

    def __init__(self, include_dir, name):
        try:
            text = (include_dir / name).read_text(encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{include_dir / name}: cannot be read: {error.strerror}") from None
        self.name = name
        self.lines = []  # (line, directive or None, included name or None)
        depth = 0
        code = None  # the first line that what is included later could depend on
        for line in text.splitlines():
            directive = DIRECTIVE.match(line)
            include = INCLUDE.match(line)
            if directive and directive[1] == "include" and not include:
                raise Refusal(f"{name}: headers are included as <...>: {line}")
            if directive and directive[1] == "pragma" and line.split()[-1] == "once":
                continue
            if include and is_own(include[1]) and depth == 0 and code:
                raise Refusal(f"{name}: its own headers come first, before: {code}")
            self.lines.append((line, directive and directive[1], include and include[1]))
            depth += nesting(directive and directive[1])
            if line.strip() and not line.lstrip().startswith("//") and not (directive and directive[1] in HARMLESS):
                code = code or line

    def includes(self):
        """(name, whether it is inside #if) of every #include."""
        depth = 0
        for _, directive, included in self.lines:
            depth += nesting(directive)
            if included:
                yield included, depth > 0


def nesting(directive):
    if directive in ("if", "ifdef", "ifndef"):
        return 1
    return -1 if directive == "endif" else 0


def is_own(name):
    return name.startswith("mirnet/")


def is_standard(name):
    return "/" not in name


def mark(name):
    """The macro that tells that a header whose inclusion depends on a condition is there."""
    return "MIRNET_INCLUDES_" + re.sub(r"\W", "_", name.removeprefix("mirnet/").removesuffix(".hpp")).upper()


class Amalgamation:
    """The headers that the root includes, each once, in an order in which they compile."""

    def __init__(self, include_dir):
        self.include_dir = include_dir
        self.headers = {}
        self.always = []  # headers and standard headers that are included whatever is defined
        self.find_always(ROOT)
        self.standard = sorted(name for name in self.always if not is_own(name))
        self.done = {}  # header: where it is, as the branches of #if around it
        self.text = []
        self.regions = 0
        self.put(ROOT, ())

    def header(self, name):
        if name not in self.headers:
            self.headers[name] = Header(self.include_dir, name)
        return self.headers[name]

    def find_always(self, name):
        if name in self.always:
            return
        self.always.append(name)
        for included, conditional in self.header(name).includes():
            if conditional:
                continue
            if is_own(included):
                self.find_always(included)
            elif is_standard(included) and included not in self.always:
                self.always.append(included)

    def needed_by(self, name, seen):
        """Everything that a header includes, in whatever way; itself last."""
        if name not in seen:
            seen.append(name)
            for included, _ in self.header(name).includes():
                if is_own(included):
                    yield from self.needed_by(included, seen)
            yield name

    def put(self, name, branch):
        """A header that is not there yet and what it includes, inside the branches of #if that the tuple names."""
        if name in self.done:
            there = self.done[name]
            if branch[: len(there)] != there:
                raise Refusal(f"{name} is included under two conditions, which one file cannot express: "
                              "include it before the #if")
            return
        self.done[name] = branch
        if branch and name in self.always:
            raise AssertionError(f"{name} is needed everywhere and would be put into a branch")

        lines = self.header(name).lines
        for needed in self.needed_before(name):
            self.put(needed, branch)
        outer, self.text = self.text, []
        inner = branch
        for line, directive, included in lines:
            step = nesting(directive)
            if step > 0:
                self.regions += 1
                inner += ((self.regions, 0),)
            elif directive in ("else", "elif"):
                region, number = inner[-1]
                inner = inner[:-1] + ((region, number + 1),)
            elif step < 0:
                inner = inner[:-1]
            if included and is_own(included):
                self.put(included, inner)
            elif not included or included not in self.standard:  # those are at the top
                self.text.append(line)
        title = f"// --- {name} "
        outer += ["", title + "-" * (120 - len(title)), ""]
        if branch:
            outer.append("#define " + mark(name))
        self.text = outer + self.text

    def needed_before(self, name):
        """What a header includes unconditionally; and of what it includes inside #if that which is needed elsewhere
        too, and so must not be in there."""
        seen = [name]
        for included, conditional in self.header(name).includes():
            if not is_own(included):
                continue
            if not conditional:
                yield included
            else:
                yield from (needed for needed in self.needed_by(included, seen) if needed in self.always)

    def conditional(self):
        return [name for name, branch in self.done.items() if branch]

    def version(self):
        text = (self.include_dir / "mirnet/version.hpp").read_text(encoding="utf-8")
        parts = re.findall(r"^#define MIRNET_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE)
        if len(parts) != 3:
            raise Refusal(f"{self.include_dir}/mirnet/version.hpp does not define the three numbers of a version")
        return ".".join(parts)

    def single_header(self, namespace):
        option = "" if namespace == "mirnet" else f" --namespace {namespace}"
        banner = [
            f"// mirnet {self.version()} in one file: the core, which is what <mirnet/mirnet.hpp> includes.",
            "// SPDX-License-Identifier: Apache-2.0",
            "//",
            f"// Made by scripts/single_header.py{option} from the headers in include/mirnet: change those, not this.",
            "// It needs C++20 and xsimd 8.1 or newer; compile with -ffp-contract=off (and without -ffast-math) for",
            "// results that are the same bits for any number of threads.",
            "#pragma once",
            "",
            "#ifdef MIRNET_VERSION_MAJOR",
            "#error \"this translation unit has mirnet's headers already: single_header.py --namespace makes a copy\"",
            "#endif",
            "",
        ]
        text = "\n".join(banner + [f"#include <{name}>" for name in self.standard] + self.text) + "\n"
        text = re.sub(r"\n{3,}", "\n\n", text)
        if namespace == "mirnet":
            return text
        text = re.sub(r"\bMIRNET_", macro_prefix(namespace), text)
        text = re.sub(r"\bnamespace mirnet\b", f"namespace {namespace}", text)
        return re.sub(r"(?<![\w:])(::)?mirnet::", lambda found: (found[1] or "") + namespace + "::", text)


def macro_prefix(namespace):
    capitals = namespace.replace("::", "_").upper()
    return capitals + ("_" if "MIRNET" in capitals else "_MIRNET_")


def include_folder(amalgamation, folder):
    """Writes a folder for -I in which every header of the core leads to the single one, which the others, copied as
    they are, include by the names that they know."""
    include_dir = amalgamation.include_dir
    conditional = amalgamation.conditional()
    for path in sorted(include_dir.glob("mirnet/**/*.hpp")):
        name = path.relative_to(include_dir).as_posix()
        text = path.read_text(encoding="utf-8")
        if name == ROOT:
            text = amalgamation.single_header("mirnet")
        elif name in conditional:
            # In the single header only where its condition holds.
            text = f"#pragma once\n#include <{ROOT}>\n#ifndef {mark(name)}\n{text.replace('#pragma once', '')}#endif\n"
        elif name in amalgamation.done:
            text = f"#pragma once\n#include <{ROOT}>\n"
        # What includes a file that stays as it is need not be compiled again.
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            write(folder / name, text)


def write(path, text):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{path}: cannot be written: {error.strerror}") from None


def default_include_dir():
    """The folder `include`, beside this script's folder in the repository, or a folder higher where it is installed."""
    above = Path(__file__).resolve().parents
    candidates = [folder / "include" for folder in above[1:3]]
    return next((folder for folder in candidates if (folder / ROOT).exists()), candidates[0])


def namespace_name(text):
    if not re.fullmatch(r"[A-Za-z]\w*(::[A-Za-z]\w*)*", text, re.ASCII) or "__" in text or text.split("::")[0] == "std":
        raise argparse.ArgumentTypeError(f"'{text}' is not the name of a namespace such as acme or acme::mirnet")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", type=namespace_name, default="mirnet", help="instead of mirnet")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write it; default: standard output")
    parser.add_argument("--include-dir", type=Path, default=default_include_dir(), metavar="DIR",
                        help="the folder that holds mirnet/mirnet.hpp; default: that of this repository or installation")
    parser.add_argument("--include-folder", type=Path, metavar="DIR",
                        help="for tests: write a folder in which all headers of the core lead to the single one")
    options = parser.parse_args()
    if options.include_folder and (options.output or options.namespace != "mirnet"):
        parser.error("--include-folder goes with neither --output nor --namespace")
    try:
        amalgamation = Amalgamation(options.include_dir)
        if options.include_folder:
            include_folder(amalgamation, options.include_folder)
        elif options.output:
            write(options.output, amalgamation.single_header(options.namespace))
        else:
            sys.stdout.write(amalgamation.single_header(options.namespace))
    except Refusal as refusal:
        sys.exit(f"single_header.py: {refusal}")


if __name__ == "__main__":
    main()
