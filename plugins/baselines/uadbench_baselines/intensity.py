"""Intensity: the image itself is the map. Finds bright lesions only.

Source: Meissen et al., MICCAI BrainLes 2021, arXiv:2109.06023 (thresholding FLAIR images).
Deviates: no histogram equalisation (that is hist-eq) and no filter on connected components.
"""

from dataclasses import dataclass
from pathlib import Path

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, scored_by_mean


@dataclass(frozen=True)
class Intensity:
    """map = x, score = its mean. Learns nothing, so it is its own detector."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Intensity":
        return self

    def predict(self, images: Images) -> Prediction:
        return scored_by_mean(grey(images.pixels))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def load(cls, folder: Path, device: str) -> "Intensity":
        return cls()
