"""CeAE: an autoencoder that learns to complete images from which a square is erased.

Source: context encoding of Zimmerer et al., 2018 (arXiv:1812.05941), without its variational part, as Cai et al.,
MICCAI 2024, table 2, compare it with AE[d]: their network of appendix B; the square's area by their code.
Deviates: the map is enlarged to the image's size.
"""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import SIGNED, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench_autoencoders._checks import require_latent, require_training
from uadbench_autoencoders._compact import LatentNetwork, training


@dataclass(frozen=True)
class ContextAutoencoder:
    """AE[d] that sees every training image with one square erased; the last epoch is kept.

    `area` is the share of the image that the square covers, up to whole pixels a side: 0.024 of 64 x 64 is 10 x 10.
    """

    latent: int = 16
    size: int = 64
    epochs: int = 250
    batch: int = 64
    lr: float = 1e-3
    area: float = 0.024
    augment: bool = False
    residual: str = "squared"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_training("ceae", self, multiple=16)
        if not (0 < self.area < 1 and 1 <= self.side < self.size):
            raise ParameterError(
                f"area is {self.area}. Give a share of the image, such as 0.024, "
                f"whose square has 1 to {self.size - 1} pixels a side."
            )

    @property
    def side(self) -> int:
        """Of the square, in pixels of the grid."""
        return round(self.size * sqrt(self.area))

    @property
    def domain(self) -> Domain:
        """[-1, 1]."""
        return SIGNED

    def network(self, channels: int) -> LatentNetwork:
        """Untrained."""
        return LatentNetwork(channels, self.latent, self.size)

    def reconstruct(self, network: LatentNetwork, images: Grid, draw: Draw) -> Grid:
        """What the network returns for the image as it is."""
        return network.decode(network.encode(images))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least squared error, on [-1, 1], of completed images."""
        return fit(self, training(self, self.loss), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def loss(self, network: LatentNetwork, images: Grid) -> Tensor:
        """Mean (x - x_hat)^2 over all pixels of whole images x and what the network makes of erased ones."""
        seen = network.decode(network.encode(erased(images, self.side, self.domain.low)))
        return F.mse_loss(seen, images)


def erased(images: Grid, side: int, fill: float) -> Grid:
    """The images, each with `fill` in a square of its own in all channels, anywhere inside with the same probability.

    Places are drawn on the CPU so that every device sees the same.
    """
    n, _, size, _ = images.shape
    first = torch.randint(size - side + 1, (2, n, 1)).to(images.device, non_blocking=True)
    pixels = torch.arange(size, device=images.device)
    rows, columns = (first <= pixels) & (pixels < first + side)  # (2, n, 1), (s,) -> (n, s), (n, s)
    square = rows[:, None, :, None] & columns[:, None, None, :]  # -> (n, 1, s, s)
    return images.masked_fill(square, fill)
