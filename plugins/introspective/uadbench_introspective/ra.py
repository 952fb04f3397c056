"""RA (reversed autoencoder): Soft-IntroVAE whose encoder sees its own reconstructions as it sees their images.

Source: Bercea et al., MIDL 2023, "Generalizing unsupervised anomaly detection: towards unbiased pathology screening",
eq. 3 and 4 (embedding loss), eq. 5 (map), appendix A (training); network and losses of Daniel and Tamar, CVPR 2021.
Deviates: everything is minimised, where eq. 3 is written to be maximised; the perceptual distances are smoothed by a
Gaussian of 2 pixels, as the authors' code does; generated images are data to the encoder's exponential terms on both
sides of their error; predicts from the posterior's mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import FitContext, ImageSource
from uadbench.errors import InvalidDataError
from uadbench.torch_support.equalising import equalise_adaptively, smoothed
from uadbench.torch_support.perceptual import PerceptualDistance, require_distance
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, restored
from uadbench.torch_support.residuals import Residual
from uadbench.torch_support.weights import IMAGENET, require_kind
from uadbench_introspective._checks import require_at_least, require_introspective
from uadbench_introspective._losses import Weights
from uadbench_introspective._networks import WIDTH, IntrospectiveNetworks
from uadbench_introspective._training import fit, reconstructed

MILESTONE = 100  # epochs
SIGMA = 2.0  # of the smoothing, in pixels of the grid

Map = Float[Tensor, "n 1 s s"]
Distance = Callable[[Grid, Grid], Map]  # of images in [0, 1], around each pixel


@dataclass(frozen=True)
class ReversedAutoencoder:
    """RA: Soft-IntroVAE with weights of its own, `reverse_weight` times the embedding loss, and a map of three factors.

    The switches are the rows of the paper's table 3: `reverse_loss` off is "w/o reverse loss", `hist_eq` off "w/o hist.
    eq.": |x_hat - x| instead of its equalised self, and one distance instead of two; `perceptual` off "w/o PL": no
    distance at all; the last two off: the plain residual. `distance` names the perceptual distance, `weights` says
    whether its network has those of "imagenet" or "random" ones. The other fields are those of `si-vae`; the learning
    rates of `lr_schedule_active` fall after 100 epochs.
    """

    latent: int = 128
    width: int = WIDTH
    size: int = 128
    epochs: int = 1500
    batch: int = 8
    lr: float = 5e-5
    beta_rec: float = 0.5
    beta_kl: float = 1.0
    beta_neg: float = 128.0
    gamma_r: float = 1e-8
    reverse_loss: bool = True
    reverse_weight: float = 5e-3
    hist_eq: bool = True
    perceptual: bool = True
    distance: str = "lpips-squeeze"
    weights: str = IMAGENET
    patience: int = 500
    lr_schedule_active: bool = False
    test_sampling: str = "mean"
    bn_mode: str = "train"
    augment: bool = True
    block: int = 32

    def __post_init__(self) -> None:
        require_introspective("ra", self)
        require_at_least(self, "reverse_weight", 0)
        require_distance(self.distance)
        require_kind(self.weights)

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
        reverse = self.reverse_weight if self.reverse_loss else 0.0
        return Weights(self.beta_rec, self.beta_kl, self.beta_neg, self.gamma_r, reverse)

    def network(self, channels: int) -> IntrospectiveNetworks:
        """Untrained."""
        return IntrospectiveNetworks(channels, self.latent, self.size, self.width)

    def reconstruct(self, network: IntrospectiveNetworks, images: Grid, draw: Draw) -> Grid:
        """The pseudo-healthy image: that of the posterior's mean, or of a sample."""
        return reconstructed(network, images, self.test_sampling, draw)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Two updates per batch; the epoch that reconstructs the validation images best is kept.

        Raises:
            InvalidDataError: Images that the perceptual distance cannot see.
        """
        if self.perceptual and train.shape[0] not in (1, 3):
            raise InvalidDataError(
                f"ra: images have {train.shape[0]} channels; the perceptual distance sees 1 (grey) or 3 (RGB). Convert "
                "them, or leave `perceptual` off."
            )
        return fit(self, train, val, context, differences)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device, differences)


def differences(method: ReversedAutoencoder, device: str) -> Residual:
    """The method's map, with the weights that it needs.

    Raises:
        MissingWeightsError: Names the file to place, where, and the command that fetches it.
        MissingLibraryError: Names the library that brings them.
    """
    distance = PerceptualDistance(method.distance, device, weights=method.weights) if method.perceptual else None

    def between(images: Grid, seen: Grid) -> Map:
        return anomaly_map(images, seen, distance, hist_eq=method.hist_eq)

    return Residual(between, in_domain=False, weights_used=distance.weights_used if distance else ())


def anomaly_map(images: Grid, seen: Grid, distance: Distance | None, *, hist_eq: bool) -> Map:
    """|e(x_hat) - e(x)| S(x_hat, x) S(e(x_hat), e(x)) of images in [0, 1], mean over channels, >= 0.

    e is adaptive histogram equalisation, left out together with the last factor where `hist_eq` is off; S the smoothed
    perceptual distance, 1 without a `distance`.
    """
    pairs = [(seen, images)]
    if hist_eq:
        pairs.append(equalise_adaptively(torch.cat([seen, images])).chunk(2))
    apart = (pairs[-1][0] - pairs[-1][1]).abs().mean(1, keepdim=True)  # (n, c, s, s) -> (n, 1, s, s)
    if distance is None:
        return apart
    one, other = (torch.cat(part) for part in zip(*pairs, strict=True))  # both pairs in one batch: (2n, c, s, s)
    return apart * torch.stack(smoothed(distance(one, other), SIGMA).chunk(len(pairs))).prod(0)
