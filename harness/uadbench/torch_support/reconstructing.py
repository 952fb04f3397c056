"""Methods that reconstruct: from images to a network's grid, to a residual, and back to the images' size.

A method of this kind is a frozen dataclass with the fields of `Reconstructing`; `fit` and `restored` are its `fit` and
`load`. What is its own: the network, the loss, and how an image is reconstructed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support import saving
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic, generator_of
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.residuals import Residual, residual
from uadbench.torch_support.tensors import blocks, read, resized, to_array
from uadbench.torch_support.training import Learner, Schedule, gradient_step, mean_loss, train
from uadbench.types import FitContext, Images, ImageSource, Prediction

Grid = Float[Tensor, "n c s s"]
Draw = Callable[..., Float[Tensor, "n ..."]]  # draw(*shape): normal noise of that shape per image, from its own stream
NetworkLoss = Callable[[Any, Grid], Float[Tensor, ""]]  # a network and a batch on its grid
Means = Callable[[Any, str], Residual]  # the map of a method, on a device


@dataclass(frozen=True, slots=True)
class Domain:
    """The intensities a network works on: from `low` to 1, where images go from 0 to 1."""

    low: float

    def to_grid(self, images: Float[Tensor, "n c h w"], size: int) -> Grid:
        """Images in [0, 1] as squares of that side in this domain."""
        return self.low + (1 - self.low) * resized(images, (size, size))

    def to_unit(self, images: Grid) -> Grid:
        """Back to [0, 1]; what lies outside is clipped."""
        return ((images - self.low) / (1 - self.low)).clamp(0, 1)


UNIT, SIGNED = Domain(0.0), Domain(-1.0)


class Reconstructing(Protocol):
    """What the method must have: a frozen dataclass whose fields include these.

    `size` is the side of the grid; `residual` names the map, unless the method brings `means` of its own; `block` is
    how many images are predicted at once: more are faster together, but a single image then costs as much as a whole
    block.
    """

    size: int
    residual: str
    block: int

    @property
    def domain(self) -> Domain: ...

    def network(self, channels: int) -> nn.Module: ...

    def reconstruct(self, network: Any, images: Grid, draw: Draw) -> Grid: ...


@dataclass(frozen=True, slots=True)
class Training:
    """How a network learns from one loss: `validation` (None = keep the last epoch) chooses the best epoch."""

    loss: NetworkLoss
    optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    schedule: Schedule
    scheduler: Callable[[torch.optim.Optimizer], LRScheduler] | None = None
    validation: NetworkLoss | None = None
    augment: bool = False
    clip_norm: float = 0.0
    compiled: bool = False


def fit(
    method: Reconstructing, training: Training, train_on: ImageSource, val: ImageSource, context: FitContext
) -> "Reconstructor":
    """The method's network, trained on the images as they are on its grid.

    Raises:
        ParameterError: A batch larger than the training set.
        InvalidDataError: Validation images of other channels, or none where the best epoch is chosen on them.
        TrainingDivergedError: A loss that is not finite or exploded.
        DeviceMemoryError: Too little memory for the batch.
        EnvironmentProblemError: What the residual needs, weights or a library, is missing; said before the training.
    """
    channels = train_on.shape[0]
    require_same_channels(train_on, val)
    residual(method.residual, context.device)
    with memory_checked(training.schedule.batch), deterministic(context.seed, context.device):
        network = method.network(channels).to(context.device)
        learner = _learner(network, training, _validated(method, val, training), context)
        augment = Affine(fill=method.domain.low) if training.augment else None
        train(learner, on_grid(method, train_on), training.schedule, context, augment=augment)
    return reconstructor(method, network, channels, context)


def by_name(method: Reconstructing, device: str) -> Residual:
    """The map that the method's `residual` names."""
    return residual(method.residual, device)


def reconstructor(
    method: Reconstructing, network: nn.Module, channels: int, context: FitContext, means: Means = by_name
) -> "Reconstructor":
    """The detector of a network that was trained in a way of its own, with the map that `means` makes."""
    made = means(method, context.device)
    return Reconstructor(method, network.eval(), channels, context.seed, context.device, made)


def restored(kind: type, folder: Path, device: str, means: Means = by_name) -> "Reconstructor":
    """The detector that `Reconstructor.save` wrote, for `load` of the method `kind`, with the map that `means` makes.

    Raises:
        InvalidDataError: No such detector, or one of a version that does not fit.
    """
    method, saved = saving.read(folder, kind)
    network = method.network(saved.channels)
    saving.load_weights(folder, network, saved, kind)
    return Reconstructor(method, network.to(device), saved.channels, saved.seed, device, means(method, device))


def on_grid(method: Reconstructing, source: ImageSource) -> Grid:
    """All images of a source on the method's grid, on the CPU."""
    return read(source, lambda image: method.domain.to_grid(image, method.size))


