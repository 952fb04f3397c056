"""Scoring: files in, values out; canaries, strata, thresholds, and everything that must not matter."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scenes import constant, noise, oracle, rows_of, scene
from sklearn.metrics import average_precision_score, roc_auc_score

from uadbench.errors import InvalidDataError
from uadbench.files.predictions import open_predictions
from uadbench.files.results import Result, read_result
from uadbench.measures import MEASURES
from uadbench.metrics import box_f1, dice, oracle_dice, threshold_at_fpr
from uadbench.protocols import METRICS, SCALED_METRICS
from uadbench.scoring import score
from uadbench.types import Prediction

TWO = {"square": "mask", "disc": "mask"}
MIXED = {"square": "mask", "motion": "image"}
PIXEL = ("pixel_ap", "pixel_auroc", "oracle_dice", "dice_at_fpr5")
FULL_MARKS = ("image_auroc", "image_ap", "pixel_ap", "pixel_auroc", "oracle_dice", "dice_at_fpr5", "box_f1")


@pytest.fixture
def square(tmp_path):
    """Six healthy and six anomalous test images of six subjects each."""
    return scene(tmp_path)


def val_threshold(predictions):
    return threshold_at_fpr(open_predictions(predictions)["val"].maps(slice(None)), 0.05)


def numbers(result):
    """Everything that was measured."""
    return result.values, result.draws, result.curves


def digest_of(*paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_every_metric_of_a_protocol_has_a_measure():
    assert {*METRICS, *SCALED_METRICS} == set(MEASURES)


def test_constant_maps_have_half_of_the_area_and_the_prevalence(square):
    result = square.score(square.predict(constant))
    assert result.get("image_auroc").value == 0.5
    assert result.get("pixel_auroc").value == 0.5
    assert result.get("pixel_ap").value == pytest.approx(square.truth.masks.mean(), abs=1e-12)
    assert result.get("dice_at_fpr5").value == 0


@pytest.mark.parametrize("metric", FULL_MARKS)
def test_the_oracle_has_one_in_everything(square, metric):
    assert square.score(square.predict(oracle)).get(metric).value == 1


@pytest.mark.parametrize("metric", ["image_auroc", "pixel_auroc"])
def test_inverted_predictions_have_what_is_left_of_the_area(square, metric):
    def inverted(images, truth):
        plain = noise(1)(images, truth)
        return Prediction(-plain.maps, -plain.scores)

    values = [square.score(square.predict(paint)).get(metric).value for paint in (noise(1), inverted)]
    assert sum(values) == pytest.approx(1, abs=1e-12)


def test_image_metrics_agree_with_scikit_learn(square):
    predictions = square.predict(noise(1))
    result, (_, scores), labels = square.score(predictions), square.stored(predictions), square.truth.labels
    assert result.get("image_auroc").value == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert result.get("image_ap").value == pytest.approx(average_precision_score(labels, scores), abs=1e-9)


def test_pixel_metrics_agree_with_scikit_learn(square):
    predictions = square.predict(noise(1))
    result, (maps, _), masks = square.score(predictions), square.stored(predictions), square.truth.masks
    flat = masks.ravel(), maps.ravel()
    assert result.get("pixel_ap").value == pytest.approx(average_precision_score(*flat), abs=1e-9)
    assert result.get("pixel_auroc").value == pytest.approx(roc_auc_score(*flat), abs=1e-9)
    assert result.get("oracle_dice").value == oracle_dice(maps, masks)


@pytest.mark.parametrize("name", TWO)
def test_a_stratum_is_one_pathology_against_all_healthy_images(tmp_path, name):
    place = scene(tmp_path, TWO)
    predictions = place.predict(noise(2))
    maps, scores = place.stored(predictions)
    rows, result = rows_of(place.truth, [name]), place.score(predictions)
    flat = place.truth.masks[rows].ravel(), maps[rows].ravel()
    assert result.strata == ("all", "disc", "square")
    assert result.get("pixel_ap", name).value == pytest.approx(average_precision_score(*flat), abs=1e-9)
    expected = roc_auc_score(place.truth.labels[rows], scores[rows])
    assert result.get("image_auroc", name).value == pytest.approx(expected, abs=1e-9)


def test_a_stratum_counts_its_images_subjects_and_cases(tmp_path):
    result = scene(tmp_path, TWO).score(scene(tmp_path, TWO).predict(constant))
    whole, one, boxes = result.get("pixel_ap"), result.get("pixel_ap", "disc"), result.get("box_f1", "disc")
    assert (whole.images, whole.subjects, whole.cases) == (18, 18, 18 * 256)
    assert (one.images, one.subjects, one.cases) == (12, 12, 12 * 256)
    assert (boxes.images, boxes.cases) == (6, 6)


@pytest.mark.parametrize("metric", PIXEL)
def test_images_with_a_label_only_stay_outside_the_pixel_metrics(tmp_path, metric):
    place = scene(tmp_path, MIXED)
    predictions = place.predict(noise(3))
    result = place.score(predictions)
    assert result.get(metric).value == result.get(metric, "square").value
    assert result.get(metric).images == 12
    assert result.get("image_auroc").images == 18


@pytest.mark.parametrize("metric", PIXEL)
def test_a_pathology_without_masks_has_no_pixel_metric_and_says_why(tmp_path, metric):
    place = scene(tmp_path, MIXED)
    value = place.score(place.predict(noise(3))).get(metric, "motion")
    assert value.value is value.low is None
    assert value.undefined.startswith(f"{metric}: no anomalous ")
    assert value.undefined.endswith("; the metric has no value.")


def test_a_pathology_without_boxes_has_no_box_f1_and_says_why(tmp_path):
    place = scene(tmp_path, MIXED)
    value = place.score(place.predict(oracle)).get("box_f1", "motion")
    assert value.undefined == "box_f1: no box in this stratum; the mean over boxes has no value."


def test_dice_at_fpr5_uses_the_threshold_of_healthy_validation(square):
    predictions = square.predict(noise(4))
    value, threshold = square.score(predictions).get("dice_at_fpr5"), val_threshold(predictions)
    assert value.details["threshold"] == threshold
    maps, _ = square.stored(predictions)
    assert value.value == pytest.approx(dice(maps, square.truth.masks, threshold), abs=1e-12)


def test_thresholds_do_not_know_the_labels_of_test(tmp_path):
    def healed(split, one):
        healthy = {"label": 0, "pathology": "healthy", "annotation": "none", "mask": None, "boxes": np.zeros((0, 4))}
        return replace(one, **healthy) if one.name in ("square-0", "square-1") else one

    places = [scene(tmp_path / "a"), scene(tmp_path / "b", change=healed)]
    values = [place.score(place.predict(noise(4, lift=0))).get("dice_at_fpr5") for place in places]
    assert values[0].details["threshold"] == values[1].details["threshold"]
    assert values[0].value != values[1].value


def test_the_rate_realised_on_healthy_test_images_is_reported_with_its_interval(square):
    predictions = square.predict(noise(5))
    details, (maps, _) = square.score(predictions).get("dice_at_fpr5").details, square.stored(predictions)
    above = maps[~square.truth.labels] > val_threshold(predictions)
    assert details["realised_fpr"] == pytest.approx(above.mean(), abs=1e-12)
    assert details["realised_fpr_low"] < details["realised_fpr"] < details["realised_fpr_high"]


@pytest.mark.parametrize(("each", "shown"), [(4, False), (5, True)])
def test_the_rate_realised_on_few_healthy_subjects_has_no_interval(tmp_path, each, shown):
    place = scene(tmp_path, each=each)
    for metric in ("dice_at_fpr5", "recall_at_fpr5", "box_f1"):
        details = place.score(place.predict(noise(5))).get(metric).details
        assert ("realised_fpr" in details, "realised_fpr_low" in details) == (True, shown)


def test_box_f1_of_files_is_box_f1_of_their_arrays(square):
    predictions = square.predict(noise(6, lift=3))
    value, (maps, _), truth = square.score(predictions).get("box_f1"), square.stored(predictions), square.truth
    whole = np.ones(maps.shape, bool)
    expected = box_f1(maps, truth.boxes, truth.box_images, whole, val_threshold(predictions))
    assert 0 < value.value < 1
    assert value.value == pytest.approx(expected, abs=1e-12)
    assert value.details["detected"] <= value.cases == 6


@pytest.mark.parametrize(("each", "has"), [(4, False), (5, True)])
def test_an_interval_needs_five_anomalous_subjects(tmp_path, each, has):
    place = scene(tmp_path, each=each)
    value = place.score(place.predict(noise(7))).get("image_ap")
    assert (value.low is not None, value.high is not None) == (has, has)


def test_five_images_of_one_subject_are_one_subject(tmp_path):
    place = scene(tmp_path, change=lambda split, one: replace(one, subject="x" if one.label else one.subject))
    value = place.score(place.predict(noise(7))).get("image_ap")
    assert (value.subjects, value.low) == (7, None)


@pytest.mark.parametrize(
    "metric", [name for name in METRICS if not name.startswith(("recon", "subject", "box_iou", "image_recall"))]
)
def test_an_interval_holds_its_value(tmp_path, metric):
    place = scene(tmp_path, each=12)
    value = place.score(place.predict(noise(8))).get(metric)
    assert value.low <= value.value <= value.high
    assert value.low < value.high


@pytest.mark.parametrize("metric", ["image_auroc", "image_ap", "pixel_auroc", "pixel_ap"])
def test_draws_are_the_metric_on_written_out_resamples(tmp_path, metric):
    place = scene(tmp_path, rules={"primary": metric, "resamples": 40})
    predictions = place.predict(noise(8))
    (maps, scores), truth = place.stored(predictions), place.truth
    naive = roc_auc_score if metric.endswith("auroc") else average_precision_score
    _, of = np.unique(truth.subjects, return_inverse=True)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=40)
    drawn = [np.repeat(np.arange(12), row[of]) for row in weights]
    cases = (truth.masks, maps) if metric.startswith("pixel") else (truth.labels, scores)
    expected = [naive(*(side[rows].ravel() for side in cases)) for rows in drawn]
    assert place.score(predictions).draws == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("primary", FULL_MARKS)
def test_a_tiny_test_set_whose_resamples_lack_a_side_still_has_a_result(tmp_path, primary):
    place = scene(tmp_path, each=2, rules={"primary": primary})
    result = place.score(place.predict(noise(9)))
    assert result.get(primary).value is not None
    assert 0 < len(result.draws) < 200
    assert np.isfinite(result.draws).all()


def test_draws_of_two_methods_are_equally_many_and_so_paired(tmp_path):
    place = scene(tmp_path, each=2, rules={"primary": "dice_at_fpr5"})
    results = [place.score(place.predict(paint)) for paint in (constant, oracle, noise(1))]
    assert len({len(result.draws) for result in results}) == 1


def test_incomplete_predictions_have_no_value_and_say_how_many_there_are(square):
    result = square.score(square.predict(oracle, order=slice(0, 5)))
    assert result.complete == (5, 12)
    assert [value.value for value in result.values] == [None] * len(METRICS)
    assert all("incomplete: 5 of 12 test images are predicted" in value.undefined for value in result.values)
    assert result.draws == ()


def test_missing_validation_images_make_a_result_incomplete_too(tmp_path):
    place = scene(tmp_path, {"square": "mask"}, each=6)
    with_all = open_predictions(place.predict(oracle))
    fewer = replace(with_all, splits={**with_all.splits, "val": replace(with_all["val"], ids=with_all["val"].ids[1:])})
    result = score(place.rules, place.dataset, place.known, fewer)
    assert result.complete[0] < result.complete[1]
    assert result.get("pixel_ap").value is None


def test_a_complete_result_says_so(square):
    assert square.score(square.predict(oracle)).complete == (12, 12)


def test_predictions_in_another_order_have_the_same_result(square):
    forth, back = square.predict(noise(1), "forth"), square.predict(noise(1), "back", order=slice(None, None, -1))
    assert numbers(square.score(forth)) == numbers(square.score(back))


def test_predictions_for_another_dataset_are_refused(square):
    stated = {"dataset": {"name": "other-v1", "identity": "ab" * 32}}
    with pytest.raises(InvalidDataError, match=r"predictions for other-v1 with identity abababababab, not toy-v1 with"):
        square.score(square.predict(oracle, provenance=stated))


def test_predictions_that_do_not_say_for_what_are_refused(square):
    with pytest.raises(InvalidDataError, match=r"predictions for None with identity None.*Run the method on this"):
        square.score(square.predict(oracle, provenance={"dataset": {}}))


def test_predictions_of_unknown_images_are_refused(tmp_path):
    one, other = scene(tmp_path / "a"), scene(tmp_path / "b", {"disc": "mask"})
    predictions = other.predict(oracle, provenance=one.provenance())
    with pytest.raises(
        InvalidDataError, match=r"6 predictions of images that are not in test, the first '[0-9a-f]{12}'"
    ):
        one.score(predictions)


def test_maps_of_another_size_are_refused(square):
    def smaller(images, truth):
        return Prediction(truth.masks[:, :8].astype(np.float32), np.zeros(len(truth)))

    with pytest.raises(InvalidDataError, match=r"val maps are \(8, 16\), images \(16, 16\). Give maps of the images'"):
        square.score(square.predict(smaller))


def test_the_truth_of_another_dataset_is_refused(tmp_path):
    one, other = scene(tmp_path / "a"), scene(tmp_path / "b", TWO)
    with pytest.raises(InvalidDataError, match=r"truth of identity .* Give the two files of one dataset"):
        score(one.rules, one.dataset, other.known, one.predict(oracle))


@pytest.mark.parametrize("rules", [{"dataset": "other-v1"}, {"identity": "cd" * 32}])
def test_a_protocol_about_another_dataset_is_refused(square, rules):
    with pytest.raises(InvalidDataError, match=r"Protocol toy-local is about .*Make the dataset again"):
        score(replace(square.rules, **rules), square.dataset, square.known, square.predict(oracle))


def test_a_protocol_is_taken_by_its_name(square):
    with pytest.raises(InvalidDataError, match="Protocol chest-xray-nih-v1 is about chest-xray-nih-v1 with identity"):
        score("chest-xray-nih-v1", square.dataset.path, square.known.path, square.predict(oracle))


def test_few_distinct_values_are_warned_about(square):
    few, many = square.score(square.predict(oracle)), square.score(square.predict(noise(1)))
    assert few.warnings == ("The test maps have 2 distinct values only; ties decide the pixel metrics.",)
    assert many.warnings == ()


def test_other_pixels_of_the_same_identity_are_warned_about(square):
    stated = {**square.provenance()["dataset"], "pixels": "00" * 32}
    (warning,) = square.score(square.predict(noise(1), provenance={"dataset": stated})).warnings
    assert "pixels with another digest" in warning


def test_the_foreground_rule_counts_pixels_of_the_body_only(tmp_path):
    place = scene(tmp_path, body=slice(2, 12), rules={"pixels": "foreground"})
    predictions = place.predict(noise(1))
    (maps, _), masks = place.stored(predictions), place.truth.masks
    expected = average_precision_score(masks[:, :, 2:12].ravel(), maps[:, :, 2:12].ravel())
    value = place.score(predictions).get("pixel_ap")
    assert (value.value, value.cases) == (pytest.approx(expected, abs=1e-9), 12 * 16 * 10)


@pytest.mark.parametrize("outside", [-1e9, 1e9])
def test_maps_outside_the_body_do_not_matter_under_the_foreground_rule(tmp_path, outside):
    def loud(images, truth):
        plain = noise(1)(images, truth)
        return Prediction(np.where(images.foreground, plain.maps, np.float32(outside)), plain.scores)

    of_the_body = tuple(name for name in METRICS if name not in ("box_f1", "box_iou_f1"))  # these take whole frames
    place = scene(tmp_path, body=slice(2, 12), rules={"pixels": "foreground", "metrics": of_the_body})
    assert numbers(place.score(place.predict(loud))) == numbers(place.score(place.predict(noise(1))))


def test_scoring_twice_gives_one_result_and_leaves_the_files_alone(square):
    predictions = square.predict(noise(1))
    files = square.dataset.path, square.known.path, predictions
    before = digest_of(*files)
    first, second = square.score(predictions), square.score(predictions)
    assert first == second
    assert digest_of(*files) == before


def test_a_result_comes_back_from_json_as_it_was(square, tmp_path):
    result = square.score(square.predict(noise(1)))
    result.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result


def test_a_result_states_what_it_was_measured_with(square):
    predictions = square.predict(noise(1))
    result = square.score(predictions)
    assert (result.protocol.digest, result.protocol.primary) == (square.rules.digest, "image_auroc")
    assert result.dataset.identity == square.dataset.digests.identity
    assert result.seal == open_predictions(predictions).seal
    assert set(result.curves) == {"image_roc", "image_pr", "pixel_roc", "pixel_pr"}


@pytest.mark.parametrize("level", ["image", "box"])
def test_a_dataset_without_a_mask_has_image_metrics_and_no_pixel_metric(tmp_path, level):
    place = scene(tmp_path, {"square": level})
    result = place.score(place.predict(oracle))
    assert result.get("image_auroc").value == 1
    assert all(result.get(metric).value is None for metric in PIXEL)
    assert (result.get("box_f1").value is None) == (level == "image")
    assert set(result.curves) == {"image_roc", "image_pr"}


def test_a_test_split_without_healthy_images_has_no_image_metric(tmp_path):
    def sick(split, one):
        marks = {"label": 1, "pathology": "disc", "annotation": "image"}
        return replace(one, **marks) if split == "test" and not one.label else one

    place = scene(tmp_path, change=sick)
    result = place.score(place.predict(oracle))
    assert result.get("image_auroc").undefined.startswith("image_auroc: no healthy case among 12")
    assert result.get("pixel_ap").value == 1
    assert "realised_fpr" not in result.get("dice_at_fpr5").details


@pytest.mark.parametrize("name", ["healthy", "all"])
def test_a_pathology_with_the_name_of_another_stratum_is_refused(tmp_path, name):
    with pytest.raises(
        InvalidDataError, match=rf"'square-\d' is anomalous with pathology '{name}'. Name what is wrong"
    ):
        scene(tmp_path, change=lambda split, one: replace(one, pathology=name) if one.label else one)


def test_a_box_on_a_healthy_image_is_refused(tmp_path):
    box = np.array([[1, 1, 3, 3]], np.float32)
    with pytest.raises(
        InvalidDataError, match=r"image 'train-\d' is healthy and has a box. Boxes mark what is anomalous"
    ):
        scene(tmp_path, change=lambda split, one: one if one.label else replace(one, boxes=box))
