"""Copy-paste: a rectangle of the image laid over another place of it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from uadbench.datasets.synthetic.corruption import FRAME_PX, Corrupted, painted, require

# First corner along an axis, and how far the last one stays from the edge, at 128 px.
POSITIONS = {"code": (FRAME_PX // 4, 2), "paper": (25, 0)}
SIDES_PX = (25, 50)


@dataclass(frozen=True, slots=True)
class CopyPaste:
    """A rectangle with sides of 25 to 49 px copied to another place.

    Sides and corners are uniform. The mask is the rectangle pasted over, also where both places are alike. Sizes are
    for 128 px and grow with the image.

    Source: Bercea et al., "Generalizing unsupervised anomaly detection: towards unbiased pathology screening", MIDL
    2023, app. C.1. `positions` "code": corners in [32, 128 - side - 1), as the code published with PHANES has it;
    "paper": 25 to 128 - side.
    """

    positions: str = "code"
    paper: ClassVar[str] = "Bercea et al., MIDL 2023 (RA)"

    def __post_init__(self) -> None:
        require(self.positions in POSITIONS, "CopyPaste: positions", self.positions, f"one of {', '.join(POSITIONS)}")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        first, margin = POSITIONS[self.positions]
        sides = rng.integers(*SIDES_PX, size=2)
        source, target = (rng.integers(first, FRAME_PX - sides - margin, endpoint=True) for _ in range(2))
        height, width = np.maximum(_in_pixels(sides, image.shape), 1)
        source, target = _in_pixels(source, image.shape), _in_pixels(target, image.shape)
        mask = np.zeros(image.shape, bool)
        mask[target[0] : target[0] + height, target[1] : target[1] + width] = True
        moved = np.roll(image, target - source, axis=(0, 1))
        return painted(image, mask, moved)


def _in_pixels(lengths: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return lengths * np.array(shape) // FRAME_PX
