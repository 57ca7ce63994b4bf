"""Noise that teaches a blind denoiser: what cameras, phones, film and files do to a picture, and Gaussian noise.

A clean picture x in 0..1 (sRGB, batch x 3 x height x width, even sizes) becomes a noisy one. All is computed in
PyTorch on the device of x, each picture of a batch with its own parameters; only JPEG goes through Pillow. Random
numbers depend on the seed alone.

There are two presets. PLAIN is Gaussian noise and a camera with its steps 1 to 6. PHONE, the default, adds the steps
marked with +, weak noise of DSLRs, and film.

The camera, in the order of the code:

1. inverse tone curve to linear light (IEC 61966-2-1, and a smoothstep "S" for contrast, after Brooks et al.,
   "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 3.1), inverse colour matrix and white balance
   (sections 3.2 and 3.3 there; gains are drawn from a wider range);
2. one colour for each pixel of a Bayer sensor, and the noise of photons and of reading them (Foi et al., "Practical
   Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data", IEEE TIP 2008): the variance is
   shot * light + read. The gain of ISO 100 to 25600 is drawn evenly in stops; how read noise goes with it is the
   fit of Brooks et al., section 3.4;
   + some pictures have up to three stops more: the noise of a phone in the dark, brightened by software;
   + hot pixels: leaking photodiodes, bright whatever the light is. As they are there before demosaicing, they become
     coloured dots and crosses (EMVA 1288, release 4.0, "Defect pixels");
   + values below black are cut off. Files of raw data store a pedestal ("BlackLevel" in Adobe's DNG specification), so
     that the noise around black survives; where it is too low or subtracted too early, the noise loses its negative
     half and dark places become brighter (Foi, "Clipped noisy images", Signal Processing 2009);
3. demosaicing, bilinear or gradient-corrected (Malvar, He and Cutler, ICASSP 2004). Both are linear, so it is enough
   to demosaic the noise, and the picture stays as sharp as it was;
   + some cameras blur more: sensors with four pixels under each colour filter, digital zoom;
   + blotches of colour as large as 20 to 60 pixels;
4. white balance, colour matrix, tone curve: noise becomes correlated between channels and depends on brightness;
5. what cameras do against noise themselves: colour is smoothed more than brightness, which leaves blotches;
   + more of that; Gaussian noise on top of some;
6. sometimes a smaller size, rounding to 8 bits, and JPEG;
   + unsharp masking before that, lower qualities, and JPEG twice, with other places of its blocks.
"""
import functools
import io
import math
from dataclasses import dataclass

import numpy
import torch
from PIL import Image
from torch.nn import functional as F

from graphics import graphics


@dataclass(frozen=True)
class Preset:
    shares: dict  # of the kinds of noise; they sum up to 1
    jpeg_shares: dict  # of each kind, how many pictures pass through JPEG
    phone: bool  # the steps marked with + above
    pushed: float = 0.0  # share of the camera's pictures with more gain than ISO 25600
    # In stops over ISO 100. With the last one, read noise has a deviation of up to 0.24 of white on the sensor, and of
    # 0.4 and more when white balance has multiplied red and blue.
    pushed_stops: tuple = (8, 11)
    colour_kept: float = 0.33  # share of the cameras that do not smooth colour


PLAIN = Preset({"gaussian": 0.5, "camera": 0.5}, {"gaussian": 0.1, "camera": 0.4}, phone=False)
# The shares give weak noise nearly what PLAIN gives it: in 22, 51 and 74 % of the patches the error, JPEG's included,
# is below 3, 10 and 25 of 255 (PLAIN: 23, 53 and 76 %). In 2 % it is above 60, where PLAIN has nothing. `weak` and `film`
# look like fine texture: with 12 and 5 %, networks smoothed texture away (README.md, "What the noise is worth").
PHONE = Preset({"gaussian": 0.48, "camera": 0.46, "weak": 0.04, "film": 0.02},
               {"gaussian": 0.12, "camera": 0.45, "weak": 0.4, "film": 0.4}, phone=True, pushed=0.15,
               colour_kept=0.2)
PRESETS = {"phone": PHONE, "plain": PLAIN}

CLEAN_SHARE = 0.04  # a denoiser must know when there is nothing to do
# Of the patches become gray, with gray noise: else only graphics would be gray, and noise in gray would be kept.
GRAY_SHARE = 0.15
GRAPHICS_SHARE = 0.06  # of the patches become pictures that have no noise, though they look as if they had: graphics.py

