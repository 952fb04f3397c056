"""Box localisation: F1 of annotated boxes at a threshold from healthy images. One box = one case."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics.counting import Tally, rounded

DETECTED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class BoxCase:
    """One box: whether it was detected, and its F1 in [0, 1]."""

    detected: bool
    f1: float


def pixels_in(box: Float[np.ndarray, " 4"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels whose centre lies in the box (x, y, w, h); a box without a centre takes the nearest pixel.

    Source: protocols, "Units and pooling".
    """
    x, y, w, h = (float(side) for side in box)
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside_x = (columns >= x) & (columns < x + w)
    inside_y = (rows >= y) & (rows < y + h)
    if not inside_x.any():
        inside_x[np.argmin(np.abs(columns - (x + w / 2)))] = True
    if not inside_y.any():
        inside_y[np.argmin(np.abs(rows - (y + h / 2)))] = True
    return inside_y[:, None] & inside_x[None, :]


def box_cases(
    anomaly_map: Float32[np.ndarray, "h w"],
    boxes: Float32[np.ndarray, "b 4"],
    foreground: Bool[np.ndarray, "h w"],
    threshold: float,
) -> list[BoxCase]:
    """Every box of one image as a case, by counts.

    With H and A the numbers of pixels above t in healthy tissue (foreground outside all boxes) and in the box:
    TP = 1 if A >= 10 % of the box, FP = H / A, P = TP / (TP + FP), F1 = 2 P TP / (P + TP), so 2 / (2 + FP) or 0.

    Source: RA, MIDL 2023, sec. 4.2 and App. C.3; counts of pixels instead of sums of scores, so that F1 does not
    depend on the map's scale.
    """
    found = anomaly_map > threshold
    areas, healthy = _places(boxes, foreground)
    return [_case(found, area, found, healthy) for area in areas]


def box_cases_paper(
    anomaly_map: Float32[np.ndarray, "h w"],
    boxes: Float32[np.ndarray, "b 4"],
    foreground: Bool[np.ndarray, "h w"],
    threshold: float,
) -> list[BoxCase]:
    """Every box of one image as a case, by sums: as `box_cases`, but H and A add up the map's values above t.

    Depends on the scale of the map; only to compare with published numbers.

    Source: RA, MIDL 2023, sec. 4.2 and App. C.3, fig. 7.

    Raises:
        UndefinedMetricError: A threshold below 0, where sums of scores mean nothing.
    """
    if threshold < 0:
        raise UndefinedMetricError(
            f"box_f1_paper: the threshold is {threshold:g}; sums of negative scores have no sense."
        )
    found = anomaly_map > threshold
    areas, healthy = _places(boxes, foreground)
    return [_case(found, area, np.where(found, anomaly_map.astype(np.float64), 0), healthy) for area in areas]


def box_cases_code(
    anomaly_map: Float32[np.ndarray, "h w"],
    boxes: Float32[np.ndarray, "b 4"],
    foreground: Bool[np.ndarray, "h w"],
    threshold: float,
) -> list[BoxCase]:
    """Every box of one image as a case, as the published code counts.

    Values >= t are kept; TP needs strictly more than 10 % of the box; FP = floor(H / max(A, 1)) with sums of scores.
    Depends on the scale of the map; only to compare with published numbers.

    Source: RA, MIDL 2023, published evaluation. Deviates: the box is the pixels whose centre it holds, not an
    interpolated mask.
    """
    kept = np.where(anomaly_map >= threshold, anomaly_map.astype(np.float64), 0)
    areas, healthy = _places(boxes, foreground)
    cases = []
    for area in areas:
        false = false_positives_code(float(kept[healthy].sum()), float(kept[area].sum()))
        detected = int((kept[area] != 0).sum()) > DETECTED_SHARE * int(area.sum())
        cases.append(BoxCase(detected, 2 / (2 + false) if detected else 0.0))
    return cases


def false_positives_paper(healthy: float, anomalous: float) -> float:
    """FP = H / A from the sums above the threshold in healthy tissue and in the box.

    Source: RA, MIDL 2023, App. C.3.

    Raises:
        UndefinedMetricError: Nothing above the threshold in the box.
    """
    if not anomalous > 0:
        raise UndefinedMetricError("box_f1_paper: nothing above the threshold in the box; H / A has no value.")
    return healthy / anomalous


def false_positives_code(healthy: float, anomalous: float) -> int:
    """FP = floor(H / max(A, 1)) from the sums above the threshold in healthy tissue and in the box.

    Source: RA, MIDL 2023, published evaluation; the worked example of fig. 7 is floored as well.
    """
    return math.floor(healthy / max(anomalous, 1.0))


def threshold_on_grid(counts: Tally, fpr: float) -> float:
    """The smallest of 0, 0.001, ..., 0.999 with at most that share of the healthy pixels above it.

    Source: RA, MIDL 2023, published evaluation (threshold search); images of one size, so that the mean over images
    is the share over pixels.

    Raises:
        UndefinedMetricError: Even 0.999 lets more pixels through: the map is not on the scale that the grid is for.
    """
    grid = np.arange(1000) / 1000
    total = int(counts.healthy.sum())
    below = np.concatenate([[0], np.cumsum(counts.healthy)])[np.searchsorted(counts.values, grid, side="right")]
    fitting = np.flatnonzero(total - below <= fpr * total)
    if not total or not len(fitting):
        raise UndefinedMetricError(
            "box_f1_code: no threshold up to 0.999 reaches that rate; the map is on another scale."
        )
    return float(grid[fitting[0]])


def _places(boxes: np.ndarray, foreground: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The pixels of each box, and healthy tissue: the foreground outside all of them."""
    areas = [pixels_in(box, *foreground.shape) for box in boxes]
    return areas, foreground & ~np.logical_or.reduce(areas) if areas else foreground


def _case(found: np.ndarray, area: np.ndarray, amount: np.ndarray, healthy: np.ndarray) -> BoxCase:
    """A case whose H and A are amounts, and which is detected by the number of pixels found."""
    true = float(amount[area].sum())
    detected = true > 0 and int(found[area].sum()) >= DETECTED_SHARE * int(area.sum())
    return BoxCase(detected, 2 / (2 + false_positives_paper(float(amount[healthy].sum()), true)) if detected else 0.0)


def box_f1(
    maps: Float32[np.ndarray, "n h w"],
    boxes: Float32[np.ndarray, "b 4"],
    box_images: np.ndarray,
    foreground: Bool[np.ndarray, "n h w"],
    threshold: float,
) -> float:
    """Mean F1 over boxes in [0, 1]; `box_images` is the index of the image of each box.

    Maps are first rounded to 13 mantissa bits, as they are stored and as `threshold_at_fpr` rounds them.

    Source: RA, MIDL 2023, sec. 4.2; see `box_cases` for the deviation.

    Raises:
        InvalidDataError: Shapes that disagree.
        UndefinedMetricError: No box.
    """
    if np.shape(maps) != np.shape(foreground) or len(boxes) != len(box_images):
        raise InvalidDataError(
            f"box_f1: maps {np.shape(maps)}, foreground {np.shape(foreground)}, {len(boxes)} boxes in "
            f"{len(box_images)} images disagree. Give one foreground per map and one image per box."
        )
    if not len(boxes):
        raise UndefinedMetricError("box_f1: no box; the mean over boxes has no value.")
    images, stored = np.unique(box_images), rounded(maps)
    cases = [case for i in images for case in box_cases(stored[i], boxes[box_images == i], foreground[i], threshold)]
    return float(np.mean([case.f1 for case in cases]))
