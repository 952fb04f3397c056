"""Perceptual distances by name: how far apart two images are in the features of an ImageNet network.

- `lpips-squeeze`, `lpips-alex`, `lpips-vgg`  LPIPS, version 0.1: the linear layers are those of the `lpips` package
- `lite0`  the same with all weights equal, on EfficientNet-Lite0, which needs no download. Not calibrated: no LPIPS.

Per layer l, features a and b of unit length in each pixel: d = sum over channels of w_l (a - b)^2. The map draws the d
up to the image's size and adds them; the distance adds their means.

Source: Zhang et al., CVPR 2018, arXiv:1801.03924, eq. 1. Deviates from the package: images are in [0, 1], which its
scaling of [-1, 1] turns into ImageNet's normalisation; where a pixel has no features, gradients are 0 and not NaN.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import InvalidDataError, UnknownNameError
from uadbench.torch_support.layers import LITE0, features
from uadbench.torch_support.states import read_state
from uadbench.torch_support.weights import IMAGENET, WeightsUsed, locate

Batch = Float[Tensor, "n c h w"]


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A network, the layers of it that are compared (for lite0: reductions), and the smallest side they allow."""

    network: str
    layers: tuple[int, ...]
    smallest: int
    linear: str = ""


RECIPES = {
    "lpips-squeeze": _Recipe("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), 17, "lpips-squeeze-linear"),
    "lpips-alex": _Recipe("alexnet", (1, 4, 7, 9, 11), 31, "lpips-alex-linear"),
    "lpips-vgg": _Recipe("vgg16", (3, 8, 15, 22, 29), 16, "lpips-vgg-linear"),
    LITE0: _Recipe(LITE0, (2, 4, 8), 8),
}
NAMES = tuple(RECIPES)


class PerceptualDistance:
    """The distance of that name between two batches of images in [0, 1], grey or of three channels.

    Frozen and no part of any network that holds it; gradients reach both inputs. `weights` is `imagenet` or `random`
    (the network's alone, drawn from `seed`); `weights_used` are the records of the network's and the linear layers'.

    Raises:
        UnknownNameError: None of `NAMES`.
        ParameterError: Weights of an unknown kind.
        MissingLibraryError: Without lpips and torchvision, or timm for lite0.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """

    def __init__(self, name: str, device: str = "cpu", *, weights: str = IMAGENET, seed: int = 0) -> None:
        require_distance(name)
        recipe = RECIPES[name]
        self.name, self.smallest_side = name, recipe.smallest
        self.network = features(recipe.network, recipe.layers, weights=weights, seed=seed).to(device)
        linear, used = _linear(recipe.linear, self.network.channels)
        self.linear = [layer.to(device) for layer in linear]
        self.weights_used: tuple[WeightsUsed, ...] = (self.network.weights_used, *used)

    def __call__(self, images: Batch, others: Batch) -> Float[Tensor, "n 1 h w"]:
        """The distance around each pixel, >= 0.

        Raises:
            InvalidDataError: Shapes that disagree, images of other than 1 or 3 channels, or too small ones.
        """
        size = images.shape[-2:]
        drawn = [F.interpolate(one, size, mode="bilinear") for one in self._layers(images, others)]
        return torch.stack(drawn).sum(0)

    def between(self, images: Batch, others: Batch) -> Float[Tensor, " n"]:
        """One distance per pair of images, >= 0; not quite the mean of the map, whose layers are drawn up first.

        Raises:
            InvalidDataError: As the map.
        """
        return torch.stack([one.mean((1, 2, 3)) for one in self._layers(images, others)]).sum(0)

    def _layers(self, images: Batch, others: Batch) -> Iterator[Float[Tensor, "n 1 _h _w"]]:
        """The distance per layer, in the layer's own size."""
        self._require_comparable(images, others)
        for one, other, weights in zip(self.network(images), self.network(others), self.linear, strict=True):
            apart = F.normalize(one).sub_(F.normalize(other)).square()
            # no convolution: to one channel, its last bits depend on the image's place in the batch
            yield (apart * weights).sum(1, keepdim=True)  # (n, k, a, b) -> (n, 1, a, b)

    def _require_comparable(self, images: Batch, others: Batch) -> None:
        channels, height, width = images.shape[1:]
        if images.shape != others.shape:
            raise InvalidDataError(
                f"{self.name}: images {tuple(images.shape)} and others {tuple(others.shape)} disagree. Give two "
                "batches of one shape (n, c, h, w)."
            )
        if channels not in (1, 3):
            raise InvalidDataError(f"{self.name}: images have {channels} channels. Give 1 (grey) or 3 (RGB).")
        if min(height, width) < self.smallest_side:
            raise InvalidDataError(
                f"{self.name}: images of {height} x {width} px are too small for the network. Give at least "
                f"{self.smallest_side} px a side."
            )


def require_distance(name: str) -> None:
    """Refuses a name that no distance has.

    Raises:
        UnknownNameError: Suggests the nearest.
    """
    if name not in NAMES:
        raise UnknownNameError("perceptual distance", name, NAMES, "one of: " + ", ".join(NAMES))


def _linear(name: str, channels: tuple[int, ...]) -> tuple[list[Float[Tensor, "1 _k 1 1"]], tuple[WeightsUsed, ...]]:
    """The weights per layer that the package brings, and their record; without a name all alike, and no record."""
    shapes = [(1, count, 1, 1) for count in channels]
    if not name:
        return [torch.full(shape, 1 / len(channels)) for shape in shapes], ()
    file = locate(name)
    layers = list(read_state(file.path, name).values())
    if [tuple(layer.shape) for layer in layers] != shapes:
        raise InvalidDataError(
            f"{file.path} does not hold the weights of {name!r}: one for each of {channels} channels. Remove the file."
        )
    return layers, (file.used,)
