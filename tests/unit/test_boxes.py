"""Box metrics against plain loops and the paper's worked example; then component boxes and their matching."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import repeatable

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import box_f1, box_iou_f1, threshold_at_fpr
from uadbench.metrics.box import (
    box_cases,
    box_cases_code,
    box_cases_paper,
    false_positives_code,
    false_positives_paper,
    pixels_in,
    threshold_on_grid,
)
from uadbench.metrics.counting import rounded, tally_pixels
from uadbench.metrics.detection import boxes_of, iou, matches

SIZE = 20
MONOTONE = {"fourth power": lambda x: x**4, "exponential": lambda x: np.exp(100 * x)}


def boxed_scene(seed=0):
    """A rounded map, two boxes that are brighter, a ragged foreground, and a healthy map of the same noise."""
    rng = np.random.default_rng(seed)
    one, healthy = rng.integers(1, 64, (2, SIZE, SIZE)) / 128.0
    boxes = np.concatenate([rng.uniform(0, 11, (2, 2)), rng.uniform(3, 9, (2, 2))], axis=1).astype(np.float32)
    x, y, w, h = boxes[0].astype(int)
    one[y : y + h, x : x + w] += 0.25
    return rounded(one), boxes, rng.random((SIZE, SIZE)) < 0.8, rounded(healthy)


def plain_cases(one, boxes, body, threshold, *, published):
    """RA's cases with sums of scores, pixel by pixel: as printed, or as the published code counts."""
    cases = []
    for box in boxes:
        inside = hits = 0
        healthy, anomalous = [], []
        for (row, column), value in np.ndenumerate(one.astype(np.float64)):
            within = [x <= column + 0.5 < x + w and y <= row + 0.5 < y + h for x, y, w, h in (box, *boxes)]
            kept = value >= threshold if published else value > threshold
            inside, hits = inside + within[0], hits + (within[0] and kept)
            anomalous += [value] * bool(within[0] and kept)
            healthy += [value] * bool(body[row, column] and not any(within) and kept)
        below, above = math.fsum(healthy), math.fsum(anomalous)
        detected = 10 * hits > inside if published else hits > 0 and 10 * hits >= inside
        false = math.floor(below / max(above, 1)) if published else below / max(above, 1e-300)
        precision = 1 / (1 + false)
        cases.append((detected, 2 * precision / (precision + 1) if detected else 0.0))
    return cases


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.4375, 0.6])  # 0.4375 is a value of the map: > and >= differ
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("cases_of", "published"), [(box_cases_paper, False), (box_cases_code, True)])
def test_cases_by_sums_agree_with_a_loop_over_every_pixel(cases_of, published, seed, threshold):
    one, boxes, body, _ = boxed_scene(seed)
    found = cases_of(one, boxes, body, threshold)
    expected = plain_cases(one, boxes, body, threshold, published=published)
    assert [case.detected for case in found] == [detected for detected, _ in expected]
    assert [case.f1 for case in found] == pytest.approx([f1 for _, f1 in expected], abs=1e-12)


def test_the_false_positives_of_the_worked_example_are_floored_by_the_code_only():
    assert false_positives_paper(13.95, 3.16) == pytest.approx(4.41, abs=5e-3)
    assert false_positives_code(13.95, 3.16) == 4


@pytest.mark.parametrize(("cases_of", "false"), [(box_cases_paper, 13.95 / 3.16), (box_cases_code, 4)])
def test_the_worked_example_as_a_map(cases_of, false):
    one = np.zeros((10, 10), np.float32)
    one[0, :4], one[5, :9] = 0.79, 1.55  # 3.16 in the box, 13.95 in healthy tissue
    (case,) = cases_of(one, np.array([[0, 0, 4, 1]], np.float32), np.ones((10, 10), bool), 0.5)
    assert (case.detected, case.f1) == (True, pytest.approx(2 / (2 + false), abs=1e-6))


@pytest.mark.parametrize(("healthy", "anomalous", "false"), [(0.9, 0.1, 0), (7.5, 0.1, 7), (5.1, 1.7, 3), (0, 0, 0)])
def test_the_code_divides_by_one_at_least_and_then_floors(healthy, anomalous, false):
    assert false_positives_code(healthy, anomalous) == false


@settings(repeatable, max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 10**4))
def test_the_code_floors_the_quotient_that_was_rounded(healthy, anomalous):
    sums = healthy / 100, anomalous / 100
    assert false_positives_code(*sums) == int(np.floor(sums[0] / np.maximum(sums[1], 1)))


