"""A fitted PHANES: stage 1 tells where, stage 2 paints what healthy tissue would be there.

Images are predicted in blocks of one size, so that a map depends on its image alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from uadbench import Images, Prediction
from uadbench.errors import InvalidDataError
from uadbench.torch_support import saving
from uadbench.torch_support.tensors import blocks, resized, to_array
from uadbench_phanes._inpainting import InpaintingNetworks, composed
from uadbench_phanes._looking import Looking, on_grid
from uadbench_phanes._masks import IMAGE_SHARE, Map, Mask, masks_of, percentile, perceptual_map

VALIDATION, IMAGE = "validation", "image"
THRESHOLDS = (VALIDATION, IMAGE)
WEIGHTS = "weights.json"

Sized = Float[Tensor, "n c h w"]


@dataclass(frozen=True, slots=True)
class PseudoHealthyDetector:
    """Map: |x - x_ph| S(x_ph, x) at the image's size; score: its mean; reconstruction: x_ph.

    `weights` are the records of all pretrained weights, of both stages, that fitting used.
    """

    looking: Looking
    networks: InpaintingNetworks
    channels: int
    weights: Sequence[Mapping[str, Any]]

    @property
    def threshold(self) -> float:
        """Above it lies a mask: the percentile of healthy validation images."""
        return self.networks.threshold.item()

    def predict(self, images: Images) -> Prediction:
        """Maps, scores and pseudo-healthy images; where no mask lies an image is copied bit by bit.

        Raises:
            InvalidDataError: Images of other channels than those it was fitted on.
            ContractError: Stage 1 returned no reconstructions.
            DeviceMemoryError: Too little memory for a block.
        """
        self._require_channels(images)
        n, _, h, w = images.pixels.shape
        maps, healthy = np.empty((n, h, w), np.float32), np.empty(images.pixels.shape, np.float32)
        seen = self.looking.seen(images)
        with self.looking.computing():
            for block in self.looking.blocks(images, seen):
                masks = masks_of(block.maps, self._thresholds(block.maps))
                made = self._filled(block.pixels, block.seen, masks, resized(masks.float(), (h, w)) > 0.5)
                maps[block.rows] = to_array(self._residual(block.pixels, made))[: block.kept, 0]
                healthy[block.rows] = to_array(made)[: block.kept]
        return Prediction(maps, maps.mean(axis=(1, 2), dtype=np.float64), healthy)

    def inpaint(self, images: Images, masks: Bool[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n c h w"]:
        """The images with what lies under the masks painted anew: PHANES^GT where the masks are the truth.

        No pixel under a mask reaches the generator, not even in part.

        Raises:
            InvalidDataError: Masks that do not fit the images, or images of other channels.
        """
        self._require_channels(images)
        n, _, h, w = images.pixels.shape
        if masks.shape != (n, h, w):
            raise InvalidDataError(f"inpaint: masks {masks.shape} for images {images.pixels.shape}. Give {(n, h, w)}.")
        method, healthy = self.looking.method, np.empty(images.pixels.shape, np.float32)
        seen = images.pixels if method.inpainting else self.looking.seen(images)
        given = (images, replace(images, pixels=seen), replace(images, pixels=np.float32(masks)[:, None]))
        with self.looking.computing():
            parts = (blocks(one, method.block, self.looking.device) for one in given)
            for (rows, pixels), (_, made), (_, full) in zip(*parts, strict=True):
                touched = resized(full, (method.size, method.size)) > 0
                filled = self._filled(pixels, made, touched, full > 0)
                healthy[rows] = to_array(filled)[: rows.stop - rows.start]
        return healthy

    def save(self, folder: Path) -> None:
        """Writes stage 2 with the method's parameters, stage 1 in a folder inside, and the records of weights."""
        saving.save(folder, self.networks, self.looking.method, self.channels, self.looking.seed)
        self.looking.method.first.save(self.looking.detector, folder)
        (folder / WEIGHTS).write_text(json.dumps(list(self.weights), indent=1), encoding="utf-8")

    def _thresholds(self, maps: Map) -> Tensor:
        own = self.looking.method.threshold == IMAGE
        return percentile(maps, IMAGE_SHARE) if own else self.networks.threshold

    def _filled(self, pixels: Sized, seen: Sized, masks: Mask, full: Mask) -> Sized:
        """New pixels under the full masks; the generator sees the images on its grid, without what its masks hide."""
        if not self.looking.method.inpainting:
            return composed(pixels, seen, full)
        made = self.networks.generator(on_grid(pixels, self.looking.method.size), masks.float()).clamp(0, 1)
        return composed(pixels, resized(made, tuple(pixels.shape[-2:])), full)

    def _residual(self, pixels: Sized, made: Sized) -> Float[Tensor, "n 1 h w"]:
        apart = (pixels - made).abs().mean(1, keepdim=True)  # (n, c, h, w) -> (n, 1, h, w)
        small, small_made = (on_grid(one, self.looking.method.size) for one in (pixels, made))
        unlike = perceptual_map(small, small_made, self.looking.distance)
        return apart * resized(unlike, tuple(pixels.shape[-2:]))

    def _require_channels(self, images: Images) -> None:
        found = images.pixels.shape[1]
        if found != self.channels:
            raise InvalidDataError(
                f"The detector was fitted on images of {self.channels} channels; these have {found}. Convert them."
            )


def weights_saved(folder: Path) -> Sequence[Mapping[str, Any]]:
    """The records of weights that `save` wrote.

    Raises:
        InvalidDataError: No such file.
    """
    try:
        return [dict(one) for one in json.loads((folder / WEIGHTS).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise InvalidDataError(f"{folder / WEIGHTS} holds no records ({error}). Fit the method again.") from error
