"""Counting: rounding, keys, and the histograms that every ranking metric is read from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import maps_and_masks, repeatable
from sklearn.metrics import average_precision_score, roc_auc_score

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import counting
from uadbench.metrics.counting import (
    Bins,
    PixelCounter,
    Tally,
    keys,
    merged,
    require_both,
    rounded,
    sum_of,
    tally,
    tally_pixels,
    threshold_at,
    values_of,
)

LARGEST = (2 - 2.0**-13) * 2.0**127
SMALLEST = 2.0**-139
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
lists = st.lists(floats, min_size=2, max_size=40)


def array(values):
    return np.array(values, np.float32)


def to_13_bits(values):
    """Nearest multiple of 2^(exponent - 13), ties to even, in float64; subnormals share the smallest exponent."""
    wide = np.asarray(values, np.float64)
    exponent = np.maximum(np.frexp(wide)[1] - 1, -126)
    step = np.ldexp(1.0, np.where(wide == 0, -126, exponent) - 13)
    return np.clip(np.round(wide / step) * step, -LARGEST, LARGEST) + 0.0


def same(one, two):
    return all(np.array_equal(getattr(one, part), getattr(two, part)) for part in ("values", "healthy", "anomalous"))


@repeatable
@given(lists)
def test_rounding_agrees_with_arithmetic_in_double_precision(values):
    assert rounded(array(values)).tolist() == to_13_bits(array(values)).tolist()


def test_rounding_agrees_with_arithmetic_on_a_hundred_thousand_bit_patterns():
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    finite = bits[np.isfinite(bits)]
    assert np.array_equal(rounded(finite), to_13_bits(finite))


@pytest.mark.parametrize(("numerator", "even"), [(1, 0), (3, 4), (5, 4), (7, 8)])
def test_a_tie_is_rounded_to_the_even_neighbour(numerator, even):
    assert rounded(array([1 + numerator * 2.0**-14]))[0] == 1 + even * 2.0**-14


def test_rounding_makes_minus_zero_plus_zero():
    tiny = array([-0.0, -(2.0**-149), -SMALLEST / 2])
    assert not np.signbit(rounded(tiny)).any()
    assert keys(rounded(tiny)).tolist() == [0, 0, 0]


def test_the_largest_floats_stay_finite():
    largest = np.finfo(np.float32).max
    assert rounded(array([largest, -largest])).tolist() == [LARGEST, -LARGEST]


def test_subnormals_keep_their_multiples_of_the_smallest_step():
    steps = np.arange(-5, 6) * SMALLEST
    assert rounded(array(steps)).tolist() == steps.tolist()


@repeatable
@given(lists)
def test_rounding_twice_is_rounding_once(values):
    once = rounded(array(values))
    assert rounded(once).tobytes() == once.tobytes()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_rounding_refuses_what_is_not_finite(wrong):
    with pytest.raises(InvalidDataError, match=r"hold 1 values that are not finite. Give finite maps"):
        rounded(array([0.5, wrong]))


@repeatable
@given(lists)
def test_keys_order_values_as_the_values_themselves(values):
    some = rounded(array(values))
    order = np.sign(np.subtract.outer(some.astype(np.float64), some.astype(np.float64)))
    assert np.array_equal(np.sign(np.subtract.outer(keys(some), keys(some))), order)


@repeatable
@given(lists)
def test_keys_have_the_sign_of_their_value_and_lie_within_22_bits(values):
    some = rounded(array(values))
    assert np.array_equal(keys(some) < 0, some < 0)
    assert np.abs(keys(some).astype(np.int64)).max() <= 2**21


@repeatable
@given(lists)
def test_values_of_keys_are_the_values(values):
    some = rounded(array(values))
    assert values_of(keys(some)).tolist() == some.tolist()


def test_every_finite_key_comes_back_from_its_value():
    every = np.concatenate([np.arange(-0x1FDFFF - 1, -1, 97), np.arange(0, 0x1FDFFF + 1, 97)])
    assert np.array_equal(keys(values_of(every).astype(np.float32)), every)


def test_neighbouring_keys_stand_for_neighbouring_values():
    assert values_of(keys(array([1.0])) + 1).tolist() == [1 + 2.0**-13]


@pytest.mark.parametrize("wrong", [0.1, np.inf, -np.inf, np.nan, -0.0])
def test_keys_refuse_what_rounding_would_have_changed(wrong):
    with pytest.raises(InvalidDataError, match=r"not rounded to 13 mantissa bits. Pass them through `rounded`"):
        keys(array([1.0, wrong]))


def test_a_tally_holds_each_distinct_value_once_with_its_counts():
    counts = tally_pixels(array([3, 1, 1, -2, 3]), np.array([1, 0, 1, 0, 1], bool))
    assert counts.values.tolist() == [-2, 1, 3]
    assert (counts.healthy.tolist(), counts.anomalous.tolist()) == ([1, 1, 0], [0, 1, 2])
    assert counts.totals == (2, 3)


@repeatable
@given(lists, st.integers(0, 2**32 - 1))
def test_a_tally_agrees_with_counting_one_by_one(values, seed):
    maps, masks = rounded(array(values)), np.random.default_rng(seed).random(len(values)) < 0.5
    counts = tally_pixels(maps, masks)
    assert counts.values.tolist() == sorted(set(maps.tolist()))
    assert counts.anomalous.tolist() == [int((maps[masks] == value).sum()) for value in counts.values]
    assert counts.healthy.tolist() == [int((maps[~masks] == value).sum()) for value in counts.values]


@settings(repeatable, max_examples=20)
@given(lists, lists)
def test_merged_counters_are_the_counter_of_the_whole(first, second):
    counters = PixelCounter(), PixelCounter()
    for counter, part in zip(counters, (first, second), strict=True):
        counter.add(rounded(array(part)), np.arange(len(part)) % 2 == 0)
    both = array(first + second)
    masks = np.concatenate([np.arange(len(part)) % 2 == 0 for part in (first, second)])
    assert same(merged(counters).tally(), tally_pixels(both, masks))


def test_merging_leaves_the_other_counter_as_it_was():
    one, two = PixelCounter(), PixelCounter()
    one.add(array([1, 2]))
    two.add(array([-5, 9]))
    before = two.tally()
    one.merge(two)
    one.add(array([-5]))
    assert same(two.tally(), before)


def test_an_empty_counter_changes_nothing_and_has_an_empty_tally():
    counter = PixelCounter()
    counter.add(array([]))
    counter.merge(PixelCounter())
    assert counter.tally().totals == (0, 0)


def test_a_counter_does_not_depend_on_the_order_of_its_parts():
    maps, masks = maps_and_masks(levels=500, seed=1)
    forth, back = PixelCounter(), PixelCounter()
    for i in range(len(maps)):
        forth.add(rounded(maps[i]), masks[i])
        back.add(rounded(maps[-1 - i]), masks[-1 - i])
    assert same(forth.tally(), back.tally())


@pytest.mark.parametrize("parts", [[[5], [-5], [0]], [[0], [1e30], [-1e30]], [[1e-40], [3], [1e-40]]])
def test_a_counter_grows_to_both_sides(parts):
    counter = PixelCounter()
    for part in parts:
        counter.add(rounded(array(part)))
    every = rounded(array([value for part in parts for value in part]))
    assert counter.tally().values.tolist() == sorted(set(every.tolist()))
    assert counter.tally().totals == (3, 0)


def test_a_map_longer_than_one_block_is_counted_whole():
    maps = np.arange(counting._BLOCK + 7, dtype=np.float32) % 5
    masks = np.arange(len(maps)) >= counting._BLOCK - 2
    counts = tally_pixels(maps, masks)
    assert counts.totals == (counting._BLOCK - 2, 9)
    assert np.array_equal(counts.anomalous, np.bincount(maps[masks].astype(int), minlength=5))


def test_masks_of_ones_and_zeros_count_like_bools():
    maps, masks = maps_and_masks(levels=20, seed=2)
    assert same(tally_pixels(maps, masks.astype(np.uint8)), tally_pixels(maps, masks))
    assert same(tally_pixels(maps, masks.astype(np.uint8) * 255), tally_pixels(maps, masks))


def test_maps_and_masks_of_two_sizes_are_refused():
    with pytest.raises(InvalidDataError, match="Maps of 4 pixels and masks of 3 differ"):
        PixelCounter().add(np.zeros(4, np.float32), np.zeros(3, bool))


def test_counting_never_writes_into_its_inputs():
    maps, masks = maps_and_masks(levels=9, seed=0)  # both are read-only: writing would raise
    before = maps.tobytes(), masks.tobytes()
    Bins(tally_pixels(maps, masks)).of(rounded(maps))
    tally(maps.ravel(), masks.ravel())
    assert (maps.tobytes(), masks.tobytes()) == before


def test_sum_of_tallies_is_the_tally_of_all_pixels():
    maps, masks = maps_and_masks(levels=50, seed=3)
    parts = [tally_pixels(one, mask) for one, mask in zip(maps, masks, strict=True)]
    assert same(sum_of(parts), tally_pixels(maps, masks))


def test_a_tally_of_scores_keeps_values_that_rounding_would_join():
    assert tally(np.array([0.1, 0.1 + 1e-15]), np.array([0, 1])).values.tolist() == [0.1, 0.1 + 1e-15]


def test_scores_without_a_label_each_are_refused():
    with pytest.raises(InvalidDataError, match=r"3 scores for 2 labels. Give one score per label"):
        tally(np.zeros(3), np.zeros(2, bool))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InvalidDataError, match=r"Scores hold 2 values that are not finite. Give finite scores"):
        tally(np.array([np.nan, 1, np.inf]), np.zeros(3, bool))


@pytest.mark.parametrize(("labels", "missing"), [([0, 0], "anomalous"), ([1, 1], "healthy")])
def test_a_tally_of_one_side_is_refused_by_the_name_of_the_other(labels, missing):
    with pytest.raises(UndefinedMetricError, match=f"some_metric: no {missing} case among 2; the metric has no value"):
        require_both("some_metric", tally(np.zeros(2), np.array(labels)))


@pytest.mark.parametrize(("fpr", "above"), [(0.29, 29), (0.05, 5), (0.57, 57), (0.58, 58), (0, 0), (1, 99)])
def test_a_threshold_uses_the_whole_rate_it_was_given(fpr, above):
    maps = np.arange(100)  # of 100 values, 29 lie above the 71st: a rate of exactly 0.29
    threshold = threshold_at(tally(maps, np.zeros(100, bool)), fpr)
    assert int((maps > threshold).sum()) == above


@pytest.mark.parametrize("seed", range(3))
def test_resampled_counts_have_the_same_metrics_row_by_row(seed):
    healthy, anomalous = np.random.default_rng(seed).integers(0, 5, (2, 7, 30)).astype(np.float64)
    for statistic in (counting.average_precision, counting.auroc, counting.best_dice):
        rows = [float(statistic(healthy[i], anomalous[i])) for i in range(7)]
        assert statistic(healthy, anomalous).tolist() == rows


def test_a_resample_without_anomalous_cases_has_no_value_rather_than_zero():
    for statistic in (counting.average_precision, counting.auroc, counting.best_dice):
        assert np.isnan(statistic(np.ones((1, 4)), np.zeros((1, 4)))).all()


@pytest.mark.parametrize("seed", range(3))
def test_bins_keep_the_order_of_values(seed):
    maps = rounded(np.random.default_rng(seed).normal(size=3000))
    bins = Bins(tally_pixels(maps, maps > 0.5))
    places = bins.of(np.sort(maps))
    assert (np.diff(places) >= 0).all()
    assert (places.min() >= 0) & (places.max() < bins.count)
    assert bins.count <= 1025


def binned(counts):
    """The metrics' counts on the coarse scale."""
    bins = Bins(counts)
    places = bins.of(counts.values.astype(np.float32))
    return [np.bincount(places, weights=side, minlength=bins.count) for side in (counts.healthy, counts.anomalous)]


