"""Reconstruction metrics: properties, then scikit-image and sums by hand, then the edge that raises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import repeatable
from skimage.metrics import structural_similarity

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics import mae, mse, ssim
from uadbench.metrics.reconstruction import ssim_in, ssim_map

METRICS = [ssim, mse, mae]


def pair(*, channels=1, seed=0, size=(24, 19), noise=0.2):
    """An image in [0, 1] and a noisy copy, both read-only float32."""
    rng = np.random.default_rng(seed)
    image = rng.random((channels, *size)).astype(np.float32)
    other = np.clip(image + noise * rng.standard_normal(image.shape), 0, 1).astype(np.float32)
    image.flags.writeable = other.flags.writeable = False
    return image, other


def of_scikit_image(image, other):
    """Mean and map, in double precision."""
    axis = {"channel_axis": 0, "data_range": 1, "full": True}
    return structural_similarity(image.astype(np.float64), other.astype(np.float64), **axis)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image(channels, noise):
    image, other = pair(channels=channels, noise=noise)
    assert ssim(image, other) == pytest.approx(of_scikit_image(image, other)[0], abs=1e-12)


@pytest.mark.parametrize("size", [(7, 7), (7, 30), (8, 9), (64, 64)])
def test_ssim_agrees_with_scikit_image_on_every_size(size):
    image, other = pair(size=size, seed=1)
    assert ssim(image, other) == pytest.approx(of_scikit_image(image, other)[0], abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_of_ssim_is_that_of_scikit_image(channels):
    image, other = pair(channels=channels, seed=2)
    found, expected = ssim_map(image, other), of_scikit_image(image, other)[1].mean(axis=0)
    assert found.shape == image.shape[1:]
    assert found[3:-3, 3:-3] == pytest.approx(expected[3:-3, 3:-3], abs=1e-12)
    assert found == pytest.approx(expected, abs=1e-12)


def test_ssim_is_the_mean_of_its_map_without_the_border():
    image, other = pair(seed=3)
    assert ssim(image, other) == pytest.approx(ssim_map(image, other)[3:-3, 3:-3].mean(), abs=1e-12)


def test_ssim_in_a_region_is_the_mean_of_the_map_there():
    image, other = pair(seed=4)
    region = np.random.default_rng(4).random(image.shape[1:]) < 0.3
    inside = [ssim_map(image, other)[row, column] for row, column in np.argwhere(region)]
    assert ssim_in(image, other, region) == pytest.approx(np.mean(inside), abs=1e-12)


@pytest.mark.parametrize(("metric", "best"), [(ssim, 1), (mse, 0), (mae, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_nearest_to_itself(metric, best, channels):
    image, _ = pair(channels=channels)
    assert metric(image, image) == pytest.approx(best, abs=1e-12)


@settings(repeatable, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.floats(0, 3))
def test_metrics_are_symmetric_and_bounded(seed, channels, noise):
    image, other = pair(channels=channels, seed=seed, size=(9, 8), noise=noise)
    for metric, least in zip(METRICS, (-1, 0, 0), strict=True):
        value = metric(image, other)
        assert value == pytest.approx(metric(other, image), abs=1e-12)
        assert least <= value <= 1 + 1e-12


@pytest.mark.parametrize("metric", [mse, mae])
def test_errors_grow_with_the_noise_and_similarity_falls(metric):
    near, far = (pair(noise=noise) for noise in (0.05, 0.3))
    assert metric(*near) < metric(*far)
    assert ssim(*near) > ssim(*far)


def test_errors_by_region_by_hand():
    image, other = np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 3), np.float32)
    other[:, 0, 0], other[0, 1, 2] = (0.5, 1.0), 0.25
    region = np.array([[1, 1, 0], [0, 0, 0]], bool)
    assert mse(image, other) == pytest.approx((0.25 + 1 + 0.0625) / 12)
    assert mae(image, other) == pytest.approx((0.5 + 1 + 0.25) / 12)
    assert (mse(image, other, region), mae(image, other, region)) == (pytest.approx(1.25 / 4), pytest.approx(1.5 / 4))
    assert (mse(image, other, ~region), mae(image, other, ~region)) == (0.0625 / 8, 0.25 / 8)


@pytest.mark.parametrize("metric", [mse, mae])
def test_inside_and_outside_together_are_the_whole(metric):
    image, other = pair(channels=3, seed=5)
    region = np.random.default_rng(5).random(image.shape[1:]) < 0.2
    parts = [metric(image, other, part) * part.sum() for part in (region, ~region)]
    assert sum(parts) / region.size == pytest.approx(metric(image, other), abs=1e-12)


@pytest.mark.parametrize("metric", [mse, mae])
def test_the_whole_image_is_the_region_by_default(metric):
    image, other = pair(seed=6)
    assert metric(image, other) == metric(image, other, np.ones(image.shape[1:], bool))


def test_what_changes_outside_a_region_leaves_its_errors_alone():
    image, other = pair(seed=7)
    region = np.zeros(image.shape[1:], bool)
    region[:5, :5] = True
    changed = np.where(region, other, 1 - other)
    for metric in (mse, mae):
        assert metric(image, changed, region) == metric(image, other, region)


def test_small_errors_are_not_lost_in_single_precision():
    image = np.full((1, 64, 64), 0.9, np.float32)
    other = np.nextafter(image, np.float32(1))
    assert mae(image, other) == pytest.approx(2.0**-24, rel=1e-9)


@pytest.mark.parametrize("metric", [*METRICS, lambda *two: ssim_in(*two, np.ones((24, 19), bool))])
def test_metrics_leave_their_inputs_alone(metric):
    image, other = pair()  # both are read-only: writing would raise
    before = image.tobytes(), other.tobytes()
    metric(image, other)
    assert (image.tobytes(), other.tobytes()) == before


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(3, 24, 19), (1, 24, 18), (24, 19)])
def test_images_of_two_shapes_are_refused(metric, shape):
    with pytest.raises(InvalidDataError, match=r"Images of \(1, 24, 19\) and .* disagree. Give both as \(c, h, w\)"):
        metric(pair()[0], np.zeros(shape, np.float32))


@pytest.mark.parametrize("metric", METRICS)
def test_images_without_a_channel_axis_are_refused(metric):
    with pytest.raises(InvalidDataError, match=r"Images of \(24, 19\) and \(24, 19\) disagree. Give both as"):
        metric(pair()[0][0], pair()[1][0])


@pytest.mark.parametrize("size", [(6, 19), (24, 6)])
def test_an_image_smaller_than_the_window_has_no_ssim(size):
    with pytest.raises(InvalidDataError, match=r"ssim: images of \(\d+, \d+\) pixels. Give at least 7 pixels a side"):
        ssim(*pair(size=size))


@pytest.mark.parametrize(("metric", "name"), [(ssim_in, "ssim"), (mse, "mse"), (mae, "mae")])
def test_an_empty_region_has_no_mean(metric, name):
    with pytest.raises(UndefinedMetricError, match=f"{name}: the region is empty; its mean has no value"):
        metric(*pair(), np.zeros((24, 19), bool))
