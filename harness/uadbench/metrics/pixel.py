"""Pixel-level metrics, pooled over all pixels given. Maps are first rounded to 13 mantissa bits, as they are stored."""

import numpy as np
from jaxtyping import Bool, Float

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import counting
from uadbench.metrics.counting import PixelCounter, Tally, require_both, rounded, tally_pixels, threshold_at

Maps = Float[np.ndarray, "*s"]
Masks = Bool[np.ndarray, "*s"]


def pixel_ap(maps: Maps, masks: Masks) -> float:
    """Average precision over pixels in [0, 1] (AUPRC, step-wise): a constant map has the prevalence.

    Source: sum (R_k - R_(k-1)) P_k over distinct values; never the trapezoid, which flatters few-valued maps.

    Raises:
        UndefinedMetricError: No healthy or no anomalous pixel.
    """
    counts = tally_pixels(maps, masks)
    require_both("pixel_ap", counts)
    return float(counting.average_precision(counts.healthy, counts.anomalous))


def pixel_auroc(maps: Maps, masks: Masks) -> float:
    """Area under the ROC curve over pixels in [0, 1], ties half.

    Source: Mann and Whitney, Ann. Math. Stat. 1947.

    Raises:
        UndefinedMetricError: No healthy or no anomalous pixel.
    """
    counts = tally_pixels(maps, masks)
    require_both("pixel_auroc", counts)
    return float(counting.auroc(counts.healthy, counts.anomalous))


def oracle_dice(maps: Maps, masks: Masks) -> float:
    """The largest Dice over all thresholds, in [0, 1]. An oracle: the threshold is chosen on the masks.

    Source: the papers' best achievable Dice; here over -inf and every distinct value, not a grid.

    Raises:
        UndefinedMetricError: No healthy or no anomalous pixel.
    """
    return oracle_dice_and_threshold(tally_pixels(maps, masks))[0]


def oracle_dice_and_threshold(counts: Tally) -> tuple[float, float]:
    """The largest Dice of a tally and the threshold t (predicted anomalous: map > t) that reaches it first.

    Source: as `oracle_dice`.

    Raises:
        UndefinedMetricError: No healthy or no anomalous pixel.
    """
    require_both("oracle_dice", counts)
    curve = counting.dice_curve(counts.healthy, counts.anomalous)
    best = int(np.argmax(curve))
    return float(curve[best]), -np.inf if best == 0 else float(counts.values[best - 1])


def dice(maps: Maps, masks: Masks, threshold: float) -> float:
    """Overlap 2|A & B| / (|A| + |B|) of `maps > threshold` with the masks, in [0, 1].

    Source: Dice, Ecology 1945. Pooled over all pixels given; average per subject is the caller's choice.

    Raises:
        UndefinedMetricError: Nothing found and nothing to find.
    """
    if np.shape(maps) != np.shape(masks):
        raise InvalidDataError(f"Maps {np.shape(maps)} and masks {np.shape(masks)} differ in shape. Give one size.")
    found, masks = rounded(maps) > threshold, np.asarray(masks, bool)
    total = int(found.sum()) + int(masks.sum())
    if not total:
        raise UndefinedMetricError("dice: nothing found and nothing to find; 0/0 has no value.")
    return 2 * int((found & masks).sum()) / total


def threshold_at_fpr(healthy_maps: Maps, fpr: float) -> float:
    """The smallest observed value t with share of pixels above t <= fpr, on maps of healthy images.

    Source: RA, MIDL 2023, sec. 4.2 ("no more than 5 % false positives on normal samples"); exact, not on a grid.

    Raises:
        UndefinedMetricError: No pixel.
    """
    if not 0 <= fpr <= 1:
        raise InvalidDataError(f"threshold_at_fpr: fpr is {fpr}. Give a share in [0, 1].")
    counter = PixelCounter()
    counter.add(rounded(healthy_maps))
    return threshold_at(counter.tally(), fpr)
