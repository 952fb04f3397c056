"""Speed of PatchCore's coreset against anomalib's loop, and how well it covers the patches; on one thread."""

import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "one_torch_thread")]
PATCHES, LENGTH, SHARE = 200_000, 64, 0.01
TIMED = 20  # of anomalib's picks, each of which takes as long as the next
LEAST_RATIO, MOST_RADIUS = 100, 1.1


@pytest.fixture(scope="module")
def patches():
    """Made-up features around 500 centres."""
    import torch

    draws = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(500, LENGTH, generator=draws)
    places = torch.randint(500, (PATCHES,), generator=draws)
    return centres[places] + torch.randn(PATCHES, LENGTH, generator=draws)


def chosen(patches):
    from uadbench_patchcore._memory import coreset

    return coreset(patches, int(SHARE * len(patches)), 0)


def one_pass_each(patches, count):
    """Exact greedy: the farthest patch, again and again."""
    import torch

    rows, gaps = [0], torch.full((len(patches),), torch.inf)
    while len(rows) < count:
        gaps = torch.minimum(gaps, (patches - patches[rows[-1]]).square().sum(1))
        rows.append(int(gaps.argmax()))
    return rows


def radius(patches, rows):
    """The farthest that any patch is from the chosen ones."""
    from uadbench_patchcore._memory import nearest

    return float(nearest(patches, patches[rows])[0].max().sqrt())


def test_the_coreset_is_a_hundred_times_faster_than_anomalibs(benchmark, patches):
    anomalib = pytest.importorskip("anomalib", reason="anomalib is not installed")
    from anomalib.models.components.sampling import KCenterGreedy

    benchmark.pedantic(chosen, (patches,), rounds=3)
    ours = benchmark.stats.stats.min
    sampler = KCenterGreedy(patches, (TIMED + 1) / len(patches))
    start = time.perf_counter()
    sampler.select_coreset_idxs()
    theirs = (time.perf_counter() - start) / TIMED * SHARE * len(patches)
    benchmark.extra_info.update(
        what=f"coreset of 1 % of 200,000 x 64 against anomalib {anomalib.__version__}, one thread"
    )
    benchmark.extra_info.update(seconds=round(ours, 2), anomalib_seconds_from_20_of_2000_picks=round(theirs))
    benchmark.extra_info.update(ratio=round(theirs / ours))
    assert theirs / ours >= LEAST_RATIO


def test_the_coreset_covers_as_well_as_one_patch_at_a_time(benchmark, patches):
    some = patches[:20_000]
    rows = benchmark.pedantic(chosen, (some,), rounds=1)
    ratio = radius(some, rows) / radius(some, one_pass_each(some, len(rows)))
    benchmark.extra_info.update(what="covering radius of the coreset over that of exact greedy, 20,000 x 64")
    benchmark.extra_info.update(ratio=round(ratio, 3))
    assert ratio <= MOST_RADIUS
