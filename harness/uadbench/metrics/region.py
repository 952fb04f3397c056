"""Region metrics: the connected anomalies of the masks, each with the same weight whatever its size."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics.counting import Counts, Tally, keys, rounded, tally_pixels, values_of

FPR_LIMIT = 0.3
FOUND_SHARE = 0.1
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pixels of regions by value, each with the weight 1 / area of its region; `regions` is the number of regions."""

    values: Float[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    regions: int


def regions(mask: Bool[np.ndarray, "h w"]) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, " g"]]:
    """The 8-connected components of a mask, numbered from 1, and the area of each in pixels.

    Source: protocols, "Metrics", `aupro`.
    """
    numbered, count = ndimage.label(mask, structure=_EIGHT)
    return numbered, np.bincount(numbered.ravel(), minlength=count + 1)[1:]


def region_weights(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """1 / area of its region for each anomalous pixel, 0 elsewhere: every region has the weight 1.

    Source: Bergmann et al., IJCV 2021, sec. 5 (per-region overlap), written as a sum over pixels.
    """
    numbered, areas = regions(mask)
    return np.concatenate([[0.0], 1 / areas])[numbered]


def overlaps_of(anomaly_map: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> Overlaps:
    """The overlaps of one rounded map.

    Source: as `region_weights`.
    """
    numbered, areas = regions(mask)
    some, places = np.unique(keys(anomaly_map[mask]), return_inverse=True)
    weights = np.bincount(places, weights=1 / areas[numbered[mask] - 1], minlength=len(some))
    return Overlaps(values_of(some), weights, len(areas))


def sum_of_overlaps(parts: Iterable[Overlaps]) -> Overlaps:
    """The overlaps of all parts together.

    Source: sums over disjoint parts add up.
    """
    every = list(parts)
    stacked = np.concatenate([np.zeros(0), *(part.values for part in every)])
    values, places = np.unique(stacked, return_inverse=True)
    weights = np.bincount(
        places, weights=np.concatenate([np.zeros(0), *(part.weights for part in every)]), minlength=len(values)
    )
    return Overlaps(values, weights, sum(part.regions for part in every))


def aupro(maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"], limit: float = FPR_LIMIT) -> float:
    """Area under per-region overlap against the false-positive rate up to `limit`, divided by it, in [0, 1].

    The overlap is averaged over 8-connected regions, the rate is over all healthy pixels of all images; between
    observed thresholds both are joined by straight lines.

    Source: Bergmann et al., IJCV 2021, sec. 5.

    Raises:
        InvalidDataError: Shapes that disagree, or a limit outside (0, 1].
        UndefinedMetricError: No region, or no healthy pixel.
    """
    _require_pair("aupro", maps, masks)
    stored = rounded(maps)
    marked = np.asarray(masks, bool)
    parts = (overlaps_of(one, mask) for one, mask in zip(stored, marked, strict=True) if mask.any())
    return aupro_of(tally_pixels(stored, marked), sum_of_overlaps(parts), limit)


def aupro_of(counts: Tally, overlaps: Overlaps, limit: float = FPR_LIMIT) -> float:
    """AUPRO from counted pixels and overlaps.

    Source: as `aupro`.

    Raises:
        UndefinedMetricError: No region, or no healthy pixel.
    """
    if not 0 < limit <= 1:
        raise InvalidDataError(f"aupro: limit is {limit}. Give a false-positive rate above 0 and up to 1.")
    if not overlaps.regions or not counts.healthy.any():
        missing = "healthy pixel" if overlaps.regions else "anomalous region"
        raise UndefinedMetricError(f"aupro: no {missing}; the metric has no value.")
    weights = np.zeros(len(counts.values))
    weights[np.searchsorted(counts.values, overlaps.values)] = overlaps.weights
    return float(overlap_area(counts.healthy, weights, np.array(overlaps.regions), limit))


def overlap_area(
    healthy: Counts, weights: Counts, count: Float[np.ndarray, "*b"], limit: float = FPR_LIMIT
) -> Float[np.ndarray, "*b"]:
    """The normalised area of `aupro` from healthy counts and overlap weights per ascending value.

    `count` is the number of regions; leading axes are resamples; NaN without region or healthy pixel.

    Source: as `aupro`; the trapezoid is cut at the limit by linear interpolation.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = _from_above(healthy) / np.sum(healthy, axis=-1, keepdims=True, dtype=np.float64)
        overlap = _from_above(weights) / np.asarray(count, np.float64)[..., None]
        start, width = rate[..., :-1], np.diff(rate, axis=-1)
        inside = np.clip(limit - start, 0, width)
        rise = np.diff(overlap, axis=-1) * np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
        area = np.sum(inside * (overlap[..., :-1] + rise / 2), axis=-1) / limit
    return np.clip(area, 0, 1)  # weights 1 / area add up to 1 but for the last bit


def _from_above(counts: Counts) -> Float[np.ndarray, "*b j"]:
    """Sums over values from the highest down, beginning with 0."""
    falling = np.cumsum(counts[..., ::-1], axis=-1, dtype=np.float64)
    return np.concatenate([np.zeros_like(falling[..., :1]), falling], axis=-1)


def lesion_recall(
    maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"], threshold: float, share: float = FOUND_SHARE
) -> float:
    """Share in [0, 1] of 8-connected regions with at least `share` of their pixels above the threshold.

    Source: protocols, "Metrics", `lesion_recall_at_fpr5`.

    Raises:
        InvalidDataError: Shapes that disagree.
        UndefinedMetricError: No region.
    """
    _require_pair("lesion_recall", maps, masks)
    parts = [regions_above(one, mask, threshold) for one, mask in zip(rounded(maps), masks, strict=True)]
    areas, above = (np.concatenate([np.zeros(0), *(part[side] for part in parts)]) for side in (0, 1))
    if not len(areas):
        raise UndefinedMetricError("lesion_recall: no anomalous region; the metric has no value.")
    return float(np.mean(above >= share * areas))


def regions_above(
    anomaly_map: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], threshold: float
) -> tuple[Int[np.ndarray, " g"], Int[np.ndarray, " g"]]:
    """Area in pixels of each region, and how many of its pixels are above the threshold.

    Source: as `lesion_recall`.
    """
    numbered, areas = regions(mask)
    return areas, np.bincount(numbered[anomaly_map > threshold], minlength=len(areas) + 1)[1:]


def _require_pair(what: str, maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"]) -> None:
    if np.shape(maps) != np.shape(masks) or np.ndim(maps) != 3:
        raise InvalidDataError(f"{what}: maps {np.shape(maps)} and masks {np.shape(masks)}. Give both as (n, h, w).")
