"""MKD: a small student learns what a frozen ImageNet network sees in healthy images; where it fails is anomalous.

Source: Salehi et al., CVPR 2021, arXiv:2011.11108, sec. 3 (losses, localisation); student, weights of the loss,
levels and schedule as in the authors' settings for medical images.
Deviates: lambda (`mse_weight`) weighs the squared error, not the angle, as the authors' settings have it. No range of
its own for each image: they clip a map at its 99th percentile and stretch it, which makes pixels of different images
incomparable (`per_image_range`). No morphological opening: maps are scored as they are. SmoothGrad's noise is as strong
as its own paper advises: 50 copies, 0.15 of the range. `features` is a map of the same discrepancy without any
gradient, which the paper does not have. lite0 as teacher has its own normalisation and features that may be negative,
before which the student then has no ReLU; VGG-16 sees images as they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import FitContext, Images, ImageSource, Prediction
from uadbench.errors import InvalidDataError
from uadbench.torch_support import saving, training
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import deterministic, generator_of
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.equalising import smoothed
from uadbench.torch_support.layers import Layers
from uadbench.torch_support.tensors import blocks, read, resized, to_array
from uadbench.torch_support.training import Learner, Schedule
from uadbench.torch_support.weights import IMAGENET, require_kind, require_same
from uadbench_mkd._checks import require_distilling, require_visible
from uadbench_mkd._discrepancy import TESTED, discrepancies, discrepancy_map
from uadbench_mkd._localising import gradient, guided, in_own_range, smooth_gradient, strength
from uadbench_mkd._networks import TEACHERS, WIDTH, Student, frozen_teacher

TEACHER = "teacher.json"
Grid = Float[Tensor, "n c s s"]
Map = Float[Tensor, "n 1 s s"]


@dataclass(frozen=True)
class Mkd:
    """Multiresolution knowledge distillation; `width` is the channels of the student's inner layers.

    `teacher` is "vgg16" or "lite0", whose `weights` are those of "imagenet" or "random". `mse_weight` is the paper's
    lambda. `localisation` makes the map: the gradient of an image's score by its pixels, "guided", plain ("gradient")
    or "smooth", over `smooth_samples` copies with noise of `smooth_noise` times the image's range; or the "features"
    themselves, compared place by place. `sigma` smooths it, in pixels of the grid of side `size`. `per_image_range`
    stretches each map to a range of its own first, as published code does: maps of different images are then no longer
    comparable. `block` images are predicted at once.
    """

    teacher: str = "vgg16"
    weights: str = IMAGENET
    width: int = WIDTH
    size: int = 128
    epochs: int = 200
    batch: int = 64
    lr: float = 1e-3
    mse_weight: float = 0.01
    localisation: str = "guided"
    smooth_samples: int = 50
    smooth_noise: float = 0.15
    sigma: float = 4.0
    per_image_range: bool = False
    block: int = 16

    def __post_init__(self) -> None:
        self.schedule()
        require_distilling(self)
        require_kind(self.weights)

    def schedule(self) -> Schedule:
        """How long to train; the last epoch is kept."""
        return Schedule(self.epochs, self.batch)

    def frozen(self, device: str) -> Layers | Backbone:
        """The teacher.

        Raises:
            EnvironmentProblemError: Its weights or a library are missing.
        """
        return frozen_teacher(self.teacher, self.weights, device)

    def student(self, teacher: Layers | Backbone) -> Student:
        """Untrained."""
        return Student(teacher.channels, self.width, rectified=TEACHERS[self.teacher].rectified)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Distilled":
        """The detector of a student trained on all four levels; validation images are not used.

        Raises:
            InvalidDataError: Images that the teacher cannot see.
            TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
            EnvironmentProblemError: Weights or a library are missing; said before the training.
        """
        require_visible(train.shape)
        teacher = self.frozen(context.device)
        with deterministic(context.seed, context.device):
            student = self.student(teacher).to(context.device)
            images = read(train, lambda image: resized(image, (self.size, self.size)))
            training.train(self.learner(student, teacher, context), images, self.schedule(), context)
        return Distilled(self, student, teacher, train.shape[0], context.seed, context.device)

    def learner(self, student: Student, teacher: Layers | Backbone, context: FitContext) -> Learner:
        """The student with its optimiser; the teacher is not the learner's to change."""
        optimiser = torch.optim.Adam(student.parameters(), lr=self.lr)
        step = training.gradient_step(lambda batch: self.loss(student, teacher, batch), optimiser, context)
        return Learner(student, step, (optimiser,))

    def loss(self, student: Student, teacher: Layers | Backbone, images: Grid) -> Float[Tensor, ""]:
        """What is learned: the mean discrepancy over images, on four levels."""
        with torch.no_grad():
            taught = teacher(images)
        return discrepancies(student(images), taught, self.mse_weight).mean()

    @classmethod
    def load(cls, folder: Path, device: str) -> "Distilled":
        """The detector that `save` wrote, on the same weights of the teacher.

        Raises:
            InvalidDataError: No such detector, or one of a version that does not fit.
            MissingWeightsError: The teacher's weights are missing, or others.
        """
        method, saved = saving.read(folder, cls)
        taught_by = _taught_by(folder)
        teacher = method.frozen(device)
        require_same(teacher.weights_used, taught_by)
        student = method.student(teacher)
        saving.load_weights(folder, student, saved, cls)
        return Distilled(method, student.to(device), teacher, saved.channels, saved.seed, device)


