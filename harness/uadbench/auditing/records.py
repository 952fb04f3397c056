"""What an audit is given and what it says: specimens in, findings out, as text and as JSON."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from uadbench.files.images import SPLITS

SCHEMA = "uadbench-audit-v1"
SEVERITIES = ("leak", "warning", "fact")
MOST_NAMED = 5

# Each call starts a new pass over all images in the specimens' order: batches of pixels float32 (n, h, w) in [0, 1]
# with their foreground bool (n, h, w). Batches may differ in size.
Scans = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True, slots=True)
class Specimen:
    """What is known of one image before anyone looks at it; `label` True = anomalous."""

    name: str
    split: str
    label: bool
    subject: str
    pathology: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image that a finding points at: its row among the specimens, and the specimen."""

    row: int
    specimen: Specimen

    def __str__(self) -> str:
        return f"{self.specimen.split}/{self.specimen.name}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images that belong together: normalised correlation in [-1, 1], and whether one is the other's mirror image.

    The correlation is None where a subject and not a likeness joins them.
    """

    first: Suspect
    second: Suspect
    similarity: float | None = None
    mirrored: bool = False

    def __str__(self) -> str:
        likeness = "" if self.similarity is None else f" (similarity {self.similarity:.3f})"
        return f"{self.first} and {self.second}{', mirrored' if self.mirrored else ''}{likeness}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the audit found. Of `total` pairs or images it holds the first ones.

    `severity` is `leak` (no result on this dataset can be trusted), `warning` (know it before you read a result) or
    `fact`.
    """

    kind: str
    severity: str
    sentence: str
    pairs: tuple[Pair, ...] = ()
    examples: tuple[Suspect, ...] = ()
    total: int = 0

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Every image that the finding holds, those of pairs first."""
        return (*(one for pair in self.pairs for one in (pair.first, pair.second)), *self.examples)

    def lines(self) -> list[str]:
        """The sentence and the first few pairs or images."""
        named = [str(one) for one in (self.pairs or self.examples)[:MOST_NAMED]]
        left_out = self.total - len(named)
        more = [f"  and {left_out:,} more"] if named and left_out > 0 else []
        return [f"{self.severity}: {self.sentence}", *(f"  {name}" for name in named), *more]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Images and subjects of one split and label, and their intensities in [0, 1] over all pixels.

    `low`, `median` and `high` are the 1st, 50th and 99th percentile, to 1/255.
    """

    split: str
    label: bool
    images: int
    subjects: int
    mean: float
    std: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one number alone tells healthy from anomalous test images: AUROC in [0, 1], None where undefined."""

    what: str
    auroc: float | None
    healthy: int
    anomalous: int
    flagged: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """What was audited and what was found; findings are ordered by severity."""

    title: str
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    statistics: tuple[Statistics, ...]
    shortcuts: tuple[Shortcut, ...]

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make results on this dataset worthless."""
        return self.of("leak")

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(one for one in self.findings if one.severity == severity)

    @property
    def verdict(self) -> str:
        """One line: how many leaks and warnings."""
        return f"{_count(len(self.leaks), 'leak')}, {_count(len(self.of('warning')), 'warning')}"

    def lines(self) -> list[str]:
        """The audit as text."""
        splits = ", ".join(f"{count:,} in {split}" for split, count in self.counts.items())
        return [
            f"Audit of {self.title}: {self.verdict}. {sum(self.counts.values()):,} images: {splits}.",
            *(line for finding in self.findings for line in finding.lines()),
            *(_statistics_line(one) for one in self.statistics),
            *(_shortcut_line(one) for one in self.shortcuts),
        ]

    def to_json(self) -> dict[str, Any]:
        """The audit as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "title": self.title,
            "counts": dict(self.counts),
            "leaks": len(self.leaks),
            "findings": [_finding_json(one) for one in self.findings],
            "statistics": [asdict(one) for one in self.statistics],
            "shortcuts": [asdict(one) for one in self.shortcuts],
        }


def rank(split: str) -> tuple[int, str]:
    """What splits are ordered by: train, val and test first, then others by name."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def label_name(label: bool) -> str:
    """`anomalous` or `healthy`."""
    return "anomalous" if label else "healthy"


def _count(number: int, noun: str) -> str:
    return f"{f'{number:,}' if number else 'no'} {noun}{'' if number == 1 else 's'}"


def _statistics_line(one: Statistics) -> str:
    return (
        f"{one.split}, {label_name(one.label)}: {_count(one.images, 'image')} of {_count(one.subjects, 'subject')}, "
        f"intensity "
        f"{one.mean:.3f} +- {one.std:.3f}, percentiles 1/50/99 {one.low:.3f} {one.median:.3f} {one.high:.3f}"
    )


def _shortcut_line(one: Shortcut) -> str:
    value = "undefined" if one.auroc is None else f"{one.auroc:.3f}"
    return f"AUROC of {one.what} alone in test: {value} ({one.healthy:,} healthy, {one.anomalous:,} anomalous)"


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "sentence": finding.sentence,
        "total": finding.total,
        "pairs": [_pair_json(pair) for pair in finding.pairs],
        "examples": _specimens_json(finding.examples),
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    images = _specimens_json((pair.first, pair.second))
    return {"images": images, "similarity": pair.similarity, "mirrored": pair.mirrored}


def _specimens_json(suspects: Sequence[Suspect]) -> list[dict[str, Any]]:
    return [asdict(one.specimen) for one in suspects]
