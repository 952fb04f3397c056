"""Blur residual: distance to a blurred self, the reconstruction of a model that knows only smooth images.

Source: Meissen et al., MIDL 2022, arXiv:2202.03826, experiment 1 (blur stands for imperfect reconstruction).
Deviates: the image itself is blurred, not its unknown healthy counterpart.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, scored_by_mean
from uadbench_baselines._storage import load_params, save_params


@dataclass(frozen=True)
class BlurResidual:
    """map = |x - x * Gaussian(sigma pixels)|. Learns nothing, so it is its own detector."""

    sigma: float = 2.0

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError(f"sigma is {self.sigma} pixels. Give a positive number.")

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "BlurResidual":
        return self

    def predict(self, images: Images) -> Prediction:
        blurred = gaussian_filter(images.pixels, (0, 0, self.sigma, self.sigma))  # (n, c, h, w)
        return scored_by_mean(grey(np.abs(images.pixels - blurred)))

    def save(self, folder: Path) -> None:
        save_params(folder, asdict(self))

    @classmethod
    def load(cls, folder: Path, device: str) -> "BlurResidual":
        return cls(**load_params(folder))
