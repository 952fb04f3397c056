"""Rows: the results of one configuration taken together over its seeds, ranked among all rows of a protocol."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from uadbench.board.captions import caption, number
from uadbench.board.pictures import Picture
from uadbench.board.variants import variants
from uadbench.errors import InvalidDataError
from uadbench.files.results import OVERALL, DatasetDigests, Result, Value
from uadbench.protocols import Protocol
from uadbench.ranks import RankInterval, level_with_leader, rank_intervals
from uadbench.references import Reference, on_board


@dataclass(frozen=True, slots=True)
class Entry:
    """The results of one configuration, which differ in their seed, and where they come from.

    `origin` says how far the numbers are to be believed: "run here", "re-scored", "reproduced" or "external".

    Raises:
        InvalidDataError: No result, or results of two configurations.
    """

    results: tuple[Result, ...]
    origin: str = "run here"
    submitter: str = ""
    pictures: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        configurations = sorted({result.configuration for result in self.results})
        if len(configurations) != 1:
            raise InvalidDataError(
                f"Entry: results of {len(configurations)} configurations {configurations}. "
                "Give the seeds of one configuration; `group` sorts them."
            )

    @property
    def configuration(self) -> str:
        """What the results have in common."""
        return self.results[0].configuration

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the first seed was made."""
        return self.results[0].provenance


def group(results: Iterable[Result]) -> tuple[Entry, ...]:
    """One entry per configuration, in the order of first appearance; the last result of a seed counts."""
    seeds: dict[str, dict[Any, Result]] = {}
    for result in results:
        seeds.setdefault(result.configuration, {})[result.provenance.get("seed", 0)] = result
    return tuple(Entry(tuple(by_seed[seed] for seed in sorted(by_seed))) for by_seed in seeds.values())


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of a row on one stratum: the mean over seeds, or None and why.

    `low` and `high` are the seeds' 95 % bounds, averaged; `least` and `most` the spread of the value over seeds.
    """

    metric: str
    stratum: str
    value: float | None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None
    seeds: int = 0
    subjects: int = 0
    images: int = 0
    cases: int = 0
    undefined: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a leaderboard. `variant` tells configurations of one method apart; `rank` is None when unranked.

    `level` = not significantly worse than the leader; `predicted` = test images with a prediction, and all; `leaky` =
    measured on a dataset whose importer allowed a leak.
    """

    entry: Entry
    title: str
    variant: str
    cells: Mapping[tuple[str, str], Cell]
    predicted: tuple[int, int]
    provisional: bool
    leaky: bool = False
    warnings: tuple[str, ...] = ()
    rank: RankInterval | None = None
    level: bool = False

    @property
    def configuration(self) -> str:
        """Digest that names the row."""
        return self.entry.configuration

    @property
    def method(self) -> str:
        """The method's name."""
        return _method(self.entry)

    @property
    def preset(self) -> str:
        """The preset it was made with."""
        return str(self.entry.provenance.get("preset") or "")

    @property
    def params(self) -> Mapping[str, Any]:
        """The method's parameters."""
        return dict(self.entry.provenance.get("params") or {})

    @property
    def canary(self) -> bool:
        """A trivial baseline that every board shows."""
        return bool(self.entry.provenance.get("canary", False))

    @property
    def complete(self) -> bool:
        """Every test image has a prediction."""
        return self.predicted[0] == self.predicted[1]

    @property
    def label(self) -> str:
        """Title and, where needed, variant in one line."""
        return f"{self.title} · {self.variant}" if self.variant else self.title

    @property
    def rank_text(self) -> str:
        """The rank interval such as `1-4`, or a dash."""
        return str(self.rank) if self.rank else "–"

    def cell(self, metric: str, stratum: str = OVERALL) -> Cell:
        """A metric's cell; one that no result holds is undefined."""
        missing = Cell(metric, stratum, None, undefined=f"{metric}: not measured on this stratum.")
        return self.cells.get((metric, stratum), missing)


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All rows of one protocol, best first; unranked rows last. `references` are what papers print, never ranked."""

    protocol: Protocol
    rows: tuple[Row, ...]
    references: tuple[Reference, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that at least one row has a value for (without rows, a paper), the primary one always first."""
        rules = self.protocol
        known = {metric for row in self.rows for metric in rules.metrics if row.cell(metric).value is not None}
        shown = known if self.rows else {one.metric for one in self.references}
        return (rules.primary, *(one for one in rules.metrics if one in shown and one != rules.primary))

    @property
    def absent(self) -> Mapping[str, str]:
        """The metrics without a value on any row, and why."""
        reasons = {one: self.rows[0].cell(one).undefined for one in self.protocol.metrics} if self.rows else {}
        return {metric: reason for metric, reason in reasons.items() if metric not in self.metrics}

    @property
    def strata(self) -> tuple[str, ...]:
        """The pathologies of all rows, by name."""
        return tuple(sorted({stratum for row in self.rows for _, stratum in row.cells} - {OVERALL}))

    @property
    def dataset(self) -> DatasetDigests | None:
        """The data that the rows were measured on; None on an empty board."""
        return self.rows[0].entry.results[0].dataset if self.rows else None

    def is_best(self, row: Row, metric: str, stratum: str = OVERALL) -> bool:
        """Whether no complete row prints a better value; ties at the printed precision all count."""
        value, known = row.cell(metric, stratum).value, caption(metric)
        others = [one.cell(metric, stratum).value for one in self.rows if one.complete]
        if value is None or not row.complete or not known.graded:
            return False
        best = max(known.sign * float(number(other)) for other in others if other is not None)
        return known.sign * float(number(value)) >= best


