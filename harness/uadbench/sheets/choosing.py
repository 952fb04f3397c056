"""Choosing: what a dataset holds per split and pathology, and which of its images a sheet shows."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from uadbench.files.truth import TruthFile
from uadbench.types import ANNOTATIONS, Truth

_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Stratum:
    """The images of one split with one pathology and one finest annotation; `rows` are their places in the split."""

    split: str
    pathology: str
    annotation: str
    rows: tuple[int, ...]
    subjects: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """One picture: which rows of a split it shows of one pathology, the finest annotated first, and its file's name."""

    name: str
    split: str
    pathology: str
    strata: tuple[Stratum, ...]
    shown: tuple[int, ...]
    subjects: int

    @property
    def images(self) -> int:
        """How many images of that pathology the split has."""
        return sum(len(one.rows) for one in self.strata)

    @property
    def key(self) -> str:
        """The file's name without its ending."""
        return self.name.rpartition(".")[0]


def strata(truth: TruthFile) -> tuple[Stratum, ...]:
    """Every stratum of a dataset, by split in its own order, then by pathology and annotation."""
    return tuple(one for split, known in truth.splits.items() for one in _strata(split, known))


def _strata(split: str, known: Truth) -> list[Stratum]:
    rows: dict[tuple[str, str], list[int]] = {}
    for row, kind in enumerate(zip(known.pathologies, known.annotations, strict=True)):
        rows.setdefault(kind, []).append(row)
    return [Stratum(split, *kind, tuple(rows[kind]), _subjects(known, rows[kind])) for kind in sorted(rows)]


def _subjects(known: Truth, rows: Sequence[int]) -> int:
    return len({known.subjects[row] for row in rows})


def chosen(truth: TruthFile, most: int) -> tuple[Sheet, ...]:
    """A sheet for every pathology of every split, each of at most `most` images.

    Where annotations differ, each has the same part of the sheet as far as its images go: a few boxes among many images
    without one are what a reader looks for. Within an annotation, images are spread evenly over the split.
    """
    found: list[Sheet] = []
    for (split, pathology), members in groupby(strata(truth), lambda one: (one.split, one.pathology)):
        parts = tuple(sorted(members, key=lambda one: -ANNOTATIONS.index(one.annotation)))
        counts = shares([len(one.rows) for one in parts], most)
        shown = [row for one, count in zip(parts, counts, strict=True) for row in spread(one.rows, count)]
        rows = [row for one in parts for row in one.rows]
        name = file_name(len(found) + 1, split, pathology)
        found.append(Sheet(name, split, pathology, parts, tuple(shown), _subjects(truth[split], rows)))
    return tuple(found)


def spread(rows: Sequence[int], count: int) -> tuple[int, ...]:
    """That many of the rows, in the middle of as many equal parts; all of them if there are no more."""
    wanted = min(count, len(rows))
    return tuple(rows[(2 * part + 1) * len(rows) // (2 * wanted)] for part in range(wanted))


def shares(sizes: Sequence[int], most: int) -> tuple[int, ...]:
    """How many to take of each size, `most` in all: equally many, and more where another has too few."""
    counts, left = dict.fromkeys(range(len(sizes)), 0), most
    for done, place in enumerate(sorted(counts, key=lambda place: sizes[place])):
        counts[place] = min(sizes[place], left // (len(sizes) - done))
        left -= counts[place]
    return tuple(counts.values())


def file_name(number: int, split: str, pathology: str) -> str:
    """A name of plain letters, which the number keeps apart from all others: `03-test-mass.png`."""
    plain = unicodedata.normalize("NFKD", pathology).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_NAME].strip("-")
    return "-".join(part for part in (f"{number:02d}", split, slug) if part) + ".png"
