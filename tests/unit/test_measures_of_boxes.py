"""Measures of boxes and reconstructions: counted from files as from arrays."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import SIZE, noise, scene

from uadbench.metrics import (
    box_f1,
    box_iou_f1,
    mae,
    mse,
    ssim,
    threshold_at_fpr,
)
from uadbench.metrics.box import box_cases_code, box_cases_paper, threshold_on_grid
from uadbench.metrics.counting import tally_pixels
from uadbench.metrics.reconstruction import ssim_in
from uadbench.protocols import METRICS, SCALED_METRICS
from uadbench.types import Prediction

EVERY = {"metrics": (*METRICS, *SCALED_METRICS), "resamples": 50}


def val_threshold(place, predictions, fpr=0.05):
    return threshold_at_fpr(place.stored(predictions, "val")[0], fpr)


def twinned(split, one):
    """The clean twin of every anomalous image but the first is the image before it was brightened."""
    if not one.label or one.name.endswith("-0"):
        return one
    return replace(one, pixels=one.pixels + np.uint8(100) * one.mask, clean=one.pixels)


def smoothing(images, truth):
    """Noise maps with reconstructions that pull every image half way to grey."""
    plain = noise(3)(images, truth)
    return Prediction(plain.maps, plain.scores, (0.5 * images.pixels + 0.1).astype(np.float32))


def loud_outside(images, truth):
    """Noise that is much higher outside the body."""
    plain = noise(12, lift=3)(images, truth)
    return Prediction(plain.maps + np.float32(9) * ~images.foreground, plain.scores)


def test_box_f1_in_the_foreground_takes_the_threshold_of_the_foreground(tmp_path):
    place = scene(tmp_path, body=slice(2, 12))
    predictions = place.predict(loud_outside)
    truth, (maps, _), result = place.truth, place.stored(predictions), place.score(predictions)
    body = np.zeros(maps.shape, bool)
    body[:, :, 2:12] = True
    for name, columns in (("box_f1", slice(None)), ("box_f1_foreground", slice(2, 12))):
        threshold = threshold_at_fpr(place.stored(predictions, "val")[0][:, :, columns], 0.05)
        expected = box_f1(maps, truth.boxes, truth.box_images, body, threshold)
        assert result.get(name).details["threshold"] == threshold
        assert result.get(name).value == pytest.approx(expected, abs=1e-12)
    assert result.get("box_f1_foreground").value > 0 == result.get("box_f1").value


def below_one(images, truth):
    """Noise on the scale of the published grid."""
    plain = noise(13, lift=2)(images, truth)
    return Prediction(plain.maps / 20, plain.scores)


@pytest.mark.parametrize(("metric", "cases_of"), [("box_f1_paper", box_cases_paper), ("box_f1_code", box_cases_code)])
def test_box_f1_by_sums_of_files_is_the_mean_of_its_cases(tmp_path, metric, cases_of):
    place = scene(tmp_path, rules=EVERY)
    predictions = place.predict(below_one)
    (maps, _), (val, _), truth = place.stored(predictions), place.stored(predictions, "val"), place.truth
    on_grid = threshold_on_grid(tally_pixels(val, np.zeros(val.shape, bool)), 0.05)
    threshold = on_grid if metric == "box_f1_code" else threshold_at_fpr(val, 0.05)
    boxes = [(maps[row], box[None]) for box, row in zip(truth.boxes, truth.box_images, strict=True)]
    cases = [cases_of(one, box, np.ones((SIZE, SIZE), bool), threshold)[0] for one, box in boxes]
    value = place.score(predictions).get(metric)
    assert value.value == pytest.approx(np.mean([case.f1 for case in cases]), abs=1e-12)
    assert 0 < value.details["detected"] == sum(case.detected for case in cases)


@pytest.mark.parametrize(("metric", "offset"), [("box_f1_paper", -50), ("box_f1_code", 50)])
def test_box_f1_by_sums_is_undefined_on_scales_that_it_has_no_sense_on(tmp_path, metric, offset):
    def moved(images, truth):
        plain = noise(13)(images, truth)
        return Prediction(plain.maps + np.float32(offset), plain.scores)

    place = scene(tmp_path, rules=EVERY)
    result = place.score(place.predict(moved))
    assert result.get(metric).undefined == f"{metric}: no threshold that fits the scale of these maps."
    assert result.get("box_f1").value is not None


def test_box_iou_f1_counts_what_is_found_in_healthy_images(tmp_path):
    place = scene(tmp_path, {"square": "box", "motion": "image"})
    predictions = place.predict(noise(14, lift=0))
    (maps, _), truth, value = place.stored(predictions), place.truth, place.score(predictions).get("box_iou_f1")
    threshold = val_threshold(place, predictions)
    searched = [row for row in range(len(truth)) if truth.pathologies[row] != "motion"]
    rows = np.array([searched.index(row) for row in truth.box_images])
    assert value.value == pytest.approx(box_iou_f1(maps[searched], truth.boxes, rows, threshold), abs=1e-12)
    assert value.images == len(searched) == 12


def boxes_drawn(images, truth):
    """The annotated boxes, and one false box in each healthy test image."""
    maps = np.zeros(truth.masks.shape, np.float32)
    for (x, y, w, h), row in zip(truth.boxes.astype(int), truth.box_images, strict=True):
        maps[row, y : y + h, x : x + w] = 1
    if truth.labels.any():
        maps[~truth.labels, 5:9, 5:9] = 1
    return Prediction(maps, maps.mean(axis=(1, 2)).astype(np.float64))


def test_a_false_box_in_each_healthy_image_costs_a_third(tmp_path):
    place = scene(tmp_path, {"square": "box", "motion": "image"})
    value = place.score(place.predict(boxes_drawn)).get("box_iou_f1")
    assert (value.value, value.details["detected"], value.cases) == (pytest.approx(12 / 18), 6, 6)


def test_reconstructions_of_healthy_images_are_compared_with_the_images(tmp_path):
    place = scene(tmp_path, change=twinned)
    result, test = place.score(place.predict(smoothing)), place.dataset["test"]
    images = [test[row : row + 1].pixels[0] for row in np.flatnonzero(~place.truth.labels)]
    for name, metric in (("recon_ssim", ssim), ("recon_mse", mse), ("recon_mae", mae)):
        expected = np.mean([metric(one, np.float32(0.5) * one + np.float32(0.1)) for one in images])
        assert result.get(name).value == pytest.approx(expected, abs=1e-7)
        assert result.get(name).images == result.get(name, "square").images == 6


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_reconstructions_of_anomalous_images_are_compared_with_their_clean_twins(tmp_path, side):
    place = scene(tmp_path, change=twinned)
    result, test, truth = place.score(place.predict(smoothing)), place.dataset["test"], place.truth
    rows = [row for row in np.flatnonzero(truth.labels) if truth.names[row] != "square-0"]
    for name, metric in (("recon_ssim", ssim_in), ("recon_mse", mse), ("recon_mae", mae)):
        found = []
        for row in rows:
            region = truth.masks[row] if side == "inside" else ~truth.masks[row]
            made = np.float32(0.5) * test[row : row + 1].pixels[0] + np.float32(0.1)
            found.append(metric(truth.clean[row], made, region))
        value = result.get(f"{name}_{side}")
        assert (value.value, value.images) == (pytest.approx(np.mean(found), abs=1e-7), 5)


def test_the_clean_twin_as_reconstruction_is_perfect(tmp_path):
    def healing(images, truth):
        clean = images.pixels if truth.clean is None else truth.clean
        return Prediction(truth.masks.astype(np.float32), truth.labels.astype(np.float64), clean)

    place = scene(tmp_path, change=twinned)
    result = place.score(place.predict(healing))
    for name, best in (("ssim", 1), ("mse", 0), ("mae", 0)):
        for side in ("", "_inside", "_outside"):
            assert result.get(f"recon_{name}{side}").value == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_without_a_clean_twin_there_is_nothing_to_compare_an_anomalous_image_with(tmp_path, side):
    place = scene(tmp_path)
    result = place.score(place.predict(smoothing))
    undefined = result.get(f"recon_mse_{side}").undefined
    assert undefined == f"recon_mse_{side}: no case in this stratum; the mean has no value."
    assert result.get("recon_mse").value > 0


def test_a_method_without_reconstructions_has_no_value_for_them(tmp_path):
    place = scene(tmp_path)
    values = place.score(place.predict(noise(1))).values
    found = [value.undefined for value in values if value.metric.startswith("recon")]
    assert len(found) == 18
    assert all(one.endswith(": the method returns no reconstructions.") for one in found)
