"""What the inpainting learns from: the whole image, its features, and patches that pass for real.

Source: Zeng et al., TVCG 2022 (AOT-GAN), sec. 3.3 and 3.4, with the weights of Bercea et al., MICCAI 2023 (PHANES).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.torch_support.equalising import smoothed
from uadbench.torch_support.tensors import resized
from uadbench_phanes._inpainting import Masks, Pixels

NAMES = ("style", "perceptual")
BLUR = 10 / 128  # sigma of soft masks, in sides

Patches = Float[Tensor, "n 1 p p"]
Loss = Float[Tensor, ""]
Features = Callable[[Pixels, Pixels], Mapping[str, Loss]]


@dataclass(frozen=True, slots=True)
class Weights:
    """What the terms weigh beside the absolute difference."""

    style: float
    perceptual: float
    adversarial: float


def likeness(made: Pixels, images: Pixels, features: Features, weights: Weights) -> Loss:
    """Mean |G - x| + weighted style and perceptual losses, of the whole image, seen and made up."""
    named = features(made, images)
    return F.l1_loss(made, images) + weights.style * named["style"] + weights.perceptual * named["perceptual"]


def unmasking(judged: Patches, real: Patches, masks: Masks) -> Loss:
    """The discriminator's: (D(z) - soft mask)^2 + D(x)^2, mean over patches; z is the composed image."""
    return F.mse_loss(judged, soft(masks, judged.shape[-1])) + real.square().mean()


def passing(judged: Patches, masks: Masks) -> Loss:
    """The generator's: mean over patches of D(z)^2 m: what lies inside the mask is to pass for real."""
    side = judged.shape[-1]
    return (judged.square() * resized(masks, (side, side))).mean()


def soft(masks: Masks, side: int) -> Patches:
    """How much of each patch lies inside the mask: a Gaussian of 10/128 of the side, then shrunk."""
    with torch.no_grad():
        return resized(smoothed(masks.float(), BLUR * masks.shape[-1]), (side, side))
