"""Sink and source: tissue of a disc drawn to its centre, or pushed from it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from uadbench.datasets.synthetic.corruption import Corrupted, painted, require
from uadbench.datasets.synthetic.disc import PITFALLS, draw_disc

DIRECTIONS = ("sink", "source")


@dataclass(frozen=True, slots=True)
class PitRadial:
    """A disc whose tissue is drawn to its centre (sink) or pushed from it (source).

    A pixel J of the disc around c with radius R takes the value at V, where s = (|J - c| / R)^exponent. A source has
    V = c + s (J - c), a sink V = J + (1 - s) (J - c), rounded and clamped to the image. Only pixels above 0 change;
    R is 20 px at 256 px.

    Source: Meissen et al., "On the pitfalls of using the residual as anomaly score", MIDL 2022, experiment 2. The
    exponent is 1 in the paper and 2 in its code.
    """

    direction: str
    exponent: int
    radius_px: float = 20.0
    paper: ClassVar[str] = PITFALLS

    def __post_init__(self) -> None:
        known = ", ".join(DIRECTIONS)
        require(self.direction in DIRECTIONS, "PitRadial: direction", self.direction, f"one of {known}")
        require(self.exponent >= 1, "PitRadial: exponent", self.exponent, "1 (paper), 2 (code) or more")
        require(self.radius_px > 0, "PitRadial: radius_px", self.radius_px, "pixels above 0")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        disc = draw_disc(image, self.radius_px, rng)
        centre = np.array(disc.centre_px)[:, None, None]
        outwards = np.indices(image.shape) - centre  # (2, h, w)
        share = (np.hypot(*outwards) / disc.radius_px) ** self.exponent  # (h, w)
        reach = share if self.direction == "source" else 2 - share
        last = np.array(image.shape)[:, None, None] - 1
        rows, columns = np.clip(np.rint(centre + reach * outwards), 0, last).astype(int)
        return painted(image, disc.mask, image[rows, columns])
