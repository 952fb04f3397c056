"""Speed of simplex noise for a batch against one point at a time, and beside the network that it is made for."""

import sys
from pathlib import Path

import numpy as np
import pytest
from stopwatch import seconds_in_turn

torch = pytest.importorskip("torch", reason="torch is not installed")
anoddpm = pytest.importorskip("uadbench_anoddpm.anoddpm", reason="the method anoddpm is not installed")
pytest.importorskip("monai", reason="monai is not installed")
sys.path.append(str(Path(__file__).parents[2] / "plugins/anoddpm/tests"))
import scalar_simplex  # noqa: E402
from uadbench_anoddpm._simplex import octaves  # noqa: E402

from uadbench import plugins  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "kept_memory")]
ROUNDS, LEAST_RATIO, MOST_OF_A_PASS, MOST_APART = 15, 50, 25, 5e-3  # times, percent, and of noise in about [-3, 3]


@pytest.fixture(scope="module")
def method():
    """That of `quick`."""
    return plugins.make("anoddpm", preset="quick")


@pytest.fixture(scope="module")
def drawn(method):
    """A permutation and a step of its own for each image of a batch."""
    numbers = torch.Generator().manual_seed(0)
    permutations = torch.rand(method.batch, 256, generator=numbers).argsort(1)
    return permutations, torch.randint(method.trained_to, (method.batch,), generator=numbers)


def settings(method):
    """What both noises are made with."""
    return method.size, method.frequency, method.octaves, method.persistence


def one_by_one(method, permutations, depths):
    """The first image, a point at a time."""
    return np.array(scalar_simplex.image(permutations[0].tolist(), int(depths[0]), *settings(method)))


def forward(method):
    """One pass of the untrained network over a batch."""
    torch.manual_seed(0)
    network = method.network(1).eval()
    noisy, steps = torch.randn(method.batch, 1, method.size, method.size), torch.full((method.batch,), 100)

    def passed():
        with torch.no_grad():
            network(noisy, steps)

    return passed


def test_noise_of_a_batch_is_fifty_times_faster_than_point_by_point_and_a_small_part_of_a_pass(
    benchmark, method, drawn
):
    apart = np.abs(octaves(*drawn, *settings(method))[0].numpy() - one_by_one(method, *drawn)).max()
    benchmark.pedantic(octaves, (*drawn, *settings(method)), rounds=ROUNDS)
    works = [lambda: octaves(*drawn, *settings(method)), lambda: one_by_one(method, *drawn), forward(method)]
    at_once, alone, passed = seconds_in_turn(works, ROUNDS).min(axis=0)
    ratio, share = float(alone * method.batch / at_once), 100 * float(at_once / passed)
    size = f"{method.batch} images of {method.size} x {method.size}"
    benchmark.extra_info.update(
        what=f"Simplex noise in {method.octaves} octaves for {size}, one thread",
        milliseconds_an_image=round(1000 * float(at_once) / method.batch, 2),
        milliseconds_point_by_point=round(1000 * float(alone), 1),
        ratio=round(ratio, 1),
        percent_of_a_pass_of_the_quick_network=round(share, 1),
        target_percent=MOST_OF_A_PASS,
    )
    print(f"\n{benchmark.extra_info}")
    assert apart <= MOST_APART
    assert ratio >= LEAST_RATIO
    assert share <= MOST_OF_A_PASS
