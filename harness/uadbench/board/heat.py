"""Heat tables: every method on every pathology, one table per metric."""

from dataclasses import dataclass

from uadbench.board.captions import caption, number
from uadbench.board.facts import FEWEST, Count, Facts
from uadbench.board.rows import Cell, Leaderboard

BOXES = "box_"


@dataclass(frozen=True, slots=True)
class Column:
    """A pathology under one metric: how many cases it has, in words, and whether they are too few."""

    stratum: str
    count: str
    few: bool


@dataclass(frozen=True, slots=True)
class Heat:
    """One metric's table; `worst` and `best` are the ends of the colour scale, `best` the densest colour."""

    metric: str
    columns: tuple[Column, ...]
    worst: float
    best: float
    shown: bool

    def warmth(self, cell: Cell, column: Column) -> int | None:
        """Place of a value on the colour scale in percent; None where there is no value or too few cases."""
        if cell.value is None or column.few:
            return None
        if self.best == self.worst:
            return 50
        return round(100 * (cell.value - self.worst) / (self.best - self.worst))


def heats(board: Leaderboard, facts: Facts) -> tuple[Heat, ...]:
    """A table per metric that has a value on some pathology; the primary metric is shown, or else image_auroc."""
    usable = [metric for metric in board.metrics if _numbers(board, metric, board.strata)]
    wanted = [metric for metric in (board.protocol.primary, "image_auroc", *usable) if metric in usable]
    return tuple(_heat(board, facts, metric, shown=metric == wanted[0]) for metric in usable)


def _heat(board: Leaderboard, facts: Facts, metric: str, *, shown: bool) -> Heat:
    columns = tuple(_column(board, facts, metric, stratum) for stratum in board.strata)
    plenty = tuple(column.stratum for column in columns if not column.few)
    numbers = _numbers(board, metric, plenty) or [0.0, 1.0]
    ends = (max, min) if caption(metric).lower_is_better else (min, max)
    return Heat(metric, columns, ends[0](numbers), ends[1](numbers), shown)


def _column(board: Leaderboard, facts: Facts, metric: str, stratum: str) -> Column:
    if metric.startswith(BOXES):
        boxes = max((row.cell(metric, stratum).cases for row in board.rows), default=0)
        return Column(stratum, f"{boxes} boxes", boxes < FEWEST)
    count = facts.pathologies.get(stratum)
    if count is None:
        bounded = any(row.cell(metric, stratum).low is not None for row in board.rows)
        return Column(stratum, "" if bounded else f"n < {FEWEST}", not bounded)
    return Column(stratum, _words(count), count.few)


def _words(count: Count) -> str:
    return f"n = {count.images}"


def _numbers(board: Leaderboard, metric: str, strata: tuple[str, ...]) -> list[float]:
    values = (row.cell(metric, stratum).value for row in board.rows if row.complete for stratum in strata)
    return [float(number(value)) for value in values if value is not None]
