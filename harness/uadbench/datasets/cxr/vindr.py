"""VinDr-CXR: films in which three readers found nothing, against films with boxes.

Source: Nguyen et al., Scientific Data 2022, arXiv:2012.15029; the numbers of images are AE4AD's (Cai et al., MICCAI
2024, App. A), whose list is not in the download: the split here is drawn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.cxr.readers import SAME, Mark, merged
from uadbench.datasets.cxr.trees import Row, Table, Tree, require_all
from uadbench.datasets.importing.films import SUFFIXES
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

TABLE, FILMS, READERS = "train.csv", "train", 3
NOTHING, SEVERAL = "No finding", "several findings"
FINDINGS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration",
    "Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis",
)  # fmt: skip
SIDES = ("x_min", "y_min", "x_max", "y_max")
# 4,000 to train and validate, of which a tenth validates.
DRAW = Draw(test=1000, val=400, train=3600, anomalous=1000)
# Films differ in how much of their bits they use.
RECIPE = Recipe(
    size=64, square="stretch", foreground="all", bits=8,
    normalisation=Normalisation("slice-window", percentile=99.5, from_percentile=0.5),
)  # fmt: skip
CARD = Card(
    name="cxr-vindr-ae4-v1",
    version="1",
    modality="X-ray",
    anatomy="chest",
    spacing_mm=None,
    licence="VinDr-CXR data use agreement; not redistributable",
    citation=(
        "Nguyen et al., VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations, Scientific Data "
        "2022; numbers of images: Cai et al., Rethinking autoencoders for medical anomaly detection from a theoretical "
        "perspective, MICCAI 2024"
    ),
    notes=(
        "Which films are in which split is drawn by us; AE4AD's own list is in its authors' download.",
        "Healthy: all three readers found nothing. Anomalous: at least one reader drew a box.",
        f"Boxes of one class by several readers with an IoU of {SAME:g} or more are one box, their mean.",
        "A box that one reader alone drew counts too.",
        "No patients are known: films that are near-duplicates of each other count as one patient.",
        "After its own window, each film is windowed from its 0.5th to its 99.5th percentile, as we chose.",
    ),
)


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset of this source.

    Raises:
        InvalidDataError: A file or column that is missing, or a table that is wrong or contradicts itself.
    """
    return (plan(request, DRAW),)


def plan(request: Request, draw: Draw) -> Plan:
    """The dataset with as many films as `draw` says.

    Raises:
        InvalidDataError: As `plans`.
    """
    tree = Tree.of(request.roots["vindr"], f"{TABLE} and {FILMS}/<image_id>.dicom")
    table = tree.table(TABLE, ("image_id", "class_name", "rad_id", *SIDES))
    read, dropped = _read(table)
    films = tree.pictures(table.beside(FILMS), SUFFIXES)
    wanted = {image: rows for image, rows in read.items() if _is_sick(rows) or _readers(rows) == READERS}
    require_all(wanted, films, "films", tree.root)
    items = [_item(tree, films[image], image, rows) for image, rows in wanted.items()]
    select = {
        "step": "select", "rule": "no finding by all of three readers, against a box by at least one",
        "boxes": {"same class, IoU of at least": SAME, "become": "their mean"}, "tables": {TABLE: table.sha256},
    }  # fmt: skip
    left_out = {
        f"no finding, but by other than {READERS} readers": len(read) - len(wanted),
        "film that no table lists": len(set(films) - set(read)),
        "box of no width or height": dropped,
    }
    steps = (select, draw.step(request.seed))
    return Plan(CARD, items, RECIPE, left_out, steps, lambda some: draw.settle(some, request.seed))


def _read(table: Table) -> tuple[dict[str, list[Row]], int]:
    """The rows of each film, checked; and how many boxes have no width or height."""
    found: dict[str, list[Row]] = {}
    seen: dict[tuple[str, ...], str] = {}
    dropped = 0
    for row in table.rows:
        image, finding = row["image_id"], row["class_name"]
        if not image or not row["rad_id"]:
            raise InvalidDataError(f"{row.where}: no image_id or no rad_id. Mend the table.")
        if finding not in (NOTHING, *FINDINGS):
            raise InvalidDataError(f"{row.where}: class_name {finding!r} is none of {', '.join(FINDINGS)}, {NOTHING}.")
        key = (image, row["rad_id"], finding, *(row[side] for side in SIDES))
        if seen.setdefault(key, row.where) != row.where:
            raise InvalidDataError(f"{row.where}: repeats {seen[key]}. Keep one of them.")
        if finding == NOTHING and any(row[side] for side in SIDES):
            raise InvalidDataError(f"{row.where}: {NOTHING!r} with a box. Mend the table.")
        dropped += finding != NOTHING and not _has_area(row)
        found.setdefault(image, []).append(row)
    _require_one_opinion(found)
    return found, dropped


def _require_one_opinion(found: Mapping[str, Sequence[Row]]) -> None:
    """No reader finds both nothing and something in a film."""
    for image, rows in found.items():
        opinions = Counter(reader for reader, _ in {(row["rad_id"], row["class_name"] == NOTHING) for row in rows})
        for row in rows:
            if opinions[row["rad_id"]] > 1:
                raise InvalidDataError(
                    f"{row.where}: reader {row['rad_id']} finds both nothing and something in {image}. Mend the table."
                )


def _is_sick(rows: Sequence[Row]) -> bool:
    return any(row["class_name"] != NOTHING for row in rows)


def _readers(rows: Sequence[Row]) -> int:
    return len({row["rad_id"] for row in rows})


def _has_area(row: Row) -> bool:
    left, top, right, bottom = (row.real(side) for side in SIDES)
    return right > left and bottom > top


def _item(tree: Tree, film: str, image: str, rows: Sequence[Row]) -> Item:
    found = [row for row in rows if row["class_name"] != NOTHING]
    lesions = merged(_mark(row) for row in found if _has_area(row))
    kinds = {row["class_name"] for row in found}
    return Item(
        name=image,
        picture=Stored(tree.source, film),
        where=f"{film} ({rows[0].where})",
        label=int(bool(found)),
        pathology="healthy" if not kinds else kinds.pop() if len(kinds) == 1 else SEVERAL,
        annotation=("box" if lesions else "image") if found else "none",
        boxes=tuple(box for _, box in lesions),
        box_pathologies=tuple(finding for finding, _ in lesions),
    )


def _mark(row: Row) -> Mark:
    left, top, right, bottom = (row.real(side) for side in SIDES)
    return Mark(row["rad_id"], row["class_name"], (left, top, right - left, bottom - top))
