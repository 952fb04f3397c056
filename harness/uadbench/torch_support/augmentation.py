"""Augmentation on tensors, a whole batch at once: one affine map and one flip per image, drawn on the CPU.

Source: Bercea et al., MIDL 2023 (RA), appendix B: rotation, shift, scale and horizontal flip.
Deviates: bilinear where the authors' pictures were resampled to the nearest pixel in 8 bit.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
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
        """Every image moved in its own way; bilinear."""
        moves = self.moves(len(images), draws, images.shape[-2] / images.shape[-1]).to(images.device)
        grid = F.affine_grid(moves, list(images.shape), align_corners=False)  # (n, 2, 3) -> (n, h, w, 2)
        moved = F.grid_sample(images - self.fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved + self.fill

    def moves(self, count: int, draws: torch.Generator, aspect: float = 1.0) -> Float[Tensor, "n 2 3"]:
        """From places in the new image to places in the old one, in units of half a side; `aspect` is h / w."""
        angle, across, down = torch.empty(3, count).uniform_(-1, 1, generator=draws)
        scale = torch.empty(count).uniform_(self.smallest, self.largest, generator=draws)
        mirrored = 1 - 2 * (torch.rand(count, generator=draws) < self.flip).float()
        cosine, sine = (turn(angle * math.radians(self.degrees)) / scale for turn in (torch.cos, torch.sin))
        rows = [
            torch.stack([mirrored * cosine, -aspect * sine, 2 * self.shift * across], dim=-1),
            torch.stack([mirrored * sine / aspect, cosine, 2 * self.shift * down], dim=-1),
        ]
        return torch.stack(rows, dim=1)
