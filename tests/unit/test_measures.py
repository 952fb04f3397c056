"""Every metric on tiny datasets on disk: the file's number is the definition on the arrays that lie in the file."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import SIZE, constant, noise, oracle, rows_of, scene
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from uadbench.errors import UndefinedMetricError
from uadbench.files.predictions import open_predictions
from uadbench.measures import MEASURES, strata
from uadbench.metrics import (
    aupro,
    dice,
    image_fpr_at_tpr95,
    lesion_recall,
    threshold_at_fpr,
)
from uadbench.metrics.region import regions, regions_above
from uadbench.protocols import METRICS, SCALED_METRICS
from uadbench.scoring import evidence_of
from uadbench.types import Prediction

TWO = {"square": "mask", "disc": "mask"}
EVERY = {"metrics": (*METRICS, *SCALED_METRICS), "resamples": 50}
IMAGE = tuple(name for name in METRICS if name.startswith("image"))
BOX = tuple(name for name in EVERY["metrics"] if name.startswith("box"))
OF_PIXELS = ("pixel_ap", "pixel_auroc", "aupro", "oracle_dice", "dice_at_fpr5", "dice_at_fpr1", "recall_at_fpr5")


def val_threshold(place, predictions, fpr=0.05):
    return threshold_at_fpr(place.stored(predictions, "val")[0], fpr)


def sliced(split, one):
    """Two healthy and two anomalous slices per test subject; one subject has healthy slices only."""
    place = int(one.name.split("-")[1]) // 2
    other = "healthy" if split == "test" and not one.label and place == 2 else f"{split}-{place}"
    return replace(one, subject=other)


def blotched(split, one):
    """Three regions of 1, 8 and 40 pixels in every masked image; the last two are one lesion, joined by a corner."""
    if one.mask is None:
        return one
    mask = np.zeros((SIZE, SIZE), bool)
    place = int(one.name.split("-")[1])
    mask[0, place % SIZE] = mask[2:4, 1:5] = mask[8:13, 1:9] = True
    return replace(one, mask=mask)


def sick(split, one):
    """No test image is healthy: the healthy ones get a mask of their own."""
    if split != "test" or one.label:
        return one
    mask = np.zeros((SIZE, SIZE), bool)
    mask[9:13, 9:13] = True
    return replace(one, label=1, pathology="disc", annotation="mask", mask=mask)


@pytest.mark.parametrize("levels", [2, 5, 1000])  # few levels = many ties
@pytest.mark.parametrize("seed", range(3))
def test_the_rate_at_95_percent_found_is_the_least_of_scikit_learns_curve(levels, seed):
    rng = np.random.default_rng(seed)
    labels = rng.random(120) < 0.4
    scores = np.floor(levels * (rng.random(120) + 0.4 * labels))
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert image_fpr_at_tpr95(scores, labels) == pytest.approx(false[true >= 0.95].min(), abs=1e-12)


@pytest.mark.parametrize(("missed", "rate"), [(1, 0.0), (2, 0.5)])
def test_nineteen_of_twenty_are_95_percent(missed, rate):
    scores = np.array([1.0] * missed + [3.0] * (20 - missed) + [0.0, 2.0])
    assert image_fpr_at_tpr95(scores, np.arange(22) < 20) == rate


def test_a_constant_score_finds_all_only_with_all_false_alarms():
    assert image_fpr_at_tpr95(np.zeros(4), np.array([0, 1, 0, 1], bool)) == 1


def late(images, truth):
    """Scores of which the lowest anomalous one lies below half of the healthy ones, the next below none."""
    healthy, anomalous = np.cumsum(~truth.labels) - 1.0, 100.0 + np.cumsum(truth.labels)
    scores = np.where(truth.labels, np.where(anomalous == 101, 3.5, anomalous), healthy)
    return Prediction(truth.masks.astype(np.float32), scores)


def test_image_fpr_at_tpr95_of_files_is_that_of_scikit_learns_curve(tmp_path):
    place = scene(tmp_path, TWO, each=8)
    predictions = place.predict(late)
    (_, scores), result = place.stored(predictions), place.score(predictions)
    for name, wanted in (("all", list(TWO)), ("disc", ["disc"])):
        rows = rows_of(place.truth, wanted)
        false, true, _ = roc_curve(place.truth.labels[rows], scores[rows], drop_intermediate=False)
        expected = false[true >= 0.95].min()
        assert false[true >= 0.9].min() < expected < 1 or name == "disc"
        assert result.get("image_fpr_at_tpr95", name).value == pytest.approx(expected, abs=1e-12)


def test_image_recall_is_the_share_above_the_threshold_of_validation_scores(tmp_path):
    place = scene(tmp_path, each=22)
    predictions = place.predict(noise(2, lift=0.5))
    value, labels = place.score(predictions).get("image_recall_at_fpr5"), place.truth.labels
    scores, known = place.stored(predictions)[1], np.sort(place.stored(predictions, "val")[1])
    assert value.details["threshold"] == known[-2]  # one of 22 may lie above
    assert 0 < value.value < 1
    assert value.value == pytest.approx((scores[labels] > known[-2]).mean(), abs=1e-12)
    assert value.details["realised_fpr"] == pytest.approx((scores[~labels] > known[-2]).mean(), abs=1e-12)


@pytest.mark.parametrize(("each", "defined"), [(19, False), (20, True)])
def test_image_recall_needs_twenty_validation_images(tmp_path, each, defined):
    place = scene(tmp_path, each=each, rules={"metrics": IMAGE})
    value = place.score(place.predict(oracle)).get("image_recall_at_fpr5")
    assert (value.value is not None) == defined
    assert ("fewer than 20 healthy validation images." in value.undefined) != defined


def test_a_score_on_the_threshold_is_not_found(tmp_path):
    place = scene(tmp_path, each=20, rules={"metrics": IMAGE})
    value = place.score(place.predict(constant)).get("image_recall_at_fpr5")
    assert (value.value, value.details["realised_fpr"], value.details["threshold"]) == (0, 0, 0.1)


def test_pixel_ap_per_image_is_the_mean_of_scikit_learns(tmp_path):
    place = scene(tmp_path, {**TWO, "motion": "image"}, change=blotched)
    predictions = place.predict(noise(4))
    (maps, _), truth, result = place.stored(predictions), place.truth, place.score(predictions)
    for name, wanted in (("all", list(TWO)), ("disc", ["disc"])):
        rows = np.flatnonzero(np.isin(truth.pathologies, wanted))
        expected = [average_precision_score(truth.masks[row].ravel(), maps[row].ravel()) for row in rows]
        value = result.get("pixel_ap_per_image", name)
        assert (value.value, value.cases) == (pytest.approx(np.mean(expected), abs=1e-9), len(rows))


def test_subject_dice_takes_the_slices_of_a_subject_together(tmp_path):
    place = scene(tmp_path, change=sliced)
    predictions = place.predict(noise(5))
    (maps, _), truth, threshold = place.stored(predictions), place.truth, val_threshold(place, predictions)
    value = place.score(predictions).get("subject_dice_at_fpr5")
    mine = [np.array(truth.subjects) == one for one in sorted(set(truth.subjects))]
    expected = [dice(maps[rows], truth.masks[rows], threshold) for rows in mine if truth.masks[rows].any()]
    assert len(expected) == value.cases == value.subjects == 3
    assert value.value == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("name", ["all", "disc"])
def test_subject_auroc_takes_the_slices_of_a_subject_together(tmp_path, name):
    place = scene(tmp_path, TWO, change=sliced)
    predictions = place.predict(noise(6))
    (maps, _), truth = place.stored(predictions), place.truth
    rows = rows_of(truth, TWO if name == "all" else [name])
    mine = [rows & (np.array(truth.subjects) == one) for one in sorted(set(truth.subjects))]
    flat = [(truth.masks[some].ravel(), maps[some].ravel()) for some in mine if truth.masks[some].any()]
    value = place.score(predictions).get("subject_auroc", name)
    assert (len(flat), value.cases) == (3, 3)
    assert value.value == pytest.approx(np.mean([roc_auc_score(*one) for one in flat]), abs=1e-9)


@pytest.mark.parametrize("metric", ["subject_dice_at_fpr5", "subject_auroc"])
def test_subject_metrics_of_one_image_per_subject_are_undefined(tmp_path, metric):
    place = scene(tmp_path)
    value = place.score(place.predict(oracle)).get(metric)
    assert value.undefined == f"{metric}: every subject has one image; see the metric over images instead."


@pytest.mark.parametrize("metric", ["subject_dice_at_fpr5", "subject_auroc"])
def test_the_interval_of_a_subject_metric_resamples_subjects(tmp_path, metric):
    place = scene(tmp_path, each=12, change=sliced, rules={"primary": metric})
    result = place.score(place.predict(noise(6)))
    value = result.get(metric)
    assert value.low < value.value < value.high
    assert len(set(result.draws)) > 100


@pytest.mark.parametrize(("metric", "fpr"), [("dice_at_fpr1", 0.01), ("dice_at_fpr5", 0.05)])
def test_dice_uses_the_validation_threshold_of_its_own_rate(tmp_path, metric, fpr):
    place = scene(tmp_path)
    predictions = place.predict(noise(7, lift=4))
    value, threshold = place.score(predictions).get(metric), val_threshold(place, predictions, fpr)
    expected = dice(place.stored(predictions)[0], place.truth.masks, threshold)
    assert value.details["threshold"] == threshold
    assert 0 < value.value == pytest.approx(expected, abs=1e-12)


def test_recall_at_fpr5_is_the_share_of_anomalous_pixels_above_the_threshold(tmp_path):
    place = scene(tmp_path, TWO)
    predictions = place.predict(noise(8))
    (maps, _), threshold, result = (
        place.stored(predictions),
        val_threshold(place, predictions),
        place.score(predictions),
    )
    for name, wanted in (("all", list(TWO)), ("square", ["square"])):
        inside = place.truth.masks & rows_of(place.truth, wanted)[:, None, None]
        value = result.get("recall_at_fpr5", name)
        assert (value.value, value.cases) == (pytest.approx((maps[inside] > threshold).mean()), inside.sum())


def test_lesion_recall_of_files_is_that_of_their_arrays(tmp_path):
    place = scene(tmp_path, change=blotched)
    predictions = place.predict(noise(9))
    value, threshold = place.score(predictions).get("lesion_recall_at_fpr5"), val_threshold(place, predictions)
    expected = lesion_recall(place.stored(predictions)[0], place.truth.masks, threshold)
    assert (value.value, value.cases) == (pytest.approx(expected, abs=1e-12), 18)
    assert value.details["threshold"] == threshold


def test_lesion_recall_by_tercile_of_size(tmp_path):
    place = scene(tmp_path, change=blotched)
    predictions = place.predict(noise(9))
    maps, threshold = place.stored(predictions)[0], val_threshold(place, predictions)
    found = {1: [], 8: [], 40: []}
    for one, mask in zip(maps, place.truth.masks, strict=True):
        for area, above in zip(*regions_above(one, mask, threshold), strict=True):
            found[int(area)].append(above >= area / 10)
    details = place.score(predictions).get("lesion_recall_at_fpr5").details
    shares = [details[f"recall_{size}"] for size in ("small", "medium", "large")]
    assert shares == pytest.approx([np.mean(some) for some in found.values()])
    assert [len(some) for some in found.values()] == [6, 6, 6]


def test_lesions_of_one_size_are_one_tercile(tmp_path):
    place = scene(tmp_path)
    value = place.score(place.predict(noise(9))).get("lesion_recall_at_fpr5")
    assert [name for name in value.details if name.startswith("recall")] == ["recall_small"]
    assert value.details["recall_small"] == value.value


@pytest.mark.parametrize("name", ["all", "square", "disc"])
def test_aupro_of_files_is_that_of_their_arrays(tmp_path, name):
    place = scene(tmp_path, TWO, change=blotched)
    predictions = place.predict(noise(10))
    rows = rows_of(place.truth, TWO if name == "all" else [name])
    maps, masks = place.stored(predictions)[0][rows], place.truth.masks[rows]
    value = place.score(predictions).get("aupro", name)
    assert value.value == pytest.approx(aupro(maps, masks), abs=1e-9)
    assert value.cases == sum(len(regions(mask)[1]) for mask in masks)


def test_aupro_under_the_foreground_rule_leaves_out_what_lies_outside_the_body(tmp_path):
    place = scene(tmp_path, change=blotched, body=slice(1, 12), rules={"pixels": "foreground"})
    predictions = place.predict(noise(10))
    maps, masks = place.stored(predictions)[0][:, :, 1:12], place.truth.masks[:, :, 1:12]
    assert place.score(predictions).get("aupro").value == pytest.approx(aupro(maps, masks), abs=1e-9)


def test_constant_maps_have_the_aupro_and_the_rates_of_chance(tmp_path):
    place = scene(tmp_path)
    result = place.score(place.predict(constant))
    assert result.get("aupro").value == pytest.approx(0.15, abs=1e-12)
    assert result.get("image_fpr_at_tpr95").value == 1
    assert result.get("recall_at_fpr5").value == result.get("lesion_recall_at_fpr5").value == 0


def grown(split, one):
    """The same image of 64 x 64 pixels; a masked one has eight regions of three sizes."""
    size, place = 64, int(one.name.split("-")[1])
    mask = np.zeros((size, size), bool)
    for i in range(8):
        side = 2 + 5 * (i % 3)
        mask[16 * (i // 2) + 1 :, 30 * (i % 2) + place :][:side, :side] = True
    pixels, body = np.zeros((1, size, size), np.uint8), np.ones((size, size), bool)
    return replace(one, pixels=pixels, foreground=body, mask=mask if one.mask is not None else None)


def once(place, predictions):
    """All images, every subject drawn once in the one resample."""
    evidence = evidence_of(place.rules, place.dataset, place.known, open_predictions(predictions))
    return strata(evidence, np.ones((1, evidence.subjects)), "all")


@pytest.mark.parametrize("lift", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("metric", ["aupro", "pixel_ap", "pixel_auroc"])
def test_drawing_every_subject_once_is_the_sample_but_for_the_bins(tmp_path, metric, lift):
    place = scene(tmp_path, each=15, change=grown)
    for stratum in once(place, place.predict(noise(11, lift=lift))):
        assert stratum.evidence.pixels.binned.shape[2] > 1000
        measured = MEASURES[metric](stratum)
        assert measured.draws == pytest.approx([measured.value], abs=2e-3)


def test_draws_under_the_foreground_rule_leave_out_what_lies_outside_the_body(tmp_path):
    place = scene(tmp_path, change=blotched, body=slice(3, 12), rules={"pixels": "foreground"})
    for stratum in once(place, place.predict(noise(10))):
        measured = MEASURES["aupro"](stratum)
        assert measured.draws == pytest.approx([measured.value], abs=2e-3)


def test_draws_of_aupro_are_the_metric_on_written_out_resamples(tmp_path):
    place = scene(tmp_path, change=blotched, rules={"primary": "aupro", "resamples": 20})
    predictions = place.predict(noise(8))
    (maps, _), truth = place.stored(predictions), place.truth
    _, of = np.unique(truth.subjects, return_inverse=True)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=20)
    drawn = [np.repeat(np.arange(12), row[of]) for row in weights]
    expected = [aupro(maps[rows], truth.masks[rows]) for rows in drawn]
    assert place.score(predictions).draws == pytest.approx(expected, abs=2e-3)


def test_thresholds_of_healthy_test_images_are_marked(tmp_path):
    place = scene(tmp_path, rules={"threshold": "healthy-test", **EVERY})
    predictions = place.predict(noise(15))
    (maps, _), result = place.stored(predictions), place.score(predictions)
    for name, fpr in (
        ("dice_at_fpr5", 0.05),
        ("dice_at_fpr1", 0.01),
        ("box_f1", 0.05),
        ("lesion_recall_at_fpr5", 0.05),
    ):
        assert result.get(name).details["threshold"] == threshold_at_fpr(maps[~place.truth.labels], fpr)
    assert result.get("dice_at_fpr5").details["threshold"] != val_threshold(place, predictions)
    assert result.warnings == ("Thresholds were taken from the healthy test images, as the paper did.",)


def test_the_realised_rate_on_the_images_of_the_threshold_is_the_allowed_one(tmp_path):
    place = scene(tmp_path, rules={"threshold": "healthy-test"})
    details = place.score(place.predict(noise(15))).get("dice_at_fpr5").details
    assert 0.045 < details["realised_fpr"] <= 0.05


def test_thresholds_of_healthy_test_images_need_one(tmp_path):
    place = scene(tmp_path, change=sick, rules={"threshold": "healthy-test"})
    with pytest.raises(UndefinedMetricError, match="no healthy case; a threshold has no value"):
        place.score(place.predict(noise(1)))


@pytest.mark.parametrize("metric", OF_PIXELS)
def test_a_test_split_of_anomalous_images_alone_has_pixel_metrics(tmp_path, metric):
    place = scene(tmp_path, change=sick)
    value = place.score(place.predict(noise(16))).get(metric)
    assert 0 < value.value < 1
    assert value.low <= value.value <= value.high
    assert value.images == 12
    assert "realised_fpr" not in value.details


def test_a_test_split_of_anomalous_images_alone_counts_their_healthy_pixels(tmp_path):
    place = scene(tmp_path, change=sick)
    predictions = place.predict(noise(16))
    (maps, _), masks, result = place.stored(predictions), place.truth.masks, place.score(predictions)
    assert result.get("aupro").value == pytest.approx(aupro(maps, masks), abs=1e-9)
    expected = average_precision_score(masks.ravel(), maps.ravel())
    assert result.get("pixel_ap").value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [name for name in IMAGE if name != "image_recall_at_fpr5"])
def test_a_test_split_of_anomalous_images_alone_has_no_image_metric(tmp_path, metric):
    place = scene(tmp_path, change=sick)
    for name in ("all", "square", "disc"):
        value = place.score(place.predict(noise(16))).get(metric, name)
        assert value.undefined.startswith(f"{metric}: no healthy case among ")


@pytest.mark.parametrize("metric", BOX)
def test_a_dataset_without_boxes_has_no_box_metric_and_says_why(tmp_path, metric):
    place = scene(tmp_path, rules=EVERY, change=lambda split, one: replace(one, boxes=np.zeros((0, 4), np.float32)))
    value = place.score(place.predict(noise(17))).get(metric)
    assert value.value is None
    assert value.undefined.startswith(f"{metric}: no box in this stratum; the m")
