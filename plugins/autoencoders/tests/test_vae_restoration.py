"""Restoration under a VAE: total variation, the objective and its slope, and what the steps do to an image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_autoencoders.vae import Vae, VaeNetwork, negative_elbo
from uadbench_autoencoders.vae_restoration import RestoringVae, total_variation

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = RestoringVae(latent=8, width=4, size=32, epochs=2, batch=4, restore_steps=3)
LEARNING = replace(TINY, epochs=20, lr=5e-3, restore_steps=40, block=4)
MINUTE = replace(TINY, size=8, sigma=1.0, restore_lr=0.05, tv_weight=0.5)
TRAIN, TEST = blobs(32, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
SPOT = np.s_[:, :, 12:18, 13:19]


def context_in(folder) -> FitContext:
    return FitContext(0, "cpu", "float32", folder)


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Reconstructor:
    return LEARNING.fit(MemorySource(TRAIN), MemorySource(TEST), context_in(tmp_path_factory.mktemp("learned")))


def untrained(method: RestoringVae, channels: int = 1) -> VaeNetwork:
    torch.manual_seed(0)
    return method.network(channels).eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def with_spot() -> np.ndarray:
    planted = TEST.pixels.copy()
    planted[SPOT] = 1.0
    return planted


def restored(detector: Reconstructor, pixels: np.ndarray, **changes: float) -> np.ndarray:
    """The images after the steps of the detector's method, with these parameters changed."""
    changed = replace(detector, method=replace(detector.method, **changes))
    return changed.predict(replace(TEST, pixels=pixels)).reconstructions


def variation_of(image: np.ndarray, rounding: float) -> float:
    """Of one channel, pixel by pixel."""
    total, (h, w) = 0.0, image.shape
    for i in range(h):
        for j in range(w):
            for a, b in ((i + 1, j), (i, j + 1)):
                if a < h and b < w:
                    apart = abs(float(image[a, b]) - float(image[i, j]))
                    total += apart**2 / (2 * rounding) if apart < rounding else apart - rounding / 2
    return total


@pytest.mark.parametrize("rounding", [0.0, 0.3])
def test_total_variation_is_a_sum_over_neighbours(rounding):
    images = noise(2, 3, 5, 6)
    expected = [sum(variation_of(channel, rounding) for channel in image) for image in images.numpy()]
    np.testing.assert_allclose(total_variation(images, rounding), expected, rtol=1e-5)


def test_total_variation_does_not_see_a_constant():
    images = noise(2, 1, 5, 6)
    torch.testing.assert_close(total_variation(images + 3, 0.1), total_variation(images, 0.1), rtol=1e-4, atol=0)
    assert total_variation(torch.ones(1, 1, 4, 4), 0.0).item() == 0


def test_the_objective_is_the_negative_bound_and_the_weighed_variation_of_the_change():
    network, seen, images = untrained(MINUTE), noise(1, 1, 8, 8), noise(1, 1, 8, 8, seed=1)
    variation = variation_of((seen - images)[0, 0].numpy(), 8 * 0.05 * 0.5)
    expected = negative_elbo(network, seen, sigma=1.0).item() + 0.5 * variation
    assert MINUTE.objective(network, seen, images).item() == pytest.approx(expected, rel=1e-5)


