"""The scan: blur, coil bias, gain, motion if any, and Rician noise, of whatever lies in the scanner."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from uadbench.datasets.phantom.fields import SIZE, random_field

Motion = Callable[[Float[np.ndarray, "h w"]], Float[np.ndarray, "h w"]]


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything one scan draws at random, so that a healthy twin can be scanned with the same noise."""

    blur_px: float
    sensitivity: Float[np.ndarray, "h w"]
    noise: Float[np.ndarray, "2 h w"]


def draw_scan(generator: np.random.Generator) -> Scan:
    """A scan with its own blur, bias field and gain, and noise of standard deviation .008 to .022."""
    blur_px = generator.uniform(0.4, 0.6)
    bias = random_field(generator, 26.0)
    bias = generator.uniform(0.03, 0.08) * 1.5 * bias / np.abs(bias).max()
    gain = generator.uniform(0.95, 1.05)
    noise = generator.uniform(0.008, 0.022) * generator.standard_normal((2, SIZE, SIZE))
    return Scan(blur_px, gain * np.exp(bias), noise)


def acquire(
    image: Float[np.ndarray, "h w"],
    foreground: Bool[np.ndarray, "h w"],
    scan: Scan,
    motion: Motion | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """The scanned, skull-stripped slice, 0 to 255.

    Source: Gudbjartsson and Patz, MRM 1995: the magnitude of a signal with Gaussian noise in both channels.
    """
    signal = ndimage.gaussian_filter(image * foreground, scan.blur_px) * scan.sensitivity
    if motion is not None:
        signal = motion(signal)
    magnitude = np.hypot(signal + scan.noise[0], scan.noise[1])
    return np.round(255 * np.clip(magnitude * foreground, 0, 1)).astype(np.uint8)
