"""Metrics over annotated boxes."""

import numpy as np

from uadbench.errors import UndefinedMetricError
from uadbench.measures.pixel import realised_fpr
from uadbench.measures.stratum import Measure, Measured, Stratum


def mean_f1(name: str) -> Measure:
    """Mean F1 over boxes at 5 % false positives in one variant; `details["detected"]` counts the detected boxes.

    Source: RA, MIDL 2023, sec. 4.2; see `metrics.box`.
    """

    def measure(stratum: Stratum) -> Measured:
        boxes, inside = stratum.evidence.boxes, stratum.boxes
        if not inside.any():
            raise UndefinedMetricError(f"{name}: no box in this stratum; the mean over boxes has no value.")
        if name not in boxes.variants:
            raise UndefinedMetricError(f"{name}: no threshold that fits the scale of these maps.")
        cases = boxes.variants[name]
        measured = stratum.mean_of_cases(name, boxes.images[inside], cases.f1[inside])
        details = {"threshold": cases.threshold, "detected": float(cases.detected[inside].sum())}
        if cases.threshold == stratum.evidence.thresholds.fpr5:
            details |= realised_fpr(stratum, "fpr5")
        return Measured(measured.value, measured.draws, measured.rows, measured.cases, details)

    return measure


def box_iou_f1(stratum: Stratum) -> Measured:
    """F1 of component boxes against annotated boxes at IoU 0.3, over healthy images and images with boxes.

    Of a class of boxes, what finds a box of another class is neither true nor false.

    Source: protocols, "Metrics"; see `metrics.detection`.

    Raises:
        UndefinedMetricError: No box in the stratum.
    """
    boxes, inside = stratum.evidence.boxes, stratum.boxes
    rows = stratum.rows & boxes.searched
    if not inside.any():
        raise UndefinedMetricError("box_iou_f1: no box in this stratum; the metric has no value.")
    found, missed = (
        np.bincount(boxes.images[inside & side], minlength=len(rows)) for side in (boxes.found, ~boxes.found)
    )
    counts = np.stack([found, boxes.false, missed], axis=1)[rows].astype(np.float64)
    true, false, lost = counts.sum(axis=0)
    drawn = stratum.resampled(rows, counts)
    with np.errstate(invalid="ignore"):
        draws = 2 * drawn[:, 0] / (2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2])
    # without a box to find there is no value, whatever was found: the draws of two methods stay paired
    draws = np.where(drawn[:, 0] + drawn[:, 2] > 0, draws, np.nan)
    details = {"threshold": stratum.evidence.thresholds.frame5, "detected": float(true)}
    return Measured(float(2 * true / (2 * true + false + lost)), draws, rows, int(true + lost), details)
