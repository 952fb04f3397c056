"""AnoDDPM: a lesion drowns in noise that is as coarse as itself, and a model of healthy images takes both out.

Source: Wyatt et al., CVPRW 2022, "AnoDDPM: anomaly detection with denoising diffusion probabilistic models using
simplex noise", sec. 3; network, training and sampling by the settings of their code.
Deviates: their simplex noise works for a single image, and they train on one at a time; here the least batch is 2, and
every image and channel has noise of its own. Their scripts noise an image at index t - 1 or t; here `noised_to` steps
add the noise and as many take it out. The network that is trained also predicts; theirs has 2 heads in training and 1
in detection. The score, their map's mean, is ours.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.torch_support import training
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.reconstructing import (
    SIGNED,
    Domain,
    Draw,
    Grid,
    Reconstructor,
    by_name,
    on_grid,
    reconstructor,
    require_same_channels,
    restored,
)
from uadbench.torch_support.training import Learner, Schedule
from uadbench_anoddpm._checks import require_diffusing, require_shape
from uadbench_anoddpm._diffusion import ddim_step, ddpm_step, noised, path
from uadbench_anoddpm._network import Averaged, NoisePredictor, require_monai
from uadbench_anoddpm._simplex import ENTRIES, octaves


@dataclass(frozen=True)
class AnoDdpm:
    """AnoDDPM; `width` is the channels of the first level, `multipliers` those of each level in widths.

    Levels whose side is in `attention` attend with `heads` heads. The network learns the noise of the first
    `trained_to` of 1000 steps; an epoch is `steps` batches, or one pass where `steps` is 0; the mean of the weights,
    which moves by 1 - `ema_decay` a step, predicts. An image is noised for `noised_to` steps, and the `sampler` takes
    the noise out: "ddpm" in as many, with fresh noise in each, or "ddim" in `ddim_steps` without.

    `noise` "simplex" has `octaves`, the first `frequency` pixels of the grid wide, each half as wide as the one before
    and `persistence` times as high; "gaussian" is white.
    """

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 3, 4)
    res_blocks: int = 2
    attention: tuple[int, ...] = (32, 16, 8)
    heads: int = 2
    size: int = 128
    epochs: int = 3000
    steps: int = 100
    batch: int = 2
    lr: float = 1e-4
    clip_norm: float = 1.0
    ema_decay: float = 0.9999
    trained_to: int = 800
    noised_to: int = 200
    noise: str = "simplex"
    frequency: float = 64.0
    octaves: int = 6
    persistence: float = 0.8
    sampler: str = "ddpm"
    ddim_steps: int = 20
    augment: bool = False
    residual: str = "squared"
    block: int = 32

    def __post_init__(self) -> None:
        self.schedule()
        require_shape(self)
        require_diffusing(self)

    @property
    def domain(self) -> Domain:
        """[-1, 1]."""
        return SIGNED

    def schedule(self) -> Schedule:
        """How long to train; the last epoch is kept."""
        return Schedule(self.epochs, self.batch, steps=self.steps)

    def network(self, channels: int) -> NoisePredictor:
        """Untrained."""
        return NoisePredictor(channels, self)

    def reconstruct(self, network: NoisePredictor, images: Grid, draw: Draw) -> Grid:
        """The images after `noised_to` steps of noise and the way back; what is drawn for an image depends on it."""
        channels, last = images.shape[1], torch.full((1,), self.noised_to - 1, device=images.device)
        noisy = noised(images, self.drawn(draw, channels, last), last)
        count = self.noised_to if self.sampler == "ddpm" else self.ddim_steps
        for step, to in path(self.noised_to, count):
            now = torch.full((1,), step, device=images.device)
            epsilon = network(noisy, now.expand(len(noisy)))
            if self.sampler == "ddim":
                noisy = ddim_step(noisy, epsilon, step, to)
            else:
                noisy = ddpm_step(noisy, epsilon, step, self.drawn(draw, channels, now) if step else None)
        return noisy

    def drawn(self, draw: Draw, channels: int, steps: Int[Tensor, " k"]) -> Grid:
        """Noise for images at these steps, one of all (k = 1) or one of each; every channel has its own."""
        if self.noise == "gaussian":
            return draw(channels, self.size, self.size)
        permutations = draw(channels, ENTRIES).argsort(-1)  # (n, c, 256): the order of normal numbers
        depths = steps.repeat_interleave(channels) if len(steps) > 1 else steps
        slices = octaves(
            permutations.flatten(0, 1), depths, self.size, self.frequency, self.octaves, self.persistence
        )  # (n*c, s, s)
        return slices.unflatten(0, (-1, channels))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """The detector of the averaged weights; validation images are not looked at.

        Raises:
            InvalidDataError: Validation images of other channels.
            TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
            EnvironmentProblemError: Weights or a library are missing; said before the training.
        """
        channels = train.shape[0]
        require_same_channels(train, val)
        require_monai()
        by_name(self, context.device)
        with memory_checked(self.batch), deterministic(context.seed, context.device):
            averaged = Averaged(self.network(channels)).to(context.device)
            augment = Affine(fill=self.domain.low) if self.augment else None
            learner = self.learner(averaged, context)
            training.train(learner, on_grid(self, train), self.schedule(), context, augment=augment)
        return reconstructor(self, averaged.average, channels, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote: the averaged weights."""
        return restored(cls, folder, device)

    def learner(self, averaged: Averaged, context: FitContext) -> Learner:
        """AdamW without decay on the network, whose average follows every step."""
        optimiser = torch.optim.AdamW(averaged.network.parameters(), lr=self.lr, weight_decay=0.0)
        descend = training.gradient_step(
            lambda images: self.loss(averaged.network, images), optimiser, context, clip_norm=self.clip_norm
        )

        def step(batch: Grid, epoch: int) -> Tensor:
            value = descend(batch, epoch)
            averaged.update(self.ema_decay)
            return value

        return Learner(averaged, step, (optimiser,))

    def loss(self, network: NoisePredictor, images: Grid) -> Tensor:
        """Mean squared error of the predicted noise, at a step for each image drawn from the first `trained_to`."""
        n, channels = images.shape[:2]
        # drawn on the CPU so that every device sees the same
        steps = torch.randint(self.trained_to, (n,)).to(images.device)
        noise = self.drawn(lambda *shape: torch.randn(n, *shape).to(images.device), channels, steps)
        return F.mse_loss(network(noised(images, noise, steps), steps), noise)
