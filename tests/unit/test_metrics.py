"""Metrics as plain functions: properties, then an independent reference, then the edge that raises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import maps_and_masks, repeatable
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score, roc_curve

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import (
    box_f1,
    dice,
    image_ap,
    image_auroc,
    oracle_dice,
    pixel_ap,
    pixel_auroc,
    threshold_at_fpr,
)
from uadbench.metrics.box import box_cases, pixels_in
from uadbench.metrics.counting import rounded, tally_pixels
from uadbench.metrics.curves import pr_curve
from uadbench.metrics.curves import roc_curve as thinned_roc_curve
from uadbench.metrics.pixel import oracle_dice_and_threshold

LEVELS = [2, 5, 1000, 10**6]  # few levels = many ties
RANKING = [image_auroc, image_ap, pixel_ap, pixel_auroc, oracle_dice]
PIXEL = [pixel_ap, pixel_auroc, oracle_dice]
OF_SCIKIT_LEARN = {
    image_auroc: roc_auc_score,
    image_ap: average_precision_score,
    pixel_auroc: roc_auc_score,
    pixel_ap: average_precision_score,
}


def flat(levels, seed=0):
    """Rounded values and labels as two vectors."""
    maps, masks = maps_and_masks(levels=levels, seed=seed)
    return rounded(maps).ravel(), masks.ravel()


def best_f1(labels, values):
    precision, recall, _ = precision_recall_curve(labels, values)
    return np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("metric", OF_SCIKIT_LEARN)
def test_ranking_metrics_agree_with_scikit_learn(metric, levels):
    values, labels = flat(levels)
    assert metric(values, labels) == pytest.approx(OF_SCIKIT_LEARN[metric](labels, values), abs=1e-9)


@pytest.mark.parametrize("levels", LEVELS)
def test_oracle_dice_is_the_best_f1_of_scikit_learn(levels):
    values, labels = flat(levels)
    assert oracle_dice(values, labels) == pytest.approx(best_f1(labels, values), abs=1e-9)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("threshold", [-1.0, 0.25, 0.5])
def test_dice_is_the_f1_of_scikit_learn(levels, threshold):
    values, labels = flat(levels)
    assert dice(values, labels, threshold) == pytest.approx(f1_score(labels, values > threshold), abs=1e-9)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.05, 0.5, 1.0])
def test_threshold_at_fpr_is_the_smallest_observed_value_that_keeps_the_rate(levels, fpr):
    values, _ = flat(levels)
    fitting = [value for value in np.unique(values) if np.mean(values > value) <= fpr]
    assert threshold_at_fpr(values, fpr) == fitting[0]


@pytest.mark.parametrize("seed", range(3))
def test_scores_on_many_scales_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=60) * 10.0 ** rng.integers(-300, 300, 60), rng.random(60) < 0.5
    assert image_auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert image_ap(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.0, 1e-42, 3e38])
def test_a_constant_map_scores_the_prevalence(constant):
    _, masks = maps_and_masks(levels=2, seed=0)
    maps = np.full(masks.shape, constant, np.float32)
    assert pixel_ap(maps, masks) == pytest.approx(masks.mean(), abs=1e-12)
    assert pixel_auroc(maps, masks) == 0.5
    assert oracle_dice(maps, masks) == pytest.approx(2 * masks.sum() / (masks.size + masks.sum()), abs=1e-12)


def test_a_constant_score_has_half_of_the_area_and_the_prevalence():
    labels = np.arange(10) < 3
    assert image_auroc(np.full(10, 0.1), labels) == 0.5
    assert image_ap(np.full(10, 0.1), labels) == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize("metric", RANKING)
def test_the_oracle_has_one(metric):
    _, labels = flat(2)
    assert metric(labels.astype(np.float32), labels) == 1


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("metric", [image_auroc, pixel_auroc])
def test_the_inverted_map_has_what_is_left_of_the_area(metric, levels):
    values, labels = flat(levels)
    assert metric(-values, labels) == pytest.approx(1 - metric(values, labels), abs=1e-12)


def ladders(count):
    """Two ascending lists of that many distinct rounded values."""
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda x: float(rounded(np.array([x]))[0]))
    ladder = st.lists(finite, min_size=count, max_size=count, unique=True).map(sorted)
    return st.tuples(ladder, ladder)


@repeatable
@given(ladders(6), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("metric", RANKING)
def test_ranking_metrics_are_blind_to_strictly_monotone_maps(metric, two, seed):
    rng = np.random.default_rng(seed)
    places, labels = rng.integers(0, 6, 50), np.arange(50) < 12
    one, other = (np.array(ladder)[places] for ladder in two)
    assert metric(one, labels) == metric(other, labels)


@repeatable
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=2, max_size=30))
@pytest.mark.parametrize("metric", RANKING)
def test_ranking_metrics_lie_between_zero_and_one(metric, cases):
    values, labels = (np.array(column) for column in zip(*cases, strict=True))
    labels[:2] = False, True
    assert 0 <= metric(values, labels) <= 1


@pytest.mark.parametrize("metric", RANKING)
def test_metrics_do_not_depend_on_the_order_of_cases(metric):
    values, labels = flat(7)
    order = np.random.default_rng(0).permutation(len(values))
    assert metric(values[order], labels[order]) == metric(values, labels)


@pytest.mark.parametrize("levels", LEVELS)
def test_oracle_dice_is_the_largest_dice_over_every_threshold(levels):
    maps, masks = maps_and_masks(levels=min(levels, 50), seed=1)
    thresholds = [-np.inf, *np.unique(rounded(maps))[:-1]]
    assert oracle_dice(maps, masks) == max(dice(maps, masks, threshold) for threshold in thresholds)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_oracle_threshold_reaches_the_oracle_dice(levels):
    maps, masks = maps_and_masks(levels=levels, seed=1)
    best, threshold = oracle_dice_and_threshold(tally_pixels(maps, masks))
    assert dice(maps, masks, threshold) == best


def test_the_oracle_may_call_every_pixel_anomalous():
    counts = tally_pixels(np.array([1.0, 0.0]), np.array([False, True]))
    assert oracle_dice_and_threshold(counts) == (2 / 3, -np.inf)


@pytest.mark.parametrize("metric", PIXEL)
@pytest.mark.parametrize(
    "change", [lambda x: x - 9, lambda x: x * 1e38, lambda x: x * 2.0**-135, lambda x: -1 / (x + 1)]
)
def test_negative_huge_and_subnormal_maps_score_like_plain_ones(metric, change):
    maps, masks = maps_and_masks(levels=3, seed=4)
    assert metric(change(maps.astype(np.float64)), masks) == metric(maps, masks)


def test_an_offset_that_swallows_the_mantissa_leaves_ties():
    maps, masks = maps_and_masks(levels=1000, seed=0)
    assert pixel_ap(maps.astype(np.float64) + 1e9, masks) == pytest.approx(masks.mean(), abs=1e-12)


def test_a_threshold_of_constant_maps_is_their_stored_value_and_nothing_lies_above():
    maps, masks = maps_and_masks(levels=2, seed=0)
    constant = np.full(maps.shape, 0.1)
    assert dice(constant, masks, threshold_at_fpr(constant, 0.05)) == 0


def test_thresholds_fall_as_the_allowed_rate_rises():
    maps, _ = maps_and_masks(levels=1000, seed=0)
    thresholds = [threshold_at_fpr(maps, fpr) for fpr in np.linspace(0, 1, 21)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert (thresholds[0], thresholds[-1]) == (rounded(maps).max(), rounded(maps).min())


@pytest.mark.parametrize("metric", RANKING)
@pytest.mark.parametrize(("labels", "missing"), [(np.zeros(4, bool), "anomalous"), (np.ones(4, bool), "healthy")])
def test_a_ranking_metric_without_one_side_is_undefined(metric, labels, missing):
    sentence = f"{metric.__name__}: no {missing} case among 4; the metric has no value"
    with pytest.raises(UndefinedMetricError, match=sentence):
        metric(np.arange(4.0), labels)


def test_dice_of_nothing_with_nothing_is_undefined():
    with pytest.raises(UndefinedMetricError, match="dice: nothing found and nothing to find; 0/0 has no value"):
        dice(np.zeros(4), np.zeros(4, bool), 0.5)


def test_a_threshold_of_no_pixel_is_undefined():
    with pytest.raises(UndefinedMetricError, match="threshold_at_fpr: no healthy case; a threshold has no value"):
        threshold_at_fpr(np.zeros(0), 0.05)


@pytest.mark.parametrize("fpr", [-0.01, 1.5, np.nan])
def test_a_rate_that_is_no_share_is_refused(fpr):
    with pytest.raises(InvalidDataError, match=r"threshold_at_fpr: fpr is .*\. Give a share in \[0, 1\]"):
        threshold_at_fpr(np.zeros(3), fpr)


def test_dice_of_maps_and_masks_of_two_shapes_is_refused():
    with pytest.raises(InvalidDataError, match=r"Maps \(2, 2\) and masks \(4,\) differ in shape. Give one size"):
        dice(np.zeros((2, 2)), np.zeros(4, bool), 0.5)


@pytest.mark.parametrize("metric", PIXEL)
def test_maps_that_are_not_finite_are_refused(metric):
    with pytest.raises(InvalidDataError, match=r"Maps hold 1 values that are not finite. Give finite maps"):
        metric(np.array([0.0, np.nan]), np.array([True, False]))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("metric", [*RANKING, lambda maps, masks: dice(maps, masks, 0.5)])
def test_masks_of_ones_and_zeros_mean_what_bools_mean(metric, kind):
    values, labels = flat(9)
    assert metric(values, labels.astype(kind)) == metric(values, labels)


def test_metrics_leave_their_inputs_alone():
    maps, masks = maps_and_masks(levels=9, seed=0)  # both are read-only: writing would raise
    before = maps.tobytes(), masks.tobytes()
    for metric in PIXEL:
        metric(maps, masks)
    dice(maps, masks, threshold_at_fpr(maps, 0.05))
    box_f1(maps, np.ones((1, 4)), np.zeros(1, int), masks, 0.5)
    assert (maps.tobytes(), masks.tobytes()) == before


@pytest.mark.parametrize("points", [10, 200])
def test_a_thinned_roc_curve_runs_from_corner_to_corner_on_points_of_the_whole(points):
    values, labels = flat(1000)
    false, true = thinned_roc_curve(tally_pixels(values, labels), points)
    whole = set(
        zip(*(np.round(one, 12) for one in roc_curve(labels, values, drop_intermediate=False)[:2]), strict=True)
    )
    assert len(false) <= points
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert set(zip(np.round(false, 12), np.round(true, 12), strict=True)) <= whole


def test_a_precision_recall_curve_steps_to_the_average_precision():
    values, labels = flat(100)
    recall, precision = pr_curve(tally_pixels(values, labels))
    assert np.sum(np.diff(recall, prepend=0) * precision) == pytest.approx(pixel_ap(values, labels), abs=1e-12)
    assert (recall[-1], precision[-1]) == (1, pytest.approx(labels.mean()))


def box_scene(seed=0, n=3, size=24):
    """Maps on a ladder of 64 steps in (0, 0.8], two boxes per image (some overlap), foreground and healthy maps."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(1, 40, (n, size, size)) / 80.0
    corners, sides = rng.uniform(0, 12, (2 * n, 2)), rng.uniform(3, 11, (2 * n, 2))
    boxes = np.concatenate([corners, sides], axis=1).astype(np.float32)
    images = np.repeat(np.arange(n), 2)
    for (x, y, w, h), image in zip(boxes[::3].astype(int), images[::3], strict=True):
        maps[image, y : y + h, x : x + w] += 0.3
    return maps, boxes, images, rng.random((n, size, size)) < 0.8, rng.integers(1, 40, (n, size, size)) / 80.0


