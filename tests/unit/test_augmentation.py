"""Augmentation: exact moves against numpy, what is drawn, and that no image touches another."""

import math

import numpy as np
import pytest
import torch

from uadbench.errors import ParameterError
from uadbench.torch_support.augmentation import Affine, Moves
from uadbench.torch_support.determinism import generator

STILL = Affine(degrees=0.0, shift=0.0, smallest=1.0, largest=1.0, flip=0.0)
H, W = 4, 6


def picture(height=H, width=W, *, channels=1):
    """Noise in [0, 1], not square."""
    return np.random.default_rng(0).random((channels, height, width), np.float32)


def moved(image, *, degrees=0.0, across=0.0, down=0.0, scale=1.0, mirrored=False, fill=0.0):
    """One image after one move."""
    numbers = [torch.tensor([value]) for value in (degrees, across, down, scale)]
    return Moves(*numbers, torch.tensor([mirrored])).apply(torch.as_tensor(image.copy())[None], fill)[0].numpy()


def sampled(image, degrees, across, down, scale, mirrored, fill):
    """The same as a loop over pixels: where it comes from, and the four pixels around that place."""
    h, w = image.shape
    cosine, sine = math.cos(math.radians(degrees)) / scale, math.sin(math.radians(degrees)) / scale
    padded = np.pad(image.astype(float), 1, constant_values=fill)
    result = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            y, x = i - (h - 1) / 2, (j - (w - 1) / 2) * (-1 if mirrored else 1)
            row = sine * x + cosine * y + h * down + (h - 1) / 2
            column = cosine * x - sine * y + w * across + (w - 1) / 2
            row, column = np.clip(row, -1, h), np.clip(column, -1, w)  # all further out is fill as well
            top, left = min(math.floor(row), h - 1), min(math.floor(column), w - 1)
            part, share = row - top, column - left
            around = padded[top + 1 : top + 3, left + 1 : left + 3]
            result[i, j] = np.array([1 - part, part]) @ around @ np.array([1 - share, share])
    return result


def test_without_a_move_an_image_stays_as_it_is():
    images = torch.as_tensor(picture(channels=3))[None]
    np.testing.assert_allclose(STILL(images, generator(0)), images, atol=1e-6)


def test_a_shift_by_whole_pixels_moves_the_picture_left_and_up():
    image = picture()
    expected = np.pad(image[0], ((0, 1), (0, 2)))[1:, 2:]
    np.testing.assert_allclose(moved(image, across=2 / W, down=1 / H)[0], expected, atol=1e-6)


@pytest.mark.parametrize(("degrees", "turns"), [(90.0, 1), (-90.0, -1), (180.0, 2)])
def test_a_quarter_turn_keeps_pixels_square(degrees, turns):
    turned = np.rot90(picture()[0], turns)
    expected = turned if turns == 2 else np.pad(turned[1:5], ((0, 0), (1, 1)))  # (6, 4) -> (4, 6)
    np.testing.assert_allclose(moved(picture(), degrees=degrees)[0], expected, atol=1e-5)


def test_mirroring_turns_left_and_right_round():
    np.testing.assert_allclose(moved(picture(), mirrored=True)[0], picture()[0, :, ::-1], atol=1e-6)


def test_a_scale_of_two_makes_a_square_twice_as_wide_and_high():
    square = np.zeros((1, 8, 12), np.float32)
    square[0, 3:5, 5:7] = 1
    found = moved(square, scale=2.0)[0]
    assert found.sum() == pytest.approx(16, rel=1e-5)
    assert (found[3:5, 5:7] == 1).all()
    assert not found[:1].any()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 17.0, -140.0])
@pytest.mark.parametrize("fill", [0.0, -1.0])
def test_a_move_is_that_of_a_loop_over_pixels(degrees, mirrored, fill):
    image = picture(7, 10)
    found = moved(image, degrees=degrees, across=0.13, down=-0.07, scale=1.3, mirrored=mirrored, fill=fill)
    np.testing.assert_allclose(found[0], sampled(image[0], degrees, 0.13, -0.07, 1.3, mirrored, fill), atol=1e-5)


@pytest.mark.parametrize("fill", [0.0, -1.0, 0.25])
def test_what_comes_in_from_outside_is_the_fill_value(fill):
    found = moved(np.full((1, 8, 8), 0.75, np.float32), across=0.5, fill=fill)[0]
    np.testing.assert_allclose(found, np.repeat([[0.75] * 4 + [fill] * 4], 8, axis=0), atol=1e-6)


def test_the_default_moves_are_drawn_evenly_from_their_ranges():
    drawn = Affine().drawn(4000, generator(0))
    for values, low, high in (
        (drawn.degrees, -10, 10),
        (drawn.across, -0.1, 0.1),
        (drawn.down, -0.1, 0.1),
        (drawn.scale, 0.9, 1.1),
    ):
        share = (values.double() - low) / (high - low)
        assert 0 <= share.min() < 0.01
        assert 0.99 < share.max() <= 1
        assert share.std().item() == pytest.approx(12**-0.5, rel=0.03)


def test_each_move_is_drawn_on_its_own():
    drawn = Affine().drawn(4000, generator(0))
    values = torch.stack([drawn.degrees, drawn.across, drawn.down, drawn.scale, drawn.mirrored.float()])
    assert (torch.corrcoef(values) - torch.eye(5)).abs().max() < 0.06


@pytest.mark.parametrize("flip", [0.0, 0.3, 0.5, 1.0])
def test_images_are_mirrored_at_the_given_rate(flip):
    rate = Affine(flip=flip).drawn(4000, generator(0)).mirrored.double().mean().item()
    assert rate == pytest.approx(flip, abs=0.03 if 0 < flip < 1 else 0)


def test_the_same_stream_gives_the_same_moves_and_the_global_one_is_left_alone():
    images = torch.rand(5, 1, H, W, generator=generator(1))
    before = torch.get_rng_state()
    assert torch.equal(Affine()(images, generator(7)), Affine()(images, generator(7)))
    assert not torch.equal(Affine()(images, generator(7)), Affine()(images, generator(8)))
    assert torch.equal(before, torch.get_rng_state())


def test_images_are_moved_alike_on_every_device(device):
    images = torch.rand(5, 1, 9, 7, generator=generator(1))
    found = Affine(fill=-1.0)(images.to(device), generator(3))
    assert found.device.type == device
    np.testing.assert_allclose(found.cpu(), Affine(fill=-1.0)(images, generator(3)), atol=1e-5)


def test_no_image_of_a_batch_mixes_with_another():
    images = torch.rand(4, 2, H, W, generator=generator(1))
    others = torch.where(torch.arange(4).view(4, 1, 1, 1) == 2, images, 9.0)
    assert torch.equal(Affine()(others, generator(0))[2], Affine()(images, generator(0))[2])


def test_every_image_of_a_batch_moves_in_its_own_way():
    images = torch.as_tensor(picture(9, 9))[None].repeat(6, 1, 1, 1)
    found = Affine()(images, generator(0)).flatten(1)
    assert torch.cdist(found, found).fill_diagonal_(1).min() > 0.01


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"smallest": 0.0}, "scale from 0.0 to 1.1. Give 0 < smallest <= largest"),
        ({"smallest": 1.2}, "scale from 1.2 to 1.1"),
        ({"flip": 1.5}, "flip is 1.5. Give a probability"),
    ],
)
def test_a_range_that_is_none_is_refused(wrong, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Affine(**wrong)
