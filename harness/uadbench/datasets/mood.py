"""MOOD 2020 brain: healthy head volumes; anomalies are put into them afterwards.

Source: Meissen et al., On the pitfalls of using the residual error as anomaly score, MIDL 2022, sec. 4: 60 % of the
sorted volumes to train with slices 120 to 139, slice 128 of the others to test, 5 % of the training volumes validate.
Deviates: the paper's validation volumes are the first of an unsorted list; ours are the first by name.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.volumes import SUFFIXES
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NAME = "mood2020-v1"
VOLUMES = 800
TRAINING, VAL = 0.6, 0.05
TRAINING_SLICES, TEST_SLICE = range(120, 140), 128
FEWEST = 3
RECIPE = Recipe(size=256, foreground="nonzero", normalisation=Normalisation("window", low=0.0, high=1.0), bits=16)


def plans(request: Request) -> Sequence[Plan]:
    """mood2020-v1: healthy images alone.

    Raises:
        InvalidDataError: No volume, too few for three splits, or one twice.
    """
    source = request.roots["mood"]
    volumes, others = _volumes(source)
    training = min(round(TRAINING * len(volumes)), len(volumes) - 1)
    validating = max(1, round(VAL * training))
    items = [
        item
        for place, name in enumerate(volumes)
        for item in _items(source, name, "val" if place < validating else "train" if place < training else "test")
    ]
    steps = (
        {"step": "split", "rule": "volumes by name", "train_and_val": training, "val": validating},
        {"step": "slice", "train_and_val": [TRAINING_SLICES[0], TRAINING_SLICES[-1]], "test": TEST_SLICE},
    )
    other = f" The paper has {VOLUMES} volumes." if len(volumes) != VOLUMES else ""
    notes = (
        (
            f"{len(volumes)} volumes, sorted by name: {validating} validate, {training - validating} train, "
            f"{len(volumes) - training} test.{other} The paper's validation volumes are not published."
        ),
        "Healthy images only. mood-residual-v1 is made of it with `uadbench data synthesise`.",
    )
    card = Card(
        NAME, "1", "MR T2", "brain", None, "MOOD challenge terms (Synapse syn21343101; not redistributable)",
        "Zimmerer et al., MOOD 2020: a public benchmark for out-of-distribution detection, IEEE TMI 2022; Meissen et "
        "al., On the pitfalls of using the residual error as anomaly score, MIDL 2022",
        notes=notes,
    )  # fmt: skip
    return (Plan(card, items, RECIPE, {"volume that is not of the brain": others}, steps),)


def _volumes(source: Source) -> tuple[list[str], int]:
    """The brain volumes, sorted by file name; and how many others lie there."""
    every = [name for name in source.names() if name.endswith(SUFFIXES)]
    brains = [name for name in every if _of_brain(name)] or [name for name in every if "abdom" not in name.lower()]
    first: dict[str, str] = {}
    for name in brains:
        short = PurePosixPath(name).name
        if first.setdefault(short, name) != name:
            raise InvalidDataError(f"Root mood: {short} lies there twice, as {first[short]!r} and {name!r}. Keep one.")
    if len(brains) < FEWEST:
        raise InvalidDataError(
            f"Root mood: {len(brains)} brain volumes. Give the folder of MOOD 2020 that holds brain/*.nii.gz."
        )
    return sorted(brains, key=lambda name: PurePosixPath(name).name), len(every) - len(brains)


def _of_brain(name: str) -> bool:
    return any(part.lower().startswith("brain") for part in PurePosixPath(name).parts[:-1])


def _items(source: Source, name: str, split: str) -> Iterator[Item]:
    subject = PurePosixPath(name).name.partition(".")[0]
    for index in (TEST_SLICE,) if split == "test" else TRAINING_SLICES:
        yield Item(
            name=f"{subject}/{index}",
            picture=Stored(source, name, index),
            where=f"{name}, slice {index}",
            split=split,
            subject=subject,
            volume=subject,
        )