def leaderboard(protocol: Protocol, entries: Sequence[Entry]) -> Leaderboard:
    """The entries as ranked rows.

    All complete rows with a value are ranked together, canaries and provisional rows included and marked: a method
    that a canary beats should be seen to be beaten. Draws of several seeds are averaged resample by resample. Nobody
    is ranked by a metric that must not be compared between methods.

    Source: protocols, "Statistics".

    Raises:
        InvalidDataError: A result of another protocol, dataset or metric version.
    """
    _require_one_board(protocol, [result for entry in entries for result in entry.results])
    names = variants([entry.results for entry in entries])
    pixels = Counter(result.dataset.pixels for entry in entries for result in entry.results).most_common(1)
    rows = [_row(protocol, entry, variant, pixels[0][0]) for entry, variant in zip(entries, names, strict=True)]
    primary = protocol.primary
    rankable = [row for row in rows if row.complete and _is_rankable(row, primary)]
    unvalued = [row for row in rows if row.complete and not _is_rankable(row, primary)]
    incomplete = [row for row in rows if not row.complete]
    ranked = sorted(_ranked(primary, rankable), key=lambda row: (-_merit(row, primary), row.label))
    rest = [row for some in (unvalued, incomplete) for row in sorted(some, key=lambda row: row.label)]
    return Leaderboard(protocol, (*ranked, *rest), on_board(protocol.name))


def _require_one_board(protocol: Protocol, results: Sequence[Result]) -> None:
    for result in results:
        who = result.provenance.get("method", "unnamed")
        first = results[0]
        if result.protocol.digest != protocol.digest:
            raise InvalidDataError(
                f"The result of {who} was scored by {result.protocol.name} with digest {result.protocol.digest[:12]}; "
                f"the board is {protocol.name} with {protocol.digest[:12]}. Score it again with `uadbench score`."
            )
        if result.dataset.identity != (protocol.identity or first.dataset.identity):
            raise InvalidDataError(
                f"The result of {who} was measured on {result.dataset.name} with identity "
                f"{result.dataset.identity[:12]}, which is not the board's. Run the method on the board's dataset."
            )
        if result.metric_version != first.metric_version:
            raise InvalidDataError(
                f"The result of {who} was scored by metrics of version {result.metric_version}, others by version "
                f"{first.metric_version}. Score its predictions again with `uadbench score`."
            )


def _row(protocol: Protocol, entry: Entry, variant: str, pixels: str) -> Row:
    provenance = entry.provenance
    warnings = [warning for result in entry.results for warning in result.warnings]
    if any(result.dataset.pixels != pixels for result in entry.results):
        warnings.append("Measured on a copy of the dataset whose pixels differ from most other rows' (same identity).")
    keys = dict.fromkeys((value.metric, value.stratum) for result in entry.results for value in result.values)
    return Row(
        entry=entry,
        title=str(provenance.get("title") or _method(entry)),
        variant=variant,
        cells={key: _cell(*key, entry.results) for key in keys},
        predicted=min((result.complete for result in entry.results), key=lambda pair: pair[0] - pair[1]),
        provisional=bool(provenance.get("stochastic", False)) and len(entry.results) < protocol.seeds,
        leaky=any(result.dataset.leaks for result in entry.results),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _method(entry: Entry) -> str:
    return str(entry.provenance.get("method") or "unnamed")


def _cell(metric: str, stratum: str, results: Sequence[Result]) -> Cell:
    """The mean over seeds; undefined as soon as one seed is, since a mean over fewer seeds is another number."""
    found = [_find(result, metric, stratum) for result in results]
    for one in found:
        if one.value is None:
            return Cell(metric, stratum, None, undefined=one.undefined or f"{metric}: no value was measured.")
    numbers = [one.value for one in found if one.value is not None]
    first = found[0]
    shared = set.intersection(*(set(one.details) for one in found))
    return Cell(
        metric, stratum, float(np.mean(numbers)),
        low=_mean([one.low for one in found]), high=_mean([one.high for one in found]),
        least=min(numbers), most=max(numbers), seeds=len(numbers),
        subjects=first.subjects, images=first.images, cases=first.cases,
        details={name: float(np.mean([one.details[name] for one in found])) for name in sorted(shared)},
    )  # fmt: skip


def _find(result: Result, metric: str, stratum: str) -> Value:
    for value in result.values:
        if (value.metric, value.stratum) == (metric, stratum):
            return value
    return Value(metric=metric, stratum=stratum, value=None, undefined=f"{metric}: one seed was not measured on it.")


def _mean(bounds: Sequence[float | None]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return float(np.mean(known)) if len(known) == len(bounds) else None


def _is_rankable(row: Row, metric: str) -> bool:
    return caption(metric).graded and row.cell(metric).value is not None


def _merit(row: Row, metric: str) -> float:
    """The value, turned round where lower is better."""
    value = row.cell(metric).value
    assert value is not None, "only rows with a value are ranked"
    return caption(metric).sign * value


def _ranked(primary: str, rows: Sequence[Row]) -> list[Row]:
    values = np.array([_merit(row, primary) for row in rows])
    sign = caption(primary).sign
    draws = [[sign * draw for draw in _draws(row.entry.results)] for row in rows]
    intervals, level = rank_intervals(values, draws), level_with_leader(values, draws)
    return [replace(row, rank=rank, level=bool(tied)) for row, rank, tied in zip(rows, intervals, level, strict=True)]


def _draws(results: Sequence[Result]) -> Sequence[float]:
    """Draws averaged over seeds, resample by resample; none when seeds have different numbers of them."""
    lengths = {len(result.draws) for result in results}
    return np.mean([result.draws for result in results], axis=0).tolist() if len(lengths) == 1 else ()
