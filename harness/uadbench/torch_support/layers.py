"""Feature maps of frozen ImageNet networks by name: torchvision's after any of their layers, and lite0's.

Weights are `imagenet`, or `random` for trying things out: drawn from a seed, and recorded as random.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uadbench.errors import MissingLibraryError, ParameterError, UnknownNameError
from uadbench.torch_support.determinism import generator
from uadbench.torch_support.states import drawn, not_of, read_state
from uadbench.torch_support.weights import IMAGENET, WeightsUsed, locate, require_kind

if TYPE_CHECKING:
    from uadbench.torch_support.backbones import Backbone

NAMES = ("alexnet", "squeezenet1_1", "vgg16", "vgg19")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1]
LITE0, LITE0_BACKBONE = "lite0", "tf_efficientnet_lite0"
TRIED_SIDE = 64  # px of the input that shapes are read from


class Layers(nn.Module):
    """Feature maps of torchvision's network after the given layers: places in its `features`, in ascending order.

    In `vgg19` 1 is relu1_1, 6 relu2_1, 11 relu3_1, 20 relu4_1 and 29 relu5_1. Images in [0, 1] are normalised by
    ImageNet's mean and deviation, unless `normalised` is off. Frozen; gradients reach the input. No layer works in
    place, so that maps stay as they are returned and hooks may be set.

    Raises:
        UnknownNameError: None of `NAMES`.
        ParameterError: The network has no such layer, or weights of an unknown kind.
        MissingLibraryError: Without torchvision.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, layers: Sequence[int], *, normalised: bool = True, weights: str = IMAGENET, seed: int = 0
    ) -> None:
        super().__init__()
        require_kind(weights)
        self.layers: tuple[int, ...] = tuple(sorted(set(layers)))
        self.network = _stack(name, self.layers)
        with torch.no_grad():
            tried = self._walk(torch.empty(1, 3, TRIED_SIDE, TRIED_SIDE, device="meta"))
        self.channels: tuple[int, ...] = tuple(one.shape[1] for one in tried)
        self.weights_used = _load(self.network, name) if weights == IMAGENET else _draw(self.network, name, seed)
        self.register_buffer("mean", torch.tensor(MEAN if normalised else (0.0, 0.0, 0.0)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD if normalised else (1.0, 1.0, 1.0)).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """Features of images in [0, 1] with one channel (repeated) or three: one map per layer."""
        rgb = images.expand(-1, 3, -1, -1)  # (n, 1 or 3, h, w) -> (n, 3, h, w)
        return self._walk((rgb - self.mean) / self.std)

    def _walk(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        found, values = [], images
        for place, layer in enumerate(self.network):
            values = layer(values)
            if place in self.layers:
                found.append(values)
        return found


def features(
    name: str, layers: Sequence[int], *, normalised: bool = True, weights: str = IMAGENET, seed: int = 0
) -> "Layers | Backbone":
    """Torchvision's network of that name at its layers; or `lite0`, which needs no download, at reductions.

    lite0 always has the normalisation it was trained with.

    Raises:
        MissingLibraryError: Without timm (lite0), or as `Layers`.
    """
    if name != LITE0:
        return Layers(name, layers, normalised=normalised, weights=weights, seed=seed)
    if find_spec("timm") is None:
        raise MissingLibraryError(
            "The features 'lite0' need the library 'timm', which is not installed. "
            "Install it with `pip install 'uadbench[torch]'`."
        )
    from uadbench.torch_support.backbones import Backbone

    return Backbone(LITE0_BACKBONE, layers, weights=weights, seed=seed)


def _stack(name: str, layers: tuple[int, ...]) -> nn.Sequential:
    """The network's `features` up to the last of the layers, without memory for its weights yet."""
    if name not in NAMES:
        raise UnknownNameError("features", name, (*NAMES, LITE0), "one of: " + ", ".join((*NAMES, LITE0)))
    try:
        from torchvision.models import get_model
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"The network {name!r} needs the library 'torchvision', which is not installed. "
            "Install it with `pip install 'uadbench[perceptual]'`."
        ) from error
    with torch.device("meta"):
        stack: nn.Sequential = get_model(name, weights=None).features
    if not layers or not set(layers) <= set(range(len(stack))):
        raise ParameterError(f"{name} has layers 0 to {len(stack) - 1}, but {list(layers)} are asked for.")
    for module in stack.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return stack[: layers[-1] + 1]


def _load(stack: nn.Sequential, name: str) -> WeightsUsed:
    """Fills the layers from the weights file of the whole network."""
    file = locate(name)
    state = read_state(file.path, name)
    try:
        mine = {place: state[f"features.{place}"].float() for place in stack.state_dict()}
        stack.load_state_dict(mine, assign=True)
    except (RuntimeError, KeyError, AttributeError) as error:
        raise not_of(name, file.path, error) from error
    return file.used


def _draw(stack: nn.Sequential, name: str, seed: int) -> WeightsUsed:
    """Fills the layers at random such that rectified signals keep their size. Source: He et al., ICCV 2015, eq. 10."""
    stack.to_empty(device="cpu")
    numbers = generator(seed)
    for module in stack.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            with torch.no_grad():
                module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=numbers)
                module.bias.zero_()
    return drawn(stack, name, seed)
