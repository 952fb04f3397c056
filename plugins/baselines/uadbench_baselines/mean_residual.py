"""Mean residual: distance to the mean healthy image.

Source: definition.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, require_shape, scored_by_mean
from uadbench_baselines._storage import load_arrays, save_arrays

CHUNK = 64  # images in memory at once


@dataclass(frozen=True)
class MeanResidual:
    """map = |x - mean of train|, score = its mean."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "MeanResidualDetector":
        return MeanResidualDetector(mean_image(train))

    @classmethod
    def load(cls, folder: Path, device: str) -> "MeanResidualDetector":
        return MeanResidualDetector(**load_arrays(folder))


@dataclass(frozen=True)
class MeanResidualDetector:
    """Remembers the mean healthy image."""

    mean: Float32[np.ndarray, "c h w"]

    def predict(self, images: Images) -> Prediction:
        require_shape("mean-residual", images, self.mean.shape)
        return scored_by_mean(grey(np.abs(images.pixels - self.mean)))

    def save(self, folder: Path) -> None:
        save_arrays(folder, {"mean": self.mean})


def mean_image(source: ImageSource) -> Float32[np.ndarray, "c h w"]:
    """Mean over all images of a split, read chunk by chunk."""
    total = np.zeros(source.shape)
    for start in range(0, len(source), CHUNK):
        total += source[start : start + CHUNK].pixels.sum(axis=0, dtype=np.float64)
    return (total / len(source)).astype(np.float32)
