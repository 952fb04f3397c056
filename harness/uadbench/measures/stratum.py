"""A stratum: the healthy test images with all pathologies or one, under all resamples of the subjects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.errors import UndefinedMetricError
from uadbench.evidence import HEALTHY, Evidence, groups, shown
from uadbench.intervals import FEWEST_SUBJECTS, per_subject, percentile_interval
from uadbench.metrics.counting import Tally, sum_of, tally
from uadbench.metrics.region import Overlaps, sum_of_overlaps

Weights = Float[np.ndarray, "r s"]
Rows = Bool[np.ndarray, " n"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's value on a stratum, its bootstrap draws, the images it used and the cases in them."""

    value: float
    draws: Float[np.ndarray, " r"]
    rows: Rows
    cases: int = 0
    details: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[["Stratum"], Measured]


@dataclass(frozen=True)
class Stratum:
    """Some groups of anomalous images against all healthy ones. What several metrics need is counted once."""

    name: str
    groups: tuple[str, ...]
    rows: Rows
    evidence: Evidence
    weights: Weights

    @cached_property
    def labels(self) -> Rows:
        """Anomalous images of the stratum's rows, as rows of the whole split."""
        return self.rows & self.evidence.truth.labels

    @cached_property
    def healthy(self) -> Rows:
        """The healthy test images."""
        return ~self.evidence.truth.labels

    @cached_property
    def known(self) -> Rows:
        """The stratum's images with pixel truth."""
        return self.rows & self.evidence.truth.has_pixel_truth

    @cached_property
    def boxes(self) -> Bool[np.ndarray, " b"]:
        """The annotated boxes that count: those of the stratum's class where boxes have it, else those of its images.

        An image with boxes of several classes is in the stratum of each, with the boxes of that class.
        """
        boxes = self.evidence.boxes
        own = np.array([name == self.name for name in boxes.classes], bool)
        return own if own.any() else self.rows[boxes.images]

    @cached_property
    def scores(self) -> Tally:
        """Scores of the stratum's images."""
        return tally(self.evidence.scores[self.rows], self.evidence.truth.labels[self.rows])

    @cached_property
    def pixels(self) -> Tally:
        """Pixels of the stratum's images that have pixel truth."""
        return sum_of(self.evidence.pixels.tallies[name] for name in (HEALTHY, *self.groups))

    @cached_property
    def overlaps(self) -> Overlaps:
        """Region overlaps of the stratum's images."""
        return sum_of_overlaps(self.evidence.pixels.overlaps[name] for name in self.groups)

    @cached_property
    def drawn_scores(self) -> tuple[Float[np.ndarray, "r k"], Float[np.ndarray, "r k"]]:
        """Healthy and anomalous images per distinct score in every resample."""
        scores, labels = self.evidence.scores[self.rows], self.evidence.truth.labels[self.rows]
        order = np.argsort(scores)
        starts = np.searchsorted(scores[order], self.scores.values)
        drawn = self.weights[:, self.evidence.subject_of[self.rows][order]]  # (r, s) -> (r, n)
        healthy, anomalous = (np.add.reduceat(drawn * side[order], starts, axis=1) for side in (~labels, labels))
        return healthy, anomalous

    @cached_property
    def drawn_pixels(self) -> tuple[Float[np.ndarray, "r k"], Float[np.ndarray, "r k"]]:
        """Healthy and anomalous pixels per bin in every resample."""
        binned = self.evidence.pixels.binned[self.known]
        return self.resampled(self.known, binned[:, 0]), self.resampled(self.known, binned[:, 1])

    def resampled(self, rows: Rows, counts: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "r k"]:
        """Counts of these rows (one line per row) added up in every resample of the subjects."""
        return self.resampled_cases(np.flatnonzero(rows), counts)

    def resampled_cases(
        self, images: Int[np.ndarray, " m"], counts: Float[np.ndarray, "m k"]
    ) -> Float[np.ndarray, "r k"]:
        """As `resampled`, for cases (boxes, regions) by the row of their image."""
        present, places = np.unique(self.evidence.subject_of[images], return_inverse=True)
        drawn: Float[np.ndarray, "r k"] = self.weights[:, present] @ per_subject(places, counts, len(present))
        return drawn

    def mean_of_cases(self, what: str, images: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"]) -> Measured:
        """The mean over cases, NaN left out, each case drawn with the subject of its image.

        Raises:
            UndefinedMetricError: No case with a value.
        """
        valid = np.isfinite(values)
        images, values = images[valid], values[valid]
        if not len(values):
            raise UndefinedMetricError(f"{what}: no case in this stratum; the mean has no value.")
        draws = ratio(self.resampled_cases(images, np.stack([values, np.ones(len(values))], axis=1)))
        rows = np.zeros(len(self.rows), bool)
        rows[images] = True
        return Measured(float(values.mean()), draws, rows, len(values))

    def share(self, rows: Rows, counts: Float[np.ndarray, "m 2"], name: str) -> dict[str, float]:
        """The ratio of two summed counts under `name`, with its interval; empty where the second is 0.

        Fewer than 5 subjects have no interval. Source: protocols, "Statistics".
        """
        if not counts[:, 1].any():
            return {}
        value = float(counts[:, 0].sum() / counts[:, 1].sum())
        if len(set(self.evidence.subject_of[rows])) < FEWEST_SUBJECTS:
            return {name: value}
        low, high = percentile_interval(ratio(self.resampled(rows, counts.astype(np.float64))))
        return {name: value, f"{name}_low": low, f"{name}_high": high}


def ratio(counts: Float[np.ndarray, "r 2"]) -> Float[np.ndarray, " r"]:
    """First over second count of every resample; NaN where both are 0."""
    with np.errstate(invalid="ignore"):
        return counts[:, 0] / counts[:, 1]


def strata(evidence: Evidence, weights: Weights, everything: str) -> list[Stratum]:
    """All anomalous images first (named `everything`), then each pathology, each against all healthy images.

    A pathology is that of an image, or the class of a box in it.
    """
    members = groups(evidence.truth)
    kinds = tuple(name for name in members if name != HEALTHY)
    whole = Stratum(everything, kinds, np.ones(len(evidence.truth), bool), evidence, weights)
    each = (
        Stratum(name, parts, np.logical_or.reduce([members[one] for one in (HEALTHY, *parts)]), evidence, weights)
        for name, parts in shown(evidence.truth).items()
    )
    return [whole, *each]
