"""IXI: T1 brain scans of healthy people from three hospitals, as published or registered to the MNI template.

Source: brain-development.org/ixi-dataset; RA and PHANES took volumes registered by Clinica's t1-linear.
"""

import gzip
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import by_subject
from uadbench.datasets.importing.volumes import unreadable
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NAME = "ixi-v1"
MNI_SLICE = 95
VOLUMES_OF_RA = 581
VAL, TEST = 0.1, 0.2
RECIPE = Recipe(size=128, normalisation=Normalisation("slice-percentile", percentile=98.0), bits=16)
_RAW = re.compile(r"(IXI\d+)-([A-Za-z]+)-\w+-T1\.nii(?:\.gz)?")
_REGISTERED = re.compile(r"sub-(IXI\d+)\w*?_(\S*)space-MNI152NLin2009cSym_(\S*)res-1x1x1_T1w\.nii(?:\.gz)?")
_REGISTERED_RULE, _RAW_RULE = f"axial slice {MNI_SLICE} of the MNI grid", "middle axial slice"


@dataclass(frozen=True, slots=True)
class _Volume:
    """A T1 volume: its file, whose it is, and the hospital where the name tells it."""

    file: str
    subject: str
    site: str


@dataclass(frozen=True, slots=True)
class Brains:
    """The slice of each volume, all volumes registered or none; what was left out; and by which rule slices are."""

    source: Source
    volumes: Sequence[_Volume]
    slices: Sequence[int]
    rule: str
    left_out: Mapping[str, int]

    def items(self, split: str) -> list[Item]:
        """The images, all in one split."""
        return [self._item(*one, split) for one in zip(self.volumes, self.slices, strict=True)]

    def _item(self, volume: _Volume, index: int, split: str) -> Item:
        name = PurePosixPath(volume.file).name.partition(".")[0]
        return Item(
            name=name,
            picture=Stored(self.source, volume.file, index),
            where=f"{volume.file}, slice {index}",
            split=split,
            subject=volume.subject,
            site=volume.site,
            volume=name,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a board should say of them."""
        count = len(self.volumes)
        other = f" The papers have {VOLUMES_OF_RA}." if count != VOLUMES_OF_RA else ""
        if self.rule == _REGISTERED_RULE:
            return (f"IXI: {count} volumes, registered to MNI space, axial slice {MNI_SLICE}.{other}",)
        return (
            (
                f"IXI: {count} volumes as published, not registered: the middle axial slice, whose pixels are not "
                f"square (about 0.94 x 1.2 mm) and are not made so; the papers registered them to MNI space.{other}"
            ),
        )


def brains(request: Request) -> Brains:
    """All volumes of the root `ixi`: the registered ones where there are some, else those as published.

    Raises:
        InvalidDataError: None of either; volumes that t1-linear cropped; one volume twice.
    """
    source = request.roots["ixi"]
    found, cropped = _found(source)
    raw, registered = found
    if cropped and not registered:
        raise InvalidDataError(
            f"Root ixi: {cropped[0]!r} and {len(cropped) - 1} more are cropped, so that slice {MNI_SLICE} is another. "
            "Run `clinica run t1-linear` with --uncropped_image, or give the volumes as published."
        )
    if not raw and not registered:
        raise InvalidDataError(
            "Root ixi: no T1 volume lies there. Give the folder of IXI-T1.tar (IXI002-Guys-0828-T1.nii.gz, ...), or "
            "the CAPS folder of Clinica's t1-linear (sub-IXI002_..._space-MNI152NLin2009cSym_res-1x1x1_T1w.nii.gz)."
        )
    if registered:
        left_out = {"IXI volume as published, beside registered ones": len(raw)}
        return Brains(source, registered, [MNI_SLICE] * len(registered), _REGISTERED_RULE, left_out)
    counts = request.survey(_axial_count, [(source, one.file) for one in raw], "looking at IXI")
    return Brains(source, raw, [count // 2 for count in counts], _RAW_RULE, {})


def _found(source: Source) -> tuple[tuple[list[_Volume], list[_Volume]], list[str]]:
    """The volumes as published, the registered ones, and the files that are cropped."""
    raw, registered, cropped = list[_Volume](), list[_Volume](), list[str]()
    first: dict[str, str] = {}
    for name in source.names():
        short = PurePosixPath(name).name
        if plain := _RAW.fullmatch(short):
            raw.append(_Volume(name, plain[1], plain[2]))
        elif (moved := _REGISTERED.fullmatch(short)) and "desc-Crop" in short:
            cropped.append(name)
            continue
        elif moved:
            registered.append(_Volume(name, moved[1], ""))
        else:
            continue
        if first.setdefault(short.partition(".")[0], name) != name:
            raise InvalidDataError(
                f"Root ixi: {short} lies there twice, as {first[short.partition('.')[0]]!r} and {name!r}. Keep one."
            )
    return (raw, registered), cropped


def _axial_count(asked: tuple[Source, str]) -> int:
    """How many axial slices a volume has, by its header alone."""
    source, name = asked
    nibabel: Any = importlib.import_module("nibabel")
    try:
        with source.open(name, name) as file:
            stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
            header = nibabel.Nifti1Header.from_fileobj(stream)
        upwards = [code in ("S", "I") for code in nibabel.aff2axcodes(header.get_best_affine())]
        return int(np.array([*header.get_data_shape(), 0, 0, 0])[:3][upwards].item())
    except unreadable(nibabel) as error:
        raise InvalidDataError(
            f"{name}: not a readable NIfTI volume ({type(error).__name__}: {error}). Fetch it again."
        ) from error


def plans(request: Request) -> Sequence[Plan]:
    """ixi-v1: healthy images alone, split by subject, each hospital alike.

    Raises:
        InvalidDataError: As `brains`.
    """
    found = brains(request)
    step = {"step": "split", "rule": "by subject, stratified by site", "seed": request.seed, "val": VAL, "test": TEST}
    sites = sorted({one.site for one in found.volumes})
    notes = (
        "Healthy images only: nothing to detect; for synthetic anomalies, and to train with.",
        f"Split drawn by uadbench: {VAL:.0%} val and {TEST:.0%} test of the subjects, seed {request.seed}"
        + (f", of each of {', '.join(sites)}." if sites != [""] else "; file names of Clinica do not tell the site."),
        *found.notes,
    )
    card = Card(
        NAME, "1", "MR T1", "brain", None, "CC BY-SA 3.0 (brain-development.org)",
        "IXI dataset, Biomedical Image Analysis Group, Imperial College London, brain-development.org/ixi-dataset",
        notes=notes,
    )  # fmt: skip
    selection = (step, {"step": "slice", "rule": found.rule})

    def settle(items: Sequence[Item]) -> tuple[Sequence[Item], Mapping[str, int]]:
        return by_subject(items, request.seed, val=VAL, test=TEST), {}

    return (Plan(card, found.items(""), RECIPE, found.left_out, selection, settle),)
