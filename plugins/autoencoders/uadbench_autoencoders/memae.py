"""MemAE: an autoencoder that decodes mixtures of a few remembered healthy latents, never a latent itself.

Source: Gong et al., ICCV 2019, sec. 3, as Cai et al., MICCAI 2024, table 2, compare it with AE[d]: their network of
appendix B with 25 items, and the entropy's weight by their code.
Latents meet items by their cosine and the shrinkage is one over the number of items, as in Gong; that code takes the
dot product and 1/400 (preset `ae4ad-2024`).
Deviates: the map is enlarged to the image's size.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import SIGNED, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench_autoencoders._checks import require_at_least, require_latent, require_one_of, require_training
from uadbench_autoencoders._compact import LatentNetwork, training
from uadbench_autoencoders._memory import SIMILARITIES, Memory, Weights, entropy


class MemoryNetwork(nn.Module):
    """An autoencoder with a memory between its halves."""

    def __init__(self, autoencoder: LatentNetwork, memory: Memory) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.memory = memory

    def forward(self, images: Grid) -> tuple[Grid, Weights]:
        """The images that the memory gives for images in [-1, 1], and how much of each item is in them."""
        weights = self.memory.address(self.autoencoder.encode(images))
        return self.autoencoder.decode(self.memory.recall(weights)), weights


@dataclass(frozen=True)
class MemoryAutoencoder:
    """MemAE: `items` latents are remembered; a weight of at most `shrinkage` counts as 0; the last epoch is kept.

    `similarity` of latents and items: "cosine" or "dot" product.
    """

    latent: int = 16
    items: int = 25
    size: int = 64
    epochs: int = 250
    batch: int = 64
    lr: float = 1e-3
    similarity: str = "cosine"
    shrinkage: float = 0.04
    entropy_weight: float = 0.0002
    augment: bool = False
    residual: str = "squared"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_training("memae", self, multiple=16)
        require_at_least("items", self.items, 1)
        require_at_least("entropy_weight", self.entropy_weight, 0)
        require_one_of("similarity", self.similarity, SIMILARITIES)
        if not 0 <= self.shrinkage < 1:
            raise ParameterError(f"shrinkage is {self.shrinkage}. Give a weight from 0 to below 1, such as 0.04.")

    @property
    def domain(self) -> Domain:
        """[-1, 1]."""
        return SIGNED

    def network(self, channels: int) -> MemoryNetwork:
        """Untrained."""
        memory = Memory(self.items, self.latent, self.similarity, self.shrinkage)
        return MemoryNetwork(LatentNetwork(channels, self.latent, self.size), memory)

    def reconstruct(self, network: MemoryNetwork, images: Grid, draw: Draw) -> Grid:
        """What the network returns."""
        seen: Tensor = network(images)[0]
        return seen

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least squared error on [-1, 1] and entropy."""
        return fit(self, training(self, self.loss), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def loss(self, network: MemoryNetwork, images: Grid) -> Tensor:
        """mean (x - x_hat)^2 over pixels + `entropy_weight` * entropy of the items' weights, both mean over images."""
        seen, weights = network(images)
        return F.mse_loss(seen, images) + self.entropy_weight * entropy(weights).mean()
