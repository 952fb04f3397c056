"""From images to a network's grid and back: shared by every method that maps where a reconstruction differs."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import Images, Prediction
from uadbench.torch_support.tensors import each_image, resized, to_array

Image = Float[Tensor, "1 c h w"]
Residual = Callable[[Image, Image], Image]


def squared(image: Image, reconstruction: Image) -> Image:
    """(x - x_hat)^2 per channel."""
    return (image - reconstruction) ** 2


def to_grid(image: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n c size size"]:
    """Intensities in [0, 1] as a square of that side in [-1, 1]."""
    return 2 * resized(image, (size, size)) - 1


def predict_residual(
    reconstruct: Callable[[Image], Image], images: Images, size: int, residual: Residual, device: str
) -> Prediction:
    """Map: residual on the network's grid, mean over channels, drawn up to the image's size. Score: its mean.

    The score is taken on the grid, before the map is enlarged.
    """
    n, c, h, w = images.pixels.shape
    maps, scores = np.empty((n, h, w), np.float32), np.empty(n, np.float64)
    reconstructions = np.empty((n, c, h, w), np.float32)
    for row, image in enumerate(each_image(images, device)):
        with torch.inference_mode():
            shrunk = to_grid(image, size)
            seen = reconstruct(shrunk)
            error = residual(shrunk, seen).mean(1, keepdim=True)  # (1, c, size, size) -> (1, 1, size, size)
            maps[row] = to_array(resized(error, (h, w)))[0, 0]
            reconstructions[row] = to_array(resized(((seen + 1) / 2).clamp(0, 1), (h, w)))[0]
            scores[row] = to_array(error).mean(dtype=np.float64)
    return Prediction(maps, scores, reconstructions)