def gamma_counts(*, offset=0.5, pixels=200_000, share=0.01, seed=0):
    rng = np.random.default_rng(seed)
    masks = rng.random(pixels) < share
    return tally_pixels(rng.gamma(2.0, size=pixels) + offset * masks, masks)


@pytest.mark.parametrize("offset", [0.0, 1.0, 5.0])
def test_bins_change_each_metric_by_less_than_a_thousandth(offset):
    counts = gamma_counts(offset=offset)
    for statistic in (counting.average_precision, counting.auroc, counting.best_dice):
        exact = statistic(counts.healthy, counts.anomalous)
        assert statistic(*binned(counts)) == pytest.approx(exact, abs=1e-3)


def test_bins_change_nothing_where_half_of_the_anomalous_share_one_value():
    rng = np.random.default_rng(0)
    healthy, anomalous = rng.random(5000) * 0.5, np.append(np.zeros(500), 0.9 + rng.random(500) / 20)
    counts = tally_pixels(np.append(healthy, anomalous), np.arange(6000) >= 5000)
    exact = counting.auroc(counts.healthy, counts.anomalous)
    assert counting.auroc(*binned(counts)) == pytest.approx(exact, abs=1e-3)


def test_bins_change_nothing_where_few_pixels_are_anomalous():
    counts = gamma_counts(pixels=3000, share=0.004)
    for statistic in (counting.average_precision, counting.auroc, counting.best_dice):
        exact = statistic(counts.healthy, counts.anomalous)
        assert statistic(*binned(counts)) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_float_weights_of_a_tally_equal_scikit_learn_with_sample_weights(seed):
    rng = np.random.default_rng(seed)
    healthy, anomalous = rng.random((2, 25))
    values, labels = np.tile(np.arange(25), 2), np.repeat([0, 1], 25)
    weights = np.append(healthy, anomalous)
    expected = average_precision_score(labels, values, sample_weight=weights)
    assert counting.average_precision(healthy, anomalous) == pytest.approx(expected, abs=1e-9)
    expected = roc_auc_score(labels, values, sample_weight=weights)
    assert counting.auroc(healthy, anomalous) == pytest.approx(expected, abs=1e-9)


def test_a_tally_without_healthy_cases_has_no_threshold():
    empty = np.zeros(1, np.int64)
    with pytest.raises(UndefinedMetricError, match="no healthy case; a threshold has no value"):
        threshold_at(Tally(np.zeros(1), empty, empty + 3), 0.05)
