"""Boxes as detection people expect them: boxes of connected components against annotated boxes, matched by overlap."""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics.counting import rounded
from uadbench.metrics.region import regions

MATCH_IOU = 0.3
Boxes = Float[np.ndarray, "b 4"]


def boxes_of(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "b 4"]:
    """The tight box (x, y, w, h) in pixels of each 8-connected component, in the order of their first pixel.

    Source: a pixel is the unit square to the right of and below its index.
    """
    from scipy.ndimage import find_objects

    numbered, areas = regions(mask)
    found = find_objects(numbered, max_label=len(areas))
    sides = [(x.start, y.start, x.stop - x.start, y.stop - y.start) for y, x in found]
    return np.array(sides, np.float32).reshape(-1, 4)


def iou(first: Boxes, second: Float[np.ndarray, "d 4"]) -> Float[np.ndarray, "b d"]:
    """Intersection over union of every box of one list with every box of the other, in [0, 1].

    Source: Everingham et al., IJCV 2010, sec. 4.2.
    """
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    corner = np.maximum(a[..., :2], b[..., :2])
    side = np.clip(np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - corner, 0, None)
    shared = side.prod(axis=-1)
    whole = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def matches(
    anomaly_map: Float32[np.ndarray, "h w"], boxes: Boxes, threshold: float, least_iou: float = MATCH_IOU
) -> Int[np.ndarray, " 3"]:
    """True positives, false positives and false negatives of one image.

    Source: as `matching`.
    """
    found, false = matching(anomaly_map, boxes, np.zeros((0, 4)), threshold, least_iou)
    return np.array([found.sum(), false, (~found).sum()])


def matching(
    anomaly_map: Float32[np.ndarray, "h w"],
    boxes: Boxes,
    ignored: Float[np.ndarray, "i 4"],
    threshold: float,
    least_iou: float = MATCH_IOU,
) -> tuple[Bool[np.ndarray, " b"], int]:
    """Which annotated boxes of one image are found, and how many components of the map are false.

    The components of `map > t`, the one with the highest value first, each take the free annotated box that they
    overlap most, if the overlap reaches `least_iou`; one that takes none and overlaps an ignored box as much is not
    false.

    Source: Everingham et al., IJCV 2010, sec. 4.2 (greedy assignment by confidence; "difficult" objects neither count
    nor make a detection false), at IoU 0.3.
    """
    found = anomaly_map > threshold
    numbered, areas = regions(found)
    peaks = np.full(len(areas) + 1, -np.inf)
    np.maximum.at(peaks, numbered[found], anomaly_map[found])
    components = boxes_of(found)
    overlap, excused = iou(components, boxes), np.any(iou(components, ignored) >= least_iou, axis=1)
    free, false = np.ones(len(boxes), bool), 0
    for component in np.argsort(-peaks[1:], kind="stable"):
        overlaps = np.where(free, overlap[component], -1.0)
        if len(boxes) and overlaps.max() >= least_iou:
            free[np.argmax(overlaps)] = False
        elif not excused[component]:
            false += 1
    return ~free, false


def box_iou_f1(
    maps: Float[np.ndarray, "n h w"], boxes: Boxes, box_images: Int[np.ndarray, " b"], threshold: float
) -> float:
    """F1 = 2 TP / (2 TP + FP + FN) over all images given, healthy ones too, in [0, 1].

    Source: protocols, "Metrics": boxes of connected components above t, greedy match at IoU >= 0.3.

    Raises:
        InvalidDataError: A box without the row of its map.
        UndefinedMetricError: No box to find and none found.
    """
    stored, rows = rounded(maps), np.asarray(box_images)
    if len(boxes) != len(rows) or not np.isin(rows, np.arange(len(stored))).all():
        raise InvalidDataError(
            f"box_iou_f1: {len(boxes)} boxes in the images {rows.tolist()[:8]} of {len(stored)}. "
            "Give the row of its map for each box."
        )
    counts = sum(matches(one, boxes[rows == row], threshold) for row, one in enumerate(stored))
    true, false, missed = np.zeros(3, int) + counts
    if not true + false + missed:
        raise UndefinedMetricError("box_iou_f1: no box to find and none found; 0/0 has no value.")
    return float(2 * true / (2 * true + false + missed))
