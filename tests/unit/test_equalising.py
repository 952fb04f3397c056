"""CLAHE and Gaussian smoothing of batches: scikit-image and scipy image by image, then what a batch must not change."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import repeatable
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.testing.blobs import blobs
from uadbench.torch_support.determinism import deterministic, generator
from uadbench.torch_support.equalising import equalise_adaptively, smoothed

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SIZES = [(8, 8), (9, 13), (1, 20), (16, 5), (33, 47), (64, 64), (70, 45), (128, 96)]
CONTENTS = ["noise", "smooth", "sparse", "few levels", "narrow", "blob"]


def image(content, size, seed=0):
    """One image in [0, 1], never constant."""
    noise = np.random.default_rng(seed).random(size)
    made = {
        "noise": noise,
        "smooth": np.clip(2 * gaussian_filter(noise, 2) - 0.5, 0, 1),
        "sparse": noise * (noise > 0.8),
        "few levels": np.round(noise * 4) / 4,
        "narrow": 0.3 + 0.002 * noise,
        "blob": blobs(1, *size, seed=seed).pixels[0, 0],
    }[content].astype(np.float32)
    made.flat[0], made.flat[-1] = 0.31, 0.301  # within the narrow range
    return made


def batch(count=4, channels=1, size=(24, 31), seed=0):
    """Different contents, one per image and channel."""
    planes = [image(CONTENTS[i % len(CONTENTS)], size, seed + i) for i in range(count * channels)]
    return torch.as_tensor(np.stack(planes)).view(count, channels, *size)


def alone(plane, **options):
    """One plane, equalised by itself."""
    return equalise_adaptively(torch.as_tensor(plane)[None, None], **options)[0, 0]


def reference(plane, *, clip_limit=0.01, kernel=None, bins=256):
    """scikit-image's result."""
    return equalize_adapthist(plane, kernel_size=kernel, clip_limit=clip_limit, nbins=bins)


@settings(repeatable, max_examples=100)
@given(
    st.sampled_from(CONTENTS),
    st.sampled_from(SIZES),
    st.sampled_from([None, 5, 7, 8, 11, 14, 20, 22, 50]),
    st.sampled_from([0.0, 0.001, 0.01, 0.03, 0.2, 1.0]),
    st.sampled_from([256, 256, 255, 10, 1000]),
    st.integers(0, 2**32 - 1),
)
def test_equalising_is_that_of_scikit_image(content, size, kernel, clip_limit, bins, seed):
    plane, options = image(content, size, seed), {"kernel": kernel, "clip_limit": clip_limit, "bins": bins}
    np.testing.assert_array_equal(alone(plane, **options), reference(plane, **options))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", SIZES)
def test_the_usual_equalising_is_that_of_scikit_image(size, content):
    plane = image(content, size, seed=1)
    np.testing.assert_array_equal(alone(plane), reference(plane))


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 20)])
def test_tiles_of_a_few_pixels_are_equalised_like_large_ones(size, kernel):
    plane = image("noise", size)
    np.testing.assert_array_equal(alone(plane, kernel=kernel), reference(plane, kernel=kernel))


@pytest.mark.parametrize("content", ["sparse", "noise"])
@pytest.mark.parametrize("side", [128, 150])  # a power of two, computed in float32, and another
@pytest.mark.parametrize("clip_limit", [0.0, 0.001, 0.01, 1.0])
def test_one_large_tile_is_equalised_like_small_ones(clip_limit, side, content):
    plane = image(content, (side, side))
    options = {"clip_limit": clip_limit, "kernel": side}
    np.testing.assert_array_equal(alone(plane, **options), reference(plane, **options))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_its_images_and_channels_one_by_one(channels):
    images = batch(6, channels)
    expected = [[reference(plane.numpy()) for plane in one] for one in images]
    np.testing.assert_array_equal(equalise_adaptively(images), np.array(expected))


@pytest.mark.parametrize("kernel", [None, 7])
def test_an_image_does_not_depend_on_its_batch(kernel):
    images = batch(9, 2)
    whole = equalise_adaptively(images, kernel=kernel)
    for rows in (slice(0, 1), slice(3, 4), slice(2, 7), slice(8, None)):
        assert torch.equal(equalise_adaptively(images[rows], kernel=kernel), whole[rows])
    assert torch.equal(equalise_adaptively(images.flip(0), kernel=kernel), whole.flip(0))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_image_comes_back_as_it_is_and_leaves_the_others_alone(level):
    images = batch(3)
    expected = equalise_adaptively(images)
    images[1] = level
    found = equalise_adaptively(images)
    assert torch.equal(found[1], images[1])
    assert torch.equal(found[::2], expected[::2])


def test_a_range_below_the_rounding_is_constant():
    images = 0.5 + 1e-6 * torch.rand(1, 1, 16, 16, generator=generator(0))
    assert images.min() < images.max()
    assert torch.equal(equalise_adaptively(images), images)


