"""MIRNet-v2 (Zamir et al., TPAMI 2022) in PyTorch, with the published checkpoints' parameter names.

Every feature map is (batch, channels, height, width); height and width of the image are multiples of 4. The streams of
a block work at 1, 1/2 and 1/4 of the resolution with ``width``, 1.5 and 2.25 times ``width`` channels. Sources of each
block: section 3 of arXiv:2205.01649.
"""
from torch import nn
from torch.nn import functional as F

from mirnet_torch import Fusion, conv

CONVOLUTION_GROUPS = (1, 2, 4, 4)  # of the 3x3 convolutions in each of the network's four groups


def activation():
    return nn.LeakyReLU(0.2)


class GlobalContext(nn.Module):
    """Adds to every pixel a transform of the mean of all pixels, weighted by a softmax over them."""

    def __init__(self, c, bias):
        super().__init__()
        self.conv_mask = conv(c, 1, 1, bias)
        self.channel_add_conv = nn.Sequential(conv(c, c, 1, bias), activation(), conv(c, c, 1, bias))

    def forward(self, x):
        mask = self.conv_mask(x).flatten(2).softmax(2)           # (n, 1, h * w)
        context = x.flatten(2) @ mask.transpose(1, 2)            # (n, c, 1)
        return x + self.channel_add_conv(context.unsqueeze(3))


class ResidualContext(nn.Module):
    def __init__(self, c, groups, bias):
        super().__init__()
        self.body = nn.Sequential(conv(c, c, 3, bias, groups), activation(), conv(c, c, 3, bias, groups))
        self.gcnet = GlobalContext(c, bias)

    def forward(self, x):
        return x + F.leaky_relu(self.gcnet(self.body(x)), 0.2)


class Down(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.bot = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), conv(c, out, 1))

    def forward(self, x):
        return self.bot(x)


class Up(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.bot = nn.Sequential(conv(c, out, 1), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))

    def forward(self, x):
        return self.bot(x)


class Resize(nn.Module):
    """One halving or doubling of the resolution, which the published names put into a body of its own."""

    def __init__(self, step):
        super().__init__()
        self.body = nn.Sequential(step)

    def forward(self, x):
        return self.body(x)


class MultiScaleBlock(nn.Module):
    def __init__(self, width, groups, bias):
        super().__init__()
        top, mid, bot = width, width * 3 // 2, width * 9 // 4
        self.dau_top, self.dau_mid, self.dau_bot = (ResidualContext(c, groups, bias) for c in (top, mid, bot))
        self.down2 = Resize(Down(top, mid))
        self.down4 = nn.Sequential(Resize(Down(top, mid)), Resize(Down(mid, bot)))
        self.up21_1, self.up21_2 = (Resize(Up(mid, top)) for _ in range(2))
        self.up32_1, self.up32_2 = (Resize(Up(bot, mid)) for _ in range(2))
        self.conv_out = conv(width, width, 1, bias)
        self.skff_top, self.skff_mid = (Fusion(c, 2, activation()) for c in (top, mid))

    def forward(self, x):
        top, mid, bot = x, self.down2(x), self.down4(x)
        # Both rounds have the same context blocks and fusions, and upsamplers of their own.
        for up21, up32 in ((self.up21_1, self.up32_1), (self.up21_2, self.up32_2)):
            top, mid, bot = self.dau_top(top), self.dau_mid(mid), self.dau_bot(bot)
            mid = self.skff_mid([mid, up32(bot)])
            top = self.skff_top([top, up21(mid)])
        return x + self.conv_out(top)


class ResidualGroup(nn.Module):
    def __init__(self, width, blocks, groups, bias):
        super().__init__()
        self.body = nn.Sequential(*(MultiScaleBlock(width, groups, bias) for _ in range(blocks)),
                                  conv(width, width, 3, bias))

    def forward(self, x):
        return x + self.body(x)


class MIRNetV2(nn.Module):
    """For images of 3 channels, or 6, the left and the right view. `bias` adds biases to all convolutions but those
    of downsamplers, upsamplers and fusions. With `defocus`, the network restores the image itself instead of what to
    add to it.
    """

    def __init__(self, width=80, blocks=2, channels=3, bias=False, defocus=False):
        super().__init__()
        self.channels, self.defocus = channels, defocus
        self.conv_in = conv(channels, width, 3, bias)
        self.body = nn.Sequential(*(ResidualGroup(width, blocks, groups, bias) for groups in CONVOLUTION_GROUPS))
        self.conv_out = conv(width, 3, 3, bias)

    def forward(self, x):
        shallow = self.conv_in(x)
        deep = self.body(shallow)
        return self.conv_out(deep + shallow) if self.defocus else x + self.conv_out(deep)
