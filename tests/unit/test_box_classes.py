"""Boxes with classes of their own, and boxes that are ignored: strata by class, and what is not healthy tissue."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import SIZE, noise, scene

from uadbench.metrics import box_f1, box_iou_f1, image_auroc, threshold_at_fpr
from uadbench.metrics.detection import matching
from uadbench.protocols import METRICS, SCALED_METRICS
from uadbench.types import Prediction

EVERY = {"metrics": (*METRICS, *SCALED_METRICS), "resamples": 50}
BOX_METRICS = ("box_f1", "box_f1_foreground", "box_f1_paper", "box_f1_code", "box_iou_f1")
LEFT, RIGHT = (1, 1, 4, 4), (9, 9, 4, 4)


def classed(split, one):
    """Of six images two show an edema, two a mass, and two both, the edema on the left."""
    if not one.label:
        return one
    both = one.name in ("sick-4", "sick-5")
    classes = ("edema", "mass") if both else ("edema",) if one.name in ("sick-0", "sick-1") else ("mass",)
    boxes = np.array([LEFT if name == "edema" else RIGHT for name in classes], np.float32)
    return replace(one, pathology="several" if both else classes[0], boxes=boxes, box_pathologies=classes)


def strata(result):
    return list(dict.fromkeys(value.stratum for value in result.values))


def left_found(images, truth):
    """1 on the left of every anomalous image and on a spot of 4 pixels where no box is, 0 elsewhere."""
    maps = np.zeros(truth.masks.shape, np.float32)
    maps[truth.labels, 1:5, 1:5] = 1
    maps[truth.labels, 13:15, 0:2] = 1
    return Prediction(maps, truth.labels.astype(np.float64))


@pytest.fixture
def place(tmp_path):
    return scene(tmp_path, {"sick": "box"}, change=classed, rules=EVERY)


def test_an_image_is_in_the_stratum_of_each_class_of_its_boxes(place):
    result = place.score(place.predict(left_found))
    assert strata(result) == ["all", "edema", "mass", "several"]
    assert [result.get("image_auroc", name).images for name in strata(result)] == [12, 10, 10, 8]


def test_box_f1_of_a_class_is_the_mean_over_its_boxes_in_all_images(place):
    result = place.score(place.predict(left_found))
    found = {name: result.get("box_f1", name) for name in strata(result)}
    assert {name: (one.cases, one.details["detected"]) for name, one in found.items()} == {
        "all": (8, 4), "edema": (4, 4), "mass": (4, 0), "several": (4, 2)
    }  # fmt: skip
    # 16 pixels in the box and 4 in healthy tissue, but where there is a mass alone the left is healthy tissue too
    assert found["edema"].value == pytest.approx(2 / (2 + 4 / 16))
    assert (found["mass"].value, found["all"].value) == (0, pytest.approx(found["edema"].value / 2))


def test_box_f1_of_a_class_is_that_of_its_boxes_with_the_others_outside_the_body(place):
    predictions = place.predict(noise(5))
    (maps, _), truth = place.stored(predictions), place.truth
    chosen = np.array(truth.box_pathologies) == "mass"
    body = np.ones(maps.shape, bool)
    for row in truth.box_images[~chosen]:
        body[row, 1:5, 1:5] = False
    threshold = threshold_at_fpr(place.stored(predictions, "val")[0], 0.05)
    expected = box_f1(maps, truth.boxes[chosen], truth.box_images[chosen], body, threshold)
    assert place.score(predictions).get("box_f1", "mass").value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "true", "false", "missed"), [("all", 4, 8, 4), ("edema", 4, 4, 0), ("mass", 0, 6, 4), ("several", 2, 2, 2)]
)
def test_what_finds_another_class_is_neither_true_nor_false(place, name, true, false, missed):
    value = place.score(place.predict(left_found)).get("box_iou_f1", name)
    assert value.value == pytest.approx(2 * true / (2 * true + false + missed))
    assert (value.details["detected"], value.cases) == (true, true + missed)


def test_scores_of_a_class_are_those_of_every_image_that_shows_it(place):
    predictions = place.predict(noise(6))
    (_, scores), truth = place.stored(predictions), place.truth
    shows = np.isin(np.array(truth.pathologies), ["edema", "several"]) | ~truth.labels
    expected = image_auroc(scores[shows], truth.labels[shows])
    assert place.score(predictions).get("image_auroc", "edema").value == pytest.approx(expected, abs=1e-12)


def test_classes_that_only_repeat_the_pathology_change_no_value(tmp_path):
    def named(split, one):
        return replace(one, box_pathologies=("sick",)) if one.label else one

    results = []
    for name, change in (("plain", lambda split, one: one), ("named", named)):
        place = scene(tmp_path / name, {"sick": "mask"}, change=change, rules=EVERY)
        results.append(place.score(place.predict(noise(7))))
    assert results[0].values == results[1].values
    assert results[0].draws == results[1].draws


def test_pixels_of_an_image_with_masks_count_for_each_class_that_it_shows(tmp_path):
    place = scene(tmp_path, {"sick": "mask"}, change=classed, rules=EVERY)
    result = place.score(place.predict(noise(8)))
    pixels = {name: result.get("pixel_ap", name) for name in strata(result)}
    assert [one.images for one in pixels.values()] == [12, 10, 10, 8]
    assert [one.cases for one in pixels.values()] == [n * SIZE * SIZE for n in (12, 10, 10, 8)]


def ignoring(box):
    def change(split, one):
        return replace(one, ignored=np.array([box], np.float32)) if one.label else one

    return change


def drawn(box):
    """The annotated boxes found whole, and this other box besides."""

    def paint(images, truth):
        maps = np.random.default_rng(3).uniform(0, 0.1, truth.masks.shape).astype(np.float32)
        for (x, y, w, h), row in zip(truth.boxes.astype(int), truth.box_images, strict=True):
            maps[row, y : y + h, x : x + w] = 1
        x, y, w, h = box
        maps[truth.labels, y : y + h, x : x + w] = 0.8
        return Prediction(maps, truth.labels.astype(np.float64))

    return paint


@pytest.mark.parametrize("metric", BOX_METRICS)
def test_what_is_found_in_an_ignored_box_costs_nothing(tmp_path, metric):
    values = []
    for name, change in (("known", lambda split, one: one), ("ignored", ignoring((10, 1, 4, 12)))):
        place = scene(tmp_path / name, {"sick": "box"}, change=change, rules=EVERY)
        values.append(place.score(place.predict(drawn((10, 1, 4, 12)))).get(metric).value)
    assert values[0] < values[1]


def test_a_component_on_an_ignored_box_is_excused_from_an_overlap_of_three_tenths_on():
    one = np.zeros((12, 12), np.float32)
    one[0:4, 0:4] = 1
    for ignored, false in (((0, 0, 4, 13.3), 0), ((0, 0, 4, 13.4), 1)):  # IoU 0.3008 and 0.2985
        assert matching(one, np.zeros((0, 4)), np.array([ignored]), 0.5)[1] == false


def test_a_component_prefers_the_box_that_is_searched_for():
    one = np.zeros((12, 12), np.float32)
    one[0:4, 0:4] = 1
    box = np.array([[0.0, 0, 4, 4]])
    found, false = matching(one, box, box, 0.5)
    assert (found.tolist(), false) == ([True], 0)
    assert box_iou_f1(one[None], box, np.zeros(1, int), 0.5) == 1
