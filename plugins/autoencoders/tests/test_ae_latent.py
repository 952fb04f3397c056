"""AE[d]: its size, its map and score, and what every detector promises."""

import numpy as np
import pytest
import torch
from uadbench_autoencoders._compact import LatentNetwork
from uadbench_autoencoders.ae_latent import LatentAutoencoder, squared_error

from uadbench import FitContext, Images, Prediction, plugins
from uadbench.errors import InvalidDataError, ParameterError
from uadbench.testing import MemorySource
from uadbench.torch_support.reconstructing import Reconstructor


def images(count: int, seed: int, shape: tuple[int, int, int] = (1, 48, 40)) -> Images:
    pixels = np.random.default_rng(seed).random((count, *shape), np.float32)
    names = tuple(f"{seed}-{row}" for row in range(count))
    return Images(pixels, np.ones((count, *shape[1:]), bool), names, names)


def fitted(folder, *, seed: int = 0, channels: int = 1) -> Reconstructor:
    train, val = MemorySource(images(9, 1, (channels, 48, 40))), MemorySource(images(2, 2, (channels, 48, 40)))
    context = FitContext(seed, "cpu", "float32", folder)
    return LatentAutoencoder(latent=4, size=32, epochs=2, batch=4).fit(train, val, context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Reconstructor:
    return fitted(tmp_path_factory.mktemp("fit"))


def same_bytes(one: Prediction, other: Prediction) -> bool:
    parts = ("maps", "scores", "reconstructions")
    return all(getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in parts)


COUNTS = {
    1: 2_320_449,
    2: 2_322_498,
    4: 2_326_596,
    8: 2_334_792,
    16: 2_351_184,
    32: 2_383_968,
    64: 2_449_536,
    128: 2_580_672,
}


@pytest.mark.parametrize(("latent", "count"), COUNTS.items())
def test_the_network_has_as_many_parameters_as_the_published_one(latent, count):
    network = LatentAutoencoder(latent=latent).network(1)
    assert sum(weights.numel() for weights in network.parameters()) == count


def test_the_network_returns_images_of_the_shape_it_was_given():
    network = LatentNetwork(3, 16, 64)
    codes = network.encode(torch.zeros(2, 3, 64, 64))
    assert codes.shape == (2, 16)
    assert network.decode(codes).shape == (2, 3, 64, 64)


def test_the_paper_s_network_makes_one_step():
    torch.manual_seed(0)
    network = LatentAutoencoder().network(1)
    loss = squared_error(network, 2 * torch.rand(4, 1, 64, 64) - 1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


def test_the_loss_is_the_mean_squared_error():
    torch.manual_seed(0)
    network, batch = LatentNetwork(1, 4, 32).eval(), 2 * torch.rand(3, 1, 32, 32) - 1
    seen = network.decode(network.encode(batch)).detach().numpy()
    assert squared_error(network, batch).item() == pytest.approx(np.mean((batch.numpy() - seen) ** 2), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_and_reconstructions_have_the_size_of_the_images(tmp_path, channels):
    prediction = fitted(tmp_path, channels=channels).predict(images(3, 5, (channels, 48, 40)))
    assert prediction.maps.shape == (3, 48, 40)
    assert prediction.reconstructions.shape == (3, channels, 48, 40)
    assert 0 <= prediction.reconstructions.min() <= prediction.reconstructions.max() <= 1


def test_the_map_is_the_squared_error_on_minus_one_to_one(detector):
    batch = images(1, 6, (1, 32, 32))
    signed = 2 * batch.pixels - 1
    with torch.no_grad():
        seen = detector.network.decode(detector.network.encode(torch.tensor(signed))).numpy()
    np.testing.assert_allclose(detector.predict(batch).maps, (signed - seen)[:, 0] ** 2, atol=1e-5)


def test_the_score_is_the_mean_of_the_map_at_the_network_s_size(detector):
    prediction = detector.predict(images(4, 7, (1, 32, 32)))
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes(detector, tmp_path):
    batch = images(3, 8)
    assert same_bytes(detector.predict(batch), fitted(tmp_path).predict(batch))


def test_another_seed_gives_other_maps(detector, tmp_path):
    batch = images(3, 8)
    assert not same_bytes(detector.predict(batch), fitted(tmp_path, seed=1).predict(batch))


def test_an_image_alone_and_in_a_batch_has_the_same_bytes(detector):
    batch = images(7, 9)
    together, alone = detector.predict(batch), detector.predict(batch[4:5])
    assert together.maps[4].tobytes() == alone.maps[0].tobytes()
    assert together.scores[4] == alone.scores[0]


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path / "detector")
    batch = images(3, 10)
    assert same_bytes(detector.predict(batch), LatentAutoencoder.load(tmp_path / "detector", "cpu").predict(batch))


def test_images_of_other_channels_than_it_was_fitted_on_are_refused(detector):
    with pytest.raises(InvalidDataError, match="fitted on images of 1 channels; these have 3"):
        detector.predict(images(2, 11, (3, 48, 40)))


def test_fitting_leaves_the_global_random_state_alone(tmp_path):
    before = torch.get_rng_state()
    fitted(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("preset", "epochs", "batch"), [("quick", 40, 16), ("paper", 250, 64), ("ae4ad-2024", 250, 64)]
)
def test_every_preset_makes_a_method(preset, epochs, batch):
    method = plugins.make("ae-latent", preset=preset)
    assert (method.latent, method.size, method.lr, method.residual) == (16, 64, 1e-3, "squared")
    assert (method.epochs, method.batch) == (epochs, batch)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"latent": 0}, "latent is 0. Give at least 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"batch": 1}, "batch >= 2"),
        ({"size": 100}, "size is 100. The network takes multiples of 16: give 96 or 112"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("ae-latent", **override)
