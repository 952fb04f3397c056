"""Pixel evidence: counts over the pixels of test images that carry pixel truth, per group, per image, per region."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.evidence.reading import HEALTHY, MapReader, blocks, groups, kinds, shown
from uadbench.evidence.thresholds import Thresholds
from uadbench.metrics import counting
from uadbench.metrics.counting import Bins, PixelCounter, Tally, sum_of
from uadbench.metrics.region import Overlaps, overlaps_of, region_weights, regions_above, sum_of_overlaps
from uadbench.types import Truth

RATES = ("fpr5", "fpr1")


@dataclass(frozen=True, slots=True)
class Regions:
    """One entry per anomalous region: the row of its image, its area in pixels, and those above `fpr5`."""

    images: Int[np.ndarray, " g"]
    areas: Int[np.ndarray, " g"]
    above: Int[np.ndarray, " g"]


@dataclass(frozen=True, slots=True)
class PixelEvidence:
    """Exact `tallies` and `overlaps` per group ("healthy" images and each kind), and counts per image.

    `binned` and `overlap_binned` are on a coarse scale for the bootstrap: healthy and anomalous pixels, and weights
    1 / area of regions. `above` is by threshold: healthy and anomalous pixels; `sizes` likewise, of all. `image_ap`
    is each anomalous image's own AP. `subject_auroc` is by groups (those of a stratum): each subject's own
    pixel AUROC; empty where no subject has several images. What an image has no value for is NaN.
    """

    tallies: Mapping[str, Tally]
    overlaps: Mapping[str, Overlaps]
    regions: Regions
    binned: Int[np.ndarray, "n 2 k"]
    overlap_binned: Float[np.ndarray, "n k"]
    above: Mapping[str, Int[np.ndarray, "n 2"]]
    sizes: Int[np.ndarray, "n 2"]
    image_ap: Float[np.ndarray, " n"]
    subject_auroc: Mapping[tuple[str, ...], Float[np.ndarray, " s"]]


def pixels_of_maps(
    truth: Truth, test: MapReader, thresholds: Thresholds, subject_of: Int[np.ndarray, " n"]
) -> PixelEvidence:
    """The pixel evidence of all test maps."""
    known = truth.has_pixel_truth
    tallies = {name: _tally(truth, test, np.flatnonzero(rows & known)) for name, rows in groups(truth).items()}
    overlaps: dict[str, list[Overlaps]] = {name: [] for name in tallies}
    kind = kinds(truth)
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    image_ap = np.full(len(truth), np.nan)
    for rows in blocks(np.flatnonzero(truth.masks.any(axis=(1, 2)))):
        for row, one, used in zip(rows, test.maps(rows), test.counted(rows), strict=True):
            mask = truth.masks[row] & used
            if mask.any():
                overlaps[kind[row]].append(overlaps_of(one, mask))
                found.append((int(row), *regions_above(one, mask, thresholds.fpr5)))
                image_ap[row] = _average_precision(one[used], mask[used])
    above, sizes = _above(truth, test, thresholds)
    binned, overlap_binned = _binned(truth, test, sum_of(tallies.values()))
    return PixelEvidence(
        tallies=tallies,
        overlaps={name: sum_of_overlaps(parts) for name, parts in overlaps.items()},
        regions=_regions(found),
        binned=binned,
        overlap_binned=overlap_binned,
        above=above,
        sizes=sizes,
        image_ap=image_ap,
        subject_auroc=_subject_auroc(truth, test, subject_of),
    )


def _tally(truth: Truth, test: MapReader, rows: Int[np.ndarray, " r"]) -> Tally:
    counter = PixelCounter()
    for some in blocks(rows):
        counted = test.counted(some)
        counter.add(test.maps(some)[counted], truth.masks[some][counted])
    return counter.tally()


def _average_precision(values: np.ndarray, mask: np.ndarray) -> float:
    counts = counting.tally(values, mask)
    return float(counting.average_precision(counts.healthy, counts.anomalous)) if all(counts.totals) else np.nan


def _above(
    truth: Truth, test: MapReader, thresholds: Thresholds
) -> tuple[dict[str, Int[np.ndarray, "n 2"]], Int[np.ndarray, "n 2"]]:
    sizes = np.zeros((len(truth), 2), np.int64)
    above = {rate: np.zeros((len(truth), 2), np.int64) for rate in RATES}
    for rows in blocks(np.flatnonzero(truth.has_pixel_truth)):
        maps, masks, counted = test.maps(rows), truth.masks[rows], test.counted(rows)
        for side, pixels in enumerate((counted & ~masks, counted & masks)):
            sizes[rows, side] = pixels.sum(axis=(1, 2))
            for rate in RATES:
                above[rate][rows, side] = (pixels & (maps > getattr(thresholds, rate))).sum(axis=(1, 2))
    return above, sizes


def _binned(truth: Truth, test: MapReader, counts: Tally) -> tuple[Int[np.ndarray, "n 2 k"], Float[np.ndarray, "n k"]]:
    if not counts.anomalous.any():
        return np.zeros((len(truth), 2, 1), np.int64), np.zeros((len(truth), 1))
    bins = Bins(counts)
    binned = np.zeros((len(truth), 2, bins.count), np.int64)
    weighted = np.zeros((len(truth), bins.count))
    for rows in blocks(np.flatnonzero(truth.has_pixel_truth)):
        for row, one, used in zip(rows, test.maps(rows), test.counted(rows), strict=True):
            mask, places = truth.masks[row], bins.of(one[used])
            binned[row, 1] = np.bincount(places[mask[used]], minlength=bins.count)
            binned[row, 0] = np.bincount(places, minlength=bins.count) - binned[row, 1]
            if binned[row, 1].any():
                weights = region_weights(mask & used)[used]
                weighted[row] = np.bincount(places, weights=weights, minlength=bins.count)
    return binned, weighted


def _regions(found: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> Regions:
    images = np.repeat([row for row, _, _ in found], [len(areas) for _, areas, _ in found]).astype(np.int64)
    nothing = np.zeros(0, np.int64)
    areas = np.concatenate([nothing, *(areas for _, areas, _ in found)])
    return Regions(images, areas, np.concatenate([nothing, *(above for _, _, above in found)]))


def _subject_auroc(
    truth: Truth, test: MapReader, subject_of: Int[np.ndarray, " n"]
) -> dict[tuple[str, ...], Float[np.ndarray, " s"]]:
    members: dict[str, Bool[np.ndarray, " n"]] = groups(truth)
    everything = tuple(name for name in members if name != HEALTHY)
    wanted = {everything, *shown(truth).values()}
    subjects = int(subject_of.max()) + 1
    if subjects == len(truth) or not truth.masks.any():
        return {}
    values = {some: np.full(subjects, np.nan) for some in wanted}
    for subject in range(subjects):
        mine = (subject_of == subject) & truth.has_pixel_truth
        tallies = {
            name: _tally(truth, test, np.flatnonzero(mine & rows))
            for name, rows in members.items()
            if (mine & rows).any()
        }
        for some in wanted:
            parts = [tallies[name] for name in (HEALTHY, *some) if name in tallies]
            if parts and all((counts := sum_of(parts)).totals):
                values[some][subject] = float(counting.auroc(counts.healthy, counts.anomalous))
    return values
