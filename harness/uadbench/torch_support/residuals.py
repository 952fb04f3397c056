"""Residuals: maps of where a reconstruction differs from its image, by name.

`absolute` and `squared` are taken in the network's own domain, the others on intensities in [0, 1]:

- `absolute`  |x - x_hat|, the field's default
- `squared`  (x - x_hat)^2, Cai et al., MICCAI 2024
- `equalised`  |e(x) - e(x_hat)| after adaptive histogram equalisation: Bercea et al., MIDL 2023 (RA), eq. 5
- `perceptual`  |x - x_hat| times a distance of ImageNet features, in the manner of RA's eq. 5. Deviates: the distance
  is `lite0`, which is uncalibrated and no LPIPS.
- `ssim`  1 - SSIM around each pixel: Wang et al., 2004; as anomaly map in Bergmann et al., VISAPP 2019
- `foreground`  |x - x_hat| on the eroded foreground, median filtered: Kascenas et al., MIDL 2022, by their code
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import UnknownNameError
from uadbench.metrics.reconstruction import ssim_map
from uadbench.torch_support.equalising import equalise_adaptively
from uadbench.torch_support.layers import LITE0
from uadbench.torch_support.tensors import to_array

if TYPE_CHECKING:
    from uadbench.torch_support.weights import WeightsUsed

Batch = Float[Tensor, "n c h w"]
Map = Float[Tensor, "n _c h w"]  # one map per channel, or one for all
Between = Callable[[Batch, Batch], Map]
MEDIAN = 5  # pixels a side
AIR = 0.01  # at or below it lies no tissue
WITHIN = 0.95  # the share of a neighbourhood that must be tissue


def absolute(image: Batch, seen: Batch) -> Map:
    """|x - x_hat| per channel."""
    return (image - seen).abs()


def squared(image: Batch, seen: Batch) -> Map:
    """(x - x_hat)^2 per channel."""
    return (image - seen) ** 2


def equalised(image: Batch, seen: Batch) -> Map:
    """|e(x) - e(x_hat)| per channel, in [0, 1]; e is `equalise_adaptively`, so a constant channel stays."""
    return (equalise_adaptively(image) - equalise_adaptively(seen)).abs()


def ssim(image: Batch, seen: Batch) -> Map:
    """1 - SSIM around each pixel, mean over channels, in [0, 2]."""
    pairs = zip(to_array(image).astype(np.float64), to_array(seen).astype(np.float64), strict=True)
    maps = np.stack([1 - ssim_map(one, other) for one, other in pairs])  # (n, h, w)
    return torch.as_tensor(maps[:, None], dtype=torch.float32, device=image.device)


def foreground(image: Batch, seen: Batch) -> Map:
    """|x - x_hat|, 0 near and in the air, then the median of 5 x 5 pixels; mean over channels."""
    tissue = (image.sum(1, keepdim=True) > AIR).float()  # (n, c, h, w) -> (n, 1, h, w)
    inside = F.avg_pool2d(tissue, MEDIAN, stride=1, padding=MEDIAN // 2, count_include_pad=True) > WITHIN
    error = absolute(image, seen).mean(1, keepdim=True) * inside
    padded = F.pad(error, [MEDIAN // 2] * 4, mode="reflect")
    around = F.unfold(padded, MEDIAN)  # (n, 1, h + 4, w + 4) -> (n, 25, h * w)
    middle = around.sort(dim=1).values[:, MEDIAN**2 // 2]  # (n, h * w); torch's median has no deterministic GPU kernel
    return middle.view_as(error)


@dataclass(frozen=True, slots=True)
class Residual:
    """A residual of a batch and its reconstruction, both in the network's domain."""

    between: Between
    in_domain: bool
    weights_used: tuple["WeightsUsed", ...] = ()

    def __call__(self, image: Batch, seen: Batch, to_unit: Callable[[Batch], Batch]) -> Map:
        if self.in_domain:
            return self.between(image, seen)
        return self.between(to_unit(image), to_unit(seen))


PLAIN = {
    "absolute": Residual(absolute, in_domain=True),
    "squared": Residual(squared, in_domain=True),
    "equalised": Residual(equalised, in_domain=False),
    "ssim": Residual(ssim, in_domain=False),
    "foreground": Residual(foreground, in_domain=False),
}
NAMES = (*PLAIN, "perceptual")


def residual(name: str, device: str) -> Residual:
    """The residual of that name.

    Raises:
        UnknownNameError: None of `NAMES`.
        MissingWeightsError: `perceptual`, and the backbone's weights are not there.
    """
    require_residual(name)
    if name in PLAIN:
        return PLAIN[name]
    from uadbench.torch_support.perceptual import PerceptualDistance

    distance = PerceptualDistance(LITE0, device)

    def between(image: Batch, seen: Batch) -> Map:
        return absolute(image, seen).mean(1, keepdim=True) * distance(image, seen)

    return Residual(between, in_domain=False, weights_used=distance.weights_used)


def require_residual(name: str) -> None:
    """Refuses a name that no residual has.

    Raises:
        UnknownNameError: Suggests the nearest.
    """
    if name not in NAMES:
        raise UnknownNameError("residual", name, NAMES, "one of: " + ", ".join(NAMES))
