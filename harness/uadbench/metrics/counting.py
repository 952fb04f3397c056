"""Counting: every ranking metric is a function of how many healthy and anomalous cases have each value.

Stored maps are float32 rounded to 13 mantissa bits. Their order is then that of a 22-bit integer key, so counts per
key hold all there is to know: exact with ties, O(pixels), bounded memory, and counts of parts add up.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64

from uadbench.errors import InvalidDataError, UndefinedMetricError

DROPPED_BITS = 10
KEY_LEVELS = 1 << (32 - DROPPED_BITS)
_DROPPED = np.uint32((1 << DROPPED_BITS) - 1)
_LARGEST = np.uint32(0x7F7FFFFF) & ~_DROPPED
_HIGHEST_KEY = int(_LARGEST) >> DROPPED_BITS
_BLOCK = 1 << 20


def rounded(maps: Float[np.ndarray, "*s"]) -> Float32[np.ndarray, "*s"]:
    """The maps as float32 with 13 mantissa bits: to nearest, ties to even, -0 made +0, never past the largest float.

    Source: IEEE 754-2019, sec. 4.3.1 (roundTiesToEven), with the last 10 of float32's 23 bits cut.

    Raises:
        InvalidDataError: A value is NaN or infinite.
    """
    plain = np.asarray(maps, np.float32)
    if not np.isfinite(plain).all():
        raise InvalidDataError(
            f"Maps hold {int((~np.isfinite(plain)).sum())} values that are not finite. Give finite maps."
        )
    bits = np.ascontiguousarray(plain + np.float32(0)).view(np.uint32)
    half = np.uint32(_DROPPED >> 1) + ((bits >> np.uint32(DROPPED_BITS)) & np.uint32(1))
    near = (bits + half) & ~_DROPPED
    magnitude = np.minimum(near & np.uint32(0x7FFFFFFF), _LARGEST)
    return ((bits & np.uint32(0x80000000)) * (magnitude > 0) | magnitude).view(np.float32).reshape(plain.shape)


def keys(maps: Float32[np.ndarray, "*s"]) -> Int32[np.ndarray, "*s"]:
    """Order-preserving integers in [-2^21, 2^21) of rounded maps: a < b exactly when key(a) < key(b).

    Source: the bits of IEEE 754 numbers of one sign order as integers do; Herf, Radix Tricks, 2001.

    Raises:
        InvalidDataError: A value that `rounded` would change or refuse (-0, NaN, infinite) and that would be binned
            silently.
    """
    bits = np.ascontiguousarray(maps, np.float32).view(np.int32)
    some = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))) >> DROPPED_BITS
    minus_zero = some == -1
    infinite = some.size and (some.max() > _HIGHEST_KEY or some.min() < -_HIGHEST_KEY - 1)
    if (bits & np.int32(_DROPPED)).any() or minus_zero.any() or infinite:
        raise InvalidDataError("Maps are not rounded to 13 mantissa bits. Pass them through `rounded` first.")
    return some


def values_of(some: Int64[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The float values, as float64, that the keys stand for.

    Source: the inverse of `keys`.
    """
    wide = np.asarray(some, np.int64).astype(np.int32) << DROPPED_BITS
    negative = wide < 0
    bits = np.where(negative, wide ^ np.int32(0x7FFFFFFF) & ~np.int32(_DROPPED), wide).astype(np.int32)
    return bits.view(np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many healthy and how many anomalous cases have each distinct value; values ascend."""

    values: Float[np.ndarray, " k"]
    healthy: Int64[np.ndarray, " k"]
    anomalous: Int64[np.ndarray, " k"]

    @property
    def totals(self) -> tuple[int, int]:
        """Number of healthy and of anomalous cases."""
        return int(self.healthy.sum()), int(self.anomalous.sum())


def tally(scores: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> Tally:
    """The tally of one score per case, as they are; label True = anomalous.

    Source: protocols, "Metrics": over distinct values, so that ties are one step.

    Raises:
        InvalidDataError: Another number of labels, or a score that is NaN or infinite.
    """
    scores, labels = np.asarray(scores, np.float64).ravel(), np.asarray(labels, bool).ravel()
    if scores.shape != labels.shape:
        raise InvalidDataError(f"{len(scores)} scores for {len(labels)} labels. Give one score per label.")
    if not np.isfinite(scores).all():
        raise InvalidDataError(
            f"Scores hold {int((~np.isfinite(scores)).sum())} values that are not finite. Give finite scores."
        )
    values, places = np.unique(scores, return_inverse=True)
    anomalous = np.bincount(places[labels], minlength=len(values))
    return Tally(values, np.bincount(places, minlength=len(values)) - anomalous, anomalous)


class _Span:
    """Healthy and anomalous counts of a run of keys, which grows as keys come."""

    def __init__(self) -> None:
        self.low = 0
        self.counts = np.zeros((2, 0), np.int64)

    def add(self, some: Int32[np.ndarray, " p"], marked: Bool[np.ndarray, " p"] | None) -> None:
        low, high = int(some.min()), int(some.max()) + 1
        here = self.reserve(low, high)
        places = some - np.int32(low)
        self.counts[0, here] += np.bincount(places, minlength=high - low)
        if marked is not None:
            anomalous = np.bincount(places[marked], minlength=high - low)
            self.counts[0, here] -= anomalous
            self.counts[1, here] += anomalous

    def reserve(self, low: int, high: int) -> slice:
        """Where the keys from low to high - 1 are counted."""
        size = self.counts.shape[1]
        if not size or low < self.low or high > self.low + size:
            new_low, new_high = (min(low, self.low), max(high, self.low + size)) if size else (low, high)
            grown = np.zeros((2, new_high - new_low), np.int64)
            grown[:, self.low - new_low : self.low - new_low + size] = self.counts if size else 0
            self.low, self.counts = new_low, grown
        return slice(low - self.low, high - self.low)

    def tally(self) -> Tally:
        """The counts so far."""
        taken = np.flatnonzero(self.counts.any(axis=0))
        return Tally(values_of(taken + self.low), self.counts[0, taken], self.counts[1, taken])


class PixelCounter:
    """Counts rounded maps into healthy and anomalous pixels, block by block; counters of parts add up.

    Negative values are counted apart from the others: between the keys of -1e-3 and 1e-3 lie those of all tiny numbers.
    """

    def __init__(self) -> None:
        self._negative, self._positive = _Span(), _Span()

    def add(self, maps: Float32[np.ndarray, "*s"], masks: Bool[np.ndarray, "*s"] | None = None) -> None:
        """Count pixels; without masks all are healthy."""
        flat = np.ravel(maps)
        marked = None if masks is None else np.ravel(np.asarray(masks, bool))
        if marked is not None and marked.shape != flat.shape:
            raise InvalidDataError(f"Maps of {flat.size} pixels and masks of {marked.size} differ. Give one size.")
        for start in range(0, len(flat), _BLOCK):
            block = keys(flat[start : start + _BLOCK])
            mask = None if marked is None else marked[start : start + _BLOCK]
            negative = block < 0
            if not negative.any():
                self._positive.add(block, mask)
                continue
            for span, side in ((self._negative, negative), (self._positive, ~negative)):
                if side.any():
                    span.add(block[side], None if mask is None else mask[side])

    def merge(self, other: "PixelCounter") -> None:
        """Add the counts of another part."""
        for mine, theirs in ((self._negative, other._negative), (self._positive, other._positive)):
            size = theirs.counts.shape[1]
            if size:
                here = mine.reserve(theirs.low, theirs.low + size)
                mine.counts[:, here] += theirs.counts

    def tally(self) -> Tally:
        """The counts so far."""
        below, above = self._negative.tally(), self._positive.tally()
        healthy = np.concatenate([below.healthy, above.healthy])
        return Tally(
            np.concatenate([below.values, above.values]), healthy, np.concatenate([below.anomalous, above.anomalous])
        )


def merged(counters: Iterable[PixelCounter]) -> PixelCounter:
    """One counter with the counts of all.

    Source: counts of disjoint parts add up.
    """
    whole = PixelCounter()
    for counter in counters:
        whole.merge(counter)
    return whole


def tally_pixels(maps: Float[np.ndarray, "*s"], masks: Bool[np.ndarray, "*s"]) -> Tally:
    """The tally of all pixels of the maps, after rounding them to 13 mantissa bits.

    Source: protocols, "Units and pooling": pixels are pooled.

    Raises:
        InvalidDataError: A map that is not finite, or masks of another size.
    """
    counter = PixelCounter()
    counter.add(rounded(maps), masks)
    return counter.tally()


def require_both(what: str, counts: Tally) -> None:
    """Refuses a tally without healthy or without anomalous cases.

    Source: a rate over no case is 0/0.

    Raises:
        UndefinedMetricError: Says which is missing.
    """
    healthy, anomalous = counts.totals
    if not healthy or not anomalous:
        missing = "anomalous" if healthy else "healthy"
        raise UndefinedMetricError(f"{what}: no {missing} case among {healthy + anomalous}; the metric has no value.")


Counts = Float[np.ndarray, "*b k"]


def average_precision(healthy: Counts, anomalous: Counts) -> Float[np.ndarray, "*b"]:
    """Step-wise average precision, sum of (R_k - R_(k-1)) P_k over values from high to low; NaN without anomalous.

    Counts per ascending value on the last axis; leading axes are resamples. Equals scikit-learn's
    `average_precision_score`, ties included.

    Source: protocols, "Metrics"; Davis and Goadrich, ICML 2006, on why not the trapezoid.
    """
    above = np.cumsum(anomalous[..., ::-1], axis=-1, dtype=np.float64)[..., ::-1]
    every = above + np.cumsum(healthy[..., ::-1], axis=-1, dtype=np.float64)[..., ::-1]
    precision = np.divide(above, every, out=np.zeros_like(above), where=every > 0)
    with np.errstate(invalid="ignore"):
        return np.sum(anomalous * precision, axis=-1) / np.sum(anomalous, axis=-1)


def auroc(healthy: Counts, anomalous: Counts) -> Float[np.ndarray, "*b"]:
    """Probability that an anomalous case has a higher value than a healthy one, ties half; NaN if one is missing.

    Source: Mann and Whitney, Ann. Math. Stat. 1947; Hanley and McNeil, Radiology 1982.
    """
    below = np.cumsum(healthy, axis=-1, dtype=np.float64) - 0.5 * healthy
    with np.errstate(invalid="ignore"):
        return np.sum(anomalous * below, axis=-1) / (
            np.sum(healthy, axis=-1, dtype=np.float64) * np.sum(anomalous, axis=-1)
        )


def dice_curve(healthy: Counts, anomalous: Counts) -> Float[np.ndarray, "*b j"]:
    """Dice of `value > t` for t = -inf and then every value ascending: one more entry than values.

    Source: Dice, Ecology 1945: 2 TP / (2 TP + FP + FN).
    """
    found = _above(anomalous)
    truly = found[..., :1]
    with np.errstate(invalid="ignore"):
        return 2 * found / (found + _above(healthy) + truly)


def _above(counts: Counts) -> Float[np.ndarray, "*b j"]:
    """Number of cases above -inf and above every value."""
    total = np.sum(counts, axis=-1, keepdims=True, dtype=np.float64)
    return np.concatenate([total, total - np.cumsum(counts, axis=-1, dtype=np.float64)], axis=-1)


def best_dice(healthy: Counts, anomalous: Counts) -> Float[np.ndarray, "*b"]:
    """The largest Dice over all thresholds: an oracle, since the threshold is chosen on the labels.

    Source: the papers' best achievable Dice; here over -inf and every distinct value, not a grid.
    """
    return dice_curve(healthy, anomalous).max(axis=-1)


def fpr_at_tpr(healthy: Counts, anomalous: Counts, tpr: float) -> Float[np.ndarray, "*b"]:
    """The smallest false-positive rate of `value > t` with a true-positive rate of at least `tpr`; lower is better.

    Source: Liang et al., ICLR 2018 (FPR at 95 % TPR); over -inf and every distinct value.
    """
    false, true = _above(healthy), _above(anomalous)
    with np.errstate(invalid="ignore"):
        rates = np.where(true / true[..., :1] >= tpr, false / false[..., :1], np.inf)
    best = rates.min(axis=-1)
    return np.where(np.isfinite(best), best, np.nan)


def threshold_at(counts: Tally, fpr: float) -> float:
    """The smallest value t among the healthy with share of healthy cases above t <= fpr.

    Source: RA, MIDL 2023, sec. 4.2; protocols, "Units and pooling".

    Raises:
        UndefinedMetricError: No healthy case.
    """
    total = int(counts.healthy.sum())
    if not total:
        raise UndefinedMetricError("threshold_at_fpr: no healthy case; a threshold has no value.")
    observed = counts.healthy > 0
    above = total - np.cumsum(counts.healthy[observed])
    return float(counts.values[observed][np.argmax(above / total <= fpr)])


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """One tally with the counts of all.

    Source: counts of disjoint parts add up.
    """
    parts = list(tallies)
    values, places = np.unique(np.concatenate([part.values for part in parts]), return_inverse=True)
    sides = []
    for side in ("healthy", "anomalous"):
        summed = np.zeros(len(values), np.int64)
        np.add.at(summed, places, np.concatenate([getattr(part, side) for part in parts]))
        sides.append(summed)
    return Tally(values, sides[0], sides[1])


class Bins:
    """A coarse scale for bootstrap: bins that begin at quantiles of the anomalous values of a tally.

    A value that holds several quantiles has a bin of its own: healthy values above it would else tie with many
    anomalous ones.

    Source: protocols, "Statistics": quantiles of the anomalous pixels keep the error on AP near 5e-4 at 1 %
    prevalence; quantiles of all pixels are ten times worse.
    """

    def __init__(self, counts: Tally, most: int = 1024) -> None:
        above = np.cumsum(counts.anomalous)
        places = np.searchsorted(above, np.linspace(0, above[-1], most - 1), side="left").clip(0, len(above) - 1)
        starts, quantiles = np.unique(places, return_counts=True)
        edges = keys(counts.values[starts].astype(np.float32))
        edges = np.union1d(edges, np.append(edges[quantiles > 1], edges[-1]) + 1)
        self.count = len(edges) + 1
        self._low, high = (
            int(keys(counts.values[:1].astype(np.float32))[0]),
            int(keys(counts.values[-1:].astype(np.float32))[0]),
        )
        self._bin_of = np.searchsorted(edges, np.arange(self._low, high + 1), side="right").astype(np.int32)

    def of(self, maps: Float32[np.ndarray, "*s"]) -> Int32[np.ndarray, "*s"]:
        """The bin of every pixel of rounded maps whose values are in the tally."""
        return self._bin_of[keys(maps) - self._low]
