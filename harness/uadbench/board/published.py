"""Published: the numbers that papers print as grey rows under a board's own, and the tables they come from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from uadbench.board.captions import number
from uadbench.board.rows import Leaderboard
from uadbench.references import Reference, citations, inconsistencies, parts

REMARK = (
    "Published numbers as their papers print them: other splits, seeds, preprocessing and code, so they are not ranked "
    "and no best value is marked among them."
)


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One method of one printed table: its numbers by our metrics. `part` tells datasets of one board apart."""

    method: str
    source: str
    part: str
    cells: Mapping[str, Reference]

    @property
    def label(self) -> str:
        """Method and part in one line."""
        return f"{self.method} · {self.part}" if self.part else self.method

    @property
    def anchor(self) -> str:
        """What its table is called in the address of the page."""
        return anchor(self.source)

    @property
    def note(self) -> str:
        """What is to be known of its numbers, each sentence once."""
        return " ".join(dict.fromkeys(one.note for one in self.cells.values() if one.note))


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A printed table that rows of a board come from; `doubts` are its numbers that contradict one another."""

    source: str
    citation: str
    references: tuple[Reference, ...]
    doubts: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """What it is called in the address of the page."""
        return anchor(self.source)


def paper_rows(board: Leaderboard) -> tuple[PaperRow, ...]:
    """The references with one of the board's metrics, one row per method, table and part, in printed order; rows
    without the primary metric last."""
    words = parts(board.protocol.name)
    rows: dict[tuple[str, str, str], dict[str, Reference]] = {}
    for one in board.references:
        if one.metric in board.metrics:
            key = (one.source, one.method, words.get(one.dataset, ""))
            rows.setdefault(key, {}).setdefault(one.metric, one)
    made = [PaperRow(method, source, part, cells) for (source, method, part), cells in rows.items()]
    return tuple(sorted(made, key=lambda row: board.protocol.primary not in row.cells))


def paper_tables(board: Leaderboard) -> tuple[PaperTable, ...]:
    """The printed tables behind the paper rows, with all that they print about the board's dataset."""
    where, doubts = citations(), inconsistencies()
    return tuple(
        PaperTable(
            source,
            where.get(references[0].paper, references[0].paper),
            references,
            tuple(one.sentence for one in doubts if one.reference.source == source),
        )
        for source in dict.fromkeys(row.source for row in paper_rows(board))
        for references in [tuple(one for one in board.references if one.source == source)]
    )


def paper_text(reference: Reference | None) -> str:
    """The value and its spread as every table prints them, or nothing."""
    if reference is None:
        return ""
    spread = f" ± {number(reference.spread)}" if reference.spread is not None else ""
    return f"{number(reference.value)}{spread}"


def anchor(source: str) -> str:
    """A source as part of an address: `MOR Table 1` is `mor-table-1`."""
    return re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")
