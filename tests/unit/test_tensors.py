"""Images as tensors: copies, sizes and blocks."""

import numpy as np
import pytest
import torch

from uadbench.errors import InvalidDataError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs, read_only
from uadbench.torch_support import tensors

IMAGES = blobs(7, 9, 12, seed=1)


def test_a_tensor_never_shares_the_caller_s_array():
    pixels = IMAGES.pixels.copy()
    tensors.to_tensor(pixels)[:] = -1
    assert (pixels == IMAGES.pixels).all()
    assert tensors.to_tensor(read_only(IMAGES).pixels).shape == pixels.shape


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float32])
def test_an_array_is_float32_whatever_the_tensor_was(kind):
    array = tensors.to_array(torch.ones(2, dtype=kind, requires_grad=True))
    assert (array.dtype, array.tolist()) == (np.float32, [1, 1])


@pytest.mark.parametrize(("size", "starts"), [(1, range(7)), (3, [0, 3, 6]), (7, [0]), (32, [0])])
def test_blocks_hold_all_images_and_are_filled_up_with_black(size, starts):
    blocks = list(tensors.blocks(IMAGES, size, "cpu"))
    assert [rows.start for rows, _ in blocks] == list(starts)
    for rows, pixels in blocks:
        held = rows.stop - rows.start
        assert pixels.shape == (size, 1, 9, 12)
        assert (pixels[:held].numpy() == IMAGES.pixels[rows]).all()
        assert not pixels[held:].any()
    assert sum(rows.stop - rows.start for rows, _ in blocks) == 7


def test_no_images_make_no_blocks():
    assert list(tensors.blocks(IMAGES[:0], 4, "cpu")) == []


def test_an_image_of_the_wanted_size_is_left_alone():
    image = tensors.to_tensor(IMAGES.pixels)
    assert tensors.resized(image, (9, 12)) is image


def test_halving_a_side_averages_without_aliasing():
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1
    np.testing.assert_allclose(tensors.resized(stripes, (32, 32))[..., 2:-2], 0.5, atol=0.01)


def test_enlarging_goes_straight_from_pixel_to_pixel():
    row = torch.tensor([[[[0.0, 1.0]]]])
    assert tensors.resized(row, (1, 4)).flatten().tolist() == pytest.approx([0, 0.25, 0.75, 1])


def test_a_source_is_read_whole_and_in_order():
    whole = tensors.read(MemorySource(IMAGES), lambda image: 2 * image)
    assert (whole.numpy() == 2 * IMAGES.pixels).all()


def test_a_source_without_images_is_refused():
    with pytest.raises(InvalidDataError, match=r"There are no images to read. Give at least one"):
        tensors.read(MemorySource(IMAGES[:0]), lambda image: image)
