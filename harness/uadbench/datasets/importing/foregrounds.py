"""The foreground: the body in a picture."""

import numpy as np
from jaxtyping import Bool, UInt
from scipy import ndimage


def foreground(pixels: UInt[np.ndarray, "h w"], rule: str) -> Bool[np.ndarray, "h w"]:
    """The body by one of the computed rules of `recipe.FOREGROUNDS`; empty where the picture is one grey value."""
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
