"""The encoder and the decoder: their published parameter counts, their levels, and what they return."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from uadbench_introspective._networks import BOTTOM, Encoded, IntrospectiveNetworks, ResidualBlock, level_widths

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def networks(size: int = 32, channels: int = 1) -> IntrospectiveNetworks:
    torch.manual_seed(0)
    return IntrospectiveNetworks(channels, 6, size, width=4)


def images(count: int = 3, size: int = 32, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def count(part: nn.Module) -> int:
    return sum(weights.numel() for weights in part.parameters())


def block(inner: int, outer: int) -> int:
    """By hand: 9 weights a kernel, 1 in a shortcut that changes channels, 2 per normalised channel."""
    return 9 * (inner * outer + outer**2) + (inner * outer if inner != outer else 0) + 4 * outer


@pytest.mark.parametrize(("latent", "millions"), [(128, 29.43), (256, 32.58)])
def test_the_networks_have_as_many_parameters_as_the_published_ones(latent, millions):
    widths = (64, 128, 256, 512, 512)
    down = sum(block(a, b) for a, b in zip(widths, (*widths[1:], 512), strict=True))
    up = sum(block(a, b) for a, b in zip((512, 512, 512, 256, 128), (512, 512, 256, 128, 64), strict=True))
    encoder = 25 * 64 + 2 * 64 + down + 512 * 16 * 2 * latent + 2 * latent
    decoder = latent * 512 * 16 + 512 * 16 + up + block(64, 64) + 25 * 64 + 1
    with torch.device("meta"):
        made = IntrospectiveNetworks(1, latent, 128)
    assert (count(made.encoder), count(made.decoder)) == (encoder, decoder)
    assert round(count(made) / 1e6, 2) == millions
    assert latent != 128 or (encoder, decoder) == (16_360_896, 13_069_889)


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (32, [64, 128, 256]),
        (64, [64, 128, 256, 512]),
        (128, [64, 128, 256, 512, 512]),
        (256, [64, 128, 256, *[512] * 3]),
    ],
)
def test_half_the_side_has_one_level_less(size, widths):
    assert level_widths(size, 64) == widths


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_images_of_every_size_come_back_in_their_shape_and_range(size, channels):
    made, batch = networks(size, channels).eval(), images(2, size, channels)
    seen = made.decoder(made.encoder(batch).mean)
    assert seen.shape == batch.shape
    assert 0 < seen.min() < seen.max() < 1


def test_maps_are_those_after_every_pooling():
    maps = networks(64).encoder(images(2, 64)).maps
    assert [tuple(one.shape) for one in maps] == [
        (2, 4, 32, 32),
        (2, 8, 16, 16),
        (2, 16, 8, 8),
        (2, 32, BOTTOM, BOTTOM),
    ]


def test_the_first_map_is_pooled_from_a_normalised_convolution():
    encoder, batch = networks().eval().encoder, images()
    convolved = F.conv2d(batch, encoder.levels[0][0].weight, padding=2) / np.sqrt(1 + 1e-5)
    leaky = torch.where(convolved > 0, convolved, 0.2 * convolved)
    pooled = leaky.view(3, 4, 16, 2, 16, 2).mean((3, 5))
    torch.testing.assert_close(encoder(batch).maps[0], pooled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("outer", [3, 5])
def test_a_residual_block_adds_its_shortcut_before_the_last_activation(outer):
    torch.manual_seed(0)
    made, maps = ResidualBlock(3, outer).eval(), images(2, 8, 3)
    first, second = made.body[0].weight, made.body[3].weight
    hidden = F.leaky_relu(F.conv2d(maps, first, padding=1) / np.sqrt(1 + 1e-5), 0.2)
    short = maps if outer == 3 else F.conv2d(maps, made.shortcut.weight)
    total = F.conv2d(hidden, second, padding=1) / np.sqrt(1 + 1e-5) + short
    torch.testing.assert_close(made(maps), F.leaky_relu(total, 0.2), atol=1e-5, rtol=1e-4)


def test_latents_are_drawn_with_the_posterior_s_deviation():
    encoded = Encoded(torch.tensor([[1.0, -2.0]]), torch.log(torch.tensor([[4.0, 0.25]])), [])
    drawn = encoded.sampled(torch.tensor([[0.5, -1.0]]))
    np.testing.assert_allclose(drawn, [[1 + 2 * 0.5, -2 - 0.5]], rtol=1e-6)


def test_noise_is_drawn_from_the_global_generator_alone():
    made = networks()
    torch.manual_seed(3)
    drawn = made.noise(2, 5)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.randn(2, 5, 6))


def test_moments_and_images_are_float32_in_half_precision():
    made, batch = networks().train(), images()
    with torch.autocast("cpu", torch.bfloat16):
        encoded = made.encoder(batch)
        seen = made.decoder(encoded.mean)
    assert encoded.maps[0].dtype == torch.bfloat16
    assert {encoded.mean.dtype, encoded.log_variance.dtype, seen.dtype} == {torch.float32}
