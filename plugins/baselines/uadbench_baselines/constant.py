"""Constant: every pixel and every image gets 0.

Image AUROC must be 0.5 and pixel AP the prevalence, or the metric is wrong.

Source: definition.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uadbench.types import FitContext, Images, ImageSource, Prediction


@dataclass(frozen=True)
class Constant:
    """map = 0, score = 0. Learns nothing, so it is its own detector."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Constant":
        return self

    def predict(self, images: Images) -> Prediction:
        n, _, h, w = images.pixels.shape
        return Prediction(np.zeros((n, h, w), np.float32), np.zeros(n))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def load(cls, folder: Path, device: str) -> "Constant":
        return cls()