LARGEST_SIGMA = 55 / 255
PHONE_LARGEST_SIGMA = 75 / 255
# Of u in 0..1, sigma is u to this power times the largest: twice as many pictures with a sigma of 0 to 10 as with one
# of 65 to 75, so that the wider range does not come out of weak noise.
SIGMA_POWER = 1.5
POISSON_SHARE = 0.2  # of Gaussian noise: its variance goes with brightness

HOT_SHARE = 0.25
HOT_DENSITIES = (1e-4, 3e-3)  # more would not be isolated
HOT_AMPLITUDES = (0.05, 1.0)  # of white
BLACK_SHARE = 0.6
LARGEST_PEDESTAL = 1.5  # deviations of read noise below black that are kept; more keep all that counts
BLUR_SHARE = 0.4
BLUR_RADII = (0.4, 1.0)  # pixels, the deviation of a Gaussian: neighbours correlated by 0.3 to 0.8
BLOTCH_SHARE = 0.25
# The autocorrelation of noise that a Gaussian of deviation r blurred falls to one half at 1.7 r on either side, so
# these are blotches with diameters of 20 to 60 pixels.
BLOTCH_RADII = (6.0, 18.0)
BLOTCH_STRENGTHS = (0.05, 0.3)  # of the deviation of a pixel
WIDE_SHARE = 0.35  # of the cameras that smooth colour: they do it over wider areas than `smoothings` has
WIDE_RADII = (3.0, 12.0)
WIDE_STRENGTH = 0.5  # of that of the other smoothings, for colour of large areas is not far off in real pictures
MIXED_SHARE = 0.12
MIXED_SIGMA = 25 / 255

# Weak noise: brightness correlated by 0.3 to 0.8 with the next pixel, colour over several. The five real pairs of the
# evaluation, which were looked at for this, lie within: brightness 0.50 to 0.63, and at most 0.15 at two pixels; colour
# 0.87 to 0.94, and 0.26 to 0.56 at four pixels, with 0.6 to 1.1 of the strength of brightness, of 3 to 7 of 255.
WEAK_SIGMAS = (1 / 255, 8 / 255)  # of brightness
WEAK_RADII = (0.4, 1.0)
WEAK_COLOUR_RADII = (0.5, 5.0)
WEAK_COLOUR_STRENGTHS = (0.1, 1.1)

FILM_SIGMAS = (2 / 255, 30 / 255)
FILM_RADII = (0.4, 2.2)  # of a scan: fine grain to that of a fast film, enlarged
FILM_GRAY_SHARE = 0.5

SHARPENED_SHARE = 0.12  # of all but Gaussian noise, which stays white
SHARPENING_AMOUNTS = (0.3, 1.5)
SHARPENING_RADII = (0.6, 2.0)

JPEG_QUALITIES = (70, 98)
PHONE_JPEG_QUALITIES = (30, 98)  # the square root of u in 0..1 spreads over them: a twelfth is below 50
JPEG_TWICE_SHARE = 0.2
JPEG_SHIFTED_SHARE = 0.5  # the blocks of the others begin where the picture does

LUMA = (0.299, 0.587, 0.114)

_BILINEAR_COLOUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
_BILINEAR_GREEN = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
# Malvar, He and Cutler, figure 2, times 8: green at red or blue; a colour at green, in its row; a colour at the other.
_MALVAR_GREEN = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
_MALVAR_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_MALVAR_ACROSS = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
_MALVAR = torch.stack([torch.tensor(_MALVAR_GREEN), torch.tensor(_MALVAR_ROW), torch.tensor(_MALVAR_ROW).t(),
                       torch.tensor(_MALVAR_ACROSS)])[:, None] / 8


