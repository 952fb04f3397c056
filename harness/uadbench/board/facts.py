"""Facts: what a board says of its dataset, counted from its files, or from the results."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from uadbench.board.rows import Leaderboard
from uadbench.files.images import Card, Dataset
from uadbench.files.truth import TruthFile

FEWEST = 5


@dataclass(frozen=True, slots=True)
class Count:
    """Number of test images and of the subjects they are of; `subjects` is None where it is not known."""

    images: int
    subjects: int | None = None

    @property
    def few(self) -> bool:
        """Too few for a number that means much."""
        return (self.images if self.subjects is None else self.subjects) < FEWEST


@dataclass(frozen=True, slots=True)
class Facts:
    """The test split in counts: all images, healthy ones, each pathology, anomalous ones; and the dataset's card."""

    card: Card | None = None
    test: Count | None = None
    healthy: Count | None = None
    pathologies: Mapping[str, Count] = field(default_factory=dict)
    anomalous: Count | None = None


def facts_of(images: Dataset, truth: TruthFile) -> Facts:
    """The facts of a dataset whose files are at hand."""
    known = truth["test"]
    subjects = np.array(known.subjects, dtype=object)
    names = np.array(known.pathologies, dtype=object)

    def count(rows: np.ndarray) -> Count:
        return Count(int(rows.sum()), len(set(subjects[rows])))

    kinds = sorted(set(names[known.labels]))
    everything = np.ones(len(known), bool)
    counts = {kind: count(known.labels & (names == kind)) for kind in kinds}
    return Facts(images.card, count(everything), count(~known.labels), counts, count(known.labels))


def facts_from(board: Leaderboard) -> Facts:
    """What the results alone tell. Each pathology is measured against all healthy images, so that with two pathologies
    or more the numbers of images give away how many are healthy."""
    for row in board.rows:
        whole = row.cell("image_auroc")
        parts = {name: row.cell("image_auroc", name).images for name in board.strata}
        if whole.value is None or len(parts) < 2 or not all(parts.values()):
            continue
        healthy = (sum(parts.values()) - whole.images) // (len(parts) - 1)
        counts = {name: Count(images - healthy) for name, images in parts.items()}
        return Facts(None, Count(whole.images, whole.subjects), Count(healthy), counts, Count(whole.images - healthy))
    return Facts()
