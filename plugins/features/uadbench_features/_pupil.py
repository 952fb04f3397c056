"""What is trained in reverse distillation: the bottleneck that fuses the teacher's levels, and the student after it."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, cat, nn

from uadbench_features._levels import Level, Levels

EMBEDDING_BLOCKS = 3  # of the fourth stage of ResNet-50
STUDENT_BLOCKS = (3, 6, 4)  # coarse to fine: its stages 4, 3 and 2, mirrored
SAME, DOWN, UP = "same", "down", "up"


class Pupil(nn.Module):
    """Embeds the teacher's three levels and restores them from the embedding.

    `channels` are the teacher's, the finest level first. With `width` 0 the stages are as wide as the teacher's; else
    they have `width`, twice and four times as many, and a 1x1 convolution leads each to the teacher's channels.
    `blocks` is the residual blocks of every stage, 0 = those of ResNet-50.
    """

    def __init__(self, channels: Sequence[int], width: int = 0, blocks: int = 0) -> None:
        super().__init__()
        fine, middle, coarse = (width, 2 * width, 4 * width) if width else channels
        counts = (blocks,) * 3 if blocks else STUDENT_BLOCKS
        self.fusion = Fusion(channels, (middle, coarse))
        self.embedding = stage(coarse, 2 * coarse, DOWN, blocks or EMBEDDING_BLOCKS)
        given, made = (2 * coarse, coarse, middle), (coarse, middle, fine)
        self.stages = nn.ModuleList(stage(a, b, UP, count) for a, b, count in zip(given, made, counts, strict=True))
        self.heads = nn.ModuleList(
            nn.Conv2d(a, b, 1) if width else nn.Identity() for a, b in zip(made, channels[::-1], strict=True)
        )

    def forward(self, levels: Levels) -> list[Level]:
        """The levels as the student restores them, the finest first."""
        values, found = self.embedding(self.fusion(levels)), []  # (n, 2c, h/2, w/2) of the coarsest level (n, c, h, w)
        for restore, head in zip(self.stages, self.heads, strict=True):
            values = restore(values)
            found.append(head(values))
        return found[::-1]


class Fusion(nn.Module):
    """Finer levels, halved by strided convolutions to the grid of the coarsest, joined with it and mixed."""

    def __init__(self, channels: Sequence[int], widths: tuple[int, int]) -> None:
        super().__init__()
        middle, coarse = widths
        self.fine = nn.Sequential(convolution(channels[0], middle, 3, 2), convolution(middle, coarse, 3, 2))
        self.middle = convolution(channels[1], coarse, 3, 2)
        self.mix = convolution(2 * coarse + channels[2], coarse, 1, 1)

    def forward(self, levels: Levels) -> Float[Tensor, "n c h w"]:
        fine, middle, coarse = levels
        return self.mix(cat([self.fine(fine), self.middle(middle), coarse], 1))


class Bottleneck(nn.Module):
    """A residual block of a wide ResNet that keeps, halves or doubles the sides; its middle has half the channels.

    Where ResNet halves with a strided convolution, the mirrored block doubles with a transposed one of 2 x 2.
    """

    def __init__(self, given: int, made: int, change: str = SAME) -> None:
        super().__init__()
        middle = made // 2
        self.body = nn.Sequential(
            convolution(given, middle, 1, 1),
            *_resampled(middle, middle, change, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, made, 1, bias=False),
            nn.BatchNorm2d(made),
        )
        self.shortcut = nn.Identity() if change == SAME else nn.Sequential(*_resampled(given, made, change, 1))
        self.rectify = nn.ReLU(inplace=True)

    def forward(self, values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n _c _h _w"]:
        return self.rectify(self.body(values) + self.shortcut(values))


def stage(given: int, made: int, change: str, blocks: int) -> nn.Sequential:
    """Residual blocks, of which the first changes channels and sides."""
    return nn.Sequential(Bottleneck(given, made, change), *(Bottleneck(made, made) for _ in range(blocks - 1)))


def convolution(given: int, made: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU."""
    layer = nn.Conv2d(given, made, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(made), nn.ReLU(inplace=True))


def _resampled(given: int, made: int, change: str, kernel: int) -> tuple[nn.Module, nn.Module]:
    """A convolution that changes the sides as told, and its batch normalisation."""
    if change == UP:
        return nn.ConvTranspose2d(given, made, 2, 2, bias=False), nn.BatchNorm2d(made)
    stride = 2 if change == DOWN else 1
    return nn.Conv2d(given, made, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(made)
