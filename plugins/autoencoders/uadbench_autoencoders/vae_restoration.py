"""Restoration: the image climbs towards what a VAE holds for healthy, and what has changed most is anomalous.

Source: You et al., MIDL 2019: the restored image x maximises ELBO(x) - tv_weight TV(x - y) for the observed image y,
by gradient steps from x = y. 150 steps of 0.001 and the weight 1.8 are those of Baur et al., MedIA 2021, by their code.
Deviates: the prior is that of `vae`, not the paper's own network nor its Gaussian mixture. The code takes the total
variation of x minus its reconstruction, not of the change, and weighs it against errors of deviation 1: here `sigma`
is 0.1, so that 1.8 weighs less. Total variation is anisotropic, and rounded off where neighbours change nearly alike:
across its kink, steps of a fixed size would jump to and fro.
The bound is a sum over pixels, so that a step does not depend on the image's size: total variation aside, it takes a
pixel lr / sigma^2 of the way to its reconstruction, a tenth for 0.001 and 0.1.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, reconstructor, restored
from uadbench_autoencoders._checks import require_at_least, require_positive, require_training
from uadbench_autoencoders._variational import CODED, require_halved
from uadbench_autoencoders.vae import Vae, VaeNetwork, free_energy

CURVED = 8  # the squared differences between neighbours sum up to no more than 8 times the squared pixels


@dataclass(frozen=True)
class RestoringVae:
    """The parameters of `Vae`, and `restore_steps` steps of `restore_lr` against `tv_weight` times total variation.

    The reconstruction is the restored image. A larger `tv_weight` lets only large regions change.
    """

    latent: int = 256
    width: int = 16
    sigma: float = 0.1
    size: int = 128
    epochs: int = 500
    batch: int = 128
    lr: float = 5e-4
    patience: int = 25
    restore_steps: int = 150
    restore_lr: float = 1e-3
    tv_weight: float = 1.8
    lr_schedule_active: bool = True
    vae_std_bug: bool = False
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_halved("vae-restoration", self.size)
        require_training("vae-restoration", self, multiple=2 * CODED)
        require_at_least("restore_steps", self.restore_steps, 1)
        require_positive("restore_lr", self.restore_lr, "a step above 0, such as 0.001")
        require_at_least("tv_weight", self.tv_weight, 0)
        self.prior()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    @property
    def rounding(self) -> float:
        """Differences of intensity within which total variation is a parabola, no more curved than 1 / `restore_lr`."""
        return CURVED * self.restore_lr * self.tv_weight

    def prior(self) -> Vae:
        """What knows healthy images; its parameters are those that both have."""
        shared = {field.name for field in fields(Vae)} & {field.name for field in fields(self)}
        return Vae(**{name: getattr(self, name) for name in shared})

    def network(self, channels: int) -> VaeNetwork:
        """Untrained."""
        return self.prior().network(channels)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """The prior is fitted; restoration has nothing to learn."""
        trained = self.prior().fit(train, val, context)
        return reconstructor(self, trained.network, trained.channels, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def reconstruct(self, network: VaeNetwork, images: Grid, draw: Draw) -> Grid:
        """The restored images, each by itself."""
        seen = images
        for _ in range(self.restore_steps):
            seen = seen - self.restore_lr * self.slope(network, seen, images)
        return seen

    def slope(self, network: VaeNetwork, seen: Grid, images: Grid) -> Grid:
        """The gradient of each image's objective; the network's weights get none."""
        with torch.enable_grad():
            seen = seen.detach().requires_grad_()
            # the sum keeps images apart, as none has a part in another's objective
            (slope,) = torch.autograd.grad(self.objective(network, seen, images).sum(), seen)
        return slope

    def objective(self, network: VaeNetwork, seen: Grid, images: Grid) -> Float[Tensor, " n"]:
        """-ELBO(seen) + `tv_weight` TV(seen - images) per image, in nats; latents are the posterior's means."""
        energy = free_energy(network, seen, self.sigma, std_bug=self.vae_std_bug)
        variation = total_variation(seen - images, self.rounding)
        return energy + self.tv_weight * variation


def total_variation(images: Grid, rounding: float) -> Float[Tensor, " n"]:
    """sum |a - b| over pixels a and b, one beside or below the other in one channel, per image.

    Where |a - b| is below `rounding` r it counts (a - b)^2 / 2r, else |a - b| - r/2: Huber, 1964.
    """
    differences = (images.diff(dim=-2).flatten(1), images.diff(dim=-1).flatten(1))  # (n, k) each
    apart = torch.cat(differences, dim=1)
    return F.smooth_l1_loss(apart, torch.zeros_like(apart), reduction="none", beta=rounding).sum(1)
