"""Ranks that admit ties."""

import factories
import numpy as np
import pytest

from uadbench.errors import InvalidDataError
from uadbench.ranks import holm, level_with_leader, p_values, rank_intervals


def texts(values, draws):
    return [str(interval) for interval in rank_intervals(np.array(values), draws)]


def independent(values, spread=0.01):
    return [factories.draws(value, seed=seed, spread=spread) for seed, value in enumerate(values)]


def test_methods_far_apart_take_one_rank_each():
    values = [0.9, 0.5, 0.1]
    assert texts(values, independent(values)) == ["1", "2", "3"]


def test_methods_that_noise_explains_share_their_ranks():
    values = [0.50, 0.51, 0.49, 0.10]
    assert texts(values, independent(values, spread=0.05)) == ["1-3", "1-3", "1-3", "4"]


def test_identical_draws_are_a_tie():
    draws = factories.draws(0.4)
    assert p_values(np.array([0.4, 0.4]), [draws, draws])[0, 1] == 1
    assert texts([0.4, 0.4], [draws, draws]) == ["1-2", "1-2"]


def test_a_constant_difference_is_significant_however_small():
    draws = np.array(factories.draws(0.4))
    assert texts([0.401, 0.4], [draws + 0.001, draws]) == ["1", "2"]


def test_pairing_finds_a_difference_that_the_spread_of_each_method_hides():
    shared = np.array(factories.draws(0.0, seed=9, spread=0.1))
    paired = [shared + draws for draws in np.array(independent([0.50, 0.45], spread=0.002))]
    assert texts([0.50, 0.45], paired) == ["1", "2"]
    assert texts([0.50, 0.45], independent([0.50, 0.45], spread=0.1)) == ["1-2", "1-2"]


def test_p_is_that_of_the_normal_distribution_at_difference_over_standard_error():
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 1.5, 3.5, 2.5])
    z = 0.9 / np.std(first - second, ddof=1)
    tail = (np.random.default_rng(0).standard_normal(400_000) > z).mean()
    assert p_values(np.array([2.9, 2.0]), [first, second])[1, 0] == pytest.approx(2 * tail, abs=0.005)


def test_holm_multiplies_by_what_is_left_and_never_decreases():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])


def test_holm_keeps_a_tie_that_a_single_test_would_break():
    values = [0.5, 0.452, *([0.451] * 8)]
    shared = factories.draws(0.451, seed=1, spread=0.014)
    draws = [factories.draws(0.5, seed=0, spread=0.014), factories.draws(0.452, seed=2, spread=0.014), *([shared] * 8)]
    single = p_values(np.array(values), draws)[0, 1:]
    assert single.max() < 0.05
    assert texts(values, draws)[0] == "1-10"


def test_level_with_the_leader_are_those_that_are_not_significantly_worse():
    values = [0.49, 0.50, 0.10]
    assert level_with_leader(np.array(values), independent(values, spread=0.05)).tolist() == [True, True, False]


def test_rank_intervals_follow_a_reordering_of_the_methods():
    values = np.array([0.2, 0.5, 0.45, 0.9])
    draws = independent(values, spread=0.03)
    order = [2, 0, 3, 1]
    assert texts(values[order], [draws[i] for i in order]) == [texts(values, draws)[i] for i in order]


def test_a_method_without_draws_differs_from_nobody():
    assert texts([0.9, 0.1, 0.2], [factories.draws(0.9), (), factories.draws(0.2)]) == ["1-2", "1-3", "2-3"]


def test_a_single_method_is_first_and_no_method_is_no_rank():
    assert texts([0.3], [()]) == ["1"]
    assert texts([], []) == []


def test_draws_of_other_resamples_are_refused():
    with pytest.raises(InvalidDataError, match="same resamples"):
        rank_intervals(np.array([0.1, 0.2]), [factories.draws(0.1), factories.draws(0.2, count=50)])


def test_a_difference_below_what_draws_are_stored_to_is_a_tie():
    draws = factories.draws(0.4)
    assert texts([0.4 + 1e-9, 0.4], [draws, draws]) == ["1-2", "1-2"]
