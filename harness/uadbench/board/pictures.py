"""Pictures: a method's best, median and worst anomalous test image, so that a reader sees what a number means."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uadbench.board.drawing import Colours, grey, outlined, small_png, veiled
from uadbench.files.images import Dataset
from uadbench.files.predictions import PredictionFile, StoredPredictions
from uadbench.files.truth import TruthFile
from uadbench.metrics.counting import PixelCounter, Tally, auroc, average_precision, tally
from uadbench.types import Truth

CASES = ("best", "median", "worst")
MOST_BYTES = 20_000
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Picture:
    """One case of a method: three PNGs in base64 (the image, the map over it, the truth on it) and how it did.

    `measure` names what `value` in [0, 1] is: the image's own pixel AP, or where it has no mask the share of healthy
    images with a lower anomaly score.
    """

    case: str
    id: str
    pathology: str
    measure: str
    value: float
    image: str
    overlay: str
    truth: str


def pictures(images: Dataset, truth: TruthFile, predictions: PredictionFile) -> tuple[Picture, ...]:
    """The best, median and worst anomalous test image, maps on one scale for the method.

    The scale goes from the median of healthy validation maps to the 99.5th percentile of test maps.
    """
    known, predicted = truth["test"], predictions["test"]
    measure, values = _values(known, predicted)
    order = sorted(values, key=lambda row: (-values[row], known.ids[row]))
    low = _quantile(predictions["val"], 0.5)
    high = _quantile(predicted, 0.995)
    chosen = dict.fromkeys([order[0], order[len(order) // 2], order[-1]] if order else [])
    found = []
    for case, row in zip(CASES if len(chosen) == 3 else ("best", "worst"), chosen, strict=False):
        pixels = images["test"][row : row + 1].pixels[0]
        place = predicted.ids.index(known.ids[row])
        parts = (
            grey(pixels),
            veiled(pixels, predicted.maps(slice(place, place + 1))[0], low, high),
            outlined(pixels, known.masks[row], known.boxes[known.box_images == row]),
        )
        encoded = (_base64(part) for part in parts)
        found.append(Picture(case, known.ids[row], known.pathologies[row], measure, values[row], *encoded))
    return tuple(found)


def _values(truth: Truth, predicted: StoredPredictions) -> tuple[str, dict[int, float]]:
    """What the anomalous images are ordered by, and its value for each row of the truth."""
    places = {identity: place for place, identity in enumerate(predicted.ids)}
    rows = [row for row in np.flatnonzero(truth.labels).tolist() if truth.ids[row] in places]
    masked = [row for row in rows if truth.annotations[row] == "mask"]
    if masked:
        aps = {}
        for row in masked:
            place = places[truth.ids[row]]
            counts = tally(predicted.maps(slice(place, place + 1))[0], truth.masks[row])
            aps[row] = float(average_precision(counts.healthy, counts.anomalous))
        return "pixel AP", aps
    healthy = [
        predicted.scores[places[truth.ids[row]]] for row in np.flatnonzero(~truth.labels) if truth.ids[row] in places
    ]
    return "healthy images below", {
        row: _share_below(healthy, predicted.scores[places[truth.ids[row]]]) for row in rows
    }


def _share_below(healthy: list[float], score: float) -> float:
    if not healthy:
        return 0.5
    counts = tally(np.array([*healthy, score]), np.array([False] * len(healthy) + [True]))
    return float(auroc(counts.healthy, counts.anomalous))


def _quantile(predicted: StoredPredictions, share: float) -> float:
    """The smallest map value that at least this share of pixels does not exceed, counted block by block."""
    counts = _tally(predicted)
    upto = np.cumsum(counts.healthy)
    return float(counts.values[np.searchsorted(upto, share * upto[-1])])


def _tally(predicted: StoredPredictions) -> Tally:
    counter = PixelCounter()
    for block in _blocks(predicted):
        counter.add(block)
    return counter.tally()


def _blocks(predicted: StoredPredictions) -> Iterator[np.ndarray]:
    for start in range(0, len(predicted), _BLOCK):
        yield predicted.maps(slice(start, start + _BLOCK))


def _base64(picture: Colours) -> str:
    return base64.b64encode(small_png(picture, MOST_BYTES)).decode("ascii")
