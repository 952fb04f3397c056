"""Random: uniform noise in [0, 1), the same for the same image and seed.

Source: definition.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import scored_by_mean
from uadbench_baselines._storage import load_params, save_params


@dataclass(frozen=True)
class Random:
    """map ~ U[0, 1) per pixel, score = its mean."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "RandomDetector":
        return RandomDetector(context.seed)

    @classmethod
    def load(cls, folder: Path, device: str) -> "RandomDetector":
        return RandomDetector(**load_params(folder))


@dataclass(frozen=True)
class RandomDetector:
    """Draws each map from (seed, image content), so that batch and order do not matter."""

    seed: int

    def predict(self, images: Images) -> Prediction:
        n, _, h, w = images.pixels.shape
        maps = np.empty((n, h, w), np.float32)
        for row, image in enumerate(images.pixels):
            maps[row] = self._generator(image).random((h, w), dtype=np.float32)
        return scored_by_mean(maps)

    def _generator(self, image: Float32[np.ndarray, "c h w"]) -> np.random.Generator:
        content = int.from_bytes(hashlib.sha256(image.tobytes()).digest(), "big")
        return np.random.default_rng([self.seed, content])

    def save(self, folder: Path) -> None:
        save_params(folder, {"seed": self.seed})