def test_false_positives_without_a_true_one_are_undefined_in_the_paper():
    with pytest.raises(UndefinedMetricError, match="nothing above the threshold in the box; H / A has no value"):
        false_positives_paper(3.0, 0.0)


def mean_f1(cases_of, one, boxes, body, threshold):
    return float(np.mean([case.f1 for case in cases_of(rounded(one), boxes, body, threshold)]))


@pytest.mark.parametrize("name", MONOTONE)
def test_box_f1_is_one_number_on_every_scale(name):
    one, boxes, body, healthy = boxed_scene(seed=1)
    scale = MONOTONE[name]
    plain = mean_f1(box_cases, one, boxes, body, threshold_at_fpr(healthy, 0.05))
    with np.errstate(over="raise"):
        changed = [scale(some.astype(np.float64)) for some in (one, healthy)]
    assert 0 < plain < 1
    assert mean_f1(box_cases, changed[0], boxes, body, threshold_at_fpr(changed[1], 0.05)) == plain


@pytest.mark.parametrize("name", MONOTONE)
@pytest.mark.parametrize("cases_of", [box_cases_paper, box_cases_code])
def test_box_f1_by_sums_depends_on_the_scale(cases_of, name):
    one, boxes, body, healthy = boxed_scene(seed=1)
    changed = [MONOTONE[name](some.astype(np.float64)) for some in (one, healthy)]
    plain = mean_f1(cases_of, one, boxes, body, threshold_at_fpr(healthy, 0.3))
    assert mean_f1(cases_of, changed[0], boxes, body, threshold_at_fpr(changed[1], 0.3)) != pytest.approx(plain)


@pytest.mark.parametrize(("found", "counted", "published"), [(2, False, False), (3, True, False), (4, True, True)])
def test_a_tenth_of_a_box_is_enough_but_the_code_wants_more(found, counted, published):
    one = np.zeros((8, 8), np.float32)
    one[0, :found] = 1
    scene = one, np.array([[0, 0, 6, 5]], np.float32), np.ones((8, 8), bool), 0.5
    detected = [cases_of(*scene)[0].detected for cases_of in (box_cases, box_cases_paper, box_cases_code)]
    assert detected == [counted, counted, published]


def test_the_code_keeps_values_on_the_threshold():
    one, box = np.full((4, 4), 0.5, np.float32), np.array([[0, 0, 2, 2]], np.float32)
    detected = [cases_of(one, box, np.ones((4, 4), bool), 0.5)[0].detected for cases_of in (box_cases, box_cases_code)]
    assert detected == [False, True]


def test_a_negative_threshold_is_undefined_in_the_paper():
    one, boxes, body, _ = boxed_scene()
    with pytest.raises(UndefinedMetricError, match=r"threshold is -0\.25; sums of negative scores have no sense"):
        box_cases_paper(one - 1, boxes, body, -0.25)


@pytest.mark.parametrize("cases_of", [box_cases, box_cases_paper, box_cases_code])
def test_an_image_without_a_box_has_no_case(cases_of):
    assert cases_of(np.ones((4, 4), np.float32), np.zeros((0, 4), np.float32), np.ones((4, 4), bool), 0.5) == []


@pytest.mark.parametrize("cases_of", [box_cases, box_cases_paper, box_cases_code])
def test_cases_leave_their_inputs_alone(cases_of):
    parts = boxed_scene()[:3]
    before = [part.tobytes() for part in parts]
    for part in parts:
        part.flags.writeable = False
    cases_of(*parts, 0.2)
    assert [part.tobytes() for part in parts] == before


def plain_grid_threshold(maps, percent):
    """The published search: the mean over images of the percentage above, for each k / 1000."""
    for k in range(1000):
        shares = [100 * np.count_nonzero(one > k / 1000) / one.size for one in maps.astype(np.float64)]
        if np.mean(shares) <= percent:
            return k / 1000
    raise AssertionError("the grid ends at 0.999")


@pytest.mark.parametrize("percent", [1, 2, 5])
@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0])
def test_the_threshold_on_the_grid_is_that_of_the_published_search(scale, percent):
    maps = rounded(np.random.default_rng(percent).random((3, SIZE, SIZE)) ** 2 * scale)
    counts = tally_pixels(maps, np.zeros(maps.shape, bool))
    assert threshold_on_grid(counts, percent / 100) == plain_grid_threshold(maps, percent)