def plain_box_f1(maps, boxes, images, foreground, threshold):
    """RA's box F1 with counts, pixel by pixel."""
    total = 0.0
    for box, image in zip(boxes, images, strict=True):
        inside, hits, false = 0, 0, 0
        others = boxes[images == image]
        for (row, column), value in np.ndenumerate(maps[image]):
            within = [x <= column + 0.5 < x + w and y <= row + 0.5 < y + h for x, y, w, h in (box, *others)]
            inside, hits = inside + within[0], hits + (within[0] and value > threshold)
            false += bool(foreground[image, row, column] and not any(within) and value > threshold)
        if hits and hits >= inside / 10:
            precision = 1 / (1 + false / hits)
            total += 2 * precision / (precision + 1)
    return total / len(boxes)


@pytest.mark.parametrize("seed", range(4))
def test_box_f1_agrees_with_a_loop_over_every_pixel(seed):
    maps, boxes, images, foreground, healthy = box_scene(seed)
    threshold = threshold_at_fpr(healthy, 0.05)
    expected = plain_box_f1(rounded(maps), boxes, images, foreground, threshold)
    assert 0 < expected < 1
    assert box_f1(maps, boxes, images, foreground, threshold) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [lambda x: x**4, lambda x: np.exp(100 * x), lambda x: 3 * x - 700 / 1024])
