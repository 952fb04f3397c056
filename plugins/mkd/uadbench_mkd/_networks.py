"""The frozen teacher and the student that learns its features, on four levels: at 1/4, 1/8, 1/16 and 1/32 of the side.

Source: Salehi et al., CVPR 2021, arXiv:2011.11108, sec. 4; the student is network "B" of the authors' settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from uadbench.errors import UnknownNameError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.layers import LITE0, Layers, features

STRIDE = 32  # px of the input behind one place of the coarsest level
WIDTH = 16

Images = Float[Tensor, "n c s s"]  # 1 channel (repeated) or 3, in [0, 1]
Features = list[Float[Tensor, "n _c _h _w"]]  # of each level, finest first


@dataclass(frozen=True, slots=True)
class Taps:
    """Where a teacher's four levels are: layers of torchvision's network, or reductions of timm's.

    `rectified` says whether its features have passed a ReLU, so that none is negative.
    """

    places: tuple[int, int, int, int]
    rectified: bool


TEACHERS = {"vgg16": Taps((9, 16, 23, 30), rectified=True), LITE0: Taps((4, 8, 16, STRIDE), rectified=False)}


def require_teacher(name: str) -> None:
    """Refuses a name that no teacher has.

    Raises:
        UnknownNameError: Suggests the nearest.
    """
    if name not in TEACHERS:
        raise UnknownNameError("teacher", name, tuple(TEACHERS), "one of: " + ", ".join(TEACHERS))


def frozen_teacher(name: str, weights: str, device: str) -> Layers | Backbone:
    """The teacher in eval mode; VGG-16 after its pools 2 to 5, on images that are not normalised.

    Raises:
        MissingLibraryError: torchvision (VGG-16) or the package of weights (lite0) is missing.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """
    teacher = features(name, TEACHERS[name].places, normalised=False, weights=weights)
    return teacher.to(device).eval()


class Student(nn.Module):
    """Five blocks of 3 x 3 convolutions, each with a pool at its end; the last four give the levels.

    The convolutions have `width` channels, the last of a level those of the teacher. They have no bias; all but the
    last of a block have batch normalisation; a ReLU follows each, but not the last of a level whose teacher's features
    are not `rectified`. VGG-16's levels and 16 channels make 343,984 weights.
    """

    def __init__(self, levels: Sequence[int], width: int = WIDTH, *, rectified: bool = True) -> None:
        super().__init__()
        stem = (3, width, width)
        tapped = [(width, width, levels[0]), *((finer, width, width, level) for finer, level in pairwise(levels))]
        self.blocks = nn.ModuleList(
            [_block(stem, rectified=True), *(_block(one, rectified=rectified) for one in tapped)]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, images: Images) -> Features:
        """What the student believes the teacher's features to be."""
        found, values = [], images.expand(-1, 3, -1, -1)  # (n, 1 or 3, s, s) -> (n, 3, s, s)
        for block in self.blocks:
            values = block(values)
            found.append(values)
        return found[1:]


def _block(channels: Sequence[int], *, rectified: bool) -> nn.Sequential:
    """Convolutions from one number of channels to the next, then a pool; `rectified` puts a ReLU before it."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels[:-1]):
        layers += [_convolution(before, after), nn.BatchNorm2d(after), nn.ReLU()]
    layers.append(_convolution(*channels[-2:]))
    if rectified:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)
