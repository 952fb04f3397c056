"""The whole of brain-phantom-v1, in parallel; the images do not depend on how many processes make them."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from uadbench.datasets.phantom.image import ROOT_SEED, SIZES, indices, phantom
from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card

__all__ = ["CARD", "generate", "make", "phantom"]

CARD = Card(
    name="brain-phantom-v1",
    version="1",
    modality="MR T1 (synthetic)",
    anatomy="brain",
    spacing_mm=1.6,
    licence=(
        "Made from the ICBM 2009a template: Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, "
        "Montreal Neurological Institute, McGill University. Permission to use, copy, modify, and distribute this "
        "software and its documentation for any purpose and without fee is hereby granted, provided that the above "
        "copyright notice appear in all copies. The authors and McGill University make no representations about the "
        "suitability of this software for any purpose. It is provided 'as is' without express or implied warranty. "
        "The authors are not responsible for any data loss, equipment damage, property loss, or injury to subjects "
        "or patients resulting from the use or misuse of this software package."
    ),
    citation=(
        "Fonov VS, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased average age-appropriate atlases "
        "for pediatric studies. NeuroImage 54(1), 2011. Fonov VS, Evans AC, McKinstry RC, Almli CR, Collins DL. "
        "Unbiased nonlinear average age-appropriate brain templates from birth to adulthood. NeuroImage 47, S102, 2009."
    ),
    preprocessing=(
        {"step": "template", "source": "MNI ICBM 2009a symmetric, T1, grey and white matter", "spacing_mm": 1.0},
        {"step": "sample", "axial_z_mm": [10.0, 22.0], "size": [128, 128], "spacing_mm": 1.6, "order": 1},
        {"step": "render", "tissues": ["csf", "grey", "white"], "root_seed": ROOT_SEED},
        {"step": "scan", "blur": True, "bias": True, "gain": True, "noise": "rician", "skull_stripped": True},
        {"step": "quantise", "dtype": "uint8", "white": 1.0},
    ),
)

# One thread per worker; a worker that starts more only gets in the way of the others.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _silent(done: int, total: int) -> None:
    """The default report: nobody listens."""


def make(
    folder: Path, *, workers: int = 2, report: Callable[[int, int], None] = _silent, limit: int | None = None
) -> Path:
    """Generate the dataset, write its images and truth files into the folder, and return the images file's path."""
    return write_dataset(folder, CARD, generate(workers=workers, report=report, limit=limit)).images


def generate(
    *,
    workers: int = 2,
    report: Callable[[int, int], None] = _silent,
    limit: int | None = None,
    root_seed: int = ROOT_SEED,
) -> dict[str, list[Sample]]:
    """The samples of train (240), val (40) and test (320), the same for any number of workers.

    `report` hears images done and in all; `limit` keeps the first images of each kind in each split. A script
    that asks for several workers must do so under `if __name__ == "__main__":`, as new processes import it.
    """
    jobs = [(split, index, root_seed) for split in SIZES for index in indices(split, limit)]
    samples: dict[str, list[Sample]] = {split: [] for split in SIZES}
    with _workshop(workers) as work:
        for done, ((split, _, _), sample) in enumerate(zip(jobs, work(jobs), strict=True), start=1):
            samples[split].append(sample)
            report(done, len(jobs))
    return samples


Job = tuple[str, int, int]


def _make_one(job: Job) -> Sample:
    split, index, root_seed = job
    return phantom(split, index, root_seed=root_seed)


@contextlib.contextmanager
def _workshop(workers: int) -> Iterator[Callable[[list[Job]], Iterator[Sample]]]:
    """What turns jobs into samples in order: this process, or fresh ones (a fork would copy the threads of torch)."""
    if workers <= 1:
        yield lambda jobs: map(_make_one, jobs)
        return
    fresh = multiprocessing.get_context("spawn")
    with _environment(_ONE_THREAD), ProcessPoolExecutor(workers, mp_context=fresh) as pool:
        yield lambda jobs: pool.map(_make_one, jobs, chunksize=8)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The environment with some variables set while the block runs; processes started in it inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
