"""fastMRI+ annotations of the brain set: boxes on slices, and findings of whole studies.

Source: Zhao et al., "fastMRI+, clinical pathology annotations for knee and brain fully sampled magnetic resonance
imaging data", Scientific Data 2022: `brain.csv`. Boxes are on the slice turned upside down.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uadbench.datasets.fastmri.tables import Row, read_rows
from uadbench.datasets.importing.items import Box
from uadbench.errors import InvalidDataError

COLUMNS = ("file", "slice", "study_level", "x", "y", "width", "height", "label")
# RA's 13 local classes, by the names that its results have here, of these labels of fastMRI+ (App. C.3).
CLASSES: Mapping[str, str] = {
    "Absent septum pellucidum": "absent septum",
    "Craniotomy": "craniotomy",
    "Craniectomy": "craniotomy",
    "Dural thickening": "dural thickening",
    "Edema": "edema",
    "Encephalomalacia": "encephalomalacia",
    "Enlarged ventricles": "enlarged ventricles",
    "Intraventricular substance": "intraventricular substance",
    "Nonspecific lesion": "lesions",
    "Mass": "mass",
    "Extra-axial mass": "mass",
    "Posttreatment change": "post-treatment",
    "Resection cavity": "resection cavity",
    "Paranasal sinus opacification": "sinus opacification",
    "Nonspecific white matter lesion": "white matter lesion",
}
OTHERS = frozenset(
    {
        "Colpocephaly", "Craniectomy with Cranioplasty", "Extra-axial collection", "Global Ischemia",
        "Global label: Small vessel chronic white matter ischemic change", "Global white matter disease",
        "Innumerable bilateral focal brain lesions", "Lacunar infarct", "Likely cysts", "Motion artifact",
        "Normal for age", "Normal variant", "Pineal cyst", "Possible artifact", "Possible demyelinating disease",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marked:
    """A box (x, y, w, h) in pixels of the flipped slice, with its label and its row in the table."""

    file: str
    slice: int
    box: Box
    label: str
    row: int


@dataclass(frozen=True, slots=True)
class Annotations:
    """The boxes that have an area, the number of those that have none, the findings (file, label) of whole studies, and
    the digest of the table."""

    boxes: Sequence[Marked]
    empty: int
    studies: Sequence[tuple[str, str]]
    sha256: str

    def on(self, file: str, index: int) -> list[Marked]:
        """The boxes on one slice of a file."""
        return [one for one in self.boxes if (one.file, one.slice) == (file, index)]


def read_annotations(raw: bytes, name: str) -> Annotations:
    """The whole table; boxes of no width or height are dropped and counted.

    Raises:
        InvalidDataError: A column missing, an unknown label or study level, a slice or a box that is no number, a box
            twice.
    """
    boxes: list[Marked] = []
    studies: list[tuple[str, str]] = []
    empty, first = 0, dict[tuple[object, ...], int]()
    for number, row in read_rows(raw, name, COLUMNS):
        where = f"{name}: row {number} ({row['file']})"
        _require_known(row, where)
        if row["study_level"] == "Yes":
            studies.append((row["file"], row["label"]))
            continue
        one = Marked(row["file"], _index(row["slice"], where), _box(row, where), row["label"], number)
        again = first.setdefault((one.file, one.slice, one.box, one.label), number)
        if min(one.box[2:]) <= 0:
            empty += 1
        elif again != number:
            raise InvalidDataError(f"{where}: the same box as row {again}. Keep one of them.")
        else:
            boxes.append(one)
    return Annotations(boxes, empty, studies, hashlib.sha256(raw).hexdigest())


def _require_known(row: Row, where: str) -> None:
    if row["study_level"] not in ("Yes", "No"):
        raise InvalidDataError(f"{where}: study_level {row['study_level']!r} is neither Yes nor No. Mend the row.")
    if row["label"] not in CLASSES and row["label"] not in OTHERS:
        raise InvalidDataError(
            f"{where}: label {row['label']!r} is none of the {len(CLASSES) + len(OTHERS)} of fastMRI+. "
            "Check the spelling, or fetch the table that was published in 2021."
        )


def _index(text: str, where: str) -> int:
    if not text.isdecimal():
        raise InvalidDataError(f"{where}: slice {text!r} is no index from 0 on. Mend the row.")
    return int(text)


def _box(row: Row, where: str) -> Box:
    try:
        x, y, w, h = (float(row[side]) for side in ("x", "y", "width", "height"))
    except ValueError:
        x = y = w = h = math.nan
    if not all(map(math.isfinite, (x, y, w, h))):
        stated = ", ".join(repr(row[side]) for side in ("x", "y", "width", "height"))
        raise InvalidDataError(f"{where}: x, y, width, height are {stated}. Give four numbers.")
    return (x, y, w, h)
