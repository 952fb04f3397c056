"""LPIPS of reconstructions: a learned distance to the healthy image. Beside every protocol, never ranked.

Source: Zhang et al., CVPR 2018, arXiv:1801.03924, with AlexNet: the distance `lpips-alex`. Its spatial map is averaged
over regions as in PHANES, MICCAI 2023. Deviates: no pixel of a region is left out (published code drops exact zeros);
intensities go from [0, 1] to [-1, 1], which some published numbers omit. Importing this file loads no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, Int

from uadbench.errors import MissingLibraryError
from uadbench.evidence import MapReader
from uadbench.files.images import Dataset
from uadbench.files.predictions import PredictionFile
from uadbench.files.results import Value
from uadbench.files.truth import TruthFile
from uadbench.intervals import FEWEST_SUBJECTS, per_subject, percentile_interval, resample_counts
from uadbench.measures.stratum import ratio
from uadbench.protocols import Protocol
from uadbench.torch_support.weights import SHOWN, WeightsUsed
from uadbench.torch_support.weights_manifest import shipped
from uadbench.types import Truth

if TYPE_CHECKING:
    from uadbench.torch_support.perceptual import PerceptualDistance

DISTANCE, NETWORK = "lpips-alex", "alexnet"
SMALLEST_SIDE = 31  # below it, nothing is left after the second pooling
NAMES = ("recon_lpips", "recon_lpips_inside", "recon_lpips_outside")


@dataclass(frozen=True, slots=True)
class PerceptualQuality:
    """The values for one prediction file, and the weights behind them (None where nothing was compared)."""

    values: tuple[Value, ...]
    weights: WeightsUsed | None = None

    @property
    def warning(self) -> str:
        """Empty, or that the weights are not those of the published LPIPS."""
        calibrated = shipped()[NETWORK]  # what the linear layers were fitted to
        if self.weights is None or calibrated.is_file_of(self.weights.sha256):
            return ""
        return (
            f"The weights from {self.weights.source!r} have the SHA-256 {self.weights.sha256[:SHOWN]}..., not "
            f"{calibrated.sha256[:SHOWN]}...: other weights than those LPIPS was calibrated on. Compare these values "
            "with no published ones."
        )


def perceptual_quality(
    rules: Protocol, dataset: Dataset, truth: TruthFile, predictions: PredictionFile
) -> PerceptualQuality:
    """LPIPS of healthy test images, and inside and outside the mask against the clean twin where there is one.

    Source: protocols, "Metrics" and "Statistics": means over images with 95 % subject-bootstrap intervals.

    Raises:
        MissingLibraryError: Without torch, torchvision or lpips.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """
    reason = _undefined(dataset, predictions)
    if reason:
        return PerceptualQuality(tuple(Value(metric=name, value=None, undefined=f"{name}: {reason}") for name in NAMES))
    distance = _distance()
    test = MapReader(dataset["test"], predictions["test"], rules.pixels)
    _, subject_of = np.unique(np.array(truth["test"].subjects), return_inverse=True)
    found = distances(truth["test"], test, distance)
    values = tuple(_mean(name, found[name], subject_of, rules) for name in NAMES)
    return PerceptualQuality(values, distance.weights_used[0])


def distance_map(
    distance: "PerceptualDistance", image: Float[np.ndarray, "c h w"], other: Float[np.ndarray, "c h w"]
) -> Float32[np.ndarray, "h w"]:
    """The distance around each pixel of two images in [0, 1]; one pair at a time, so that no batch changes a bit."""
    import torch

    from uadbench.torch_support.tensors import to_array, to_tensor

    with torch.no_grad():
        return to_array(distance(to_tensor(image[None]), to_tensor(other[None])))[0, 0]


def distances(truth: Truth, test: MapReader, distance: "PerceptualDistance") -> Mapping[str, Float[np.ndarray, " n"]]:
    """The mean distance of each image's reconstruction by name, NaN where the name does not apply to the image."""
    found = {name: np.full(len(truth), np.nan) for name in NAMES}
    for row in range(len(truth)):
        mask = truth.masks[row]
        reconstruction = test.reconstruction(row)
        if reconstruction is None:
            continue
        if not truth.labels[row]:
            whole = distance_map(distance, test.source[row : row + 1].pixels[0], reconstruction)
            found["recon_lpips"][row] = whole.mean(dtype=np.float64)
        elif truth.clean is not None and mask.any():
            around = distance_map(distance, truth.clean[row], reconstruction)
            for name, region in (("recon_lpips_inside", mask), ("recon_lpips_outside", ~mask)):
                found[name][row] = around[region].mean(dtype=np.float64) if region.any() else np.nan
    return found


def _distance() -> "PerceptualDistance":
    """On the CPU: a device's last bits are its own."""
    if find_spec("torch") is None:
        raise MissingLibraryError(
            "LPIPS needs the library 'torch', which is not installed. "
            "Install it with `pip install 'uadbench[torch,perceptual]'`."
        )
    from uadbench.torch_support.perceptual import PerceptualDistance

    return PerceptualDistance(DISTANCE)


def _undefined(dataset: Dataset, predictions: PredictionFile) -> str:
    """Why nothing can be compared; empty if it can."""
    channels, height, width = dataset["test"].shape
    have, every = len(set(predictions["test"].ids) & set(dataset["test"].ids)), len(dataset["test"])
    if not predictions["test"].reconstructs:
        return "the method returns no reconstructions."
    if have < every:
        return f"incomplete: {have} of {every} test images are predicted."
    if channels not in (1, 3):
        return f"images of {channels} channels; the network sees grey or colour."
    if min(height, width) < SMALLEST_SIDE:
        return f"images of {height} x {width} pixels; the network needs {SMALLEST_SIDE} a side."
    return ""


def _mean(name: str, values: Float[np.ndarray, " n"], subject_of: Int[np.ndarray, " n"], rules: Protocol) -> Value:
    """The mean over images that have a value, with its interval."""
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        kind = "is healthy" if name == NAMES[0] else "has a mask and a clean twin"
        return Value(metric=name, value=None, undefined=f"{name}: no test image {kind}.")
    subjects = len(np.unique(subject_of[rows]))
    low, high = None, None
    if subjects >= FEWEST_SUBJECTS:
        total = int(subject_of.max()) + 1
        summed = per_subject(subject_of[rows], np.stack([values[rows], np.ones(len(rows))], axis=1), total)
        low, high = percentile_interval(ratio(resample_counts(total, rules.resamples, rules.resample_seed) @ summed))
    mean, images = float(values[rows].mean()), len(rows)
    return Value(metric=name, value=mean, low=low, high=high, subjects=subjects, images=images, cases=images)
