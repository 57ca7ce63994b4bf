#!/usr/bin/env python3
"""Measures what a weight file does to photographs: PSNR and SSIM before and after, picture by picture.

    weights/evaluate.py --photos DIR [--program build/release/mirnet] [--weights FILE.mirw] [--sigma 15,25,50]
                        [--precision fp32|bf16|auto] [--output DIR] [--markdown]

DIR and the folders in it may hold

- clean photographs, 8 bits a channel. Gaussian noise of each --sigma is added: for picture N,
      noise = numpy.random.default_rng(1000 * sigma + N).standard_normal(clean.shape) * sigma
      noisy = clip(rint(clean + noise), 0, 255)
  where N is the last number in the file's name, or its place in the folder (from 0) if the name has none;
- folders clean/ and noisy/ with files of the same names, in any format that the program reads.

Each clean photograph also goes through the network as it is ("clean in"): a denoiser should leave it alone.
--output keeps the noisy and the denoised pictures, and the scores: an evaluation that was interrupted goes on from
there. With another program or other weights it begins again. --markdown prints the table as Markdown.

Needs numpy and Pillow (Debian: python3-numpy python3-pil). Exit code 0: every noisy picture has a higher PSNR after
than before; 1: one has not; 2: something could not be measured.
"""
import argparse
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".ppm", ".pgm", ".pnm", ".pfm", ".tif", ".tiff", ".webp"}


def fail(sentence):
    print(f"evaluate: {sentence}", file=sys.stderr)
    sys.exit(2)


try:
    import numpy
    from PIL import Image
except ImportError as error:
    fail(f"Python has no module {error.name}. On Debian: apt install python3-numpy python3-pil, and run this with "
         f"/usr/bin/python3 (it ran with {sys.executable}); elsewhere: pip install numpy pillow")


class Case(NamedTuple):
    """A picture to denoise. The clean one is both input and reference where `clean_in`."""
    group: str
    picture: str
    noisy: Path
    clean: Path
    clean_in: bool


class Scores(NamedTuple):
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float


