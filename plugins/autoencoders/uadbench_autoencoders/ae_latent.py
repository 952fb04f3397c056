"""AE[d]: an autoencoder whose latent is too small for anything but healthy anatomy.

Source: Cai et al., MICCAI 2024 ("Rethinking autoencoders"), sec. 3 and appendix B: network, squared error, 64 px.
Deviates: the map is enlarged to the image's size; the layer into the latent is linear, as in the authors' experiments
(their text puts batch normalisation after it).
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import SIGNED, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench_autoencoders._checks import require_latent, require_training
from uadbench_autoencoders._compact import LatentNetwork, training


@dataclass(frozen=True)
class LatentAutoencoder:
    """AE[d]: `latent` is d; `lr` is Adam's; the last epoch is kept."""

    latent: int = 16
    size: int = 64
    epochs: int = 250
    batch: int = 64
    lr: float = 1e-3
    augment: bool = False
    residual: str = "squared"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_training("ae-latent", self, multiple=16)

    @property
    def domain(self) -> Domain:
        """[-1, 1]."""
        return SIGNED

    def network(self, channels: int) -> LatentNetwork:
        """Untrained."""
        return LatentNetwork(channels, self.latent, self.size)

    def reconstruct(self, network: LatentNetwork, images: Grid, draw: Draw) -> Grid:
        """What the network returns."""
        return network.decode(network.encode(images))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least squared error on [-1, 1]."""
        return fit(self, training(self, squared_error), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)


def squared_error(network: LatentNetwork, images: Grid) -> Tensor:
    """Mean (x - x_hat)^2 over pixels, channels and images."""
    return F.mse_loss(network.decode(network.encode(images)), images)
