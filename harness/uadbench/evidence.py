"""Evidence: everything that scoring needs of one prediction file, gathered in two passes over the test maps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.files.images import SplitSource
from uadbench.files.predictions import StoredPredictions
from uadbench.metrics.box import box_cases
from uadbench.metrics.counting import Bins, PixelCounter, Tally, sum_of, threshold_at
from uadbench.types import Truth

HEALTHY = "healthy"
_ROWS = 32


@dataclass(frozen=True, slots=True)
class PixelEvidence:
    """Counts over the pixels of test images with pixel truth.

    `tallies` per group ("healthy" images and each pathology); `binned` per image, healthy and anomalous, on a coarse
    scale; `above` per image: healthy and anomalous pixels above the threshold; `sizes`: healthy and anomalous pixels.
    """

    tallies: Mapping[str, Tally]
    binned: Int[np.ndarray, "n 2 k"]
    above: Int[np.ndarray, "n 2"]
    sizes: Int[np.ndarray, "n 2"]


@dataclass(frozen=True, slots=True)
class BoxEvidence:
    """One entry per box: the row of its image, whether it was detected, its F1."""

    images: Int[np.ndarray, " b"]
    detected: Bool[np.ndarray, " b"]
    f1: Float[np.ndarray, " b"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores, subjects and counts of the test images, in the order of the truth file."""

    truth: Truth
    scores: Float[np.ndarray, " n"]
    subject_of: Int[np.ndarray, " n"]
    threshold: float
    pixels: PixelEvidence
    boxes: BoxEvidence

    @property
    def subjects(self) -> int:
        """Number of test subjects."""
        return int(self.subject_of.max()) + 1


class MapReader:
    """Test or validation maps by row of the images file, with the pixels that count."""

    def __init__(self, source: SplitSource, predictions: StoredPredictions, pixels: str) -> None:
        place = {one: i for i, one in enumerate(predictions.ids)}
        self._order = np.array([place[one] for one in source.ids])
        self._predictions, self._pixels = predictions, pixels
        self.foreground = source.foreground()
        self.scores = predictions.scores[self._order]

    def maps(self, rows: Int[np.ndarray, " r"]) -> Float[np.ndarray, "r h w"]:
        """The maps of these rows, in their order."""
        stored = self._order[rows]
        ascending = np.argsort(stored)
        maps = np.empty((len(rows), *self._predictions.shape), np.float32)
        wanted = stored[ascending]
        together = wanted[-1] - wanted[0] + 1 == len(wanted)  # a slice reads several times faster than a list of rows
        maps[ascending] = self._predictions.maps(slice(wanted[0], wanted[-1] + 1) if together else wanted)
        return maps

    def counted(self, rows: Int[np.ndarray, " r"]) -> Bool[np.ndarray, "r h w"]:
        """The pixels of these rows that the protocol counts."""
        if self._pixels == "foreground":
            return self.foreground[rows]
        return np.ones((len(rows), *self._predictions.shape), bool)


def blocks(rows: Int[np.ndarray, " n"]) -> Iterator[Int[np.ndarray, " r"]]:
    """The rows in parts small enough to hold their maps."""
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def healthy_threshold(reader: MapReader, fpr: float) -> float:
    """The pixel threshold at that false-positive rate on healthy validation maps."""
    counter = PixelCounter()
    for rows in blocks(np.arange(len(reader.scores))):
        counter.add(reader.maps(rows)[reader.counted(rows)])
    return threshold_at(counter.tally(), fpr)


def gather(truth: Truth, test: MapReader, threshold: float) -> Evidence:
    """All evidence of a prediction against the truth of the test split."""
    _, subject_of = np.unique(np.array(truth.subjects), return_inverse=True)
    return Evidence(
        truth, test.scores, subject_of, threshold, _pixels(truth, test, threshold), _boxes(truth, test, threshold)
    )


def groups(truth: Truth) -> dict[str, Bool[np.ndarray, " n"]]:
    """Rows of the healthy images and of each pathology, by name, healthy first."""
    pathologies = np.array(truth.pathologies, dtype=object)
    found = {HEALTHY: ~truth.labels}
    for name in sorted(set(pathologies[truth.labels])):
        found[name] = truth.labels & (pathologies == name)
    return found


def _pixels(truth: Truth, test: MapReader, threshold: float) -> PixelEvidence:
    known = truth.has_pixel_truth
    tallies: dict[str, Tally] = {}
    above, sizes = np.zeros((len(truth), 2), np.int64), np.zeros((len(truth), 2), np.int64)
    for name, members in groups(truth).items():
        counter = PixelCounter()
        for rows in blocks(np.flatnonzero(members & known)):
            maps, masks, counted = test.maps(rows), truth.masks[rows], test.counted(rows)
            counter.add(maps[counted], masks[counted])
            for side, pixels in enumerate((counted & ~masks, counted & masks)):
                sizes[rows, side] = pixels.sum(axis=(1, 2))
                above[rows, side] = (pixels & (maps > threshold)).sum(axis=(1, 2))
        tallies[name] = counter.tally()
    return PixelEvidence(tallies, _binned(truth, test, sum_of(tallies.values())), above, sizes)


def _binned(truth: Truth, test: MapReader, counts: Tally) -> Int[np.ndarray, "n 2 k"]:
    if not counts.anomalous.any():
        return np.zeros((len(truth), 2, 1), np.int64)
    bins = Bins(counts)
    binned = np.zeros((len(truth), 2, bins.count), np.int64)
    for rows in blocks(np.flatnonzero(truth.has_pixel_truth)):
        for row, one, mask, used in zip(rows, test.maps(rows), truth.masks[rows], test.counted(rows), strict=True):
            places = bins.of(one[used])
            binned[row, 1] = np.bincount(places[mask[used]], minlength=bins.count)
            binned[row, 0] = np.bincount(places, minlength=bins.count) - binned[row, 1]
    return binned


def _boxes(truth: Truth, test: MapReader, threshold: float) -> BoxEvidence:
    images, detected, f1 = [], [], []
    for rows in blocks(np.unique(truth.box_images)):
        for row, anomaly_map in zip(rows, test.maps(rows), strict=True):
            boxes = truth.boxes[truth.box_images == row]
            for case in box_cases(anomaly_map, boxes, test.foreground[row], threshold):
                images.append(row)
                detected.append(case.detected)
                f1.append(case.f1)
    return BoxEvidence(np.array(images, np.int64), np.array(detected, bool), np.array(f1, np.float64))
