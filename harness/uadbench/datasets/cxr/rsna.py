"""RSNA Pneumonia Detection Challenge (2018): normal films against lung opacities with boxes.

Source: Shih et al., Radiology: Artificial Intelligence 2019; the numbers of images are AE4AD's (Cai et al., MICCAI
2024, App. A), whose list is not in the download: the split here is drawn.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.cxr.trees import Row, Table, Tree, few, require_all
from uadbench.datasets.importing.films import SUFFIXES
from uadbench.datasets.importing.items import Box, Item, Plan, Stored
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.request import Request
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

FILMS, BOXES, CLASSES = "stage_2_train_images", "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
# The challenge's organisers gave the NIH names of the films later; without it a patient is known by the film alone.
PATIENTS = "pneumonia-challenge-dataset-mappings_2018.json"
NORMAL, OPACITY, OTHER = "Normal", "Lung Opacity", "No Lung Opacity / Not Normal"
# 3,851 to train and validate, of which a tenth validates.
DRAW = Draw(test=1000, val=385, train=3466, anomalous=1000)
RECIPE = Recipe(size=64, square="stretch", foreground="all", bits=8)
CARD = Card(
    name="cxr-rsna-ae4-v1",
    version="1",
    modality="X-ray",
    anatomy="chest",
    spacing_mm=None,
    licence="terms of the RSNA Pneumonia Detection Challenge 2018; not redistributed",
    citation=(
        "Shih et al., Augmenting the NIH chest radiograph dataset with expert annotations of possible pneumonia, "
        "Radiology: Artificial Intelligence 2019; Wang et al., ChestX-ray8, CVPR 2017; numbers of images: Cai et al., "
        "Rethinking autoencoders for medical anomaly detection from a theoretical perspective, MICCAI 2024"
    ),
    notes=(
        "Which films are in which split is drawn by us; AE4AD's own list is in its authors' download.",
        f"Films of the class {OTHER!r} are left out.",
        "Boxes are of the radiologists' possible pneumonia: weak localisation.",
        "Views are mixed, from the front and from the back.",
    ),
)
ONE_FILM = "Every film counts as a patient of its own: the table that joins the films of one NIH patient was not given."


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset of this source.

    Raises:
        InvalidDataError: A file or column that is missing, or tables that are wrong or contradict each other.
    """
    return (plan(request, DRAW),)


