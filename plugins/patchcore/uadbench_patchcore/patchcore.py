"""PatchCore: distance to the nearest of a coreset of healthy patch features.

Source: Roth et al., CVPR 2022, arXiv:2106.08265, sec. 3 (features, coreset, score); squared distances as in the
authors' experiments.
Deviates: grey image repeated to 3 channels; resized without a crop; neighbourhoods are averaged before channels are
pooled, not both at once; the coreset starts from one random patch; the score's re-weighting (eq. 7) is off by default.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter
from torch import Tensor

from uadbench import FitContext, Images, ImageSource, Prediction, Progress
from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support import storing
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import deterministic, generator
from uadbench.torch_support.tensors import each_image, resized, to_array, to_tensor
from uadbench.torch_support.weights import IMAGENET, require_kind, require_same
from uadbench_patchcore._memory import coreset, nearest, project, reweighted, squared_lengths
from uadbench_patchcore._patches import REDUCTIONS, extract, grid, prepared, require_large_enough, width

MIB = 2**20
TOGETHER = 4  # images that the network sees at a time while it fits
RECORD, BANK = "patchcore.json", "bank.pt"
REMEDY = "Fit the method again."


@dataclass(frozen=True)
class PatchCore:
    """A memory of healthy patches.

    `reductions` are the backbone's levels, finest first: 8 means an eighth of the side; a plain vision transformer has
    that of its patch alone. `size` is the side images are resized to; `coreset` the share of all patches that is kept;
    `candidates` how many, drawn at random, it is chosen from (0 = all); `projection` the dimensions it is chosen in
    (0 = all); `pooled` the length of a patch feature (0 = as the backbone gives it); `sigma` of the map's smoothing in
    pixels of the image; `reweight` applies eq. 7 with `neighbours`; `memory` bounds, in MiB, the bank and each table of
    distances; `weights` "random" tries things out without any, and a run says so.
    """

    backbone: str = "wide_resnet50_2.tv_in1k"
    reductions: Sequence[int] = REDUCTIONS
    size: int = 224
    coreset: float = 0.1
    candidates: int = 0
    projection: int = 128
    pooled: int = 1024
    sigma: float = 4.0
    reweight: bool = False
    neighbours: int = 9
    memory: int = 1024
    weights: str = IMAGENET

    def __post_init__(self) -> None:
        if not 0 < self.coreset <= 1:
            raise ValueError(f"coreset is {self.coreset}. Give the share of patches to keep, above 0 and up to 1.")
        reductions = list(self.reductions)
        if not reductions or sorted(set(reductions)) != reductions or reductions[0] < 1:
            raise ValueError(f"reductions is {self.reductions}. Give levels from fine to coarse, such as (8, 16).")
        if self.size < 2 * reductions[-1]:
            raise ValueError(f"size is {self.size}. Give at least {2 * reductions[-1]} px, two backbone strides.")
        if self.memory < 1:
            raise ValueError(f"memory is {self.memory}. Give at least 1 MiB.")
        for name in ("candidates", "projection", "pooled", "sigma"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}. Give 0 (off) or more.")
        if self.neighbours < 2:
            raise ValueError(f"neighbours is {self.neighbours}. Give at least 2: the nearest is one of them.")
        require_kind(self.weights)

    def network(self, device: str) -> Backbone:
        """The frozen backbone.

        Raises:
            MissingWeightsError: Names the file to place and where.
            ParameterError: It does not take images of that size.
        """
        backbone = Backbone(self.backbone, tuple(self.reductions), weights=self.weights)
        return prepared(backbone, self.size).to(device)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "PatchDetector":
        """Keeps a coreset of the patches of all training images.

        Raises:
            InvalidDataError: Images smaller than the backbone's stride, or of 2 channels.
            ParameterError: A bank above `memory`; says which coreset fits. Or a size that the backbone does not take.
        """
        require_large_enough(train.shape, self.reductions[-1])
        with deterministic(context.seed, context.device), torch.inference_mode():
            backbone = self.network(context.device)
            per_image = grid(backbone, self.size) ** 2
            kept = self._kept(len(train) * per_image, width(backbone, self.pooled))
            patches = self._candidates(backbone, train, per_image, context)  # (p, d)
            points = project(patches, self.projection, context.seed)
            rows = coreset(points, min(kept, len(points)), context.seed)
        return PatchDetector(self, backbone, patches[rows.to(patches.device)].clone(), context.device)

    def _kept(self, patches: int, length: int) -> int:
        """How many patches the bank holds, if that fits."""
        kept, most = max(1, round(self.coreset * patches)), self.memory * MIB // (4 * length)
        if kept > most:
            raise ParameterError(
                f"PatchCore: a bank of {kept:,} patches of length {length} takes {4 * kept * length / MIB:,.0f} MiB, "
                f"and memory is {self.memory}. Give a coreset of {most / patches:.2g} or less, or more memory."
            )
        return kept

    def _candidates(
        self, backbone: Backbone, train: ImageSource, per_image: int, context: FitContext
    ) -> Float[Tensor, "p d"]:
        """The patches that the coreset is chosen from."""
        total = len(train) * per_image
        order = torch.randperm(total, generator=generator(context.seed))
        wanted = torch.zeros(total, dtype=torch.bool)
        wanted[order[: self.candidates or total]] = True
        found = []
        for start in range(0, len(train), TOGETHER):
            images = to_tensor(train[start : start + TOGETHER].pixels, context.device)
            mine = wanted[start * per_image :][: len(images) * per_image].to(context.device)
            found.append(extract(backbone, images, self.size, self.pooled)[mine])
            context.report(Progress(start + len(images), len(train), "images"))
        return torch.cat(found)

    @classmethod
    def load(cls, folder: Path, device: str) -> "PatchDetector":
        """The detector that `save` wrote, on the same weights.

        Raises:
            InvalidDataError: No such detector, or a damaged one.
            MissingWeightsError: The backbone's weights are missing, or others.
        """
        method, weights = _saved(folder, cls)
        backbone = method.network(device)
        require_same(backbone.weights_used, weights)
        bank = storing.read(folder / BANK, REMEDY)
        return PatchDetector(method, backbone, bank.to(device), device)


@dataclass(frozen=True, slots=True)
class PatchDetector:
    """A memory bank. Map: squared distance of each patch to the bank, drawn up and smoothed; score: the largest."""

    method: PatchCore
    backbone: Backbone
    bank: Float[Tensor, "m d"]
    device: str

    @property
    def weights(self) -> tuple[Mapping[str, str], ...]:
        """The pretrained weights in use."""
        return (self.backbone.weights_used.record(),)

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """How large the bank is."""
        return {"bank_patches": len(self.bank), "bank_mib": self.bank.numel() * self.bank.element_size() / MIB}

    def predict(self, images: Images) -> Prediction:
        """Maps and scores, image by image: memory does not grow with their number."""
        n, *shape = images.pixels.shape
        require_large_enough(tuple(shape), self.method.reductions[-1])
        maps, scores = np.empty((n, *shape[1:]), np.float32), np.empty(n, np.float64)
        with torch.inference_mode():
            lengths = squared_lengths(self.bank)
            for row, image in enumerate(each_image(images, self.device)):
                maps[row], scores[row] = self._judge(image, lengths)
        return Prediction(maps, scores)

    def _judge(
        self, image: Float[Tensor, "1 c h w"], lengths: Float[Tensor, " m"]
    ) -> tuple[Float32[np.ndarray, "h w"], float]:
        patches = extract(self.backbone, image, self.method.size, self.method.pooled)  # (p, d)
        distances, rows = nearest(patches, self.bank, self.method.memory * MIB, lengths)
        side = isqrt(len(patches))
        enlarged = resized(distances.view(1, 1, side, side), tuple(image.shape[-2:]))  # (p,) -> (1, 1, h, w)
        worst = int(distances.argmax())
        score = distances[worst]
        if self.method.reweight:
            score = reweighted(patches[worst], score, self.bank, int(rows[worst]), self.method.neighbours)
        return gaussian_filter(to_array(enlarged)[0, 0], self.method.sigma), float(score)

    def save(self, folder: Path) -> None:
        """Writes the bank, the parameters and which weights they need."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {"method": asdict(self.method), "weights": self.weights[0]}
        (folder / RECORD).write_text(json.dumps(about))
        torch.save(self.bank, folder / BANK)


def _saved(folder: Path, kind: type[PatchCore]) -> tuple[PatchCore, Mapping[str, str]]:
    """The method of a saved detector, and the weights that it needs."""
    try:
        saved = json.loads((folder / RECORD).read_text())
        return kind(**saved["method"]), {name: str(saved["weights"][name]) for name in ("name", "sha256")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidDataError(f"{folder / RECORD} is missing or damaged ({error}). {REMEDY}") from error
