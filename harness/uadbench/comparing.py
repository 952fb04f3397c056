"""Comparing two predictions on the same resampled subjects: the difference of each metric with its interval."""

from dataclasses import dataclass

from uadbench.errors import UndefinedMetricError
from uadbench.files.images import Dataset
from uadbench.files.predictions import PredictionFile
from uadbench.files.results import OVERALL
from uadbench.files.truth import TruthFile
from uadbench.intervals import percentile_interval, resample_counts
from uadbench.measures import MEASURES, strata
from uadbench.protocols import Protocol
from uadbench.scoring import enough_subjects, evidence_of


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two predictions on one stratum, and the interval of first - second (None with too few subjects)."""

    stratum: str
    metric: str
    first: float
    second: float
    low: float | None
    high: float | None

    @property
    def differs(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def compare(
    rules: Protocol, dataset: Dataset, truth: TruthFile, first: PredictionFile, second: PredictionFile
) -> list[Difference]:
    """Every defined metric of both, per stratum; the bootstrap draws are paired by subject.

    Source: protocols, "Statistics".

    Raises:
        InvalidDataError: Predictions of other data, or of some images only.
    """
    sides = [evidence_of(rules, dataset, truth, one) for one in (first, second)]
    weights = resample_counts(sides[0].subjects, rules.resamples, rules.resample_seed)
    differences = []
    for pair in zip(*(strata(side, weights, OVERALL) for side in sides), strict=True):
        for metric in rules.metrics:
            try:
                one, two = (MEASURES[metric](stratum) for stratum in pair)
            except UndefinedMetricError:
                continue
            enough = enough_subjects(sides[0], one)
            low, high = percentile_interval(one.draws - two.draws) if enough else (None, None)
            differences.append(Difference(pair[0].name, metric, one.value, two.value, low, high))
    return differences
