"""Filled ellipses: RA's bands of intensity, and the masks that PHANES trains its inpainting with."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from uadbench.datasets.synthetic.corruption import FRAME_PX, Corrupted, frame_grid, painted, require

BANDS = ((1.0, 5.0), (30.0, 70.0), (95.0, 99.0))
LAWS = ("normal", "uniform")
SMALLEST_PX = 2
# A pixel on the rim counts as inside, whatever the last bit of a sine is.
_RIM = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Axes:
    """Law of the two semi-axes in pixels of a 128 px frame: "normal" (mean, deviation) or "uniform" (low, high)."""

    law: str
    first_px: float
    second_px: float

    def __post_init__(self) -> None:
        require(self.law in LAWS, "Axes: law", self.law, f"one of {', '.join(LAWS)}")
        sizes = (self.first_px, self.second_px)
        require(all(0 <= size <= FRAME_PX for size in sizes), "Axes: sizes", sizes, f"pixels in [0, {FRAME_PX}]")
        ordered = self.law != "uniform" or self.first_px <= self.second_px
        require(ordered, "Axes: range", sizes, "the smaller bound first")

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Two semi-axes: |draw| cut to an integer, at least 2 px."""
        law = rng.normal if self.law == "normal" else rng.uniform
        first, second = np.abs(law(self.first_px, self.second_px, size=2)).astype(int).tolist()
        return max(first, SMALLEST_PX), max(second, SMALLEST_PX)


@dataclass(frozen=True, slots=True)
class RaEllipses:
    """Three filled ellipses: one dark, one of middle intensity, one bright for the image.

    Each has the intensity min(1, |U(a, b)|), where a and b are the percentiles (1, 5), (30, 70) and (95, 99) of the
    whole image, background included, with the ellipses before it in place. The mask is their union.

    Source: Bercea et al., "Generalizing unsupervised anomaly detection: towards unbiased pathology screening", MIDL
    2023, app. C.1. The paper's "normally distributed between 8 and 12" is read as N(8, 12) or as U(8, 12); the code
    published with PHANES has N(4, 6).
    Deviates: an ellipse is every pixel centre inside or on its rim, where the code draws a polygon.
    """

    axes: Axes
    paper: ClassVar[str] = "Bercea et al., MIDL 2023 (RA)"

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        current = Corrupted(image, np.zeros(image.shape, bool))
        for band in BANDS:
            low, high = np.percentile(current.image, band)
            intensity = min(1.0, abs(rng.uniform(low, high)))
            ellipse = draw_ellipse(image.shape, self.axes, rng)
            current = Corrupted(painted(current.image, ellipse, intensity).image, current.mask | ellipse)
        return current


@dataclass(frozen=True, slots=True)
class PhanesMasks:
    """Ten filled ellipses painted white: the regions that PHANES is trained to inpaint.

    The paper makes masks only. Its generator is given the image with the masked pixels set to 1, and so is the
    reader of this suite; a study of inpainting takes the mask as the region to fill and the clean image as the aim.

    Source: Bercea et al., "Reversing the abnormal: pseudo-healthy generative networks for anomaly detection", MICCAI
    2023; semi-axes |N(2, 4)| as in its code.
    Deviates: an ellipse is every pixel centre inside or on its rim, where the code draws a polygon.
    """

    axes: Axes = Axes("normal", 2.0, 4.0)
    count: int = 10
    fill: float = 1.0
    paper: ClassVar[str] = "Bercea et al., MICCAI 2023 (PHANES)"

    def __post_init__(self) -> None:
        require(self.count >= 1, "PhanesMasks: count", self.count, "at least 1")
        require(0 <= self.fill <= 1, "PhanesMasks: fill", self.fill, "an intensity in [0, 1]")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        union = np.zeros(image.shape, bool)
        for _ in range(self.count):
            union |= draw_ellipse(image.shape, self.axes, rng)
        return painted(image, union, self.fill)


def draw_ellipse(shape: tuple[int, int], axes: Axes, rng: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """A filled ellipse turned by whole degrees, its centre in the middle half of the image along each axis.

    Source: Bercea et al., MIDL 2023, app. C.1: centre in [32, 96) of 128 px, angle in [0, 360).
    """
    centre = rng.integers(FRAME_PX // 4, 3 * FRAME_PX // 4, size=2)
    angle = np.deg2rad(rng.integers(0, 360))
    first, second = axes.draw(rng)
    rows, columns = frame_grid(shape) - centre[:, None, None]
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    return np.asarray((along / first) ** 2 + (across / second) ** 2 <= _RIM)
