"""The networks of this folder in PyTorch: for training, and for comparing results."""
from torch import cat, nn, ones, zeros
from torch.nn import functional as F


def pad(x, multiple):
    """Continues images at the right and below to a multiple of pixels, by reflection or, where they are too small for
    it, by repeating their edge."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if right:
        x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if below:
        x = F.pad(x, (0, 0, 0, below), mode="reflect" if below < height else "replicate")
    return x


def conv3x3(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class DnCNN(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
        for _ in range(15):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(64, 3, 3, padding=1))

    def forward(self, x):
        return x - self.model(x)


class FFDNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(13, 96, 3, padding=1), nn.ReLU()]
        for _ in range(10):
            layers += [nn.Conv2d(96, 96, 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(96, 12, 3, padding=1))

    def forward(self, x):
        """x: red, green, blue, and the noise's standard deviation."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        cells = cat([F.pixel_unshuffle(x[:, :3], 2), x[:, 3:, ::2, ::2]], 1)
        return F.pixel_shuffle(self.model(cells), 2)[..., :height, :width]


class SmallUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(3, 32, 3, padding=1)
        self.down = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.slopes = nn.PReLU(64)
        self.middle = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.up = nn.Conv2d(64, 128, 3, padding=1)
        self.join = nn.Conv2d(64, 32, 3, padding=1, padding_mode="reflect")
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.leave = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x):
        height, width = x.shape[-2:]
        x = pad(x, 2)
        skip = F.leaky_relu(self.enter(x), 0.2)
        inner = self.slopes(self.down(skip))
        inner = F.relu(self.norm(self.middle(inner)))
        upper = F.pixel_shuffle(self.up(inner), 2)
        joined = F.relu(self.join(cat([skip, upper], 1)))
        return (x + self.leave(self.depthwise(joined)))[..., :height, :width]


class ResidualBlock(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.body = nn.Sequential(conv3x3(features, features), nn.ReLU(), conv3x3(features, features))

    def forward(self, x):
        return x + self.body(x)


class EDSR(nn.Module):
    """Twice the height and width: EDSR's baseline without the shift of the mean (Lim et al., CVPRW 2017)."""

    def __init__(self, features=64, blocks=16):
        super().__init__()
        self.head = nn.Sequential(conv3x3(3, features))
        self.body = nn.Sequential(*[ResidualBlock(features) for _ in range(blocks)], conv3x3(features, features))
        self.tail = nn.Sequential(nn.Sequential(conv3x3(features, 4 * features), nn.PixelShuffle(2)),
                                  conv3x3(features, 3))

    def forward(self, x):
        x = self.head(x)
        return self.tail(x + self.body(x))


class UNet(nn.Module):
    """Three levels (Ronneberger et al., MICCAI 2015), with convolutions that keep the size."""

    def __init__(self, features=32):
        super().__init__()

        def level(inputs, outputs):
            return nn.Sequential(conv3x3(inputs, outputs), nn.ReLU(), conv3x3(outputs, outputs), nn.ReLU())

        self.down = nn.ModuleList([level(3, features), level(features, 2 * features)])
        self.bottom = level(2 * features, 4 * features)
        self.up = nn.ModuleList([level(6 * features, 2 * features), level(3 * features, features)])
        self.last = nn.Conv2d(features, 3, 1)

    def forward(self, x):
        height, width = x.shape[-2:]
        first = self.down[0](pad(x, 4))
        second = self.down[1](F.max_pool2d(first, 2))
        x = self.bottom(F.max_pool2d(second, 2))
        x = self.up[0](cat([second, F.interpolate(x, scale_factor=2)], 1))
        x = self.up[1](cat([first, F.interpolate(x, scale_factor=2)], 1))
        return self.last(x)[..., :height, :width]


class LayerNorm2d(nn.Module):
    """Over the channels of each pixel."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight, self.bias = nn.Parameter(ones(channels)), nn.Parameter(zeros(channels))
        self.eps = eps

    def forward(self, x):
        x = x - x.mean(1, keepdim=True)
        x = x / (x.pow(2).mean(1, keepdim=True) + self.eps).sqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def simple_gate(x):
    first, second = x.chunk(2, 1)
    return first * second


class NAFBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.beta, self.gamma = (nn.Parameter(zeros(1, channels, 1, 1)) for _ in range(2))
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.norm1, self.norm2 = LayerNorm2d(channels), LayerNorm2d(channels)

    def forward(self, x):
        gated = simple_gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(gated * self.sca(gated))
        return x + self.gamma * self.conv5(simple_gate(self.conv4(self.norm2(x))))


class NAFNet(nn.Module):
    """Chen et al., "Simple baselines for image restoration", ECCV 2022, with the names of the published checkpoints.
    Their code pads images by zeros, so results differ where a side is no multiple of 16."""

    def __init__(self, width=32, encoders=(2, 2, 4, 8), middle=12, decoders=(2, 2, 2, 2)):
        super().__init__()

        def blocks(count, level):
            return nn.Sequential(*[NAFBlock(width << level) for _ in range(count)])

        levels = len(encoders)
        self.intro, self.ending = conv3x3(3, width), conv3x3(width, 3)
        self.encoders = nn.ModuleList([blocks(encoders[i], i) for i in range(levels)])
        self.decoders = nn.ModuleList([blocks(decoders[i], levels - 1 - i) for i in range(levels)])
        self.middle_blks = blocks(middle, levels)
        self.ups = nn.ModuleList([nn.Sequential(nn.Conv2d(width << i, width << (i + 1), 1, bias=False),
                                                nn.PixelShuffle(2)) for i in range(levels, 0, -1)])
        self.downs = nn.ModuleList([nn.Conv2d(width << i, width << (i + 1), 2, stride=2) for i in range(levels)])

    def forward(self, image):
        height, width = image.shape[-2:]
        image = pad(image, 1 << len(self.downs))
        x, skips = self.intro(image), []
        for encoder, down in zip(self.encoders, self.downs):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.middle_blks(x)
        for decoder, up in zip(self.decoders, self.ups):
            x = decoder(up(x) + skips.pop())
        return (image + self.ending(x))[..., :height, :width]
