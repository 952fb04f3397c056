"""The network: weights at the paper's settings, which levels attend, and the running mean of the weights."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from uadbench_anoddpm import _network
from uadbench_anoddpm._network import Averaged, NoisePredictor
from uadbench_anoddpm.anoddpm import AnoDdpm

from uadbench import FitContext, plugins
from uadbench.errors import MissingLibraryError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

THIN = AnoDdpm(width=4, multipliers=(1, 2), res_blocks=1, attention=(), heads=1, size=16)


def weights(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def levels_that_attend(network: NoisePredictor) -> list[bool]:
    return [hasattr(block, "attentions") for block in network.unet.down_blocks]


def test_the_papers_network_has_its_number_of_weights_attends_at_32_16_and_8_pixels_and_makes_a_step():
    torch.manual_seed(0)
    network = AnoDdpm().network(1)
    assert weights(network) == 99_937_409
    assert levels_that_attend(network) == [False, False, True, True, True]
    noisy = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = network(noisy, torch.tensor([199]))
    (found - noisy).square().mean().backward()
    assert found.shape == noisy.shape
    assert all(torch.isfinite(one.grad).all() for one in network.parameters())
    assert network.unet.out[-1].conv.weight.grad.abs().sum() > 0


def test_the_network_of_quick_is_small_enough_for_two_cores():
    assert weights(plugins.make("anoddpm", preset="quick").network(1)) == 177_481


def test_heads_share_the_channels_of_a_level():
    network = replace(THIN, width=8, attention=(8,), heads=2).network(1)
    assert network.unet.middle_block.attention.attn.num_heads == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_has_the_shape_of_the_images_and_depends_on_the_step(channels):
    torch.manual_seed(0)
    network = THIN.network(channels)
    torch.nn.init.normal_(network.unet.out[-1].conv.weight)
    for block in network.modules():
        if hasattr(block, "conv2"):
            torch.nn.init.normal_(block.conv2.conv.weight, 0, 0.1)
    noisy = torch.randn(2, channels, 16, 16)
    early, late = (network(noisy, torch.full((2,), step)) for step in (0, 500))
    assert early.shape == noisy.shape
    assert not torch.allclose(early, late)


def test_the_average_moves_by_the_share_that_the_decay_leaves():
    averaged = Averaged(torch.nn.Linear(1, 1, bias=False))
    mean = averaged.network.weight.item()
    for value in (3.0, -1.0, 2.0):
        torch.nn.init.constant_(averaged.network.weight, value)
        averaged.update(0.9)
        mean = 0.9 * mean + 0.1 * value
    assert averaged.average.weight.item() == pytest.approx(mean)
    assert averaged.network.weight.item() == 2


def test_without_decay_the_average_is_the_network():
    averaged = Averaged(torch.nn.Linear(2, 2))
    torch.nn.init.ones_(averaged.network.weight)
    averaged.update(0.0)
    assert torch.equal(averaged.average.weight, averaged.network.weight)


def test_the_average_learns_nothing_by_itself(tmp_path):
    averaged = Averaged(THIN.network(1))
    step = THIN.learner(averaged, FitContext(0, "cpu", "float32", tmp_path)).step
    step(torch.zeros(2, 1, 16, 16), 0)
    assert all(one.grad is None for one in averaged.average.parameters())
    assert any(one.grad is not None for one in averaged.network.parameters())


@pytest.mark.parametrize("library", ["monai", "einops"])
def test_a_missing_library_is_said_before_the_training(library, monkeypatch, tmp_path):
    monkeypatch.setattr(_network, "find_spec", lambda name: None if name == library else object())
    source = MemorySource(blobs(4, 16, 16, seed=0))
    with pytest.raises(MissingLibraryError, match=f"needs the library '{library}'.*pip install {library}"):
        THIN.fit(source, source, FitContext(0, "cpu", "float32", tmp_path))


@pytest.mark.parametrize("path", sorted(Path(_network.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_importing_the_method_does_not_import_monai(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert not re.match("(from|import) monai", ast.unparse(node))
