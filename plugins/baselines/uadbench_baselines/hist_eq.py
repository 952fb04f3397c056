"""Histogram-equalised intensity: thresholding it beat the deep methods of its day on FLAIR images.

Source: Meissen et al., MICCAI BrainLes 2021, arXiv:2109.06023, sec. 2.
Deviates: equalised over the dataset's foreground of one image, not over the brain of a volume; no filter on
connected components.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from skimage.exposure import equalize_hist

from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, scored_by_mean
from uadbench_baselines._storage import load_params, save_params


@dataclass(frozen=True)
class HistogramEqualised:
    """map = rank of x among the foreground's intensities, in [0, 1]; 0 outside. It is its own detector."""

    bins: int = 256

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"bins is {self.bins}. Give at least 2.")

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "HistogramEqualised":
        return self

    def predict(self, images: Images) -> Prediction:
        pairs = zip(grey(images.pixels), images.foreground, strict=True)
        return scored_by_mean(np.stack([equalised(image, foreground, self.bins) for image, foreground in pairs]))

    def save(self, folder: Path) -> None:
        save_params(folder, asdict(self))

    @classmethod
    def load(cls, folder: Path, device: str) -> "HistogramEqualised":
        return cls(**load_params(folder))


def equalised(
    image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], bins: int
) -> Float32[np.ndarray, "h w"]:
    """Cumulative histogram of the foreground at each pixel's intensity, in [0, 1]; 0 outside the foreground."""
    if not foreground.any():
        return np.zeros_like(image)
    ranks: np.ndarray = equalize_hist(image, nbins=bins, mask=foreground)  # type: ignore[no-untyped-call]
    return np.where(foreground, ranks, 0).astype(np.float32)