def plan(request: Request, draw: Draw) -> Plan:
    """The dataset with as many films as `draw` says.

    Raises:
        InvalidDataError: As `plans`.
    """
    tree = Tree.of(request.roots["rsna"], f"{FILMS}/, {BOXES} and {CLASSES}")
    boxes = tree.table(BOXES, ("patientId", "x", "y", "width", "height", "Target"))
    classes = tree.table(CLASSES, ("patientId", "class"))
    kinds, found = _kinds(classes), _findings(boxes)
    _require_agreement(kinds, found)
    films = tree.pictures(boxes.beside(FILMS), SUFFIXES)
    wanted = [patient for patient, kind in kinds.items() if kind != OTHER]
    require_all(wanted, films, "films", tree.root)
    homes, digests = _patients(tree)
    items = [_item(tree, films[one], one, found[one], homes.get(one, one)) for one in wanted]
    tables = {table.file: table.sha256 for table in (boxes, classes)} | digests
    select = {"step": "select", "rule": f"class {NORMAL!r} against {OPACITY!r}", "tables": tables}
    left_out = {
        f"class {OTHER!r}": len(kinds) - len(wanted),
        "film that no table lists": len(set(films) - set(kinds)),
        "box of no width or height": sum(one.dropped for one in found.values()),
    }
    card = CARD if homes else replace(CARD, notes=(*CARD.notes, ONE_FILM))
    steps = (select, draw.step(request.seed))
    return Plan(card, items, RECIPE, left_out, steps, lambda some: draw.settle(some, request.seed))


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the table says of a film: its boxes, and how many had no width or height."""

    row: Row
    target: bool
    boxes: tuple[Box, ...] = ()
    dropped: int = 0


def _kinds(table: Table) -> dict[str, str]:
    """Class of each film; the table repeats it for every box."""
    found: dict[str, str] = {}
    for row in table.rows:
        kind, patient = row["class"], _patient(row)
        if kind not in (NORMAL, OPACITY, OTHER):
            raise InvalidDataError(f"{row.where}: class {kind!r} is none of {NORMAL}, {OPACITY}, {OTHER}.")
        if found.setdefault(patient, kind) != kind:
            raise InvalidDataError(f"{row.where}: {patient} is {kind!r}, before {found[patient]!r}. Keep one.")
    return found


def _findings(table: Table) -> dict[str, _Finding]:
    found: dict[str, _Finding] = {}
    for row in table.rows:
        patient, target = _patient(row), row["Target"]
        if target not in ("0", "1"):
            raise InvalidDataError(f"{row.where}: Target {target!r} is neither 0 nor 1.")
        before = found.get(patient)
        if before and not (before.target and target == "1"):
            raise InvalidDataError(f"{row.where}: {patient} is listed already in {before.row.where}. Keep one of them.")
        found[patient] = _with_box(before, row) if target == "1" else _without_box(row)
    return found


def _with_box(before: _Finding | None, row: Row) -> _Finding:
    """The finding with one more box."""
    start = before or _Finding(row, target=True)
    box = (row.real("x"), row.real("y"), row.real("width"), row.real("height"))
    if min(box[2:]) <= 0:
        return replace(start, dropped=start.dropped + 1)
    if box in start.boxes:
        raise InvalidDataError(f"{row.where}: box {box} of {row['patientId']} is listed already. Keep one of them.")
    return replace(start, boxes=(*start.boxes, box))


def _without_box(row: Row) -> _Finding:
    stated = [column for column in ("x", "y", "width", "height") if row[column]]
    if stated:
        raise InvalidDataError(f"{row.where}: Target 0 has a box ({', '.join(stated)} is stated). Mend the table.")
    return _Finding(row, target=False)


def _patient(row: Row) -> str:
    if not row["patientId"]:
        raise InvalidDataError(f"{row.where}: no patientId. Mend the table.")
    return row["patientId"]


def _require_agreement(kinds: Mapping[str, str], found: Mapping[str, _Finding]) -> None:
    alone = sorted(set(kinds) ^ set(found))
    if alone:
        raise InvalidDataError(
            f"{len(alone)} patients are in one of {BOXES} and {CLASSES} only, as {few(alone)}. Fetch both tables again."
        )
    for patient, one in found.items():
        if one.target != (kinds[patient] == OPACITY):
            raise InvalidDataError(
                f"{one.row.where}: Target {int(one.target)} of {patient}, whose class in {CLASSES} is "
                f"{kinds[patient]!r}. Fetch both tables again."
            )


def _patients(tree: Tree) -> tuple[dict[str, str], dict[str, str]]:
    """The NIH patient of each film, and the digest of the table that says so; both empty where it is not there."""
    name = tree.find(PATIENTS)
    if name is None:
        return {}, {}
    raw = tree.source.read(name, PATIENTS)
    try:
        # '00001234_005.png' is film 5 of patient 1234
        found = {one["subset_img_id"]: one["img_id"].partition("_")[0] for one in json.loads(raw)}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidDataError(
            f"{PATIENTS}: not a list of records with img_id and subset_img_id ({error}). Fetch it again, or remove it."
        ) from error
    return found, {PATIENTS: hashlib.sha256(raw).hexdigest()}


def _item(tree: Tree, film: str, patient: str, found: _Finding, subject: str) -> Item:
    return Item(
        name=patient,
        picture=Stored(tree.source, film),
        where=f"{film} ({found.row.where})",
        subject=subject,
        label=int(found.target),
        pathology=OPACITY if found.target else "healthy",
        annotation=("box" if found.boxes else "image") if found.target else "none",
        boxes=found.boxes,
    )