class Random:
    """Random numbers for one batch, a number or a flag for each picture of it, shaped to multiply pictures.

    Parameters are drawn on the CPU, so that Python may decide by them without waiting for a GPU; fields of noise on
    the device."""

    def __init__(self, seed, count, device):
        self.count, self.device = count, torch.device(device)
        self.parameters = torch.Generator().manual_seed(seed)
        on_cpu = self.device.type == "cpu"
        self.fields = self.parameters if on_cpu else torch.Generator(self.device).manual_seed(seed)

    def draw(self, channels=1):
        return torch.rand(self.count, channels, 1, 1, generator=self.parameters)

    def uniform(self, low, high, channels=1):
        return (low + (high - low) * self.draw(channels)).to(self.device)

    def log_uniform(self, low, high):
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability):
        return (self.draw() < probability).to(self.device)

    def chosen(self, probability):
        """The numbers of some pictures."""
        return [index for index, value in enumerate(self.draw().flatten().tolist()) if value < probability]

    def normal(self, shape):
        return torch.randn(shape, generator=self.fields, device=self.device)

    def even(self, shape):
        return torch.rand(shape, generator=self.fields, device=self.device)


def to_linear(x):
    # The power from the threshold on, and the line below it: of the two terms, one always stays the same.
    power = x.clamp(min=0.04045).add_(0.055).mul_(1 / 1.055).log_().mul_(2.4).exp_()
    return power.add_(x.clamp(max=0.04045).sub_(0.04045), alpha=1 / 12.92)


def to_srgb(x):
    x = x.clamp(0, 1)
    power = x.clamp(min=0.0031308).log_().mul_(1 / 2.4).exp_().mul_(1.055).sub_(0.055)
    return power.add_(x.clamp_(max=0.0031308).sub_(0.0031308), alpha=12.92)


def add_contrast(x, amount):
    """The smoothstep 3 x^2 - 2 x^3 for an amount of 1, the identity for 0."""
    return (3 - 2 * x).mul_(x).sub_(1).mul_(amount).add_(1).mul_(x)


def remove_contrast(y, amount):
    """The inverse of add_contrast for amounts of 0 to 1: with x = 1/2 + r sin(t), 3 sin(t) - 4 sin(t)^3 = sin(3 t)
    solves the cubic equation."""
    amount = torch.as_tensor(amount, device=y.device).clamp(min=1e-6)
    r = ((2 + amount) / (3 * amount)).sqrt()
    return (y - 0.5).mul_(2 / (amount * r ** 3)).clamp_(-1, 1).asin_().div_(3).sin_().mul_(r).add_(0.5)


def colour_matrices(random):
    """From a sensor's colours to sRGB: more of the own channel, less of the others, white stays white."""
    others = random.uniform(-0.55, 0.02, channels=9).reshape(random.count, 3, 3)
    eye = torch.eye(3, device=random.device)
    others = others * (1 - eye)
    return others + eye * (1 - others.sum(2, keepdim=True))


def inverse(matrices):
    """By the cross products of the rows: LAPACK would start threads for it."""
    first, second, third = matrices.unbind(1)
    columns = torch.stack([torch.cross(second, third, dim=1), torch.cross(third, first, dim=1),
                           torch.cross(first, second, dim=1)], 2)
    return columns / (first * columns[..., 0]).sum(1)[:, None, None]


def mix(matrices, x):
    return torch.bmm(matrices, x.flatten(2)).view_as(x)


def bayer_masks(shape, device):
    """Where an RGGB sensor sees red, green and blue: (3, height, width). Turned patches make the other orders."""
    y = torch.arange(shape[0], device=device)[:, None] % 2
    x = torch.arange(shape[1], device=device)[None] % 2
    red, blue = (1 - y) * (1 - x), y * x
    return torch.stack([red, 1 - red - blue, blue]).float()


def demosaic_bilinear(mosaic, masks):
    planes = F.pad(mosaic * masks, (1, 1, 1, 1), mode="reflect")
    kernels = torch.stack([_BILINEAR_COLOUR, _BILINEAR_GREEN, _BILINEAR_COLOUR])[:, None].to(mosaic.device)
    return F.conv2d(planes, kernels, groups=3)


def demosaic_malvar(mosaic, masks):
    green, in_row, in_column, across = F.conv2d(F.pad(mosaic, (2, 2, 2, 2), mode="reflect"),
                                                _MALVAR.to(mosaic.device)).split(1, 1)
    red_site, green_site, blue_site = masks
    red_row = masks[0].amax(1, keepdim=True)  # rows in which there is red
    own = mosaic * masks
    red = own[:, :1] + green_site * (red_row * in_row + (1 - red_row) * in_column) + blue_site * across
    blue = own[:, 2:] + green_site * (red_row * in_column + (1 - red_row) * in_row) + red_site * across
    return torch.cat([red, own[:, 1:2] + (1 - green_site) * green, blue], 1)


