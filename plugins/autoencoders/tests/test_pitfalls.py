"""The autoencoders of the study of pitfalls, vanilla and spatial: networks, loss and map, and how long they train."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders._mirrored import MirroredNetwork, absolute_error, least_absolute_error
from uadbench_autoencoders.spatial_ae import SpatialAutoencoder
from uadbench_autoencoders.vanilla_ae import VanillaAutoencoder

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor, fit

pytestmark = pytest.mark.usefixtures("one_torch_thread")

Method = VanillaAutoencoder | SpatialAutoencoder
VANILLA = VanillaAutoencoder(latent=8, width=4, size=32, epochs=2, steps=3, batch=4)
SPATIAL = SpatialAutoencoder(latent=8, width=4, size=32, epochs=2, steps=3, batch=4)
METHODS = pytest.mark.parametrize("method", [VANILLA, SPATIAL], ids=["vanilla", "spatial"])
NAMES = pytest.mark.parametrize("name", ["vanilla-ae", "spatial-ae"])
TRAIN, VAL = blobs(8, 32, 32, seed=2), blobs(4, 32, 32, seed=3)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def started(method: Method, channels: int = 1) -> MirroredNetwork:
    torch.manual_seed(0)
    return method.network(channels)


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def trained(method: Method, context: FitContext) -> Reconstructor:
    return method.fit(MemorySource(TRAIN), MemorySource(VAL), context)


def left_by(method: Method, context: FitContext) -> MirroredNetwork:
    """The network of the last epoch, whichever was best."""
    training = replace(least_absolute_error(method), validation=None)
    return fit(method, training, MemorySource(TRAIN), MemorySource(VAL), context).network


def validation_error(network: MirroredNetwork) -> float:
    return absolute_error(network, torch.as_tensor(VAL.pixels)).item()


def count(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


# by hand: 9 weights per kernel and 2 factors per normalised channel
DOWN = 9 * (32 + 32 * 64 + 64 * 128 + 2 * 128 * 128) + 2 * (32 + 64 + 3 * 128)
UP = 9 * (2 * 128 * 128 + 128 * 64 + 64 * 32 + 32 * 32) + 2 * (2 * 128 + 64 + 2 * 32) + 32


@pytest.mark.parametrize(
    ("latent", "published"), [(32, 1_309_696), (64, 1_833_984), (128, 2_882_560), (256, 4_979_712)]
)
def test_the_vanilla_network_has_as_many_parameters_as_the_published_one(latent, published):
    assert count(VanillaAutoencoder(latent=latent).network(1)) == DOWN + UP + 2 * 8192 * latent == published


@pytest.mark.parametrize(("latent", "published"), [(1, 785_664), (2, 785_920)])
def test_the_spatial_network_has_as_many_parameters_as_the_published_one(latent, published):
    assert count(SpatialAutoencoder(latent=latent).network(1)) == DOWN + UP + 2 * 128 * latent == published


@NAMES
def test_the_paper_s_network_makes_one_step(name):
    network = started(plugins.make(name, preset="paper"))
    loss = absolute_error(network, torch.rand(2, 1, 256, 256))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize(("method", "shape"), [(VANILLA, (2, 8)), (SPATIAL, (2, 8, 2, 2))])
def test_the_latent_is_a_vector_or_a_map_of_a_thirty_second_of_the_side(method, shape):
    network, images = started(replace(method, size=64), channels=3).eval(), torch.zeros(2, 3, 64, 64)
    assert network.encode(images).shape == shape
    assert network.decode(network.encode(images)).shape == images.shape


@METHODS
def test_the_loss_is_the_mean_absolute_error(method):
    network = started(method).eval()
    seen = network.decode(network.encode(grid())).detach().numpy()
    assert absolute_error(network, grid()).item() == pytest.approx(np.mean(np.abs(grid().numpy() - seen)), rel=1e-5)


@METHODS
def test_the_output_is_linear_in_the_last_convolution(method):
    network = started(method).eval()
    before = network.decode(network.encode(grid()))
    with torch.no_grad():
        network.decoder[-1][-1].weight *= -100
    torch.testing.assert_close(network.decode(network.encode(grid())), -100 * before)


@METHODS
def test_the_map_is_the_absolute_error_of_what_the_network_returns(method, context):
    detector, test = trained(method, context), blobs(3, 32, 32, seed=4)
    with torch.no_grad():
        detector.network.decoder[-1][-1].weight *= -100  # below 0: is it clipped before the map is made?
        seen = detector.network.decode(detector.network.encode(torch.as_tensor(test.pixels))).numpy()
    prediction = detector.predict(test)
    assert seen.min() < 0 == prediction.reconstructions.min()
    np.testing.assert_allclose(prediction.maps, np.abs(test.pixels - seen)[:, 0], atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


@METHODS
def test_the_slope_of_every_activation_is_a_hundredth(method):
    activations = [layer for layer in method.network(1).modules() if isinstance(layer, nn.LeakyReLU)]
    assert [layer(torch.tensor(-2.0)).item() for layer in activations] == [pytest.approx(-0.02)] * 10


@METHODS
def test_weights_decay_beside_the_gradient(method):
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.zeros(1)
    replace(method, lr=0.1, weight_decay=0.5).optimiser([weight]).step()
    assert weight.item() == pytest.approx(3 * (1 - 0.1 * 0.5))


@METHODS
def test_an_epoch_is_as_many_batches_as_there_are_steps(method, context):
    network = trained(replace(method, epochs=1, steps=3), context).network
    assert [layer.num_batches_tracked for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)] == [3] * 10


@METHODS
def test_the_best_epoch_is_kept(method, tmp_path):
    jumping, errors = replace(method, epochs=5, lr=0.03), []  # at so high a rate the last epoch is not the best
    for epochs in range(1, 6):
        context = FitContext(0, "cpu", "float32", tmp_path / str(epochs))
        errors.append(validation_error(left_by(replace(jumping, epochs=epochs), context)))
    kept = validation_error(trained(jumping, FitContext(0, "cpu", "float32", tmp_path / "kept")).network)
    assert kept == min(errors) < errors[-1]


@METHODS
def test_training_explains_more_than_the_mean_image(method, context):
    train, val, test = (blobs(count, 32, 32, seed=seed) for count, seed in ((32, 2), (4, 3), (8, 4)))
    longer = replace(method, width=8, epochs=4, steps=20, batch=8, lr=5e-3)
    learned = longer.fit(MemorySource(train), MemorySource(val), context)
    mean_image = np.abs(test.pixels - train.pixels.mean(0)).mean()
    assert np.abs(test.pixels - learned.predict(test).reconstructions).mean() < mean_image


@NAMES
@pytest.mark.parametrize("preset", ["paper", "pit-2022"])
def test_the_study_takes_ten_thousand_steps(name, preset):
    method = plugins.make(name, preset=preset)
    assert (method.epochs * method.steps, method.steps, method.batch) == (10_000, 200, 128)
    assert (method.size, method.lr, method.weight_decay) == (256, 1e-3, 0.02)


@pytest.mark.parametrize(("name", "latent"), [("vanilla-ae", 128), ("spatial-ae", 1)])
@pytest.mark.parametrize("preset", ["quick", "paper", "pit-2022"])
def test_every_preset_makes_a_method(name, latent, preset):
    method = plugins.make(name, preset=preset)
    assert (method.latent, method.weight_decay, method.residual, method.augment) == (latent, 0.02, "absolute", False)


@NAMES
@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 32: give 96 or 128"),
        ({"latent": 0}, "latent is 0"),
        ({"width": 0}, "width is 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"steps": -1}, "steps -1"),
        ({"batch": 1}, "batch 1"),
        ({"lr": 0.0}, "lr is 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(name, override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make(name, preset="paper", **override)


@NAMES
def test_an_unknown_residual_is_refused(name):
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make(name, residual="absolut")
