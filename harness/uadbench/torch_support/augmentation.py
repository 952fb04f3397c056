"""Augmentation on tensors, a whole batch at once: one affine map and one flip per image, drawn on the CPU.

Source: Bercea et al., MIDL 2023 (RA), appendix B: rotation, shift, scale and horizontal flip.
Deviates: bilinear where the authors' pictures were resampled to the nearest pixel in 8 bit.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Affine:
    """Random rotation up to `degrees`, shift up to `shift` of a side, scale between `smallest` and `largest`, flip.

    What comes in from outside the frame is `fill`.
    """

    degrees: float = 10.0
    shift: float = 0.1
    smallest: float = 0.9
    largest: float = 1.1
    flip: float = 0.5
    fill: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest:
            raise ParameterError(f"Affine: scale from {self.smallest} to {self.largest}. Give 0 < smallest <= largest.")
        if not 0 <= self.flip <= 1:
            raise ParameterError(f"Affine: flip is {self.flip}. Give a probability.")

    def __call__(self, images: Float[Tensor, "n c h w"], draws: torch.Generator) -> Float[Tensor, "n c h w"]:
        """Every image moved in its own way."""
        return self.drawn(len(images), draws).apply(images, self.fill)

    def drawn(self, count: int, draws: torch.Generator) -> "Moves":
        """How `count` images are moved."""
        turn, across, down = torch.empty(3, count).uniform_(-1, 1, generator=draws)
        scale = torch.empty(count).uniform_(self.smallest, self.largest, generator=draws)
        mirrored = torch.rand(count, generator=draws) < self.flip
        return Moves(self.degrees * turn, self.shift * across, self.shift * down, scale, mirrored)


@dataclass(frozen=True, slots=True)
class Moves:
    """Where each image's pixels are taken from: its frame, mirrored left to right, turned clockwise by `degrees` and
    divided by `scale` about its centre, then shifted by these shares of its sides to the right and down.

    So the picture itself turns the other way round, grows by `scale`, and goes left and up.
    """

    degrees: Float[Tensor, " n"]
    across: Float[Tensor, " n"]
    down: Float[Tensor, " n"]
    scale: Float[Tensor, " n"]
    mirrored: Bool[Tensor, " n"]

    def apply(self, images: Float[Tensor, "n c h w"], fill: float) -> Float[Tensor, "n c h w"]:
        """The moved images, bilinear; `fill` comes in from outside the frame."""
        matrices = self.matrices(images.shape[-2] / images.shape[-1]).to(images.device, non_blocking=True)
        grid = F.affine_grid(matrices, list(images.shape), align_corners=False)  # (n, 2, 3) -> (n, h, w, 2)
        moved = F.grid_sample(images - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved + fill

    def matrices(self, aspect: float) -> Float[Tensor, "n 2 3"]:
        """From places in the new image to places in the old one, in units of half a side; `aspect` is h / w."""
        angle, mirror = torch.deg2rad(self.degrees), 1 - 2 * self.mirrored.float()
        cosine, sine = angle.cos() / self.scale, angle.sin() / self.scale
        rows = [
            torch.stack([mirror * cosine, -aspect * sine, 2 * self.across], dim=-1),
            torch.stack([mirror * sine / aspect, cosine, 2 * self.down], dim=-1),
        ]
        return torch.stack(rows, dim=1)
