"""Random fields and displacements on the pixel grid.

A displacement is (2, h, w), rows then columns, in pixels, and pulls back: the moved image at p is the image at
p + d(p).
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

SIZE = 128
CENTRE = (SIZE - 1) / 2


def pixel_grid() -> Float[np.ndarray, "2 h w"]:
    """Row and column of every pixel."""
    return np.mgrid[:SIZE, :SIZE].astype(np.float64)


def random_field(generator: np.random.Generator, sigma_px: float) -> Float[np.ndarray, "h w"]:
    """Gaussian random field: white noise smoothed by `sigma_px`, periodic, mean 0 and standard deviation 1."""
    noise = generator.standard_normal((SIZE, SIZE))
    field = ndimage.gaussian_filter(noise, sigma_px, mode="wrap")
    return (field - field.mean()) / field.std()


def random_velocity(generator: np.random.Generator, sigma_px: float, rms_px: float) -> Float[np.ndarray, "2 h w"]:
    """Two independent random fields, rows and columns, each of root mean square `rms_px`."""
    return rms_px * np.stack([random_field(generator, sigma_px) for _ in range(2)])


def pull(image: Float[np.ndarray, "*c h w"], displacement: Float[np.ndarray, "2 h w"]) -> Float[np.ndarray, "*c h w"]:
    """The image, or each of a stack of images, read at p + d(p) by linear interpolation."""
    where = pixel_grid() + displacement
    flat = image.reshape(-1, SIZE, SIZE)
    moved = [ndimage.map_coordinates(channel, where, order=1, mode="nearest") for channel in flat]
    return np.stack(moved).reshape(image.shape)


def integrate(velocity: Float[np.ndarray, "2 h w"], squarings: int = 5) -> Float[np.ndarray, "2 h w"]:
    """Displacement after unit time in a stationary velocity field; free of folds when the field is smooth.

    Source: Arsigny et al., MICCAI 2006, scaling and squaring: exp(v) = exp(v / 2^n)^(2^n).
    """
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        displacement = displacement + pull(displacement, displacement)
    return displacement


def uphill(mask: Float[np.ndarray, "h w"], sigma_px: float = 4.0) -> Float[np.ndarray, "2 h w"]:
    """Gradient of the smoothed mask, scaled to a longest vector of 1; zeros where the mask is empty.

    As a pull-back velocity it makes what the mask covers grow.
    """
    gradient = np.stack(np.gradient(ndimage.gaussian_filter(mask, sigma_px)))
    longest = np.hypot(*gradient).max()
    return gradient / longest if longest > 0 else gradient


def soften(mask: Bool[np.ndarray, "h w"], sigma_px: float) -> Float[np.ndarray, "h w"]:
    """The mask as a weight in [0, 1] with a smooth edge that crosses 1/2 at the mask's edge."""
    return ndimage.gaussian_filter(mask.astype(np.float64), sigma_px, truncate=3.0)
