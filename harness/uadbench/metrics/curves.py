"""ROC and precision-recall curves of a tally, thinned for plots."""

import numpy as np
from jaxtyping import Float

from uadbench.metrics.counting import Tally, require_both

Points = tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]
MOST_POINTS = 200


def roc_curve(counts: Tally, points: int = MOST_POINTS) -> Points:
    """False-positive rate and true-positive rate of `value > t`, from (0, 0) to (1, 1), at most `points` of them.

    Source: Fawcett, Pattern Recognition Letters 2006, sec. 3.

    Raises:
        UndefinedMetricError: No healthy or no anomalous case.
    """
    require_both("roc_curve", counts)
    false, true = (_shares(side) for side in (counts.healthy, counts.anomalous))
    return _thinned(false, true, points)


def pr_curve(counts: Tally, points: int = MOST_POINTS) -> Points:
    """Recall and precision of `value > t` over distinct values, at most `points` of them.

    Source: Davis and Goadrich, ICML 2006, sec. 2.

    Raises:
        UndefinedMetricError: No healthy or no anomalous case.
    """
    require_both("pr_curve", counts)
    true = np.cumsum(counts.anomalous[::-1])
    every = true + np.cumsum(counts.healthy[::-1])
    return _thinned(true / true[-1], true / every, points)


def _shares(counts: np.ndarray) -> np.ndarray:
    above = np.concatenate([[0], np.cumsum(counts[::-1])])
    return above / above[-1]


def _thinned(x: np.ndarray, y: np.ndarray, points: int) -> Points:
    """Points at even steps along the curve; both ends stay."""
    if len(x) <= points:
        return x, y
    way = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    places = np.unique(np.searchsorted(way, np.linspace(0, way[-1], points - 1)).clip(0, len(x) - 1))
    kept = np.union1d(places, [0, len(x) - 1])
    return x[kept], y[kept]
