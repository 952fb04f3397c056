"""The inpainting networks: a generator of aggregated contextual transformations, and what judges its patches.

Source: Zeng et al., TVCG 2022 (AOT-GAN), arXiv:2104.01431, sec. 3; sizes as in Bercea et al., MICCAI 2023 (PHANES).
On a GPU the gradient of reflection padding has no deterministic kernel: there two trainings may differ in last bits.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

RATES = (1, 2, 4, 8)  # dilations of a block's branches
STRIDE = 4  # how much the generator shrinks a side
SMALLEST = STRIDE * (max(RATES) + 1)  # px: a map of fewer than 9 has no reflection 8 pixels away
BLOCKS, WIDTH = 8, 64
SLOPE = 0.2
SPREAD = 0.02  # standard deviation of a weight of a network of full width at the start
TINY = 1e-9  # beside a standard deviation
STEEP = 5  # factor of the gate's normalised values

Pixels = Float[Tensor, "n c s s"]
Masks = Float[Tensor, "n 1 s s"]
Maps = Float[Tensor, "n c a a"]


class Block(nn.Module):
    """Four dilated convolutions, a quarter of the channels each, fused, and let in where a gate opens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_padded(channels, channels // len(RATES), rate) for rate in RATES)
        self.fuse = _padded(channels, channels, 1)
        self.gate = _padded(channels, channels, 1)

    def forward(self, maps: Maps) -> Maps:
        """x (1 - g) + f g with the fused branches f and the gate g of x."""
        fused = self.fuse(torch.cat([F.relu(branch(maps)) for branch in self.branches], 1))
        opened = torch.sigmoid(normalised(self.gate(maps)))
        return maps * (1 - opened) + fused * opened


def normalised(maps: Maps) -> Maps:
    """5 (2 (x - mean) / deviation - 1) over the pixels of each channel of each image; -5 where nothing varies.

    The small number lies under the root, not beside it: a map that is constant has a gradient of 0 then, not NaN.
    """
    variance, mean = torch.var_mean(maps.float(), dim=(2, 3), keepdim=True)
    return STEEP * (2 * (maps - mean) / (variance + TINY**2).sqrt() - 1)


class Generator(nn.Module):
    """Seven layers and `blocks` blocks at a quarter of the side; a tanh ends them."""

    def __init__(self, channels: int, width: int = WIDTH, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(channels + 1, width, 7), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1), nn.ReLU()),
            *(Block(4 * width) for _ in range(blocks)),
            *(_doubled(), nn.Conv2d(4 * width, 2 * width, 3, padding=1), nn.ReLU()),
            *(_doubled(), nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU()),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        start(self, width)

    def forward(self, images: Pixels, masks: Masks) -> Pixels:
        """A whole image, in (-1, 1), of what lies outside the masks; inside, where they are 1, images are not seen."""
        hidden = torch.where(masks > 0, torch.ones_like(images), images)
        return torch.tanh(self.layers(torch.cat([hidden, masks], 1)).float())  # (n, c + 1, s, s) -> (n, c, s, s)


class Discriminator(nn.Module):
    """Tells for each patch how much of it was made up: towards 0 real, towards 1 not.

    Always in float32: a weight's largest singular value in half precision would be none.
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width, 8 * width)
        convolutions = [nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairwise(widths[:-1])]
        convolutions.append(nn.Conv2d(*widths[-2:], 4, padding=1, bias=False))
        last = nn.Conv2d(widths[-1], 1, 4, padding=1)
        for one in (*convolutions, last):
            start(one, width)
        judged = [nn.Sequential(spectral_norm(one), nn.LeakyReLU(SLOPE)) for one in convolutions]
        self.layers = nn.Sequential(*judged, last)

    def forward(self, images: Pixels) -> Float[Tensor, "n 1 p p"]:
        """One number per patch; p = s / 8 - 2."""
        with torch.autocast(images.device.type, enabled=False):
            patches: Tensor = self.layers(images.float())
        return patches


class InpaintingNetworks(nn.Module):
    """Both in one module, so that they are kept, restored and saved together, with the threshold of masks."""

    threshold: Tensor

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.generator = Generator(channels, width, blocks)
        self.generator.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
        self.discriminator = Discriminator(channels, width)
        self.register_buffer("threshold", torch.tensor(math.inf))


def composed(images: Pixels, made: Pixels, masks: Float[Tensor, "n 1 s s"] | Bool[Tensor, "n 1 s s"]) -> Pixels:
    """What was made where a mask is above 0, and the image itself, bit by bit, elsewhere."""
    return torch.where(masks > 0, made, images)


def start(part: nn.Module, width: int) -> None:
    """Draws the weights of convolutions from N(0, 0.02) at full width; biases are 0.

    A thinner layer adds fewer products up: its weights are larger, so that its output is not smaller.
    """
    spread = SPREAD * math.sqrt(WIDTH / width)
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, spread)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _padded(inner: int, outer: int, rate: int) -> nn.Sequential:
    """A convolution 3 x 3 that keeps the side, mirrored at the border."""
    return nn.Sequential(nn.ReflectionPad2d(rate), nn.Conv2d(inner, outer, 3, dilation=rate))


def _doubled() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
