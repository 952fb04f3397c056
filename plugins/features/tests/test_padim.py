"""PaDiM: its embedding, its map and score, and what its detectors keep."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from uadbench_features._detector import FeatureDetector, frozen
from uadbench_features._levels import levels_of
from uadbench_features.padim import Padim, drawn, embedding

from uadbench import FitContext, Images, Prediction, plugins
from uadbench.errors import InvalidDataError, MissingWeightsError, ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SMALL = {"size": 64, "dimensions": 20}
TEST = blobs(3, 40, 36, seed=3)


def fitted(folder, *, count: int = 12, seed: int = 0, **params) -> FeatureDetector:
    context = FitContext(seed, "cpu", "float32", folder)
    train, val = (MemorySource(blobs(n, 40, 36, seed=n)) for n in (count, 2))
    return plugins.make("padim", **{**SMALL, **params}).fit(train, val, context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread) -> FeatureDetector:
    return fitted(tmp_path_factory.mktemp("padim"))


def same_bytes(one: Prediction, other: Prediction) -> bool:
    return one.maps.tobytes() == other.maps.tobytes() and one.scores.tobytes() == other.scores.tobytes()


def levels() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 3), torch.randn(2, 7, 1, 2)]


def test_the_embedding_repeats_coarse_features_over_their_positions():
    given = levels()
    found = embedding(given, torch.arange(15))
    for y in range(4):
        for x in range(6):
            parts = [one[1, :, y * one.shape[2] // 4, x * one.shape[3] // 6] for one in given]
            assert torch.equal(found[1, 6 * y + x], torch.cat(parts))


def test_the_embedding_keeps_the_channels_that_were_chosen():
    chosen = torch.tensor([1, 2, 6, 8, 14])
    assert torch.equal(embedding(levels(), chosen), embedding(levels(), torch.arange(15))[:, :, chosen])


def test_channels_are_drawn_once_each_and_by_the_seed():
    rows = drawn(448, 100, 0)
    assert len(set(rows.tolist())) == 100
    assert torch.equal(rows, drawn(448, 100, 0))
    assert not torch.equal(rows, drawn(448, 100, 1))


def test_the_gaussian_of_every_position_is_that_of_the_training_features(detector):
    train = torch.tensor(blobs(12, 40, 36, seed=12).pixels)
    with torch.inference_mode():
        features = embedding(levels_of(detector.backbone, train, 64), detector.network.chosen).numpy()
    np.testing.assert_allclose(detector.network.mean, features.mean(0), atol=1e-4)
    covariance = np.cov(features[:, 130].astype(float).T) + 0.01 * np.eye(20)
    whitening = detector.network.whitening[130].double().numpy()
    np.testing.assert_allclose(whitening @ whitening.T @ covariance, np.eye(20), atol=1e-2)


def test_the_map_is_the_distance_drawn_up_and_smoothed_and_the_score_its_maximum(detector):
    pixels = torch.tensor(TEST.pixels[:1])
    with torch.inference_mode():
        (features,) = embedding(levels_of(detector.backbone, pixels, 64), detector.network.chosen)
        distances = detector.network(features).view(1, 1, 16, 16)
    drawn_up = torch.nn.functional.interpolate(distances, (40, 36), mode="bilinear")[0, 0].numpy()
    found = detector.predict(TEST[:1])
    np.testing.assert_allclose(found.maps[0], gaussian_filter(drawn_up, 4.0), rtol=1e-5)
    assert found.scores[0] == found.maps[0].max()


def test_an_image_unlike_the_others_scores_higher(detector):
    strange = TEST[:1].pixels.copy()
    strange[0, 0, 14:24, 12:22] = 1 - strange[0, 0, 14:24, 12:22]
    changed = detector.predict(Images(strange, TEST.foreground[:1], TEST.ids[:1], TEST.subjects[:1]))
    assert changed.scores[0] > detector.predict(TEST[:1]).scores[0]


def test_another_covariance_gives_other_maps(detector, tmp_path):
    found = fitted(tmp_path, covariance="oas").predict(TEST)
    assert not np.allclose(found.maps, detector.predict(TEST).maps)


@pytest.mark.parametrize("dimensions", [0, 176])
def test_no_number_of_dimensions_keeps_all_channels(tmp_path, dimensions):
    assert fitted(tmp_path, size=32, dimensions=dimensions).network.mean.shape == (64, 176)


def test_more_dimensions_than_channels_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="dimensions is 177, but 'tf_efficientnet_lite0' has 176 channels"):
        fitted(tmp_path, dimensions=177)


def test_a_singular_covariance_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"singular at 256 of 256 positions \(12 training images, 20 dimensions"):
        fitted(tmp_path, regularisation=0.0)


def test_a_single_training_image_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="at least 2 training images, not 1"):
        fitted(tmp_path, count=1)


def test_the_paper_s_network_fits_and_predicts_on_random_weights(tmp_path):
    context = FitContext(0, "cpu", "float32", tmp_path)
    method = plugins.make("padim", preset="paper", size=64, weights="random")
    found = method.fit(MemorySource(blobs(4, 40, 36, seed=4)), MemorySource(blobs(2, 40, 36, seed=2)), context)
    assert found.backbone.channels == (64, 128, 256)
    assert found.network.whitening.shape == (256, 100, 100)
    assert found.predict(TEST).maps.shape == (3, 40, 36)


def test_blocks_do_not_change_what_is_predicted(detector, tmp_path):
    one, other = detector.predict(TEST), fitted(tmp_path, block=2).predict(TEST)
    np.testing.assert_allclose(other.maps, one.maps, rtol=1e-3)


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path / "detector")
    assert same_bytes(detector.predict(TEST), Padim.load(tmp_path / "detector", "cpu").predict(TEST))


def test_a_detector_names_the_weights_it_uses(detector):
    (used,) = detector.weights
    assert used["name"] == "tf_efficientnet_lite0"
    assert used["sha256"].startswith("579344248a93e230")


def test_random_weights_say_so_and_come_back_as_they_were(tmp_path):
    random = fitted(tmp_path, weights="random", size=32)
    assert random.weights[0]["source"] == "random: seed 0"
    random.save(tmp_path / "detector")
    assert same_bytes(random.predict(TEST), Padim.load(tmp_path / "detector", "cpu").predict(TEST))


def test_a_saved_detector_refuses_other_weights(detector, tmp_path):
    detector.save(tmp_path)
    record = {**json.loads((tmp_path / "backbone.json").read_text()), "sha256": "0" * 64}
    (tmp_path / "backbone.json").write_text(json.dumps(record))
    with pytest.raises(MissingWeightsError, match="fitted on weights 'tf_efficientnet_lite0' with sha256 0000"):
        Padim.load(tmp_path, "cpu")


def test_a_detector_without_the_record_of_its_weights_is_refused(detector, tmp_path):
    detector.save(tmp_path)
    (tmp_path / "backbone.json").write_text("{}")
    with pytest.raises(InvalidDataError, match="does not say which weights the detector needs"):
        Padim.load(tmp_path, "cpu")


def test_missing_weights_are_said_with_the_file_to_place(tmp_path, monkeypatch):
    for name in ("UADBENCH_WEIGHTS", "TORCH_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("UADBENCH_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match=r"'resnet18.tv_in1k' are not in .*as resnet18.tv_in1k.safetensors"):
        fitted(tmp_path, backbone="resnet18.tv_in1k")


def test_weights_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "tf_efficientnet_lite0.safetensors").write_bytes(b"half a file")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        fitted(tmp_path)


def test_images_smaller_than_the_stride_are_refused(detector, tmp_path):
    sentence = "12 x 40 px are smaller than the backbone's stride, 16 px"
    with pytest.raises(InvalidDataError, match=sentence):
        detector.predict(blobs(1, 12, 40, seed=0))
    small = MemorySource(blobs(4, 12, 40, seed=0))
    with pytest.raises(InvalidDataError, match=sentence):
        plugins.make("padim").fit(small, small, FitContext(0, "cpu", "float32", tmp_path))


def test_images_with_two_channels_are_refused(detector):
    pixels = np.repeat(TEST.pixels, 2, axis=1)
    with pytest.raises(InvalidDataError, match="images have 2 channels"):
        detector.predict(Images(pixels, TEST.foreground, TEST.ids, TEST.subjects))


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'resnet18\.tv_in1k'"):
        frozen(Padim(backbone="resnet18.tv_in2k"), "cpu")
