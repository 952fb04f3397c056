"""How often the 95 % interval of image AUROC holds the true area: pytest tests/benchmarks --benchmark-only.

Simulated test sets: half of the subjects are anomalous, and the images of a subject share an effect of its own.
"""

from statistics import NormalDist

import delong
import numpy as np
import pytest

from uadbench.intervals import percentile_interval, resample_counts

pytestmark = pytest.mark.slow
SETS, RESAMPLES, IMAGES = 1_000, 1_000, 4
LIFT, SHARED = 1.5, 0.7  # of an anomalous image, and the spread of a subject's effect beside that of an image, 1
TRUE_AREA = NormalDist().cdf(LIFT / np.sqrt(2 * (1 + SHARED**2)))  # two images of one subject are never compared
LEAST_COVERAGE = {30: 0.90, 100: 0.92}


def covered(subjects, seed):
    """Whether the interval of one test set holds the true area."""
    rng = np.random.default_rng([subjects, seed])
    of = np.repeat(np.arange(subjects), IMAGES)
    labels = of % 2 == 1
    scores = LIFT * labels + SHARED * rng.normal(size=subjects)[of] + rng.normal(size=len(of))
    low, high = percentile_interval(delong.bootstrap(scores, labels, resample_counts(subjects, RESAMPLES, seed), of))
    return low <= TRUE_AREA <= high


def coverage(subjects):
    """Share of test sets with that many subjects whose interval holds the true area."""
    return float(np.mean([covered(subjects, seed) for seed in range(SETS)]))


def test_the_interval_holds_the_true_area_about_as_often_as_it_says(benchmark):
    shares = benchmark.pedantic(lambda: {subjects: coverage(subjects) for subjects in (10, 30, 100)}, rounds=1)
    what = f"True image AUROC inside the 95 % interval, {SETS:,} simulated test sets of {IMAGES} images per subject"
    benchmark.extra_info["what"] = what
    benchmark.extra_info.update({f"with {count} subjects": f"{share:.2f}" for count, share in shares.items()})
    print(f"\n{benchmark.extra_info}")
    assert all(shares[count] >= least for count, least in LEAST_COVERAGE.items())
