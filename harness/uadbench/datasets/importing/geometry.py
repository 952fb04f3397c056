"""One geometry for image, mask and boxes: cut, brought to a square, resized."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

COARSE = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """A picture of `height` x `width` pixels, padded or stretched to a square, resized to `size` a side."""

    height: int
    width: int
    size: int
    stretch: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in stored pixels of what is resized."""
        side = max(self.height, self.width)
        return (self.height, self.width) if self.stretch else (side, side)

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top padding in stored pixels; an odd pixel goes right or below."""
        height, width = self.shape
        return (width - self.width) // 2, (height - self.height) // 2

    @property
    def resizes(self) -> bool:
        """Whether pixels are made anew."""
        return self.shape != (self.size, self.size)

    def image(self, intensity: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "s s"]:
        """Padded with its own minimum; resized linearly, smoothed first where it shrinks."""
        from skimage.transform import resize

        whole = self._padded(intensity, intensity.min())  # (h, w) -> (side, side)
        if not self.resizes:
            return whole
        shape = (self.size, self.size)
        coarse = _coarse(_coarse(whole, 0, self.size), 1, self.size)
        resized: np.ndarray = resize(coarse, shape, order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
        return resized

    def mask(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "s s"]:
        """Padded with False; the nearest pixel decides, and a mask that would vanish keeps the pixel of its middle."""
        whole = self._padded(mask, False)  # (h, w) -> (side, side)
        middles = np.arange(self.size) + 0.5
        rows, columns = ((middles * side / self.size).astype(int) for side in self.shape)
        resized: np.ndarray = whole[np.ix_(rows, columns)]  # (side, side) -> (size, size)
        if mask.any() and not resized.any():
            marked = np.argwhere(whole)
            middle = marked[np.argmin(np.square(marked - marked.mean(0)).sum(1))]
            resized[tuple(middle * self.size // np.array(self.shape))] = True
        return resized

    def boxes(self, boxes: Float64[np.ndarray, "b 4"]) -> Float32[np.ndarray, "b 4"]:
        """Moved by the padding and scaled."""
        height, width = self.shape
        moved = boxes + np.array([*self.corner, 0, 0])
        return np.asarray(moved * (self.size / np.array([width, height, width, height])), np.float32)

    def _padded(self, array: np.ndarray, fill: float | bool) -> np.ndarray:
        if (self.height, self.width) == self.shape:
            return array
        whole = np.full(self.shape, fill, array.dtype)
        left, top = self.corner
        whole[top : top + self.height, left : left + self.width] = array
        return whole


def _coarse(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Means of 4 x `size` blocks along an axis that is at least twice as long: smoothing that whole takes seconds."""
    count, length = COARSE * size, array.shape[axis]
    if length < 2 * count:
        return array
    edges = np.linspace(0, length, count + 1).astype(int)
    sums = np.add.reduceat(array, edges[:-1], axis=axis)
    return np.asarray(sums / np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1)), array.dtype)
