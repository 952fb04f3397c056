"""The metrics of a protocol on one stratum: each a value with bootstrap draws, counted from the evidence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.errors import UndefinedMetricError
from uadbench.evidence import HEALTHY, Evidence, groups
from uadbench.intervals import Statistic, per_subject, percentile_interval
from uadbench.metrics import counting
from uadbench.metrics.counting import Tally, require_both, sum_of, tally
from uadbench.metrics.pixel import oracle_dice_and_threshold


@dataclass(frozen=True, slots=True)
class Stratum:
    """The healthy test images together with some pathologies (all of them, or one)."""

    name: str
    pathologies: tuple[str, ...]
    rows: Bool[np.ndarray, " n"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's value on a stratum, its bootstrap draws, the images it used and the cases in them."""

    value: float
    draws: Float[np.ndarray, " r"]
    rows: Bool[np.ndarray, " n"]
    cases: int = 0
    details: Mapping[str, float] = field(default_factory=dict)


def strata(evidence: Evidence, everything: str) -> list[Stratum]:
    """All anomalous images first (named `everything`), then each pathology, each against all healthy images."""
    members = groups(evidence.truth)
    names = tuple(name for name in members if name != HEALTHY)
    whole = Stratum(everything, names, np.ones(len(evidence.truth), bool))
    return [whole, *(Stratum(name, (name,), members[HEALTHY] | members[name]) for name in names)]


def _resampled(
    evidence: Evidence,
    rows: Bool[np.ndarray, " n"],
    counts: Float[np.ndarray, "m k"],
    weights: Float[np.ndarray, "r s"],
) -> Float[np.ndarray, "r k"]:
    """Counts of these rows (one line per row) added up in every resample of the subjects."""
    present, places = np.unique(evidence.subject_of[rows], return_inverse=True)
    resampled: Float[np.ndarray, "r k"] = weights[:, present] @ per_subject(places, counts, len(present))
    return resampled


def image_tally(evidence: Evidence, stratum: Stratum) -> Tally:
    """Scores of the stratum's images."""
    return tally(evidence.scores[stratum.rows], evidence.truth.labels[stratum.rows])


def pixel_tally(evidence: Evidence, stratum: Stratum) -> Tally:
    """Pixels of the stratum's images that have pixel truth."""
    return sum_of(evidence.pixels.tallies[name] for name in (HEALTHY, *stratum.pathologies))


def _image_metric(name: str, statistic: Statistic) -> "Measure":
    def measure(evidence: Evidence, stratum: Stratum, weights: Float[np.ndarray, "r s"]) -> Measured:
        rows, labels = stratum.rows, evidence.truth.labels[stratum.rows]
        counts = image_tally(evidence, stratum)
        require_both(name, counts)
        order = np.argsort(evidence.scores[rows])
        starts = np.searchsorted(evidence.scores[rows][order], counts.values)
        drawn = weights[:, evidence.subject_of[rows][order]]  # (r, s) -> (r, n)
        healthy, anomalous = (np.add.reduceat(drawn * side[order], starts, axis=1) for side in (~labels, labels))
        value = float(statistic(counts.healthy, counts.anomalous))
        return Measured(value, statistic(healthy, anomalous), rows, int(rows.sum()))

    return measure


def _pixel_metric(name: str, statistic: Statistic) -> "Measure":
    def measure(evidence: Evidence, stratum: Stratum, weights: Float[np.ndarray, "r s"]) -> Measured:
        rows = stratum.rows & evidence.truth.has_pixel_truth
        counts = pixel_tally(evidence, stratum)
        require_both(name, counts)
        binned = evidence.pixels.binned[rows]
        healthy, anomalous = (_resampled(evidence, rows, binned[:, side], weights) for side in (0, 1))
        details = {}
        if name == "oracle_dice" and np.isfinite(threshold := oracle_dice_and_threshold(counts)[1]):
            details["threshold"] = threshold
        value = float(statistic(counts.healthy, counts.anomalous))
        return Measured(value, statistic(healthy, anomalous), rows, sum(counts.totals), details)

    return measure


