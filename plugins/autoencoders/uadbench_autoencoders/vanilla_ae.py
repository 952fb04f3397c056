"""Vanilla autoencoder of the study of pitfalls: convolutions, a linear layer into a vector, and back.

Source: Meissen et al., MIDL 2022 ("On the pitfalls"), sec. 4.3 and appendix B, and the authors' published settings:
AdamW, 10,000 steps, validated every 200 (`epochs` times `steps`).
Deviates: the paper does not state the weight decay; 0.02 is that of the authors' code. They keep the step that finds
synthetic discs best (average precision); that choice sees the test task, so the epoch of least absolute error on
healthy validation images is kept. They report no score of an image; here it is the mean of the map.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import require_at_least, require_latent, require_training
from uadbench_autoencoders._mirrored import PITFALLS_LAYERS, MirroredNetwork, least_absolute_error, pitfalls


@dataclass(frozen=True)
class VanillaAutoencoder:
    """The study's AE: `latent` numbers describe an image (the study has 128, 64 and 32).

    `width` is the channels of the first layer, later ones have up to four times that. An epoch is `steps` batches,
    or one pass over the images where that is 0. The best validation epoch is kept.
    """

    latent: int = 128
    width: int = 32
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
        require_latent(self.latent)
        require_at_least("weight_decay", self.weight_decay, 0)
        pitfalls(self.width)
        require_training("vanilla-ae", self, multiple=2**PITFALLS_LAYERS)
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, steps=self.steps)

    def optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(weights, lr=self.lr, weight_decay=self.weight_decay)

    def network(self, channels: int) -> MirroredNetwork:
        """Untrained."""
        layers, side = pitfalls(self.width), self.size // 2**PITFALLS_LAYERS
        deepest = layers.widths[-1]
        flat = deepest * side**2
        narrowed = nn.Flatten(), nn.Linear(flat, self.latent, bias=False)  # (n, c, a, a) -> (n, flat) -> (n, d)
        widened = nn.Linear(self.latent, flat, bias=False), nn.Unflatten(1, (deepest, side, side))
        encoder = nn.Sequential(layers.down(channels), *narrowed)
        return MirroredNetwork(encoder, nn.Sequential(*widened, layers.up(channels)))

    def reconstruct(self, network: MirroredNetwork, images: Grid, draw: Draw) -> Grid:
        """What the network returns; not bounded to [0, 1]."""
        return network.decode(network.encode(images))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least absolute error."""
        return fit(self, least_absolute_error(self), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)
