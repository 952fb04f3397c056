"""The losses of the inpainting against a few lines of numpy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from uadbench_phanes._losses import Weights, likeness, passing, soft, unmasking

from uadbench.torch_support.feature_losses import perceptual, style

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WEIGHTS = Weights(style=250.0, perceptual=0.1, adversarial=0.01)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


KERNEL = random(3, 1, 3, 3, seed=0) - 0.5


def layers(images: torch.Tensor) -> list[torch.Tensor]:
    """A tiny feature stack: the image, and what three kernels find in it."""
    return [images, torch.nn.functional.conv2d(images, KERNEL).relu()]


def features(made: torch.Tensor, images: torch.Tensor) -> dict[str, torch.Tensor]:
    one, other = layers(made), layers(images)
    return {"style": style(one, other), "perceptual": perceptual(one, other)}


def gram(maps: np.ndarray) -> np.ndarray:
    return np.einsum("nchw,ndhw->ncd", maps, maps) / maps[0].size


def test_likeness_is_absolute_difference_style_and_features():
    made, images = random(2, 1, 8, 8, seed=1), random(2, 1, 8, 8, seed=2)
    pairs = [(a.double().numpy(), b.double().numpy()) for a, b in zip(layers(made), layers(images), strict=True)]
    expected = np.abs(pairs[0][0] - pairs[0][1]).mean()
    expected += 250 * sum(np.abs(gram(a) - gram(b)).mean() for a, b in pairs)
    expected += 0.1 * sum(np.abs(a - b).mean() for a, b in pairs)
    assert likeness(made, images, features, WEIGHTS).item() == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_is_to_find_the_soft_mask_and_nothing_in_real_images():
    judged, real = random(2, 1, 3, 3, seed=1), random(2, 1, 3, 3, seed=2)
    masks = (random(2, 1, 40, 40, seed=3) > 0.7).float()
    target = soft(masks, 3).numpy()
    expected = ((judged.numpy() - target) ** 2).mean() + (real.numpy() ** 2).mean()
    assert unmasking(judged, real, masks).item() == pytest.approx(expected, rel=1e-5)


def test_the_generator_is_to_pass_for_real_inside_the_mask_alone():
    judged, masks = random(1, 1, 4, 4, seed=1), torch.zeros(1, 1, 40, 40)
    assert passing(judged, masks) == 0
    masks[..., :20] = 1
    inside = np.array([1, 7 / 8, 1 / 8, 0])  # of each patch, when the mask is shrunk by triangles two patches wide
    expected = (judged.numpy() ** 2 * inside).mean()
    assert passing(judged, masks).item() == pytest.approx(expected, rel=1e-4)
    assert passing(judged, torch.ones(1, 1, 40, 40)).item() == pytest.approx((judged**2).mean().item(), rel=1e-5)


def test_a_soft_mask_is_the_mask_under_a_gaussian_of_ten_pixels_at_128():
    masks = torch.zeros(1, 1, 128, 128)
    masks[..., 40:80, 50:90] = 1
    np.testing.assert_allclose(soft(masks, 128), gaussian_filter(masks.numpy(), 10, axes=(2, 3)), atol=1e-5)


def test_a_soft_mask_is_as_wide_in_a_smaller_image():
    masks = torch.zeros(1, 1, 128, 128)
    masks[..., 32:96, 32:96] = 1
    np.testing.assert_allclose(soft(masks, 14), soft(masks[..., ::2, ::2], 14), atol=0.02)
