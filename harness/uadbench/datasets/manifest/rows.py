"""One row of the manifest, checked: which picture, of whom, and what is wrong in it."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uadbench.datasets.importing.items import Box
from uadbench.errors import InvalidDataError, UsageError
from uadbench.types import ANNOTATIONS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Row:
    """A picture and its truth as the manifest states them.

    `boxes` are x, y, w, h in pixels of the stored picture; `mask` is a path or ""; `divisor` is the stored value that
    becomes intensity 1, or None for the largest of the picture's type; `slice` is the index in a volume, or -1.
    """

    number: int
    file: str
    split: str
    label: int
    pathology: str
    annotation: str
    boxes: tuple[Box, ...]
    mask: str
    subject: str
    group: str
    foreground: str = ""
    slice: int = -1
    volume: str = ""
    divisor: float | None = None

    @property
    def where(self) -> str:
        """The row as errors name it."""
        return _where(self.file, self.number)


def read_rows(frame: pd.DataFrame, divide_by: str) -> list[Row]:
    """The rows of a selected table.

    Raises:
        UsageError: `divide_by` is no column.
        InvalidDataError: Boxes, annotation, slice or divisor that break their rule.
    """
    if divide_by and divide_by not in frame.columns:
        raise UsageError(f"--divide-by {divide_by!r} is no column; the columns are {', '.join(frame.columns)}.")
    numbers, records = frame.index.tolist(), frame.to_dict("records")
    return [_row(number, record, divide_by) for number, record in zip(numbers, records, strict=True)]


def _row(number: int, record: Mapping[Hashable, Any], divide_by: str) -> Row:
    optional = ("pathology", "annotation", "boxes", "mask", "patient_id", "dup_group", "foreground")
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
        subject=text["patient_id"] or text["dup_group"],
        group=text["dup_group"],
        foreground=text["foreground"],
        slice=_slice(record.get("slice", ""), where),
        volume="" if record.get("slice", "") == "" else text["patient_id"] or file,
        divisor=_divisor(record[divide_by], divide_by, where) if divide_by else None,
    )


def _where(file: str, number: int) -> str:
    return f"{file} (row {number} of the manifest)"


def _slice(value: object, where: str) -> int:
    if value == "" or value != value:
        return -1
    if not isinstance(value, float) or value < 0 or value != int(value):
        raise InvalidDataError(f"{where}: slice {value!r} is no index. Give a whole number from 0 on, or nothing.")
    return int(value)


def _boxes(text: str, where: str) -> tuple[Box, ...]:
    try:
        listed = json.loads(text or "[]")
        boxes = np.array(listed or np.zeros((0, 4)), np.float64)
    except (ValueError, TypeError, RecursionError):
        boxes = np.full(1, np.nan)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise InvalidDataError(f"{where}: boxes {text!r} are not a JSON list of [x, y, w, h], as [[1, 2, 3, 4]].")
    if (boxes[:, 2:] <= 0).any():
        raise InvalidDataError(f"{where}: boxes {text!r} hold one of no width or height. Drop it, or give both.")
    return tuple((x, y, w, h) for x, y, w, h in boxes.tolist())


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
