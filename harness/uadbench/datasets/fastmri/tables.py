"""CSV tables by their columns' names, each row with its number."""

import csv
import io
from collections.abc import Mapping, Sequence

from uadbench.errors import InvalidDataError

Row = Mapping[str, str]


def read_rows(raw: bytes, name: str, columns: Sequence[str]) -> list[tuple[int, Row]]:
    """The rows with their numbers (the header is row 1), texts stripped; other columns may be there too.

    Raises:
        InvalidDataError: Not UTF-8, a column missing or named twice, a ragged row, no row.
    """
    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{name}: not a CSV file in UTF-8 ({error}). Fetch it again.") from error
    header = [field.strip() for field in lines[0]] if lines else []
    missing = [column for column in columns if column not in header]
    if missing or len(set(header)) != len(header):
        what = f"lacks column {', '.join(missing)}" if missing else "names a column twice"
        raise InvalidDataError(f"{name} {what}; found {', '.join(header) or 'nothing'}. Give the file as published.")
    found: list[tuple[int, Row]] = []
    for number, line in enumerate(lines[1:], start=2):
        if line and len(line) != len(header):
            raise InvalidDataError(
                f"{name}: row {number} has {len(line)} fields for {len(header)} columns. Fetch the file again."
            )
        if line:
            found.append((number, {column: field.strip() for column, field in zip(header, line, strict=True)}))
    if not found:
        raise InvalidDataError(f"{name} lists nothing. Give the file as published.")
    return found
