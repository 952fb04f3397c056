"""What one image says without anatomy: grey, contrast, area, sharpness; and the intensities of a split and label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from uadbench.auditing.records import Shortcut, Specimen, Statistics, rank
from uadbench.errors import UndefinedMetricError
from uadbench.metrics import image_auroc

LEVELS = 256
FLAGGED = 0.25  # distance of an AUROC from chance
CHANCE = 0.05  # how probable it may be at most that a number that knows nothing of the label lies so far away
NUMBERS = {
    "mean grey": "mean intensity over all pixels",
    "contrast": "standard deviation of intensity over all pixels",
    "foreground area": "share of foreground pixels",
    "sharpness": "mean |Laplacian| over standard deviation, both in the foreground",
}


def measured(pixels: Float32[np.ndarray, "n h w"], foreground: Bool[np.ndarray, "n h w"]) -> Float64[np.ndarray, "n 4"]:
    """The four numbers of each image, in the order of `NUMBERS`; an image without contrast has sharpness 0."""
    everywhere = np.ones_like(foreground)
    inside = foreground | ~foreground.any(axis=(1, 2), keepdims=True)  # without any foreground, all of it
    means, stds = _moments(pixels, everywhere)
    _, contrast = (means, stds) if inside.all() else _moments(pixels, inside)
    inner = inside[:, 1:-1, 1:-1]
    edges = _sums(np.abs(_laplacian(pixels)) * inner) / np.maximum(inner.sum(axis=(1, 2)), 1)
    sharpness = np.divide(edges, contrast, out=np.zeros_like(contrast), where=contrast > 1e-6)
    return np.stack([means, stds, foreground.mean(axis=(1, 2)), sharpness], axis=1)


def _moments(pixels: Float32[np.ndarray, "n h w"], inside: Bool[np.ndarray, "n h w"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation; centred first, since float32 has no room for the square of a mean."""
    count = inside.sum(axis=(1, 2))
    mean = _sums(pixels * inside) / count
    centred = (pixels - mean.astype(np.float32)[:, None, None]) * inside
    return mean, np.sqrt(_sums(centred * centred) / count)


def _sums(pixels: Float32[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    return pixels.reshape(len(pixels), -1).sum(axis=1).astype(np.float64)


def _laplacian(pixels: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n a b"]:
    """Sum of the four neighbours less four times the pixel, where all four exist."""
    centre = pixels[:, 1:-1, 1:-1]
    return pixels[:, :-2, 1:-1] + pixels[:, 2:, 1:-1] + pixels[:, 1:-1, :-2] + pixels[:, 1:-1, 2:] - 4 * centre


@dataclass(frozen=True, slots=True)
class Intensities:
    """Counts of intensities in 256 levels, per split and label, filled batch by batch."""

    specimens: Sequence[Specimen]
    counts: dict[tuple[str, bool], Int64[np.ndarray, " l"]] = field(default_factory=dict)

    def add(self, start: int, pixels: Float32[np.ndarray, "n h w"]) -> None:
        """Count the images that begin at row `start`."""
        levels = np.clip(np.rint(pixels * (LEVELS - 1)), 0, LEVELS - 1).astype(np.uint8)
        for one, image in zip(self.specimens[start:], levels, strict=False):
            known = self.counts.setdefault((one.split, one.label), np.zeros(LEVELS, np.int64))
            known += np.bincount(image.ravel(), minlength=LEVELS)

    def statistics(self) -> tuple[Statistics, ...]:
        """The statistics of every split and label that has images: train, val, test, then others."""
        groups: dict[tuple[str, bool], list[str]] = {}
        for one in self.specimens:
            groups.setdefault((one.split, one.label), []).append(one.subject)
        ordered = sorted(groups, key=lambda group: (rank(group[0]), group[1]))
        return tuple(_statistics(*group, groups[group], self.counts[group]) for group in ordered)


def _statistics(split: str, label: bool, subjects: list[str], counts: Int64[np.ndarray, " l"]) -> Statistics:
    values, upto = np.linspace(0, 1, LEVELS), np.cumsum(counts)
    mean = float(values @ counts / upto[-1])
    std = float(np.sqrt((values - mean) ** 2 @ counts / upto[-1]))
    low, median, high = (float(values[np.searchsorted(upto, share * upto[-1])]) for share in (0.01, 0.5, 0.99))
    return Statistics(split, label, len(subjects), len(set(subjects)), mean, std, low, median, high)


def shortcuts(numbers: Float64[np.ndarray, "n 4"], labels: Bool[np.ndarray, " n"]) -> tuple[Shortcut, ...]:
    """How well each number alone tells the labels; flagged where the AUROC is 0.25 or more away from 0.5, unless so
    few images may be that far by chance."""
    return tuple(shortcut(what, column, labels) for what, column in zip(NUMBERS, numbers.T, strict=True))


def shortcut(what: str, scores: Float64[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> Shortcut:
    """How well one number tells the labels, undefined where one of them is missing."""
    healthy, anomalous = int((~labels).sum()), int(labels.sum())
    try:
        auroc = image_auroc(scores, labels)
    except UndefinedMetricError:
        return Shortcut(what, None, healthy, anomalous, flagged=False)
    flagged = abs(auroc - 0.5) >= FLAGGED and by_rank(auroc, healthy, anomalous) < CHANCE
    return Shortcut(what, auroc, healthy, anomalous, flagged=flagged)


def by_rank(auroc: float, healthy: int, anomalous: int) -> float:
    """The probability that a number that knows nothing of the label has such an AUROC, or 1 minus it."""
    spread = math.sqrt((healthy + anomalous + 1) / (12 * healthy * anomalous))  # Mann and Whitney, 1947
    return math.erfc(abs(auroc - 0.5) / spread / math.sqrt(2))