def natural(path):
    """Sorts 9.png before 10.png."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def pictures(folder):
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)
    return sorted(files, key=natural)


def read_rgb(path):
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
                fail(f"{path}: noise is added to photographs with 8 bits a channel, and this one is {image.mode!r}")
            return numpy.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for damaged files
        fail(f"{path}: cannot be read: {error}")


def add_noise(clean, sigma, number):
    noise = numpy.random.default_rng(round(1000 * sigma) + number).standard_normal(clean.shape) * sigma
    return numpy.clip(numpy.rint(clean + noise), 0, 255).astype(numpy.uint8)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def synthetic_cases(folder, sigmas, output):
    """Yields the cases of a folder of clean photographs. Program and script see the same 8-bit RGB pixels."""
    clean = {}
    for index, path in enumerate(pictures(folder)):
        numbers = re.findall(r"\d+", path.stem)
        pixels = read_rgb(path)
        clean[path.name] = (pixels, int(numbers[-1]) if numbers else index,
                            save(pixels, output / folder.name / "clean" / f"{path.name}.png"))
    for sigma in sigmas:
        group = f"{folder.name}, sigma {sigma:g}"
        for name, (pixels, number, clean_path) in clean.items():
            noisy = save(add_noise(pixels, sigma, number), output / group / "noisy" / f"{name}.png")
            yield Case(group, name, noisy, clean_path, False)
    for name, (_, _, clean_path) in clean.items():
        yield Case(f"{folder.name}, clean in", name, clean_path, clean_path, True)


def paired_cases(folder):
    names = {kind: [path.name for path in pictures(folder / kind)] for kind in ("clean", "noisy")}
    for lonely in sorted(set(names["clean"]) ^ set(names["noisy"])):
        fail(f"{folder}: {lonely} is not in both clean/ and noisy/")
    for name in names["noisy"]:
        yield Case(folder.name, name, folder / "noisy" / name, folder / "clean" / name, False)
    for name in names["clean"]:
        yield Case(f"{folder.name}, clean in", name, folder / "clean" / name, folder / "clean" / name, True)


def all_cases(root, sigmas, output):
    def has_pairs(folder):
        return (folder / "clean").is_dir() and (folder / "noisy").is_dir()

    inside = [] if has_pairs(root) else sorted(path for path in root.iterdir() if path.is_dir())
    for folder in [root, *inside]:
        if has_pairs(folder):
            yield from paired_cases(folder)
        else:
            yield from synthetic_cases(folder, sigmas, output)


def measure(case, program, arguments, output):
    """Denoises one picture and reads the scores from what the program prints."""
    result = output / case.group / "denoised" / f"{case.picture}.png"
    result.parent.mkdir(parents=True, exist_ok=True)
    command = [program, "denoise", case.noisy, result, "--reference", case.clean, "--overwrite", *arguments]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        fail(f"{program}: cannot be run: {error.strerror}. Build it, or name it by --program")
    if done.returncode != 0:
        fail(f"{case.noisy}: the program ended with code {done.returncode}: {done.stderr.strip()}")
    scores = []
    for name in ("PSNR", "SSIM"):
        line = re.search(rf"^{name}\W+(\S+)( dB)? before, (\S+)( dB)? after$", done.stdout, re.MULTILINE)
        if not line:
            fail(f"{case.noisy}: no {name} in what the program printed:\n{done.stdout}")
        scores += [math.nan if value == "-" else float(value) for value in line.group(1, 3)]
    return Scores(*scores)


class KeptScores:
    """The scores of what has been measured, in a file that is replaced after each picture; no file without a folder.

    `files` and `arguments` are what scores depend on: with others, what was kept before does not count.
    """

    def __init__(self, folder, files, arguments):
        self.path = folder / "scores.json" if folder else None
        digest = hashlib.sha256(repr(arguments).encode())
        for file in files:
            digest.update(file.read_bytes())
        self.measured_with = digest.hexdigest()
        self.scores = {}
        try:
            kept = json.loads(self.path.read_text()) if self.path else {}
            if kept.get("measured_with") == self.measured_with:
                self.scores = kept["scores"]
        except (OSError, ValueError, KeyError, AttributeError):
            pass  # none yet, or a file that is none of ours: it is replaced

    def get(self, case):
        kept = self.scores.get(f"{case.group}/{case.picture}")
        return Scores(*kept) if kept else None

    def add(self, case, score):
        self.scores[f"{case.group}/{case.picture}"] = score
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(json.dumps({"measured_with": self.measured_with, "scores": self.scores}))
            os.replace(temporary, self.path)


def print_row(cells, markdown):
    if markdown:
        print("| " + " | ".join(cells) + " |", flush=True)
    else:
        print(f"{cells[0]:24} {cells[1]:28}" + "".join(f"{cell:>13}" for cell in cells[2:]), flush=True)


def print_scores(group, picture, scores, markdown):
    values = [f"{value:.2f}" for value in scores[:2]] + [f"{value:.4f}" for value in scores[2:]]
    print_row([group, picture, *values], markdown)


def print_mean(group, scores, markdown):
    mean = Scores(*(sum(column) / len(column) for column in zip(*scores)))
    print_scores(group, "**mean**" if markdown else "mean", mean, markdown)


def deviations(text):
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(0 < value <= 255 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers above 0, to 255, with commas")
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage=argparse.SUPPRESS)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="the photographs")
    parser.add_argument("--program", type=Path, default=ROOT / "build/release/mirnet", metavar="FILE",
                        help="the program (default: build/release/mirnet beside this folder)")
    parser.add_argument("--weights", type=Path, metavar="FILE.mirw", help="weights (default: those in the program)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32",
                        help="what the program stores weights and intermediate results as (default: %(default)s)")
    parser.add_argument("--sigma", type=deviations, default="15,25,50", metavar="LIST",
                        help="standard deviations of the noise, in steps of 1/255, with commas (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="keep the pictures here")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()

    if not options.photos.is_dir():
        fail(f"{options.photos} is not a folder")
    if not options.program.is_file():
        fail(f"there is no program {options.program}: build it (examples/quickstart.sh does) or name it by --program")
    if options.weights and not options.weights.is_file():
        fail(f"there is no weight file {options.weights}")

    arguments = ["--precision", options.precision]
    if options.weights:
        arguments += ["--weights", options.weights]
    with tempfile.TemporaryDirectory() as temporary:
        output = (options.output or Path(temporary)).resolve()
        files = [options.program, options.weights] if options.weights else [options.program]
        kept = KeptScores(options.output, files, (options.precision, str(options.photos.resolve())))
        scores = {}
        worse = []
        for case in all_cases(options.photos.resolve(), options.sigma, output):
            if case.group not in scores:
                if scores:
                    print_mean(*list(scores.items())[-1], options.markdown)
                else:
                    print_row(["set", "picture", "PSNR before", "after", "SSIM before", "after"], options.markdown)
                    if options.markdown:
                        print("|---|---|--:|--:|--:|--:|")
            score = kept.get(case)
            if score is None:
                score = measure(case, options.program.resolve(), arguments, output)
                kept.add(case, score)
            scores.setdefault(case.group, []).append(score)
            print_scores(case.group, case.picture, score, options.markdown)
            if not case.clean_in and not score.psnr_after > score.psnr_before:
                worse.append(f"{case.group}, {case.picture}")
    if not scores:
        fail(f"{options.photos} holds no photographs")
    print_mean(*list(scores.items())[-1], options.markdown)
    if worse:
        print("evaluate: no better than before: " + "; ".join(worse), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
