"""One row of the manifest, checked: which picture, of whom, and what is wrong in it."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from uadbench.errors import InvalidDataError, UsageError
from uadbench.types import ANNOTATIONS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Row:
    """A picture and its truth as the manifest states them.

    `boxes` are x, y, w, h in pixels of the stored picture; `mask` is a path or ""; `divisor` is the stored value that
    becomes intensity 1, or None for the largest of the picture's type.
    """

    number: int
    file: str
    split: str
    label: int
    pathology: str
    annotation: str
    boxes: Float64[np.ndarray, "b 4"]
    mask: str
    subject: str
    group: str
    divisor: float | None = None

    @property
    def where(self) -> str:
        """The row as errors name it."""
        return _where(self.file, self.number)


def read_rows(frame: pd.DataFrame, divide_by: str) -> list[Row]:
    """The rows of a selected table.

    Raises:
        UsageError: `divide_by` is no column.
        InvalidDataError: Boxes, annotation or divisor that break their rule, or near-duplicates in two splits.
    """
    if divide_by and divide_by not in frame.columns:
        raise UsageError(f"--divide-by {divide_by!r} is no column; the columns are {', '.join(frame.columns)}.")
    numbers, records = frame.index.tolist(), frame.to_dict("records")
    rows = [_row(number, record, divide_by) for number, record in zip(numbers, records, strict=True)]
    _require_groups_apart(rows)
    return rows


def _row(number: int, record: Mapping[Hashable, Any], divide_by: str) -> Row:
    optional = ("pathology", "annotation", "boxes", "mask", "patient_id", "dup_group")
    text = {name: str(record.get(name, "")) for name in optional}
    file, label = str(record["file"]), int(record["label"])
    where = _where(file, number)
    boxes = _boxes(text["boxes"], where)
    return Row(
        number=number,
        file=file,
        split=str(record["split"]),
        label=label,
        pathology=text["pathology"] or ("not stated" if label else "healthy"),
        annotation=_annotation(text["annotation"], label, len(boxes), text["mask"], where),
        boxes=boxes,
        mask=text["mask"],
        subject=text["patient_id"] or text["dup_group"] or file,
        group=text["dup_group"],
        divisor=_divisor(record[divide_by], divide_by, where) if divide_by else None,
    )


def _where(file: str, number: int) -> str:
    return f"{file} (row {number} of the manifest)"


def _boxes(text: str, where: str) -> Float64[np.ndarray, "b 4"]:
    try:
        listed = json.loads(text or "[]")
        boxes = np.array(listed or np.zeros((0, 4)), np.float64)
    except (ValueError, TypeError, RecursionError):
        boxes = np.full(1, np.nan)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise InvalidDataError(f"{where}: boxes {text!r} are not a JSON list of [x, y, w, h], as [[1, 2, 3, 4]].")
    if (boxes[:, 2:] <= 0).any():
        raise InvalidDataError(f"{where}: boxes {text!r} hold one of no width or height. Drop it, or give both.")
    return boxes


def _annotation(stated: str, label: int, boxes: int, mask: str, where: str) -> str:
    given = "mask" if mask else "box" if boxes else "image"
    level = stated or (given if label else "none")
    if level not in ANNOTATIONS:
        raise InvalidDataError(f"{where}: annotation {level!r} is none of {', '.join(ANNOTATIONS)}.")
    if not label and (level != "none" or boxes):
        raise InvalidDataError(
            f"{where}: a healthy image (label 0) has annotation {level!r} and {boxes} boxes. "
            "Make it label 1, or remove them."
        )
    if label and level != given:
        raise InvalidDataError(
            f"{where}: annotation {level!r}, but the finest that the row gives is {given!r}. "
            "Annotation 'mask' needs a mask, 'box' needs boxes; leave it empty to take the finest."
        )
    return level


def _divisor(value: object, column: str, where: str) -> float:
    try:
        divisor = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        divisor = math.nan
    if not (math.isfinite(divisor) and divisor > 0):
        raise InvalidDataError(
            f"{where}: column {column!r} is {value!r}; intensities cannot be divided by it. "
            "Give a number above 0, or leave the row out with --where."
        )
    return divisor


def _require_groups_apart(rows: Sequence[Row]) -> None:
    home: dict[str, Row] = {}
    for row in rows:
        first = home.setdefault(row.group, row) if row.group else row
        if first.split != row.split:
            raise InvalidDataError(
                f"{row.where} in {row.split!r} is a near-duplicate (dup_group {row.group!r}) of {first.where} in "
                f"{first.split!r}. Keep one of them, or put both in one split."
            )
