"""The deformation's loss: local correlation by a double loop, smoothness by hand, and the ramp of its weight."""

import numpy as np
import pytest
import torch
from uadbench_morphaeus._losses import correlation, dissimilarity, morph_loss, roughness, stiffness
from uadbench_morphaeus._warping import integrate, warp

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def pair(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """An image and one that is partly like it."""
    one, other = torch.rand(2, 2, channels, 16, 14, generator=torch.Generator().manual_seed(0))
    return one, 0.6 * one + 0.4 * other


def by_hand(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """cross^2 / (max(var var', 0) + 1e-5) over 9 x 9 pixels around each, zeros outside; of one channel."""
    x, y = (np.pad(image.astype(np.float64), 4) for image in (one, other))
    found = np.empty(one.shape)
    for row, column in np.ndindex(*one.shape):
        a, b = (image[row : row + 9, column : column + 9] for image in (x, y))
        apart_a, apart_b = a - a.mean(), b - b.mean()
        spread = (apart_a**2).sum() * (apart_b**2).sum()
        found[row, column] = (apart_a * apart_b).sum() ** 2 / (max(spread, 0) + 1e-5)
    return found


def velocity() -> torch.Tensor:
    return torch.randn(2, 2, 16, 14, generator=torch.Generator().manual_seed(1))


def test_correlation_is_that_of_a_double_loop():
    one, other = pair(channels=2)
    planes = zip(one.flatten(0, 1).numpy(), other.flatten(0, 1).numpy(), strict=True)
    expected = np.array([by_hand(*both) for both in planes]).reshape(one.shape)
    np.testing.assert_allclose(correlation(one, other), expected, rtol=1e-4, atol=1e-4)


def test_a_textured_image_is_like_itself_and_like_its_linear_changes():
    one, _ = pair()
    assert dissimilarity(one, one) == pytest.approx(0, abs=1e-3)
    inside = correlation(one, 0.3 - 0.2 * one)[..., 4:-4, 4:-4]
    assert inside.min() > 0.99


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_flat_window_is_like_nothing(level):
    flat = torch.full((1, 1, 16, 14), level)
    inside = np.s_[..., 4:-4, 4:-4]
    for other in (flat, pair()[0][:1]):
        assert correlation(flat, other)[inside].max() < 1e-3


def test_roughness_is_half_of_both_mean_squared_central_differences():
    v = velocity()
    down, across = np.gradient(v.numpy(), axis=2)[:, :, 1:-1], np.gradient(v.numpy(), axis=3)[..., 1:-1]
    assert roughness(v) == pytest.approx(((down**2).mean() + (across**2).mean()) / 2, rel=1e-5)
    assert roughness(torch.full_like(v, 3)) == 0


def test_the_loss_compares_both_ways_and_weighs_smoothness():
    (x, seen), v = pair(), velocity() / 2
    there = dissimilarity(x, warp(seen, integrate(v)))
    back = dissimilarity(seen, warp(x, integrate(-v)))
    expected = (there + back) / 2 + 0.7 * roughness(v)
    assert morph_loss(x, seen, v, 0.7).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_finite_with_its_gradients_on_blank_images():
    v = velocity().requires_grad_()
    morph_loss(torch.zeros(2, 1, 16, 14), torch.zeros(2, 1, 16, 14), v, 1.0).backward()
    assert torch.isfinite(v.grad).all()


@pytest.mark.parametrize(
    ("epoch", "beta"), [(0, 0.001), (1, 0.015), (2, 0.03), (11, 0.165), (100, 1.5), (199, 2.985), (200, 3), (499, 3)]
)
def test_smoothness_weighs_more_until_the_200th_epoch(epoch, beta):
    assert stiffness(epoch, 200) == pytest.approx(beta)
