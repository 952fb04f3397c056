"""Box evidence: every annotated box as a case, in the variants of box F1, and matches of component boxes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.evidence.reading import MapReader, blocks
from uadbench.evidence.thresholds import Thresholds
from uadbench.metrics.box import BoxCase, box_cases, box_cases_code, box_cases_paper, pixels_in
from uadbench.metrics.detection import matching
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
    """`images` holds the row of each box, `classes` its class where boxes have one; `variants` that have a value.

    `searched` marks the images whose boxes are known: the healthy ones, which have none, and those with boxes. `found`
    are the boxes that a component box matches, `false` counts per image the component boxes that match nothing.
    """

    images: Int[np.ndarray, " b"]
    classes: tuple[str, ...]
    variants: Mapping[str, BoxCases]
    searched: Bool[np.ndarray, " n"]
    found: Bool[np.ndarray, " b"]
    false: Int[np.ndarray, " n"]


def boxes_of_maps(truth: Truth, test: MapReader, thresholds: Thresholds) -> BoxEvidence:
    """The box evidence of all test maps. Ignored boxes are neither searched for nor healthy tissue."""
    boxed = np.zeros(len(truth), bool)
    boxed[truth.box_images] = True
    searched = (boxed | ~truth.labels) & boxed.any()
    false = np.zeros(len(truth), np.int64)
    cases: dict[str, list[BoxCase]] = {name: [] for name in _defined(thresholds)}
    order, found = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for rows in blocks(np.flatnonzero(searched)):
        for row, one in zip(rows, test.maps(rows), strict=True):
            order.append(np.flatnonzero(truth.box_images == row))
            boxes, ignored = truth.boxes[order[-1]], truth.ignored[truth.ignored_images == row]
            matched, false[row] = matching(one, boxes, ignored, thresholds.frame5)
            found.append(matched)
            if len(boxes):
                body = _without(test.foreground[row], ignored)
                for name, threshold in _defined(thresholds).items():
                    cases[name] += VARIANTS[name][1](one, boxes, body, threshold)
    places = np.concatenate(order)
    return BoxEvidence(
        images=truth.box_images[places].astype(np.int64),
        classes=tuple(truth.box_pathologies[place] for place in places) if truth.box_pathologies else (),
        variants={name: _cases(_defined(thresholds)[name], some) for name, some in cases.items()},
        searched=searched,
        found=np.concatenate(found),
        false=false,
    )


def _without(body: Bool[np.ndarray, "h w"], ignored: Float[np.ndarray, "i 4"]) -> Bool[np.ndarray, "h w"]:
    """The body outside ignored boxes."""
    return body & ~np.logical_or.reduce([pixels_in(box, *body.shape) for box in ignored]) if len(ignored) else body


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
