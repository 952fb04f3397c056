"""Studies: numbers over seeds, the machine they come from, and tables of them, as text for a README."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tabulate import tabulate

from uadbench.board.captions import number
from uadbench.files.results import Result

DASH = "–"  # stands for a number that is missing


@dataclass(frozen=True, slots=True)
class Point:
    """A mean and its standard deviation; None where nothing spreads."""

    mean: float
    spread: float | None = None

    def __str__(self) -> str:
        return number(self.mean) + (f" ± {number(self.spread)}" if self.spread is not None else "")


def over_seeds(values: Sequence[float]) -> Point:
    """Mean and sample standard deviation of one value per seed."""
    return Point(fmean(values), stdev(values) if len(values) > 1 else None)


def machine(result: Result) -> str:
    """The machine a result comes from, as the README's numbers name it."""
    known, versions = (result.provenance.get(name) or {} for name in ("hardware", "versions"))
    words = [known.get("machine"), f"{known.get('cores', '?')} cores", known.get("accelerator")]
    return ", ".join([*filter(None, words), f"Python {versions.get('python', '?')}"])


def piped(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A Markdown table."""
    return tabulate(lines, heads, tablefmt="pipe", disable_numparse=True)
