"""The VAE with a small latent: its network, its loss, and what it predicts from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_autoencoders._compact import LatentNetwork
from uadbench_autoencoders.vae_latent import LatentVae

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor

TINY = LatentVae(latent=5, size=16, epochs=2, batch=4)
TEST = blobs(5, 16, 16, seed=3)


def fitted(folder, method: LatentVae = TINY, seed: int = 0) -> Reconstructor:
    source = MemorySource(blobs(8, 16, 16, seed=2))
    return method.fit(source, source, FitContext(seed, "cpu", "float32", folder))


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Reconstructor:
    return fitted(tmp_path_factory.mktemp("fit"))


@pytest.fixture
def sampling(detector) -> Reconstructor:
    """The same network, predicting from samples."""
    return replace(detector, method=replace(TINY, test_sampling="sample"))


def tiny_network() -> LatentNetwork:
    torch.manual_seed(0)
    return TINY.network(1).eval()


def grid(count: int = 4) -> torch.Tensor:
    return 2 * torch.as_tensor(blobs(count, 16, 16, seed=1).pixels) - 1


def posterior(network: LatentNetwork) -> tuple[np.ndarray, np.ndarray]:
    outputs = network.encode(grid()).detach().double().numpy()
    return outputs[:, :5], outputs[:, 5:]


def divergence(mean: np.ndarray, log_variance: np.ndarray) -> float:
    """KL(N(mean, sigma^2) || N(0, 1)) in nats, mean over images and latents."""
    return float(np.mean(-0.5 * (1 + log_variance - mean**2 - np.exp(log_variance))))


def loss(method: LatentVae, network: LatentNetwork) -> float:
    torch.manual_seed(3)
    return method.loss(network, grid()).item()


def test_the_network_has_as_many_parameters_as_the_published_one():
    assert sum(weights.numel() for weights in LatentVae().network(1).parameters()) == 2_367_584


def test_the_paper_s_network_makes_one_step():
    torch.manual_seed(0)
    method = LatentVae()
    network = method.network(1)
    value = method.loss(network, 2 * torch.rand(4, 1, 64, 64) - 1)
    value.backward()
    assert torch.isfinite(value)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


def test_the_divergence_is_averaged_over_latents_and_images():
    network = tiny_network()
    apart = loss(replace(TINY, kl_weight=3.0), network) - loss(replace(TINY, kl_weight=1.0), network)
    assert apart == pytest.approx(2 * divergence(*posterior(network)), rel=1e-4)


def test_the_loss_is_the_squared_error_of_drawn_latents_and_the_weighed_divergence():
    network = tiny_network()
    mean, log_variance = posterior(network)
    torch.manual_seed(3)
    drawn = mean + np.exp(0.5 * log_variance) * torch.randn(4, 5).double().numpy()
    seen = network.decode(torch.as_tensor(drawn).float()).detach().numpy()
    expected = np.mean((grid().numpy() - seen) ** 2) + 0.005 * divergence(mean, log_variance)
    assert loss(TINY, network) == pytest.approx(expected, rel=1e-5)


def test_training_draws_latents():
    network = tiny_network()
    torch.manual_seed(3)
    assert TINY.loss(network, grid()).item() != TINY.loss(network, grid()).item()


def test_the_divergence_holds_the_posterior_near_the_prior(tmp_path):
    held, free = (
        posterior(fitted(tmp_path / str(weight), replace(TINY, kl_weight=weight, epochs=10)).network)
        for weight in (10.0, 0.0)
    )
    assert divergence(*held) < 0.2 * divergence(*free)


def test_the_mean_is_what_is_predicted_from(detector):
    signed = torch.as_tensor(2 * TEST.pixels - 1)
    with torch.no_grad():
        seen = detector.network.decode(detector.network.encode(signed)[:, :5]).numpy()
    prediction = detector.predict(TEST)
    np.testing.assert_allclose(prediction.maps, (signed.numpy() - seen)[:, 0] ** 2, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_predicting_from_the_mean_needs_no_seed(detector):
    other = replace(detector, seed=1)
    assert other.predict(TEST).maps.tobytes() == detector.predict(TEST).maps.tobytes()


def test_samples_differ_from_the_mean_and_with_the_seed(detector, sampling):
    one, other = sampling, replace(sampling, seed=1)
    drawn = {each.predict(TEST).maps.tobytes() for each in (detector, one, other)}
    assert len(drawn) == 3


def test_a_sample_depends_on_its_image_alone(sampling):
    together, backwards = sampling.predict(TEST), sampling.predict(TEST[::-1])
    alone = sampling.predict(TEST[2:3])
    assert together.maps[2].tobytes() == backwards.maps[2].tobytes() == alone.maps[0].tobytes()
    assert together.maps.tobytes() == backwards.maps[::-1].tobytes()


def test_predicting_from_samples_leaves_the_global_random_state_alone(sampling):
    before = torch.get_rng_state()
    sampling.predict(TEST)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("way", ["mean", "sample"])
def test_a_saved_detector_comes_back_with_the_same_bytes(way, detector, tmp_path):
    kept = replace(detector, method=replace(TINY, test_sampling=way))
    kept.save(tmp_path / "detector")
    again = LatentVae.load(tmp_path / "detector", "cpu")
    assert again.predict(TEST).maps.tobytes() == kept.predict(TEST).maps.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(detector, tmp_path):
    same, other = fitted(tmp_path / "same"), fitted(tmp_path / "other", seed=1)
    one, two, three = (each.predict(TEST).maps.tobytes() for each in (detector, same, other))
    assert one == two != three


@pytest.mark.parametrize(
    ("preset", "epochs", "batch"), [("quick", 40, 16), ("paper", 250, 64), ("ae4ad-2024", 250, 64)]
)
def test_every_preset_predicts_from_the_mean(preset, epochs, batch):
    method = plugins.make("vae-latent", preset=preset)
    assert (method.latent, method.size, method.lr, method.kl_weight) == (16, 64, 1e-3, 0.005)
    assert (method.epochs, method.batch, method.residual, method.test_sampling) == (epochs, batch, "squared", "mean")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"latent": 0}, "latent is 0. Give at least 1"),
        ({"kl_weight": -0.1}, "kl_weight is -0.1. Give at least 0"),
        ({"test_sampling": "median"}, "test_sampling is 'median'. Give one of mean, sample"),
        ({"size": 100}, "vae-latent: size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"batch": 1}, "batch >= 2"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("vae-latent", **override)