def test_box_f1_is_blind_to_monotone_rescaling_with_its_own_threshold(scale):
    maps, boxes, images, foreground, healthy = box_scene(seed=1)
    plain = box_f1(maps, boxes, images, foreground, threshold_at_fpr(healthy, 0.05))
    scaled = box_f1(scale(maps), boxes, images, foreground, threshold_at_fpr(scale(healthy), 0.05))
    assert 0 < plain == scaled


@pytest.mark.parametrize(("false", "f1"), [(0, 1), (4, 2 / 3), (8, 1 / 2), (12, 2 / 5)])
def test_a_detected_box_has_two_over_two_plus_false_positives(false, f1):
    one = np.zeros((8, 8), np.float32)
    one[0:2, 0:2] = 1  # 4 pixels found in the box
    one[4:].flat[:false] = 1
    (case,) = box_cases(one, np.array([[0, 0, 2, 2]], np.float32), np.ones((8, 8), bool), 0.5)
    assert (case.detected, case.f1) == (True, pytest.approx(f1))


@pytest.mark.parametrize(("found", "detected"), [(0, False), (2, False), (3, True)])
def test_a_box_is_detected_from_a_tenth_of_its_pixels_on(found, detected):
    one = np.zeros((8, 8), np.float32)
    one[0, :found] = 1
    (case,) = box_cases(one, np.array([[0, 0, 6, 5]], np.float32), np.ones((8, 8), bool), 0.5)
    assert (case.detected, case.f1) == (detected, float(detected))


