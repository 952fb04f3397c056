"""Residuals by name: each against a few lines of numpy or scikit-image, their domains, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter
from skimage.exposure import equalize_adapthist
from skimage.metrics import structural_similarity
from trainings import no_tf32

from uadbench.errors import UnknownNameError
from uadbench.testing.blobs import blobs
from uadbench.torch_support.perceptual import PerceptualDistance
from uadbench.torch_support.reconstructing import SIGNED, UNIT
from uadbench.torch_support.residuals import NAMES, residual

pytestmark = pytest.mark.usefixtures("one_torch_thread")
H, W = 24, 32


def pair(channels=1, *, n=2):
    """Images on black and a noisy copy, in [0, 1]."""
    image = np.repeat(blobs(n, H, W, seed=1).pixels, channels, axis=1)
    other = np.clip(image + 0.1 * np.random.default_rng(0).standard_normal(image.shape), 0, 1).astype(np.float32)
    return image, other


def found(name, image, other, domain=UNIT):
    """The map of images in [0, 1] whose network works on a domain."""
    inside = [torch.as_tensor(domain.low + (1 - domain.low) * one) for one in (image, other)]
    return residual(name, "cpu")(*inside, domain.to_unit).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_absolute_and_squared_are_taken_per_channel(channels):
    image, other = pair(channels)
    np.testing.assert_allclose(found("absolute", image, other), np.abs(image - other), atol=1e-7)
    np.testing.assert_allclose(found("squared", image, other), (image - other) ** 2, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalised_is_the_difference_after_scikit_image_s_equalisation(channels):
    image, other = pair(channels)
    equal = [np.stack([[equalize_adapthist(c) for c in channels] for channels in one]) for one in (image, other)]
    np.testing.assert_allclose(found("equalised", image, other), np.abs(equal[0] - equal[1]), atol=1e-6)


def test_equalised_leaves_a_constant_channel_as_it_is():
    grey = np.full((1, 1, H, W), 0.25, np.float32)
    np.testing.assert_allclose(found("equalised", grey, grey + np.float32(0.5)), 0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_one_minus_scikit_image_s_map(channels):
    image, other = pair(channels)
    for row, one in enumerate(found("ssim", image, other)):
        options = {"channel_axis": 0, "data_range": 1, "full": True}
        _, similar = structural_similarity(image[row].astype(float), other[row].astype(float), **options)
        np.testing.assert_allclose(one[0], 1 - similar.mean(0), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_foreground_is_the_median_of_the_error_on_the_eroded_tissue(channels):
    image, other = pair(channels)
    for row, one in enumerate(found("foreground", image, other)):
        tissue = np.pad(image[row].sum(0) > 0.01, 2)
        windows = np.lib.stride_tricks.sliding_window_view(tissue, (5, 5))
        error = np.abs(image[row] - other[row]).mean(0) * (windows.mean((2, 3)) > 0.95)
        np.testing.assert_allclose(one[0], median_filter(error, 5, mode="mirror"), atol=1e-6)


def test_foreground_is_zero_in_the_air_and_not_inside():
    image, other = pair()
    error, air = found("foreground", image, other)[:, 0], ~blobs(2, H, W, seed=1).foreground
    assert not error[air].any()
    assert error[:, H // 2, W // 2].all()


def test_perceptual_is_the_absolute_error_times_the_distance_of_lite0():
    image, other = pair(n=1)
    distance = PerceptualDistance("lite0")(torch.as_tensor(image), torch.as_tensor(other))
    np.testing.assert_allclose(found("perceptual", image, other), np.abs(image - other) * distance.numpy(), atol=1e-6)
    assert 0 < distance.mean() < distance.max() <= 4
    assert [used.name for used in residual("perceptual", "cpu").weights_used] == ["tf_efficientnet_lite0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_reconstruction_leaves_no_residual(name):
    image, _ = pair()
    np.testing.assert_allclose(found(name, image, image), 0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_residual_is_a_map_per_channel_or_one_for_all(name):
    image, other = pair(3)
    shape = found(name, image, other).shape
    assert shape in [(2, 3, H, W), (2, 1, H, W)]


@pytest.mark.parametrize(
    ("name", "factor"),
    [("absolute", 2), ("squared", 4), ("equalised", 1), ("ssim", 1), ("foreground", 1), ("perceptual", 1)],
)
def test_absolute_and_squared_see_the_network_s_domain_and_the_others_intensities_in_0_to_1(name, factor):
    image, other = (np.round(255 * one) / np.float32(255) for one in pair())
    inside, expected = found(name, image, other, SIGNED), factor * found(name, image, other)
    apart = np.abs(inside - expected)
    assert np.quantile(apart, 0.98) < 1e-5  # a rounded bit may put a pixel into another bin of a histogram
    assert apart.max() < 0.1


def test_what_leaves_the_range_is_clipped_where_intensities_are_compared():
    image, _ = pair()
    beyond = torch.as_tensor(2 * image - 1), torch.where(torch.as_tensor(image) > 0, 2 * torch.as_tensor(image) - 1, -5)
    assert not residual("ssim", "cpu")(*beyond, SIGNED.to_unit).any()
    assert residual("absolute", "cpu")(*beyond, SIGNED.to_unit).max() == 4


@pytest.mark.parametrize(("wrong", "right"), [("absolut", "absolute"), ("sim", "ssim"), ("equalized", "equalised")])
def test_a_name_that_no_residual_has_is_refused_with_the_nearest(wrong, right):
    with pytest.raises(UnknownNameError, match=f"No residual is called '{wrong}'. Did you mean '{right}'. See `one of"):
        residual(wrong, "cpu")


def test_loading_the_features_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    residual("perceptual", "cpu")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_a_residual_is_the_same_on_every_device(name, device):
    image, other = (torch.as_tensor(one) for one in pair())
    here, there = residual(name, "cpu"), residual(name, device)
    with torch.no_grad(), no_tf32():
        expected, given = here(image, other, UNIT.to_unit), there(image.to(device), other.to(device), UNIT.to_unit)
    assert given.device.type == device
    np.testing.assert_allclose(given.cpu(), expected, atol=1e-4)
