"""PCA residual: distance to the projection on the principal components of healthy images.

Source: Jackson and Mudholkar, Technometrics 1979 (the residual of a PCA as a statistic for monitoring).
Deviates: the map keeps |residual| per pixel; the score is its mean, not the sum of squares.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from sklearn.decomposition import PCA

from uadbench.errors import InvalidDataError
from uadbench.types import FitContext, Images, ImageSource, Prediction
from uadbench_baselines._maps import grey, require_shape, scored_by_mean
from uadbench_baselines._storage import load_arrays, save_arrays


@dataclass(frozen=True)
class PCAResidual:
    """map = |x - PCA reconstruction of x|. At most `images` training images, evenly spaced, bound the memory."""

    components: int = 32
    images: int = 1000

    def __post_init__(self) -> None:
        if self.components < 1 or self.images < 2:
            raise ValueError(f"components={self.components} and images={self.images}. Give at least 1 and 2.")

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "PCAResidualDetector":
        vectors = evenly_spaced(train, self.images)  # (n, c*h*w)
        if len(vectors) < 2:
            raise InvalidDataError(f"pca-residual: {len(vectors)} training images have no variance. Give at least 2.")
        # n centred images span n - 1 directions. The full solver draws no random numbers.
        components = min(self.components, len(vectors) - 1, vectors.shape[1])
        pca = PCA(components, svd_solver="full").fit(vectors)
        mean, basis = pca.mean_.astype(np.float32), pca.components_.astype(np.float32)
        return PCAResidualDetector(mean.reshape(train.shape), basis)

    @classmethod
    def load(cls, folder: Path, device: str) -> "PCAResidualDetector":
        return PCAResidualDetector(**load_arrays(folder))


@dataclass(frozen=True)
class PCAResidualDetector:
    """Remembers the mean healthy image and the principal components."""

    mean: Float32[np.ndarray, "c h w"]
    basis: Float32[np.ndarray, "k p"]

    def predict(self, images: Images) -> Prediction:
        require_shape("pca-residual", images, self.mean.shape)
        # One image at a time: a matrix product may round differently for another number of rows.
        reconstructions = np.stack([self.reconstruct(image) for image in images.pixels])
        return scored_by_mean(grey(np.abs(images.pixels - reconstructions)), reconstructions)

    def reconstruct(self, image: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "c h w"]:
        """The nearest image in the span of the components."""
        weights = self.basis @ (image - self.mean).ravel()  # (k,)
        return self.mean + (weights @ self.basis).reshape(self.mean.shape)

    def save(self, folder: Path) -> None:
        save_arrays(folder, {"mean": self.mean, "basis": self.basis})


def evenly_spaced(source: ImageSource, limit: int) -> Float32[np.ndarray, "n p"]:
    """At most `limit` images of a split as vectors, first and last included."""
    rows = np.linspace(0, len(source) - 1, min(len(source), limit)).round().astype(int)
    return np.concatenate([source[row : row + 1].pixels.reshape(1, -1) for row in rows])
