"""Frozen convolutional networks for inference: what surrounds a convolution goes into it, and channels come last.

A BatchNorm in eval mode scales and shifts channels, as the convolution's own weights can. Features stay the same but
for rounding, which is checked; only who needs the same bytes as before has to keep the network as it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from uadbench.errors import ParameterError

CONVOLUTIONS = (nn.Conv2d, Conv2dSame)  # others, such as standardised ones, use their weights in ways of their own
NORMS = (nn.BatchNorm2d, BatchNormAct2d)
MOST = 1e-4  # difference, of the largest feature

Network = TypeVar("Network", bound=nn.Module)
Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def folded(network: Network, example: Float[Tensor, "n c h w"]) -> Network:
    """A copy of the network in eval mode, with the same outputs: maps, or lists or mappings of them.

    The network runs on the example to see which BatchNorms follow a convolution at once. One whose convolution serves
    anyone else too, or runs twice, stays.

    Raises:
        ParameterError: Outputs differ by more than 1e-4 of the largest value in them.
    """
    copy = deepcopy(network)
    names = {module: name for name, module in copy.named_modules()}
    with torch.no_grad():
        pairs, expected = _watched(copy, example)
        for convolution, norm in pairs:
            _place(copy, names[convolution], fuse_conv_bn_eval(convolution, norm))
            _place(copy, names[norm], _left_of(norm))
        for name, module in list(copy.named_modules()):
            if _halves(module):
                _place(copy, name, _Halving(module))
        for tensor in (*copy.parameters(), *copy.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        _require_equal(list(_tensors(copy(example))), expected)
    return copy


class _Halving(nn.Module):
    """A convolution of stride 2 that pads even sides by one more at their end: as zeros before its kernel's weights.

    So both ends have the same padding, and the input is not copied into a larger one first.
    """

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution  # of odd sides, which have the same padding at both ends
        self.weight = nn.Parameter(F.pad(convolution.weight, (1, 0, 1, 0)), requires_grad=False)
        self.padding = (convolution.kernel_size[0] - 1) // 2

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n _c _h _w"]:
        plain = self.convolution
        if images.shape[-2] % 2 or images.shape[-1] % 2:
            shrunk: Tensor = plain(images)
            return shrunk
        return F.conv2d(images, self.weight, plain.bias, 2, self.padding, 1, plain.groups)


def _halves(module: nn.Module) -> bool:
    if type(module) is not Conv2dSame:
        return False
    (high, wide), dense = module.kernel_size, module.dilation == (1, 1)
    return dense and module.stride == (2, 2) and high == wide and high % 2 == 1 and high > 1


class _Uses(TorchFunctionMode):
    """Which convolution a tensor comes from, which BatchNorms it goes to, and how many functions it goes to at all."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the tensors, so that no other gets their ids
        self.uses: Counter[int] = Counter()
        self.runs: Counter[nn.Module] = Counter()
        self.normed: list[tuple[nn.Conv2d, Tensor, nn.BatchNorm2d]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(found)):  # else only a shape or the like was asked for
            self.count(args, kwargs)
        return found

    def count(self, *given: object) -> None:
        """Notes the tensors as used."""
        self.uses.update(id(tensor) for tensor in _tensors(given) if id(tensor) in self.sources)

    def convolved(self, module: nn.Conv2d, _: object, output: Tensor) -> None:
        """A hook: the output is new."""
        self.runs[module] += 1
        self.sources[id(output)] = module, output

    def norming(self, module: nn.BatchNorm2d, given: tuple[Tensor]) -> None:
        """A hook: the input is about to be used."""
        self.runs[module] += 1
        if id(given[0]) in self.sources:
            self.normed.append((*self.sources[id(given[0])], module))

    def pairs(self) -> list[Pair]:
        """Convolutions and the BatchNorms that alone have their output."""
        return [
            (convolution, norm)
            for convolution, output, norm in self.normed
            if self.uses[id(output)] == self.runs[convolution] == self.runs[norm] == 1
        ]


def _watched(network: nn.Module, example: Tensor) -> tuple[list[Pair], list[Tensor]]:
    """The pairs that can be folded, and what the network makes of the example."""
    seen, hooks = _Uses(), []
    for module in network.modules():
        if type(module) in CONVOLUTIONS:
            hooks.append(module.register_forward_hook(seen.convolved))
        elif type(module) in NORMS and not module.training and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(seen.norming))
    try:
        with seen:
            outputs = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    seen.count(outputs)
    return seen.pairs(), list(_tensors(outputs))


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(one)


def _left_of(norm: nn.Module) -> nn.Module:
    """What a BatchNorm does beside it: nothing, or timm's activation."""
    parts = [norm.drop, norm.act] if isinstance(norm, BatchNormAct2d) else []
    doing = [part for part in parts if not isinstance(part, nn.Identity)]
    return doing[0] if len(doing) == 1 else nn.Sequential(*doing)


def _place(network: nn.Module, name: str, module: nn.Module) -> None:
    """Puts the module where the network has one of that name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def _require_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        apart, scale = float((one - other).abs().max()), float(other.abs().max())
        if not apart <= MOST * scale:
            raise ParameterError(
                f"Folding BatchNorm into convolutions changes features by {apart:.2g}, and the largest is {scale:.2g}. "
                "Give another network."
            )
