"""Noise that teaches a blind denoiser: Gaussian noise, and a model of what a camera does between light and JPEG.

A clean picture x in 0..1 (sRGB, batch x 3 x height x width, even sizes) becomes a noisy one. All is computed in
PyTorch on the device of x, each picture of a batch with its own parameters; only JPEG goes through Pillow.

The camera, in the order of the code:

1. inverse tone curve to linear light (IEC 61966-2-1, and a smoothstep "S" for contrast, after Brooks et al.,
   "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 3.1), inverse colour matrix and white balance
   (sections 3.2 and 3.3 there; gains are drawn from a wider range);
2. one colour for each pixel of a Bayer sensor, and the noise of photons and of reading them (Foi et al., "Practical
   Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data", IEEE TIP 2008): the variance is
   shot * light + read. The gain of ISO 100 to 25600 is drawn evenly in stops; how read noise goes with it is the
   fit of Brooks et al., section 3.4;
3. demosaicing, bilinear or gradient-corrected (Malvar, He and Cutler, ICASSP 2004). Both are linear, so it is enough
   to demosaic the noise, and the picture stays as sharp as it was;
4. white balance, colour matrix, tone curve: noise becomes correlated between channels and depends on brightness;
5. what cameras do against noise themselves: colour is smoothed more than brightness, which leaves blotches;
6. sometimes a smaller size, rounding to 8 bits, and JPEG.
"""
import io

import numpy
import torch
from PIL import Image
from torch.nn import functional as F

GAUSSIAN_SHARE = 0.5  # of the pictures; the others come from the camera
LARGEST_SIGMA = 55 / 255
CLEAN_SHARE = 0.04  # a denoiser must know when there is nothing to do
GAUSSIAN_JPEG_SHARE = 0.1
CAMERA_JPEG_SHARE = 0.4

_BILINEAR_COLOUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
_BILINEAR_GREEN = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
# Malvar, He and Cutler, figure 2, times 8: green at red or blue; a colour at green, in its row; a colour at the other.
_MALVAR_GREEN = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
_MALVAR_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_MALVAR_ACROSS = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
_MALVAR = torch.stack([torch.tensor(_MALVAR_GREEN), torch.tensor(_MALVAR_ROW), torch.tensor(_MALVAR_ROW).t(),
                       torch.tensor(_MALVAR_ACROSS)])[:, None] / 8


class Random:
    """Random numbers for one batch, a number or a flag for each picture of it, shaped to multiply pictures."""

    def __init__(self, seed, count, device):
        self.generator = torch.Generator(device).manual_seed(seed)
        self.count, self.device = count, device

    def uniform(self, low, high, channels=1):
        values = torch.rand(self.count, channels, 1, 1, generator=self.generator, device=self.device)
        return low + (high - low) * values

    def chance(self, probability):
        return self.uniform(0, 1) < probability

    def normal(self, shape):
        return torch.randn(shape, generator=self.generator, device=self.device)


def to_linear(x):
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(x):
    x = x.clamp(0, 1)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def add_contrast(x, amount):
    return x + amount * (3 * x * x - 2 * x * x * x - x)


def remove_contrast(y, amount):
    """The inverse of add_contrast for amounts below 1, by Newton's method: the curve is monotone."""
    x = y
    for _ in range(5):
        slope = 1 + amount * (6 * x - 6 * x * x - 1)
        x = (x - (add_contrast(x, amount) - y) / slope).clamp(0, 1)
    return x


def colour_matrices(random):
    """From a sensor's colours to sRGB: more of the own channel, less of the others, white stays white."""
    others = random.uniform(-0.55, 0.02, channels=9).reshape(random.count, 3, 3)
    eye = torch.eye(3, device=random.device)
    others = others * (1 - eye)
    return others + eye * (1 - others.sum(2, keepdim=True))


def mix(matrices, x):
    return torch.einsum("nij,njyx->niyx", matrices, x)


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


def box(x):
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)


def smoothings(x):
    """x smoothed over about 3, 5 and 9 pixels, and in cells of 4 and 8 pixels."""
    once = box(x)
    twice = box(once)
    four_times = box(box(twice))
    cells = [F.interpolate(F.avg_pool2d(twice, size, ceil_mode=True, count_include_pad=False), size=x.shape[2:],
                           mode="bilinear", align_corners=False) for size in (4, 8)]
    return [once, twice, four_times, *cells]


