"""The recipe: named steps, with their parameters, from a stored picture to the image of a dataset."""

import math
from dataclasses import dataclass

from uadbench.errors import UsageError

FOREGROUNDS = {
    "otsu": "above Otsu's threshold of log(1 + 255 x), largest 4-connected component, holes filled",
    "nonzero": "stored value above 0",
    "all": "every pixel",
    "given": "as given with the data",
}
NORMALISATIONS = {
    "largest": "divided by the largest value of the stored type, of a volume (if above 1), or of a scan's slice",
    "column": "divided by the value that the source's table states",
    "slice-percentile": "divided by a percentile of all pixels of the slice",
    "volume-percentile": "divided by a percentile of the voxels above 0 of the volume",
    "slice-window": "from a percentile of all pixels of the slice as 0 to a higher one as 1",
    "window": "from `low` as 0 to `high` as 1",
}
SQUARES = {"pad": "centred, padded with its minimum", "stretch": "stretched to a square, aspect not kept"}


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How stored values become intensities; what leaves [0, 1] is clipped and counted.

    Raises:
        UsageError: An unknown rule, a percentile outside (0, 100], or a window without width.
    """

    rule: str = "largest"
    percentile: float = 98.0
    from_percentile: float = 0.0
    low: float = 0.0
    high: float = 1.0
    column: str = ""

    def __post_init__(self) -> None:
        if self.rule not in NORMALISATIONS:
            raise UsageError(f"Normalisation {self.rule!r} is none of {', '.join(NORMALISATIONS)}.")
        if not 0 < self.percentile <= 100:
            raise UsageError(f"Percentile {self.percentile:g}: give one above 0, up to 100.")
        if not 0 <= self.from_percentile < self.percentile:
            raise UsageError(f"Percentiles {self.from_percentile:g} to {self.percentile:g}: give the lower first.")
        if self.rule == "window" and not (math.isfinite(self.high - self.low) and self.high > self.low):
            raise UsageError(f"Window {self.low:g} to {self.high:g}: give two finite values, the lower first.")

    @property
    def parameters(self) -> dict[str, float | str]:
        """What of its fields the rule uses."""
        if self.rule.endswith("percentile"):
            return {"percentile": self.percentile}
        if self.rule == "slice-window":
            return {"from_percentile": self.from_percentile, "percentile": self.percentile}
        if self.rule == "window":
            return {"low": self.low, "high": self.high}
        return {"column": self.column} if self.rule == "column" else {}


@dataclass(frozen=True, slots=True)
class Recipe:
    """`crop` is height and width of a central cut; `size` the side in pixels (None keeps square pictures of one size);
    `bits` of the written integers (None: as stored; reals take 16).

    Raises:
        UsageError: A foreground, square, size, crop or number of bits that is not known.
    """

    size: int | None = None
    foreground: str = "otsu"
    normalisation: Normalisation = Normalisation()
    square: str = "pad"
    crop: tuple[int, int] | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= 8192:
            raise UsageError(f"--size {self.size}: give a side of 1 to 8192 pixels.")
        if self.foreground not in FOREGROUNDS:
            raise UsageError(f"--foreground {self.foreground!r} is none of {', '.join(FOREGROUNDS)}.")
        if self.square not in SQUARES:
            raise UsageError(f"Square {self.square!r} is none of {', '.join(SQUARES)}.")
        if self.bits not in (None, 8, 16):
            raise UsageError(f"{self.bits} bits: an image is stored with 8 or 16.")
        if self.crop is not None and min(self.crop) < 1:
            raise UsageError(f"Crop {self.crop}: give a height and a width of at least 1 pixel.")
