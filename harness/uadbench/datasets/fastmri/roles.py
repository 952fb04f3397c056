"""Which fastMRI file plays which role in RA, and on which slice: a list that ships with the harness."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from uadbench.datasets.fastmri.tables import read_rows

TABLE = "ra_split.csv"
# Files without a slice of their own are shown at the height of the ventricles.
USUAL_SLICE = 3
TRAIN, VAL, TEST = "train_normal", "val_normal", "test_normal"
PATHOLOGY, ARTEFACT, LOCAL = "test_global_pathology", "test_global_artefact", "test_local"


@dataclass(frozen=True, slots=True)
class Role:
    """A file, what it is for, and its slice, None where the list has none."""

    file: str
    role: str
    slice: int | None


def table() -> bytes:
    """The list as it ships."""
    return files("uadbench.datasets.fastmri").joinpath(TABLE).read_bytes()


def roles() -> list[Role]:
    """Every role of every file, in the list's order."""
    rows = read_rows(table(), TABLE, ("file", "role", "slice"))
    return [Role(row["file"], row["role"], int(row["slice"]) if row["slice"] else None) for _, row in rows]


def table_sha256() -> str:
    """The list's digest."""
    return hashlib.sha256(table()).hexdigest()


def with_slices(listed: Sequence[Role]) -> list[Role]:
    """The roles with a slice each, but local ones that have none: those keep None.

    RA shows one slice of a file. A file in two roles has its slice in one row of the list; files that have none take
    the usual one.
    """
    known = {one.file: one.slice for one in listed if one.slice is not None}
    return [Role(one.file, one.role, known.get(one.file, None if one.role == LOCAL else USUAL_SLICE)) for one in listed]
