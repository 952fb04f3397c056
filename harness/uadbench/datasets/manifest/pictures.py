"""Pictures as arrays: grey values, square geometry shared by image, mask and boxes, and the foreground."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt
from scipy import ndimage

from uadbench.errors import InvalidDataError

# What Pillow raises on damaged files of its many formats.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, zlib.error,
)  # fmt: skip

FOREGROUNDS = {
    "otsu": "above Otsu's threshold of log(1 + 255 x), largest 4-connected component, holes filled",
    "nonzero": "stored value above 0",
    "all": "every pixel",
}


def read_grey(raw: bytes, where: str) -> UInt[np.ndarray, "h w"]:
    """Grey values of an encoded picture, uint16 when it has 16 bits, else uint8; colour as luminance, alpha ignored.

    Raises:
        InvalidDataError: Unreadable, truncated, several pages, or neither 8 nor 16 bits.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(raw)) as picture:
            pages, mode = getattr(picture, "n_frames", 1), picture.mode
            deep = mode.startswith("I")
            grey = np.asarray(picture if deep or mode == "F" else picture.convert("L"))
    except (*_UNREADABLE, Image.DecompressionBombError) as error:
        raise InvalidDataError(
            f"{where}: not a readable picture ({type(error).__name__}). It is truncated, too large or no picture; "
            "replace it."
        ) from error
    if pages > 1 or mode == "F" or (deep and not 0 <= grey.min() <= grey.max() <= 65535):
        raise InvalidDataError(f"{where}: {pages} pages of mode {mode!r}. Store one page of 8 or 16 bits.")
    return grey.astype(np.uint16 if deep else np.uint8)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A picture of `height` x `width` pixels, padded to a centred square and resized to `size` x `size`."""

    height: int
    width: int
    size: int

    @property
    def side(self) -> int:
        """Side of the padded square in stored pixels."""
        return max(self.height, self.width)

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top padding in stored pixels; an odd pixel goes right or below."""
        return (self.side - self.width) // 2, (self.side - self.height) // 2

    def image(self, intensity: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "s s"]:
        """Padded with its own minimum; resized linearly, smoothed first where it shrinks."""
        from skimage.transform import resize

        square = self._padded(intensity, intensity.min())  # (h, w) -> (side, side)
        if self.side == self.size:
            return square
        shape = (self.size, self.size)
        resized: np.ndarray = resize(square, shape, order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
        return resized

    def mask(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "s s"]:
        """Padded with False; the nearest pixel decides, and a mask that would vanish keeps the pixel of its middle."""
        square = self._padded(mask, False)  # (h, w) -> (side, side)
        nearest = ((np.arange(self.size) + 0.5) * self.side / self.size).astype(int)
        resized: np.ndarray = square[np.ix_(nearest, nearest)]  # (side, side) -> (size, size)
        if mask.any() and not resized.any():
            marked = np.argwhere(square)
            middle = marked[np.argmin(np.square(marked - marked.mean(0)).sum(1))]
            resized[tuple(middle * self.size // self.side)] = True
        return resized

    def boxes(self, boxes: Float64[np.ndarray, "b 4"]) -> Float32[np.ndarray, "b 4"]:
        """Moved by the padding and scaled."""
        moved = boxes + np.array([*self.corner, 0, 0])
        return np.asarray(moved * (self.size / self.side), np.float32)

    def _padded(self, array: np.ndarray, fill: float | bool) -> np.ndarray:
        square = np.full((self.side, self.side), fill, array.dtype)
        left, top = self.corner
        square[top : top + self.height, left : left + self.width] = array
        return square


def foreground(pixels: UInt[np.ndarray, "h w"], rule: str) -> Bool[np.ndarray, "h w"]:
    """The body in the picture by one of `FOREGROUNDS`; empty where the picture is one grey value."""
    from skimage.filters import threshold_otsu

    if rule == "all":
        return np.ones(pixels.shape, bool)
    if rule == "nonzero":
        return np.asarray(pixels > 0)
    # Of x itself, Otsu parts bright fat from dark brain; of its logarithm, the head from the air.
    level = np.log1p(255.0 * pixels / np.iinfo(pixels.dtype).max)
    bright = level > threshold_otsu(level)  # type: ignore[no-untyped-call]
    parts, count = ndimage.label(bright)
    if count:
        largest = 1 + np.argmax(np.bincount(parts.ravel())[1:])
        bright = ndimage.binary_fill_holes(parts == largest)
    return np.asarray(bright, bool)
