"""Region metrics: properties, then the MVTec definition as a double loop, then the edge that raises."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import maps_and_masks, repeatable

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import aupro, lesion_recall
from uadbench.metrics.counting import rounded, sum_of, tally_pixels
from uadbench.metrics.region import aupro_of, overlaps_of, region_weights, regions, regions_above, sum_of_overlaps

LEVELS = [2, 5, 40, 10**6]  # few levels = many ties
MONOTONE = {
    "fourth power": lambda x: x**4,
    "exponential": lambda x: np.exp(20 * x),
    "offset": lambda x: 3 * x - 7,
    "arctangent": lambda x: np.arctan(5 * x - 2),
}


def plain_regions(mask):
    """Sets of pixels joined side by side or corner to corner, by flooding from each pixel."""
    free, found = {tuple(place) for place in np.argwhere(mask).tolist()}, []
    while free:
        waiting, region = [free.pop()], set()
        while waiting:
            row, column = waiting.pop()
            region.add((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & free
            free -= near
            waiting += near
        found.append(region)
    return found


def plain_aupro(maps, masks, limit=0.3):
    """MVTec's: mean overlap over regions against the rate over healthy pixels, trapezoids cut at the limit."""
    places = [[(i, *place) for place in region] for i, mask in enumerate(masks) for region in plain_regions(mask)]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        overlap = [sum(bool(maps[place] >= threshold) for place in region) / len(region) for region in places]
        points.append((float((maps[~masks] >= threshold).mean()), sum(overlap) / len(overlap)))
    area = 0.0
    for (left, low), (right, high) in itertools.pairwise(points):
        if left < min(right, limit):
            end = low + (high - low) * (min(right, limit) - left) / (right - left)
            area += (min(right, limit) - left) * (low + end) / 2
    return area / limit


