"""A fitted method on features: how far an image's features are from healthy ones, as a map and a score."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from uadbench import FitContext, Images, Prediction
from uadbench.errors import InvalidDataError
from uadbench.files.layout import write_text_atomically
from uadbench.torch_support import saving
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.tensors import blocks, resized, to_array
from uadbench.torch_support.weights import require_same
from uadbench_features._levels import REDUCTIONS, Levels, levels_of, require_images

RECORD = "backbone.json"


class Comparing(Protocol):
    """What the method must have: a frozen dataclass whose fields include these.

    `size` is the side that images are resized to, `sigma` the smoothing of the map in pixels of the image, `block` how
    many images are predicted at once.
    """

    backbone: str
    size: int
    sigma: float
    block: int
    weights: str

    def network(self, backbone: Backbone) -> nn.Module: ...

    def distances(self, network: Any, levels: Levels) -> Sequence[Float[Tensor, "n 1 _h _w"]]: ...


def frozen(method: Comparing, device: str) -> Backbone:
    """The backbone of a method.

    Raises:
        UnknownNameError: timm has no such network.
        ParameterError: The network has no features at a quarter, an eighth and a sixteenth of the side.
        EnvironmentProblemError: Names the weights that are missing, and where to place them.
    """
    return Backbone(method.backbone, REDUCTIONS, weights=method.weights).to(device)


def restored(kind: type, folder: Path, device: str) -> "FeatureDetector":
    """The detector that `save` wrote, on the same weights, for `load` of the method `kind`.

    Raises:
        InvalidDataError: No such detector, or one of a version that does not fit.
        MissingWeightsError: The backbone's weights are missing, or others.
    """
    method, saved = saving.read(folder, kind)
    backbone = frozen(method, "cpu")
    require_same(backbone.weights_used, _record(folder))
    network = method.network(backbone)
    saving.load_weights(folder, network, saved, kind)
    return FeatureDetector(method, backbone.to(device), network.to(device), saved.channels, saved.seed, device)


def detector_of(
    method: Comparing, backbone: Backbone, network: nn.Module, channels: int, context: FitContext
) -> "FeatureDetector":
    """The detector of a network that was fitted on images of that many channels."""
    return FeatureDetector(method, backbone, network.eval(), channels, context.seed, context.device)


@dataclass(frozen=True, slots=True)
class FeatureDetector:
    """A fitted network behind a frozen backbone.

    Map: the sum of the method's distances, each drawn up to the image's size, smoothed. Score: the map's maximum.
    """

    method: Comparing
    backbone: Backbone
    network: nn.Module
    channels: int
    seed: int
    device: str

    @property
    def weights(self) -> tuple[Mapping[str, str], ...]:
        """The pretrained weights in use."""
        return (self.backbone.weights_used.record(),)

    def predict(self, images: Images) -> Prediction:
        """Maps and scores.

        Raises:
            InvalidDataError: Images that are too small, or of other channels than 1 or 3.
            DeviceMemoryError: Too little memory for a block.
        """
        n, *shape = images.pixels.shape
        require_images(type(self.method).__name__, tuple(shape))
        maps, block = np.empty((n, *shape[1:]), np.float32), self.method.block
        with memory_checked(block, "block"), deterministic(self.seed, self.device):
            for rows, pixels in blocks(images, block, self.device):
                maps[rows] = self._maps(pixels)[: rows.stop - rows.start]
        return Prediction(maps, maps.max((1, 2)).astype(np.float64))

    def _maps(self, pixels: Float[Tensor, "n c h w"]) -> Float32[np.ndarray, "n h w"]:
        height, width = pixels.shape[-2:]
        with torch.inference_mode():
            levels = levels_of(self.backbone, pixels, self.method.size)
            distances = self.method.distances(self.network, levels)
            drawn = torch.stack([resized(one, (height, width)) for one in distances])  # (k, n, 1, h, w)
            summed = to_array(drawn.sum(0)[:, 0])
        sigma = self.method.sigma
        return gaussian_filter(summed, (0, sigma, sigma))

    def save(self, folder: Path) -> None:
        """Writes what was fitted, the parameters and which weights they need."""
        folder.mkdir(parents=True, exist_ok=True)
        saving.save(folder, self.network, self.method, self.channels, self.seed)
        write_text_atomically(folder / RECORD, json.dumps(self.weights[0], indent=1))


def _record(folder: Path) -> Mapping[str, str]:
    """Which weights a saved detector needs."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {name: str(record[name]) for name in ("name", "sha256")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidDataError(
            f"{folder / RECORD} does not say which weights the detector needs ({error!r}). {saving.REMEDY}"
        ) from error
