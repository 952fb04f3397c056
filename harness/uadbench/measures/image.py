"""Metrics over anomaly scores."""

import numpy as np

from uadbench.errors import UndefinedMetricError
from uadbench.evidence.thresholds import FEWEST_IMAGES
from uadbench.intervals import Statistic
from uadbench.measures.stratum import Measure, Measured, Stratum, ratio
from uadbench.metrics.counting import require_both


def ranking(name: str, statistic: Statistic) -> Measure:
    """A metric that is a function of the scores' tally."""

    def measure(stratum: Stratum) -> Measured:
        counts = stratum.scores
        require_both(name, counts)
        value = float(statistic(counts.healthy, counts.anomalous))
        return Measured(value, statistic(*stratum.drawn_scores), stratum.rows, int(stratum.rows.sum()))

    return measure


def image_recall_at_fpr5(stratum: Stratum) -> Measured:
    """Share of anomalous images above the score threshold of 5 % false positives on healthy validation images.

    Source: protocols, "Metrics"; `details` hold the rate realised on healthy test images.

    Raises:
        UndefinedMetricError: Fewer than 20 validation images, or no anomalous image.
    """
    threshold = stratum.evidence.thresholds.image5
    if threshold is None:
        raise UndefinedMetricError(f"image_recall_at_fpr5: fewer than {FEWEST_IMAGES} healthy validation images.")
    if not stratum.labels.any():
        raise UndefinedMetricError("image_recall_at_fpr5: no anomalous image; the metric has no value.")
    found = stratum.evidence.scores > threshold
    counts = np.stack([found, np.ones(len(found))], axis=1).astype(np.float64)
    realised = stratum.share(stratum.healthy, counts[stratum.healthy], "realised_fpr")
    draws = ratio(stratum.resampled(stratum.labels, counts[stratum.labels]))
    value = float(found[stratum.labels].mean())
    return Measured(value, draws, stratum.labels, int(stratum.labels.sum()), {"threshold": threshold, **realised})