def demosaic(mosaic, masks, bilinear):
    """By the bilinear method the pictures of the numbers `bilinear`, by Malvar's the others."""
    colours = torch.empty(mosaic.shape[0], *masks.shape, device=mosaic.device)
    others = [index for index in range(mosaic.shape[0]) if index not in bilinear]
    for method, chosen in ((demosaic_bilinear, bilinear), (demosaic_malvar, others)):
        if chosen:
            colours[chosen] = method(mosaic[chosen], masks)
    return colours


def box(x):
    """The mean of 3 x 3 pixels; the picture is mirrored at its edges."""
    rows = x.clone()
    rows[..., 1:] += x[..., :-1]
    rows[..., :-1] += x[..., 1:]
    rows[..., 0] += x[..., 1]
    rows[..., -1] += x[..., -2]
    sums = rows.clone()
    sums[..., 1:, :] += rows[..., :-1, :]
    sums[..., :-1, :] += rows[..., 1:, :]
    sums[..., 0, :] += rows[..., 1, :]
    sums[..., -1, :] += rows[..., -2, :]
    return sums.mul_(1 / 9)


SMOOTHINGS = 5


def smoothing(x, level):
    """x smoothed over about 3, 5 or 9 pixels, or in cells of 4 or 8 pixels."""
    for _ in range((1, 2, 4, 2, 2)[level]):
        x = box(x)
    if level < 3:
        return x
    return F.interpolate(F.avg_pool2d(x, (4, 8)[level - 3], ceil_mode=True, count_include_pad=False),
                         size=x.shape[2:], mode="bilinear", align_corners=False)


@functools.lru_cache(maxsize=64)
def squared_frequencies(size, device):
    return torch.fft.fftfreq(size, device=device) ** 2


def gaussian_transfer(shape, radius):
    """What Gaussians with a deviation of `radius` pixels (batch x 1 x 1 x 1) do to the frequencies of rfft2."""
    factor = radius * radius * (-2 * math.pi ** 2)
    down, right = (torch.exp(factor * squared_frequencies(size, radius.device)) for size in shape)
    return down.transpose(2, 3), right