def blobs(seed=0, n=3, size=12):
    """Masks of a few regions of many sizes."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, size, size), bool)
    for image, row, column, side in zip(np.arange(3 * n) % n, *rng.integers(0, size - 3, (3, 3 * n)), strict=True):
        masks[image, row : row + 1 + side % 4, column : column + 1 + side % 3] = True
    return masks


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("levels", LEVELS)
def test_aupro_agrees_with_a_loop_over_thresholds_and_regions(levels, seed):
    masks = blobs(seed)
    maps = np.floor(np.random.default_rng(seed).random(masks.shape) * levels + 0.2 * levels * masks)
    expected = plain_aupro(rounded(maps), masks)
    assert 0 < expected < 1
    assert aupro(maps, masks) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5, 1.0])
def test_aupro_up_to_another_rate_agrees_with_the_loop(limit):
    masks = blobs(seed=3)
    maps = np.random.default_rng(3).integers(0, 30, masks.shape) + 9 * masks
    assert aupro(maps, masks, limit) == pytest.approx(plain_aupro(rounded(maps), masks, limit), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_masks_as_maps_have_an_aupro_of_one_and_never_more(seed):
    masks = blobs(seed)
    assert 1 - 1e-12 <= aupro(masks.astype(np.float32), masks) <= 1


def test_the_inverted_masks_have_an_aupro_of_zero():
    masks = blobs()
    assert aupro(~masks * 1.0, masks) == 0


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0])
def test_a_constant_map_has_half_of_the_limit(limit):
    masks = blobs()
    assert aupro(np.full(masks.shape, 0.1), masks, limit) == pytest.approx(limit / 2, abs=1e-12)


def test_aupro_by_hand():
    masks = np.zeros((1, 4, 5), bool)
    masks[0, 0, :2] = masks[0, 3, 4] = True  # regions of 2 and of 1 pixel, 17 healthy pixels
    maps = np.zeros((1, 4, 5))
    maps[0, 0, 0], maps[0, 1, :3], maps[0, 3, 4] = 3, 2, 1  # half a region, 3 false, then the other region
    at_limit = 0.75 + 0.25 * (0.3 - 3 / 17) / (14 / 17)
    area = 3 / 17 * 0.25 + (0.3 - 3 / 17) * (0.75 + at_limit) / 2
    assert aupro(maps, masks) == pytest.approx(area / 0.3, abs=1e-12)


@settings(repeatable, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.01, 1))
def test_aupro_lies_between_zero_and_one(seed, levels, limit):
    maps, masks = maps_and_masks(levels=levels, seed=seed, n=2)
    assert 0 <= aupro(maps, masks, limit) <= 1


@settings(repeatable, max_examples=20)
@given(st.sampled_from(sorted(MONOTONE)), st.integers(0, 2**32 - 1))
def test_aupro_is_blind_to_strictly_monotone_maps(name, seed):
    maps, masks = maps_and_masks(levels=200, seed=seed, n=2)
    changed = rounded(MONOTONE[name](rounded(maps).astype(np.float64)))
    assert len(np.unique(changed)) == len(np.unique(rounded(maps)))
    assert aupro(changed, masks) == pytest.approx(aupro(maps, masks), abs=1e-12)


def test_a_region_counts_the_same_whatever_its_size():
    masks = np.zeros((1, 10, 10), bool)
    masks[0, :6, :6] = masks[0, 9, 9] = True
    only_large, only_small = masks * 1.0, masks * 1.0
    only_large[0, 9, 9] = only_small[0, :6, :6] = -1
    for maps in (only_large, only_small):
        assert aupro(maps, masks) == pytest.approx(0.5, abs=1e-12)


def test_aupro_does_not_depend_on_the_order_of_images():
    maps, masks = maps_and_masks(levels=50, seed=4)
    assert aupro(maps[::-1], masks[::-1]) == pytest.approx(aupro(maps, masks), abs=1e-12)


def test_aupro_does_not_depend_on_how_images_lie():
    maps, masks = maps_and_masks(levels=50, seed=4)
    turned = aupro(maps[:, ::-1].transpose(0, 2, 1), masks[:, ::-1].transpose(0, 2, 1))
    assert turned == pytest.approx(aupro(maps, masks), abs=1e-12)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_counts_and_overlaps_of_parts_add_up_to_those_of_the_whole(cut):
    maps, masks = maps_and_masks(levels=300, seed=5)
    stored = rounded(maps)
    overlaps = [overlaps_of(one, mask) for one, mask in zip(stored, masks, strict=True)]
    halves = sum_of_overlaps(overlaps[:cut]), sum_of_overlaps(overlaps[cut:])
    counts = sum_of([tally_pixels(maps[:cut], masks[:cut]), tally_pixels(maps[cut:], masks[cut:])])
    assert aupro_of(counts, sum_of_overlaps(halves)) == pytest.approx(aupro(maps, masks), abs=1e-12)


def test_a_sum_of_overlaps_holds_each_value_once_in_ascending_order():
    maps, masks = maps_and_masks(levels=20, seed=6)
    whole = sum_of_overlaps([overlaps_of(one, mask) for one, mask in zip(rounded(maps), masks, strict=True)])
    assert whole.values.tolist() == sorted(set(rounded(maps)[masks].tolist()))
    assert whole.weights.sum() == pytest.approx(whole.regions)


def test_a_sum_of_no_overlaps_is_empty():
    nothing = sum_of_overlaps([])
    assert (len(nothing.values), len(nothing.weights), nothing.regions) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_weights_add_up_to_one_in_every_region(seed):
    (mask,) = blobs(seed, n=1)
    weights, expected = region_weights(mask), plain_regions(mask)
    assert not weights[~mask].any()
    assert [sum(weights[place] for place in region) for region in expected] == pytest.approx([1] * len(expected))
    assert weights.sum() == pytest.approx(len(expected))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_regions_are_those_of_a_flood(share):
    mask = np.random.default_rng(7).random((20, 20)) < share
    numbered, areas = regions(mask)
    found = [{tuple(place) for place in np.argwhere(numbered == i + 1).tolist()} for i in range(len(areas))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, plain_regions(mask)))
    assert areas.tolist() == [len(region) for region in found]


@pytest.mark.parametrize(("second", "count"), [((3, 3), 1), ((3, 1), 1), ((2, 3), 1), ((2, 4), 2), ((4, 4), 2)])
def test_pixels_that_share_a_side_or_a_corner_are_one_region(second, count):
    mask = np.zeros((6, 6), bool)
    mask[2, 2] = mask[second] = True
    assert len(regions(mask)[1]) == count


def test_regions_do_not_reach_into_the_next_image():
    masks = np.zeros((2, 4, 4), bool)
    masks[:, 1, 1] = True
    maps = masks * np.array([1.0, -1.0])[:, None, None]
    assert aupro(maps, masks) == pytest.approx(0.5, abs=1e-12)


def test_lesion_recall_by_hand():
    masks = np.zeros((2, 10, 10), bool)
    masks[0, :2] = masks[0, 8, :9] = masks[1, :3] = True  # 20, 9 and 30 pixels
    maps = np.zeros(masks.shape)
    maps[0, 0, :2] = maps[1, 0, :2] = 1  # 2 of 20 are a tenth; 2 of 30 are not
    assert lesion_recall(maps, masks, 0.5) == pytest.approx(1 / 3)
    assert lesion_recall(maps, masks, 0.5, share=0.05) == pytest.approx(2 / 3)


def test_lesion_recall_takes_what_lies_above_the_threshold_not_on_it():
    masks = np.ones((1, 3, 3), bool)
    assert lesion_recall(masks * 0.5, masks, 0.5) == 0
    assert lesion_recall(masks * 0.5, masks, 0.4999) == 1


@pytest.mark.parametrize("tenths", [1, 3, 7, 29, 57, 113])
def test_a_tenth_of_a_region_is_exactly_a_tenth(tenths):
    mask = np.arange(10 * tenths).reshape(1, 10, -1) >= 0
    found = np.arange(10 * tenths).reshape(mask.shape)
    assert lesion_recall(found < tenths, mask, 0.5) == 1
    assert lesion_recall(found < tenths - 1, mask, 0.5) == 0


def test_pixels_of_a_region_above_the_threshold_are_counted_by_region():
    masks, rng = blobs(seed=8, n=1), np.random.default_rng(8)
    one = rng.random(masks[0].shape)
    areas, above = regions_above(one, masks[0], 0.4)
    numbered, _ = regions(masks[0])
    assert areas.tolist() == [int((numbered == i + 1).sum()) for i in range(len(areas))]
    assert above.tolist() == [int((one[numbered == i + 1] > 0.4).sum()) for i in range(len(areas))]


def test_region_metrics_leave_their_inputs_alone():
    maps, masks = maps_and_masks(levels=9, seed=0)  # both are read-only: writing would raise
    before = maps.tobytes(), masks.tobytes()
    aupro(maps, masks)
    lesion_recall(maps, masks, 0.5)
    assert (maps.tobytes(), masks.tobytes()) == before


@pytest.mark.parametrize("metric", [aupro, lambda maps, masks: lesion_recall(maps, masks, 0.5)])
def test_masks_of_zeros_and_ones_mean_what_bools_mean(metric):
    maps, masks = maps_and_masks(levels=50, seed=2)
    assert metric(maps, masks.astype(np.uint8) * 255) == metric(maps, masks)


@pytest.mark.parametrize(("fill", "missing"), [(False, "anomalous region"), (True, "healthy pixel")])
def test_aupro_without_one_side_is_undefined(fill, missing):
    with pytest.raises(UndefinedMetricError, match=f"aupro: no {missing}; the metric has no value"):
        aupro(np.zeros((2, 4, 4)), np.full((2, 4, 4), fill))


@pytest.mark.parametrize("n", [0, 2])
def test_lesion_recall_without_a_region_is_undefined(n):
    with pytest.raises(UndefinedMetricError, match="lesion_recall: no anomalous region; the metric has no value"):
        lesion_recall(np.zeros((n, 4, 4)), np.zeros((n, 4, 4), bool), 0.5)


@pytest.mark.parametrize("limit", [0, -0.1, 1.1, np.nan])
def test_a_limit_that_is_no_rate_is_refused(limit):
    with pytest.raises(InvalidDataError, match=r"aupro: limit is .* Give a false-positive rate above 0 and up to 1"):
        aupro(*maps_and_masks(levels=5, seed=0), limit)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 4, 5), (4, 4)])
def test_maps_and_masks_of_two_shapes_have_no_regions(shape):
    with pytest.raises(InvalidDataError, match=r"aupro: maps \(2, 4, 4\) and masks .* Give both as \(n, h, w\)"):
        aupro(np.zeros((2, 4, 4)), np.ones(shape, bool))
    with pytest.raises(InvalidDataError, match=r"lesion_recall: maps \(2, 4, 4\) and masks .* Give both as"):
        lesion_recall(np.zeros((2, 4, 4)), np.ones(shape, bool), 0.5)
