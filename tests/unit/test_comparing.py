"""Comparing: differences on the same resampled subjects."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import constant, noise, oracle, scene

from uadbench.comparing import Difference, compare
from uadbench.errors import InvalidDataError
from uadbench.files.predictions import open_predictions
from uadbench.intervals import percentile_interval, resample_counts
from uadbench.measures import MEASURES, strata
from uadbench.protocols import METRICS
from uadbench.scoring import evidence_of

TWO = {"square": "mask", "disc": "mask"}


def compared(place, first, second):
    """The differences by stratum and metric."""
    files = [open_predictions(place.predict(paint, name)) for name, paint in (("a", first), ("b", second))]
    found = compare(place.rules, place.dataset, place.known, *files)
    return {(one.stratum, one.metric): one for one in found}


def width(interval):
    return interval[1] - interval[0]


def test_a_method_does_not_differ_from_itself(tmp_path):
    for one in compared(scene(tmp_path), noise(1), noise(1)).values():
        assert (one.first - one.second, one.low, one.high, one.differs) == (0, 0, 0, False)


def test_every_metric_is_compared_overall_and_per_pathology(tmp_path):
    differences = compared(scene(tmp_path, TWO), noise(1), noise(2))
    pooled = [name for name in METRICS if not name.startswith(("recon", "subject", "image_recall"))]
    assert set(differences) == {(stratum, metric) for stratum in ("all", "disc", "square") for metric in pooled}


def test_the_values_compared_are_those_of_scoring(tmp_path):
    place = scene(tmp_path, TWO)
    results = [place.score(place.predict(noise(seed))) for seed in (1, 2)]
    for (stratum, metric), one in compared(place, noise(1), noise(2)).items():
        assert [one.first, one.second] == [result.get(metric, stratum).value for result in results]


@pytest.mark.parametrize("metric", ["image_auroc", "pixel_ap"])
def test_pairing_narrows_the_interval_of_two_maps_that_err_together(tmp_path, metric):
    place = scene(tmp_path, each=15, rules={"primary": metric})
    first, second = noise(1, own=0.1, lift=0.3), noise(2, own=0.1, lift=0.3)
    paired = compared(place, first, second)["all", metric]
    draws = [np.array(place.score(place.predict(paint)).draws) for paint in (first, second)]
    shuffled = np.random.default_rng(0).permutation(draws[1])
    assert width((paired.low, paired.high)) < 0.6 * width(percentile_interval(draws[0] - shuffled))


def test_the_paired_interval_is_that_of_the_differences_of_the_draws(tmp_path):
    place = scene(tmp_path)
    one = compared(place, noise(1), noise(2))["all", "image_auroc"]
    first, second = (np.array(place.score(place.predict(noise(seed))).draws) for seed in (1, 2))
    assert (one.low, one.high) == pytest.approx(percentile_interval(first - second), abs=1e-6)


def test_turning_the_two_around_turns_the_interval_around(tmp_path):
    place = scene(tmp_path)
    forth, back = compared(place, noise(1), noise(2)), compared(place, noise(2), noise(1))
    for key, one in forth.items():
        assert (one.low, one.high) == pytest.approx((-back[key].high, -back[key].low), abs=1e-12)


@pytest.mark.parametrize("metric", ["image_auroc", "pixel_ap", "dice_at_fpr5", "box_f1"])
def test_the_oracle_differs_from_constant_maps(tmp_path, metric):
    one = compared(scene(tmp_path), oracle, constant)["all", metric]
    assert one.differs
    assert 0 < one.low <= one.first - one.second <= one.high


def test_too_few_anomalous_subjects_leave_no_interval(tmp_path):
    one = compared(scene(tmp_path, each=4), oracle, constant)["all", "pixel_ap"]
    assert (one.low, one.high, one.differs) == (None, None, False)


@pytest.mark.parametrize(("low", "high", "differs"), [(-1, 1, False), (0, 1, False), (0.1, 1, True), (-1, -0.1, True)])
def test_an_interval_that_leaves_zero_out_differs(low, high, differs):
    assert Difference("all", "pixel_ap", 0.5, 0.4, low, high).differs is differs


def test_metrics_without_a_value_are_left_out(tmp_path):
    differences = compared(scene(tmp_path, {"motion": "image"}), oracle, constant)
    assert {metric for _, metric in differences} == {"image_auroc", "image_ap", "image_fpr_at_tpr95"}


def test_incomplete_predictions_are_refused(tmp_path):
    place = scene(tmp_path)
    whole, part = place.predict(oracle, "a"), place.predict(oracle, "b", order=slice(0, 5))
    with pytest.raises(InvalidDataError, match=r"5 of 6 images of val are predicted\. Predict all of them"):
        compare(place.rules, place.dataset, place.known, open_predictions(whole), open_predictions(part))


def test_metrics_of_healthy_images_alone_have_an_interval_here_as_in_scoring(tmp_path):
    def copied(images, truth):
        return replace(noise(1)(images, truth), reconstructions=images.pixels)

    place = scene(tmp_path)
    result = place.score(place.predict(copied)).get("recon_mae")
    one = compared(place, copied, copied)["all", "recon_mae"]
    assert (one.low, one.high) == (result.low, result.high) == (0, 0)


def test_a_resample_without_a_box_to_find_has_no_value_whatever_was_found(tmp_path):
    place = scene(tmp_path, {"square": "box"}, each=1)
    files = [open_predictions(place.predict(paint, name)) for name, paint in (("a", oracle), ("b", noise(1, lift=0)))]
    sides = [evidence_of(place.rules, place.dataset, place.known, one) for one in files]
    weights = resample_counts(sides[0].subjects, 50, 0)
    valueless = [np.isnan(MEASURES["box_iou_f1"](strata(one, weights, "all")[0]).draws) for one in sides]
    assert valueless[0].any()
    assert (valueless[0] == valueless[1]).all()
