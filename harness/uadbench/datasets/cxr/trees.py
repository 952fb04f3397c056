"""What lies in a root: its files, and its tables read by the names of their columns."""

import csv
import hashlib
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError

FEW = 3  # names in an error


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; `where` names it in errors."""

    where: str
    fields: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def real(self, column: str) -> float:
        """The number in a column.

        Raises:
            InvalidDataError: No finite number.
        """
        try:
            found = float(self.fields[column])
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise InvalidDataError(f"{self.where}: {column} is {self.fields[column]!r}. Give a number.")
        return found


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV file, in order; `folder` is where it lies below the root, "" for the root itself."""

    file: str
    folder: str
    sha256: str
    rows: Sequence[Row]

    def beside(self, *parts: str) -> str:
        """The name below the root of what lies beside the table."""
        return str(PurePosixPath(self.folder, *parts))


@dataclass(frozen=True, slots=True)
class Tree:
    """A root and the names of its files; `layout` says in errors what it should hold."""

    source: Source
    names: Sequence[str]
    layout: str

    @classmethod
    def of(cls, source: Source, layout: str) -> "Tree":
        """The tree below a root."""
        return cls(source, source.names(), layout)

    @property
    def root(self) -> str:
        """The root as errors name it."""
        return str(self.source)

    def find(self, file: str) -> str | None:
        """Where a file lies, at whatever depth; None where it does not.

        Raises:
            InvalidDataError: There are several.
        """
        found = [name for name in self.names if PurePosixPath(name).name == file]
        if len(found) > 1:
            raise InvalidDataError(f"{self.root}: {file} is there {len(found)} times, as {few(found)}. Keep one.")
        return found[0] if found else None

    def table(self, file: str, columns: Sequence[str], optional: Sequence[str] = ()) -> Table:
        """A CSV file with at least these columns; of the optional ones, those that it lacks are "".

        Raises:
            InvalidDataError: No such file, no CSV in UTF-8, a column missing, a ragged row, or no row.
        """
        name = self.find(file)
        if name is None:
            raise InvalidDataError(f"{self.root}: there is no {file}. It should hold {self.layout}.")
        raw = self.source.read(name, file)
        lines = _lines(raw, file)
        header = [field.strip() for field in lines[0]] if lines else []
        missing = [column for column in columns if header.count(column) != 1]
        if missing:
            raise InvalidDataError(
                f"{file}: column {', '.join(missing)} is missing or there twice; found "
                f"{', '.join(header) or 'nothing'}. Fetch the table again."
            )
        places = {column: header.index(column) for column in (*columns, *optional) if column in header}
        absent = {column: "" for column in optional if column not in header}
        rows = [
            Row(f"{file}, row {number}", {**absent, **{column: line[at].strip() for column, at in places.items()}})
            for number, line in _numbered(lines, file)
        ]
        parent = str(PurePosixPath(name).parent)
        return Table(file, "" if parent == "." else parent, hashlib.sha256(raw).hexdigest(), rows)

    def pictures(self, folder: str, endings: Collection[str]) -> dict[str, str]:
        """The files right in a folder with one of the endings: name without ending -> name below the root.

        Raises:
            InvalidDataError: There are none.
        """
        paths = map(PurePosixPath, self.names)
        found = {path.stem: str(path) for path in paths if str(path.parent) == folder and path.suffix in endings}
        if not found:
            raise InvalidDataError(
                f"{self.root}: there is no {' or '.join(endings)} file in {folder}. It should hold {self.layout}."
            )
        return found


def _lines(raw: bytes, file: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{file}: not a CSV file in UTF-8 ({error}). Fetch it again.") from error


def _numbered(lines: Sequence[Sequence[str]], file: str) -> list[tuple[int, Sequence[str]]]:
    """The lines below the header that are not empty, each as long as it, with their numbers (the header is row 1)."""
    found = [(number, line) for number, line in enumerate(lines, start=1) if number > 1 and line]
    for number, line in found:
        if len(line) != len(lines[0]):
            raise InvalidDataError(
                f"{file}, row {number}: {len(line)} fields for {len(lines[0])} columns. Fetch the table again."
            )
    if not found:
        raise InvalidDataError(f"{file}: has no row. Fetch the table again.")
    return found


def require_all(wanted: Collection[str], there: Collection[str], what: str, root: str) -> None:
    """Refuses a dataset that lacks some of its pictures.

    Raises:
        InvalidDataError: Says how many are missing, and the first few.
    """
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise InvalidDataError(
            f"{root}: {len(missing)} of {len(wanted)} {what} are not there, as {few(missing)}. Fetch the dataset whole."
        )


def few(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:FEW])
