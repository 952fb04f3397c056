"""Losses between the features of two images, by name: what training compares beside pixels.

- `content`  sum over layers of the mean squared difference; relu1_1, 2_1, 3_1, 4_1 of VGG-19 as in MorphAEus, Bercea et
  al., MICCAI 2023, which does not normalise its images
- `perceptual`  sum over layers of the mean absolute difference; relu1_1, 2_1, 3_1, 4_1, 5_1
- `style`  sum over layers of the mean absolute difference of Gram matrices; relu2_2, 3_4, 4_4, 5_2

The last two as in PHANES, Bercea et al., MICCAI 2023, after AOT-GAN, Zeng et al., TVCG 2022. `vgg19` are the published
features; `lite0` stands in for them without a download, at reductions of EfficientNet-Lite0.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import UnknownNameError
from uadbench.torch_support.layers import LITE0, features
from uadbench.torch_support.weights import IMAGENET, WeightsUsed

Maps = Sequence[Float[Tensor, "n _c _h _w"]]  # one of each layer
Loss = Float[Tensor, ""]

LAYERS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "vgg19": {"content": (1, 6, 11, 20), "perceptual": (1, 6, 11, 20, 29), "style": (8, 17, 26, 31)},
    LITE0: {"content": (2, 4, 8, 16), "perceptual": (2, 4, 8, 16, 32), "style": (4, 8, 16, 32)},
}


def content(maps: Maps, targets: Maps) -> Loss:
    """Sum over layers of the mean squared difference."""
    return torch.stack([F.mse_loss(one, other) for one, other in zip(maps, targets, strict=True)]).sum()


def perceptual(maps: Maps, targets: Maps) -> Loss:
    """Sum over layers of the mean absolute difference."""
    return torch.stack([F.l1_loss(one, other) for one, other in zip(maps, targets, strict=True)]).sum()


def style(maps: Maps, targets: Maps) -> Loss:
    """Sum over layers of the mean absolute difference of Gram matrices."""
    return perceptual([gram(one) for one in maps], [gram(other) for other in targets])


def gram(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """Products of channels, summed over pixels and divided by c h w: where a texture lies is lost.

    Source: Gatys et al., CVPR 2016, eq. 3; divided as in Johnson et al., ECCV 2016, eq. 3.
    """
    rows = maps.flatten(2)  # (n, c, h, w) -> (n, c, h*w)
    return rows @ rows.mT / rows[0].numel()


LOSSES = {"content": content, "perceptual": perceptual, "style": style}


class FeatureLosses:
    """The named losses between images and targets in [0, 1], grey or of three channels, from one pass over each.

    Frozen and no part of any network that holds it; gradients reach the images alone. `normalised` says whether VGG-19
    sees images by ImageNet's mean and deviation or as they are; `weights` is `imagenet` or `random`.

    Raises:
        UnknownNameError: Features or losses that are not known.
        ParameterError: Weights of an unknown kind.
        MissingLibraryError: Without torchvision, or timm for lite0.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """

    def __init__(
        self,
        name: str,
        losses: Sequence[str],
        device: str = "cpu",
        *,
        normalised: bool = True,
        weights: str = IMAGENET,
        seed: int = 0,
    ) -> None:
        require_losses(name, losses)
        self.of = {loss: LAYERS[name][loss] for loss in losses}
        self.layers = sorted({layer for layers in self.of.values() for layer in layers})
        self.network = features(name, self.layers, normalised=normalised, weights=weights, seed=seed).to(device)
        self.weights_used: tuple[WeightsUsed, ...] = (self.network.weights_used,)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Float[Tensor, "n c h w"]) -> Mapping[str, Loss]:
        """Each loss by its name, >= 0."""
        mine = dict(zip(self.layers, self.network(images), strict=True))
        with torch.no_grad():
            theirs = dict(zip(self.layers, self.network(targets), strict=True))
        return {
            loss: LOSSES[loss]([mine[layer] for layer in layers], [theirs[layer] for layer in layers])
            for loss, layers in self.of.items()
        }


def require_losses(name: str, losses: Sequence[str]) -> None:
    """Refuses features and losses that are not known.

    Raises:
        UnknownNameError: Suggests the nearest.
    """
    if name not in LAYERS:
        raise UnknownNameError("features for losses", name, LAYERS, "one of: " + ", ".join(LAYERS))
    for loss in losses:
        if loss not in LOSSES:
            raise UnknownNameError("feature loss", loss, LOSSES, "one of: " + ", ".join(LOSSES))
