"""VAE with a small latent: AE[d] whose latents are drawn from a posterior that is held near the prior.

Source: Kingma and Welling, ICLR 2014, as Cai et al., MICCAI 2024, table 2, compare it with AE[d]: their network of
appendix B with two outputs per latent; loss and its weight by their code.
Deviates: predicts from the posterior's mean; `test_sampling` "sample" draws from it, as the published code does. The
map is enlarged to the image's size.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import SIGNED, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench_autoencoders._checks import require_at_least, require_latent, require_one_of, require_training
from uadbench_autoencoders._compact import LatentNetwork, training
from uadbench_autoencoders._variational import SAMPLINGS, divergence, moments, predicted, sampled


@dataclass(frozen=True)
class LatentVae:
    """`latent` numbers describe an image; `kl_weight` weighs the divergence against the error; the last epoch is kept.

    `test_sampling`: predict from the posterior's "mean" or from a "sample".
    """

    latent: int = 16
    size: int = 64
    epochs: int = 250
    batch: int = 64
    lr: float = 1e-3
    kl_weight: float = 0.005
    test_sampling: str = "mean"
    augment: bool = False
    residual: str = "squared"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_training("vae-latent", self, multiple=16)
        require_at_least("kl_weight", self.kl_weight, 0)
        require_one_of("test_sampling", self.test_sampling, SAMPLINGS)

    @property
    def domain(self) -> Domain:
        """[-1, 1]."""
        return SIGNED

    def network(self, channels: int) -> LatentNetwork:
        """Untrained."""
        return LatentNetwork(channels, self.latent, self.size, outputs=2 * self.latent)

    def reconstruct(self, network: LatentNetwork, images: Grid, draw: Draw) -> Grid:
        """The image of the posterior's mean, or of a sample."""
        return network.decode(predicted(*moments(network.encode(images)), self.test_sampling, draw))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least squared error on [-1, 1] and divergence."""
        return fit(self, training(self, self.loss), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def loss(self, network: LatentNetwork, images: Grid) -> Tensor:
        """mean (x - x_hat)^2 over pixels + `kl_weight` * mean KL over latents, both over images; latents are drawn."""
        mean, log_variance = moments(network.encode(images))
        seen = network.decode(sampled(mean, log_variance))
        return F.mse_loss(seen, images) + self.kl_weight * divergence(mean, log_variance).mean() / self.latent
