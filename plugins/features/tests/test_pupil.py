"""The bottleneck and the student: their shapes, and their weights counted by hand."""

import pytest
import torch
from uadbench_features._pupil import Bottleneck, Pupil

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WIDE_RESNET = (256, 512, 1024)


def levels(channels: tuple[int, ...], side: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    sides = (side // 4, side // 8, side // 16)
    return [torch.randn(2, c, s, s) for c, s in zip(channels, sides, strict=True)]


def weights(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def layer(given: int, made: int, kernel: int) -> int:
    """A convolution without bias, and the two weights of its normalisation per channel."""
    return given * made * kernel**2 + 2 * made


def block(given: int, made: int, kernel: int, shortcut: int) -> int:
    half = made // 2
    skip = layer(given, made, shortcut) if shortcut else 0
    return layer(given, half, 1) + layer(half, half, kernel) + layer(half, made, 1) + skip


@pytest.mark.parametrize(("channels", "width"), [((24, 40, 112), 4), ((8, 16, 32), 0)])
def test_every_level_is_restored_in_its_own_shape(channels, width):
    given = levels(channels, 64)
    assert [one.shape for one in Pupil(channels, width, 1)(given)] == [one.shape for one in given]


def test_the_embedding_has_half_the_sides_of_the_coarsest_level_and_twice_its_channels():
    pupil = Pupil((8, 16, 32), 0, 1)
    assert pupil.embedding(pupil.fusion(levels((8, 16, 32), 64))).shape == (2, 64, 2, 2)


def test_the_student_sees_the_levels_through_the_embedding_alone():
    pupil, given = Pupil((8, 16, 32), 0, 1).eval(), levels((8, 16, 32), 64)
    pupil.embedding = torch.nn.Sequential(pupil.embedding, torch.nn.Threshold(torch.inf, 0.0))
    nothing = pupil([torch.zeros_like(one) for one in given])
    assert all(torch.equal(a, b) for a, b in zip(pupil(given), nothing, strict=True))


@pytest.mark.parametrize(("change", "side"), [("same", 8), ("down", 4), ("up", 16)])
def test_a_block_keeps_halves_or_doubles_the_sides(change, side):
    made = 6 if change == "same" else 10
    assert Bottleneck(6, made, change)(torch.zeros(2, 6, 8, 8)).shape == (2, made, side, side)


def test_the_paper_s_network_has_as_many_weights_as_its_layers_add_up_to():
    fusion = layer(256, 512, 3) + 2 * layer(512, 1024, 3) + layer(3 * 1024, 1024, 1)
    embedding = block(1024, 2048, 3, 1) + 2 * block(2048, 2048, 3, 0)
    stages = ((2048, 1024, 3), (1024, 512, 6), (512, 256, 4))
    student = sum(block(a, b, 2, 2) + (count - 1) * block(b, b, 3, 0) for a, b, count in stages)
    with torch.device("meta"):
        assert weights(Pupil(WIDE_RESNET)) == fusion + embedding + student == 81_938_944


def test_the_network_of_quick_is_thin():
    assert weights(Pupil((24, 40, 112), 16, 1)) == 188_432
