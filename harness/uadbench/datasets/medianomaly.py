"""The download that AE4AD published: four sets as pictures, with the paper's own splits.

Source: Cai et al., MICCAI 2024 (AE4AD), App. A; MedIAnomaly-Data, Zenodo 12677223. 64 px, aspect not kept.
Deviates: a tenth of the training subjects validates; the paper has no validation.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from uadbench.datasets.importing.items import Item, Plan, Settle, Stored
from uadbench.datasets.importing.pictures import SUFFIXES
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import tenth_validates
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

TABLE, PICTURES = "data.json", "images"
SCANS = "BraTS2021"
FOLDS = {("train", "0"): ("train", 0), ("test", "0"): ("test", 0), ("test", "1"): ("test", 1)}
FOLDERS = {"train": ("train", 0), "test/normal": ("test", 0), "test/tumor": ("test", 1)}
ANNOTATIONS = "test/annotation"
NOTE = (
    "The split is the one that the paper published; a tenth of its training subjects validates. Near-duplicates across "
    "its border of train and test are leaks."
)
CITATION = (
    "Cai et al., Rethinking Autoencoders for Medical Anomaly Detection, MICCAI 2024; MedIAnomaly-Data, Zenodo 12677223"
)


@dataclass(frozen=True, slots=True)
class _Known:
    """One of the sets of the download."""

    folder: str
    name: str
    modality: str
    anatomy: str
    pathology: str
    foreground: str
    origin: str

    @property
    def card(self) -> Card:
        """The card of the set."""
        subjects = "Scans are the subjects." if self.folder == SCANS else "Groups of near-duplicates are the subjects."
        return Card(
            self.name, "1", self.modality, self.anatomy, None,
            f"the terms of {self.origin}; not redistributed", f"{CITATION}; {self.origin}", notes=(NOTE, subjects),
        )  # fmt: skip


KNOWN = (
    _Known("RSNA", "cxr-rsna-ae4-v1", "X-ray", "chest", "lung opacity", "all",
           "RSNA Pneumonia Detection Challenge (Kaggle 2018)"),
    _Known("VinCXR", "cxr-vindr-ae4-v1", "X-ray", "chest", "abnormal", "all", "VinDr-CXR"),
    _Known("BrainTumor", "brain-tumor-ae4-v1", "MR", "brain", "tumour", "otsu",
           "Brain Tumor MRI (Kaggle, masoudnickparvar)"),
    _Known(SCANS, "brats2021-ae4-v1", "MR FLAIR", "brain", "tumour", "nonzero", "BraTS 2021"),
)  # fmt: skip
LAYOUT = (
    f"Give the folder or zip that holds {', '.join(one.folder for one in KNOWN)} or some of them, unpacked: each with "
    f"{TABLE} and {PICTURES}/, but {SCANS} with train/, test/normal/, test/tumor/ and {ANNOTATIONS}/."
)


def plans(request: Request) -> Sequence[Plan]:
    """A dataset for each of the four folders that is there.

    Raises:
        InvalidDataError: None of them, a table that is not theirs, or a picture or annotation that is missing.
    """
    source = request.roots["medianomaly"]
    names = source.names()
    places = {known.folder: _place(known.folder, names) for known in KNOWN}
    found = [_plan(source, known, names, place, request.seed) for known in KNOWN if (place := places[known.folder])]
    if not found:
        raise InvalidDataError(f"{source}: holds none of the sets. {LAYOUT}")
    return found


def _place(folder: str, names: Iterable[str]) -> str:
    """Where the folder of a set lies in the source, with a slash at its end; or nothing."""
    places = {name[: found.end()] for name in names if (found := re.search(rf"(?:^|/){folder}/", name))}
    if len(places) > 1:
        raise InvalidDataError(f"{folder} lies in several places: {', '.join(sorted(places))}. Keep one.")
    return next(iter(places), "")


def _plan(source: Source, known: _Known, names: Sequence[str], place: str, seed: int) -> Plan:
    inside = [name for name in names if name.startswith(place)]
    listed = _of_scans if known.folder == SCANS else _of_table
    items, left_out, digest = listed(source, known, inside, place)
    rule = "train and test as published; a tenth of the subjects of train validates"
    split = {"step": "split", "rule": rule, "seed": seed, **digest}
    recipe = Recipe(size=64, square="stretch", foreground=known.foreground, bits=8)
    return Plan(known.card, items, recipe, left_out, (split,), _settle(seed))


def _settle(seed: int) -> Settle:
    return lambda items: (tenth_validates(items, seed), {})


_Listing = tuple[list[Item], dict[str, int], dict[str, str]]


def _of_table(source: Source, known: _Known, names: Sequence[str], place: str) -> _Listing:
    """The pictures that data.json lists."""
    where = f"{place}{TABLE}"
    raw = source.read(where, f"{known.folder} needs its split")
    folds = _folds(raw, where)
    files = set(names)
    missing = [file for fold in folds.values() for file in fold if f"{place}{PICTURES}/{file}" not in files]
    if missing:
        raise InvalidDataError(
            f"{where}: {len(missing)} of its pictures are not in {place}{PICTURES}, as {', '.join(missing[:3])}. "
            "Unpack the whole download."
        )
    items, taken = [], set[str]()
    for fold, listed in folds.items():
        for file in listed:
            if file in taken:
                raise InvalidDataError(f"{where}: lists {file!r} twice. Fetch the table again.")
            taken.add(file)
            items.append(_item(source, known, f"{place}{PICTURES}/{file}", place, FOLDS[fold]))
    unlisted = sum(name.startswith(f"{place}{PICTURES}/") for name in names) - len(taken)
    return items, {f"not listed in {TABLE}": unlisted}, {"sha256": hashlib.sha256(raw).hexdigest()}


def _folds(raw: bytes, where: str) -> dict[tuple[str, str], list[str]]:
    """The files of each split and label."""
    try:
        table: Any = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{where}: cannot be read as JSON ({error}). Fetch it again.") from error
    if not isinstance(table, Mapping) or not all(isinstance(one, Mapping) for one in table.values()):
        raise InvalidDataError(f"{where}: holds no splits of labels. Fetch it again.")
    found = {(split, label): files for split, labels in table.items() for label, files in labels.items()}
    if set(found) != set(FOLDS):
        said = ", ".join(f"{split} {label}" for split, label in found) or "nothing"
        raise InvalidDataError(
            f"{where}: has {said}, not {', '.join(f'{split} {label}' for split, label in FOLDS)}. Fetch it again."
        )
    for (split, label), files in found.items():
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            raise InvalidDataError(f"{where}: {split} {label} is no list of file names, or empty. Fetch it again.")
    return found


def _of_scans(source: Source, known: _Known, names: Sequence[str], place: str) -> _Listing:
    """The slices of BraTS2021, whose folders are the split."""
    members: dict[str, list[str]] = {folder: [] for folder in (*FOLDERS, ANNOTATIONS)}
    others = 0
    for name in names:
        folder = str(PurePosixPath(name.removeprefix(place)).parent)
        if folder in members and name.lower().endswith(SUFFIXES):
            members[folder].append(name)
        else:
            others += 1
    for folder, files in members.items():
        if not files:
            raise InvalidDataError(f"{place}{folder}: holds no picture. {LAYOUT}")
    masks = set(members[ANNOTATIONS])
    pairs = {name: _annotation(name) for name in members["test/tumor"]}
    missing = [name for name, mask in pairs.items() if mask not in masks]
    if missing:
        raise InvalidDataError(
            f"{len(missing)} slices have no annotation in {place}{ANNOTATIONS}, as {', '.join(missing[:3])}. "
            "Its name has 'seg' for 'flair'."
        )
    items = [
        _item(source, known, name, place, fold, pairs.get(name, ""))
        for folder, fold in FOLDERS.items()
        for name in members[folder]
    ]
    left_out = {"outside the folders of the split": others, "annotation of no slice": len(masks - set(pairs.values()))}
    return items, left_out, {}


def _annotation(name: str) -> str:
    """The annotation of a slice of test/tumor."""
    path = PurePosixPath(name)
    return str(path.parent.parent / "annotation" / path.name.replace("flair", "seg"))


def _item(source: Source, known: _Known, file: str, place: str, fold: tuple[str, int], mask: str = "") -> Item:
    split, label = fold
    scan = re.search(r"BraTS2021_\d+", PurePosixPath(file).name) if known.folder == SCANS else None
    return Item(
        name=file.removeprefix(place),
        picture=Stored(source, file),
        where=file,
        split=split,
        subject=scan.group() if scan else "",
        label=label,
        pathology=known.pathology if label else "healthy",
        annotation=("mask" if mask else "image") if label else "none",
        mask=Stored(source, mask) if mask else None,
        volume=scan.group() if scan else "",
    )
