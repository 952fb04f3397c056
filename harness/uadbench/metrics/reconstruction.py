"""Reconstruction quality: how near a pseudo-healthy image is to the healthy one, as maps and as means."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import uniform_filter

from uadbench.errors import InvalidDataError, UndefinedMetricError

WINDOW = 7
Image = Float[np.ndarray, "c h w"]
Region = Bool[np.ndarray, "h w"]


def ssim_map(image: Image, other: Image) -> Float[np.ndarray, "h w"]:
    """Structural similarity of images in [0, 1] around each pixel, in [-1, 1], averaged over channels.

    Uniform 7 x 7 window, sample covariance, K1 = 0.01, K2 = 0.03, data range 1: scikit-image's defaults.

    Source: Wang et al., IEEE Trans. Image Process. 2004, eq. 13.

    Raises:
        InvalidDataError: Shapes that disagree, or a side below 7 pixels.
    """
    _require_pair(image, other)
    if min(image.shape[1:]) < WINDOW:
        raise InvalidDataError(f"ssim: images of {image.shape[1:]} pixels. Give at least {WINDOW} pixels a side.")
    x, y = np.asarray(image, np.float64), np.asarray(other, np.float64)
    samples = WINDOW**2 / (WINDOW**2 - 1)
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = samples * (_smooth(x * x) - mean_x**2), samples * (_smooth(y * y) - mean_y**2)
    both = samples * (_smooth(x * y) - mean_x * mean_y)
    first, second = 0.01**2, 0.03**2
    above = (2 * mean_x * mean_y + first) * (2 * both + second)
    return np.mean(above / ((mean_x**2 + mean_y**2 + first) * (var_x + var_y + second)), axis=0)


def ssim(image: Image, other: Image) -> float:
    """Mean structural similarity over the pixels whose whole window lies in the image, in [-1, 1].

    Source: as `ssim_map`; the border of 3 pixels is left out, as scikit-image does.
    """
    edge = WINDOW // 2
    return float(ssim_map(image, other)[edge:-edge, edge:-edge].mean())


def ssim_in(image: Image, other: Image, region: Region) -> float:
    """Mean of the similarity map over a region, in [-1, 1].

    Source: as `ssim_map`; PHANES, MICCAI 2023, averages the map in the anomaly's mask.

    Raises:
        UndefinedMetricError: An empty region.
    """
    return _mean_in(ssim_map(image, other), region, "ssim")


def mse(image: Image, other: Image, region: Region | None = None) -> float:
    """Mean squared difference over the pixels of a region (default: all), in [0, 1].

    Source: mean of (x - y)^2, normalised by the region's own area (a published code divides by the anomaly's).

    Raises:
        UndefinedMetricError: An empty region.
    """
    _require_pair(image, other)
    return _mean_in(np.mean(np.square(np.asarray(image, np.float64) - other), axis=0), region, "mse")


def mae(image: Image, other: Image, region: Region | None = None) -> float:
    """Mean absolute difference over the pixels of a region (default: all), in [0, 1].

    Source: mean of |x - y|; some papers print it as MSE.

    Raises:
        UndefinedMetricError: An empty region.
    """
    _require_pair(image, other)
    return _mean_in(np.mean(np.abs(np.asarray(image, np.float64) - other), axis=0), region, "mae")


def _smooth(image: Image) -> Image:
    return uniform_filter(image, size=(0, WINDOW, WINDOW), mode="reflect")


def _mean_in(values: Float[np.ndarray, "h w"], region: Region | None, what: str) -> float:
    chosen = values if region is None else values[region]
    if not chosen.size:
        raise UndefinedMetricError(f"{what}: the region is empty; its mean has no value.")
    return float(chosen.mean())


def _require_pair(image: Image, other: Image) -> None:
    if np.ndim(image) != 3 or np.shape(image) != np.shape(other):
        raise InvalidDataError(f"Images of {np.shape(image)} and {np.shape(other)} disagree. Give both as (c, h, w).")
