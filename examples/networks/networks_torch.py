"""The networks of this folder in PyTorch: for training, and for comparing results."""
from torch import cat, nn
from torch.nn import functional as F


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
        mode = "reflect" if min(height, width) > 1 else "replicate"
        x = F.pad(x, (0, width % 2, 0, height % 2), mode=mode)
        skip = F.leaky_relu(self.enter(x), 0.2)
        inner = self.slopes(self.down(skip))
        inner = F.relu(self.norm(self.middle(inner)))
        upper = F.pixel_shuffle(self.up(inner), 2)
        joined = F.relu(self.join(cat([skip, upper], 1)))
        return (x + self.leave(self.depthwise(joined)))[..., :height, :width]
