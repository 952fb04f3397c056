"""Moving pixels: known translations, their inverses, integrated velocities and folds."""

import numpy as np
import pytest
import torch
from uadbench_morphaeus._warping import folding, integrate, places, warp

pytestmark = pytest.mark.usefixtures("one_torch_thread")

INSIDE = np.s_[..., 8:-8, 8:-8]


def images(channels: int = 1) -> torch.Tensor:
    return torch.rand(2, channels, 24, 20, generator=torch.Generator().manual_seed(0))


def moving(down: float, right: float) -> torch.Tensor:
    """The same displacement, or velocity, at every pixel."""
    return torch.tensor([down, right]).view(1, 2, 1, 1).expand(2, 2, 24, 20)


def waves(height: float = 1.5) -> torch.Tensor:
    """A smooth velocity that is 0 at the frame."""
    y, x = (torch.linspace(0, np.pi, side) for side in (24, 20))
    bump = torch.outer(torch.sin(y), torch.sin(x)) ** 2
    return height * torch.stack([bump, -bump * torch.cos(x)]).expand(2, 2, 24, 20)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixel_comes_from_as_far_down_and_right_as_it_is_displaced(channels):
    given = images(channels)
    found, expected = warp(given, moving(3, 2)), torch.zeros_like(given)
    expected[..., :-3, :-2] = given[..., 3:, 2:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_between_pixels_a_warp_is_bilinear():
    given = images()
    expected = 0.75 * given[..., 8:-8, 8:-8] + 0.25 * given[..., 8:-8, 9:-7]
    torch.testing.assert_close(warp(given, moving(0, 0.25))[INSIDE], expected, atol=1e-5, rtol=0)


def test_no_displacement_leaves_an_image_as_it_is():
    torch.testing.assert_close(warp(images(), moving(0, 0)), images(), atol=1e-5, rtol=0)


def test_a_translation_is_undone_by_its_inverse():
    there = warp(images(), moving(3, -2))
    torch.testing.assert_close(warp(there, moving(-3, 2))[INSIDE], images()[INSIDE], atol=1e-5, rtol=0)


def test_a_constant_velocity_integrates_to_a_translation():
    found = integrate(moving(2.5, -1.5))
    torch.testing.assert_close(found[INSIDE], moving(2.5, -1.5)[INSIDE], atol=1e-4, rtol=0)


def test_a_velocity_and_its_opposite_integrate_to_inverses():
    forth, back = integrate(waves()), integrate(-waves())
    composed = back + warp(forth, back)
    assert forth.abs().max() > 1
    assert composed.abs().max() < 0.03
    assert (forth + back).abs().max() > 0.05  # turning the sign of a displacement does not invert it


def test_integrating_follows_a_point_through_the_velocity():
    slope, start = 0.05, 3.0  # dy/dt = a y: the point at y goes to y exp(a)
    velocity = torch.zeros(1, 2, 24, 20)
    velocity[:, 0] = slope * places(velocity)[0]
    found = integrate(velocity)[0, 0, int(start), 10].item()
    assert start + found == pytest.approx(start * np.exp(slope), rel=1e-3)


def test_a_mirrored_strip_folds_and_nothing_else():
    displacement = torch.zeros(2, 2, 24, 20)
    rows = torch.arange(8.0, 16)
    displacement[0, 0, 8:16] = ((23 - rows) - rows)[:, None]  # p -> 23 - p
    # of its 8 rows the outer two have a neighbour that lies ahead again
    assert folding(displacement).tolist() == pytest.approx([6 / 24, 0])


@pytest.mark.parametrize("field", [moving(3, 2), waves(0.5), -waves(0.5)], ids=["moved", "pushed", "pulled"])
def test_gentle_displacements_do_not_fold(field):
    assert folding(integrate(field)).tolist() == [0, 0]


def test_a_swap_of_rows_and_columns_folds_everywhere():
    displacement = torch.zeros(1, 2, 20, 20)
    rows, columns = places(displacement)
    displacement[0] = torch.stack([columns - rows, rows - columns])
    assert folding(displacement).tolist() == [1]


def test_a_quarter_turn_does_not_fold():
    displacement = torch.zeros(1, 2, 20, 20)
    rows, columns = places(displacement)
    displacement[0] = torch.stack([columns - rows, 19 - rows - columns])
    assert folding(displacement).tolist() == [0]
