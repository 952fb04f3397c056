"""Boxes of several readers: those that mark one finding become one box."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from uadbench.datasets.importing.items import Box

# The overlap at which a board's `box_iou_f1` takes two boxes for the same.
SAME = 0.3


@dataclass(frozen=True, slots=True)
class Mark:
    """A box, x, y, w, h in pixels, that a reader drew for a finding."""

    reader: str
    finding: str
    box: Box


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def merged(marks: Iterable[Mark]) -> list[tuple[str, Box]]:
    """Finding and box of each lesion: in the order of readers, a box joins the lesion of its finding that it overlaps
    most, if by `SAME` or more and no box of that reader is in it; the lesion's box is the mean of its boxes."""
    lesions: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda one: (one.reader, one.finding, one.box)):
        open_ = [
            lesion
            for lesion in lesions
            if lesion[0].finding == mark.finding and all(one.reader != mark.reader for one in lesion)
        ]
        nearest = max(open_, key=lambda lesion: iou(_mean(lesion), mark.box), default=None)
        if nearest is not None and iou(_mean(nearest), mark.box) >= SAME:
            nearest.append(mark)
        else:
            lesions.append([mark])
    return sorted((lesion[0].finding, _mean(lesion)) for lesion in lesions)


def _mean(lesion: Sequence[Mark]) -> Box:
    x, y, w, h = np.mean([mark.box for mark in lesion], axis=0).tolist()
    return x, y, w, h
