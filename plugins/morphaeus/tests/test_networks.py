"""The networks: weights as published, and which features the deformer sees."""

import pytest
import torch
from uadbench_morphaeus._networks import SIZES, Deformer, MorphNetwork, PriorAutoencoder
from uadbench_morphaeus.morphaeus import Morphaeus

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def weights(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def noise(count: int, size: int, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_at_the_papers_settings_they_have_its_numbers_of_weights():
    network = Morphaeus().network(1)
    assert weights(network.prior) == 3_738_689
    assert weights(network.deformer) == 116_066


def test_the_papers_networks_learn_and_move_every_weight():
    network, images = MorphNetwork(1, 128), noise(2, 128)
    seen, velocity = network(images)
    ((seen - images).square().mean() + velocity.square().mean()).backward()
    assert (seen.shape, velocity.shape) == ((2, 1, 128, 128), (2, 2, 128, 128))
    assert all(torch.isfinite(one.grad).all() for one in network.parameters())
    assert network.prior.encoder[0].convolution.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("size", SIZES)
def test_at_every_size_the_latent_is_one_pixel_and_the_deformer_reads_the_three_finest_levels(size):
    prior = PriorAutoencoder(1, size, 2)
    seen, encoded, decoded = prior(noise(2, size))
    latent = noise(2, size)
    for block in prior.encoder:
        _, latent = block(latent)
    assert (latent.shape[2:], seen.shape) == ((1, 1), (2, 1, size, size))
    assert [maps.shape[1:] for maps in encoded] == [
        (2**k * 2, size // 2 ** (k + 1), size // 2 ** (k + 1)) for k in (2, 1, 0)
    ]
    assert [maps.shape[1] for maps in decoded] == [16, 8, 4]


def test_the_deformer_reads_features_from_before_their_normalisation():
    prior = PriorAutoencoder(1, 32, 2).eval()
    _, encoded, _ = prior(noise(2, 32))
    torch.testing.assert_close(encoded[-1], prior.encoder[0].convolution(noise(2, 32)))


def test_at_first_nothing_moves():
    torch.manual_seed(0)
    network = MorphNetwork(1, 32, 2)
    assert 0 < network(noise(4, 32))[1].abs().max() < 1e-3
    assert isinstance(network.deformer, Deformer)


def test_reconstructing_alone_gives_the_same_image():
    network = MorphNetwork(3, 32, 2).eval()
    assert torch.equal(network.reconstruct(noise(2, 32, 3)), network(noise(2, 32, 3))[0])
