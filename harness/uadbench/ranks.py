"""Ranks that admit ties: paired bootstrap tests between methods, Holm-adjusted, and the rank interval they leave.

Letters in the shapes: k methods, b bootstrap resamples. Higher values are better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from uadbench.errors import InvalidDataError

ALPHA = 0.05
_ROUNDING = 1e-7  # draws are stored to seven decimals: a smaller difference has no standard error to be measured by


@dataclass(frozen=True, slots=True)
class RankInterval:
    """The ranks that the data leave open for a method: from `low` (best) to `high` (worst), 1 = best."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def rank_intervals(values: Float[np.ndarray, " k"], draws: Sequence[Sequence[float]]) -> list[RankInterval]:
    """The rank interval of every method at family-wise level 0.05 per method.

    low = 1 + number of methods significantly better, high = k - number significantly worse. Each method is tested
    against the k - 1 others with `p_values`, Holm-adjusted over these k - 1; for the leader that is the test of every
    method against the leader. `draws` are bootstrap values on the same resamples for every method; a method without
    draws differs from nobody.

    Source: protocols, "Statistics"; Mogstad et al., Review of Economic Studies 2024, sec. 3 (marginal sets for a rank).

    Raises:
        InvalidDataError: Methods with different numbers of draws.
    """
    values = np.asarray(values, np.float64)
    k = len(values)
    probabilities = p_values(values, draws)
    intervals = []
    for i in range(k):
        others = np.arange(k) != i
        differs = np.zeros(k, bool)
        differs[others] = holm(probabilities[i, others]) < ALPHA
        better, worse = differs & (values > values[i]), differs & (values < values[i])
        intervals.append(RankInterval(1 + int(better.sum()), k - int(worse.sum())))
    return intervals


def level_with_leader(values: Float[np.ndarray, " k"], draws: Sequence[Sequence[float]]) -> Bool[np.ndarray, " k"]:
    """Which methods are not significantly worse than the one with the highest value; Holm over k - 1.

    Source: protocols, "Statistics".

    Raises:
        InvalidDataError: Methods with different numbers of draws.
    """
    values = np.asarray(values, np.float64)
    level = np.ones(len(values), bool)
    if len(values) > 1:
        leader = int(np.argmax(values))
        others = np.arange(len(values)) != leader
        level[others] = holm(p_values(values, draws)[leader, others]) >= ALPHA
    return level


def p_values(values: Float[np.ndarray, " k"], draws: Sequence[Sequence[float]]) -> Float[np.ndarray, "k k"]:
    """Two-sided p of every pair: z = difference of values / bootstrap standard error of the difference, in [0, 1].

    A difference below 1e-7 has p = 1 even where the standard error is zero too (identical predictions); a larger one
    that is the same in every draw has p = 0.

    Raises:
        InvalidDataError: Methods with different numbers of draws.
    """
    values = np.asarray(values, np.float64)
    lengths = {len(some) for some in draws} - {0}
    if len(draws) != len(values) or len(lengths) > 1:
        raise InvalidDataError(
            f"Ranks: {len(values)} values with draws of lengths {sorted(lengths)}. "
            "Score all methods with the same resamples."
        )
    probabilities = np.ones((len(values), len(values)))
    for i in range(len(values)):
        for j in range(i):
            if len(draws[i]) > 1 and len(draws[j]) > 1:
                error = float(np.std(np.subtract(draws[i], draws[j]), ddof=1))
                probabilities[i, j] = probabilities[j, i] = _two_sided(abs(values[i] - values[j]), error)
    return probabilities


def _two_sided(difference: float, error: float) -> float:
    if difference < _ROUNDING:
        return 1.0
    return math.erfc(difference / (error * math.sqrt(2))) if error > 0 else 0.0


def holm(probabilities: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The p-values adjusted for m tests by stepping down, in [0, 1].

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    probabilities = np.asarray(probabilities, np.float64)
    order = np.argsort(probabilities, kind="stable")
    factors = len(probabilities) - np.arange(len(probabilities))
    adjusted = np.empty_like(probabilities)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * probabilities[order]), 1.0)
    return adjusted
