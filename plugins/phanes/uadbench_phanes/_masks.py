"""Masks: where a first reconstruction departs from its image, and what training adds to that.

Source: Bercea et al., MICCAI 2023 (PHANES), eq. 3; what the equation leaves open (sigma, dilation, ellipses) as in the
authors' code. Every image is treated as if it were alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.equalising import equalise_adaptively, smoothed

SIGMA = 2.0  # of the perceptual distance, in pixels of the grid
NORM_SHARE, TINY = 0.95, 1e-8
IMAGE_SHARE = 0.95  # of an image's own pixels, for its own threshold
HEALTHY_SHARE = 0.99  # of all pixels of healthy validation images
GROWTH_SIGMA, GROWTH_LEAST = 1.2, 0.1  # pixels of the grid; a share
FRAME = 128  # px that the ellipses are laid out in
COUNT = 10  # ellipses of an image
AXIS_MEAN, AXIS_DEVIATION, SMALLEST_AXIS = 2.0, 4.0, 2.0
RIM = 1 + 1e-6  # a pixel on the rim counts as inside, whatever the last bit of a sine is

Grid = Float[Tensor, "n c s s"]
Map = Float[Tensor, "n 1 s s"]
Mask = Bool[Tensor, "n 1 s s"]
Distance = Callable[[Grid, Grid], Map]  # of images in [0, 1], around each pixel
Batch = Float[Tensor, "n k s s"]  # images with their mask as the last channel, k = c + 1


def anomaly_map(images: Grid, seen: Grid, distance: Distance) -> Map:
    """norm95(|e(x_hat) - e(x)|) S(x_hat, x) of images in [0, 1] and their reconstructions, >= 0.

    e is adaptive histogram equalisation, the mean over channels is taken after it; S the smoothed distance.
    """
    flat_seen, flat = equalise_adaptively(torch.cat([seen, images])).chunk(2)
    apart = (flat_seen - flat).abs().mean(1, keepdim=True)  # (n, c, s, s) -> (n, 1, s, s)
    return normed(apart) * perceptual_map(images, seen, distance)


def perceptual_map(images: Grid, others: Grid, distance: Distance) -> Map:
    """S: the distance under a Gaussian of 2 pixels."""
    return smoothed(distance(others, images), SIGMA)


def normed(maps: Map) -> Map:
    """Each map over its own 95th percentile, at most 1."""
    return (maps / (percentile(maps, NORM_SHARE) + TINY)).clamp(max=1)


def percentile(maps: Map, share: float) -> Float[Tensor, "n 1 1 1"]:
    """The value that this share of each map's pixels does not exceed, linear between two pixels."""
    ordered = maps.flatten(1).sort(1).values  # (n, 1, s, s) -> (n, s*s)
    place = share * (ordered.shape[1] - 1)
    low, high = ordered[:, int(place)], ordered[:, min(int(place) + 1, ordered.shape[1] - 1)]
    rise = (high - low) * (place - int(place))  # apart from the sum, as in `equalising`: fused, last bits may change
    return (low + rise)[:, None, None, None]


def grown(found: Mask) -> Mask:
    """Where a Gaussian of 1.2 pixels of the mask is above 0.1: gaps close, and a rim of about a pixel is added."""
    return smoothed(found.float(), GROWTH_SIGMA) > GROWTH_LEAST


def masks_of(maps: Map, threshold: Tensor) -> Mask:
    """The masks of anomaly maps: above the threshold, and grown."""
    return grown(maps > threshold)


@dataclass(frozen=True, slots=True)
class Ellipses:
    """Ten filled ellipses for each of n images, in pixels of a frame of 128: centres (down, right), turn, semi-axes."""

    centres: Int[Tensor, "2 n k"]
    degrees: Int[Tensor, "n k"]
    axes: Float[Tensor, "2 n k"]

    @classmethod
    def drawn(cls, count: int, draws: torch.Generator) -> "Ellipses":
        """Centres in the middle half of the frame, semi-axes |N(2, 4)| cut to whole pixels, at least 2."""
        shape = (count, COUNT)
        centres = torch.randint(FRAME // 4, 3 * FRAME // 4, (2, *shape), generator=draws)
        degrees = torch.randint(0, 360, shape, generator=draws)
        axes = (AXIS_MEAN + AXIS_DEVIATION * torch.randn(2, *shape, generator=draws)).abs().floor()
        return cls(centres, degrees, axes.clamp(min=SMALLEST_AXIS))

    def masks(self, size: int) -> Mask:
        """Each image's union, on a grid of that side over the same frame."""
        places = (torch.arange(size) + 0.5) * FRAME / size - 0.5
        down = places[:, None] - self.centres[0, ..., None, None]  # (n, k, s, 1)
        right = places - self.centres[1, ..., None, None]  # (n, k, 1, s)
        angle = torch.deg2rad(self.degrees.float())[..., None, None]
        first, second = self.axes[..., None, None]
        along = (angle.cos() * right + angle.sin() * down) / first  # (n, k, s, s)
        across = (angle.cos() * down - angle.sin() * right) / second
        return (along.square() + across.square() <= RIM).any(1, keepdim=True)  # (n, k, s, s) -> (n, 1, s, s)


@dataclass(frozen=True, slots=True)
class Masking:
    """What training does to a batch: image and mask are moved alike, and ellipses are added to the mask."""

    affine: Affine | None

    def __call__(self, batch: Batch, draws: torch.Generator) -> Batch:
        """The batch with masks of 0 and 1."""
        moved = self.affine(batch, draws) if self.affine else batch
        images, masks = split(moved)
        added = Ellipses.drawn(len(batch), draws).masks(batch.shape[-1]).to(batch.device)
        return joined(images, (masks > 0.5) | added)


def joined(images: Grid, masks: Mask) -> Batch:
    """Images with their masks as the last channel."""
    return torch.cat([images, masks.to(images.dtype)], 1)


def split(batch: Batch) -> tuple[Grid, Map]:
    """Images, and their masks."""
    return batch[:, :-1], batch[:, -1:]
