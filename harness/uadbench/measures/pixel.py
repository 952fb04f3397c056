"""Metrics over pixels, pooled over the images of the stratum, and over regions."""

import numpy as np
from jaxtyping import Float

from uadbench.errors import UndefinedMetricError
from uadbench.intervals import Statistic
from uadbench.measures.stratum import Measure, Measured, Stratum, ratio
from uadbench.metrics.counting import require_both
from uadbench.metrics.pixel import oracle_dice_and_threshold
from uadbench.metrics.region import FOUND_SHARE, aupro_of, overlap_area


def ranking(name: str, statistic: Statistic) -> Measure:
    """A metric that is a function of the pixels' tally."""

    def measure(stratum: Stratum) -> Measured:
        counts = stratum.pixels
        require_both(name, counts)
        details = {}
        if name == "oracle_dice" and np.isfinite(threshold := oracle_dice_and_threshold(counts)[1]):
            details["threshold"] = threshold
        value = float(statistic(counts.healthy, counts.anomalous))
        return Measured(value, statistic(*stratum.drawn_pixels), stratum.known, sum(counts.totals), details)

    return measure


def dice(name: str, rate: str) -> Measure:
    """Dice at a threshold from healthy images, with the false-positive rate realised on healthy test images.

    Source: protocols, "Metrics": deployable, since no test label was used for the threshold.
    """

    def measure(stratum: Stratum) -> Measured:
        counts = counts_above(name, stratum, rate)
        draws = dice_of(stratum.resampled(stratum.known, counts))
        details = {"threshold": getattr(stratum.evidence.thresholds, rate), **realised_fpr(stratum, rate)}
        value = float(dice_of(counts.sum(axis=0)))
        cases = int(stratum.evidence.pixels.sizes[stratum.known].sum())
        return Measured(value, draws, stratum.known, cases, details)

    return measure


def recall_at_fpr5(stratum: Stratum) -> Measured:
    """Share of anomalous pixels above the threshold of 5 % false positives.

    Source: protocols, "Metrics".

    Raises:
        UndefinedMetricError: No anomalous pixel.
    """
    counts = counts_above("recall_at_fpr5", stratum, "fpr5")[:, 1:]
    draws = ratio(stratum.resampled(stratum.known, counts))
    details = {"threshold": stratum.evidence.thresholds.fpr5, **realised_fpr(stratum, "fpr5")}
    value = float(counts[:, 0].sum() / counts[:, 1].sum())
    return Measured(value, draws, stratum.known, int(counts[:, 1].sum()), details)


def counts_above(name: str, stratum: Stratum, rate: str) -> Float[np.ndarray, "m 3"]:
    """False positives, true positives and anomalous pixels of each image with pixel truth.

    Raises:
        UndefinedMetricError: No anomalous pixel.
    """
    pixels = stratum.evidence.pixels
    counts = np.concatenate([pixels.above[rate], pixels.sizes[:, 1:]], axis=1)[stratum.known].astype(np.float64)
    if not counts[:, 2].any():
        raise UndefinedMetricError(f"{name}: no anomalous pixel in this stratum; the metric has no value.")
    return counts


def dice_of(counts: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b"]:
    """Dice from false positives, true positives and anomalous pixels on the last axis; NaN without anomalous."""
    false, true, anomalous = counts[..., 0], counts[..., 1], counts[..., 2]
    with np.errstate(invalid="ignore"):
        return np.where(anomalous > 0, 2 * true / (false + true + anomalous), np.nan)


def realised_fpr(stratum: Stratum, rate: str) -> dict[str, float]:
    """The share of healthy test images' pixels above the threshold, with its interval; empty without such images."""
    pixels, rows = stratum.evidence.pixels, stratum.healthy
    return stratum.share(rows, np.stack([pixels.above[rate][rows, 0], pixels.sizes[rows, 0]], axis=1), "realised_fpr")


def pixel_ap_per_image(stratum: Stratum) -> Measured:
    """Mean over anomalous images with a mask of the image's own average precision.

    Source: residual-error pitfalls, MIDL 2022: AP per image, then the mean.

    Raises:
        UndefinedMetricError: No anomalous image with a mask.
    """
    images = np.flatnonzero(stratum.labels)
    return stratum.mean_of_cases("pixel_ap_per_image", images, stratum.evidence.pixels.image_ap[images])


def aupro(stratum: Stratum) -> Measured:
    """Area under per-region overlap up to a false-positive rate of 0.3, normalised.

    Source: Bergmann et al., IJCV 2021; see `metrics.region.aupro`.

    Raises:
        UndefinedMetricError: No anomalous region, or no healthy pixel.
    """
    pixels, rows = stratum.evidence.pixels, stratum.known
    value = aupro_of(stratum.pixels, stratum.overlaps)
    regions = np.bincount(pixels.regions.images, minlength=len(rows))[rows].astype(np.float64)
    drawn = stratum.resampled(rows, np.concatenate([pixels.overlap_binned[rows], regions[:, None]], axis=1))
    draws = overlap_area(stratum.drawn_pixels[0], drawn[:, :-1], drawn[:, -1])
    return Measured(value, draws, rows, stratum.overlaps.regions)


def lesion_recall_at_fpr5(stratum: Stratum) -> Measured:
    """Share of regions with at least 10 % of their pixels above the threshold; `details` by tercile of size.

    Source: protocols, "Metrics".

    Raises:
        UndefinedMetricError: No anomalous region.
    """
    regions = stratum.evidence.pixels.regions
    inside = stratum.rows[regions.images]
    found = (regions.above >= FOUND_SHARE * regions.areas)[inside].astype(np.float64)
    measured = stratum.mean_of_cases("lesion_recall_at_fpr5", regions.images[inside], found)
    areas = regions.areas[inside]
    cuts = np.quantile(areas, [1 / 3, 2 / 3])
    tercile = np.searchsorted(cuts, areas, side="left")
    details = {"threshold": stratum.evidence.thresholds.fpr5}
    for place, size in enumerate(("small", "medium", "large")):
        if (tercile == place).any():
            details[f"recall_{size}"] = float(found[tercile == place].mean())
    return Measured(measured.value, measured.draws, measured.rows, measured.cases, details)