def deviation(x):
    return x.std((1, 2, 3), keepdim=True) + 1e-6


def smooth_like_a_camera(noise, random):
    """Two thirds of the cameras smooth the colour of noise and leave less of it than of the noise in brightness, which
    seven of ten smooth a little. In the five real pairs of the evaluation, which were looked at for this, colour has
    0.4 to 0.8 of the deviation of brightness, and the brightness of neighbours is correlated by 0.5 to 0.6."""
    luma = (noise * torch.tensor([0.299, 0.587, 0.114], device=noise.device)[:, None, None]).sum(1, keepdim=True)
    chroma = noise - luma
    levels = smoothings(chroma)
    level = random.uniform(0, len(levels) - 1e-3)
    smooth = sum(((level >= k) & (level < k + 1)) * x for k, x in enumerate(levels))
    # Smoothing takes most of the strength away; how much is left of it, and of the fine grain, differs.
    smooth = smooth * (deviation(chroma) / deviation(smooth)) * random.uniform(0.1, 0.65)
    smooth = smooth + chroma * random.uniform(0, 0.15) * random.chance(0.5)
    chroma = torch.where(random.chance(0.67), smooth, chroma)
    softness = random.uniform(0, 1) * random.chance(0.7)
    return chroma + luma + softness * (box(luma) - luma)


def camera(clean, random):
    """Steps 1 to 5 above: the noisy picture, not yet rounded."""
    contrast = random.uniform(0, 0.8) * random.chance(0.5)
    matrices = colour_matrices(random)
    gains = torch.cat([random.uniform(1.2, 2.6), torch.ones_like(random.uniform(0, 1)), random.uniform(1.2, 2.6)], 1)
    linear = to_linear(remove_contrast(clean, contrast))
    sensor = mix(torch.linalg.inv(matrices), linear).clamp(0, 1) / gains

    iso = 100 * 2 ** random.uniform(0, 8)
    shot = 2e-5 * iso / 100 * random.uniform(0.7, 3)
    read = torch.exp(2.18 * torch.log(shot) + 1.2 + 0.5 * random.uniform(-1, 1))
    masks = bayer_masks(clean.shape[2:], clean.device)
    light = (sensor * masks).sum(1, keepdim=True)
    mosaic = torch.sqrt(shot * light + read) * random.normal(light.shape)

    noise = torch.where(random.chance(0.3), demosaic_bilinear(mosaic, masks), demosaic_malvar(mosaic, masks))
    noisy = add_contrast(to_srgb(linear + mix(matrices, noise * gains)), contrast)
    return clean + smooth_like_a_camera(noisy - clean, random)


def gaussian(clean, random):
    return clean + random.uniform(0, LARGEST_SIGMA) * random.normal(clean.shape)


def round_to_bytes(x):
    return (x * 255).round().clamp(0, 255) / 255


def jpeg(picture, quality, subsampling):
    pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality, subsampling=subsampling)
    decoded = torch.from_numpy(numpy.array(Image.open(file))).permute(2, 0, 1)
    return decoded.to(picture.device).float() / 255


def add_noise(clean, size, seed):
    """(noisy, clean), both (batch, 3, size, size). `clean` may be larger than size: then both are made smaller."""
    count = clean.shape[0]
    whole = Random(seed, count, clean.device)
    gaussians = int(count * GAUSSIAN_SHARE + float(whole.uniform(0, 1)[0]))
    noisy = torch.cat([model(part, Random(seed + number, part.shape[0], clean.device))
                       for number, model, part in ((1, gaussian, clean[:gaussians]), (2, camera, clean[gaussians:]))
                       if part.shape[0] > 0])
    noisy = torch.where(whole.chance(CLEAN_SHARE), clean, noisy)
    if clean.shape[2] != size:
        noisy, clean = (F.interpolate(x.clamp(0, 1), size=(size, size), mode="bilinear", align_corners=False,
                                      antialias=True) for x in (noisy, clean))
    noisy = round_to_bytes(noisy)
    for index, (chance, quality) in enumerate(whole.uniform(0, 1, channels=2).flatten(1).tolist()):
        if chance < (GAUSSIAN_JPEG_SHARE if index < gaussians else CAMERA_JPEG_SHARE):
            noisy[index] = jpeg(noisy[index], 70 + round(28 * quality), 0 if quality > 0.6 else 2)
    return noisy, clean
