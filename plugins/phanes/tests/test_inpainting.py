"""The inpainting networks: their published parameter counts, their shapes, the gate, and the composition."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from uadbench_phanes._inpainting import (
    SMALLEST,
    Block,
    Discriminator,
    Generator,
    InpaintingNetworks,
    composed,
    normalised,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def count(part: nn.Module) -> int:
    return sum(weights.numel() for weights in part.parameters())


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_generator_has_as_many_parameters_as_the_published_one():
    block = 4 * (9 * 256 * 64 + 64) + 2 * (9 * 256 * 256 + 256)
    down = 49 * 2 * 64 + 64 + 16 * 64 * 128 + 128 + 16 * 128 * 256 + 256
    up = 9 * 256 * 128 + 128 + 9 * 128 * 64 + 64 + 9 * 64 + 1
    made = Generator(1)
    assert count(made) == down + 8 * block + up == 15_193_409
    assert count(next(one for one in made.layers if isinstance(one, Block))) == block


def test_the_discriminator_has_as_many_parameters_as_the_published_one():
    assert count(Discriminator(1)) == 16 * (64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 1 == 2_761_729


@pytest.mark.parametrize(("size", "channels"), [(SMALLEST, 1), (40, 3), (64, 1)])
def test_images_and_patches_have_their_shapes(size, channels):
    torch.manual_seed(0)
    made = InpaintingNetworks(channels, 4, 1)
    images = random(2, channels, size, size)
    seen = made.generator(images, torch.zeros(2, 1, size, size))
    assert seen.shape == images.shape
    assert seen.abs().max() < 1
    assert made.discriminator(images).shape == (2, 1, size // 8 - 2, size // 8 - 2)


@pytest.mark.parametrize(("width", "spread"), [(64, 0.02), (16, 0.04)])
def test_weights_start_from_a_normal_law_that_widens_as_layers_thin_and_biases_from_zero(width, spread):
    torch.manual_seed(0)
    layers = [one for one in Generator(1, width, 1).modules() if isinstance(one, nn.Conv2d)]
    weights = torch.cat([one.weight.flatten() for one in layers])
    assert weights.std().item() == pytest.approx(spread, rel=0.05)
    assert not any(one.bias.any() for one in layers)


def test_a_block_keeps_shapes_and_lets_the_fused_branches_in_through_the_gate():
    torch.manual_seed(0)
    block, maps = Block(8), random(2, 8, 12, 12)
    branches = []
    for rate, branch in zip((1, 2, 4, 8), block.branches, strict=True):
        padded = torch.as_tensor(np.pad(maps.numpy(), ((0, 0), (0, 0), (rate, rate), (rate, rate)), "reflect"))
        branches.append(F.conv2d(padded, branch[1].weight, branch[1].bias, dilation=rate).relu())
    fused = block.fuse(torch.cat(branches, 1))
    gate = block.gate(maps).detach().numpy()
    mean, deviation = gate.mean((2, 3), keepdims=True), gate.std((2, 3), keepdims=True, ddof=1)
    opened = 1 / (1 + np.exp(-5 * (2 * (gate - mean) / deviation - 1)))
    expected = maps.numpy() * (1 - opened) + fused.detach().numpy() * opened
    assert [one.shape[1] for one in branches] == [2, 2, 2, 2]
    np.testing.assert_allclose(block(maps).detach(), expected, atol=1e-5)


def test_a_map_that_does_not_vary_closes_its_gate_and_has_a_gradient():
    maps = torch.full((1, 2, 4, 4), 0.3, requires_grad=True)
    closed = normalised(maps)
    closed.sum().backward()
    np.testing.assert_allclose(closed.detach(), -5, atol=1e-3)
    assert torch.isfinite(maps.grad).all()


def test_what_lies_under_a_mask_is_not_seen():
    torch.manual_seed(0)
    generator, images, masks = Generator(1, 4, 1), random(2, 1, 40, 40), torch.zeros(2, 1, 40, 40)
    masks[:, :, 10:20, 12:18] = 1
    other = torch.where(masks > 0, random(2, 1, 40, 40, seed=1), images)
    assert torch.equal(generator(images, masks), generator(other, masks))
    assert not torch.equal(generator(images, masks), generator(images, 0 * masks))


def test_the_discriminator_s_weights_stretch_by_one_at_most():
    torch.manual_seed(0)
    made, images = Discriminator(1, 8).train(), random(2, 1, 40, 40)
    for _ in range(20):
        made(images)
    stretched = [torch.linalg.matrix_norm(one[0].weight.flatten(1), 2).item() for one in list(made.layers)[:-1]]
    assert stretched == pytest.approx([1] * 4, rel=0.05)


def test_the_composition_copies_every_pixel_outside_the_mask():
    images, made, masks = random(2, 1, 8, 8), random(2, 1, 8, 8, seed=1), random(2, 1, 8, 8, seed=2) > 0.5
    found = composed(images, made, masks)
    assert torch.equal(found[~masks], images[~masks])
    assert torch.equal(found[masks], made[masks])


def test_both_networks_work_in_half_precision():
    torch.manual_seed(0)
    made, images = InpaintingNetworks(1, 4, 1), random(2, 1, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = made.generator(images, 0 * images), made.discriminator(images)
    assert {one.dtype for one in outputs} == {torch.float32}
