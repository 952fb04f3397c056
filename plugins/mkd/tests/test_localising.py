"""Gradients by the image: plain, smooth and guided, against numpy and finite differences."""

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_mkd._localising import gradient, guided, in_own_range, smooth_gradient, strength

from uadbench.torch_support.determinism import generator

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIGNS = torch.tensor([1.0, -2.0, 3.0, -0.5]).view(1, 4, 1, 1)


def images(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 6, 6, generator=generator(seed))


@pytest.fixture
def network():
    """Two 1 x 1 convolutions, each rectified."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.ReLU(), nn.Conv2d(5, 4, 1, bias=False), nn.ReLU())


def signed(network):
    """A loss that pulls channels of the output up and down."""
    return lambda batch: (SIGNS * network(batch)).sum((1, 2, 3))


def by_hand(network, batch, passes):
    """The gradient of `signed`, where `passes` says what of a gradient a ReLU lets through beside its own rule."""
    first, second = (network[place].weight.detach().double().numpy()[:, :, 0, 0] for place in (0, 2))
    inner = np.einsum("oc,nchw->nohw", first, batch.double().numpy())
    outer = np.einsum("oc,nchw->nohw", second, np.maximum(inner, 0))
    back = (outer > 0) * passes(np.broadcast_to(SIGNS.double().numpy(), outer.shape))
    back = (inner > 0) * passes(np.einsum("oc,nohw->nchw", second, back))
    return np.einsum("oc,nohw->nchw", first, back)


def test_under_guidance_a_relu_passes_back_positive_gradients_only(network):
    with guided(network):
        _, slopes = gradient(signed(network), images())
    np.testing.assert_allclose(slopes, by_hand(network, images(), lambda back: np.maximum(back, 0)), atol=1e-5)


def test_without_guidance_the_gradient_is_the_derivative(network):
    _, slopes = gradient(signed(network), images())
    np.testing.assert_allclose(slopes, by_hand(network, images(), lambda back: back), atol=1e-5)


def test_guidance_ends_where_it_is_left(network):
    before = gradient(signed(network), images())[1]
    with guided(network):
        within = gradient(signed(network), images())[1]
    assert torch.equal(gradient(signed(network), images())[1], before)
    assert not torch.equal(within, before)


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU6(), nn.ReLU(inplace=True), nn.ReLU6(inplace=True)], ids=str)
def test_guidance_reaches_every_rectifier_of_the_teachers(rectifier):
    rise, fall = torch.ones(1, 3, 6, 6), torch.full((1, 3, 6, 6), -1.0)
    for pull, expected in ((rise, 1), (fall, 0)):
        with guided(rectifier):
            _, slopes = gradient(lambda batch, pull=pull: (pull * rectifier(batch * 1)).sum((1, 2, 3)), images(1))
        assert (slopes == expected).all()


def test_the_gradient_is_what_the_loss_changes_by(network):
    exact = network.double()
    batch, step = images(1).double(), torch.zeros(1, 3, 6, 6, dtype=torch.float64)
    step[0, 1, 2, 3] = 1e-6
    change = (signed64(exact)(batch + step) - signed64(exact)(batch - step)) / 2e-6
    assert gradient(signed64(exact), batch)[1][0, 1, 2, 3].item() == pytest.approx(change.item(), rel=1e-5)


def signed64(network):
    return lambda batch: (SIGNS.double() * network(batch)).sum((1, 2, 3))


def test_a_gradient_is_taken_also_where_the_caller_wants_none(network):
    values, expected = gradient(signed(network), images())
    with torch.no_grad():
        again, slopes = gradient(signed(network), images())
    assert torch.equal(slopes, expected)
    assert torch.equal(again, values)


def test_smoothgrad_is_the_mean_gradient_of_noisy_copies(network):
    batch, streams = images(), [generator(1), generator(2)]
    found = smooth_gradient(signed(network), batch, streams, samples=3, noise=0.2)
    expected = torch.zeros_like(batch)
    for row, seed in enumerate((1, 2)):
        stream, spread = generator(seed), 0.2 * (batch[row].max() - batch[row].min())
        for _ in range(3):
            noisy = batch[row] + spread * torch.randn(3, 6, 6, generator=stream)
            expected[row] += gradient(signed(network), noisy[None])[1][0] / 3
    torch.testing.assert_close(found, expected)


def test_smoothgrad_without_noise_is_the_gradient(network):
    found = smooth_gradient(signed(network), images(), [generator(0)] * 2, samples=2, noise=0.0)
    torch.testing.assert_close(found, gradient(signed(network), images())[1])


def test_the_strength_of_a_pixel_is_the_sum_of_absolute_slopes():
    slopes = torch.tensor([[[[1.0]], [[-2.0]], [[0.5]]]])
    assert strength(slopes).tolist() == [[[[3.5]]]]


def test_an_own_range_goes_from_the_minimum_to_the_99th_percentile():
    maps = torch.rand(3, 1, 20, 20, generator=generator(0)) * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1, 1)
    low = maps.numpy().min((2, 3), keepdims=True)
    high = np.percentile(maps.double().numpy(), 99, axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(in_own_range(maps), np.minimum((maps.numpy() - low) / (high - low), 1), atol=1e-5)


def test_a_constant_map_has_no_range():
    assert (in_own_range(torch.full((1, 1, 4, 4), 7.0)) == 0).all()
