"""The network that predicts noise, MONAI's, and the running mean of its weights.

Source: Wyatt et al., CVPRW 2022, with the settings of their code: the U-Net of Dhariwal and Nichol, NeurIPS 2021, whose
residual blocks also change the side. Deviates: MONAI adds the step's embedding to features, without scaling them.
MONAI takes seconds to import: it is, where a network is built.
"""

import copy
from importlib.util import find_spec
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uadbench.errors import MissingLibraryError

IN_A_GROUP = 4  # channels per `width` that are normalised together: 32 groups of the paper's 128


class Shaped(Protocol):
    """The parameters of the network."""

    @property
    def size(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def multipliers(self) -> tuple[int, ...]: ...
    @property
    def res_blocks(self) -> int: ...
    @property
    def attention(self) -> tuple[int, ...]: ...
    @property
    def heads(self) -> int: ...


class NoisePredictor(nn.Module):
    """MONAI's DiffusionModelUNet; 99,937,409 weights at the paper's settings, for grey images.

    Raises:
        MissingLibraryError: Without MONAI or einops, which it needs.
    """

    def __init__(self, channels: int, shape: Shaped) -> None:
        super().__init__()
        require_monai()
        from monai.networks.nets import DiffusionModelUNet

        widths = [shape.width * times for times in shape.multipliers]
        sides = [shape.size >> level for level in range(len(widths))]
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=channels,
            channels=widths,
            num_res_blocks=shape.res_blocks,
            attention_levels=[side in shape.attention for side in sides],
            num_head_channels=[width // shape.heads for width in widths],
            norm_num_groups=shape.width // IN_A_GROUP,
            resblock_updown=True,
        )

    def forward(self, noisy: Float[Tensor, "n c s s"], steps: Int[Tensor, " n"]) -> Float[Tensor, "n c s s"]:
        """The noise in images, each noised at its own step."""
        noise: Tensor = self.unet(noisy, steps)
        return noise.float()


class Averaged(nn.Module):
    """A network and the exponential moving average of its weights, which begins as a copy of them.

    Both are parts of one module, so that checkpoints hold both.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # it never meets a loss, but asks for gradients as a loaded one does: layers compute the last bit accordingly
        self.average = copy.deepcopy(network)

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """average = decay average + (1 - decay) weights."""
        for mean, weights in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(weights, 1 - decay)


def require_monai() -> None:
    """Refuses to go on without the network's libraries.

    Raises:
        MissingLibraryError: Names the one that is missing.
    """
    for library in ("monai", "einops"):
        if find_spec(library) is None:
            raise MissingLibraryError(
                f"The network of anoddpm needs the library {library!r}, which is not installed. "
                f"Install it with `pip install {library}`."
            )
