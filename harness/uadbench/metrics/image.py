"""Image-level metrics on anomaly scores: label True = anomalous, higher score = more anomalous."""

import numpy as np
from jaxtyping import Bool, Float

from uadbench.metrics import counting
from uadbench.metrics.counting import require_both, tally


def image_auroc(scores: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> float:
    """Area under the ROC curve in [0, 1]; ties count half, so a constant score has exactly 0.5.

    Source: Mann and Whitney, Ann. Math. Stat. 1947; Hanley and McNeil, Radiology 1982.

    Raises:
        UndefinedMetricError: No healthy or no anomalous image.
    """
    counts = tally(scores, labels)
    require_both("image_auroc", counts)
    return float(counting.auroc(counts.healthy, counts.anomalous))


def image_ap(scores: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> float:
    """Average precision in [0, 1], step-wise over distinct scores; a constant score has the prevalence.

    Source: sum (R_k - R_(k-1)) P_k; Davis and Goadrich, ICML 2006, on why not the trapezoid.

    Raises:
        UndefinedMetricError: No healthy or no anomalous image.
    """
    counts = tally(scores, labels)
    require_both("image_ap", counts)
    return float(counting.average_precision(counts.healthy, counts.anomalous))


def image_fpr_at_tpr95(scores: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> float:
    """False-positive rate in [0, 1] where at least 95 % of the anomalous images are found; lower is better.

    Source: Liang et al., ICLR 2018; `score > t` over -inf and every distinct score.

    Raises:
        UndefinedMetricError: No healthy or no anomalous image.
    """
    counts = tally(scores, labels)
    require_both("image_fpr_at_tpr95", counts)
    return float(counting.fpr_at_tpr(counts.healthy, counts.anomalous, 0.95))
