"""Rows: one printed number of a paper each, in the unit of the harness and as it was printed."""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from uadbench.errors import InvalidDataError

_OURS = re.compile(r"[a-z]+(_[a-z0-9]+)+")
_PRINTED = re.compile(r"([+-]?\d+(?:\.(\d+))?)\*?(?: ± (\d+(?:\.\d+)?))?(?:%|/\d+)?")


@dataclass(frozen=True, slots=True)
class Reference:
    """One number of a paper: `printed` = `value` x `scale`, ± `spread` x `scale` where the paper gives one.

    A metric written like ours (`pixel_ap`) is ours, a fraction in [0, 1]; any other name is the paper's own. What a
    spread is (seeds, images) is the paper's to say.

    Raises:
        InvalidDataError: A field is empty, or value, spread, scale and `printed` disagree.
    """

    method: str
    dataset: str
    metric: str
    value: float
    spread: float | None
    scale: float
    printed: str
    paper: str
    table: str
    note: str = ""

    def __post_init__(self) -> None:
        if not all((self.method, self.dataset, self.metric, self.paper, self.table)):
            raise InvalidDataError(f"{self}: method, dataset, metric, paper and table must not be empty. Fill them in.")
        if self.is_ours and not 0 <= self.value <= 1:
            raise InvalidDataError(
                f"{self}: {self.metric} is a fraction in [0, 1]. Divide by what the paper scales with."
            )
        found = _PRINTED.fullmatch(self.printed)
        numbers = (self.value, self.spread)
        stated = (found[1], found[3]) if found and self.scale > 0 else ("nan", "nan")
        if not all(self._agrees(number, text) for number, text in zip(numbers, stated, strict=True)):
            raise InvalidDataError(
                f"{self}: value {self.value}, spread {self.spread} and scale {self.scale} do not give "
                f"{self.printed!r}. Copy the printed text, and divide it by the scale."
            )

    def __str__(self) -> str:
        return f"{self.source}, {self.method} on {self.dataset}"

    def _agrees(self, number: float | None, text: str | None) -> bool:
        if number is None or text is None:
            return number is None and text is None
        return math.isclose(number * self.scale, float(text), rel_tol=1e-9, abs_tol=1e-12)

    @property
    def is_ours(self) -> bool:
        """The metric has our name and our unit."""
        return _OURS.fullmatch(self.metric) is not None

    @property
    def source(self) -> str:
        """Paper and table, such as `MOR Table 1`."""
        return f"{self.paper} {self.table}"

    @property
    def step(self) -> float:
        """What one unit of the last printed digit is worth; 0 for a count, which is exact."""
        found = _PRINTED.fullmatch(self.printed)
        decimals = len(found[2] or "") if found else 0
        return 10.0**-decimals / self.scale if decimals or self.scale != 1 else 0.0


def references(dataset: str | None = None) -> tuple[Reference, ...]:
    """All printed numbers, or those on one dataset (`mor-cxr/covid`), table by table in printed order.

    Raises:
        InvalidDataError: A shipped table is broken.
    """
    return tuple(one for one in _all() if dataset in (None, one.dataset))


def on_board(protocol: str) -> tuple[Reference, ...]:
    """The printed numbers whose dataset corresponds to that of a protocol; none for most protocols."""
    known = parts(protocol)
    return tuple(one for one in _all() if one.dataset in known)


def parts(protocol: str) -> Mapping[str, str]:
    """The papers' datasets that a protocol corresponds to, each with the word that tells it from the others."""
    return {line["dataset"]: line["part"] for line in _lines("protocols.csv") if line["protocol"] == protocol}


def citations() -> Mapping[str, str]:
    """Where each paper appeared, by the short name that references give it."""
    return {line["paper"]: line["citation"] for line in _lines("papers.csv")}


@cache
def _all() -> tuple[Reference, ...]:
    tables = sorted(entry.name for entry in files("uadbench.references").joinpath("tables").iterdir())
    return tuple(_reference(line) for name in tables if name.endswith(".csv") for line in _lines("tables", name))


@cache
def _lines(*place: str) -> tuple[dict[str, str], ...]:
    text = files("uadbench.references").joinpath(*place).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _reference(line: Mapping[str, str]) -> Reference:
    numbers: dict[str, Any] = {
        "value": float(line["value"]),
        "spread": float(line["spread"]) if line["spread"] else None,
        "scale": float(line["scale"]),
    }
    return Reference(**{**line, **numbers})


def index(rows: Iterable[Reference]) -> Mapping[tuple[str, str, str, str], Reference]:
    """The rows by source, method, dataset and metric."""
    return {(one.source, one.method, one.dataset, one.metric): one for one in rows}
