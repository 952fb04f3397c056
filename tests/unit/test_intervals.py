"""Subject-cluster bootstrap: by counts, as a naive loop over drawn subjects would do it."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from uadbench.intervals import per_subject, percentile_interval, resample_counts
from uadbench.metrics.counting import auroc, average_precision, tally

RESAMPLES = 300


def cohort(*, subjects=12, images=3, spread=0.0, seed=0):
    """Scores, labels and subjects of images; half of the subjects are anomalous, `spread` is shared in a subject."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(subjects), images)
    labels = of % 2 == 1
    scores = labels + rng.normal(size=len(of)) + spread * rng.normal(size=subjects)[of]
    return np.round(scores, 1), labels, of  # one decimal: ties


def counts_by_subject(scores, labels, of):
    """Healthy and anomalous counts (s, k) over the distinct scores."""
    places = np.searchsorted(tally(scores, labels).values, scores)
    one_hot = np.eye(places.max() + 1)[places]
    return [per_subject(of, one_hot * side[:, None], of.max() + 1) for side in (~labels, labels)]


def naive(metric, scores, labels, of, weights):
    """The metric of each resample's images, written out as often as their subject was drawn."""
    drawn = [np.repeat(np.arange(len(of)), row[of].astype(int)) for row in weights]
    return [metric(labels[rows], scores[rows]) for rows in drawn if 0 < labels[rows].mean() < 1]


def width(draws):
    low, high = percentile_interval(draws)
    return high - low


def test_every_resample_draws_as_many_subjects_as_there_are():
    weights = resample_counts(17, RESAMPLES, 0)
    assert weights.shape == (RESAMPLES, 17)
    assert (weights.sum(axis=1) == 17).all()
    assert (weights >= 0).all()
    assert (weights == np.round(weights)).all()


def test_every_subject_is_drawn_once_on_average():
    assert resample_counts(10, 20_000, 0).mean(axis=0) == pytest.approx(np.ones(10), abs=0.05)


def test_the_spread_of_the_counts_is_that_of_drawing_with_replacement():
    assert resample_counts(10, 20_000, 0).var(axis=0) == pytest.approx(np.full(10, 0.9), abs=0.05)


def test_one_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (resample_counts(9, 50, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_counts_of_a_subject_are_the_sum_over_its_images():
    summed = per_subject(np.array([2, 0, 2]), np.array([[1.0, 10], [2, 20], [4, 40]]), 3)
    assert summed.tolist() == [[2, 20], [0, 0], [5, 50]]


@pytest.mark.parametrize(
    ("by_counts", "metric"), [(auroc, roc_auc_score), (average_precision, average_precision_score)]
)
def test_bootstrap_by_counts_equals_writing_the_resamples_out(by_counts, metric):
    scores, labels, of = cohort()
    weights = resample_counts(of.max() + 1, RESAMPLES, 7)
    healthy, anomalous = (weights @ side for side in counts_by_subject(scores, labels, of))
    both = (healthy.sum(axis=1) > 0) & (anomalous.sum(axis=1) > 0)
    assert by_counts(healthy, anomalous)[both] == pytest.approx(naive(metric, scores, labels, of, weights), abs=1e-12)


def test_the_interval_is_the_percentiles_of_the_draws():
    assert percentile_interval(np.arange(1001.0)) == (25, 975)


def test_resamples_without_a_value_are_left_out_of_the_interval():
    draws = np.arange(1001.0)
    assert percentile_interval(np.append(draws, [np.nan] * 500)) == percentile_interval(draws)


def draws_of(scores, labels, of, seed=0):
    weights = resample_counts(of.max() + 1, RESAMPLES, seed)
    return auroc(*(weights @ side for side in counts_by_subject(scores, labels, of)))


def test_images_of_one_subject_that_err_together_widen_the_interval():
    scores, labels, of = cohort(subjects=20, images=6, spread=1.0)
    single = np.arange(len(of))
    assert width(draws_of(scores, labels, of)) > 1.5 * width(draws_of(scores, labels, single))


def test_the_interval_narrows_with_more_subjects():
    few, many = (draws_of(*cohort(subjects=subjects)) for subjects in (10, 160))
    assert width(many) < 0.5 * width(few)


def test_the_interval_covers_the_true_area_about_as_often_as_it_says():
    truth = 0.7602  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    intervals = [percentile_interval(draws_of(*cohort(subjects=60, images=1, seed=s), seed=s)) for s in range(60)]
    covered = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.85 <= covered <= 1
