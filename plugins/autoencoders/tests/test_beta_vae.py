"""The beta-VAE: its network, a loss whose capacity grows with each step of training, and what it predicts from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders.beta_vae import BetaVae, BetaVaeNetwork

from uadbench import FitContext, Progress, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor, fit

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = BetaVae(latent=4, width=4, size=32, epochs=2, batch=4)
TRAIN, TEST = blobs(8, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
SPOT = np.s_[:, :, 12:18, 13:19]


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def tiny_network(steps: int = 0) -> BetaVaeNetwork:
    torch.manual_seed(0)
    network = TINY.network(1)
    network.steps.fill_(steps)
    return network


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def trained(method: BetaVae, context: FitContext) -> Reconstructor:
    return method.fit(MemorySource(TRAIN), MemorySource(TEST), context)


def by_hand(method: BetaVae, capacity: float, *, seed: int | None) -> float:
    """The loss of the tiny network, from samples of that seed or from the means."""
    mean, log_variance = (part.double().detach().numpy() for part in tiny_network().encode(grid()))
    latents, deviation = mean, np.exp(log_variance / 2)
    if seed is not None:
        torch.manual_seed(seed)
        latents = mean + deviation * torch.randn(4, 4).numpy()
    seen = tiny_network().decode(torch.as_tensor(latents).float()).double().detach().numpy()
    nats = np.mean((0.5 * (mean**2 + deviation**2 - 1) - np.log(deviation)).sum(1))
    return np.mean((grid().numpy() - seen) ** 2) + method.gamma * method.kl_weight * abs(nats - capacity)


def test_the_network_has_as_many_parameters_as_the_published_one():
    # by hand: 16 weights per kernel and 1 bias per channel, 256 hidden numbers, 32 latents
    narrowing = (16 * 32 + 32) + 4 * (16 * 32 * 32 + 32) + (16 * 32 * 256 + 256) + (256 * 64 + 64)
    widening = (32 * 256 + 256) + (16 * 256 * 32 + 32) + 4 * (16 * 32 * 32 + 32) + (16 * 32 + 1)
    count = sum(weights.numel() for weights in BetaVae().network(1).parameters())
    assert count == narrowing + widening == 419_713


def test_half_the_side_has_one_layer_less():
    large, small = (list(BetaVaeNetwork(1, 8, size, 4).modules()) for size in (128, 64))
    for kind in (nn.Conv2d, nn.ConvTranspose2d):
        assert [sum(isinstance(layer, kind) for layer in network) for network in (large, small)] == [6, 5]


@pytest.mark.parametrize("size", [8, 64, 128])
def test_images_of_every_size_come_back_in_their_shape(size):
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    network = BetaVaeNetwork(3, 8, size, 4)
    mean, log_variance = network.encode(images)
    assert mean.shape == log_variance.shape == (2, 8)
    assert network.decode(mean).shape == images.shape


def test_the_output_is_linear():
    assert isinstance(tiny_network().decoder[-1], nn.ConvTranspose2d)
    assert tiny_network().decode(torch.randn(8, 4, generator=torch.Generator().manual_seed(0))).min() < 0


def test_weights_start_with_the_spread_of_he_and_biases_at_zero():
    torch.manual_seed(0)
    network = BetaVae().network(1)
    for layer, inputs in ((network.encoder[2], 16 * 32), (network.encoder[-1], 256), (network.decoder[0], 32)):
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_the_paper_s_network_makes_one_step():
    torch.manual_seed(0)
    network, images = BetaVae().network(1), torch.rand(2, 1, 128, 128)
    loss = BetaVae().training_loss(network, images)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad.isfinite().all() and weights.grad.any() for weights in network.parameters())


@pytest.mark.parametrize(("steps", "nats"), [(0, 0), (1, 0.0005), (50_000, 25), (100_000, 50), (1_000_000, 50)])
def test_the_capacity_grows_evenly_to_fifty_nats(steps, nats):
    assert BetaVae().capacity_after(torch.tensor(steps)).item() == pytest.approx(nats)


@pytest.mark.parametrize(("steps", "capacity"), [(0, 50 / 1e5), (19_999, 10.0), (10**6, 50.0)])
def test_training_takes_the_squared_error_and_the_distance_of_the_divergence_from_the_capacity(steps, capacity):
    network = tiny_network(steps)
    torch.manual_seed(5)
    found = TINY.training_loss(network, grid()).item()
    assert found == pytest.approx(by_hand(TINY, capacity, seed=5), rel=1e-5)


@pytest.mark.parametrize("gamma", [2.0, 1000.0])
def test_validation_takes_the_same_loss_of_the_means(gamma):
    method = replace(TINY, gamma=gamma)
    found = method.validation_loss(tiny_network(2000), grid()).item()
    assert found == pytest.approx(by_hand(method, 1.0, seed=None), rel=1e-5)


def test_a_divergence_below_the_capacity_is_drawn_up_and_one_above_it_down():
    losses = []
    for capacity in (0.0, 1000.0):
        network = tiny_network(10**6)
        replace(TINY, capacity=capacity, kl_weight=1e6).validation_loss(network, grid()).backward()
        losses.append(network.encoder[-1].weight.grad)
    torch.testing.assert_close(losses[0], -losses[1], rtol=1e-3, atol=1.0)


def test_a_step_of_training_counts_before_it_is_judged():
    network = tiny_network()
    for step in (1, 2, 3):
        TINY.training_loss(network, grid())
        assert network.steps.item() == step


@pytest.mark.parametrize(("counts", "steps"), [(False, 7), (True, 8)])
def test_validation_counts_only_by_the_switch(counts, steps):
    network = tiny_network(7)
    replace(TINY, validation_counts=counts).validation_loss(network, grid())
    assert network.steps.item() == steps


@pytest.mark.parametrize(("counts", "steps"), [(False, 2), (True, 3)])
def test_a_fitted_network_has_counted_its_batches(counts, steps, context):
    detector = trained(replace(TINY, epochs=1, validation_counts=counts), context)
    assert detector.network.steps.item() == steps


class CutOffError(Exception):
    pass


def finished(context: FitContext, *, epochs: int) -> BetaVaeNetwork:
    """The network after its last epoch, with a checkpoint after each."""
    method = replace(TINY, epochs=epochs, capacity_steps=20)
    training = replace(method.training(), validation=None)
    often = replace(training, schedule=replace(training.schedule, checkpoint_minutes=0))
    return fit(method, often, MemorySource(TRAIN), MemorySource(TEST), context).network


def test_the_count_goes_on_exactly_where_a_training_was_cut_off(tmp_path):
    def cutting(progress: Progress) -> None:
        if progress.done == 3:
            raise CutOffError

    with pytest.raises(CutOffError):
        finished(FitContext(0, "cpu", "float32", tmp_path / "cut", cutting), epochs=4)
    resumed = finished(FitContext(0, "cpu", "float32", tmp_path / "cut"), epochs=4)
    whole = finished(FitContext(0, "cpu", "float32", tmp_path / "whole"), epochs=4)
    assert resumed.steps.item() == whole.steps.item() == 8
    assert all(torch.equal(one, other) for one, other in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_training_takes_a_bright_spot_out(context):
    planted = TEST.pixels.copy()
    planted[SPOT] = 1.0
    method = replace(TINY, width=8, epochs=60, lr=3e-3, capacity=10.0, capacity_steps=20)
    seen = trained(method, context).predict(replace(TEST, pixels=planted)).reconstructions
    assert np.abs(seen - TEST.pixels)[SPOT].mean() < 0.5 * np.abs(planted - TEST.pixels)[SPOT].mean()


def test_the_map_is_the_absolute_error_of_the_mean_s_image_and_the_score_its_mean(context):
    detector, images = trained(TINY, context), torch.as_tensor(TEST.pixels)
    prediction = detector.predict(TEST)
    seen = detector.network.decode(detector.network.encode(images)[0]).detach()
    np.testing.assert_allclose(prediction.maps, (images - seen).abs()[:, 0], atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize(("sampling", "drawn"), [("mean", False), ("sample", True)])
def test_only_a_sample_changes_with_the_seed(sampling, drawn, context):
    detector = trained(replace(TINY, test_sampling=sampling), context)
    other = replace(detector, seed=1)
    assert (detector.predict(TEST).maps.tobytes() != other.predict(TEST).maps.tobytes()) is drawn
    assert detector.predict(TEST[2:3]).maps.tobytes() == detector.predict(TEST).maps[2].tobytes()


@pytest.mark.parametrize("preset", ["paper", "mor-2023"])
def test_presets_are_as_published(preset):
    method = plugins.make("beta-vae", preset=preset)
    assert (method.latent, method.size, method.epochs, method.batch) == (32, 128, 1000, 64)
    assert (method.lr, method.patience, method.gamma, method.kl_weight) == (5e-4, 25, 2.0, 0.008)
    assert (method.capacity, method.capacity_steps) == (50.0, 100_000)


@pytest.mark.parametrize("preset", ["quick", "paper", "mor-2023"])
def test_no_preset_does_what_published_code_does_beside_its_paper(preset):
    method = plugins.make("beta-vae", preset=preset)
    assert (method.validation_counts, method.test_sampling, method.bn_mode) == (False, "mean", "train")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "beta-vae: size is 100. The network halves it down to 4: give 64 or 128"),
        ({"size": 96}, "beta-vae: size is 96. The network halves it down to 4: give 64 or 128"),
        ({"latent": 0}, "latent is 0"),
        ({"width": 0}, "width is 0"),
        ({"gamma": -1.0}, "gamma is -1.0"),
        ({"kl_weight": -0.1}, "kl_weight is -0.1"),
        ({"capacity": -5.0}, "capacity is -5.0"),
        ({"capacity_steps": 0}, "capacity_steps is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"test_sampling": "median"}, "test_sampling is 'median'. Give one of mean, sample"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("beta-vae", **override)


def test_an_unknown_residual_is_refused():
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make("beta-vae", residual="absolut")