@pytest.mark.parametrize("content", CONTENTS)
def test_an_equalised_image_goes_from_0_to_1(content):
    found = alone(image(content, (40, 40)))
    assert (found.min(), found.max()) == (0, 1)
    assert found.dtype == torch.float32


def test_what_equalises_to_a_single_level_is_ones():
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)  # every tile lies above the one before it
    assert (reference(ramp) == 1).all()
    np.testing.assert_array_equal(alone(ramp), reference(ramp))


def test_only_the_course_of_the_levels_counts_and_not_their_range():
    levels = torch.randint(0, 20000, (2, 1, 32, 32), generator=generator(0))
    low, high = (equalise_adaptively(given / 65535) for given in (levels, 3 * levels + 5000))
    assert torch.equal(low, high)


def test_equalising_raises_the_contrast_of_a_faint_texture():
    faint = 0.5 + 0.02 * torch.rand(1, 1, 64, 64, generator=generator(0))
    faint[..., 0, 0], faint[..., -1, -1] = 0, 1
    inner = [one[..., 8:-8, 8:-8].std() for one in (faint, equalise_adaptively(faint))]
    assert inner[1] > 3 * inner[0]


def test_equalising_changes_no_input_and_asks_for_no_gradient():
    images = batch(2)
    before = images.clone()
    assert not equalise_adaptively(images.requires_grad_()).requires_grad
    assert torch.equal(images, before)


def test_deterministic_algorithms_give_the_same_on_every_device(device):
    images = batch(4)
    expected = equalise_adaptively(images), smoothed(images, 2.0)
    with deterministic(0, device):
        found = equalise_adaptively(images.to(device)), smoothed(images.to(device), 2.0)
    assert {one.device.type for one in found} == {device}
    np.testing.assert_allclose(found[0].cpu(), expected[0], atol=0 if device == "cpu" else 2e-4)  # 3 levels
    np.testing.assert_allclose(found[1].cpu(), expected[1], atol=0 if device == "cpu" else 1e-6)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(-0.25, "from -0.25 to 0.99"), (1.5, "from 0.0.+ to 1.5"), (float("nan"), "from nan to nan")],
)
def test_values_outside_the_unit_interval_are_refused(value, sentence):
    images = batch(2)
    images[1, 0, 3, 3] = value
    with pytest.raises(InvalidDataError, match=rf"values go {sentence}.*\. Bring them into \[0, 1\]"):
        equalise_adaptively(images)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"clip_limit": 1.5}, "clip_limit is 1.5. Give a share of the pixels, 0 to 1"),
        ({"clip_limit": -0.1}, "clip_limit is -0.1"),
        ({"kernel": 0}, "kernel is 0. Give a side of at least 1 pixel"),
        ({"bins": 1}, "bins is 1. Give 2 to 16384"),
        ({"bins": 20000}, "bins is 20000"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(options, sentence):
    with pytest.raises(ParameterError, match=f"equalise_adaptively: {sentence}"):
        equalise_adaptively(batch(1), **options)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.2, 2.0, 9.0])
@pytest.mark.parametrize("size", [(5, 7), (1, 9), (24, 31)])
def test_smoothing_is_that_of_scipy_over_the_image_axes(size, sigma):
    maps = batch(3, 2, size).numpy()
    expected = gaussian_filter(maps, (0, 0, sigma, sigma))
    np.testing.assert_allclose(smoothed(torch.as_tensor(maps), sigma), expected, atol=1e-6)
    double = maps.astype(np.float64)
    found = smoothed(torch.as_tensor(double), sigma).numpy()
    np.testing.assert_allclose(found, gaussian_filter(double, (0, 0, sigma, sigma)), atol=1e-14)


def test_smoothing_mixes_neither_images_nor_channels():
    maps = torch.zeros(3, 2, 16, 16)
    maps[1, 0, 8, 8] = 1
    found = smoothed(maps, 1.2)
    assert found[1, 0].sum() == pytest.approx(1, abs=1e-6)
    assert found.count_nonzero() == found[1, 0].count_nonzero() > 1


def test_a_smoothed_map_does_not_depend_on_its_batch():
    maps = batch(9, 2)
    whole = smoothed(maps, 2.0)
    for rows in (slice(0, 1), slice(3, 4), slice(2, 7)):
        assert torch.equal(smoothed(maps[rows], 2.0), whole[rows])


@settings(repeatable, max_examples=20)
@given(st.floats(0.1, 20), st.integers(0, 2**32 - 1))
def test_smoothing_keeps_the_mean_and_stays_between_the_extremes(sigma, seed):
    maps = batch(1, size=(12, 17), seed=seed)
    found = smoothed(maps, sigma)
    assert found.mean() == pytest.approx(maps.mean().item(), abs=1e-6)
    assert maps.min() - 1e-6 <= found.min() <= found.max() <= maps.max() + 1e-6


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf")])
def test_a_width_that_smooths_nothing_is_refused(sigma):
    with pytest.raises(ParameterError, match=f"smoothed: sigma is {sigma}. Give a width above 0, in pixels"):
        smoothed(batch(1), sigma)
