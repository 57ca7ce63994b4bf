#!/usr/bin/env python3
"""Puts parts of photographs side by side: noisy, non-local means, what weight files make of them, and the original.

    weights/crops.py OUT.png --photos DIR [--weights FILE.mirw,...] [--crop N:SIGMA:X:Y ...] [--size 176]

DIR holds clean photographs with a number in their names, to which noise is added as evaluate.py does; each --crop is
photograph N with noise of SIGMA, from the pixel (X, Y) on; the figures are of the whole photograph. Non-local means is
scikit-image's, told the true sigma.

Needs numpy, Pillow and scikit-image (Debian: python3-numpy python3-pil python3-skimage).
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from evaluate import ROOT, add_noise, fail, pictures, read_rgb, save

try:
    import numpy
    from PIL import Image, ImageDraw, ImageFont
    from skimage.restoration import denoise_nl_means
except ImportError as error:
    fail(f"Python has no module {error.name}. On Debian: apt install python3-numpy python3-pil python3-skimage, and "
         f"run this with /usr/bin/python3 (it ran with {sys.executable})")

GAP, HEAD = 8, 26
CROPS = ["13:15:250:0", "8:25:592:230", "19:25:190:130", "3:50:150:60", "16:50:330:120", "19:50:200:560"]


def parse_crop(text):
    match = re.fullmatch(r"(\d+):(\d+(?:\.\d+)?):(\d+):(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: expected N:SIGMA:X:Y")
    return int(match[1]), float(match[2]), int(match[3]), int(match[4])


def non_local_means(noisy, sigma):
    scaled = denoise_nl_means(noisy / 255, patch_size=5, patch_distance=6, h=0.6 * sigma / 255, sigma=sigma / 255,
                              fast_mode=True, channel_axis=-1)
    return numpy.clip(numpy.rint(scaled * 255), 0, 255).astype(numpy.uint8)


def restore(program, noisy, weights, folder):
    source, result = save(noisy, folder / "noisy.png"), folder / "restored.png"
    command = [program, "denoise", source, result, "--overwrite", "--weights", weights]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        fail(f"the program ended with code {done.returncode}: {done.stderr.strip()}")
    return read_rgb(result)


def psnr(one, other):
    error = numpy.mean((one.astype(float) - other) ** 2)
    return 10 * numpy.log10(255 ** 2 / error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT.png")
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--program", type=Path, default=ROOT / "build/release/mirnet", metavar="FILE")
    parser.add_argument("--weights", default=str(ROOT / "weights/denoise.mirw"), metavar="FILE.mirw,...")
    parser.add_argument("--crop", type=parse_crop, action="append", metavar="N:SIGMA:X:Y")
    parser.add_argument("--size", type=int, default=176, help="width and height of a crop (default: %(default)s)")
    options = parser.parse_args()

    photographs = {int(re.findall(r"\d+", path.stem)[-1]): path for path in pictures(options.photos)
                   if re.search(r"\d", path.stem)}
    weights = [Path(name) for name in options.weights.split(",")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, sigma, x, y in options.crop or [parse_crop(text) for text in CROPS]:
            if number not in photographs:
                fail(f"{options.photos} has no photograph {number}")
            clean = read_rgb(photographs[number])
            noisy = add_noise(clean, sigma, number)
            results = [noisy, non_local_means(noisy, sigma)]
            results += [restore(options.program, noisy, name, Path(folder)) for name in weights]
            cut = [picture[y:y + options.size, x:x + options.size] for picture in [*results, clean]]
            labels = [f"noisy, σ = {sigma:g}", "non-local means", *(name.name for name in weights)]
            labels = [f"{label}: {psnr(picture, clean):.1f} dB" for label, picture in zip(labels, results)]
            rows.append((cut, [*labels, "original"]))

    columns, pitch = len(rows[0][0]), options.size + HEAD + GAP
    sheet = Image.new("RGB", (columns * (options.size + GAP) - GAP, len(rows) * pitch - GAP), "white")
    drawing = ImageDraw.Draw(sheet)
    try:
        font = ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        font = ImageFont.load_default()
    for row, (cut, labels) in enumerate(rows):
        for column, (picture, label) in enumerate(zip(cut, labels)):
            place = (column * (options.size + GAP), row * pitch)
            drawing.text((place[0] + 2, place[1] + 5), label, fill="black", font=font)
            sheet.paste(Image.fromarray(picture), (place[0], place[1] + HEAD))
    sheet.save(options.output, optimize=True)


if __name__ == "__main__":
    main()