@dataclass(frozen=True, slots=True)
class Distilled:
    """A trained student beside its teacher. Score: the discrepancy on three levels; map: by `localisation`.

    Maps are made and smoothed on the grid, then drawn up to the image's size.
    """

    method: Mkd
    student: Student
    teacher: Layers | Backbone
    channels: int
    seed: int
    device: str

    @property
    def weights(self) -> tuple[Mapping[str, str], ...]:
        """The pretrained weights in use."""
        return (self.teacher.weights_used.record(),)

    def predict(self, images: Images) -> Prediction:
        """Maps and scores, block by block.

        Raises:
            InvalidDataError: Images of other channels than those it was fitted on, or too small.
            DeviceMemoryError: Too little memory for a block.
        """
        n, c, h, w = images.pixels.shape
        require_visible((c, h, w))
        if c != self.channels:
            raise InvalidDataError(
                f"The detector was fitted on images of {self.channels} channels; these have {c}. Convert them."
            )
        maps, scores = np.empty((n, h, w), np.float32), np.empty(n, np.float64)
        with memory_checked(self.method.block, "block"), deterministic(self.seed, self.device):
            for rows, pixels in blocks(images, self.method.block, self.device):
                found, values = self._judged(pixels)
                kept = rows.stop - rows.start
                maps[rows] = to_array(resized(found, (h, w)))[:kept, 0]
                scores[rows] = to_array(values)[:kept]
        return Prediction(maps, scores)

    def score(self, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, " n"]:
        """The discrepancy of each image on the three coarser levels, >= 0; gradients reach the images."""
        learned, taught = self._compared(images)
        return discrepancies(learned, taught, self.method.mse_weight)

    def save(self, folder: Path) -> None:
        """Writes the student, the method's parameters and which weights the teacher has."""
        saving.save(folder, self.student, self.method, self.channels, self.seed)
        (folder / TEACHER).write_text(json.dumps(self.weights[0]), encoding="utf-8")

    def _judged(self, pixels: Float[Tensor, "n c h w"]) -> tuple[Map, Float[Tensor, " n"]]:
        """Maps on the grid and scores of a block."""
        size = self.method.size
        # (n, c, h, w) -> (n, 3, s, s): a grey image's gradient is that of its three copies
        found, scores = self._localised(resized(pixels, (size, size)).expand(-1, 3, -1, -1), pixels)
        if self.method.per_image_range:
            found = in_own_range(found)
        return smoothed(found, self.method.sigma) if self.method.sigma else found, scores

    def _localised(
        self, images: Float[Tensor, "n 3 s s"], pixels: Float[Tensor, "n c h w"]
    ) -> tuple[Map, Float[Tensor, " n"]]:
        """Maps before they are smoothed, and scores, of images on the grid that were these pixels."""
        method = self.method
        if method.localisation == "gradient":
            scores, slopes = gradient(self.score, images)
            return strength(slopes), scores
        if method.localisation == "guided":
            with guided(self.student, self.teacher):
                scores, slopes = gradient(self.score, images)
            return strength(slopes), scores
        with torch.no_grad():
            learned, taught = self._compared(images)
            scores = discrepancies(learned, taught, method.mse_weight)
            if method.localisation == "features":
                return discrepancy_map(learned, taught, method.mse_weight, method.size), scores
        streams = [generator_of(self.seed, one) for one in to_array(pixels)]
        slopes = smooth_gradient(self.score, images, streams, samples=method.smooth_samples, noise=method.smooth_noise)
        return strength(slopes), scores

    def _compared(self, images: Float[Tensor, "n 3 s s"]) -> tuple[list[Tensor], list[Tensor]]:
        """What student and teacher make of images, on the levels that are tested."""
        return self.student(images)[TESTED], self.teacher(images)[TESTED]


def _taught_by(folder: Path) -> Mapping[str, str]:
    """The record of the teacher's weights that a detector was saved with."""
    try:
        saved = json.loads((folder / TEACHER).read_text(encoding="utf-8"))
        return {name: str(saved[name]) for name in ("name", "sha256")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidDataError(f"{folder / TEACHER} is missing or damaged ({error}). {saving.REMEDY}") from error
