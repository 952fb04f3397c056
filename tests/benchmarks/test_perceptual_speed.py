"""What a perceptual map costs beside the features it needs, on one thread: pytest tests/benchmarks --benchmark-only.

The weights of torchvision's networks are random, which changes no time.
"""

import time

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lpips")
from uadbench.torch_support.perceptual import NAMES, PerceptualDistance  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
IMAGES, SIDE = 32, 128
ROUNDS = 5
MOST_PASSES = 2


def fastest(*acts):
    """Seconds of the fastest call of each act; they take turns, so that both see the same machine."""
    seconds = [[] for _ in acts]
    for _ in range(ROUNDS):
        for act, mine in zip(acts, seconds, strict=True):
            start = time.perf_counter()
            act()
            mine.append(time.perf_counter() - start)
    return [min(mine) for mine in seconds]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lpips-vgg"])  # the slowest network hides the rest
def test_a_perceptual_map_costs_at_most_two_passes_over_both_inputs(name, benchmark):
    numbers = torch.Generator().manual_seed(0)
    images, others = torch.rand(2, IMAGES, 1, SIDE, SIDE, generator=numbers).unbind()
    distance = PerceptualDistance(name, weights="random")
    with torch.no_grad():
        benchmark.pedantic(distance, (images, others), rounds=1, warmup_rounds=1)
        passes, seconds = fastest(
            lambda: [distance.network(one) for one in (images, others)], lambda: distance(images, others)
        )
    ratio = seconds / passes
    benchmark.extra_info.update(
        what=f"Map of `{name}`, {IMAGES} pairs of {SIDE} x {SIDE} images, one thread",
        seconds=round(seconds, 2),
        passes_of_its_network_over_both=round(ratio, 2),
        passes_allowed=MOST_PASSES,
    )
    print(f"\n{benchmark.extra_info}")
    assert ratio <= MOST_PASSES
