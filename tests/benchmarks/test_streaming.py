"""Counting maps from a file in blocks: memory does not grow with the number of maps, and time grows with it alone."""

import time
import tracemalloc

import h5py
import numpy as np
import pytest
from scenes import speckled

from uadbench.metrics import counting
from uadbench.metrics.counting import PixelCounter

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
FEW, MANY, BLOCK, SIZE = 300, 3000, 30, 256
MOST_MIB = 64


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """3,000 maps with their masks, 0.8 GB of values, written in blocks as a prediction file is."""
    path = tmp_path_factory.mktemp("streaming") / "maps.h5"
    with h5py.File(path, "w") as out:
        layout = {"chunks": (1, SIZE, SIZE), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        maps = out.create_dataset("maps", (MANY, SIZE, SIZE), np.float32, **layout)
        masks = out.create_dataset("masks", (MANY, SIZE, SIZE), bool, **layout)
        for start in range(0, MANY, BLOCK):
            maps[start : start + BLOCK], masks[start : start + BLOCK] = speckled(BLOCK, seed=start)
    with h5py.File(path) as stored:
        yield stored


def counted(file, count):
    """The tally of the first maps, block by block."""
    counter = PixelCounter()
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        counter.add(file["maps"][rows], file["masks"][rows])
    return counter.tally()


def seconds_for(file, count):
    """Processor seconds, which other programs on the machine do not lengthen as they do the clock's."""
    start = time.process_time()
    counted(file, count)
    return time.process_time() - start


def peak_mib(file, count):
    """The most memory that counting took at once, beyond the block of maps and masks that it was given."""
    tracemalloc.start()
    counted(file, count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - BLOCK * SIZE**2 * 5) / 2**20


def test_ten_times_the_maps_take_ten_times_the_time_and_no_more_memory(benchmark, file):
    counts = benchmark.pedantic(counted, (file, MANY), rounds=1)
    few = float(np.median([seconds_for(file, FEW) for _ in range(7)]))
    many = min(seconds_for(file, MANY) for _ in range(2))
    memory = {"peak_mib_of_300_maps": round(peak_mib(file, FEW), 1), "peak_mib": round(peak_mib(file, MANY), 1)}
    benchmark.extra_info.update(what="Counting 3,000 maps from a file in blocks, one thread", pixels=MANY * SIZE**2)
    benchmark.extra_info.update(seconds=round(many, 1), seconds_of_300_maps=round(few, 2), **memory)
    benchmark.extra_info.update(ratio_of_the_two_times=round(many / few, 1))
    print(f"\n{benchmark.extra_info}, AP {counting.average_precision(counts.healthy, counts.anomalous):.4f}")
    assert sum(counts.totals) == MANY * SIZE**2
    assert memory["peak_mib"] <= MOST_MIB
    assert many / few <= 11
