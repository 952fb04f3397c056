"""The denoising autoencoder: its network, its noise, its masked loss, and what it takes out of an image."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from uadbench_autoencoders._unet import StandardisedConv, UNet, groups
from uadbench_autoencoders.dae import DenoisingAutoencoder, coarse_noise, foreground

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

TINY = DenoisingAutoencoder(width=4, size=32, epochs=2, steps=3, batch=4, noise_resolution=8)
SPOT = np.s_[:, :, 12:18, 13:19]


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def tiny_network() -> UNet:
    torch.manual_seed(0)
    return TINY.network(1)


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def noise_of(method: DenoisingAutoencoder, images: torch.Tensor, seed: int = 3) -> torch.Tensor:
    torch.manual_seed(seed)
    return method.noise(images)


def coarse(shape: tuple[int, ...], resolution: int = 16, sigma: float = 0.2) -> torch.Tensor:
    torch.manual_seed(3)
    return coarse_noise(torch.zeros(shape), resolution, sigma)


def test_the_network_has_as_many_parameters_as_the_published_one():
    # published: 7.70 M; by hand, 9 weights per kernel and 1 bias and 2 factors per channel of each convolution:
    widths = (64, 128, 256, 512)
    down = sum(9 * (a * b + b * b) + 6 * b for a, b in zip((1, *widths), widths, strict=False))
    up = sum(4 * b * a + a + 9 * (b * a + a * a) + 6 * a for a, b in pairwise(widths))
    count = sum(weights.numel() for weights in DenoisingAutoencoder().network(1).parameters())
    assert count == down + up + 64 + 1 == 7_701_825


def test_a_fifth_level_gives_the_published_larger_network():
    count = sum(weights.numel() for weights in DenoisingAutoencoder(depth=5).network(1).parameters())
    assert round(count / 1e6, 2) == 31.04


@pytest.mark.parametrize("channels", [1, 4])
def test_filters_have_mean_zero_and_standard_deviation_one(channels):
    torch.manual_seed(0)
    filters = StandardisedConv(channels, 5).standardised().detach().numpy().reshape(5, -1)
    np.testing.assert_allclose(filters.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(filters.std(1, ddof=1), 1, rtol=1e-3)


def test_a_convolution_reflects_the_image_at_its_border():
    torch.manual_seed(0)
    convolution, image = StandardisedConv(1, 1), torch.rand(1, 1, 5, 5)
    padded = np.pad(image[0, 0].numpy(), 1, mode="reflect")
    filters = convolution.standardised()[0, 0].detach().numpy()
    expected = [[(padded[i : i + 3, j : j + 3] * filters).sum() for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(
        convolution(image)[0, 0].detach(), np.array(expected) + convolution.bias.item(), atol=1e-5
    )


@pytest.mark.parametrize(("channels", "count"), [(64, 8), (128, 16), (256, 16), (512, 32)])
def test_groups_are_the_median_divisor(channels, count):
    assert groups(channels) == count


def test_the_paper_s_network_makes_one_step():
    method = DenoisingAutoencoder()
    torch.manual_seed(0)
    network, images = method.network(1), torch.rand(1, 1, 128, 128)
    loss = method.noisy_error(network, images)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


def test_noise_at_its_points_has_the_stated_mean_and_spread():
    noise = coarse((400, 1, 16, 16))
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    assert noise.std().item() == pytest.approx(0.2, rel=0.02)


def test_noise_is_the_points_drawn_up_and_rolled_the_same_way_in_every_image():
    torch.manual_seed(3)
    points = 0.2 * torch.randn(2, 1, 4, 4).numpy()
    down, right = int(torch.randint(16, ())), int(torch.randint(16, ()))
    at, known = np.linspace(0, 3, 16), np.arange(4)
    across = np.apply_along_axis(lambda row: np.interp(at, known, row), 3, points)
    enlarged = np.apply_along_axis(lambda column: np.interp(at, known, column), 2, across)
    np.testing.assert_allclose(coarse((2, 1, 16, 16), 4), np.roll(enlarged, (down, right), (2, 3)), atol=1e-6)


def test_noise_is_coarse():
    noise = coarse((50, 1, 128, 128))
    beside, far = ((noise[..., step:] - noise[..., :-step]).square().mean().item() for step in (1, 16))
    assert beside < 0.1 * far


def test_noise_differs_between_images_and_channels():
    noise = coarse((2, 2, 16, 16))
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[:, 0], noise[:, 1])


def test_noise_is_added_in_the_foreground_alone():
    noise = noise_of(TINY, grid())
    air = grid() <= 0.01
    assert air.any()
    assert (noise[air] == 0).all()
    assert (noise[~air] != 0).all()


def test_the_shift_switch_doubles_the_noise_and_takes_one_off_everywhere():
    shifted = noise_of(replace(TINY, noise_shift=-1.0), grid())
    np.testing.assert_allclose(shifted, 2 * noise_of(TINY, grid()) - 1, atol=1e-6)
    assert shifted.mean().item() == pytest.approx(-1, abs=0.1)


def test_foreground_is_where_the_sum_over_channels_is_above_a_hundredth():
    images = torch.tensor([[[[0.004, 0.006]], [[0.004, 0.006]]]])  # (1, 2, 1, 2)
    assert foreground(images).tolist() == [[[[0.0, 1.0]]]]


ERRORS = {"squared": np.square, "absolute": np.abs}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("loss", ERRORS)
def test_the_loss_is_the_mean_error_with_the_background_as_zero(loss, masked):
    seen = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    apart = ERRORS[loss](seen.numpy() - grid().numpy())
    expected = np.mean(apart * (grid().numpy() > 0.01) if masked else apart)
    assert replace(TINY, loss=loss, masked=masked).error(seen, grid()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("masked", "blind"), [(True, True), (False, False)])
def test_only_the_masked_loss_ignores_the_background(masked, blind):
    elsewhere = grid() + (grid() <= 0.01).float()
    assert (replace(TINY, masked=masked).error(elsewhere, grid()).item() == 0) is blind


def test_only_the_masked_network_leaves_the_background_as_it_is():
    network, air = tiny_network(), foreground(grid()) == 0
    kept, whole = (replace(TINY, masked=masked).reconstruct(network, grid(), None) for masked in (True, False))
    assert torch.equal(kept[air], grid()[air])
    assert not torch.equal(whole[air], grid()[air])
    assert torch.equal(kept[~air], whole[~air])


def test_training_restores_the_image_from_its_noisy_self():
    network, noise = tiny_network(), noise_of(TINY, grid())
    expected = TINY.error(network(grid() + noise), grid()).item()
    torch.manual_seed(3)
    assert TINY.noisy_error(network, grid()).item() == pytest.approx(expected)
    assert TINY.clean_error(network, grid()).item() == pytest.approx(TINY.error(network(grid()), grid()).item())


@pytest.mark.parametrize(("validation", "noisy"), [("noisy", True), ("clean", False)])
def test_validation_sees_noise_or_none(validation, noisy):
    errors = []
    network, method = tiny_network(), replace(TINY, validation=validation)
    for seed in (1, 2):
        torch.manual_seed(seed)
        errors.append(method.validation_error(network, grid()).item())
    assert (errors[0] != errors[1]) is noisy


def learning_rates(method: DenoisingAutoencoder, epochs: int) -> list[float]:
    optimiser = method.optimiser(tiny_network().parameters())
    scheduler, rates = method.annealing(optimiser), []
    for _ in range(epochs):
        optimiser.step()
        scheduler.step()
        rates.append(optimiser.param_groups[0]["lr"])
    return rates


def test_the_learning_rate_follows_half_a_cosine_over_a_hundred_epochs():
    expected = [0.5 * 1e-4 * (1 + np.cos(np.pi * epoch / 100)) for epoch in range(1, 101)]
    np.testing.assert_allclose(learning_rates(TINY, 100), expected, atol=1e-10)


def test_the_optimiser_is_adam_with_amsgrad_and_weight_decay():
    settings = TINY.optimiser(tiny_network().parameters()).param_groups[0]
    assert (settings["lr"], settings["amsgrad"], settings["weight_decay"]) == (1e-4, True, 1e-5)


def test_training_takes_a_bright_spot_out(context):
    healthy, test = blobs(16, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
    planted = test.pixels.copy()
    planted[SPOT] = np.clip(planted[SPOT] + 0.4, 0, 1)
    method = replace(TINY, width=8, lr=3e-3, epochs=4, steps=16)
    seen = method.fit(MemorySource(healthy), MemorySource(test), context).predict(replace(test, pixels=planted))
    apart = np.abs(seen.reconstructions - test.pixels)[SPOT].mean()
    assert apart < 0.8 * np.abs(planted - test.pixels)[SPOT].mean()


def test_maps_are_zero_in_the_air(context):
    source, test = MemorySource(blobs(8, 32, 32, seed=2)), blobs(3, 32, 32, seed=3)
    maps = TINY.fit(source, source, context).predict(test).maps
    assert (maps[~test.foreground] == 0).mean() > 0.95
    assert maps[test.foreground].max() > 0


def test_a_saved_detector_comes_back_with_the_same_bytes(context, tmp_path):
    source, test = MemorySource(blobs(8, 40, 36, seed=2)), blobs(3, 40, 36, seed=3)
    detector = TINY.fit(source, source, context)
    detector.save(tmp_path / "detector")
    again = DenoisingAutoencoder.load(tmp_path / "detector", "cpu").predict(test)
    assert again.maps.tobytes() == detector.predict(test).maps.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    source, test = MemorySource(blobs(8, 32, 32, seed=2)), blobs(3, 32, 32, seed=3)
    contexts = [FitContext(seed, "cpu", "float32", tmp_path / str(run)) for run, seed in enumerate((0, 0, 1))]
    one, same, other = (TINY.fit(source, source, each).predict(test).maps.tobytes() for each in contexts)
    assert one == same != other


@pytest.mark.parametrize("preset", ["mor-2023", "ra-2023"])
def test_later_comparisons_train_on_the_unmasked_absolute_error(preset):
    method = plugins.make("dae", preset=preset)
    assert (method.loss, method.masked, method.validation, method.steps) == ("absolute", False, "clean", 0)
    assert (method.residual, method.noise_shift) == ("absolute", 0.0)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_the_paper_s_loss_is_squared_and_masked(preset):
    method = plugins.make("dae", preset=preset)
    assert (method.loss, method.masked, method.validation, method.residual) == ("squared", True, "noisy", "foreground")
    assert (method.noise_sigma, method.noise_resolution, method.steps) == (0.2, 16, 32)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"loss": "cubic"}, "loss is 'cubic'. Give one of squared, absolute"),
        ({"validation": "none"}, "validation is 'none'"),
        ({"noise_sigma": 0.0}, "noise_sigma is 0.0"),
        ({"noise_resolution": 200}, "noise_resolution is 200. Give 1 to 128"),
        ({"depth": 1}, "depth is 1"),
        ({"steps": -1}, "steps -1"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("dae", preset="paper", **override)


def test_an_unknown_residual_is_refused():
    with pytest.raises(UnknownNameError, match="foreground"):
        plugins.make("dae", residual="forground")
