"""What every kind of anomaly is made of: the subject it happens to, the change it returns, and the shapes it takes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from uadbench.datasets.phantom.acquisition import Motion
from uadbench.datasets.phantom.anatomy import Anatomy, Appearance, Tissue
from uadbench.datasets.phantom.fields import pixel_grid, random_field


@dataclass(frozen=True, slots=True)
class Patient:
    """A healthy subject in whom something is about to go wrong; `image` is its slice before the scan."""

    anatomy: Anatomy
    appearance: Appearance
    image: Float[np.ndarray, "h w"]

    @property
    def foreground(self) -> Bool[np.ndarray, "h w"]:
        """The brain."""
        return self.anatomy.foreground

    @property
    def texture(self) -> Float[np.ndarray, "h w"]:
        """The fine structure of plain tissue."""
        return self.appearance.coarse + self.appearance.fine

    def depth_px(self) -> Float[np.ndarray, "h w"]:
        """Distance of every pixel to the border of the brain, 0 outside."""
        return ndimage.distance_transform_edt(self.foreground)

    def render(self, tissue: Tissue) -> Float[np.ndarray, "h w"]:
        """The slice before the scan, had the subject this tissue."""
        return self.appearance.render(tissue)


@dataclass(frozen=True, slots=True)
class Change:
    """A slice with something wrong before the scan, and the anomalous pixels; `motion` corrupts the scan itself."""

    image: Float[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    motion: Motion | None = None


def pick(generator: np.random.Generator, places: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "2"]:
    """Row and column of one True pixel, each as likely; the middle of the frame where there is none."""
    candidates = np.argwhere(places)
    if len(candidates) == 0:
        return np.array(places.shape) / 2
    return candidates[generator.integers(len(candidates))].astype(np.float64)


def distance_to(point: Float[np.ndarray, "2"]) -> Float[np.ndarray, "h w"]:
    """Distance in pixels of every pixel to a point."""
    return np.hypot(*(pixel_grid() - point[:, None, None]))


def ellipse(
    generator: np.random.Generator, centre: Float[np.ndarray, "2"], axes_px: tuple[float, float]
) -> Bool[np.ndarray, "h w"]:
    """A filled ellipse, turned at random, with semi-axes drawn between the two bounds."""
    long, short = generator.uniform(*axes_px, size=2)
    angle = generator.uniform(0, np.pi)
    rows, columns = pixel_grid() - centre[:, None, None]
    along = np.cos(angle) * rows + np.sin(angle) * columns
    across = np.cos(angle) * columns - np.sin(angle) * rows
    return (along / long) ** 2 + (across / short) ** 2 < 1


def blob(
    generator: np.random.Generator, centre: Float[np.ndarray, "2"], radius_px: float, *, unevenness: float = 0.18
) -> Bool[np.ndarray, "h w"]:
    """A disc whose radius varies with a random field as coarse as a third of it; one piece that holds its centre."""
    uneven = 1 + unevenness * np.clip(random_field(generator, max(1.5, radius_px / 3)), -2.0, 2.0)
    return piece_at(distance_to(centre) < radius_px * uneven, centre)


def piece_at(mask: Bool[np.ndarray, "h w"], point: Float[np.ndarray, "2"]) -> Bool[np.ndarray, "h w"]:
    """The connected piece of the mask that holds the point; empty where the point is not in the mask."""
    pieces, _ = ndimage.label(mask)
    row, column = np.round(point).astype(int)
    return mask & (pieces == pieces[row, column])


def largest_piece(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected piece of the mask with the most pixels."""
    pieces, count = ndimage.label(mask)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]) if count else mask


def blend(
    image: Float[np.ndarray, "h w"], other: Float[np.ndarray, "h w"], weight: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """`image` where the weight is 0, `other` where it is 1."""
    return image + weight * (other - image)
