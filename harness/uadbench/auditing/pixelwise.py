"""Single pixels that tell the label: a burned-in mark, a border, a corner that one source of images leaves white."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.special import stdtr

from uadbench.auditing.describing import SIDE, block_means
from uadbench.auditing.measuring import CHANCE, by_rank
from uadbench.auditing.records import Shortcut
from uadbench.metrics import image_auroc

TELLING = 0.95
STRONGEST = 64  # pixels whose AUROC is taken exactly
_STEP = 1 / 255  # of 8 bits: few images often have the same one, which is no sign that a pixel never varies


@dataclass(slots=True)
class PixelSums:
    """Sums and squares of every pixel over healthy and over anomalous images; of 64 x 64 blocks where sizes differ."""

    shape: tuple[int, int] | None = None
    blocks: Float64[np.ndarray, "2 2 64 64"] = field(default_factory=lambda: np.zeros((2, 2, SIDE, SIDE)))
    pixels: Float64[np.ndarray, "2 2 h w"] | None = None
    counts: Int64[np.ndarray, " 2"] = field(default_factory=lambda: np.zeros(2, np.int64))

    def add(self, pixels: Float32[np.ndarray, "n h w"], labels: Bool[np.ndarray, " n"]) -> None:
        """Add a batch of images of one size."""
        size = (pixels.shape[1], pixels.shape[2])
        if self.shape is None:
            self.shape, self.pixels = size, np.zeros((2, 2, *size))
        if self.shape != size:
            self.pixels = None
        coarse = block_means(pixels)
        for label in (0, 1):
            chosen = labels == bool(label)
            self.counts[label] += chosen.sum()
            _add(self.blocks[label], coarse[chosen])
            if self.pixels is not None:
                _add(self.pixels[label], pixels[chosen])

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the common grid: that of the images, or 64 x 64 where they differ."""
        return (SIDE, SIDE) if self.pixels is None or self.shape is None else self.shape

    def strongest(self) -> tuple[Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """The flat places where the means of the labels lie farthest apart, and how far in standard deviations."""
        sums = self.blocks if self.pixels is None else self.pixels
        mean, square = (sums / self.counts[:, None, None, None]).swapaxes(0, 1)  # (2, 2, h, w): moment, label
        spread = np.sqrt(np.maximum(square - mean**2, 0).mean(axis=0))
        distance = (np.abs(mean[1] - mean[0]) / np.sqrt(spread**2 + _STEP**2)).ravel()
        places = np.argsort(-distance, kind="stable")[:STRONGEST]
        return places, distance[places]

    def values(
        self, pixels: Float32[np.ndarray, "n h w"], places: Int64[np.ndarray, " k"]
    ) -> Float32[np.ndarray, "n k"]:
        """The intensities of a batch at these places of the common grid."""
        on_grid = pixels if self.pixels is not None else block_means(pixels)
        return on_grid.reshape(len(on_grid), -1)[:, places]


def _add(sums: Float64[np.ndarray, "2 h w"], pixels: Float32[np.ndarray, "n h w"]) -> None:
    sums[0] += pixels.sum(axis=0, dtype=np.float64)
    sums[1] += np.einsum("nhw,nhw->hw", pixels, pixels, dtype=np.float64)


def pixel_shortcut(
    sums: PixelSums, values: Float32[np.ndarray, "n k"], labels: Bool[np.ndarray, " n"]
) -> tuple[Shortcut, str]:
    """The pixel that tells the labels best, and a sentence on it."""
    places, distance = sums.strongest()
    aurocs = np.array([image_auroc(column, labels) for column in values.T])
    best = int(np.argmax(np.abs(aurocs - 0.5)))
    height, width = sums.grid
    y, x = divmod(int(places[best]), width)
    healthy, anomalous = int((~labels).sum()), int(labels.sum())
    auroc = float(aurocs[best])
    telling = abs(auroc - 0.5) >= TELLING - 0.5
    # few images prove nothing by rank, but a white pixel among grey ones does by its distance
    by_chance = min(by_rank(auroc, healthy, anomalous), _by_distance(float(distance[best]), healthy, anomalous))
    unit = "pixel" if sums.pixels is not None else "block"
    where = f"{unit} (x {x}, y {y}) of {width} x {height}"
    means = [values[labels == label, best].mean() for label in (False, True)]
    sentence = (
        f"The {where} alone tells healthy from anomalous test images: AUROC {auroc:.3f}, mean intensity "
        f"{means[0]:.3f} in {healthy:,} healthy and {means[1]:.3f} in {anomalous:,} anomalous images."
    )
    flagged = telling and by_chance * height * width < CHANCE
    return Shortcut(where, auroc, healthy, anomalous, flagged=flagged), sentence


def _by_distance(distance: float, healthy: int, anomalous: int) -> float:
    """The probability that a pixel that knows nothing has a distance of the means so large, by Student's t."""
    freedom = healthy + anomalous - 2
    return 2 * float(stdtr(freedom, -distance / math.sqrt(1 / healthy + 1 / anomalous))) if freedom else 1.0
