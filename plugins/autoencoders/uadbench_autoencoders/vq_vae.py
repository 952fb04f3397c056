"""VQ-VAE-2: two levels of latents that may hold nothing but the vectors of a codebook of healthy images.

Source: Razavi et al., NeurIPS 2019, sec. 3.1 (levels, codebooks by moving averages, commitment); the absolute error,
the sizes and the training are those of Meissen et al., MIDL 2022 ("On the pitfalls"), sec. 4.3 and appendix B, and of
their published settings: AdamW, 10,000 steps, validated every 200 (`epochs` times `steps`).
Deviates: Meissen et al. keep the step that finds synthetic discs best (average precision); that choice sees the test
task, so the epoch of least absolute error on healthy validation images is kept. Their paper does not state the weight
decay; 0.02 is that of their code. No paper says how codes start: here uniform with mean squared length 1 and as if
chosen once each, so that codes which the first batches do not choose keep their place. From N(0, 1) and no choices, a
usual start, 300 steps on small images do not beat the mean image; 3,000 end alike. The score is the mean of the map.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import (
    UNIT,
    Domain,
    Draw,
    Grid,
    Reconstructor,
    Training,
    fit,
    restored,
)
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import require_at_least, require_training
from uadbench_autoencoders._quantising import REDUCTION, TwoLevelNetwork


@dataclass(frozen=True)
class VectorQuantisedVae:
    """VQ-VAE-2: each level has `codes` vectors of `embedding` numbers, moving averages with that `decay`.

    `commitment` weighs how far latents are from their codes. `width` is the channels of the layers, `residual_width`
    those inside the residual blocks. An epoch is `steps` batches, or one pass over the images where that is 0. The
    best validation epoch is kept.
    """

    width: int = 128
    residual_width: int = 32
    embedding: int = 64
    codes: int = 512
    decay: float = 0.99
    commitment: float = 0.25
    size: int = 256
    epochs: int = 50
    steps: int = 200
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.02
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_at_least("width", self.width, 2)
        for name in ("residual_width", "embedding", "codes"):
            require_at_least(name, getattr(self, name), 1)
        for name in ("commitment", "weight_decay"):
            require_at_least(name, getattr(self, name), 0)
        if not 0 <= self.decay < 1:
            raise ParameterError(f"decay is {self.decay}. Give a share from 0 to below 1, such as 0.99.")
        require_training("vq-vae", self, multiple=REDUCTION)
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, steps=self.steps)

    def optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW; codes are no weights, they neither learn from it nor decay."""
        return torch.optim.AdamW(weights, lr=self.lr, weight_decay=self.weight_decay)

    def network(self, channels: int) -> TwoLevelNetwork:
        """Untrained."""
        return TwoLevelNetwork(channels, self.width, self.residual_width, self.embedding, self.codes, self.decay)

    def reconstruct(self, network: TwoLevelNetwork, images: Grid, draw: Draw) -> Grid:
        """The image of the nearest codes; not bounded to [0, 1]."""
        seen, _ = network(images)
        return seen

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least absolute error and commitment."""
        training = Training(
            loss=self.loss,
            optimiser=self.optimiser,
            schedule=self.schedule(),
            validation=absolute_error,
            augment=self.augment,
            compiled=self.compiled,
        )
        return fit(self, training, train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def loss(self, network: TwoLevelNetwork, images: Grid) -> Tensor:
        """Mean |x - x_hat| plus `commitment` times the mean squared distances of both levels to their codes."""
        seen, apart = network(images)
        return F.l1_loss(seen, images) + self.commitment * apart


def absolute_error(network: TwoLevelNetwork, images: Grid) -> Tensor:
    """Mean |x - x_hat| over pixels, channels and images."""
    seen, _ = network(images)
    return F.l1_loss(seen, images)