@pytest.mark.parametrize(("high", "threshold"), [(5, 0.0), (6, 0.25)])  # of 100 pixels
def test_a_rate_of_exactly_five_percent_passes_on_the_grid(high, threshold):
    maps = np.zeros((1, 10, 10))
    maps.flat[:high] = 0.25
    assert threshold_on_grid(tally_pixels(maps, maps < 0), 0.05) == threshold


def test_a_map_beyond_the_grid_has_no_threshold_on_it():
    with pytest.raises(UndefinedMetricError, match=r"no threshold up to 0\.999 reaches that rate; .* another scale"):
        threshold_on_grid(tally_pixels(np.full((1, 4, 4), 3.0), np.zeros((1, 4, 4), bool)), 0.05)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((2, 3, 0, 0), [[2, 1]]),  # on a corner of four pixels: the first of them
        ((2.5, 3.5, 0, 0), [[3, 2]]),
        ((1.6, 0, 0.3, 2), [[0, 1], [1, 1]]),  # thin
        ((-2, -2, 3, 4), [[0, 0], [1, 0]]),
        ((6.5, 6.5, 9, 9), [[6, 6], [6, 7], [7, 6], [7, 7]]),
        ((20, 3, 2, 1), [[3, 7]]),  # outside
    ],
)
def test_the_pixels_of_odd_boxes(box, pixels):
    assert np.argwhere(pixels_in(np.array(box, np.float32), 8, 8)).tolist() == pixels


@pytest.mark.parametrize("cases_of", [box_cases, box_cases_paper, box_cases_code])
@pytest.mark.parametrize("box", [(2.2, 3.2, 0.1, 0.1), (2.5, 3.5, 0, 0), (-3, 3, 6, 1), (2, 3, 40, 1)])
def test_odd_boxes_are_cases_like_others(cases_of, box):
    one = np.zeros((8, 8), np.float32)
    one[3, 2] = 2
    (case,) = cases_of(one, np.array([box], np.float32), np.ones((8, 8), bool), 0.5)
    assert (case.detected, case.f1) == (True, 1)


def test_iou_by_hand():
    boxes = np.array([[0, 0, 4, 4], [10, 10, 1, 2]])
    others = np.array([[0, 0, 4, 4], [2, 2, 4, 4], [1, 1, 2, 2], [4, 0, 4, 4], [10.5, 10, 1, 2]])
    expected = [[1, 4 / 28, 4 / 16, 0, 0], [0, 0, 0, 0, 1 / 3]]
    assert iou(boxes, others) == pytest.approx(np.array(expected), abs=1e-12)


def test_boxes_of_no_area_overlap_nothing():
    empty = np.array([[1, 1, 0, 0]])
    assert iou(empty, empty).tolist() == [[0]]


