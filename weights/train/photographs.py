"""Clean patches of photographs, as a tensor on the device that trains."""
import csv
import math
from pathlib import Path

import numpy
import torch
from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"}


def origins(folder):
    """Of which photograph a file is a tile, by the folder's LICENCES.tsv, where it has one."""
    table = folder / "LICENCES.tsv"
    if not table.exists():
        return {}
    with open(table, encoding="utf-8", newline="") as lines:
        return {row["tile"]: f"{row['source']}/{row['original']}"
                for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}


def read_tiles(folder, smallest):
    """All pictures of a folder and of those in it: a list of (origin, uint8 tensor (3, height, width)), sorted by path.
    Tiles of one photograph have the same origin.

    Pictures with a side below `smallest` pixels are left out. Raises ValueError if nothing is left.
    """
    tiles, tables = [], {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        with Image.open(path) as image:
            pixels = numpy.asarray(image.convert("RGB"))
        if min(pixels.shape[:2]) >= smallest:
            if path.parent not in tables:
                tables[path.parent] = origins(path.parent)
            tiles.append((tables[path.parent].get(path.name, str(path)),
                          torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()))
    if not tiles:
        raise ValueError(f"{folder} holds no pictures of {smallest} x {smallest} pixels or more")
    return tiles


def hold_out(tiles, count):
    """Three lists of tiles: at most `count` of different places in the list, no more than a tenth of all; all tiles of
    the same photographs; all other tiles, for training."""
    count = max(1, min(count, len(tiles) // 10))
    step = len(tiles) // count
    chosen = tiles[:count * step:step]
    kept = {origin for origin, _ in chosen}
    return chosen, [tile for tile in tiles if tile[0] in kept], [tile for tile in tiles if tile[0] not in kept]


class Patches:
    """Draws random patches. Photographs are drawn by their area, places uniformly."""

    def __init__(self, pictures, device):
        self.pictures = [picture.to(device) for picture in pictures]
        areas = numpy.array([picture.shape[1] * picture.shape[2] for picture in pictures], dtype=float)
        self.cumulated = numpy.cumsum(areas / areas.sum())

    def draw(self, count, size, rng):
        """`count` patches as float (count, 3, size, size) in 0..1, sRGB; `rng` is a numpy Generator.

        Each is turned and mirrored one of eight ways. Some change exposure, and some swap colours: the photographs
        are few, and noise is where it is dark.
        """
        patches = []
        for _ in range(count):
            picture = self.pictures[min(int(numpy.searchsorted(self.cumulated, rng.random())), len(self.pictures) - 1)]
            y = int(rng.integers(picture.shape[1] - size + 1))
            x = int(rng.integers(picture.shape[2] - size + 1))
            patch = picture[:, y:y + size, x:x + size]
            patch = patch.flip([axis for axis in (2, 1) if rng.random() < 0.5])
            if rng.random() < 0.5:
                patch = patch.transpose(1, 2)
            patch = patch.float() / 255
            if rng.random() < 0.25:
                patch = patch[torch.from_numpy(rng.permutation(3))]
            if rng.random() < 0.3:  # in linear light, by up to three stops down and one third up
                patch = (patch * math.exp(rng.uniform(-3.0, 0.35) * math.log(2) / 2.2)).clamp(max=1)
            patches.append(patch)
        return torch.stack(patches)
