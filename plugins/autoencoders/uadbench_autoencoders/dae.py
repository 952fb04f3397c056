"""Denoising autoencoder: a U-Net that takes coarse noise out of an image takes lesions out as well.

Source: Kascenas et al., MIDL 2022 (noise, network, map), and the authors' published settings.
Noise: normal on a grid of 16 x 16, drawn up bilinearly, rolled by one random shift for the whole batch, and set to 0
outside the foreground (sum over channels above 0.01); the sum with the image is not clipped.
Deviates: the published networks see 4 sequences divided by their 99th percentile; here any channels in [0, 1]. Where a
masked loss does not reach, in the background, the reconstruction is the image itself; the map is 0 there anyway.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import (
    UNIT,
    Domain,
    Draw,
    Grid,
    Reconstructor,
    Training,
    fit,
    restored,
)
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import require_at_least, require_one_of, require_positive, require_training
from uadbench_autoencoders._unet import UNet

AIR = 0.01  # at or below it lies no tissue
WEIGHT_DECAY = 1e-5
ANNEALED = 100  # epochs
LOSSES = ("squared", "absolute")
VALIDATIONS = ("noisy", "clean")


@dataclass(frozen=True)
class DenoisingAutoencoder:
    """Kascenas's DAE: an epoch is `steps` batches, or one pass where `steps` is 0; `width` is the first level's.

    `validation` "clean" chooses the epoch on images without noise, `noise_shift` s turns the noise n into (1 - s) n + s
    everywhere: -1 is 2 n - 1; both are what published codes do. `bn_mode` changes nothing: no layer here has a mode.
    """

    width: int = 64
    depth: int = 4
    size: int = 128
    epochs: int = 2100
    steps: int = 32
    batch: int = 16
    lr: float = 1e-4
    loss: str = "squared"
    masked: bool = True
    noise_sigma: float = 0.2
    noise_resolution: int = 16
    noise_shift: float = 0.0
    validation: str = "noisy"
    patience: int = 0
    lr_schedule_active: bool = True
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "foreground"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_at_least("width", self.width, 1)
        require_at_least("depth", self.depth, 2)
        require_training("dae", self, multiple=2**self.depth)
        require_positive("noise_sigma", self.noise_sigma, "a standard deviation above 0, such as 0.2")
        require_one_of("loss", self.loss, LOSSES)
        require_one_of("validation", self.validation, VALIDATIONS)
        if not 1 <= self.noise_resolution <= self.size:
            raise ParameterError(f"noise_resolution is {self.noise_resolution}. Give 1 to {self.size}, the size.")
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, steps=self.steps, mode=self.bn_mode)

    def network(self, channels: int) -> UNet:
        """Untrained."""
        return UNet(channels, self.width, self.depth)

    def reconstruct(self, network: UNet, images: Grid, draw: Draw) -> Grid:
        """What the network returns for the image as it is; `masked` leaves the background alone."""
        seen: Tensor = network(images)
        return torch.where(foreground(images) > 0, seen, images) if self.masked else seen

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """The error of images restored from their noisy selves; Adam with AMSGrad and cosine annealing."""
        training = Training(
            loss=self.noisy_error,
            optimiser=self.optimiser,
            schedule=self.schedule(),
            scheduler=self.annealing if self.lr_schedule_active else None,
            validation=self.validation_error,
            augment=self.augment,
            compiled=self.compiled,
        )
        return fit(self, training, train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Adam with AMSGrad and weight decay."""
        return torch.optim.Adam(weights, lr=self.lr, weight_decay=WEIGHT_DECAY, amsgrad=True)

    def annealing(self, optimiser: torch.optim.Optimizer) -> LRScheduler:
        """Half a cosine down to 0 in 100 epochs, the same way up again in the next, and so on."""
        return CosineAnnealingLR(optimiser, T_max=ANNEALED)

    def noise(self, images: Grid) -> Grid:
        """What is added to the images."""
        drawn = coarse_noise(images, self.noise_resolution, self.noise_sigma) * foreground(images)
        return (1 - self.noise_shift) * drawn + self.noise_shift

    def noisy_error(self, network: UNet, images: Grid) -> Tensor:
        """The error of what the network makes of noisy images."""
        return self.error(network(images + self.noise(images)), images)

    def clean_error(self, network: UNet, images: Grid) -> Tensor:
        """The error of what the network makes of the images themselves."""
        return self.error(network(images), images)

    def validation_error(self, network: UNet, images: Grid) -> Tensor:
        """What chooses the epoch."""
        return self.noisy_error(network, images) if self.validation == "noisy" else self.clean_error(network, images)

    def error(self, seen: Grid, images: Grid) -> Tensor:
        """Mean of (x_hat - x)^2, or of |x_hat - x|, over all pixels; `masked` counts the background as 0."""
        apart = (seen - images).abs() if self.loss == "absolute" else (seen - images) ** 2
        return (apart * foreground(images) if self.masked else apart).mean()


def coarse_noise(images: Grid, resolution: int, sigma: float) -> Grid:
    """Normal noise on `resolution` x `resolution` points, drawn up to the images' size and rolled; for each channel.

    Drawn on the CPU so that every device sees the same. `sigma` is that of the points: between them it is smaller.
    """
    n, c, h, w = images.shape
    points = sigma * torch.randn(n, c, resolution, resolution)
    enlarged = F.interpolate(points.to(images.device, non_blocking=True), (h, w), mode="bilinear", align_corners=True)
    down, right = int(torch.randint(h, ())), int(torch.randint(w, ()))
    return enlarged.roll((down, right), (-2, -1))


def foreground(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """1 where the sum over channels is above 0.01, else 0."""
    return (images.sum(1, keepdim=True) > AIR).float()
