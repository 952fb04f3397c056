"""A disc somewhere on the body: the place of every anomaly of the pitfalls paper, and the plainest of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from uadbench.datasets.synthetic.corruption import Corrupted, painted, require

PITFALLS = "Meissen et al., MIDL 2022 (pitfalls)"
# The paper's slices have 256 px; its radius grows with the image.
PAPER_SIDE_PX = 256


@dataclass(frozen=True, slots=True)
class Disc:
    """Row and column of the centre, the radius in pixels of this image, and the pixels of the body within it."""

    centre_px: tuple[int, int]
    radius_px: float
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True)
class PitDisc:
    """A disc of one intensity on the pixels above 0.

    Its radius is 20 px at 256 px. One stream gives one place, whatever the intensity, so that a sweep compares like
    with like.

    Source: Meissen et al., "On the pitfalls of using the residual as anomaly score", MIDL 2022, experiment 1.
    Deviates: the paper sweeps the intensity from 0 to 1; the default 0.6 is ours.
    """

    intensity: float = 0.6
    radius_px: float = 20.0
    paper: ClassVar[str] = PITFALLS

    def __post_init__(self) -> None:
        require(0 <= self.intensity <= 1, "PitDisc: intensity", self.intensity, "an intensity in [0, 1]")
        require(self.radius_px > 0, "PitDisc: radius_px", self.radius_px, "pixels above 0")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        return painted(image, draw_disc(image, self.radius_px, rng).mask, self.intensity)


def draw_disc(image: Float32[np.ndarray, "h w"], radius_px: float, rng: np.random.Generator) -> Disc:
    """A disc around a pixel above 0, each as likely: distance strictly below the radius, and the image above 0.

    Where no pixel is above 0, the mask is empty.

    Source: Meissen et al., MIDL 2022, experiments 1 and 2; the radius is given at 256 px.
    """
    body = image > 0
    places = np.argwhere(body)
    if len(places) == 0:
        return Disc((0, 0), radius_px, body)
    row, column = places[rng.integers(len(places))].tolist()
    radius = radius_px * min(image.shape) / PAPER_SIDE_PX
    rows, columns = np.indices(image.shape)
    return Disc((row, column), radius, (np.hypot(rows - row, columns - column) < radius) & body)
