"""The manifest as a table: reading the CSV, filtering it, and leaving out what no split may hold."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.images import SPLITS

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("file", "split", "label")
# Never turned into numbers: '007' is a patient, not 7.
TEXTS = frozenset(
    {"file", "split", "pathology", "annotation", "boxes", "mask", "patient_id", "dup_group", "orig_file", "foreground"}
)
# What a filter may be made of. No call, no attribute, no subscript: an expression over columns is not a program.
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Invert, ast.USub, ast.BinOp, ast.BitAnd,
    ast.BitOr, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip


def read_table(raw: bytes, name: str) -> pd.DataFrame:
    """The manifest with its row numbers as index (the header is row 1); empty numbers are NaN, empty texts "".

    Raises:
        InvalidDataError: Not UTF-8, a ragged row, a missing or doubled column, no row, a label that is neither 0 nor 1,
            a file listed twice.
    """
    import pandas as pd

    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{name}: not a CSV file in UTF-8 ({error}). Save it as one.") from error
    header, numbered = _checked_lines([[field.strip() for field in line] for line in lines], name)
    frame = pd.DataFrame(list(numbered.values()), columns=header, index=list(numbered), dtype=object)
    for column in frame.columns.difference(list(TEXTS | {"label"})):
        numbers = pd.to_numeric(frame[column].replace("", None), errors="coerce")
        if (numbers.notna() | (frame[column] == "")).all():
            frame[column] = numbers.astype(float)
    frame["label"] = [_label(text, f"{name}: row {row}") for row, text in _column(frame, "label")]
    _require_files_once(frame, name)
    return frame


def _checked_lines(lines: list[list[str]], name: str) -> tuple[list[str], dict[int, list[str]]]:
    header = lines[0] if lines else []
    missing = [column for column in REQUIRED if column not in header]
    if missing or len(set(header)) != len(header):
        what = f"lacks column {', '.join(missing)}" if missing else "names a column twice"
        raise InvalidDataError(
            f"{name} {what}; found {', '.join(header) or 'nothing'}. "
            f"A manifest has at least {', '.join(REQUIRED)}, each once."
        )
    numbered = {number: line for number, line in enumerate(lines, start=1) if number > 1 and line}
    for number, line in numbered.items():
        if len(line) != len(header):
            raise InvalidDataError(
                f"{name}: row {number} has {len(line)} fields for {len(header)} columns. Quote fields that hold commas."
            )
    if not numbered:
        raise InvalidDataError(f"{name} lists no image. Add one row per image.")
    return header, numbered


def _column(frame: pd.DataFrame, name: str) -> list[tuple[int, str]]:
    return list(zip(frame.index.tolist(), frame[name].tolist(), strict=True))


def _label(text: str, where: str) -> int:
    if text not in ("0", "1", "0.0", "1.0"):
        raise InvalidDataError(f"{where}: label {text!r} is neither 0 (healthy) nor 1 (anomalous).")
    return int(float(text))


def _require_files_once(frame: pd.DataFrame, name: str) -> None:
    first: dict[str, int] = {}
    for row, file in _column(frame, "file"):
        before = first.setdefault(str(PurePosixPath(file)), row)
        if before != row:
            raise InvalidDataError(f"{name}: row {row} lists {file!r}, which row {before} lists already. Keep one.")


def select(frame: pd.DataFrame, where: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of train, val and test that match the filter, val healthy only; and how many were left out, by reason.

    Raises:
        UsageError: A filter that is not an expression over the columns.
        InvalidDataError: An anomalous training image.
    """
    ours = frame["split"].isin(SPLITS)
    others = frame.loc[~ours, "split"]
    ruled_out = f"is none of {', '.join(SPLITS)}"
    left_out = {f"split {split!r} {ruled_out}": int((others == split).sum()) for split in sorted(set(others))}
    frame = frame[ours]
    if where:
        wanted = matching(frame, where)
        left_out[f"does not match {where!r}"] = int((~wanted).sum())
        frame = frame[wanted]
    anomalous = frame["label"] == 1
    for row, file in _column(frame[anomalous & (frame["split"] == "train")], "file"):
        raise InvalidDataError(
            f"{file} (row {row} of the manifest): an anomalous training image. "
            "Training is on healthy images only; move it to test, or leave it out with --where."
        )
    sick = anomalous & (frame["split"] == "val")
    left_out["anomalous validation image"] = int(sick.sum())
    return frame[~sick], {reason: n for reason, n in left_out.items() if n}


def matching(frame: pd.DataFrame, where: str) -> pd.Series:
    """Which rows the expression `where` is true for; an empty number is unequal to all and neither above nor below.

    Raises:
        UsageError: No expression over the columns, or one that is not true or false.
    """
    import pandas as pd

    columns = f"Compare columns with and, or, not; the columns are {', '.join(frame.columns)}."
    try:
        nodes = list(ast.walk(ast.parse(where.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"--where {where!r} is not an expression ({error}). {columns}") from error
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise UsageError(f"--where {where!r} may not hold a {type(node).__name__}. {columns}")
        if isinstance(node, ast.Name) and node.id not in frame.columns:
            raise UsageError(f"--where {where!r}: there is no column {node.id!r}. {columns}")
    try:
        found = frame.eval(where.strip(), engine="python", local_dict={}, global_dict={})
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RuntimeError, SyntaxError) as error:
        raise UsageError(f"--where {where!r} cannot be computed ({error}). {columns}") from error
    if not isinstance(found, pd.Series) or found.dtype != np.dtype(bool):
        raise UsageError(f"--where {where!r} is not true or false for each row. {columns}")
    return found
