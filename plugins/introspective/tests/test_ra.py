"""RA: its map by hand with each switch, its weights, and a reversed loss that changes what is learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from uadbench_introspective.ra import ReversedAutoencoder, anomaly_map

from uadbench import FitContext
from uadbench.errors import InvalidDataError, MissingWeightsError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"latent": 8, "width": 4, "size": 32, "epochs": 1, "batch": 4, "lr": 1e-3, "block": 4}
TINY = ReversedAutoencoder(**SHORT, distance="lite0", weights="random")
TEST = blobs(3, 32, 32, seed=3)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def fitted(method: ReversedAutoencoder, context: FitContext):
    return method.fit(MemorySource(blobs(8, 32, 32, seed=1)), MemorySource(blobs(4, 32, 32, seed=2)), context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread):
    """RA with every part of its map."""
    return fitted(TINY, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("ra")))


def pair(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and what might be their reconstructions."""
    images, seen = (
        np.concatenate([blobs(2, 32, 32, seed=seed + c).pixels for c in range(channels)], 1) for seed in (5, 9)
    )
    return torch.as_tensor(images), torch.as_tensor(seen)


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Not symmetrical, so that the order of its arguments shows."""
    return (one**2 - one * other).mean(1, keepdim=True)


def smooth(maps: torch.Tensor) -> np.ndarray:
    return gaussian_filter(maps.numpy(), 2.0, axes=(2, 3))


def equalised(images: torch.Tensor) -> torch.Tensor:
    exposure = pytest.importorskip("skimage.exposure")
    return torch.as_tensor(np.array([[exposure.equalize_adapthist(one) for one in image] for image in images.numpy()]))


def residual(images: torch.Tensor, seen: torch.Tensor) -> np.ndarray:
    return (seen - images).abs().mean(1, keepdim=True).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_the_equalised_residual_times_both_distances(channels):
    images, seen = pair(channels)
    flat, flat_seen = equalised(images), equalised(seen)
    expected = residual(flat, flat_seen) * smooth(distance(seen, images)) * smooth(distance(flat_seen, flat))
    np.testing.assert_allclose(anomaly_map(images, seen, distance, hist_eq=True), expected, atol=1e-6)


def test_without_equalisation_it_is_the_residual_times_one_distance():
    images, seen = pair()
    expected = residual(images, seen) * smooth(distance(seen, images))
    np.testing.assert_allclose(anomaly_map(images, seen, distance, hist_eq=False), expected, atol=1e-6)


def test_without_a_distance_it_is_the_equalised_residual():
    images, seen = pair()
    expected = residual(equalised(images), equalised(seen))
    np.testing.assert_allclose(anomaly_map(images, seen, None, hist_eq=True), expected, atol=1e-6)


def test_without_either_it_is_the_plain_residual():
    images, seen = pair()
    assert np.array_equal(anomaly_map(images, seen, None, hist_eq=False), residual(images, seen))


def test_a_detector_s_map_is_that_of_its_switches_and_the_score_its_mean(detector):
    images = torch.as_tensor(TEST.pixels)
    found = detector.predict(TEST)
    between = detector.means.between(images, torch.as_tensor(found.reconstructions))
    np.testing.assert_allclose(found.maps, between[:, 0], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(found.scores, found.maps.mean((1, 2), dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("switch", ["hist_eq", "perceptual"])
def test_each_switch_of_the_map_changes_the_map_alone(switch, detector, tmp_path):
    detector.save(tmp_path / "detector")
    plain = detector.predict(TEST)
    method = replace(TINY, **{switch: False})
    changed = fitted(method, FitContext(0, "cpu", "float32", tmp_path)).predict(TEST)
    assert np.array_equal(changed.reconstructions, plain.reconstructions)
    assert not np.array_equal(changed.maps, plain.maps)


@pytest.mark.parametrize("change", [{"reverse_loss": False}, {"reverse_weight": 0.05}], ids=str)
def test_the_reversed_loss_changes_what_is_learned(change, detector, context):
    changed = fitted(replace(TINY, perceptual=False, **change), context)
    assert not np.array_equal(changed.predict(TEST).reconstructions, detector.predict(TEST).reconstructions)


def test_without_the_reversed_loss_its_weight_does_not_matter():
    assert replace(TINY, reverse_loss=False).loss_weights == replace(TINY, reverse_weight=0.0).loss_weights


def test_a_saved_detector_comes_back_with_the_same_map_and_weights(detector, tmp_path):
    detector.save(tmp_path / "detector")
    again = ReversedAutoencoder.load(tmp_path / "detector", "cpu")
    assert again.predict(TEST).maps.tobytes() == detector.predict(TEST).maps.tobytes()
    assert again.weights == detector.weights


def test_a_detector_names_its_weights_and_says_that_they_are_random(detector, context):
    (used,) = detector.weights
    assert (used["name"], used["source"]) == ("tf_efficientnet_lite0", "random: seed 0")
    assert fitted(replace(TINY, perceptual=False), context).weights == []


def test_missing_weights_are_said_before_the_training(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    context = FitContext(0, "cpu", "float32", tmp_path, heard.append)
    with pytest.raises(MissingWeightsError, match=r"squeezenet1_1.*uadbench weights fetch squeezenet1_1"):
        fitted(replace(TINY, distance="lpips-squeeze", weights="imagenet"), context)
    assert heard == []


def test_images_that_the_distance_cannot_see_are_refused(context):
    images = blobs(8, 32, 32, seed=1)
    four = MemorySource(replace(images, pixels=np.repeat(images.pixels, 4, axis=1)))
    with pytest.raises(InvalidDataError, match=r"images have 4 channels; the perceptual distance sees 1 .* or 3"):
        TINY.fit(four, four, context)
    assert replace(TINY, perceptual=False).fit(four, four, context).channels == 4
