"""MorphAEus: an autoencoder too deep to copy lesions, whose reconstruction a local deformation fits to the image.

Source: Bercea et al., MICCAI 2023, "What do AEs learn? Challenging common assumptions in unsupervised anomaly
detection", sec. 2 (networks, losses) and 3 (training, ablation of fig. 5); layers, weights and schedule as in the
authors' settings.
Deviates: "after 10 epochs" is read as from epoch index 11 on, counted from 0, as the authors' code does; 10 is the
other reading. The epoch is chosen and patience counted from the first epoch on, as there: 25 epochs of patience run out
14 epochs after the deformation began at the earliest. lite0 as `features` has its own normalisation; VGG-19 sees images
as they are.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource, Progress
from uadbench.errors import InvalidDataError
from uadbench.torch_support import training
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.feature_losses import FeatureLosses, require_losses
from uadbench.torch_support.reconstructing import (
    UNIT,
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
from uadbench.torch_support.residuals import require_residual
from uadbench.torch_support.training import Learner, Schedule
from uadbench.torch_support.weights import IMAGENET, require_kind
from uadbench_morphaeus._checks import require_morphing
from uadbench_morphaeus._losses import morph_loss, stiffness
from uadbench_morphaeus._networks import WIDTH, MorphNetwork
from uadbench_morphaeus._warping import folding, integrate, warp

CONTENT = "content"


@dataclass(frozen=True)
class Morphaeus:
    """MorphAEus; `width` is the channels of the first layer.

    `perceptual` adds `perceptual_weight` times the distance of `features`, "vgg19" or "lite0", whose `weights` are
    those of "imagenet" or "random". `morph` adds the deformation's loss from epoch index `morph_from` on; its
    smoothness weighs fully after `ramp_epochs`. `inference` says what an image is compared with: its deformed
    reconstruction "x_morph", or "x_rec". The switches are the columns of the paper's figure 5: `perceptual` off is "w/o
    PL", `morph` off "w/o M", which has no x_morph. `bn_mode` "eval" trains with frozen batch statistics, as published
    code does.
    """

    width: int = WIDTH
    size: int = 128
    epochs: int = 500
    batch: int = 64
    lr: float = 5e-4
    patience: int = 25
    perceptual: bool = True
    perceptual_weight: float = 0.05
    features: str = "vgg19"
    weights: str = IMAGENET
    morph: bool = True
    morph_from: int = 11
    ramp_epochs: int = 200
    inference: str = "x_morph"
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32

    def __post_init__(self) -> None:
        self.schedule()
        require_morphing(self)
        require_losses(self.features, [CONTENT])
        require_kind(self.weights)
        require_residual(self.residual)

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, mode=self.bn_mode)

    def network(self, channels: int) -> MorphNetwork:
        """Untrained."""
        return MorphNetwork(channels, self.size, self.width)

    def reconstruct(self, network: MorphNetwork, images: Grid, draw: Draw) -> Grid:
        """The pseudo-healthy image: deformed towards the image, or as the autoencoder makes it."""
        return deformed(*network(images)) if self.morph and self.inference == "x_morph" else network.reconstruct(images)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """The detector of the epoch whose reconstructions, plain and deformed, are nearest to the validation images.

        Its `weights` name those of the loss as well; its `diagnostics` have "folding", the share of the validation
        images' pixels at which the deformation folds. A detector that is loaded tells neither.

        Raises:
            InvalidDataError: Images that the features cannot see; validation images of other channels, or none.
            TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
            EnvironmentProblemError: Weights or a library are missing; said before the training.
        """
        self._require_visible(train)
        require_same_channels(train, val)
        features, plain = self.feature_losses(context.device), by_name(self, context.device)
        with deterministic(context.seed, context.device):
            network, healthy = self.network(train.shape[0]).to(context.device), on_grid(self, val)
            learner = self.learner(network, features, healthy, context)
            augment = Affine(fill=self.domain.low) if self.augment else None
            training.train(learner, on_grid(self, train), self.schedule(), context, augment=augment)
            diagnostics = self.diagnosed(network, healthy, context)
        used = (*plain.weights_used, *(features.weights_used if features else ()))
        made = reconstructor(self, network, train.shape[0], context, lambda *_: replace(plain, weights_used=used))
        return replace(made, diagnostics=diagnostics)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def feature_losses(self, device: str) -> FeatureLosses | None:
        """What compares features, None without `perceptual`."""
        if not self.perceptual:
            return None
        return FeatureLosses(self.features, [CONTENT], device, normalised=False, weights=self.weights)

    def learner(
        self, network: MorphNetwork, features: FeatureLosses | None, healthy: Grid, context: FitContext
    ) -> Learner:
        """The network with its optimiser, and how far the validation images are from what it makes of them."""
        optimiser = torch.optim.Adam(network.parameters(), lr=self.lr)

        def step(batch: Grid, epoch: int) -> Tensor:
            descend = training.gradient_step(
                lambda images: self.loss(network, images, epoch, features), optimiser, context
            )
            return descend(batch, epoch)

        error = training.mean_loss(lambda images: self.error(network, images), healthy, self.batch, context)
        return Learner(network, step, (optimiser,), validate=error)

    def loss(self, network: MorphNetwork, images: Grid, epoch: int, features: FeatureLosses | None) -> Tensor:
        """MSE(x_rec, x) + `perceptual_weight` * PL(x_rec, x) + L_morph, each where and when it is switched on."""
        deforming = self.morph and epoch >= self.morph_from
        seen, velocity = network(images) if deforming else (network.reconstruct(images), None)
        total = F.mse_loss(seen, images)
        if features is not None:
            total = total + self.perceptual_weight * features(seen, images)[CONTENT]
        if velocity is not None:
            total = total + morph_loss(images, seen, velocity, stiffness(epoch, self.ramp_epochs))
        return total

    def error(self, network: MorphNetwork, images: Grid) -> Tensor:
        """What chooses the epoch: mean of MSE(x_rec, x) and MSE(x_morph, x); the first alone without `morph`."""
        if not self.morph:
            return F.mse_loss(network.reconstruct(images), images)
        seen, velocity = network(images)
        return (F.mse_loss(seen, images) + F.mse_loss(deformed(seen, velocity), images)) / 2

    def diagnosed(self, network: MorphNetwork, healthy: Grid, context: FitContext) -> dict[str, float]:
        """What share of the pixels of healthy images folds, told as well; nothing without `morph`."""
        if not self.morph:
            return {}

        def share(images: Grid) -> Tensor:
            return folding(integrate(network(images)[1])).mean()

        with torch.no_grad():
            folded = training.mean_loss(share, healthy, self.batch, context)()
        context.report(
            Progress(self.epochs, self.epochs, "epochs", f"{folded:.2%} of the pixels of healthy images fold")
        )
        return {"folding": folded}

    def _require_visible(self, train: ImageSource) -> None:
        channels = train.shape[0]
        if self.perceptual and channels not in (1, 3):
            raise InvalidDataError(
                f"morphaeus: images have {channels} channels; the perceptual loss sees 1 (grey) or 3 (RGB). Convert "
                "them, or leave `perceptual` off."
            )


def deformed(seen: Grid, velocity: Tensor) -> Grid:
    """x_morph: reconstructions moved along their velocities."""
    return warp(seen, integrate(velocity))