def test_what_lies_in_another_box_or_outside_the_body_is_no_false_positive():
    one = np.ones((8, 8), np.float32)
    boxes = np.array([[0, 0, 4, 8], [4, 0, 2, 8]], np.float32)
    body = np.zeros((8, 8), bool)
    body[:, :7] = True  # 8 pixels of the body outside both boxes
    assert [case.f1 for case in box_cases(one, boxes, body, 0.5)] == [2 / (2 + 8 / 32), 2 / (2 + 8 / 16)]


@pytest.mark.parametrize("box", [(2.6, 3.6, 0.2, 0.2), (2.51, 3.51, 0.98, 0.98), (2.9, 3.9, 0.1, 0.1)])
def test_a_box_without_a_pixel_centre_takes_the_nearest_pixel(box):
    assert np.argwhere(pixels_in(np.array(box), 8, 8)).tolist() == [[3, 2]]


@pytest.mark.parametrize("box", [(-0.4, -0.4, 0.3, 0.3), (7.9, 7.9, 0.4, 0.4)])
def test_a_tiny_box_at_the_border_takes_the_corner_pixel(box):
    corner = 0 if box[0] < 1 else 7
    assert np.argwhere(pixels_in(np.array(box), 8, 8)).tolist() == [[corner, corner]]


def test_a_pixel_belongs_to_a_box_when_its_centre_does():
    assert np.argwhere(pixels_in(np.array([0.5, 0.6, 2.0, 2.0]), 4, 4)).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]


def test_box_f1_of_constant_maps_with_their_own_threshold_is_zero():
    maps = np.full((1, 8, 8), 0.1, np.float32)  # 0.1 is not a rounded value
    boxes = np.array([[1, 1, 3, 3]], np.float32)
    threshold = threshold_at_fpr(maps, 0.05)
    assert box_f1(maps, boxes, np.zeros(1, int), np.ones((1, 8, 8), bool), threshold) == 0


def test_box_f1_of_boxes_without_an_image_each_is_refused():
    maps, body = np.zeros((1, 8, 8)), np.ones((1, 8, 8), bool)
    with pytest.raises(InvalidDataError, match=r"2 boxes in 1 images disagree. Give one foreground per map"):
        box_f1(maps, np.ones((2, 4)), np.zeros(1, int), body, 0.5)


def test_box_f1_without_a_box_is_undefined():
    with pytest.raises(UndefinedMetricError, match="box_f1: no box; the mean over boxes has no value"):
        box_f1(np.zeros((1, 8, 8)), np.zeros((0, 4)), np.zeros(0, int), np.ones((1, 8, 8), bool), 0.5)