def blur(x, radius):
    """x convolved with Gaussians, one radius for each picture. The picture continues at its opposite edge, which does
    no harm to noise."""
    down, right = gaussian_transfer(x.shape[2:], radius)
    return torch.fft.irfft2(torch.fft.rfft2(x).mul_(down * right[..., :x.shape[3] // 2 + 1]), s=x.shape[2:])


def blurred_normal(random, channels, shape, radius, mean_free=False):
    """Normal noise after `blur`, with a deviation of 1 again. Without its mean if it is larger than a picture, for a
    shift of the whole picture is nothing that could be seen in it."""
    down, right = gaussian_transfer(shape, radius)
    power = (down ** 2).mean(2, keepdim=True) * (right ** 2).mean(3, keepdim=True)
    transfer = down * right[..., :shape[1] // 2 + 1]
    if mean_free:
        transfer[..., 0, 0] = 0
        power -= 1 / (shape[0] * shape[1])
    spectrum = torch.fft.rfft2(random.normal((radius.shape[0], channels, *shape)))
    return torch.fft.irfft2(spectrum.mul_(transfer * power.rsqrt()), s=shape)


def deviation(x):
    """Of a picture around its mean; not exactly 0."""
    return ((x * x).mean((1, 2, 3), keepdim=True) - x.mean((1, 2, 3), keepdim=True) ** 2).clamp(min=0).sqrt() + 1e-6


def brightness(x):
    return (x[:, :1] * LUMA[0]).add_(x[:, 1:2], alpha=LUMA[1]).add_(x[:, 2:], alpha=LUMA[2])


def colours_without_brightness(x):
    """Red and blue (batch x 2 x ...) and as much green as makes the brightness 0."""
    green = (x[:, :1] * (-LUMA[0] / LUMA[1])).add_(x[:, 1:], alpha=-LUMA[2] / LUMA[1])
    return torch.cat([x[:, :1], green, x[:, 1:]], 1)


def smooth_like_a_camera(noise, random, preset):
    """Two thirds of the cameras smooth the colour of noise and leave less of it than of the noise in brightness, which
    seven of ten smooth a little. In the five real pairs of the evaluation, which were looked at for this, colour has
    0.4 to 0.8 of the deviation of brightness, and the brightness of neighbours is correlated by 0.5 to 0.6."""
    luma = brightness(noise)
    chroma = noise - luma
    levels = random.uniform(0, SMOOTHINGS - 1e-3).long().flatten().tolist()
    if preset.phone:
        wide, radii = random.chosen(WIDE_SHARE), random.log_uniform(*WIDE_RADII)
        for index in wide:
            levels[index] = SMOOTHINGS
    smooth = torch.empty_like(chroma)
    for level in set(levels):
        chosen = [index for index, value in enumerate(levels) if value == level]
        smooth[chosen] = smoothing(chroma[chosen], level) if level < SMOOTHINGS else blur(chroma[chosen], radii[chosen])
    # Smoothing takes most of the strength away; how much is left of it, and of the fine grain, differs.
    strengths = random.uniform(0.1, 0.65)
    if preset.phone:
        strengths[wide] *= WIDE_STRENGTH
    smooth *= deviation(chroma) / deviation(smooth) * strengths
    smooth += chroma * (random.uniform(0, 0.15) * random.chance(0.5))
    kept = (~random.chance(1 - preset.colour_kept)).float()
    chroma = torch.lerp(smooth, chroma, kept)
    softness = random.uniform(0, 1) * random.chance(0.7)
    return chroma.add_(torch.lerp(luma, box(luma), softness))


def light_on_sensor(colours):
    """Of each pixel the colour that its filter lets through: `bayer_masks` once more, without multiplying."""
    light = colours[:, 1:2].clone()
    light[:, 0, 0::2, 0::2] = colours[:, 0, 0::2, 0::2]
    light[:, 0, 1::2, 1::2] = colours[:, 2, 1::2, 1::2]
    return light


def add_hot_pixels(mosaic, random):
    """A pixel whose number in 0..1 is below the density is hot, and how far below says how bright."""
    chosen, densities = random.chosen(HOT_SHARE), random.log_uniform(*HOT_DENSITIES)
    if chosen:
        low, high = HOT_AMPLITUDES
        place = random.even((len(chosen), *mosaic.shape[1:])) / densities[chosen]
        mosaic[chosen] += (place < 1).float() * (low + (high - low) * place)


def clip_at_black(mosaic, light, read, random):
    """`mosaic` is the noise on `light`; nothing stays further below black than the pedestal."""
    chosen = random.chosen(BLACK_SHARE)
    pedestals = random.uniform(0, LARGEST_PEDESTAL) * random.chance(0.5) * read.sqrt()
    if chosen:
        mosaic[chosen] = torch.maximum(mosaic[chosen], -(light[chosen] + pedestals[chosen]))


def camera(clean, random, preset=PLAIN):
    """Steps 1 to 5 above: the noisy picture, not yet rounded."""
    count, _, *shape = clean.shape
    contrast = random.uniform(0, 0.8) * random.chance(0.5)
    matrices = colour_matrices(random)
    gains = torch.cat([random.uniform(1.2, 2.6), torch.ones_like(random.uniform(0, 1)), random.uniform(1.2, 2.6)], 1)
    linear = to_linear(remove_contrast(clean, contrast))
    light = light_on_sensor(mix(inverse(matrices), linear).clamp_(0, 1).div_(gains))

    stops = random.uniform(0, 8)
    if preset.phone:
        stops = torch.where(random.chance(preset.pushed), random.uniform(*preset.pushed_stops), stops)
    shot = 2e-5 * 2 ** stops * random.uniform(0.7, 3)
    read = torch.exp(2.18 * torch.log(shot) + 1.2 + 0.5 * random.uniform(-1, 1))
    deviations = (light * shot).add_(read).sqrt_()
    mosaic = random.normal(light.shape).mul_(deviations)
    if preset.phone:
        add_hot_pixels(mosaic, random)
        clip_at_black(mosaic, light, read, random)

    noise = demosaic(mosaic, bayer_masks(shape, clean.device), random.chosen(0.3))
    if preset.phone:
        chosen, radii = random.chosen(BLUR_SHARE), random.uniform(*BLUR_RADII)
        if chosen:
            noise[chosen] = blur(noise[chosen], radii[chosen])
        chosen, radii = random.chosen(BLOTCH_SHARE), random.uniform(*BLOTCH_RADII)
        strengths = random.uniform(*BLOTCH_STRENGTHS)
        if chosen:
            blotches = colours_without_brightness(blurred_normal(random, 2, shape, radii[chosen], mean_free=True))
            noise[chosen] += blotches.mul_(deviations[chosen]).mul_(strengths[chosen])

    noisy = mix(matrices * gains.view(count, 1, 3), noise).add_(linear)
    noisy = clean + smooth_like_a_camera(add_contrast(to_srgb(noisy), contrast).sub_(clean), random, preset)
    if preset.phone:
        chosen, sigmas = random.chosen(MIXED_SHARE), random.uniform(0, MIXED_SIGMA)
        if chosen:
            noisy[chosen] += random.normal((len(chosen), *clean.shape[1:])).mul_(sigmas[chosen])
    return noisy


def gaussian(clean, random, preset=PLAIN):
    if not preset.phone:
        return clean + random.uniform(0, LARGEST_SIGMA) * random.normal(clean.shape)
    noise = random.normal(clean.shape).mul_(PHONE_LARGEST_SIGMA * random.uniform(0, 1) ** SIGMA_POWER)
    chosen = random.chosen(POISSON_SHARE)
    if chosen:
        noise[chosen] *= clean[chosen].mul_(2).sqrt_()  # as strong as before in a medium gray
    return noise.add_(clean)


def weak(clean, random, preset=PHONE):
    """What is left of a DSLR's noise by its own software: weak and soft, strongest in dark grays."""
    shape = clean.shape[2:]
    luma = blurred_normal(random, 1, shape, random.uniform(*WEAK_RADII))
    chroma = colours_without_brightness(blurred_normal(random, 2, shape, random.log_uniform(*WEAK_COLOUR_RADII)))
    noise = chroma.mul_(random.uniform(*WEAK_COLOUR_STRENGTHS)).add_(luma)
    gray = brightness(clean)
    peak = gray.sqrt().mul_(1 - gray).mul_(2.6)  # 1 at a gray of 1/3, less on both sides
    strength = random.uniform(0, 1)
    return noise.mul_(peak.mul_(strength).add_(1 - strength)).mul_(random.log_uniform(*WEAK_SIGMAS)).add_(clean)


def film(clean, random, preset=PHONE):
    """Grain: where grains cover a share u of the area, the variance goes with u (1 - u) (Newson et al., "Realistic
    Film Grain Rendering", IPOL 2017), and scanning blurs it and adds noise everywhere. It is gray, or the layers of
    colours have their own, in part."""
    shape = clean.shape[2:]
    radii = random.uniform(*FILM_RADII)
    common = (random.uniform(0, 1) + random.chance(FILM_GRAY_SHARE)).clamp_(max=1)
    grain = blurred_normal(random, 4, shape, radii)
    grain = (grain[:, 1:] * (1 - common * common).sqrt()).add_(grain[:, :1] * common)
    everywhere = random.uniform(0.1, 0.6)
    cover = (clean * (1 - clean)).sqrt_().mul_(2 * (1 - everywhere)).add_(everywhere)
    return grain.mul_(cover).mul_(random.log_uniform(*FILM_SIGMAS)).add_(clean)


KINDS = {"gaussian": gaussian, "camera": camera, "weak": weak, "film": film}


def kinds(count, preset, place):
    """The kind of each picture of a batch, in the order of KINDS. `place` in 0..1 rounds up or down, so that in the
    mean of many batches the shares are exact."""
    names, end = [], 0.0
    for name, share in preset.shares.items():
        end += share
        names += [name] * (int(count * end + 1e-6 + place) - len(names))
    return names[:count]


def sharpen(noisy, clean, random, names):
    """Unsharp masking of the noise, in place. That of the picture is left out: to undo it is not wanted."""
    chosen = [index for index in random.chosen(SHARPENED_SHARE) if names[index] != "gaussian"]
    amounts, radii = random.uniform(*SHARPENING_AMOUNTS), random.uniform(*SHARPENING_RADII)
    if chosen:
        noise = noisy[chosen] - clean[chosen]
        noisy[chosen] += (noise - blur(noise, radii[chosen])).mul_(amounts[chosen])


def round_to_bytes(x):
    return (x * 255).round_().clamp_(0, 255).div_(255)


def jpeg(pixels, quality, subsampling, shift=(0, 0)):
    """`pixels` (height, width, 3), bytes, written and read again. `shift` is where the first whole block begins, below
    and right of which there is nothing else: the edge is repeated outwards."""
    height, width = pixels.shape[:2]
    if any(shift):
        rows, columns = (numpy.maximum(numpy.arange(-by, size), 0) for by, size in zip(shift, (height, width)))
        pixels = pixels[rows[:, None], columns]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality, subsampling=subsampling)
    return numpy.asarray(Image.open(file))[shift[0]:, shift[1]:]


def jpegs(random, names, preset):
    """For the number of each picture that passes through JPEG, what to call `jpeg` with, once or twice."""
    passes = {}
    if not preset.phone:
        for index, (chance, u) in enumerate(random.draw(2).flatten(1).tolist()):
            if chance < preset.jpeg_shares[names[index]]:
                low, high = JPEG_QUALITIES
                passes[index] = [(low + round((high - low) * u), 0 if u > 0.6 else 2, (0, 0))]
        return passes
    low, high = PHONE_JPEG_QUALITIES
    for index, (chance, twice, *numbers) in enumerate(random.draw(12).flatten(1).tolist()):
        if chance < preset.jpeg_shares[names[index]]:
            passes[index] = [(low + round((high - low) * math.sqrt(quality)), 0 if subsampling < 0.5 else 2,
                              (int(8 * y), int(8 * x)) if shifted < JPEG_SHIFTED_SHARE else (0, 0))
                             for quality, subsampling, shifted, y, x in (numbers[:5], numbers[5:])
                             ][:2 if twice < JPEG_TWICE_SHARE else 1]
    return passes


def through_jpeg(noisy, passes):
    """`noisy` has been rounded to bytes; changes it in place."""
    chosen = list(passes)
    if not chosen:
        return
    pictures = (noisy[chosen] * 255).round_().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    for number, index in enumerate(chosen):
        for arguments in passes[index]:
            pictures[number] = jpeg(pictures[number], *arguments)
    noisy[chosen] = torch.from_numpy(pictures).to(noisy.device).permute(0, 3, 1, 2).float().div_(255)


def smaller(x, size):
    """By area averaging if it is a whole number of times smaller, as cameras and viewers do, or by triangles."""
    if x.shape[2] % size == 0:
        return F.avg_pool2d(x.clamp(0, 1), x.shape[2] // size)
    return F.interpolate(x.clamp(0, 1), size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def replace_by_gray(noisy, clean, chosen):
    """One channel of the chosen pictures in place of all three."""
    for index in chosen:
        for x in (noisy, clean):
            x[index] = x[index, index % 3].clone()


def replace_by_graphics(noisy, clean, chosen, seed):
    """Graphics in place of the chosen pictures: what is to come out is what goes in."""
    rng = numpy.random.default_rng(seed)
    for index in chosen:
        patch = round_to_bytes(clean[index]).mul_(255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        made = torch.from_numpy(numpy.ascontiguousarray(graphics(patch, rng).transpose(2, 0, 1)))
        noisy[index] = clean[index] = made.to(clean.device).float().div_(255)


def add_noise(clean, size, seed, preset=PHONE):
    """(noisy, clean), both (batch, 3, size, size). `clean` may be larger than size: then both are made smaller."""
    whole = Random(seed, clean.shape[0], clean.device)
    names = kinds(clean.shape[0], preset, float(whole.draw()[0]))
    parts = []
    for number, (name, model) in enumerate(KINDS.items()):
        part = clean[names.index(name):][:names.count(name)] if name in names else clean[:0]
        if part.shape[0] > 0:
            parts.append(model(part, Random(seed + 1 + number, part.shape[0], clean.device), preset))
    noisy = torch.cat(parts)
    unchanged = whole.chosen(CLEAN_SHARE)
    noisy[unchanged] = clean[unchanged]
    if clean.shape[2] != size:
        noisy, clean = smaller(noisy, size), smaller(clean, size)
    if preset.phone:
        sharpen(noisy, clean, whole, names)
    noisy = round_to_bytes(noisy)
    through_jpeg(noisy, jpegs(whole, names, preset))
    clean = clean.clone()
    replace_by_gray(noisy, clean, whole.chosen(GRAY_SHARE))
    replace_by_graphics(noisy, clean, whole.chosen(GRAPHICS_SHARE), seed)
    return noisy, clean
