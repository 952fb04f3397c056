"""BraTS 2021: FLAIR slices with tumours outlined; slices without a tumour to train on.

Source: AE4AD, MICCAI 2024, App. A and Table A3. Deviates: which scans are drawn and how intensities are normalised is
not printed; both are ours.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import shuffled
from uadbench.datasets.importing.volumes import volume
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NAME = "brats2021-ae4-v1"
SIDE, DEPTH, STEP = 208, 70, 5
VAL = 0.1
LABELS = (0, 1, 2, 4)
_SCAN = re.compile(r"(BraTS2021_\d+)_(flair|seg)\.nii(?:\.gz)?")
RECIPE = Recipe(
    size=64, foreground="nonzero", normalisation=Normalisation("volume-percentile", percentile=99.0),
    crop=(SIDE, SIDE), bits=8,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """Scans to draw, and the slices that the paper has of them."""

    training: int = 1051
    test: int = 200
    normal_training: int = 4211
    normal_test: int = 828
    tumour_test: int = 1948


@dataclass(frozen=True, slots=True)
class Scan:
    """A subject's FLAIR volume and its labels."""

    subject: str
    flair: str
    seg: str


def plans(request: Request) -> Sequence[Plan]:
    """brats2021-ae4-v1.

    Raises:
        InvalidDataError: As `plan`.
    """
    return (plan(request, Counts()),)


def plan(request: Request, counts: Counts) -> Plan:
    """The dataset with that many scans to draw.

    Raises:
        InvalidDataError: No scans, too few, or labels that are none of BraTS 2021.
    """
    source = request.roots["brats"]
    scans, unlabelled = _scans(source)
    wanted = counts.training + counts.test
    if len(scans) < wanted:
        raise InvalidDataError(
            f"Root brats: {len(scans)} scans with labels, and {wanted} are drawn ({counts.training} to train and "
            f"validate, {counts.test} to test). Give the whole training set of BraTS 2021."
        )
    looked = request.survey(tumour_slices, [(source, one.seg) for one in scans], "looking for tumours")
    items = [
        _item(source, scan, index, sick=sick)
        for scan, slices in zip(scans, looked, strict=True)
        for index, sick in slices.items()
    ]
    homes = drawn([one.subject for one in scans], counts, request.seed)
    steps = (
        {
            "step": "split", "rule": "scans drawn", "seed": request.seed, "training_scans": counts.training,
            "test_scans": counts.test, "val": VAL,
        },
        {"step": "slice", "central": DEPTH, "every": STEP, "normal": "no label on the slice"},
    )  # fmt: skip
    settle = partial(settled, homes=homes)
    return Plan(
        _card(counts, settle(items)[0], request.seed), items, RECIPE, {"BraTS scan without labels": unlabelled}, steps,
        settle,
    )  # fmt: skip


def _scans(source: Source) -> tuple[list[Scan], int]:
    """The scans with labels, by subject; and how many have none."""
    found: dict[str, dict[str, str]] = {"flair": {}, "seg": {}}
    for name in source.names():
        if (known := _SCAN.fullmatch(PurePosixPath(name).name)) is None:
            continue
        subject, kind = known[1], known[2]
        if subject in found[kind]:
            raise InvalidDataError(
                f"Root brats: {kind} of {subject} lies there twice, {found[kind][subject]!r} and {name!r}. Keep one."
            )
        found[kind][subject] = name
    flair, seg = found["flair"], found["seg"]
    if not flair:
        raise InvalidDataError(
            "Root brats: no BraTS2021_*_flair.nii.gz lies there. Give the folder that holds BraTS2021_00000 with "
            "BraTS2021_00000_flair.nii.gz and BraTS2021_00000_seg.nii.gz."
        )
    alone = sorted(seg.keys() - flair.keys())
    if alone:
        raise InvalidDataError(
            f"Root brats: {len(alone)} labels without FLAIR, first {seg[alone[0]]!r}. Add the scans."
        )
    return [Scan(one, flair[one], seg[one]) for one in sorted(seg)], len(flair) - len(seg)


