"""The variational autoencoder: its network, its bound, how it learns, and what it predicts from."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders._variational import divergence
from uadbench_autoencoders.vae import Vae, VaeNetwork, exponentiated_twice, negative_elbo

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor
from uadbench.torch_support.training import Learner, train

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = Vae(latent=8, width=4, size=32, epochs=2, batch=4)
LEARNING = replace(TINY, epochs=20, lr=5e-3)
TRAIN, TEST = blobs(32, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
SPOT = np.s_[:, :, 12:18, 13:19]


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Reconstructor:
    return trained(LEARNING, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("learned")))


def tiny_network() -> VaeNetwork:
    torch.manual_seed(0)
    return TINY.network(1)


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def trained(method: Vae, context: FitContext) -> Reconstructor:
    return method.fit(MemorySource(TRAIN), MemorySource(TEST), context)


def bound(images: np.ndarray, seen: np.ndarray, mean: np.ndarray, deviation: np.ndarray, sigma: float) -> float:
    """-ELBO per image in double precision, mean over images; `deviation` is the posterior's."""
    apart = np.square(images - seen).sum((1, 2, 3)) / sigma**2
    constant = images[0].size * math.log(2 * math.pi * sigma**2)
    divergences = 0.5 * (mean**2 + deviation**2 - 1).sum(1) - np.log(deviation).sum(1)
    return float(np.mean(0.5 * apart + 0.5 * constant + divergences))