def differences(method: RestoringVae, network: VaeNetwork, seen: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """The slope of one image's objective from finite differences, pixel by pixel."""
    pixels, reach = seen.numel(), 2e-3
    moves = reach * torch.eye(pixels).reshape(pixels, *seen.shape[1:])  # (p, c, s, s): one pixel each
    with torch.no_grad():
        above, below = (method.objective(network, seen + sign * moves, images).double() for sign in (1, -1))
    return ((above - below) / (2 * reach)).reshape(seen.shape).float()


@pytest.mark.parametrize("twice", [False, True])
def test_a_step_goes_down_the_slope_of_the_objective(twice):
    method = replace(MINUTE, restore_steps=1, vae_std_bug=twice)
    network, images = untrained(method), noise(1, 1, 8, 8, seed=2)  # no rectifier turns within reach
    once = method.reconstruct(network, images, torch.randn)
    torch.testing.assert_close(once, images - 0.05 * differences(method, network, images, images), rtol=0, atol=5e-4)
    again = replace(method, restore_steps=2).reconstruct(network, images, torch.randn)
    torch.testing.assert_close(again, once - 0.05 * differences(method, network, once, images), rtol=0, atol=5e-4)


def test_total_variation_has_a_part_in_the_slope_once_the_image_has_changed():
    network, images, seen = untrained(MINUTE), noise(1, 1, 8, 8), noise(1, 1, 8, 8, seed=1)
    free = replace(MINUTE, tv_weight=0.0)
    torch.testing.assert_close(MINUTE.slope(network, images, images), free.slope(network, images, images))
    assert (MINUTE.slope(network, seen, images) - free.slope(network, seen, images)).abs().max() > 0.5


@pytest.mark.parametrize("tv_weight", [0.0, 1.8, 20.0])
def test_the_objective_falls_along_the_steps(tv_weight, learned):
    method, images = replace(LEARNING, tv_weight=tv_weight), torch.as_tensor(with_spot())
    values = [method.objective(learned.network, images, images)]
    for steps in (1, 2, 3, 10, 50):
        seen = replace(method, restore_steps=steps).reconstruct(learned.network, images, torch.randn)
        values.append(method.objective(learned.network, seen, images))
    assert (torch.stack(values).diff(dim=0) < 0).all()


def test_more_weight_on_total_variation_keeps_the_change_flatter(learned):
    images = with_spot()
    changes = [torch.as_tensor(restored(learned, images, tv_weight=weight) - images) for weight in (0.0, 1.8, 20.0)]
    variations = [total_variation(change, 0.0).mean().item() for change in changes]
    assert variations[0] > 1.2 * variations[1] > 1.2**2 * variations[2]


def test_a_bright_spot_changes_more_than_healthy_tissue(learned):
    change = np.abs(restored(learned, with_spot()) - with_spot())
    elsewhere = np.ones(change.shape, bool)
    elsewhere[SPOT] = False
    assert change[SPOT].mean() > 2 * change[elsewhere].mean()


def test_every_step_takes_more_of_a_bright_spot_out(learned):
    left = [np.abs(restored(learned, with_spot(), restore_steps=n) - TEST.pixels)[SPOT].mean() for n in (1, 5, 40)]
    planted = np.abs(with_spot() - TEST.pixels)[SPOT].mean()
    assert planted > left[0] > left[1] > left[2]
    assert left[2] < 0.7 * planted


def test_an_image_alone_is_restored_as_in_a_batch(learned):
    together, images = learned.predict(TEST), torch.as_tensor(TEST.pixels)
    for row in range(4):
        alone = learned.predict(TEST[row : row + 1])
        assert alone.maps.tobytes() == together.maps[row : row + 1].tobytes()
    slopes = LEARNING.slope(learned.network, images, images)
    torch.testing.assert_close(
        slopes[:1], LEARNING.slope(learned.network, images[:1], images[:1]), rtol=1e-3, atol=1e-3
    )


def test_the_network_gets_no_gradients_and_the_steps_leave_no_graph():
    network = untrained(TINY)
    assert not TINY.reconstruct(network, torch.as_tensor(TEST.pixels), torch.randn).requires_grad
    assert all(weights.requires_grad and weights.grad is None for weights in network.parameters())


def test_the_map_is_the_absolute_change_and_the_score_its_mean(learned):
    prediction, images = learned.predict(TEST), torch.as_tensor(TEST.pixels)
    seen = LEARNING.reconstruct(learned.network, images, torch.randn)
    np.testing.assert_allclose(prediction.maps, (images - seen).abs()[:, 0], atol=1e-5)
    np.testing.assert_allclose(prediction.reconstructions, seen.clamp(0, 1), atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_the_prior_is_a_vae_of_the_same_parameters(tmp_path):
    source = MemorySource(TRAIN)
    prior = Vae(latent=8, width=4, size=32, epochs=2, batch=4)
    assert TINY.prior() == prior
    detectors = [method.fit(source, source, context_in(tmp_path / type(method).__name__)) for method in (TINY, prior)]
    pairs = zip(*(detector.network.parameters() for detector in detectors), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_paper_s_network_makes_one_step_of_restoration():
    method = RestoringVae()
    network, images = untrained(method), noise(1, 1, 128, 128)
    slope = method.slope(network, images, images)
    assert sum(weights.numel() for weights in network.parameters()) == 5_849_600
    assert slope.shape == images.shape
    assert slope.isfinite().all()
    assert slope.any()


def test_the_paper_s_steps_are_those_of_the_comparison():
    method = plugins.make("vae-restoration", preset="paper")
    assert (method.restore_steps, method.restore_lr, method.tv_weight, method.sigma) == (150, 1e-3, 1.8, 0.1)
    assert (method.vae_std_bug, method.lr_schedule_active) == (False, True)


def test_quick_takes_fewer_steps_of_the_same_size():
    quick, paper = (plugins.make("vae-restoration", preset=preset) for preset in ("quick", "paper"))
    assert quick.restore_steps == 20
    assert (quick.restore_lr, quick.tv_weight, quick.sigma) == (paper.restore_lr, paper.tv_weight, paper.sigma)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "vae-restoration: size is 100. The network halves it down to 4: give 64 or 128"),
        ({"size": 96}, "vae-restoration: size is 96. The network halves it down to 4: give 64 or 128"),
        ({"latent": 0}, "latent is 0"),
        ({"sigma": -1.0}, "sigma is -1.0"),
        ({"restore_steps": 0}, "restore_steps is 0. Give at least 1"),
        ({"restore_lr": 0.0}, "restore_lr is 0.0. Give a step above 0"),
        ({"tv_weight": -1.0}, "tv_weight is -1.0. Give at least 0"),
        ({"lr": 0.0}, "lr is 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("vae-restoration", **override)


def test_an_unknown_residual_is_refused():
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make("vae-restoration", residual="absolut")
