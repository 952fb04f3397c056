"""The most memory that PatchCore's scoring takes: a bound that is stated, whatever the number of images."""

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

pytestmark = pytest.mark.slow
BANK, LENGTH, MEMORY = 100_000, 512, 256  # patches, numbers, MiB of a table of distances
FEW, MANY = 1, 4  # images
AROUND = 128  # MiB: an image's features and maps, and what torch keeps


def grown(images: int) -> float:
    """MiB that a new process grows by when it scores so many images, beyond the fitted detector."""
    import numpy as np
    import torch
    from uadbench_patchcore.patchcore import PatchCore, PatchDetector

    from uadbench import Images

    torch.set_num_threads(1)
    method = PatchCore("tf_efficientnet_lite0", size=256, pooled=LENGTH, memory=MEMORY, weights="random")
    bank = torch.randn(BANK, LENGTH, generator=torch.Generator().manual_seed(0))
    detector = PatchDetector(method, method.network("cpu"), bank, "cpu")
    pixels, names = np.random.default_rng(0).random((images, 1, 128, 128), np.float32), tuple(map(str, range(images)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    detector.predict(Images(pixels, np.ones((images, 128, 128), bool), names, names))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def in_a_new_process(images: int) -> float:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(grown, images).result()


def test_scoring_with_a_bank_of_100_000_patches_keeps_to_its_memory(benchmark):
    few, many = in_a_new_process(FEW), benchmark.pedantic(in_a_new_process, (MANY,), rounds=1)
    what = f"memory of PatchCore's scoring beyond a bank of 100,000 x 512, tables of {MEMORY} MiB"
    benchmark.extra_info.update(what=what, mib=round(many), mib_of_1_image=round(few))
    assert many <= MEMORY + AROUND
    assert many <= few + AROUND / 4
