"""Box evidence: every annotated box as a case, in the variants of box F1, and matches of component boxes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.evidence.reading import MapReader, blocks
from uadbench.evidence.thresholds import Thresholds
from uadbench.metrics.box import BoxCase, box_cases, box_cases_code, box_cases_paper
from uadbench.metrics.detection import matches
from uadbench.types import Truth

Cases = Callable[[np.ndarray, np.ndarray, np.ndarray, float], list[BoxCase]]

VARIANTS: Mapping[str, tuple[str, Cases]] = {
    "box_f1": ("frame5", box_cases),
    "box_f1_foreground": ("foreground5", box_cases),
    "box_f1_paper": ("frame5", box_cases_paper),
    "box_f1_code": ("grid5", box_cases_code),
}


@dataclass(frozen=True, slots=True)
class BoxCases:
    """Per box of one variant: whether it was detected, its F1 in [0, 1]; and the threshold that decided."""

    threshold: float
    detected: Bool[np.ndarray, " b"]
    f1: Float[np.ndarray, " b"]


@dataclass(frozen=True, slots=True)
class BoxEvidence:
    """`images` holds the row of each box; `variants` that have a value; `matched` per image TP, FP, FN of boxes.

    `searched` marks the images whose boxes are known: the healthy ones, which have none, and those with boxes.
    """

    images: Int[np.ndarray, " b"]
    variants: Mapping[str, BoxCases]
    searched: Bool[np.ndarray, " n"]
    matched: Int[np.ndarray, "n 3"]


def boxes_of_maps(truth: Truth, test: MapReader, thresholds: Thresholds) -> BoxEvidence:
    """The box evidence of all test maps."""
    boxed = np.zeros(len(truth), bool)
    boxed[truth.box_images] = True
    searched = (boxed | ~truth.labels) & boxed.any()
    matched = np.zeros((len(truth), 3), np.int64)
    cases: dict[str, list[BoxCase]] = {name: [] for name in _defined(thresholds)}
    images: list[int] = []
    for rows in blocks(np.flatnonzero(searched)):
        for row, one in zip(rows, test.maps(rows), strict=True):
            boxes = truth.boxes[truth.box_images == row]
            matched[row] = matches(one, boxes, thresholds.frame5)
            if len(boxes):
                images += [int(row)] * len(boxes)
                for name, threshold in _defined(thresholds).items():
                    cases[name] += VARIANTS[name][1](one, boxes, test.foreground[row], threshold)
    variants = {name: _cases(_defined(thresholds)[name], found) for name, found in cases.items()}
    return BoxEvidence(np.array(images, np.int64), variants, searched, matched)


def _defined(thresholds: Thresholds) -> dict[str, float]:
    """The variants that have a threshold, and it; sums of scores need one that is not negative."""
    found = {name: getattr(thresholds, which) for name, (which, _) in VARIANTS.items()}
    return {
        name: float(threshold)
        for name, threshold in found.items()
        if threshold is not None and not (name == "box_f1_paper" and threshold < 0)
    }


def _cases(threshold: float, found: list[BoxCase]) -> BoxCases:
    detected = np.array([case.detected for case in found], bool)
    return BoxCases(threshold, detected, np.array([case.f1 for case in found], np.float64))