@settings(repeatable, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_iou_is_symmetric_and_a_share(seed):
    one, other = np.random.default_rng(seed).uniform(0, 9, (2, 5, 4))
    found = iou(one, other)
    assert found == pytest.approx(iou(other, one).T)
    assert ((found >= 0) & (found <= 1)).all()


def test_boxes_of_components_are_tight_and_hold_corners_too():
    mask = np.zeros((8, 9), bool)
    mask[1, 2:5] = mask[2, 5] = mask[6, 0] = mask[7, 8] = True
    assert boxes_of(mask).tolist() == [[2, 1, 4, 2], [0, 6, 1, 1], [8, 7, 1, 1]]
    assert boxes_of(mask & False).shape == (0, 4)


@pytest.mark.parametrize("seed", range(3))
def test_no_side_of_a_component_box_can_be_moved_in(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((12, 12), bool)
    mask[2:8, 3:10] = rng.random((6, 7)) < 0.6
    for x, y, w, h in boxes_of(mask).astype(int):
        inside = mask[y : y + h, x : x + w]
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def two_squares(first, second):
    """Two squares of 4 x 4 with these peaks, at (0, 0) and (8, 8)."""
    one = np.zeros((12, 12), np.float32)
    one[:4, :4], one[8:, 8:] = 1, 1
    one[1, 1], one[9, 9] = first, second
    return one


@pytest.mark.parametrize(
    ("boxes", "counts"),
    [
        ([[0, 0, 4, 4], [8, 8, 4, 4]], [2, 0, 0]),
        ([[0, 0, 4, 4]], [1, 1, 0]),
        ([], [0, 2, 0]),
        ([[0, 8, 4, 4], [0, 0, 4, 4]], [1, 1, 1]),
        ([[0, 0, 4, 13.3]], [1, 1, 0]),  # IoU 0.3008
        ([[0, 0, 4, 13.4]], [0, 2, 1]),  # IoU 0.2985
    ],
)
def test_matches_by_hand(boxes, counts):
    found = matches(two_squares(2, 2), np.array(boxes, np.float64).reshape(-1, 4), 0.5)
    assert found.tolist() == counts


@pytest.mark.parametrize(("peaks", "true"), [((9, 5), 2), ((5, 9), 1)])
def test_the_component_with_the_highest_value_chooses_first(peaks, true):
    one = np.zeros((10, 10), np.float32)
    one[0:4, 0:4], one[0:4, 5:9] = 1, 1
    one[0, 0], one[0, 5] = peaks
    boxes = np.array([[0, 0, 9, 4], [5, 0, 4, 13.3]])  # both overlap the first by 0.444, the right the other by 0.301
    assert matches(one, boxes, 0.5)[0] == true


def plain_matches(one, boxes, threshold):
    """TP, FP and FN of one image with loops and scikit-image's components."""
    from skimage.measure import label, regionprops

    parts = regionprops(label(one > threshold, connectivity=2), intensity_image=one)
    free, true = list(range(len(boxes))), 0
    for part in sorted(parts, key=lambda part: -part.intensity_max):
        top, left, bottom, right = part.bbox
        best, chosen = 0.0, None
        for i in free:
            x, y, w, h = boxes[i]
            shared = max(0, min(right, x + w) - max(left, x)) * max(0, min(bottom, y + h) - max(top, y))
            overlap = shared / ((right - left) * (bottom - top) + w * h - shared)
            best, chosen = (overlap, i) if overlap > best else (best, chosen)
        if chosen is not None and best >= 0.3:
            free.remove(chosen)
            true += 1
    return np.array([true, len(parts) - true, len(boxes) - true])


@pytest.mark.parametrize("seed", range(5))
def test_box_iou_f1_agrees_with_loops(seed):
    rng = np.random.default_rng(seed)
    maps = rng.permutation(4 * SIZE * SIZE).reshape(4, SIZE, SIZE) / 4000.0  # below 0.4
    boxes, images = rng.integers(2, 7, (9, 4)).astype(np.float64), np.sort(rng.integers(0, 3, 9))
    boxes[:, :2] *= 2
    for (x, y, w, h), image in zip(boxes.astype(int), images, strict=True):
        maps[image, y : y + h - rng.integers(2), x : x + w - rng.integers(2)] += 0.5
    stored = rounded(maps)
    true, false, missed = sum(plain_matches(stored[i], boxes[images == i], 0.39) for i in range(4))
    assert min(true, false, missed) > 0
    assert box_iou_f1(maps, boxes, images, 0.39) == pytest.approx(2 * true / (2 * true + false + missed), abs=1e-12)


def test_what_is_found_in_an_image_without_boxes_is_false():
    maps, box = np.stack([two_squares(2, 2)] * 2), np.array([[0, 0, 4, 4], [8, 8, 4, 4.0]])
    assert box_iou_f1(maps[:1], box, np.zeros(2, int), 0.5) == 1
    assert box_iou_f1(maps, box, np.zeros(2, int), 0.5) == pytest.approx(4 / 6)


def test_box_iou_f1_of_nothing_with_nothing_is_undefined():
    with pytest.raises(UndefinedMetricError, match="box_iou_f1: no box to find and none found; 0/0 has no value"):
        box_iou_f1(np.zeros((2, 4, 4)), np.zeros((0, 4)), np.zeros(0, int), 0.5)


@pytest.mark.parametrize("images", [[0, 0, 0], [0, 5], [-1, 0]])
def test_boxes_without_one_of_the_images_each_are_refused(images):
    boxes = np.array([[0, 0, 2, 2], [1, 1, 2, 2.0]])
    with pytest.raises(InvalidDataError, match=r"box_iou_f1: 2 boxes in .* Give the row of its map for each box"):
        box_iou_f1(np.zeros((2, 4, 4)), boxes, np.array(images), 0.5)


def test_box_f1_is_the_mean_over_the_cases_of_all_images():
    first, second = boxed_scene(seed=1), boxed_scene(seed=2)
    maps, boxes, bodies = (np.stack([first[i], second[i]]) for i in range(3))
    value = box_f1(maps, boxes.reshape(-1, 4), np.array([0, 0, 1, 1]), bodies, 0.45)
    assert value == pytest.approx(np.mean([mean_f1(box_cases, *one[:3], 0.45) for one in (first, second)]))
