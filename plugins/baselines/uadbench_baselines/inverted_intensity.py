"""Inverted intensity: the negative image is the map. Finds dark lesions only.

Its AUROC is exactly 1 - that of `intensity`, ties included, because map and score are its exact negatives.

Source: definition.
"""

from dataclasses import dataclass
from pathlib import Path

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, scored_by_mean


@dataclass(frozen=True)
class InvertedIntensity:
    """map = -x, score = its mean. Learns nothing, so it is its own detector."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "InvertedIntensity":
        return self

    def predict(self, images: Images) -> Prediction:
        # Rounding to nearest even is symmetric about 0, so the mean of -x is -(mean of x) to the last bit;
        # 1 - x would round differently and break ties.
        return scored_by_mean(-grey(images.pixels))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def load(cls, folder: Path, device: str) -> "InvertedIntensity":
        return cls()