def outputs(network: VaeNetwork, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the log-deviation, as the encoder itself puts them out."""
    return tuple(part.double().detach().numpy() for part in network.encoder(images).chunk(2, dim=1))


def decoded(network: VaeNetwork, latents: np.ndarray) -> np.ndarray:
    return network.decode(torch.as_tensor(latents).float()).double().detach().numpy()


def expected(sigma: float, *, twice: bool) -> float:
    """The bound of the tiny network in eval mode."""
    mean, log_deviation = outputs(tiny_network(), grid())
    deviation = np.exp(np.exp(log_deviation)) if twice else np.exp(log_deviation)
    return bound(grid().double().numpy(), decoded(tiny_network(), mean), mean, deviation, sigma)


@pytest.mark.parametrize(("latent", "total"), [(256, 5_849_600), (512, 8_995_328)])
def test_the_network_has_as_many_parameters_as_the_published_one(latent, total):
    # published: 5.85 and 9.00 M; by hand, 16 weights per kernel of each pair of layers, no biases:
    one_way = 16 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 256 + 256 * 256)
    codes = 16 * 256 * (2 * latent + latent)
    assert 2 * one_way + codes == total
    assert sum(weights.numel() for weights in Vae(latent=latent).network(1).parameters()) == total


def test_half_the_side_has_one_layer_less():
    large, small = (list(VaeNetwork(1, 8, size, 4).modules()) for size in (128, 64))
    for kind in (nn.Conv2d, nn.ConvTranspose2d):
        assert [sum(isinstance(layer, kind) for layer in network) for network in (large, small)] == [6, 5]


@pytest.mark.parametrize("size", [8, 64, 128])
def test_images_of_every_size_come_back_in_their_shape(size):
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    network = VaeNetwork(3, 8, size, 4)
    mean, log_variance = network.encode(images)
    assert mean.shape == log_variance.shape == (2, 8)
    assert network.decode(mean).shape == images.shape


def test_the_paper_s_network_makes_one_step():
    torch.manual_seed(0)
    network, images = Vae().network(1), torch.rand(1, 1, 128, 128)
    loss = Vae().training().loss(network, images)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad.isfinite().all() and weights.grad.any() for weights in network.parameters())


@pytest.mark.parametrize("sigma", [1.0, 0.1])
def test_the_loss_is_the_negative_bound(sigma):
    found = negative_elbo(tiny_network().eval(), grid(), sigma=sigma).item()
    assert found == pytest.approx(expected(sigma, twice=False), rel=1e-5)


def test_at_a_deviation_of_one_the_loss_is_half_the_squared_error_a_constant_and_the_divergence():
    mean, log_deviation = outputs(tiny_network(), grid())
    half = 0.5 * np.square(grid().numpy() - decoded(tiny_network(), mean)).sum((1, 2, 3))
    nats = -0.5 * (1 + 2 * log_deviation - mean**2 - np.exp(2 * log_deviation)).sum(1)
    constant = 1024 * 0.5 * np.log(2 * np.pi)
    assert negative_elbo(tiny_network().eval(), grid()).item() == pytest.approx(np.mean(half + nats) + constant)


def test_published_code_takes_the_exponential_twice():
    found = negative_elbo(tiny_network().eval(), grid(), std_bug=True).item()
    assert found == pytest.approx(expected(1.0, twice=True), rel=1e-6)
    assert found - expected(1.0, twice=False) > 1


def test_the_exponential_taken_twice_rewards_latents_without_noise():
    log_variances = torch.tensor([[4.0], [0.0], [-4.0], [-8.0], [-40.0]])
    right, twice = (divergence(torch.zeros(5, 1), each) for each in (log_variances, exponentiated_twice(log_variances)))
    assert (twice.diff() < 0).all()
    assert twice[-1].item() == pytest.approx(0, abs=1e-6)
    assert (right[2:].diff() > 0).all()


def test_training_learns_from_samples_of_the_posterior():
    network = tiny_network().train()
    mean, log_deviation = outputs(network, grid())
    torch.manual_seed(5)
    latents = mean + np.exp(log_deviation) * torch.randn(4, 8).numpy()
    by_hand = bound(grid().double().numpy(), decoded(network, latents), mean, np.exp(log_deviation), 1.0)
    torch.manual_seed(5)
    assert negative_elbo(network, grid()).item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(("mode", "drawn"), [("train", True), ("eval", False)])
def test_only_in_train_mode_the_loss_is_drawn(mode, drawn):
    network, losses = tiny_network().train(replace(TINY, bn_mode=mode).schedule().mode == "train"), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        losses.append(negative_elbo(network, grid(), sigma=0.1).item())
    assert (losses[0] != losses[1]) is drawn


def learning_rate_after(epochs: int, method: Vae, context: FitContext) -> float:
    """Of a training that never gets better."""
    training, network = method.training(), tiny_network()
    optimiser = training.optimiser(network.parameters())
    schedulers = (training.scheduler(optimiser),) if training.scheduler else ()
    learner = Learner(network, lambda batch, epoch: torch.ones(()), (optimiser,), schedulers, lambda: -100.0)
    train(learner, grid(), replace(training.schedule, epochs=epochs, patience=0), context)
    return optimiser.param_groups[0]["lr"]


@pytest.mark.parametrize(("epochs", "active", "rate"), [(11, True, 5e-4), (12, True, 5e-5), (12, False, 5e-4)])
def test_eleven_epochs_without_a_better_one_take_the_learning_rate_to_a_tenth(epochs, active, rate, context):
    method = replace(TINY, lr_schedule_active=active)
    assert learning_rate_after(epochs, method, context) == pytest.approx(rate)


def test_a_loss_below_zero_that_falls_keeps_the_learning_rate():
    optimiser = TINY.training().optimiser(tiny_network().parameters())
    plateau = TINY.plateau(optimiser)
    for epoch in range(40):
        plateau.step(-3000.0 - 0.01 * epoch)
    assert optimiser.param_groups[0]["lr"] == TINY.lr


def test_a_loss_below_zero_that_rises_slowly_is_no_better_one():
    optimiser = TINY.training().optimiser(tiny_network().parameters())
    plateau = TINY.plateau(optimiser)
    for epoch in range(12):
        plateau.step(-3000.0 + 0.01 * epoch)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(TINY.lr / 10)


def test_the_mean_of_a_trained_posterior_is_as_bright_as_the_image(learned):
    seen = learned.predict(TEST).reconstructions
    assert seen.mean() == pytest.approx(TEST.pixels.mean(), rel=0.2)


def test_a_deviation_of_one_leaves_the_latents_without_information_and_their_mean_dark(context):
    detector = trained(replace(LEARNING, sigma=1.0), context)
    images = torch.as_tensor(TEST.pixels)
    assert divergence(*detector.network.encode(images)).mean().item() < 5
    assert detector.predict(TEST).reconstructions.mean() < 0.8 * TEST.pixels.mean()


def test_training_takes_a_bright_spot_out(learned):
    planted = TEST.pixels.copy()
    planted[SPOT] = 1.0
    seen = learned.predict(replace(TEST, pixels=planted)).reconstructions
    assert np.abs(seen - TEST.pixels)[SPOT].mean() < 0.5 * np.abs(planted - TEST.pixels)[SPOT].mean()


def test_the_map_is_the_absolute_error_and_the_score_its_mean(learned):
    prediction, images = learned.predict(TEST), torch.as_tensor(TEST.pixels)
    seen = learned.network.decode(learned.network.encode(images)[0]).detach()
    np.testing.assert_allclose(prediction.maps, (images - seen).abs()[:, 0], atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_a_sample_depends_on_the_seed_and_the_image_alone(context):
    detector = trained(replace(TINY, test_sampling="sample"), context)
    together = detector.predict(TEST).maps
    for row in (0, 3):
        assert detector.predict(TEST[row : row + 1]).maps.tobytes() == together[row].tobytes()
    turned = replace(TEST, pixels=TEST.pixels[::-1].copy())
    assert detector.predict(turned).maps[::-1].tobytes() == together.tobytes()


@pytest.mark.parametrize(("sampling", "drawn"), [("mean", False), ("sample", True)])
def test_only_a_sample_changes_with_the_seed(sampling, drawn, context):
    detector = trained(replace(TINY, test_sampling=sampling), context)
    other = replace(detector, seed=1)
    assert (detector.predict(TEST).maps.tobytes() != other.predict(TEST).maps.tobytes()) is drawn


@pytest.mark.parametrize(
    ("preset", "latent", "batch", "epochs", "patience"),
    [("paper", 256, 128, 500, 25), ("mor-2023", 256, 128, 500, 25), ("ra-2023", 512, 8, 1500, 500)],
)
def test_presets_are_as_published(preset, latent, batch, epochs, patience):
    method = plugins.make("vae", preset=preset)
    assert (method.latent, method.batch, method.epochs, method.patience) == (latent, batch, epochs, patience)
    assert (method.size, method.lr, method.augment) == (128, 5e-4, preset == "ra-2023")


@pytest.mark.parametrize("preset", ["quick", "paper", "mor-2023", "ra-2023"])
def test_no_preset_does_what_published_code_does_beside_its_paper(preset):
    method = plugins.make("vae", preset=preset)
    assert (method.vae_std_bug, method.lr_schedule_active, method.test_sampling) == (False, True, "mean")
    assert method.bn_mode == "train"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "vae: size is 100. The network halves it down to 4: give 64 or 128"),
        ({"size": 96}, "vae: size is 96. The network halves it down to 4: give 64 or 128"),
        ({"latent": 0}, "latent is 0"),
        ({"width": 0}, "width is 0"),
        ({"sigma": 0.0}, "sigma is 0.0. Give a standard deviation above 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"patience": -1}, "patience -1"),
        ({"test_sampling": "median"}, "test_sampling is 'median'. Give one of mean, sample"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("vae", **override)


def test_an_unknown_residual_is_refused():
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make("vae", residual="absolut")