def tumour_slices(asked: tuple[Source, str]) -> dict[int, bool]:
    """Every fifth of the central slices, and whether its central cut shows a tumour.

    Raises:
        InvalidDataError: An unreadable volume, one that is too flat, or labels that are none of BraTS 2021.
    """
    source, name = asked
    labels = volume(source, name, name).values
    unknown = ~np.logical_or.reduce([labels == known for known in LABELS])
    if unknown.any():
        raise InvalidDataError(
            f"{name}: label {labels[unknown][0]:g} is none of 0, 1, 2, 4. These are not labels of BraTS 2021."
        )
    width, height, depth = labels.shape
    if depth < DEPTH:
        raise InvalidDataError(f"{name}: {depth} axial slices, {DEPTH} are cut from the middle. Check the volume.")
    left, top, first = max(width - SIDE, 0) // 2, max(height - SIDE, 0) // 2, (depth - DEPTH) // 2
    cut = labels[left : left + SIDE, top : top + SIDE]
    return {index: bool(cut[:, :, index].any()) for index in range(first, first + DEPTH, STEP)}


def _item(source: Source, scan: Scan, index: int, *, sick: bool) -> Item:
    return Item(
        name=f"{scan.subject}/{index}",
        picture=Stored(source, scan.flair, index),
        where=f"{scan.flair}, slice {index}",
        subject=scan.subject,
        label=int(sick),
        pathology="tumour" if sick else "healthy",
        annotation="mask" if sick else "none",
        mask=Stored(source, scan.seg, index) if sick else None,
        volume=scan.subject,
    )


def drawn(subjects: Sequence[str], counts: Counts, seed: int) -> dict[str, str]:
    """The split of each subject that is drawn: test first, then val, then train."""
    order = shuffled(subjects, seed)[: counts.test + counts.training]
    val = counts.test + round(VAL * counts.training)
    return {
        subject: "test" if place < counts.test else "val" if place < val else "train"
        for place, subject in enumerate(order)
    }


def settled(items: Sequence[Item], homes: Mapping[str, str]) -> tuple[Sequence[Item], Mapping[str, int]]:
    """The slices of scans that were drawn, to train and validate those without a tumour."""
    taken = [replace(item, split=homes[item.subject]) for item in items if item.subject in homes]
    kept = [item for item in taken if item.split == "test" or not item.label]
    return kept, {
        "slice of a scan that was not drawn": len(items) - len(taken),
        "tumour slice of a scan to train or validate": len(taken) - len(kept),
    }


def _card(counts: Counts, items: Sequence[Item], seed: int) -> Card:
    found = Counter((item.split == "test", item.label) for item in items)
    notes = (
        (
            f"Scans drawn by uadbench, seed {seed}: {counts.training} to train and validate (a tenth validates), "
            f"{counts.test} others to test; the paper's draw is not published."
        ),
        (
            f"{found[False, 0]} normal slices to train and validate (AE4AD: {counts.normal_training}); to test "
            f"{found[True, 0]} normal (AE4AD: {counts.normal_test}) and {found[True, 1]} tumour slices (AE4AD: "
            f"{counts.tumour_test}). A slice is normal when no label is on it: AE4AD does not state its rule."
        ),
        "Divided by the 99th percentile of the volume above 0: AE4AD does not state its normalisation.",
        "Scans of patients with a tumour: a slice without a label may still be deformed by it.",
    )
    return Card(
        NAME, "1", "MR FLAIR", "brain", None, "BraTS 2021 terms (RSNA-ASNR-MICCAI; not redistributable)",
        "Baid et al., The RSNA-ASNR-MICCAI BraTS 2021 benchmark, arXiv:2107.02314; Menze et al., IEEE TMI 2015; Bakas "
        "et al., Scientific Data 2017; Cai et al., Rethinking autoencoders for medical anomaly detection (AE4AD), "
        "MICCAI 2024",
        notes=notes,
    )  # fmt: skip
