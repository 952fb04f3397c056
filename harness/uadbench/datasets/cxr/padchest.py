"""PadChest: adults' frontal films that physicians labelled, normal against chosen findings.

Source: Bustos et al., Medical Image Analysis 2020, arXiv:1901.07441. None of the field's papers names its split; ours
is drawn by patient.
"""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from uadbench.datasets.cxr.trees import Row, Tree
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.splitting import by_subject
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
NEEDED = ("ImageID", "ImageDir", "PatientID", "Projection", "Pediatric", "MethodLabel", "Labels")
PHOTOMETRIC = "PhotometricInterpretation_DICOM"
NORMAL, EXCLUDED, SEVERAL = "normal", "exclude", "several findings"
# AP_horizontal, of patients who lie, would tell the label by the projection.
PROJECTIONS = ("PA", "AP")
FINDINGS = (
    "alveolar pattern", "atelectasis", "cardiomegaly", "consolidation", "emphysema", "hiatal hernia", "infiltrates",
    "interstitial pattern", "mass", "nodule", "pleural effusion", "pleural thickening", "pneumonia", "pneumothorax",
    "pulmonary fibrosis", "tuberculosis",
)  # fmt: skip
VAL, TEST = 0.1, 0.2
RECIPE = Recipe(
    size=128, foreground="all", bits=8,
    normalisation=Normalisation("slice-window", percentile=99.5, from_percentile=1.0),
)  # fmt: skip
CARD = Card(
    name="cxr-padchest-v1",
    version="1",
    modality="X-ray",
    anatomy="chest",
    spacing_mm=None,
    licence="PadChest dataset research use agreement (BIMCV); not redistributable",
    citation=(
        "Bustos et al., PadChest: a large chest x-ray image dataset with multi-label annotated reports, Medical Image "
        "Analysis 2020"
    ),
    notes=(
        "Which patients are in which split is drawn by us; one with a chosen finding in any film is in test, whole.",
        "Films of adults, labelled by physicians, in the projections PA and AP.",
        "AP_horizontal is left out: that a patient lies would tell of the illness.",
        f"Anomalous: at least one of {', '.join(FINDINGS)}; films of other labels are left out.",
        "Films stored as MONOCHROME1 are left out: nothing says whether their pictures are turned over already.",
        "Each film is windowed from its 1st to its 99.5th percentile.",
    ),
)


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset of this source.

    Raises:
        InvalidDataError: A file or column that is missing, a table that is wrong, or no picture that it lists.
    """
    tree = Tree.of(request.roots["padchest"], f"{TABLE} and the unpacked folders of pictures, 0 to 54")
    table = tree.table(TABLE, NEEDED, (PHOTOMETRIC,))
    there = {path.parts[-2:]: str(path) for path in map(PurePosixPath, tree.names) if path.suffix == ".png"}
    left_out = Counter[str]()
    items = []
    for film in _films(table.rows):
        picture = there.get((film.folder, film.image))
        reason = film.reason or ("" if picture else "picture that is not there")
        if picture and not reason:
            items.append(film.item(Stored(tree.source, picture)))
        else:
            left_out[reason] += 1
    if not items:
        raise InvalidDataError(_nothing(tree, left_out))
    select = {
        "step": "select", "rule": f"Labels are {NORMAL!r} alone, against at least one of the findings",
        "findings": list(FINDINGS), "projections": list(PROJECTIONS), "tables": {TABLE: table.sha256},
    }  # fmt: skip
    split = {
        "step": "split", "rule": "whole patients in an order drawn by the seed; those with a finding in test",
        "seed": request.seed, "val": VAL, "test": TEST,
    }  # fmt: skip
    return (Plan(CARD, items, RECIPE, left_out, (select, split), lambda some: _split(some, request.seed)),)


def _split(items: Sequence[Item], seed: int) -> tuple[Sequence[Item], Mapping[str, int]]:
    return by_subject(items, seed, val=VAL, test=TEST), {}


def _nothing(tree: Tree, left_out: Mapping[str, int]) -> str:
    zips = sum(name.endswith(".zip") for name in tree.names)
    hint = f" {zips} zips lie there: unpack them, each into a folder of its number." if zips else ""
    reasons = ", ".join(f"{n} ({reason})" for reason, n in left_out.items() if n)
    return f"{tree.root}: no film of {TABLE} can be taken. It should hold {tree.layout}. Left out: {reasons}.{hint}"


@dataclass(frozen=True, slots=True)
class _Film:
    """A row of the table."""

    row: Row
    labels: frozenset[str]

    @property
    def image(self) -> str:
        return self.row["ImageID"]

    @property
    def folder(self) -> str:
        return self.row["ImageDir"]

    @property
    def findings(self) -> list[str]:
        """Its labels that are chosen."""
        return [finding for finding in FINDINGS if finding in self.labels]

    @property
    def reason(self) -> str:
        """Why it is left out; "" where it is not."""
        row = self.row
        checks = (
            (not row["PatientID"], "no PatientID"),
            (row["Projection"] not in PROJECTIONS, f"Projection {row['Projection']!r}"),
            (row["Pediatric"] != "No", f"Pediatric {row['Pediatric']!r}"),
            (row["MethodLabel"] != "Physician", f"MethodLabel {row['MethodLabel']!r}"),
            (row[PHOTOMETRIC] == "MONOCHROME1", "stored as MONOCHROME1"),
            (not self.labels, "no label"),
            (EXCLUDED in self.labels, f"label {EXCLUDED!r}"),
            (not self.findings and self.labels != {NORMAL}, "labels that are not chosen"),
        )
        return next((reason for is_so, reason in checks if is_so), "")

    def item(self, picture: Stored) -> Item:
        """The image it becomes."""
        found = self.findings
        return Item(
            name=self.image,
            picture=picture,
            where=f"{picture.file} ({self.row.where})",
            subject=self.row["PatientID"],
            label=int(bool(found)),
            pathology=SEVERAL if len(found) > 1 else found[0] if found else "healthy",
            annotation="image" if found else "none",
        )


def _films(rows: Sequence[Row]) -> list[_Film]:
    found: dict[str, _Film] = {}
    for row in rows:
        before = found.setdefault(row["ImageID"], _Film(row, _labels(row)))
        if before.row is not row:
            raise InvalidDataError(f"{row.where}: {row['ImageID']} is listed already in {before.row.where}. Keep one.")
    return list(found.values())


def _labels(row: Row) -> frozenset[str]:
    """The labels of a row: a list as Python prints it; empty or nan where there is none."""
    if row["Labels"] in ("", "nan"):
        return frozenset()
    try:
        listed = ast.literal_eval(row["Labels"])
        found = frozenset(one.strip() for one in listed)
    except (ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise InvalidDataError(
            f"{row.where}: Labels {row['Labels'][:80]!r} are not a list as ['normal']. Fetch the table again."
        ) from error
    if isinstance(listed, str):
        raise InvalidDataError(f"{row.where}: Labels {row['Labels'][:80]!r} are not a list as ['normal'].")
    return found - {""}
