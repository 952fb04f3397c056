"""LPIPS of reconstructions: a learned distance to the healthy image. Beside every protocol, never ranked.

Source: Zhang et al., CVPR 2018, arXiv:1801.03924, by the `lpips` package: net alex, version 0.1. Its spatial map is
averaged over regions as in PHANES, MICCAI 2023. Deviates: no pixel of a region is left out (published code drops exact
zeros); intensities go from [0, 1] to [-1, 1], which some published numbers omit. Importing this file loads no torch.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from uadbench.errors import InvalidDataError, MissingLibraryError, MissingWeightsError
from uadbench.evidence import MapReader
from uadbench.files.images import Dataset
from uadbench.files.predictions import PredictionFile
from uadbench.files.results import Value
from uadbench.files.truth import TruthFile
from uadbench.intervals import FEWEST_SUBJECTS, per_subject, percentile_interval, resample_counts
from uadbench.measures.stratum import ratio
from uadbench.protocols import Protocol
from uadbench.torch_support.weights import WeightsUsed, digest, folder
from uadbench.types import Truth

CALIBRATED = "7be5be79"  # how the SHA-256 begins of the weights that the linear layers were fitted to
WEIGHTS = f"alexnet-owt-{CALIBRATED}.pth"
SMALLEST_SIDE = 31  # below it, nothing is left after the second pooling
NAMES = ("recon_lpips", "recon_lpips_inside", "recon_lpips_outside")


class PerceptualDistance:
    """LPIPS between two images, on the CPU and one pair at a time, so that no batch changes a bit.

    Raises:
        MissingLibraryError: Without torch, torchvision or lpips.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A weights file of another network.
    """

    def __init__(self) -> None:
        _require_libraries()
        path = folder() / WEIGHTS
        if not path.is_file():
            raise MissingWeightsError(
                f"LPIPS needs AlexNet's ImageNet weights, and {path} is not there. Place torchvision's file of that "
                "name in that folder (UADBENCH_WEIGHTS names another folder)."
            )
        self.weights_used = WeightsUsed("alexnet", f"file: {path.name}", digest(path))
        self._network = _network(path)

    def map(self, image: Float[np.ndarray, "c h w"], other: Float[np.ndarray, "c h w"]) -> Float32[np.ndarray, "h w"]:
        """The distance around each pixel, >= 0, of two images in [0, 1], grey or of three channels."""
        import torch

        from uadbench.torch_support.tensors import to_array, to_tensor

        pair = [to_tensor(one[None]).expand(-1, 3, -1, -1) for one in (image, other)]  # (1 or 3, h, w) -> (1, 3, h, w)
        with torch.no_grad():
            return to_array(self._network(*pair, normalize=True))[0, 0]


@dataclass(frozen=True, slots=True)
class PerceptualQuality:
    """The values for one prediction file, and the weights behind them (None where nothing was compared)."""

    values: tuple[Value, ...]
    weights: WeightsUsed | None = None

    @property
    def warning(self) -> str:
        """Empty, or that the weights are not those of the published LPIPS."""
        if self.weights is None or self.weights.sha256.startswith(CALIBRATED):
            return ""
        return (
            f"{WEIGHTS} has the SHA-256 {self.weights.sha256[:8]}..., not {CALIBRATED}...: other weights than those "
            "LPIPS was calibrated on. Compare these values with no published ones."
        )


def perceptual_quality(
    rules: Protocol, dataset: Dataset, truth: TruthFile, predictions: PredictionFile
) -> PerceptualQuality:
    """LPIPS of healthy test images, and inside and outside the mask against the clean twin where there is one.

    Source: protocols, "Metrics" and "Statistics": means over images with 95 % subject-bootstrap intervals.
    """
    reason = _undefined(dataset, predictions)
    if reason:
        return PerceptualQuality(tuple(Value(metric=name, value=None, undefined=f"{name}: {reason}") for name in NAMES))
    distance = PerceptualDistance()
    test = MapReader(dataset["test"], predictions["test"], rules.pixels)
    _, subject_of = np.unique(np.array(truth["test"].subjects), return_inverse=True)
    found = distances(truth["test"], test, distance)
    values = tuple(_mean(name, found[name], subject_of, rules) for name in NAMES)
    return PerceptualQuality(values, distance.weights_used)


def distances(truth: Truth, test: MapReader, distance: PerceptualDistance) -> Mapping[str, Float[np.ndarray, " n"]]:
    """The mean distance of each image's reconstruction by name, NaN where the name does not apply to the image."""
    found = {name: np.full(len(truth), np.nan) for name in NAMES}
    for row in range(len(truth)):
        mask = truth.masks[row]
        reconstruction = test.reconstruction(row)
        if reconstruction is None:
            continue
        if not truth.labels[row]:
            whole = distance.map(test.source[row : row + 1].pixels[0], reconstruction)
            found["recon_lpips"][row] = whole.mean(dtype=np.float64)
        elif truth.clean is not None and mask.any():
            around = distance.map(truth.clean[row], reconstruction)
            for name, region in (("recon_lpips_inside", mask), ("recon_lpips_outside", ~mask)):
                found[name][row] = around[region].mean(dtype=np.float64) if region.any() else np.nan
    return found


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


def _require_libraries() -> None:
    for library in ("torch", "torchvision", "lpips"):
        if find_spec(library) is None:
            raise MissingLibraryError(
                f"LPIPS needs the library {library!r}, which is not installed. "
                "Install it with `pip install 'uadbench[perceptual]'`."
            )


def _network(path: Path) -> Any:
    """The package's network with its own linear layers, and the convolutions of this file."""
    import lpips
    import torch

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package builds its backbone by options that torchvision has renamed
        network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, spatial=True, verbose=False)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # slices keep the numbers of AlexNet's layers: slice2.3.weight is features.3.weight
        renamed = {name: state[f"features.{name.partition('.')[2]}"] for name in network.net.state_dict()}
        network.net.load_state_dict(renamed)
    except (RuntimeError, KeyError, TypeError, EOFError, UnpicklingError) as error:
        raise InvalidDataError(
            f"{path} does not hold AlexNet's weights. Place the right file there. ({error})"
        ) from error
    return network.requires_grad_(False).eval()
