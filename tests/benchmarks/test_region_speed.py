"""Speed of AUPRO by counting against sorting and against a loop over thresholds, on one thread."""

import time

import numpy as np
import pytest
from scenes import speckled
from scipy import ndimage

from uadbench.metrics import aupro

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
IMAGES, LIMIT, THRESHOLDS, LEAST_RATIO = 300, 0.3, 200, 3


@pytest.fixture(scope="module")
def stored():
    """300 maps with about 40,000 regions."""
    return speckled(IMAGES, seed=0)


def numbered_regions(masks):
    """Regions of all images, numbered from 1."""
    numbered, count = np.zeros(masks.shape, np.int64), 0
    for i, mask in enumerate(masks):
        found, more = ndimage.label(mask, np.ones((3, 3)))
        numbered[i][mask], count = found[mask] + count, count + more
    return numbered


def area_up_to_the_limit(rate, overlap):
    """The normalised area; the last trapezoid is cut at the limit."""
    x = np.append(rate[rate < LIMIT], LIMIT)
    y = np.append(overlap[rate < LIMIT], np.interp(LIMIT, rate, overlap))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / LIMIT)


def by_sorting(maps, masks):
    """Exact: all pixels in order, the sums taken where one value ends and the next begins."""
    numbered = numbered_regions(masks)
    areas = np.bincount(numbered.ravel())[1:]
    order = np.argsort(maps, axis=None)[::-1]
    values, places = maps.ravel()[order], numbered.ravel()[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    rate = np.cumsum(places == 0)[last] / (places == 0).sum()
    overlap = np.cumsum(np.append(0, 1 / areas)[places])[last] / len(areas)
    return area_up_to_the_limit(np.append(0, rate), np.append(0, overlap))


def by_thresholds(maps, masks):
    """Nearly: 200 thresholds from the highest value to the lowest, the overlap of every region at each."""
    numbered = numbered_regions(masks)
    regions, inside, healthy = numbered[masks], maps[masks], maps[~masks]
    areas = np.bincount(regions)[1:]
    rate, overlap = [], []
    for threshold in np.linspace(maps.max(), maps.min(), THRESHOLDS):
        rate.append(np.count_nonzero(healthy >= threshold) / healthy.size)
        overlap.append(np.mean(np.bincount(regions[inside >= threshold], minlength=len(areas) + 1)[1:] / areas))
    return area_up_to_the_limit(np.array(rate), np.array(overlap))


def timed(measure, *arrays):
    """The value and its processor seconds, which other programs on the machine hardly lengthen."""
    start = time.process_time()
    return measure(*arrays), time.process_time() - start


def test_aupro_by_counting_is_exact_and_faster_than_sorting_or_thresholds(benchmark, stored):
    counted = benchmark.pedantic(aupro, stored, rounds=1)
    seconds = min(timed(aupro, *stored)[1] for _ in range(3))
    (sorted_, sorting), (near, looping) = (timed(measure, *stored) for measure in (by_sorting, by_thresholds))
    figures = {"regions": int(numbered_regions(stored[1]).max()), "seconds_by_counting": round(seconds, 2)}
    benchmark.extra_info.update(what="AUPRO, one thread", pixels=stored[0].size, **figures)
    benchmark.extra_info.update(seconds_by_sorting=round(sorting, 2), seconds_by_200_thresholds=round(looping, 2))
    benchmark.extra_info.update(ratio_to_sorting=round(sorting / seconds, 1))
    print(f"\n{benchmark.extra_info}")
    assert counted == pytest.approx(sorted_, abs=1e-9)
    assert counted == pytest.approx(near, abs=5e-3)
    assert sorting / seconds >= LEAST_RATIO


def by_anomalib(maps, masks):
    """anomalib's metric on the same pixels."""
    import torch
    from anomalib.metrics.aupro import _AUPRO

    metric = _AUPRO(fpr_limit=LIMIT)
    metric.update(torch.from_numpy(maps), torch.from_numpy(masks.astype(np.int64)))
    return float(metric.compute())


def test_aupro_by_counting_is_twenty_times_faster_than_anomalibs(benchmark, stored):
    anomalib = pytest.importorskip("anomalib", reason="anomalib is not installed")
    counted = benchmark.pedantic(aupro, stored, rounds=1)
    seconds = min(timed(aupro, *stored)[1] for _ in range(3))
    theirs, spent = timed(by_anomalib, *stored)
    benchmark.extra_info.update(what=f"AUPRO against anomalib {anomalib.__version__}, one thread")
    benchmark.extra_info.update(seconds_by_counting=round(seconds, 2), seconds_by_anomalib=round(spent, 1))
    benchmark.extra_info.update(ratio=round(spent / seconds, 1))
    assert counted == pytest.approx(theirs, abs=1e-3)
    assert spent / seconds >= 20
