"""Simplex noise: equal to noise one point at a time, its octaves, its bounds, and that images do not share it."""

import numpy as np
import pytest
import scalar_simplex
import torch
from uadbench_anoddpm._simplex import octaves, simplex

pytestmark = pytest.mark.usefixtures("one_torch_thread")

COUNT = 4


def permutations(count: int = COUNT, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 256, generator=torch.Generator().manual_seed(seed)).argsort(1)


def points(count: int = 300, spread: float = 400.0) -> tuple[torch.Tensor, ...]:
    """x, y, z on both sides of 0, as coordinates of one image of a row."""
    drawn = spread * (2 * torch.rand(3, 1, 1, count, generator=torch.Generator().manual_seed(1)) - 1)
    return tuple(drawn)


def wide(count: int, drawn: torch.Tensor, depths: torch.Tensor) -> torch.Tensor:
    """`count` octaves of 16 pixels and less."""
    return octaves(drawn, depths, 24, 16.0, count, 0.8)


def test_noise_at_points_is_the_scalar_reference():
    at, drawn = points(), permutations()
    found = simplex(drawn, at)
    expected = [
        [scalar_simplex.point(one, *xyz) for xyz in torch.stack(at).flatten(1).T.tolist()] for one in drawn.tolist()
    ]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-3)
    assert found.std() > 0.3


def test_octaves_of_a_batch_are_the_scalar_reference_at_each_depth():
    drawn, depths = permutations(), torch.tensor([0, 1, 199, 799])
    found = octaves(drawn, depths, 12, 64.0, 6, 0.8)
    expected = [
        scalar_simplex.image(one, depth, 12, 64.0, 6, 0.8)
        for one, depth in zip(drawn.tolist(), depths.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=3e-3)


@pytest.mark.parametrize("depth", [0, 137])
def test_octaves_are_a_sum_each_half_as_wide_and_lower_by_the_persistence(depth):
    drawn, depths = permutations(), torch.tensor([depth])
    single = [octaves(drawn, depths, 24, 16.0 / 2**octave, 1, 0.8) for octave in range(3)]
    torch.testing.assert_close(wide(3, drawn, depths), single[0] + 0.8 * single[1] + 0.64 * single[2])


def test_one_depth_for_all_is_that_depth_for_each():
    drawn = permutations()
    found, expected = (wide(3, drawn, torch.full((count,), 77)) for count in (1, COUNT))
    assert torch.equal(found, expected)


def test_noise_of_an_image_does_not_depend_on_its_batch_or_place():
    drawn, depths = permutations(), torch.tensor([3, 50, 400, 799])
    batch, order = wide(3, drawn, depths), [2, 0, 3, 1]
    alone = [wide(3, drawn[row : row + 1], depths[row : row + 1])[0] for row in range(COUNT)]
    assert torch.equal(torch.stack(alone), batch)
    assert torch.equal(wide(3, drawn[order], depths[order]), batch[order])


def test_images_have_noise_of_their_own():
    batch = wide(3, permutations(), torch.tensor([200])).flatten(1)
    correlation = torch.corrcoef(batch) - torch.eye(COUNT)
    assert correlation.abs().max() < 0.5


def test_noise_lies_between_minus_one_and_one_about_zero():
    noise = simplex(permutations(400), points(500, 20.0))
    assert 0.85 < noise.abs().max() <= 1
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


def test_noise_is_zero_at_corners_of_the_lattice():
    corners = torch.tensor([[0.0, 0, 0], [2 / 3, 2 / 3, -1 / 3], [5 / 6, -1 / 6, -1 / 6], [0.5, 0.5, 0.5]])
    noise = simplex(permutations(), tuple(corners.T[:, None, None]))
    np.testing.assert_allclose(noise, 0, atol=1e-5)


def test_noise_is_continuous_across_cells():
    along = torch.linspace(-3, 3, 60_001)[None, None]  # in steps of 1e-4
    noise = simplex(permutations(), (along, 0.37 * along + 0.2, 0.11 - 0.61 * along))
    assert noise.diff(dim=-1).abs().max() < 1e-3


def test_noise_goes_through_depth_without_jumps():
    drawn = permutations(32)
    near, far = (octaves(drawn, torch.tensor([100 + step]), 24, 64.0, 1, 0.8) for step in (1, 60))
    here = octaves(drawn, torch.tensor([100]), 24, 64.0, 1, 0.8)
    assert (near - here).abs().mean() < 0.1 * (far - here).abs().mean()


def test_wide_octaves_are_coarser_than_white_noise():
    noise = octaves(permutations(16), torch.tensor([5]), 64, 64.0, 6, 0.8)
    beside, far = ((noise[..., step:] - noise[..., :-step]).square().mean().item() for step in (1, 32))
    assert beside < 0.5 * far
