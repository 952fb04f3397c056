"""Anomaly scores that other code wrote: a CSV file with the columns id and score."""

import csv
import math
from collections.abc import Collection, Mapping
from pathlib import Path

from uadbench.errors import InvalidDataError

COLUMNS = ("id", "score")


def read_scores(path: Path, ids: Collection[str]) -> Mapping[str, float]:
    """The score of each of these ids, higher = more anomalous; other columns are passed over.

    Raises:
        InvalidDataError: Unreadable, no such columns, an id missing, unknown or twice there, or no finite number.
    """
    found: dict[str, float] = {}
    for number, row in enumerate(_rows(path), 2):
        identity, text = ((row[column] or "").strip() for column in COLUMNS)
        where = f"{path}, line {number}"
        if identity in found:
            raise InvalidDataError(f"{where}: id {identity!r} is there twice. Give each image one score.")
        if identity not in ids:
            raise InvalidDataError(f"{where}: no image of val or test has the id {identity!r}. Remove the line.")
        found[identity] = _number(text, where)
    missing = [one for one in ids if one not in found]
    if missing:
        raise InvalidDataError(
            f"{path}: {len(missing)} of {len(ids)} scores are missing, the first of {missing[0]}. "
            "Give a score for every image of val and test, or leave the file out."
        )
    return found


def _rows(path: Path) -> list[dict[str, str | None]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidDataError(f"{path}: cannot be read ({reason}). Give a CSV file in UTF-8.") from error
    absent = [column for column in COLUMNS if column not in columns]
    if absent:
        raise InvalidDataError(
            f"{path}: has the columns {', '.join(columns) or 'none'}, not {', '.join(absent)}. "
            f"Begin the file with the line {','.join(COLUMNS)}."
        )
    return rows


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidDataError(f"{where}: score {text!r} is no finite number.")
    return number
