"""What every suite is: a frozen record that corrupts one image, and says where it did.

The mask marks where a corruption acted, also where the value there happened to stay. Everywhere else the image is
the same bit for bit.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Bool, Float32, Float64

from uadbench.errors import InvalidDataError, ParameterError

FRAME_PX = 128


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A corrupted image, intensities in [0, 1], and the pixels that were acted on.

    Raises:
        InvalidDataError: Shapes or types that do not fit.
    """

    image: Float32[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]

    def __post_init__(self) -> None:
        if self.image.shape != self.mask.shape or self.image.dtype != np.float32 or self.mask.dtype != bool:
            raise InvalidDataError(
                f"Corrupted: image {self.image.dtype} {self.image.shape} and mask {self.mask.dtype} "
                f"{self.mask.shape}. Give float32 (h, w) and bool (h, w)."
            )


class Corruption(Protocol):
    """A suite: parameters, and a pure function of an image, its foreground and a random stream."""

    paper: ClassVar[str]

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted: ...


def painted(image: Float32[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], values: np.ndarray | float) -> Corrupted:
    """The image with `values`, one or one per pixel, clipped to [0, 1] where the mask is True."""
    return Corrupted(np.where(mask, np.clip(values, 0, 1), image).astype(np.float32), mask)


def frame_grid(shape: tuple[int, int]) -> Float64[np.ndarray, "2 h w"]:
    """Row and column of every pixel's centre in a frame of 128 x 128 pixels laid over the image.

    The geometry of RA and PHANES is given at 128 px; drawn in this frame, it grows with the image.
    """
    size = np.array(shape)[:, None, None]
    return (np.indices(shape) + 0.5) * (FRAME_PX / size) - 0.5  # (2, h, w)


def require(holds: bool, what: str, value: object, remedy: str) -> None:
    """Refuses a parameter of a suite that breaks its rule.

    Raises:
        ParameterError: With the value and what to give instead.
    """
    if not holds:
        raise ParameterError(f"{what} is {value!r}. Give {remedy}.")
