"""The discrepancy of student and teacher, against numpy."""

import numpy as np
import pytest
import torch
from uadbench_mkd._discrepancy import discrepancies, discrepancy_map


def levels(seed: int, shapes=((3, 8, 8), (5, 4, 4), (7, 2, 2)), count: int = 4):
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *shape, generator=numbers) for shape in shapes]


def apart(one: np.ndarray, other: np.ndarray, weight: float) -> float:
    """1 - cos + weight * MSE of two vectors."""
    cosine = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    return 1 - cosine + weight * ((one - other) ** 2).mean()


@pytest.mark.parametrize("weight", [0.0, 0.01, 0.5])
def test_the_discrepancy_is_angle_and_squared_error_of_each_level_flattened(weight):
    learned, taught = levels(0), levels(1)
    expected = [
        sum(
            apart(one[row].double().numpy().ravel(), other[row].double().numpy().ravel(), weight)
            for one, other in zip(learned, taught, strict=True)
        )
        for row in range(4)
    ]
    np.testing.assert_allclose(discrepancies(learned, taught, weight), expected, rtol=1e-5)


def test_its_mean_over_images_weighs_the_mean_squared_error_of_the_batch():
    learned, taught = levels(0), levels(1)
    angle, both = (discrepancies(learned, taught, weight).mean() for weight in (0.0, 0.5))
    squared = sum(torch.nn.functional.mse_loss(one, other) for one, other in zip(learned, taught, strict=True))
    assert (both - angle).item() == pytest.approx(0.5 * squared.item(), rel=1e-5)


def test_what_was_learned_exactly_has_no_discrepancy():
    np.testing.assert_allclose(discrepancies(levels(0), levels(0), 1.0), 0, atol=1e-6)


def test_features_twice_as_large_differ_in_value_alone():
    taught = levels(0)
    doubled = [2 * level for level in taught]
    np.testing.assert_allclose(discrepancies(doubled, taught, 0.0), 0, atol=1e-6)
    squared = sum(level.square().mean((1, 2, 3)) for level in taught)
    np.testing.assert_allclose(discrepancies(doubled, taught, 1.0), squared, rtol=1e-5)


def test_the_map_compares_the_channels_of_each_place():
    learned, taught = levels(0, ((5, 4, 4),)), levels(1, ((5, 4, 4),))
    one, other = (level[0].double().numpy() for level in (learned, taught))
    expected = [[[apart(one[0, :, y, x], other[0, :, y, x], 0.1) for x in range(4)] for y in range(4)]]
    np.testing.assert_allclose(discrepancy_map(learned, taught, 0.1, 4)[0], expected, rtol=1e-4)


def test_the_map_of_several_levels_is_the_sum_of_their_maps():
    learned, taught = levels(0), levels(1)
    each = [discrepancy_map([one], [other], 0.1, 16) for one, other in zip(learned, taught, strict=True)]
    np.testing.assert_allclose(discrepancy_map(learned, taught, 0.1, 16), sum(each), rtol=1e-5)


def test_a_student_without_any_signal_has_a_finite_discrepancy():
    silent = [torch.zeros_like(level) for level in levels(0)]
    assert torch.isfinite(discrepancies(silent, levels(0), 0.01)).all()