def require_same_channels(train_on: ImageSource, val: ImageSource) -> None:
    """Refuses validation images of other channels than the training images.

    Raises:
        InvalidDataError: Names both.
    """
    channels, others = train_on.shape[0], val.shape[0]
    if others != channels:
        raise InvalidDataError(
            f"Training images have {channels} channels, validation images {others}. Convert one of them."
        )


def require_multiple(name: str, size: int, step: int) -> None:
    """Refuses a grid that a network cannot halve as often as it must.

    Raises:
        ParameterError: `size` is no multiple of `step`; names the two nearest that are.
    """
    if size < step or size % step:
        below, above = max(step, size // step * step), (size // step + 1) * step
        near = f"{below} or {above}" if below < above else str(above)
        raise ParameterError(f"{name}: size is {size}. The network takes multiples of {step}: give {near}.")


@dataclass(frozen=True, slots=True)
class Reconstructor:
    """A trained network. Map: the residual on its grid, mean over channels, drawn up to the image's size.

    Score: the mean of the residual on the grid, before the map is enlarged. `diagnostics` are numbers that the fit has
    to tell of itself, by name; they are recorded with its predictions and not saved.
    """

    method: Reconstructing
    network: nn.Module
    channels: int
    seed: int
    device: str
    means: Residual
    diagnostics: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> Sequence[Mapping[str, Any]]:
        """The pretrained weights that were used."""
        return [asdict(used) for used in self.means.weights_used]

    def predict(self, images: Images) -> Prediction:
        """Maps, scores and reconstructions in [0, 1], all at the images' size.

        Raises:
            InvalidDataError: Images of other channels than those it was fitted on.
            DeviceMemoryError: Too little memory for a block.
        """
        _, c, h, w = images.pixels.shape
        if c != self.channels:
            raise InvalidDataError(
                f"The detector was fitted on images of {self.channels} channels; these have {c}. Convert them."
            )
        parts: tuple[list[np.ndarray], ...] = ([], [], [])
        with memory_checked(self.method.block, "block"), deterministic(self.seed, self.device):
            for rows, pixels in blocks(images, self.method.block, self.device):
                kept = rows.stop - rows.start
                for part, block in zip(parts, self._predicted(pixels, (h, w)), strict=True):
                    part.append(block if kept == len(block) else block[:kept].copy())
        maps, scores, reconstructions = parts
        return Prediction(_joined(maps, (h, w)), _joined(scores, ()), _joined(reconstructions, (c, h, w)))

    def _predicted(self, pixels: Float[Tensor, "n c h w"], size: tuple[int, int]) -> tuple[np.ndarray, ...]:
        """Maps (n, h, w), scores (n,) and reconstructions (n, c, h, w) of a block, in memory of their own."""
        domain = self.method.domain
        with torch.no_grad():
            shrunk = domain.to_grid(pixels, self.method.size)
            seen = self.method.reconstruct(self.network, shrunk, _draw(pixels, self.seed))
            error = self.means(shrunk, seen, domain.to_unit)
            error = error if error.shape[1] == 1 else error.mean(1, keepdim=True)  # (n, c, s, s) -> (n, 1, s, s)
            scores = to_array(error).reshape(len(error), -1).mean(axis=1, dtype=np.float64)
            enlarged = resized(error, size)
            return to_array(enlarged)[:, 0], scores, to_array(resized(domain.to_unit(seen), size))

    def save(self, folder: Path) -> None:
        """Writes the weights, the method's parameters, the channels and the seed."""
        saving.save(folder, self.network, self.method, self.channels, self.seed)


def _joined(parts: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """All blocks as one array of such items; a single block as it is, since fresh memory costs more than copying."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, *shape), np.float32), *parts])


def _learner(network: nn.Module, training: Training, val: Grid | None, context: FitContext) -> Learner:
    optimiser = training.optimiser(network.parameters())
    step = gradient_step(
        lambda batch: training.loss(network, batch),
        optimiser,
        context,
        clip_norm=training.clip_norm,
        compiled=training.compiled,
    )
    schedulers = (training.scheduler(optimiser),) if training.scheduler else ()
    judged, validate = training.validation, None
    if judged is not None and val is not None:
        validate = mean_loss(lambda batch: judged(network, batch), val, training.schedule.batch, context)
    return Learner(network, step, (optimiser,), schedulers, validate)


def _validated(method: Reconstructing, val: ImageSource, training: Training) -> Grid | None:
    return on_grid(method, val) if training.validation is not None else None


def _draw(pixels: Float[Tensor, "n c h w"], seed: int) -> Draw:
    """Normal noise that depends on the seed and each image alone; every call goes on in the image's stream."""
    streams: list[torch.Generator] = []

    def draw(*shape: int) -> Float[Tensor, "n ..."]:
        if not streams:
            streams.extend(generator_of(seed, image) for image in to_array(pixels))
        return torch.stack([torch.randn(shape, generator=stream) for stream in streams]).to(pixels.device)

    return draw
