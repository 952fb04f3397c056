"""Evidence: everything that scoring needs of one prediction file, counted once from the maps.

`reading` brings maps, foreground and truth together by row; `thresholds` come from healthy images; `pixels`, `boxes`
and `reconstructions` hold what the metrics on these are counted from.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from uadbench.evidence.boxes import BoxEvidence, boxes_of_maps
from uadbench.evidence.pixels import PixelEvidence, pixels_of_maps
from uadbench.evidence.reading import HEALTHY, MapReader, groups, shown
from uadbench.evidence.reconstructions import ReconstructionEvidence, reconstructions_of
from uadbench.evidence.thresholds import Thresholds, healthy_thresholds
from uadbench.types import Truth

__all__ = ["HEALTHY", "Evidence", "MapReader", "Thresholds", "gather", "groups", "healthy_thresholds", "shown"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores, subjects and counts of the test images, in the order of the truth file."""

    truth: Truth
    scores: Float[np.ndarray, " n"]
    subject_of: Int[np.ndarray, " n"]
    thresholds: Thresholds
    pixels: PixelEvidence
    boxes: BoxEvidence
    reconstructions: ReconstructionEvidence | None

    @property
    def subjects(self) -> int:
        """Number of test subjects."""
        return int(self.subject_of.max()) + 1


def gather(truth: Truth, test: MapReader, thresholds: Thresholds) -> Evidence:
    """All evidence of a prediction against the truth of the test split."""
    _, subject_of = np.unique(np.array(truth.subjects), return_inverse=True)
    return Evidence(
        truth=truth,
        scores=test.scores,
        subject_of=subject_of,
        thresholds=thresholds,
        pixels=pixels_of_maps(truth, test, thresholds, subject_of),
        boxes=boxes_of_maps(truth, test, thresholds),
        reconstructions=reconstructions_of(truth, test),
    )
