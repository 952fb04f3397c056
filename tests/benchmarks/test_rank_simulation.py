"""Rank intervals on a board whose truth is known: pytest tests/benchmarks --benchmark-only.

Twelve methods score the same simulated images, and their errors are correlated. Four are truly equal and best, one is
three standard errors of the paired difference behind them, seven are further behind.
"""

from functools import cache
from statistics import NormalDist

import delong
import numpy as np
import pytest
from scipy.optimize import brentq

from uadbench.intervals import resample_counts
from uadbench.metrics.image import image_auroc
from uadbench.ranks import rank_intervals

pytestmark = pytest.mark.slow
BOARDS, RESAMPLES, IMAGES, BEST, BEHIND, OTHERS = 300, 1_000, 200, 4, 3.0, 7
SHARED = 0.6  # of the variance of a score is common to all methods
BEST_AREA = 0.88
LEAST_SHARE = 0.90


def lift(area):
    """How much higher an anomalous image scores than a healthy one where this is the true AUROC."""
    return np.sqrt(2) * NormalDist().inv_cdf(area)


def scored(lifts, images, seed):
    """Labels, half of them anomalous, and a row of scores per method."""
    rng = np.random.default_rng(seed)
    labels, common = np.arange(images) % 2 == 1, rng.normal(size=images)
    own = rng.normal(size=(len(lifts), images))
    return labels, np.multiply.outer(lifts, labels) + np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own


def errors_behind(area, images=100_000):
    """How many standard errors a method of this area is behind a best one, by DeLong on a large sample."""
    labels, (first, second) = scored([lift(BEST_AREA), lift(area)], images, seed=0)
    return (BEST_AREA - area) / np.sqrt(delong.difference_variance(first, second, labels) * images / IMAGES)


@cache
def true_areas():
    """The true AUROC of every method, best first."""
    near = brentq(lambda area: errors_behind(area) - BEHIND, 0.5, BEST_AREA, xtol=1e-4)
    return np.array([BEST_AREA] * BEST + [near, *np.linspace(near - 0.05, 0.5, OTHERS)])


def board(seed):
    """The rank intervals that one simulated test set gives."""
    labels, scores = scored([lift(area) for area in true_areas()], IMAGES, seed=[1, seed])
    weights = resample_counts(IMAGES, RESAMPLES, seed)
    values = np.array([image_auroc(row, labels) for row in scores])
    return rank_intervals(values, [delong.bootstrap(row, labels, weights) for row in scores])


def test_equal_methods_share_the_first_ranks_and_a_worse_one_is_ranked_below(benchmark):
    boards = benchmark.pedantic(lambda: [board(seed) for seed in range(BOARDS)], rounds=1)
    shared = np.mean([all(one.low == 1 and one.high >= BEST for one in ranks[:BEST]) for ranks in boards])
    below = np.array([ranks[BEST].low for ranks in boards])
    benchmark.extra_info["what"] = f"Ranks on {BOARDS} simulated boards of 12 methods, {BEST} of them equal and best"
    benchmark.extra_info["of boards leave ranks 1-4 to all four"] = f"{shared:.2f}"
    benchmark.extra_info[f"rank a method {BEHIND:g} standard errors behind below them"] = f"{np.mean(below > 1):.2f}"
    print(f"\n{benchmark.extra_info}")
    assert shared >= LEAST_SHARE
    assert np.median(below) > 1
