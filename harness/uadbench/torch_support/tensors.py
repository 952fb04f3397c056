"""Numpy images to torch tensors and back, and reading a source image by image.

A convolution over eight images may differ in the last bit from one over a single image, and a map must not depend on
who else is in the batch: a detector predicts its images one at a time, or in blocks of one size.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import InvalidDataError
from uadbench.types import Images, ImageSource

CHUNK = 64


def to_tensor(pixels: Float32[np.ndarray, "*shape"], device: str = "cpu") -> Float[Tensor, "*shape"]:
    """A copy of the pixels on the device; the caller's array is never shared.

    The copy also aligns memory: the last bit of a sum may depend on the address that a vector instruction starts at.
    """
    return torch.tensor(np.ascontiguousarray(pixels), dtype=torch.float32, device=device)


def to_array(tensor: Float[Tensor, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """The tensor as float32 numpy."""
    array: np.ndarray = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def each_image(images: Images, device: str) -> Iterator[Float[Tensor, "1 c h w"]]:
    """The images one by one."""
    for row in range(len(images)):
        yield to_tensor(images.pixels[row : row + 1], device)


def each_image_of(source: ImageSource, device: str) -> Iterator[Float[Tensor, "1 c h w"]]:
    """The images of a source one by one, read in chunks."""
    for start in range(0, len(source), CHUNK):
        yield from each_image(source[start : start + CHUNK], device)


def read(source: ImageSource, prepare: Callable[[Float[Tensor, "1 c h w"]], Tensor]) -> Float[Tensor, "n ..."]:
    """Every image of a source, prepared (resized, say) while it is read, so that only the small one stays in memory.

    Raises:
        InvalidDataError: A source without images.
    """
    if not len(source):
        raise InvalidDataError("There are no images to read. Give at least one for training and one for validation.")
    return torch.cat([prepare(image) for image in each_image_of(source, "cpu")])


def resized(images: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c a b"]:
    """Bilinear, with antialiasing where the images shrink; the same tensor if nothing changes."""
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def blocks(images: Images, size: int, device: str) -> Iterator[tuple[slice, Float[Tensor, "size c h w"]]]:
    """The images in blocks of exactly `size`, the last one filled up with black, and which images each holds.

    A kernel may compute the last bit of an image otherwise in a batch of another size, but not at another place of a
    batch of the same size: blocks are as fast as batches, and a map depends on its image alone.
    """
    for start in range(0, len(images), size):
        pixels = images.pixels[start : start + size]
        block = torch.empty((size, *pixels.shape[1:]), dtype=torch.float32)  # aligned, as in `to_tensor`
        filled = block.numpy()
        filled[: len(pixels)], filled[len(pixels) :] = pixels, 0
        yield slice(start, start + len(pixels)), block.to(device)
