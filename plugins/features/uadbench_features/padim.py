"""PaDiM: the Mahalanobis distance of patch features to the Gaussian of healthy ones at the same position.

Source: Defard et al., ICPR workshops 2021, arXiv:2011.08785, sec. III (embedding, eq. 1 and 2, score) and IV
(networks, sizes, dimensions, smoothing). `paper` is PaDiM-R18-Rd100: ResNet-18, 100 dimensions.
Deviates: grey image repeated to 3 channels; resized to 224 px without the crop from 256; images and maps are resized
bilinearly, not bicubically; the score is the maximum of the smoothed map at the image's size, which is one reading of
"the maximum of the anomaly map". Not certain: which release of ImageNet weights the authors used; torchvision's here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource, Progress
from uadbench.errors import InvalidDataError, ParameterError, UnknownNameError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import deterministic, generator
from uadbench.torch_support.tensors import to_tensor
from uadbench.torch_support.weights import IMAGENET
from uadbench_features._detector import FeatureDetector, detector_of, frozen, restored
from uadbench_features._gaussians import COVARIANCES, Embedding, Gaussians, Moments, whitening
from uadbench_features._levels import STRIDE, Levels, levels_of, require_common, require_images

FIT_BATCH = 16  # images whose features are summed together


@dataclass(frozen=True)
class Padim:
    """A Gaussian of healthy patch features at every position of the image.

    `size` is the side images are resized to; `dimensions` how many channels of the three levels, drawn at random, are
    kept (0 = all); `covariance` how theirs is estimated: "empirical" as in the paper, "ledoit-wolf", "oas", or "shrunk"
    by `shrinkage`; `regularisation` is added to every variance; `sigma` of the map's smoothing is in pixels of the
    image; `block` images are predicted at once; `weights` "random" tries things out without any, and a run says so.
    """

    backbone: str = "resnet18.tv_in1k"
    size: int = 224
    dimensions: int = 100
    covariance: str = "empirical"
    shrinkage: float = 0.1
    regularisation: float = 0.01
    sigma: float = 4.0
    block: int = 1
    weights: str = IMAGENET

    def __post_init__(self) -> None:
        require_common(self.sigma, self.block, self.weights)
        if self.size < 2 * STRIDE:
            raise ParameterError(f"size is {self.size}. Give at least {2 * STRIDE} px, two backbone strides.")
        if self.dimensions < 0:
            raise ParameterError(f"dimensions is {self.dimensions}. Give a number of channels, or 0 for all.")
        if self.covariance not in COVARIANCES:
            raise UnknownNameError("covariance", self.covariance, COVARIANCES, "one of: " + ", ".join(COVARIANCES))
        if not 0 <= self.shrinkage <= 1:
            raise ParameterError(f"shrinkage is {self.shrinkage}. Give a share from 0 to 1.")
        if not self.regularisation >= 0:
            raise ParameterError(f"regularisation is {self.regularisation}. Give a variance, or 0 for none.")

    def network(self, backbone: Backbone) -> Gaussians:
        """Gaussians that nothing was fitted to, for the grid of the finest level.

        Raises:
            ParameterError: More dimensions than the backbone has channels.
        """
        channels = sum(backbone.channels)
        if self.dimensions > channels:
            raise ParameterError(
                f"dimensions is {self.dimensions}, but {self.backbone!r} has {channels} channels at the three levels. "
                f"Give {channels} or less, or 0 for all."
            )
        with torch.inference_mode():
            tried = levels_of(backbone, backbone.mean.new_zeros(1, 3, self.size, self.size), self.size)
        return Gaussians(tried[0].shape[-2:].numel(), self.dimensions or channels)

    def distances(self, network: Gaussians, levels: Levels) -> Sequence[Float[Tensor, "n 1 h w"]]:
        """The Mahalanobis distances on the grid of the finest level."""
        # image by image: a product over several may round each of them otherwise
        found = torch.stack([network(features) for features in embedding(levels, network.chosen)])  # (n, p)
        return (found.view(-1, 1, *levels[0].shape[-2:]),)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> FeatureDetector:
        """Means and covariances over the training images.

        Raises:
            InvalidDataError: Fewer than two images, too small ones, or a singular covariance.
        """
        require_images(type(self).__name__, train.shape)
        if len(train) < 2:
            raise InvalidDataError(f"PaDiM: a covariance needs at least 2 training images, not {len(train)}.")
        with deterministic(context.seed, context.device), torch.inference_mode():
            backbone = frozen(self, context.device)
            network = self.network(backbone).to(context.device)
            network.chosen = drawn(sum(backbone.channels), len(network.chosen), context.seed).to(context.device)
            moments = self._moments(backbone, network.chosen, train, context)
            covariances = COVARIANCES[self.covariance](moments, self.shrinkage)
            network.mean = moments.mean
            network.whitening = whitening(covariances, self.regularisation, len(train))
        return detector_of(self, backbone, network, train.shape[0], context)

    def _moments(
        self, backbone: Backbone, chosen: Int[Tensor, " d"], train: ImageSource, context: FitContext
    ) -> Moments:
        moments = None
        for features in self._features(backbone, chosen, train, context.device):
            moments = moments or Moments.around(features.mean(0))
            moments.add(features)
            context.report(Progress(moments.count, len(train), "images"))
        assert moments is not None
        return moments

    def _features(
        self, backbone: Backbone, chosen: Int[Tensor, " d"], train: ImageSource, device: str
    ) -> Iterator[Embedding]:
        for start in range(0, len(train), FIT_BATCH):
            pixels = to_tensor(train[start : start + FIT_BATCH].pixels, device)
            yield embedding(levels_of(backbone, pixels, self.size), chosen)

    @classmethod
    def load(cls, folder: Path, device: str) -> FeatureDetector:
        """The detector that `save` wrote, on the same weights."""
        return restored(cls, folder, device)


def drawn(channels: int, dimensions: int, seed: int) -> Int[Tensor, " d"]:
    """Which of the channels are kept, in ascending order; the same ones at all positions."""
    return torch.randperm(channels, generator=generator(seed))[:dimensions].sort().values


def embedding(levels: Levels, chosen: Int[Tensor, " d"]) -> Embedding:
    """The chosen channels of all levels at every position of the finest, to which a coarse feature is repeated."""
    parts, start = [], 0
    for level in levels:
        mine = chosen[(chosen >= start) & (chosen < start + level.shape[1])] - start
        start += level.shape[1]
        parts.append(F.interpolate(level[:, mine], levels[0].shape[-2:], mode="nearest"))  # to (n, _d, h, w)
    return torch.cat(parts, 1).flatten(2).transpose(1, 2)  # (n, d, h, w) -> (n, h*w, d)
