"""The adversarial autoencoder: its four networks, its four updates, and what it takes out of an image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders import aae
from uadbench_autoencoders._adversarial import AdversarialNetworks
from uadbench_autoencoders.aae import AdversarialAutoencoder

from uadbench import FitContext, plugins
from uadbench.errors import InvalidDataError, ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

TINY = AdversarialAutoencoder(latent=8, width=4, size=32, epochs=2, batch=4)
PARTS = ("encoder", "generator", "discriminator", "latent_discriminator")
KINDS = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv2d)
SPOT = np.s_[:, :, 12:18, 13:19]


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def tiny_networks() -> AdversarialNetworks:
    torch.manual_seed(0)
    return TINY.network(1)


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def entropy(odds: torch.Tensor, truth: np.ndarray | float) -> float:
    """-mean[t log p + (1 - t) log(1 - p)] of p = 1 / (1 + exp(-odds))."""
    p = 1 / (1 + np.exp(-odds.detach().double().numpy()))
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))


def prior_of_seed(networks: AdversarialNetworks, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return networks.prior(4)


def counts(networks: AdversarialNetworks) -> list[int]:
    return [sum(weights.numel() for weights in getattr(networks, part).parameters()) for part in PARTS]


def test_the_networks_have_as_many_parameters_as_the_published_ones():
    # published: 2.494, 3.150, 0.793 and 0.050 M; by hand, 16 weights per kernel, biases, and 2 per normalised channel:
    encoder = 16 * (64 + 2 * 64 * 64 + 64 * 256 + 2 * 256 * 256) + (3 * 64 + 3 * 256) + 2 * (2 * 64 + 2 * 256)
    generator = 16 * (2 * 256**2 + 256 * 128 + 2 * 128**2 + 128) + (2 * 256 + 3 * 128 + 1) + 2 * (2 * 256 + 3 * 128)
    judge = 16 * (64 + 2 * 64**2 + 64 * 128 + 128 * 256 + 256) + (3 * 64 + 128 + 256 + 1) + 2 * (2 * 64 + 128 + 256)
    latent_judge = 256 * 128 + 128 + 128 * 128 + 128 + 128 + 1
    assert [encoder, generator, judge, latent_judge] == [2_493_632, 3_150_465, 793_153, 49_537]
    assert counts(AdversarialAutoencoder().network(1)) == [encoder, generator, judge, latent_judge]


@pytest.mark.parametrize(("part", "kind"), list(zip(PARTS[:3], KINDS, strict=True)))
def test_half_the_side_has_one_layer_less(part, kind):
    large, small = (getattr(AdversarialNetworks(1, 8, size, 4), part) for size in (128, 64))
    assert [sum(isinstance(layer, kind) for layer in network) for network in (large, small)] == [6, 5]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_images_of_every_size_come_back_in_their_shape(size):
    networks = AdversarialNetworks(3, 8, size, 4).eval()
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert networks.generate(networks.encode(images)).shape == images.shape
    assert networks.judge(images).shape == networks.judge_latent(networks.encode(images)).shape == (2,)


def test_images_are_half_of_one_plus_the_hyperbolic_tangent():
    networks, codes = tiny_networks().eval(), torch.ones(1, 8)
    activations = networks.generator(codes[:, :, None, None]).detach().numpy()
    np.testing.assert_allclose(networks.generate(codes).detach().numpy(), 0.5 * np.tanh(activations) + 0.5, atol=1e-6)


def test_the_paper_s_networks_make_one_step(context):
    method = AdversarialAutoencoder()
    torch.manual_seed(0)
    network = method.network(1)
    before = [weights.clone() for weights in network.parameters()]
    loss = method.learner(network, torch.rand(2, 1, 128, 128), context).step(torch.rand(2, 1, 128, 128), 0)
    assert torch.isfinite(loss)
    moved = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


def test_the_discriminator_s_loss_tells_real_images_from_generated_ones():
    networks = tiny_networks().eval()
    made = networks.generate(prior_of_seed(networks, 3))
    expected = entropy(networks.judge(grid()), 1.0) + entropy(networks.judge(made), 0.0)
    torch.manual_seed(3)
    assert aae.discriminator_loss(networks, grid()).item() == pytest.approx(expected, rel=1e-5)


def test_the_generator_s_loss_wants_generated_images_taken_for_real():
    networks = tiny_networks().eval()
    expected = entropy(networks.judge(networks.generate(prior_of_seed(networks, 3))), 1.0)
    torch.manual_seed(3)
    assert aae.generator_loss(networks, grid()).item() == pytest.approx(expected, rel=1e-5)


def test_the_latent_discriminator_s_loss_is_twice_the_entropy_of_both_sides():
    networks = tiny_networks().eval()
    drawn = networks.judge_latent(prior_of_seed(networks, 3))
    expected = 2 * (entropy(drawn, 1.0) + entropy(networks.judge_latent(networks.encode(grid())), 0.0))
    torch.manual_seed(3)
    assert aae.latent_discriminator_loss(networks, grid()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [10.0, 2.0])
def test_the_autoencoder_s_loss_weighs_the_image_against_the_latent(weight, context):
    networks, method = tiny_networks().eval(), replace(TINY, reconstruction=weight)
    codes = networks.encode(grid())
    image = entropy(networks.image_logits(codes), grid().double().numpy())
    expected = weight * image + entropy(networks.judge_latent(codes), 1.0)
    update = method.updates(networks, method.optimisers(networks), context)[3]
    assert update(grid(), 0).item() == pytest.approx(expected, rel=1e-5)


CHANGES = [{"discriminator"}, {"generator"}, {"latent_discriminator"}, {"encoder", "generator"}]


@pytest.mark.parametrize(("place", "changed"), list(enumerate(CHANGES)))
def test_each_update_changes_its_own_weights_alone(place, changed, context):
    networks = tiny_networks().train()
    before = {name: weights.clone() for name, weights in networks.named_parameters()}
    TINY.updates(networks, TINY.optimisers(networks), context)[place](grid(), 0)
    moved = {name for name, weights in networks.named_parameters() if not torch.equal(before[name], weights)}
    assert {name.partition(".")[0] for name in moved} == changed


@pytest.mark.parametrize(("active", "share"), [(True, 0.25), (False, 1.0)])
def test_after_ninety_epochs_every_learning_rate_is_a_quarter(active, share, context):
    method = replace(TINY, lr_schedule_active=active)
    learner = method.learner(tiny_networks(), grid(), context)
    for _ in range(90):
        for part in (*learner.optimisers, *learner.schedulers):
            part.step()
    assert [one.param_groups[0]["lr"] for one in learner.optimisers] == pytest.approx([share * method.lr] * 4)


def test_the_learning_rate_stays_whole_until_the_ninetieth_epoch(context):
    learner = TINY.learner(tiny_networks(), grid(), context)
    for _ in range(89):
        for part in (*learner.optimisers, *learner.schedulers):
            part.step()
    assert learner.optimisers[0].param_groups[0]["lr"] == TINY.lr


def test_validation_is_the_entropy_of_the_reconstruction(context):
    networks = tiny_networks().eval()
    expected = entropy(networks.image_logits(networks.encode(grid(6))), grid(6).double().numpy())
    with torch.no_grad():
        assert TINY.learner(networks, grid(6), context).validate() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("latent_only", "starts_so"), [(False, True), (True, False)])
def test_weights_start_with_a_spread_of_two_hundredths(latent_only, starts_so):
    torch.manual_seed(0)
    network = AdversarialAutoencoder(size=64, width=16, init_latent_only=latent_only).network(1)
    layers = network.latent_discriminator[0], network.encoder[-1]
    spreads = [abs(layer.weight.std().item() / 0.02 - 1) < 0.05 for layer in layers]
    assert spreads == [True, starts_so]


def test_training_takes_a_bright_spot_out(context):
    healthy, test = blobs(16, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
    planted = test.pixels.copy()
    planted[SPOT] = 1.0
    method = replace(TINY, latent=16, width=8, epochs=8)
    seen = method.fit(MemorySource(healthy), MemorySource(test), context).predict(replace(test, pixels=planted))
    apart = np.abs(seen.reconstructions - test.pixels)[SPOT].mean()
    assert apart < 0.8 * np.abs(planted - test.pixels)[SPOT].mean()


def test_the_map_is_the_absolute_error_and_the_score_its_mean(context):
    source, test = MemorySource(blobs(8, 32, 32, seed=2)), blobs(3, 32, 32, seed=3)
    prediction = TINY.fit(source, source, context).predict(test)
    np.testing.assert_allclose(prediction.maps, np.abs(test.pixels - prediction.reconstructions)[:, 0], atol=1e-6)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_a_saved_detector_comes_back_with_the_same_bytes(context, tmp_path):
    source, test = MemorySource(blobs(8, 32, 32, seed=2)), blobs(3, 32, 32, seed=3)
    detector = TINY.fit(source, source, context)
    detector.save(tmp_path / "detector")
    again = AdversarialAutoencoder.load(tmp_path / "detector", "cpu").predict(test)
    assert again.maps.tobytes() == detector.predict(test).maps.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(context, tmp_path):
    source, test = MemorySource(blobs(8, 32, 32, seed=2)), blobs(3, 32, 32, seed=3)
    contexts = [FitContext(seed, "cpu", "float32", tmp_path / str(run)) for run, seed in enumerate((0, 0, 1))]
    one, same, other = (TINY.fit(source, source, each).predict(test).maps.tobytes() for each in contexts)
    assert one == same != other


@pytest.mark.parametrize(
    ("preset", "lr", "weight"), [("quick", 5e-4, 10.0), ("paper", 2e-3, 10.0), ("mor-2023", 5e-4, 2.0)]
)
def test_every_preset_makes_a_method(preset, lr, weight):
    method = plugins.make("aae", preset=preset)
    assert (method.lr, method.reconstruction) == (lr, weight)
    assert (method.lr_schedule_active, method.init_latent_only, method.bn_mode) == (True, False, "train")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network halves it down to 4: give one of"),
        ({"size": 96}, "size is 96. The network halves it"),
        ({"latent": 0}, "latent is 0"),
        ({"width": 0}, "width is 0"),
        ({"reconstruction": -1.0}, "reconstruction is -1.0"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
        ({"lr": 0.0}, "lr is 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("aae", **override)


def test_validation_images_of_other_channels_are_refused_before_the_training(context):
    grey, coloured = blobs(8, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
    coloured = replace(coloured, pixels=np.repeat(coloured.pixels, 3, axis=1))
    with pytest.raises(InvalidDataError, match="Training images have 1 channels, validation images 3"):
        TINY.fit(MemorySource(grey), MemorySource(coloured), context)
