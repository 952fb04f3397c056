"""A model of anomalib 2: built, trained and asked through its own classes, on healthy images of uadbench.

Source: Akcay et al., ICIP 2022, arXiv:2202.08341, and the paper that anomalib names for each model.
Deviates: no image is normalised, thresholded or scored by anomalib: its raw map and score are taken. Grey images are
repeated to three channels. Maps are drawn up to the images' size.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import FitContext, Images, ImageSource, Prediction
from uadbench.errors import ContractError, InvalidDataError, ParameterError
from uadbench.torch_support import storing
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.storing import first_line
from uadbench.torch_support.tensors import blocks, resized, to_array
from uadbench.torch_support.weights import IMAGENET, require_kind
from uadbench_anomalib._building import built, seeded
from uadbench_anomalib._training import trained

RECORD, NETWORK = "anomalib.json", "network.pt"
REMEDY = "Fit the method again."
SMALLEST = 32  # px: the stride of the coarsest level of most backbones


@dataclass(frozen=True)
class AnomalibModel:
    """The model of that name with `settings` for its class ("backbone=resnet18 layers=['layer2']").

    `size` is the side that its preprocessing resizes to, 0 its own; `epochs` 0 leaves its own number, or 100 where it
    has none; `weights` are those of its backbones from timm, "imagenet" or "random".
    """

    model: str = "padim"
    settings: str = ""
    size: int = 0
    epochs: int = 0
    batch: int = 32
    weights: str = IMAGENET
    block: int = 32

    def __post_init__(self) -> None:
        for name, least in (("size", 0), ("epochs", 0), ("batch", 1), ("block", 1)):
            if getattr(self, name) < least:
                raise ParameterError(f"anomalib: {name} is {getattr(self, name)}. Give {least} or more.")
        if 0 < self.size < SMALLEST:
            raise ParameterError(
                f"anomalib: size is {self.size}, smaller than a backbone's stride. Give {SMALLEST} px or more, or 0."
            )
        require_kind(self.weights)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "AnomalibDetector":
        """Trained on all training images.

        Raises:
            UnknownNameError: No such model, or no such backbone.
            ParameterError: A setting that the model does not take.
            MissingWeightsError: Weights that cannot be found, or that anomalib cannot fetch.
            ContractError: A model that gives no anomaly map.
            InvalidDataError: Images of 2 channels, or more than 3.
        """
        _require_channels(train.shape[0])
        with deterministic(context.seed, context.device), seeded(context.seed):
            model, weights = built(self, context.seed)
            try:
                trained(self, model, rgb(train), rgb(val), context)
            except ValueError as error:
                raise ParameterError(
                    f"anomalib's {self.model} cannot be fitted to these {len(train)} images with {self.settings!r}: "
                    f"{first_line(error)}"
                ) from error
        for tensor in (*model.parameters(), *model.buffers()):  # laid out as when they are loaded, to the last bit
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
        detector = AnomalibDetector(self, model.eval().to(context.device), train.shape[0], context.device, weights)
        detector.predict(val[0:1])  # what it lacks is said now
        return detector

    @classmethod
    def load(cls, folder: Path, device: str) -> "AnomalibDetector":
        """The detector that `save` wrote.

        Raises:
            InvalidDataError: No such detector, or a damaged one.
        """
        try:
            saved = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            method, channels, weights = cls(**saved["method"]), saved["channels"], saved["weights"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InvalidDataError(f"{folder / RECORD} is missing or damaged ({error}). {REMEDY}") from error
        state = storing.read(folder / NETWORK, REMEDY)
        with seeded(0):
            model, _ = built(method, 0, empty=True)
        model.load_state_dict(state)
        return AnomalibDetector(method, model.eval().to(device), channels, device, weights)


@dataclass(frozen=True, slots=True)
class AnomalibDetector:
    """A trained model. Map and score are those that its network gives in eval mode."""

    method: AnomalibModel
    model: Any
    channels: int
    device: str
    weights: Sequence[Mapping[str, Any]]

    def predict(self, images: Images) -> Prediction:
        """Maps and scores; images are predicted in blocks of one size.

        Raises:
            ContractError: The model gives no anomaly map.
            InvalidDataError: Images of other channels than those it was fitted on.
        """
        n, channels, h, w = images.pixels.shape
        if channels != self.channels:
            raise InvalidDataError(f"The detector was fitted on images of {self.channels} channels, not {channels}.")
        maps, scores = np.empty((n, h, w), np.float32), np.empty(n, np.float64)
        with deterministic(0, self.device), seeded(0), torch.no_grad():
            for rows, pixels in blocks(images, self.method.block, self.device):
                kept = rows.stop - rows.start
                found, score = self._asked(pixels.expand(-1, 3, -1, -1))
                maps[rows] = to_array(resized(found, (h, w)))[:kept, 0]
                scores[rows] = to_array(score)[:kept]
        return Prediction(maps, scores)

    def _asked(self, pixels: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 1 a b"], Float[Tensor, " n"]]:
        prepared = self.model.pre_processor(pixels) if self.model.pre_processor else pixels
        answer = self.model.model(prepared)
        found, score = getattr(answer, "anomaly_map", None), getattr(answer, "pred_score", None)
        if found is None:
            raise ContractError(f"anomalib's {self.method.model} gives no anomaly map. Choose another model.")
        found = found.view(len(pixels), 1, *found.shape[-2:]).float()
        return found, found.amax((1, 2, 3)) if score is None else score.flatten().float()

    def save(self, folder: Path) -> None:
        """Writes the whole state of the model, and what it was made with."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "method": asdict(self.method),
            "channels": self.channels,
            "weights": [dict(one) for one in self.weights],
        }
        (folder / RECORD).write_text(json.dumps(about, indent=1), encoding="utf-8")
        torch.save(self.model.state_dict(), folder / NETWORK)


def rgb(source: ImageSource) -> Float[Tensor, "n 3 h w"]:
    """All images of a source, in [0, 1]."""
    pixels = torch.as_tensor(source[0 : len(source)].pixels)
    return pixels.expand(-1, 3, -1, -1)


def _require_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise InvalidDataError(f"anomalib: images have {channels} channels. Give 1 (grey) or 3 (RGB).")
