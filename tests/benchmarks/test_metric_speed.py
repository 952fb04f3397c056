"""Speed of counting against sorting, on one thread: pytest tests/benchmarks --benchmark-only.

`--benchmark-json FILE` stores the numbers, under `extra_info`.
"""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from uadbench.metrics import counting
from uadbench.metrics.counting import PixelCounter, rounded, threshold_at

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
IMAGES, SIDE, PREVALENCE, FPR = 300, 256, 0.02, 0.05
LEAST_RATIO = 60


@pytest.fixture(scope="module")
def stored():
    """Maps as a prediction file holds them, gamma-distributed and higher in the 2 % of anomalous pixels."""
    rng = np.random.default_rng(0)
    masks = rng.random((IMAGES, SIDE, SIDE), np.float32) < PREVALENCE
    maps = rng.standard_gamma(2.0, masks.shape, np.float32)
    return rounded(maps + masks), masks


def by_counting(maps, masks):
    """AP, AUROC and the best Dice, with the threshold at 5 % false positives."""
    counter = PixelCounter()
    for i in range(0, len(maps), 32):
        counter.add(maps[i : i + 32], masks[i : i + 32])
    counts = counter.tally()
    sides = counts.healthy, counts.anomalous
    values = [statistic(*sides) for statistic in (counting.average_precision, counting.auroc, counting.best_dice)]
    return [float(value) for value in values], threshold_at(counts, FPR)


def by_sorting(maps, masks):
    """The same three with scikit-learn."""
    values, labels = maps.ravel(), masks.ravel()
    precision, recall, _ = precision_recall_curve(labels, values)
    dice = float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    return [float(average_precision_score(labels, values)), float(roc_auc_score(labels, values)), dice]


def figures(levels, pixels, counting_seconds, sorting_seconds):
    """What a report shows of the comparison."""
    assert levels > 50_000
    return {
        "what": "AP, AUROC and best Dice over pixels, one thread",
        "pixels": pixels,
        "distinct_values": levels,
        "seconds_by_counting": round(counting_seconds, 3),
        "seconds_with_scikit-learn": round(sorting_seconds, 2),
        "ratio": round(sorting_seconds / counting_seconds),
    }


def test_counting_is_exact_and_sixty_times_faster_than_sorting(benchmark, stored):
    maps, masks = stored
    counted, threshold = benchmark.pedantic(by_counting, stored, rounds=5, warmup_rounds=1)
    start = time.perf_counter()
    sorted_ = by_sorting(maps, masks)
    sorting, counting_ = time.perf_counter() - start, benchmark.stats.stats.median
    benchmark.extra_info.update(figures(len(np.unique(maps)), maps.size, counting_, sorting))
    print(f"\n{benchmark.extra_info}")
    assert counted == pytest.approx(sorted_, abs=1e-12)
    assert threshold == np.quantile(maps[~masks], 1 - FPR, method="inverted_cdf")
    assert sorting / counting_ >= LEAST_RATIO
