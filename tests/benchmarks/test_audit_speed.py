"""Processor seconds and memory of an audit of 20,000 images of 256 x 256, one thread.

The images are made batch by batch, from fields that are blurred once, so that making them takes little of the time.
"""

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")
pytestmark = pytest.mark.slow
IMAGES, SIZE, BATCH, FIELDS = 20_000, 256, 64, 400
TARGET_SECONDS, TARGET_MIB = 180, 1024
PLANTED = 7  # the place from the end where the first image lies once more, mirrored and brightened


def scans(count):
    """Makes batches of sums of two of the fields, the second shifted: every image is another one."""
    from scipy import ndimage

    noise = np.random.default_rng(0).standard_normal((FIELDS, SIZE, SIZE), np.float32)
    fields = ndimage.gaussian_filter(noise, (0, 4, 4))
    fields = (fields - fields.min()) / np.ptp(fields)
    foreground = np.ones((BATCH, SIZE, SIZE), bool)

    def image(number):
        turn = 1 + number // FIELDS
        other = np.roll(fields[(number * 7 + turn) % FIELDS], 5 * turn, axis=1)
        return (fields[number % FIELDS] + other) / 2

    def copy(pixels):
        return np.minimum(1.3 * pixels[:, ::-1], 1)

    def batches():
        for start in range(0, count, BATCH):
            rows = range(start, min(start + BATCH, count))
            made = [copy(image(0)) if row == count - PLANTED else image(row) for row in rows]
            yield np.stack(made), foreground[: len(made)]

    return batches


def audited(count):
    """Processor seconds, MiB that the process grew to, and the pairs that were found."""
    from threadpoolctl import threadpool_limits

    from uadbench.auditing import Specimen, audit

    splits = ["train"] * (count // 2) + ["val"] * (count // 10)
    splits += ["test"] * (count - len(splits))
    specimens = [Specimen(str(i), split, split == "test" and i % 2 == 0, str(i), "") for i, split in enumerate(splits)]
    batches = scans(count)
    start = time.process_time()
    with threadpool_limits(1):
        found = audit("speed", specimens, batches)
    seconds = time.process_time() - start
    pairs = [(pair.first.row, pair.second.row, pair.mirrored) for one in found.leaks for pair in one.pairs]
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, pairs


def in_a_new_process(count):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(audited, count).result()


def test_an_audit_of_20000_images_keeps_to_its_time_and_memory(benchmark):
    seconds, mib, pairs = benchmark.pedantic(in_a_new_process, (IMAGES,), rounds=1)
    what = f"Audit of {IMAGES:,} images of {SIZE} x {SIZE}, made as they are read, one thread"
    figures = {"seconds": round(seconds), "target_seconds": TARGET_SECONDS, "mib_of_the_whole_process": round(mib)}
    benchmark.extra_info.update(what=what, **figures)
    print(f"\n{benchmark.extra_info}")
    assert pairs == [(0, IMAGES - PLANTED, True)]
    assert seconds <= TARGET_SECONDS
    assert mib <= TARGET_MIB
