"""PHANES: a first method finds what looks abnormal, and a second network paints healthy tissue over it.

Source: Bercea et al., MICCAI 2023, "Reversing the abnormal: pseudo-healthy generative networks for anomaly detection",
arXiv:2303.08452, eq. 3 (mask) and 4 (map); inpainting of Zeng et al., TVCG 2022 (AOT-GAN).
Deviates: stage 1 is any method that reconstructs, fitted to its end before stage 2, where the paper trains RA and the
inpainting together; so masks are computed once, with one threshold for training, validation and test. Their
perceptual distance sees the images as they are, as in the authors' code, where eq. 3 equalises them first; it is
smoothed by a Gaussian of 2 pixels, and masks are smoothed image by image. The discriminator is taught the whole mask
that was painted, as AOT-GAN defines it, where the code teaches it the random ellipses alone; soft masks are 10/128 of
the side wide and cut off at 4 sigma. An image that is larger than the grid is composed, and compared, at its own size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uadbench import Detector, FitContext, ImageSource
from uadbench.torch_support import saving
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.feature_losses import FeatureLosses
from uadbench.torch_support.perceptual import PerceptualDistance
from uadbench.torch_support.weights import IMAGENET, WeightsUsed, require_same
from uadbench_phanes._checks import require_images, require_parameters
from uadbench_phanes._detector import VALIDATION, PseudoHealthyDetector, weights_saved
from uadbench_phanes._inpainting import BLOCKS, WIDTH, InpaintingNetworks
from uadbench_phanes._looking import Looking
from uadbench_phanes._losses import NAMES, Weights
from uadbench_phanes._masks import HEALTHY_SHARE, Grid, Map, joined, masks_of
from uadbench_phanes._stage1 import FirstStage
from uadbench_phanes._training import schedule
from uadbench_phanes._training import train as train_inpainting


@dataclass(frozen=True)
class Phanes:
    """Stage 1, named by `stage1`, with its preset and settings over it ("epochs=5 lr=1e-3"); and the inpainting.

    `width`, `blocks` and `size` are those of the inpainting networks; `style`, `perceptual` and `adversarial` weigh
    their losses. `distance` names the perceptual distance of masks and maps, `features` those of the losses; `weights`
    says whether these networks have weights of "imagenet" or "random" ones.

    Switches: `adversarial` = 0 leaves the generator without its adversary, as the published code does. `threshold`
    "image" takes the 95th percentile of each image's own map when predicting, as that code does, not the 99th of
    healthy validation images. `inpainting` off leaves out stage 2: masked pixels are those of stage 1.
    """

    stage1: str = "ra"
    stage1_preset: str = "paper"
    stage1_set: str = ""
    width: int = WIDTH
    blocks: int = BLOCKS
    size: int = 128
    epochs: int = 1500
    batch: int = 8
    lr: float = 5e-5
    patience: int = 500
    style: float = 250.0
    perceptual: float = 0.1
    adversarial: float = 0.01
    threshold: str = VALIDATION
    inpainting: bool = True
    distance: str = "lpips-squeeze"
    features: str = "vgg19"
    weights: str = IMAGENET
    augment: bool = True
    block: int = 32

    def __post_init__(self) -> None:
        require_parameters(self)
        schedule(self)
        self.first.made()

    @property
    def first(self) -> FirstStage:
        """Stage 1."""
        return FirstStage(self.stage1, self.stage1_preset, self.stage1_set)

    @property
    def loss_weights(self) -> Weights:
        """What the terms of stage 2's losses weigh."""
        return Weights(self.style, self.perceptual, self.adversarial)

    def network(self, channels: int) -> InpaintingNetworks:
        """Untrained."""
        return InpaintingNetworks(channels, self.width, self.blocks)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> PseudoHealthyDetector:
        """Stage 1, the threshold, all masks, then stage 2, whose best epoch on healthy validation images is kept.

        Raises:
            InvalidDataError: Images of channels that do not fit, or too small ones.
            ContractError: Stage 1 returned no reconstructions.
            TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
            EnvironmentProblemError: Weights or a library are missing; said before any training.
        """
        require_images(train, val)
        distance = PerceptualDistance(self.distance, context.device, weights=self.weights)
        features = self._features(context.device)
        detector = self.first.fit(train, val, context)
        looking = Looking(self, detector, distance, context.seed, context.device)
        healthy = looking.whole(val)
        seen = looking.whole(train) if features else None
        with deterministic(context.seed, context.device):
            networks = self.network(train.shape[0]).to(context.device)
            networks.threshold.fill_(float(np.quantile(healthy[1].numpy(), HEALTHY_SHARE)))
            if features and seen:
                batches = tuple(_masked(one, networks.threshold.cpu()) for one in (seen, healthy))
                train_inpainting(self, networks, features, batches, context)
        self.first.clear(context)
        used = (*distance.weights_used, *(features.weights_used if features else ()))
        return PseudoHealthyDetector(looking, networks.eval(), train.shape[0], _records(used, detector))

    @classmethod
    def load(cls, folder: Path, device: str) -> PseudoHealthyDetector:
        """The detector that `save` wrote; stage 1 comes back through the registry.

        Raises:
            InvalidDataError: No such detector, or one of a version that does not fit.
            MissingWeightsError: Other weights behind the distance than those it was fitted on.
        """
        method, saved = saving.read(folder, cls)
        networks = method.network(saved.channels)
        saving.load_weights(folder, networks, saved, cls)
        weights = weights_saved(folder)
        distance = PerceptualDistance(method.distance, device, weights=method.weights)
        # the distance's records come first; stage 1 may have others under the same names
        for used, record in zip(distance.weights_used, weights, strict=False):
            require_same(used, record)
        looking = Looking(method, method.first.load(folder, device), distance, saved.seed, device)
        return PseudoHealthyDetector(looking, networks.to(device), saved.channels, weights)

    def _features(self, device: str) -> FeatureLosses | None:
        return FeatureLosses(self.features, NAMES, device, weights=self.weights) if self.inpainting else None


def _masked(seen: tuple[Grid, Map], threshold: torch.Tensor) -> Grid:
    """Images with their masks as the last channel."""
    images, maps = seen
    return joined(images, masks_of(maps, threshold))


def _records(used: Sequence[WeightsUsed], detector: Detector) -> Sequence[Mapping[str, Any]]:
    """The records of all weights, each once."""
    records = [*(asdict(one) for one in used), *map(dict, getattr(detector, "weights", ()))]
    return [record for place, record in enumerate(records) if record not in records[:place]]
