"""The subject bootstrap against DeLong's variance of the AUROC, and that variance against independent formulas."""

from itertools import product
from statistics import NormalDist

import delong
import numpy as np
import pytest

from uadbench.intervals import resample_counts
from uadbench.metrics.image import image_auroc
from uadbench.ranks import p_values

# Hanley and McNeil, Radiology 1982, table I: CT ratings 1-5 of 58 normal and 51 abnormal patients
RATINGS = np.repeat(np.tile(np.arange(1.0, 6), 2), [33, 6, 6, 11, 2, 3, 2, 2, 11, 33])
ABNORMAL = np.arange(109) >= 58


def images(*, seed, n=200, lift=1.2):
    """Labels, and correlated scores of two methods, the second a little worse."""
    rng = np.random.default_rng(seed)
    labels, shared = np.arange(n) % 2 == 1, rng.normal(size=n)
    return labels, [step * labels + shared + 0.7 * rng.normal(size=n) for step in (lift, lift - 0.3)]


def jackknife(statistic, labels):
    """The two-sample jackknife variance: images left out one by one, healthy and anomalous ones apart."""
    parts = []
    for side in (labels, ~labels):
        left_out = [statistic(np.arange(len(labels)) != row) for row in np.flatnonzero(side)]
        parts.append((len(left_out) - 1) * np.var(left_out))
    return sum(parts)


def standard_error(draws):
    return np.nanstd(draws, ddof=1)


def test_the_variance_is_what_is_published_for_the_ratings_of_hanley_and_mcneil():
    # Stata Base Reference Manual, roctab: area 0.8932, standard error 0.0307, 95 % interval 0.83295 to 0.95339
    error = np.sqrt(delong.variance(RATINGS, ABNORMAL))
    area = image_auroc(RATINGS, ABNORMAL)
    assert (round(area, 4), round(error, 4)) == (0.8932, 0.0307)
    assert (area - 1.959964 * error, area + 1.959964 * error) == pytest.approx((0.83295, 0.95339), abs=1e-5)


def test_components_are_shares_of_won_comparisons():
    below, above = delong.components(np.array([1.0, 2, 2, 3]), np.array([False, False, True, True]))
    assert below.tolist() == [0.75, 1]
    assert above.tolist() == [1, 0.75]
    assert delong.variance(np.array([1.0, 2, 2, 3]), np.array([False, False, True, True])) == 1 / 32


def test_the_mean_of_either_components_is_the_area():
    labels, (scores, _) = images(seed=1, n=40)
    assert [side.mean() for side in delong.components(scores, labels)] == pytest.approx(
        [image_auroc(scores, labels)] * 2
    )


@pytest.mark.parametrize("decimals", [0, 8])  # many ties, none
def test_the_variance_is_that_of_the_jackknife(decimals):
    labels, (scores, _) = images(seed=2, n=40)
    scores = scores.round(decimals)
    left_out = jackknife(lambda kept: image_auroc(scores[kept], labels[kept]), labels)
    assert delong.variance(scores, labels) == pytest.approx(left_out)


def test_the_variance_of_a_difference_is_that_of_the_jackknife():
    labels, (one, two) = images(seed=3, n=40)
    left_out = jackknife(
        lambda kept: image_auroc(one[kept], labels[kept]) - image_auroc(two[kept], labels[kept]), labels
    )
    assert delong.difference_variance(one, two, labels) == pytest.approx(left_out)


def test_the_variance_is_right_on_average_over_every_possible_sample():
    """Above the true variance by (v11 - v10 - v01) / mn, the covariances of the comparison: it vanishes with mn."""
    healthy, anomalous = {0.0: 0.5, 1.0: 0.3, 2.0: 0.2}, {0.0: 0.1, 1.0: 0.3, 2.0: 0.6}
    labels = np.array([False, False, True, True])
    cases = [np.array(scores) for scores in product(healthy, healthy, anomalous, anomalous)]
    chances = [healthy[a] * healthy[b] * anomalous[c] * anomalous[d] for a, b, c, d in cases]
    areas = np.array([image_auroc(case, labels) for case in cases])
    true = np.average(areas**2, weights=chances) - np.average(areas, weights=chances) ** 2
    estimated = np.average([delong.variance(case, labels) for case in cases], weights=chances)
    assert estimated - true == pytest.approx(excess(healthy, anomalous) / 4)


def excess(healthy, anomalous):
    """v11 - v10 - v01 by summing over both distributions."""
    wins = np.array([[np.heaviside(y - x, 0.5) for x in healthy] for y in anomalous])
    p, q = np.array(list(anomalous.values())), np.array(list(healthy.values()))
    area = p @ wins @ q
    return p @ wins**2 @ q - p @ (wins @ q) ** 2 - q @ (p @ wins) ** 2 + area**2


def test_methods_with_the_same_ranking_do_not_differ():
    labels, (scores, _) = images(seed=4)
    assert delong.difference_variance(scores, np.exp(scores), labels) == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bootstrap_error_of_an_area_is_near_that_of_delong(seed):
    labels, (scores, _) = images(seed=seed)
    draws = delong.bootstrap(scores, labels, resample_counts(200, 2000, seed))
    assert standard_error(draws) == pytest.approx(np.sqrt(delong.variance(scores, labels)), rel=0.15)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bootstrap_error_of_a_paired_difference_is_near_that_of_delong(seed):
    labels, both = images(seed=seed)
    one, two = (delong.bootstrap(scores, labels, resample_counts(200, 2000, seed)) for scores in both)
    assert standard_error(one - two) == pytest.approx(np.sqrt(delong.difference_variance(*both, labels)), rel=0.15)
    assert standard_error(one - two) < 0.8 * np.hypot(standard_error(one), standard_error(two))


def test_the_test_behind_the_ranks_gives_about_delongs_z():
    labels, both = images(seed=5)
    areas = np.array([image_auroc(scores, labels) for scores in both])
    draws = [delong.bootstrap(scores, labels, resample_counts(200, 2000, 5)) for scores in both]
    z = abs(areas[0] - areas[1]) / np.sqrt(delong.difference_variance(*both, labels))
    assert z_of(p_values(areas, draws)[0, 1]) == pytest.approx(z, rel=0.15)


def z_of(p):
    """The z whose two-sided p this is."""
    return NormalDist().inv_cdf(1 - p / 2)
