"""Baur's autoencoders, spatial and dense: their networks, loss and map, their switches, and which epoch is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders._mirrored import MirroredNetwork, absolute_error, least_absolute_error
from uadbench_autoencoders.ae_dense import DenseAutoencoder
from uadbench_autoencoders.ae_spatial import SpatialLatentAutoencoder

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor, fit

pytestmark = pytest.mark.usefixtures("one_torch_thread")

Method = SpatialLatentAutoencoder | DenseAutoencoder
SPATIAL = SpatialLatentAutoencoder(layers=3, width=4, size=32, epochs=2, batch=4)
DENSE = DenseAutoencoder(latent=8, layers=3, width=4, size=32, epochs=2, batch=4)
METHODS = pytest.mark.parametrize("method", [SPATIAL, DENSE], ids=["spatial", "dense"])
NAMES = pytest.mark.parametrize("name", ["ae-spatial", "ae-dense"])
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


# by hand: 25 weights per kernel, a bias per channel, and 2 factors per normalised channel
DOWN = 25 * (32 + 32 * 64 + 64 * 128 + 128 * 128) + 3 * (32 + 64 + 128 + 128)
UP = 25 * (128 * 128 + 128 * 64 + 64 * 32 + 32 * 32) + 3 * (128 + 64 + 32 + 32) + 32 + 1
INTO_AND_OUT_OF_THE_VECTOR = 2 * 128 * 16 + 16 + 128 + 2 * 1024 * 128 + 128 + 1024


def test_the_networks_have_as_many_parameters_as_the_published_ones():
    assert count(SpatialLatentAutoencoder().network(1)) == DOWN + UP == 1_359_457
    assert count(DenseAutoencoder().network(1)) == DOWN + UP + INTO_AND_OUT_OF_THE_VECTOR == 1_626_993


@NAMES
def test_the_paper_s_network_makes_one_step(name):
    network = started(plugins.make(name, preset="paper"))
    loss = absolute_error(network, torch.rand(2, 1, 128, 128))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize("layers", range(1, 8))
def test_each_layer_halves_the_side_of_the_latent(layers):
    images = torch.zeros(1, 1, 128, 128)
    network = started(SpatialLatentAutoencoder(layers=layers)).eval()
    latent = network.encode(images)
    assert latent.shape == (1, min(128, 32 * 2 ** (layers - 1)), 128 >> layers, 128 >> layers)
    assert network.decode(latent).shape == images.shape


def test_the_dense_latent_is_a_vector_whatever_the_size():
    network = started(replace(DENSE, size=40), channels=3).eval()
    images = torch.zeros(2, 3, 40, 40)
    assert network.encode(images).shape == (2, 8)
    assert network.decode(network.encode(images)).shape == images.shape


@METHODS
def test_the_loss_is_the_mean_absolute_error(method):
    network = started(method).eval()
    seen = network.decode(network.encode(grid())).detach().numpy()
    assert absolute_error(network, grid()).item() == pytest.approx(np.mean(np.abs(grid().numpy() - seen)), rel=1e-5)


@METHODS
def test_reconstructions_lie_between_zero_and_one(method):
    network = started(method).eval()
    nn.init.constant_(network.decoder[-2][-1].bias, 3.0)
    seen = network.decode(network.encode(grid()))
    assert 0.9 < seen.min() <= seen.max() < 1


@METHODS
def test_the_map_is_the_absolute_error_and_the_score_its_mean(method, context):
    test = blobs(3, 32, 32, seed=4)
    prediction = trained(method, context).predict(test)
    np.testing.assert_allclose(prediction.maps, np.abs(test.pixels - prediction.reconstructions)[:, 0], atol=1e-6)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


@METHODS
@pytest.mark.parametrize(("slope", "linear"), [(1.0, True), (0.01, False)])
def test_a_slope_of_one_makes_the_encoder_linear(method, slope, linear):
    network = started(replace(method, leaky_slope=slope)).eval()
    one, other = torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    bent = network.encode(one) + network.encode(other) - network.encode(one + other) - network.encode(0 * one)
    assert (bent.abs().max().item() < 1e-5) is linear


@METHODS
@pytest.mark.parametrize(("slope", "returned"), [(1.0, [-2.0, 3.0]), (0.01, [-0.02, 3.0])])
def test_every_activation_has_the_slope(method, slope, returned):
    network = replace(method, leaky_slope=slope).network(1)
    activations = [layer for layer in network.modules() if isinstance(layer, nn.LeakyReLU)]
    assert len(activations) == 6
    assert [layer(torch.tensor([-2.0, 3.0])).tolist() for layer in activations] == [pytest.approx(returned)] * 6


@METHODS
@pytest.mark.parametrize(("mode", "untouched"), [("eval", True), ("train", False)])
def test_only_train_mode_moves_the_batch_statistics(method, mode, untouched, context):
    network = trained(replace(method, bn_mode=mode), context).network
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    still = [bool((layer.running_mean == 0).all() and (layer.running_var == 1).all()) for layer in layers]
    assert still == [untouched] * 6


@METHODS
def test_training_stops_when_patience_has_run_out(method, tmp_path):
    told = []
    context = FitContext(0, "cpu", "float32", tmp_path, told.append)
    # frozen statistics and steps too small for float32: no epoch is better than the first
    trained(replace(method, bn_mode="eval", lr=1e-30, epochs=9, patience=2), context)
    assert len(told) == 3


@METHODS
def test_the_best_epoch_is_kept(method, tmp_path):
    jumping, errors = replace(method, epochs=5, lr=0.3), []  # at so high a rate the last epoch is not the best
    for epochs in range(1, 6):
        context = FitContext(0, "cpu", "float32", tmp_path / str(epochs))
        errors.append(validation_error(left_by(replace(jumping, epochs=epochs), context)))
    kept = validation_error(trained(jumping, FitContext(0, "cpu", "float32", tmp_path / "kept")).network)
    assert kept == min(errors) < errors[-1]


@METHODS
def test_training_explains_more_than_the_mean_image(method, context):
    train, val, test = (blobs(count, 32, 32, seed=seed) for count, seed in ((32, 2), (4, 3), (8, 4)))
    learned = replace(method, width=8, epochs=12, lr=1e-2).fit(MemorySource(train), MemorySource(val), context)
    mean_image = np.abs(test.pixels - train.pixels.mean(0)).mean()
    assert np.abs(test.pixels - learned.predict(test).reconstructions).mean() < mean_image


@pytest.mark.parametrize(
    ("name", "preset"),
    [(name, preset) for name in ("ae-spatial", "ae-dense") for preset in ("quick", "paper", "mor-2023")]
    + [("ae-spatial", "ra-2023")],
)
def test_every_preset_leaves_the_switches_of_published_code_off(name, preset):
    method = plugins.make(name, preset=preset)
    assert (method.layers, method.leaky_slope, method.bn_mode, method.residual) == (4, 0.01, "train", "absolute")


@NAMES
@pytest.mark.parametrize("preset", ["paper", "mor-2023"])
def test_the_paper_s_settings(name, preset):
    method = plugins.make(name, preset=preset)
    assert (method.size, method.width, method.lr, method.batch) == (128, 32, 5e-4, 64)
    assert (method.epochs, method.patience, method.schedule().min_delta) == (1000, 25, 1e-8)


@NAMES
@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"layers": 8}, "layers is 8, but a side of 128 pixels cannot be halved more than 7 times. Give 1 to 7 layers"),
        ({"layers": 6, "size": 96}, "size is 96. The network takes multiples of 64: give 64 or 128"),
        ({"layers": 0}, "layers is 0"),
        ({"width": 0}, "width is 0"),
        ({"leaky_slope": -0.1}, "leaky_slope is -0.1"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
        ({"patience": -1}, "patience -1"),
        ({"lr": 0.0}, "lr is 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(name, override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make(name, preset="paper", **override)


def test_a_dense_latent_of_no_numbers_is_refused():
    with pytest.raises(ParameterError, match="latent is 0"):
        plugins.make("ae-dense", latent=0)


@NAMES
def test_an_unknown_residual_is_refused(name):
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make(name, residual="absolut")
