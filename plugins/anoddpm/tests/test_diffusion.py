"""Noising and the two ways back, against the papers' equations in numpy."""

import numpy as np
import pytest
import torch
from uadbench_anoddpm._diffusion import ddim_step, ddpm_step, estimated, kept, noised, path, posterior_mean

pytestmark = pytest.mark.usefixtures("one_torch_thread")

BETA = [1e-4 + t * (0.02 - 1e-4) / 999 for t in range(1000)]
ALPHA = [1 - beta for beta in BETA]
BAR = [float(np.prod(ALPHA[: t + 1])) for t in range(1000)]
STEPS = [0, 1, 199, 999]


def images(seed: int, spread: float = 0.3) -> torch.Tensor:
    return spread * torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def noised_by_hand(step: int) -> np.ndarray:
    return np.sqrt(BAR[step]) * images(0).numpy() + np.sqrt(1 - BAR[step]) * images(1, 1.0).numpy()


@pytest.mark.parametrize("step", STEPS)
def test_what_is_kept_is_the_product_of_one_minus_the_variances(step):
    assert kept(step) == pytest.approx(BAR[step], rel=1e-9)
    assert kept(-1) == 1


def test_images_are_noised_each_at_its_own_step():
    found = noised(images(0), images(1, 1.0), torch.tensor(STEPS))
    expected = np.stack([noised_by_hand(step)[row] for row, step in enumerate(STEPS)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_step_noises_all_images():
    found = noised(images(0), images(1, 1.0), torch.tensor([199]))
    np.testing.assert_allclose(found, noised_by_hand(199), atol=1e-6)


def test_noising_to_a_step_leaves_the_variance_one_of_standardised_images():
    found = noised(images(0, 1.0).repeat(100, 1, 1, 1), torch.randn(400, 1, 8, 8), torch.tensor([300]))
    assert found.var().item() == pytest.approx(1, rel=0.1)


def test_steps_one_by_one_add_up_to_the_noising_in_one_go():
    left, added = 1.0, 0.0
    for t in range(200):
        left, added = left * np.sqrt(ALPHA[t]), added * ALPHA[t] + BETA[t]
    found = noised(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.tensor([199])).item()
    assert found == pytest.approx(left + np.sqrt(added), rel=1e-5)


@pytest.mark.parametrize("step", STEPS)
def test_the_true_noise_gives_the_image_back(step):
    noisy = noised(images(0, 0.2), images(1), torch.tensor([step]))
    np.testing.assert_allclose(estimated(noisy, images(1), step), images(0, 0.2), atol=1e-3)


def test_an_estimated_image_is_clipped():
    found = estimated(torch.full((1, 1, 1, 2), 3.0), torch.zeros(1, 1, 1, 2), 0)
    assert found.tolist() == [[[[1.0, 1.0]]]]


@pytest.mark.parametrize("step", [1, 199, 999])
def test_the_posterior_mean_is_where_both_gaussians_meet(step):
    # q(x[t-1] | x[0]) times q(x[t] | x[t-1]), as a function of x[t-1]: precisions add, means are weighed by them
    image, noisy = images(0).numpy(), images(1).numpy()
    from_image, from_noisy = 1 / (1 - BAR[step - 1]), ALPHA[step] / BETA[step]
    means = np.sqrt(BAR[step - 1]) * image, noisy / np.sqrt(ALPHA[step])
    expected = (from_image * means[0] + from_noisy * means[1]) / (from_image + from_noisy)
    np.testing.assert_allclose(posterior_mean(images(0), images(1), step), expected, atol=1e-5)


@pytest.mark.parametrize("step", [1, 199, 400])
def test_a_ddpm_step_is_algorithm_2_where_nothing_is_clipped(step):
    noisy, epsilon, noise = noised(images(0, 0.1), images(1, 0.5), torch.tensor([step])), images(1, 0.5), images(2)
    mean = (noisy - BETA[step] / np.sqrt(1 - BAR[step]) * epsilon).numpy() / np.sqrt(ALPHA[step])
    expected = mean + np.sqrt(BETA[step]) * noise.numpy()
    np.testing.assert_allclose(ddpm_step(noisy, epsilon, step, noise), expected, atol=1e-5)


def test_the_last_ddpm_step_is_the_estimated_image():
    found = ddpm_step(images(0), images(1), 0, None)
    np.testing.assert_allclose(found, estimated(images(0), images(1), 0), atol=1e-6)


def test_a_ddim_step_keeps_the_noise_and_lowers_its_share():
    noisy = noised(images(0, 0.2), images(1), torch.tensor([400]))
    found, expected = ddim_step(noisy, images(1), 400, 100), noised(images(0, 0.2), images(1), torch.tensor([100]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(ddim_step(noisy, images(1), 400, -1), images(0, 0.2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 4, 200])
def test_ddim_with_the_best_linear_predictor_scales_gaussian_images_as_its_equation_solves(count):
    # for images of variance v the best epsilon is sqrt(1 - bar) x / variance(t): x goes along sqrt(variance(t))
    variance = 0.09
    start = images(3, 0.3)
    spread = [bar * variance + 1 - bar for bar in BAR]
    x = start * np.sqrt(spread[199] / variance)
    for step, to in path(200, count):
        x = ddim_step(x, x * np.sqrt(1 - BAR[step]) / spread[step], step, to)
    ratio = float(x.flatten() @ start.flatten() / start.square().sum())
    assert ratio == pytest.approx(1, abs={1: 0.7, 4: 0.25, 200: 0.01}[count])
    torch.testing.assert_close(x, ratio * start, atol=1e-5, rtol=0)


def test_ddim_after_a_clipped_estimate_still_makes_up_the_noisy_image():
    noisy = torch.full((1, 1, 1, 1), 2.0)
    found = ddim_step(noisy, torch.zeros(1, 1, 1, 1), 199, 100).item()
    rest = (2 - np.sqrt(BAR[199])) / np.sqrt(1 - BAR[199])
    assert found == pytest.approx(np.sqrt(BAR[100]) + np.sqrt(1 - BAR[100]) * rest, rel=1e-5)


@pytest.mark.parametrize(("steps", "count"), [(200, 200), (200, 7), (50, 1), (1, 1)])
def test_a_path_leads_from_the_last_step_to_the_image_in_so_many_even_jumps(steps, count):
    found = path(steps, count)
    starts, ends = zip(*found, strict=True)
    assert (starts[0], ends[-1], len(found)) == (steps - 1, -1, count)
    assert starts[1:] == ends[:-1]
    jumps = [start - end for start, end in found]
    assert max(jumps) - min(jumps) <= 1
