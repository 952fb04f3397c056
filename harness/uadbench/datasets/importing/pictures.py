"""Encoded pictures (PNG, JPEG, TIFF, ...) as grey values."""

import io
import struct
import zlib

import numpy as np
from jaxtyping import UInt

from uadbench.errors import InvalidDataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
# What Pillow raises on damaged files of its many formats.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, zlib.error,
)  # fmt: skip


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
