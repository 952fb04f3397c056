"""PHANES as a whole: threshold, composition, given masks, switches, any stage 1, and a detector that comes back."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from uadbench_phanes._looking import on_grid
from uadbench_phanes._masks import masks_of, percentile, perceptual_map
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext
from uadbench.errors import ContractError, InvalidDataError, MissingWeightsError, TrainingDivergedError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("stand_in", "one_torch_thread")

THIN = {"width": 4, "blocks": 1, "size": 48, "epochs": 1, "batch": 4, "lr": 1e-3, "block": 4}
OFFLINE = {"distance": "lite0", "features": "lite0", "weights": "random", "style": 1.0}
TRAIN, VAL = (MemorySource(blobs(count, 48, 48, seed=count)) for count in (8, 4))
TEST = blobs(5, 50, 44, seed=3)
SHORT = "size=32 epochs=1 batch=4 latent=4"


def tiny(**changes) -> Phanes:
    return Phanes(**{"stage1": "stand-in-mean", "stage1_preset": "quick", **THIN, **OFFLINE, **changes})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, stand_in):
    """A detector with these parameters changed; once for all tests."""

    @cache
    def fit(**changes):
        folder = tmp_path_factory.mktemp("work")
        return tiny(**changes).fit(TRAIN, VAL, FitContext(0, "cpu", "float32", folder))

    return fit


def masks(detector, images) -> np.ndarray:
    """On the grid, as the detector makes them."""
    looking = detector.looking
    (block,) = replace(looking, method=replace(looking.method, block=len(images))).blocks(images, looking.seen(images))
    return masks_of(block.maps, detector.networks.threshold)


def test_the_threshold_is_the_99th_percentile_of_healthy_validation_maps(fitted):
    detector = fitted()
    _, maps = detector.looking.whole(VAL)
    assert detector.threshold == pytest.approx(np.percentile(maps.numpy(), 99))
    assert (maps.numpy() > detector.threshold).mean() == pytest.approx(0.01, abs=1e-3)


def test_pixels_outside_the_mask_are_copied_bit_by_bit_at_the_image_s_own_size(fitted):
    found = fitted().predict(TEST)
    same = found.reconstructions == TEST.pixels
    assert 0.5 < same.mean() < 1
    assert not found.maps[same[:, 0]].any()
    assert found.maps[~same[:, 0]].all()


def test_on_the_grid_the_pixels_that_are_new_are_those_of_the_mask(fitted):
    images = blobs(4, 48, 48, seed=3)
    found = fitted().predict(images)
    new = found.reconstructions != images.pixels
    assert new.any()
    assert not new[~masks(fitted(), images).numpy()].any()


def test_the_map_is_the_residual_times_the_distance_and_the_score_its_mean(fitted):
    images = blobs(4, 48, 48, seed=3)
    found, detector = fitted().predict(images), fitted()
    pixels, healthy = torch.as_tensor(images.pixels), torch.as_tensor(found.reconstructions)
    expected = (pixels - healthy).abs() * perceptual_map(pixels, healthy, detector.looking.distance)
    np.testing.assert_allclose(found.maps, expected[:, 0], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(found.scores, found.maps.mean((1, 2), dtype=np.float64))


def test_given_masks_are_painted_and_nothing_else(fitted):
    given = np.zeros((5, 50, 44), bool)
    given[:, 20:31, 15:28] = True
    found = fitted().inpaint(TEST, given)
    assert np.array_equal(np.moveaxis(found, 1, -1)[~given], np.moveaxis(TEST.pixels, 1, -1)[~given])
    assert (found[:, 0][given] != TEST.pixels[:, 0][given]).mean() > 0.9
    assert np.array_equal(fitted().inpaint(TEST, ~np.ones_like(given)), TEST.pixels)


def test_what_lies_under_a_given_mask_changes_nothing(fitted):
    given = np.zeros((5, 50, 44), bool)
    given[:, 20:31, 15:28] = True
    pixels = TEST.pixels.copy()
    pixels[:, 0][given] = 1.0
    assert np.array_equal(fitted().inpaint(replace(TEST, pixels=pixels), given), fitted().inpaint(TEST, given))


def test_given_masks_of_another_size_are_refused(fitted):
    with pytest.raises(InvalidDataError, match=r"masks \(5, 9, 9\) for images \(5, 1, 50, 44\)"):
        fitted().inpaint(TEST, np.zeros((5, 9, 9), bool))


def test_without_inpainting_the_masked_pixels_are_those_of_stage_1(fitted):
    images = blobs(4, 48, 48, seed=3)
    without = fitted(inpainting=False).predict(images).reconstructions
    mean = TRAIN[0:8].pixels.mean(0)
    expected = np.where(masks(fitted(), images), mean, images.pixels)
    assert np.array_equal(without, expected)
    assert not np.array_equal(without, fitted().predict(images).reconstructions)


def test_without_inpainting_given_masks_show_stage_1(fitted):
    images = blobs(4, 48, 48, seed=3)
    found = fitted(inpainting=False).inpaint(images, np.ones((4, 48, 48), bool))
    assert np.array_equal(found[2], TRAIN[0:8].pixels.mean(0))


CHANGES = [
    *({"adversarial": 0.0}, {"style": 100.0}, {"perceptual": 10.0}),
    *({"augment": False}, {"stage1_set": "gain=0.5"}),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_field_of_a_training_reaches_it(change, fitted):
    given = np.ones((5, 50, 44), bool)
    assert not np.array_equal(fitted(**change).inpaint(TEST, given), fitted().inpaint(TEST, given))


def test_the_threshold_of_the_image_is_its_own_95th_percentile_and_changes_masks_alone(fitted):
    plain, own = fitted(), fitted(threshold="image")
    images, given = blobs(4, 48, 48, seed=3), np.ones((4, 48, 48), bool)
    assert np.array_equal(plain.inpaint(images, given), own.inpaint(images, given))
    _, maps = own.looking.whole(MemorySource(images))
    new = own.predict(images).reconstructions != images.pixels
    assert not new[~masks_of(maps, percentile(maps, 0.95)).numpy()].any()
    assert not np.array_equal(own.predict(images).maps, plain.predict(images).maps)


@pytest.mark.parametrize(("stage1", "more"), [("ra", "width=4"), ("vae", "")])
def test_any_method_that_reconstructs_is_a_stage_1_and_comes_back_with_it(stage1, more, fitted, tmp_path):
    detector = fitted(stage1=stage1, stage1_set=f"{SHORT} {more}".strip())
    found = detector.predict(TEST)
    detector.save(tmp_path / "written")
    (tmp_path / "written").rename(tmp_path / "moved")
    again = Phanes.load(tmp_path / "moved", "cpu")
    assert again.predict(TEST).maps.tobytes() == found.maps.tobytes()
    assert (again.weights, again.threshold) == (detector.weights, detector.threshold)
    assert again.looking.method == detector.looking.method
    assert again.looking.detector.method == detector.looking.detector.method


def test_a_plugin_s_method_comes_back_as_stage_1_and_paints_the_same(fitted, tmp_path):
    fitted().save(tmp_path)
    given = np.ones((5, 50, 44), bool)
    again = Phanes.load(tmp_path, "cpu")
    assert again.inpaint(TEST, given).tobytes() == fitted().inpaint(TEST, given).tobytes()
    assert again.predict(TEST).maps.tobytes() == fitted().predict(TEST).maps.tobytes()


def test_an_image_has_the_same_bytes_alone_and_in_a_batch(fitted):
    whole, given = fitted().predict(TEST), np.ones((1, 50, 44), bool)
    alone = [fitted().predict(TEST[row : row + 1]) for row in range(5)]
    assert [one.maps[0].tobytes() for one in alone] == [one.tobytes() for one in whole.maps]
    assert np.array_equal(fitted().inpaint(TEST[4:5], given)[0], fitted().inpaint(TEST, given.repeat(5, 0))[4])


def test_the_detector_names_the_weights_of_both_stages_once(fitted):
    (used,) = fitted().weights
    assert (used["name"], used["source"]) == ("tf_efficientnet_lite0", "random: seed 0")


def test_weights_other_than_those_it_was_fitted_on_are_refused(fitted, tmp_path):
    fitted().save(tmp_path)
    file = tmp_path / "weights.json"
    digest = fitted().weights[0]["sha256"]
    file.write_text(file.read_text().replace(digest, "0" * 64))
    with pytest.raises(MissingWeightsError, match="was fitted on weights 'tf_efficientnet_lite0'"):
        Phanes.load(tmp_path, "cpu")


def test_missing_weights_are_said_before_any_training(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    method = tiny(features="vgg19", weights="imagenet")
    with pytest.raises(MissingWeightsError, match=r"vgg19.*uadbench weights fetch vgg19"):
        method.fit(TRAIN, VAL, FitContext(0, "cpu", "float32", tmp_path, heard.append))
    assert not heard
    assert not list(tmp_path.iterdir())


def test_a_stage_1_that_breaks_its_word_ends_the_fit(tmp_path):
    with pytest.raises(ContractError, match="returned no reconstructions"):
        tiny(stage1="stand-in-silent").fit(TRAIN, VAL, FitContext(0, "cpu", "float32", tmp_path))


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"Lower the learning rate"):
        tiny(lr=1e30, epochs=2).fit(TRAIN, VAL, FitContext(0, "cpu", "float32", tmp_path))


def test_a_finished_training_leaves_no_folder_in_the_way(fitted, tmp_path):
    context = FitContext(0, "cpu", "float32", tmp_path)
    again = tiny().fit(TRAIN, VAL, context)
    assert not list(tmp_path.iterdir())
    assert again.predict(TEST).maps.tobytes() == fitted().predict(TEST).maps.tobytes()


@pytest.mark.parametrize(("count", "sentence"), [(4, "images have 4 channels; its features see 1"), (3, "have 1 chan")])
def test_images_of_other_channels_are_refused(count, sentence, fitted, tmp_path):
    def coloured(images):
        return replace(images, pixels=np.repeat(images.pixels, count, axis=1))

    if count == 4:
        source = MemorySource(coloured(TRAIN[0:8]))
        with pytest.raises(InvalidDataError, match=sentence):
            tiny().fit(source, source, FitContext(0, "cpu", "float32", tmp_path))
    else:
        with pytest.raises(InvalidDataError, match="fitted on images of 1 channels; these have 3"):
            fitted().predict(coloured(TEST))


def test_training_learns_to_paint_what_it_does_not_see(fitted):
    images, given = blobs(4, 48, 48, seed=3), np.zeros((4, 48, 48), bool)
    given[:, 14:22, 16:24] = True

    def error(detector) -> float:
        return np.square(detector.inpaint(images, given) - images.pixels)[:, 0][given].mean()

    assert error(fitted(epochs=10, lr=5e-3, augment=False)) < 0.5 * error(fitted())


def test_what_rounding_carries_out_of_the_range_is_clipped():
    assert on_grid(torch.ones(1, 1, 57, 31), 48).max() <= 1
