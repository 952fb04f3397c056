"""SI-VAE (Soft-IntroVAE): a variational autoencoder whose encoder learns to tell what the decoder makes from images.

Source: Daniel and Tamar, CVPR 2021, sec. 4, with the authors' settings for CIFAR-10; as baseline of anomaly detection:
Bercea et al., MICCAI 2023 (MorphAEus) and MIDL 2023 (RA), appendix A, with their layers for 128 px. Map: |x - x_hat|.
Deviates: the settings for CIFAR-10, of 32 px, are used for 128 px; how that training augments and which epoch it keeps
was not known: no augmentation, and the epoch that reconstructs the validation images best. Generated images are data
to the encoder's exponential terms on both sides of their error; predicts from the posterior's mean.
"""

from dataclasses import dataclass
from pathlib import Path

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, restored
from uadbench.torch_support.residuals import require_residual
from uadbench_introspective._checks import require_introspective
from uadbench_introspective._losses import Weights
from uadbench_introspective._networks import WIDTH, IntrospectiveNetworks
from uadbench_introspective._training import fit, reconstructed

MILESTONE = 350  # epochs


@dataclass(frozen=True)
class SoftIntroVae:
    """Soft-IntroVAE: `beta_rec`, `beta_kl` and `beta_neg` weigh error, divergence of images, and of generated ones.

    `latent` numbers describe an image, `width` is the channels of the first level. `gamma_r` weighs the error of what
    the decoder makes of generated images. `test_sampling`: predict from the posterior's "mean" or from a "sample".
    `lr_schedule_active`: the learning rates fall to a tenth after 350 epochs. `bn_mode` "eval" trains with frozen batch
    statistics; latents are drawn all the same.
    """

    latent: int = 128
    width: int = WIDTH
    size: int = 128
    epochs: int = 250
    batch: int = 32
    lr: float = 2e-4
    beta_rec: float = 1.0
    beta_kl: float = 1.0
    beta_neg: float = 256.0
    gamma_r: float = 1e-8
    patience: int = 0
    lr_schedule_active: bool = False
    test_sampling: str = "mean"
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32

    def __post_init__(self) -> None:
        require_introspective("si-vae", self)
        require_residual(self.residual)

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    @property
    def milestone(self) -> int:
        """The epoch of the lower learning rate, 0 for none."""
        return MILESTONE if self.lr_schedule_active else 0

    @property
    def loss_weights(self) -> Weights:
        """What the terms of both losses weigh."""
        return Weights(self.beta_rec, self.beta_kl, self.beta_neg, self.gamma_r)

    def network(self, channels: int) -> IntrospectiveNetworks:
        """Untrained."""
        return IntrospectiveNetworks(channels, self.latent, self.size, self.width)

    def reconstruct(self, network: IntrospectiveNetworks, images: Grid, draw: Draw) -> Grid:
        """The image of the posterior's mean, or of a sample."""
        return reconstructed(network, images, self.test_sampling, draw)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Two updates per batch; the epoch that reconstructs the validation images best is kept."""
        return fit(self, train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)
