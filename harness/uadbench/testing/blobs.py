"""Small smooth healthy images for the checks: an ellipse of tissue on background 0, different from image to image."""

import numpy as np

from uadbench.types import Images

WAVES = 4


class MemorySource:
    """An `ImageSource` in memory. Every slice is a fresh copy, as from a file."""

    def __init__(self, images: Images) -> None:
        self._images = images

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, c, h, w = self._images.pixels.shape
        return c, h, w

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: slice) -> Images:
        return copied(self._images[rows])


def blobs(n: int, height: int, width: int, *, seed: int) -> Images:
    """`n` grey images with intensities in [0, 1] in steps of 1/255, each of its own subject."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(_centres(height), _centres(width), indexing="ij")  # (h, w) in (-1, 1)
    pixels = np.empty((n, 1, height, width), np.float32)
    foreground = np.empty((n, height, width), bool)
    for row in range(n):
        foreground[row] = (x / rng.uniform(0.7, 0.9)) ** 2 + (y / rng.uniform(0.7, 0.9)) ** 2 < 1
        waves = [np.cos(3 * (rng.normal() * x + rng.normal() * y) + rng.uniform(0, 6)) for _ in range(WAVES)]
        tissue = np.clip(0.5 + 0.12 * np.sum(waves, axis=0), 0, 1)
        pixels[row, 0] = np.round(255 * tissue * foreground[row]) / 255
    names = tuple(f"blob-{seed}-{row}" for row in range(n))
    return Images(pixels, foreground, names, names)


def blanks(height: int, width: int) -> Images:
    """Three images without structure: black without foreground, white, and grey on half the frame."""
    pixels, foreground = np.zeros((3, 1, height, width), np.float32), np.zeros((3, height, width), bool)
    pixels[1], foreground[1] = 1, True
    pixels[2, :, : height // 2], foreground[2, : height // 2] = 0.5, True
    names = ("black", "white", "half-grey")
    return Images(pixels, foreground, names, names)


def copied(images: Images) -> Images:
    """The same images in arrays of their own."""
    return Images(images.pixels.copy(), images.foreground.copy(), images.ids, images.subjects)


def read_only(images: Images) -> Images:
    """The same images in arrays that refuse to be written."""
    locked = copied(images)
    locked.pixels.flags.writeable = False
    locked.foreground.flags.writeable = False
    return locked


def _centres(pixels: int) -> np.ndarray:
    return (2 * np.arange(pixels) + 1) / pixels - 1
