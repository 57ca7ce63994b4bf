"""The networks of this folder in PyTorch: what trains them, and what their results are compared with."""
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
