"""Reverse distillation: a student restores healthy features from an embedding too narrow for anomalous ones.

Source: Deng and Li, CVPR 2022, arXiv:2201.10703, sec. 3 (loss of eq. 2, bottleneck, map, score) and 4 (training).
Deviates: grey image repeated to 3 channels; the last epoch is kept. `loss` "flattened" is what published code does: the
cosine of a whole level as one vector; the paper's eq. 2 takes it at every position. Not certain, since the paper does
not say: the student's residual blocks, here those of the teacher's stages mirrored (3, 6, 4); the channels after the
1x1 convolution of the fusion, here those of the teacher's coarsest level; where the stages double the sides, here in
the middle of their first block; sigma 4 of the smoothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.torch_support import training
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.reconstructing import require_multiple
from uadbench.torch_support.tensors import read, resized
from uadbench.torch_support.training import Learner, Schedule
from uadbench.torch_support.weights import IMAGENET
from uadbench_features._cosines import LOSSES, apart
from uadbench_features._detector import FeatureDetector, detector_of, frozen, restored
from uadbench_features._levels import STRIDE, Levels, levels_of, packed, require_common, require_images, unpacked
from uadbench_features._pupil import Pupil

BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class ReverseDistillation:
    """A frozen teacher, `backbone`, and a student that sees its features through a bottleneck.

    `size` is the side images are resized to; `width` the channels of the student's finest stage (0 = the teacher's at
    every stage); `blocks` the residual blocks of every stage (0 = those of ResNet-50); `loss` "position" as the paper
    says or "flattened" as published code does; `keep_features` computes the teacher's features of the training images
    once and holds them in memory, which changes no more than rounding; `sigma` of the map's smoothing is in pixels of
    the image; `block` images are predicted at once; `weights` "random" tries things out without any, and a run says so.
    """

    backbone: str = "wide_resnet50_2.tv_in1k"
    size: int = 256
    width: int = 0
    blocks: int = 0
    epochs: int = 200
    batch: int = 16
    lr: float = 5e-3
    loss: str = "position"
    keep_features: bool = False
    sigma: float = 4.0
    block: int = 1
    weights: str = IMAGENET

    def __post_init__(self) -> None:
        self.schedule()
        require_common(self.sigma, self.block, self.weights)
        require_multiple("reverse-distillation", self.size, 2 * STRIDE)
        if not self.lr > 0:
            raise ParameterError(f"lr is {self.lr}. Give a learning rate above 0, such as 5e-3.")
        for name in ("width", "blocks"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name} is {getattr(self, name)}. Give at least 1, or 0 for the paper's.")
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES, "one of: " + ", ".join(LOSSES))

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch)

    def network(self, backbone: Backbone) -> Pupil:
        """Bottleneck and student, untrained."""
        return Pupil(backbone.channels, self.width, self.blocks)

    def distances(self, network: Pupil, levels: Levels) -> Sequence[Float[Tensor, "n 1 _h _w"]]:
        """1 - cosine at every position of every level."""
        return [apart(a, b).unsqueeze(1) for a, b in zip(network(levels), levels, strict=True)]

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> FeatureDetector:
        """Bottleneck and student after the last epoch.

        Raises:
            InvalidDataError: Images that are too small, or of other channels than 1 or 3.
            ParameterError: A batch larger than the training set.
            TrainingDivergedError: A loss that is not finite or exploded.
            EnvironmentProblemError: The teacher's weights are missing; said before the training.
        """
        require_images(type(self).__name__, train.shape)
        with deterministic(context.seed, context.device):
            teacher = frozen(self, context.device)
            network = self.network(teacher).to(context.device)
            seen = self._seen(teacher, train, context.device)
            training.train(self.learner(teacher, network, context), seen, self.schedule(), context)
        return detector_of(self, teacher, network, train.shape[0], context)

    def learner(self, teacher: Backbone, network: Pupil, context: FitContext) -> Learner:
        """The student with its optimiser."""
        optimiser = torch.optim.Adam(network.parameters(), lr=self.lr, betas=BETAS)

        def loss(seen: Tensor) -> Float[Tensor, ""]:
            levels = self._levels(teacher, seen)
            return LOSSES[self.loss](network(levels), levels)

        return Learner(network, training.gradient_step(loss, optimiser, context), (optimiser,))

    def _seen(self, teacher: Backbone, train: ImageSource, device: str) -> Float[Tensor, "n ..."]:
        """What training draws its batches from: images (n, c, s, s), or their packed features (n, f)."""
        images = read(train, lambda image: resized(image, (self.size, self.size)))
        if not self.keep_features:
            return images
        with torch.no_grad():
            parts = (levels_of(teacher, part.to(device), self.size) for part in images.split(self.batch))
            return torch.cat([packed(levels).cpu() for levels in parts])

    def _levels(self, teacher: Backbone, seen: Float[Tensor, "n ..."]) -> Levels:
        """The teacher's levels of a batch."""
        if self.keep_features:
            return unpacked(seen, teacher.channels, self.size)
        with torch.no_grad():
            return levels_of(teacher, seen, self.size)

    @classmethod
    def load(cls, folder: Path, device: str) -> FeatureDetector:
        """The detector that `save` wrote, on the same weights."""
        return restored(cls, folder, device)
