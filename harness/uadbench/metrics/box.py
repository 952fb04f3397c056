"""Box localisation: F1 of annotated boxes at a threshold from healthy images. One box = one case."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.metrics.counting import rounded

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
    """Every box of one image as a case.

    With H and A the numbers of pixels above t in healthy tissue (foreground outside all boxes) and in the box:
    TP = 1 if A >= 10 % of the box, FP = H / A, P = TP / (TP + FP), F1 = 2 P TP / (P + TP), so 2 / (2 + FP) or 0.

    Source: RA, MIDL 2023, sec. 4.2 and App. C.3; counts of pixels instead of sums of scores, so that F1 does not
    depend on the map's scale.
    """
    found = anomaly_map > threshold
    areas = [pixels_in(box, *anomaly_map.shape) for box in boxes]
    healthy = foreground & ~np.logical_or.reduce(areas) if areas else foreground
    false = int((found & healthy).sum())
    cases = []
    for area in areas:
        true = int((found & area).sum())
        detected = true > 0 and true >= DETECTED_SHARE * int(area.sum())
        cases.append(BoxCase(detected, 2 / (2 + false / true) if detected else 0.0))
    return cases


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
