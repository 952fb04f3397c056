"""Looking at images with a fitted stage 1: what it makes of them, and where that departs from them, block by block."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from uadbench import Detector, Images, ImageSource
from uadbench.errors import InvalidDataError
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.perceptual import PerceptualDistance
from uadbench.torch_support.tensors import CHUNK, blocks, resized
from uadbench_phanes._masks import Grid, Map, anomaly_map
from uadbench_phanes._stage1 import FirstStage, reconstructed


class Predicting(Protocol):
    """What the method must have to predict; `inpainting` off leaves the masked pixels to stage 1."""

    size: int
    block: int
    threshold: str
    inpainting: bool

    @property
    def first(self) -> FirstStage: ...


@dataclass(frozen=True, slots=True)
class Block:
    """A block of images at their own size and on the grid, what stage 1 makes of them, and where that departs."""

    rows: slice
    pixels: Float[Tensor, "n c h w"]
    seen: Float[Tensor, "n c h w"]
    grid: Grid
    maps: Map

    @property
    def kept(self) -> int:
        """How many of them are images; the others fill the block up."""
        return self.rows.stop - self.rows.start


@dataclass(frozen=True, slots=True)
class Looking:
    """A fitted stage 1, and the distance that its reconstructions are compared by."""

    method: Predicting
    detector: Detector
    distance: PerceptualDistance
    seed: int
    device: str

    def seen(self, images: Images) -> Float32[np.ndarray, "n c h w"]:
        """What stage 1 makes of images, in [0, 1]; not to be asked without gradients, which it may need."""
        return reconstructed(self.detector, images, self.method.first.name).clip(0, 1)

    def blocks(self, images: Images, seen: Float32[np.ndarray, "n c h w"]) -> Iterator[Block]:
        """The images and what was made of them, with the maps of eq. 3 on the grid."""
        pairs = (blocks(one, self.method.block, self.device) for one in (images, replace(images, pixels=seen)))
        for (rows, pixels), (_, made) in zip(*pairs, strict=True):
            grid, small = (on_grid(one, self.method.size) for one in (pixels, made))
            yield Block(rows, pixels, made, grid, anomaly_map(grid, small, self.distance))

    def whole(self, source: ImageSource) -> tuple[Grid, Map]:
        """All images of a source on the grid, and their maps, on the CPU.

        Raises:
            InvalidDataError: A source without images.
            ContractError: Stage 1 returned no reconstructions.
            DeviceMemoryError: Too little memory for a block.
        """
        found = []
        for start in range(0, len(source), CHUNK):
            images = source[start : start + CHUNK]
            seen = self.seen(images)
            with self.computing():
                parts = self.blocks(images, seen)
                found += [(one.grid[: one.kept].cpu(), one.maps[: one.kept].cpu()) for one in parts]
        if not found:
            raise InvalidDataError("There are no images to read. Give at least one for training and for validation.")
        grids, maps = zip(*found, strict=True)
        return torch.cat(grids), torch.cat(maps)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Deterministic, without gradients, and with a word on memory."""
        with ExitStack() as stack:
            stack.enter_context(memory_checked(self.method.block, "block"))
            stack.enter_context(deterministic(self.seed, self.device))
            stack.enter_context(torch.no_grad())
            yield


def on_grid(images: Float[Tensor, "n c h w"], size: int) -> Grid:
    """Images in [0, 1] as squares of that side; what rounding carries beyond is clipped."""
    return resized(images, (size, size)).clamp(0, 1)
