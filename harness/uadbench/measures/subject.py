"""Metrics that take the slices of one subject together and average over subjects."""

import numpy as np

from uadbench.errors import UndefinedMetricError
from uadbench.intervals import per_subject
from uadbench.measures.pixel import counts_above, dice_of
from uadbench.measures.stratum import Measured, Stratum


def subject_dice_at_fpr5(stratum: Stratum) -> Measured:
    """Mean over subjects with anomalous pixels of the Dice of all their slices at 5 % false positives.

    Source: protocols, "Metrics".

    Raises:
        UndefinedMetricError: No subject has several images, or none has anomalous pixels.
    """
    _require_slices("subject_dice_at_fpr5", stratum)
    counts = counts_above("subject_dice_at_fpr5", stratum, "fpr5")
    evidence = stratum.evidence
    summed = per_subject(evidence.subject_of[stratum.known], counts, evidence.subjects)
    return _mean("subject_dice_at_fpr5", stratum, dice_of(summed))


def subject_auroc(stratum: Stratum) -> Measured:
    """Mean over subjects of the pixel AUROC of all their slices.

    Source: protocols, "Metrics".

    Raises:
        UndefinedMetricError: No subject has several images, or none has healthy and anomalous pixels.
    """
    _require_slices("subject_auroc", stratum)
    values = stratum.evidence.pixels.subject_auroc.get(stratum.groups)
    return _mean("subject_auroc", stratum, np.full(stratum.evidence.subjects, np.nan) if values is None else values)


def _require_slices(name: str, stratum: Stratum) -> None:
    if stratum.evidence.subjects == len(stratum.evidence.truth):
        raise UndefinedMetricError(f"{name}: every subject has one image; see the metric over images instead.")


def _mean(name: str, stratum: Stratum, values: np.ndarray) -> Measured:
    """The mean over subjects, each standing at its first image with pixel truth in the stratum."""
    subjects, first = np.unique(stratum.evidence.subject_of[stratum.known], return_index=True)
    measured = stratum.mean_of_cases(name, np.flatnonzero(stratum.known)[first], values[subjects])
    valid = subjects[np.isfinite(values[subjects])]
    rows = stratum.known & np.isin(stratum.evidence.subject_of, valid)
    return Measured(measured.value, measured.draws, rows, measured.cases)
