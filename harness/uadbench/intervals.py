"""Subject-cluster bootstrap: counts per subject times a matrix of resample counts; no case is looked at twice."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

FEWEST_SUBJECTS = 5  # below, no interval is shown

Statistic = Callable[[Float[np.ndarray, "r k"], Float[np.ndarray, "r k"]], Float[np.ndarray, " r"]]


def resample_counts(subjects: int, resamples: int, seed: int) -> Float[np.ndarray, "r s"]:
    """How often each subject is drawn in each resample of as many subjects, with replacement.

    The same seed gives the same draws for every method, so that differences between methods are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples).astype(np.float64)


def per_subject(
    subjects: Int[np.ndarray, " n"], counts: Float[np.ndarray, "n k"], total: int
) -> Float[np.ndarray, "s k"]:
    """Counts of images added up by subject; `subjects` holds the subject's number of each image."""
    summed = np.zeros((total, counts.shape[1]))
    np.add.at(summed, subjects, counts)
    return summed


def percentile_interval(draws: Float[np.ndarray, " r"]) -> tuple[float, float]:
    """The 95 % percentile interval of bootstrap draws; resamples in which the statistic has no value are left out.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)
