"""`synthesise`: a dataset whose test split is the healthy test images of another, plain and corrupted."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from uadbench.datasets.phantom.image import boxes_around
from uadbench.datasets.synthetic.corruption import Corruption
from uadbench.datasets.synthetic.healthy import Healthy, read_healthy
from uadbench.datasets.synthetic.suites import suite
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.dataset import DatasetPaths, Sample, paths_in, write_dataset
from uadbench.files.images import Card

# A corruption that came out invisible is drawn again, this often in all.
DRAWS = 30


def _silent(done: int, total: int) -> None:
    """The default report: nobody listens."""


def synthesise(
    source: DatasetPaths,
    suites: Sequence[str],
    folder: Path,
    *,
    name: str,
    seed: int = 0,
    report: Callable[[int, int], None] = _silent,
) -> DatasetPaths:
    """Write dataset `name` into the folder: train and val of the source, and its healthy test images with each suite.

    A corrupted image keeps its subject, has the suite's name as its pathology, a mask, a box around each 8-connected
    component, and its clean twin. It depends on the seed, the suite's name and its row in the source alone. `report`
    hears corrupted images done and in all. An image on which a suite shows nothing in 30 draws is left out, and the
    card's notes say so.

    Raises:
        UnknownNameError: No such suite.
        UsageError: No suite, a name that does not fit or is the source's, or a negative seed.
        InvalidDataError: A source without healthy test images, or that breaks its rules; a suite that shows on none.
    """
    chosen = {one: suite(one) for one in suites}
    target = paths_in(folder, name)
    _check(chosen, target, source, name, seed)
    healthy = read_healthy(source)
    jobs = [(one, row) for one in chosen for row in healthy.splits["test"]]
    corrupted: list[Sample] = []
    for done, (one, row) in enumerate(jobs, start=1):
        corrupted += corrupt(healthy.splits["test"][row], chosen[one], one, seed_of(seed, one, row))
        report(done, len(jobs))
    card = _card(healthy, chosen, name, seed, _left_out(chosen, corrupted, len(healthy.splits["test"])))
    splits = {split: list(samples.values()) for split, samples in healthy.splits.items()}
    return write_dataset(folder, card, {**splits, "test": [*splits["test"], *corrupted]})


def seed_of(seed: int, suite_name: str, row: int) -> np.random.SeedSequence:
    """The seed of one corrupted image; independent of the other suites and images."""
    number = int.from_bytes(hashlib.sha256(suite_name.encode()).digest()[:8], "little")
    return np.random.SeedSequence([seed, number, row])


def corrupt(healthy: Sample, suite: Corruption, name: str, seed: np.random.SeedSequence) -> list[Sample]:
    """The sample after a suite called `name`, or none when nothing shows in any of 30 draws.

    Stored integers outside the mask are those of the healthy sample.
    """
    rng = np.random.default_rng(seed)
    white = np.iinfo(healthy.pixels.dtype).max
    image = healthy.pixels[0] * np.float32(1 / white)  # (1, h, w) -> (h, w)
    for _ in range(DRAWS):
        result = suite(image, healthy.foreground, rng)
        stored = np.rint(result.image * white).astype(healthy.pixels.dtype)
        stored = np.where(result.mask, stored, healthy.pixels)  # (1, h, w)
        if not np.array_equal(stored, healthy.pixels):
            return [
                replace(
                    healthy,
                    pixels=stored,
                    name=f"{name}/{healthy.name}",
                    label=1,
                    pathology=name,
                    annotation="mask",
                    mask=result.mask,
                    boxes=boxes_around(result.mask),
                    clean=healthy.pixels,
                )
            ]
    return []


def _check(suites: Mapping[str, Corruption], target: DatasetPaths, source: DatasetPaths, name: str, seed: int) -> None:
    if not suites:
        raise UsageError("No suite to put on the images. Name one or more; see `uadbench data synthesise --list`.")
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", name):
        raise UsageError(f"--name {name!r}: use letters, digits and single dashes, as in 'synthetic-brain-v1'.")
    if target.images.resolve() == Path(source.images).resolve():
        raise UsageError(f"--name {name!r} is the source itself, which would be lost. Choose another name.")
    if seed < 0:
        raise UsageError(f"--seed {seed}: give 0 or more.")


def _left_out(suites: Mapping[str, Corruption], corrupted: Sequence[Sample], images: int) -> tuple[str, ...]:
    shown = Counter(sample.pathology for sample in corrupted)
    for name in suites:
        if not shown[name]:
            raise InvalidDataError(
                f"Suite {name!r} shows on none of {images} healthy test images in {DRAWS} draws each. "
                "Leave it out, or give images with something on them."
            )
    return tuple(
        f"{name}: {images - shown[name]} of {images} images are left out; nothing showed on them in {DRAWS} draws."
        for name in suites
        if shown[name] < images
    )


def _card(healthy: Healthy, suites: Mapping[str, Corruption], name: str, seed: int, left_out: tuple[str, ...]) -> Card:
    source, digests = healthy.card, healthy.digests
    papers = "; ".join(dict.fromkeys(one.paper for one in suites.values()))
    step = {
        "step": "synthesise",
        "source": {
            "name": source.name,
            "version": source.version,
            "identity": digests.identity,
            "pixels": digests.pixels,
        },
        "suites": {name: _parameters(one) for name, one in suites.items()},
        "seed": seed,
    }
    notes = (
        f"Synthetic anomalies on the healthy test images of {source.name}; they say nothing about patients.",
        "A mask marks where a corruption acted, also where the value there happened to stay.",
        *left_out,
        *(f"Of {source.name}: {note}" for note in source.notes),
    )
    citation = f"{source.citation} Synthetic anomalies: {papers}."
    return replace(
        source,
        name=name,
        version="1",
        citation=citation,
        preprocessing=(*source.preprocessing, step),
        notes=notes,
    )


def _parameters(one: Any) -> dict[str, Any]:
    return {"kind": type(one).__name__, **asdict(one)}
