"""Masks: equation 3 by hand, percentiles, growth, the ellipses of training, and moving image and mask alike."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from uadbench_phanes._masks import (
    COUNT,
    Ellipses,
    Masking,
    anomaly_map,
    grown,
    joined,
    masks_of,
    normed,
    percentile,
    split,
)

from uadbench.testing.blobs import blobs
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import generator

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def pair(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and what might be their reconstructions."""
    images, seen = (
        np.concatenate([blobs(3, 40, 40, seed=seed + c).pixels for c in range(channels)], 1) for seed in (5, 9)
    )
    return torch.as_tensor(images), torch.as_tensor(seen)


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Not symmetrical, so that the order of its arguments shows."""
    return (one**2 - one * other).mean(1, keepdim=True)


def smooth(maps: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(maps, sigma, axes=(-2, -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_equation_3(channels):
    exposure = pytest.importorskip("skimage.exposure")
    images, seen = pair(channels)
    flat, flat_seen = (
        np.array([[exposure.equalize_adapthist(plane) for plane in image] for image in one.numpy()])
        for one in (images, seen)
    )
    apart = np.abs(flat_seen - flat).mean(1, keepdims=True)
    near = np.array([np.minimum(one / (np.percentile(one, 95) + 1e-8), 1) for one in apart])
    expected = near * smooth(distance(seen, images).numpy(), 2.0)
    np.testing.assert_allclose(anomaly_map(images, seen, distance), expected, atol=2e-6)


def test_images_that_are_reconstructed_exactly_have_no_map():
    images, _ = pair()
    assert not anomaly_map(images, images, lambda one, other: torch.ones_like(one)).any()


def test_an_image_has_the_same_map_alone_and_beside_others():
    images, seen = pair()
    whole = anomaly_map(images, seen, distance)
    assert torch.equal(whole[1:2], anomaly_map(images[1:2], seen[1:2], distance))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_a_percentile_is_that_of_each_map(share):
    maps = pair()[0]
    expected = [np.quantile(one, share) for one in maps.numpy()]
    np.testing.assert_allclose(percentile(maps, share).flatten(), expected, rtol=1e-5)


def test_normed_maps_reach_one_at_their_own_95th_percentile():
    maps = pair()[0]
    found = normed(maps)
    assert found.max() == 1
    assert torch.equal(found == 1, found >= (percentile(found, 0.95) - 1e-6).clamp(min=0.99))
    assert torch.equal(normed(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


def test_masks_are_grown_as_a_small_gaussian_says_and_alone():
    found = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    found[0, :, 8, 8:10] = True
    expected = smooth(found.float().numpy(), 1.2) > 0.1
    assert np.array_equal(grown(found), expected)
    assert grown(found)[0].sum() > found[0].sum()
    assert not grown(found)[1].any()


def test_a_mask_is_what_lies_above_the_threshold_of_its_image():
    maps = torch.zeros(2, 1, 20, 20)
    maps[:, :, 5:9, 5:9] = 1.0
    masks = masks_of(maps, torch.tensor([0.5, 1.0]).view(2, 1, 1, 1))
    assert masks[0, 0, 5:9, 5:9].all()
    assert not masks[1].any()


def test_ellipses_are_ten_for_each_image_and_inside_their_range():
    drawn = Ellipses.drawn(200, generator(0))
    assert drawn.centres.shape == (2, 200, COUNT)
    assert (drawn.centres.min(), drawn.centres.max()) == (32, 95)
    assert (drawn.degrees.min(), drawn.degrees.max()) == (0, 359)
    assert drawn.axes.min() == 2
    assert torch.equal(drawn.axes, drawn.axes.round())


def test_the_semi_axes_are_a_folded_normal_law_cut_to_whole_pixels():
    rng = np.random.default_rng(0)
    expected = np.maximum(np.abs(rng.normal(2, 4, 100_000)).astype(int), 2).mean()
    assert Ellipses.drawn(2000, generator(1)).axes.mean().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("size", [128, 64])
def test_a_mask_is_the_union_of_its_filled_ellipses(size):
    drawn = Ellipses.drawn(2, generator(3))
    rows, columns = (np.indices((size, size)) + 0.5) * 128 / size - 0.5
    for image, found in enumerate(drawn.masks(size).numpy()):
        expected = np.zeros((size, size), bool)
        for (down, right), degrees, axes in zip(
            drawn.centres[:, image].T.numpy(), drawn.degrees[image].numpy(), drawn.axes[:, image].T.numpy(), strict=True
        ):
            turn = np.exp(-1j * np.deg2rad(degrees))
            place = ((columns - right) + 1j * (rows - down)) * turn
            expected |= (place.real / axes[0]) ** 2 + (place.imag / axes[1]) ** 2 <= 1 + 1e-6
        assert found.any()
        assert (found[0] != expected).mean() < 1e-3


def test_image_and_mask_are_moved_alike():
    masks = torch.zeros(4, 1, 40, 40, dtype=torch.bool)
    masks[:, :, 4:12, 16:30] = True  # the images are their masks: they still are after the move
    images, moved = split(Masking(Affine())(joined(masks.float(), masks), generator(5)))
    ellipses = moved - (images > 0.5).float()
    assert not torch.equal(images, masks.float())
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert ellipses.min() == 0
    assert ellipses.sum() > 0


def test_without_augmentation_only_ellipses_are_added():
    images, _ = pair()
    masks = torch.zeros(3, 1, 40, 40, dtype=torch.bool)
    masks[:, :, 30:38, 1:4] = True
    same, found = split(Masking(None)(joined(images, masks), generator(5)))
    assert torch.equal(same, images)
    assert torch.equal(found > 0, masks | Ellipses.drawn(3, generator(5)).masks(40))
