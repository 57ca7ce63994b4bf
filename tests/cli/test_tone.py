#!/usr/bin/env python3
"""Pictures without noise keep their mean with the weights that ship: dither, scans of one bit, graphics, tiny pictures.
Noise that was cut off at black does not: removing it makes dark places as dark as they were.
python3 tests/cli/test_tone.py [PROGRAM]
"""
import random
import unittest

from program import SANITIZED, ProgramTest, Picture, pnm, read_pnm

SIDE = 64 if SANITIZED else 128
BAYER = [[0]]
for _ in range(3):
    BAYER = [[4 * value + add for add in adds for value in row] for adds in ((0, 2), (3, 1)) for row in BAYER]
LETTERS = {"M": (17, 27, 21, 21, 17, 17, 17), "I": (14, 4, 4, 4, 4, 4, 14), "R": (30, 17, 17, 30, 20, 18, 17),
           "N": (17, 25, 21, 19, 17, 17, 17), "E": (31, 16, 16, 30, 16, 16, 31), "T": (31, 4, 4, 4, 4, 4, 4)}


def gray(value, width=SIDE, height=SIDE):
    """A picture whose pixels are value(x, y), 0 to 1."""
    return Picture(width, height, 1, (min(255, max(0, round(255 * value(x, y)))) for y in range(height)
                                      for x in range(width)))


def colour(value, width=SIDE, height=SIDE):
    """A picture whose pixels are value(x, y), three bytes."""
    return Picture(width, height, 3, (sample for y in range(height) for x in range(width) for sample in value(x, y)))


def ordered(level):
    return gray(lambda x, y: 64 * level(x, y) > BAYER[y % 8][x % 8] + 0.5)


def diffused(level):
    """By the method of Floyd and Steinberg."""
    error = [[level(x, y) for x in range(SIDE)] for y in range(SIDE)]
    result = [[0] * SIDE for _ in range(SIDE)]
    for y in range(SIDE):
        for x in range(SIDE):
            result[y][x] = int(error[y][x] >= 0.5)
            left = error[y][x] - result[y][x]
            for to_x, to_y, part in ((x + 1, y, 7), (x - 1, y + 1, 3), (x, y + 1, 5), (x + 1, y + 1, 1)):
                if 0 <= to_x < SIDE and to_y < SIDE:
                    error[to_y][to_x] += left * part / 16
    return gray(lambda x, y: result[y][x])


def scene(x, y):
    """A disc before a gradient."""
    inside = (x - SIDE * 0.6) ** 2 + (y - SIDE * 0.4) ** 2 < (SIDE * 0.25) ** 2
    return 0.8 - 0.5 * x / SIDE if inside else 0.15 + 0.6 * y / SIDE


def letters(scale, black, white):
    text = "MIRNET"

    def value(x, y):
        column, row = x // scale, y // scale
        place, dot = (row // 9 + column // 6) % len(text), (column % 6, row % 9)
        is_ink = dot[0] < 5 and dot[1] < 7 and LETTERS[text[place]][dot[1]] >> (4 - dot[0]) & 1
        return (black if is_ink else white) / 255
    return gray(value)


def graphic(x, y):
    """Areas of few colours, with lines between them."""
    if x % (SIDE // 4) == 0 or y % (SIDE // 4) == 0:
        return 20, 20, 20
    return ((230, 40, 50), (40, 90, 200), (250, 210, 40), (245, 245, 245))[(4 * x // SIDE + 3 * (4 * y // SIDE)) % 4]


def tiny(width, height):
    return colour(lambda x, y: (60 + 150 * x // width, 90 + 80 * y // height, 120), width, height)


class ToneTest(ProgramTest):
    def means(self, pictures):
        """The mean of each picture before and after."""
        for name, picture in pictures.items():
            (self.path / f"{name}.ppm").write_bytes(pnm(picture))
        self.succeeds("denoise", ".", "--output-dir", "out", "--quiet")
        for name, picture in pictures.items():
            result = read_pnm((self.path / "out" / f"{name}.ppm").read_bytes())
            yield name, sum(picture.samples) / len(picture.samples), sum(result.samples) / len(result.samples)

    def keep(self, pictures):
        for name, before, after in self.means(pictures):
            with self.subTest(name):
                self.assertLessEqual(abs(after - before), 1.0)

    def test_dither_keeps_its_mean(self):
        pictures = {"ordered-scene": ordered(scene), "diffused-scene": diffused(scene)}
        for eighth in (1, 4) if SANITIZED else range(1, 8):
            pictures[f"ordered-{eighth}"] = ordered(lambda x, y: eighth / 8)
            pictures[f"diffused-{eighth}"] = diffused(lambda x, y: eighth / 8)
        self.keep(pictures)

    def test_scans_and_graphics_keep_their_mean(self):
        pictures = {f"letters-{scale}-{black}": letters(scale, black, white)
                    for scale in (1, 2, 3) for black, white in ((0, 255), (255, 0), (40, 220))}
        pictures.update({f"checks-{side}": gray(lambda x, y: (x // side + y // side) % 2) for side in (1, 2, 4, 16)})
        pictures["graphic"] = colour(graphic)
        pictures.update({f"flat-{level}": gray(lambda x, y: level / 255) for level in (0, 1, 60, 128, 254, 255)})
        self.keep(pictures)

    def test_tiny_pictures_keep_their_mean(self):
        sides = (1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 33, 48, 63)
        pictures = {f"tiny-{width}x{height}": tiny(width, height)
                    for width, height in [(side, side) for side in sides] + [(1, 40), (40, 1), (5, 63)]}
        self.keep(pictures)

    def test_noise_that_was_cut_off_at_black_is_undone(self):
        noise = random.Random(1)
        dark = 6
        pictures = {"dark": colour(lambda x, y: [max(0, round(noise.gauss(dark, 25))) for _ in range(3)])}
        (_, before, after), = self.means(pictures)
        self.assertGreater(before, dark + 6)  # what the cut-off added
        self.assertLess(after, before - 1)


if __name__ == "__main__":
    unittest.main()