def _dice(counts: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b"]:
    """Dice from false positives, true positives and anomalous pixels on the last axis; NaN without anomalous."""
    false, true, anomalous = counts[..., 0], counts[..., 1], counts[..., 2]
    with np.errstate(invalid="ignore"):
        return np.where(anomalous > 0, 2 * true / (false + true + anomalous), np.nan)


def dice_at_fpr5(evidence: Evidence, stratum: Stratum, weights: Float[np.ndarray, "r s"]) -> Measured:
    """Dice at the threshold of 5 % false positives on healthy validation pixels, with the rate realised on test.

    Source: protocols, "Metrics": deployable, since no test label was used for the threshold.
    """
    pixels = evidence.pixels
    rows = stratum.rows & evidence.truth.has_pixel_truth
    counts = np.concatenate([pixels.above, pixels.sizes[:, 1:]], axis=1)[rows].astype(np.float64)
    if not counts[:, 2].any():
        raise UndefinedMetricError("dice_at_fpr5: no anomalous pixel in this stratum; the metric has no value.")
    draws = _dice(_resampled(evidence, rows, counts, weights))
    details = {"threshold": evidence.threshold, **realised_fpr(evidence, weights)}
    return Measured(float(_dice(counts.sum(axis=0))), draws, rows, int(pixels.sizes[rows].sum()), details)


def realised_fpr(evidence: Evidence, weights: Float[np.ndarray, "r s"]) -> dict[str, float]:
    """The share of healthy test images' pixels above the threshold, with its interval; empty without such images."""
    rows = ~evidence.truth.labels
    counts = np.stack([evidence.pixels.above[rows, 0], evidence.pixels.sizes[rows, 0]], axis=1).astype(np.float64)
    if not counts[:, 1].any():
        return {}
    resampled = _resampled(evidence, rows, counts, weights)
    with np.errstate(invalid="ignore"):
        low, high = percentile_interval(resampled[:, 0] / resampled[:, 1])
    rate = float(counts[:, 0].sum() / counts[:, 1].sum())
    return {"realised_fpr": rate, "realised_fpr_low": low, "realised_fpr_high": high}


def box_f1(evidence: Evidence, stratum: Stratum, weights: Float[np.ndarray, "r s"]) -> Measured:
    """Mean F1 over boxes at 5 % false positives; `details["detected"]` counts the detected boxes.

    Source: RA, MIDL 2023, sec. 4.2; see `metrics.box.box_cases`.
    """
    boxes = evidence.boxes
    inside = stratum.rows[boxes.images]
    if not inside.any():
        raise UndefinedMetricError("box_f1: no box in this stratum; the mean over boxes has no value.")
    rows: Int[np.ndarray, " b"] = boxes.images[inside]
    present, subjects = np.unique(evidence.subject_of[rows], return_inverse=True)
    f1 = np.stack([boxes.f1[inside], np.ones(len(rows))], axis=1)
    resampled = weights[:, present] @ per_subject(subjects, f1, len(present))
    with np.errstate(invalid="ignore"):
        draws = resampled[:, 0] / resampled[:, 1]
    used = np.zeros(len(evidence.truth), bool)
    used[rows] = True
    details = {"threshold": evidence.threshold, "detected": float(boxes.detected[inside].sum())}
    return Measured(float(boxes.f1[inside].mean()), draws, used, len(rows), details | realised_fpr(evidence, weights))


Measure = Callable[[Evidence, Stratum, Float[np.ndarray, "r s"]], Measured]

MEASURES: Mapping[str, Measure] = {
    "image_auroc": _image_metric("image_auroc", counting.auroc),
    "image_ap": _image_metric("image_ap", counting.average_precision),
    "pixel_ap": _pixel_metric("pixel_ap", counting.average_precision),
    "pixel_auroc": _pixel_metric("pixel_auroc", counting.auroc),
    "oracle_dice": _pixel_metric("oracle_dice", counting.best_dice),
    "dice_at_fpr5": dice_at_fpr5,
    "box_f1": box_f1,
}
