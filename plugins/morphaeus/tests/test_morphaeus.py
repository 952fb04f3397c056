"""MorphAEus: its loss term by term, when they begin, what its switches change, and what a fit tells of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from uadbench_morphaeus._losses import morph_loss
from uadbench_morphaeus._warping import folding, integrate, warp
from uadbench_morphaeus.morphaeus import Morphaeus

from uadbench import FitContext
from uadbench.errors import InvalidDataError, MissingWeightsError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.feature_losses import FeatureLosses

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = Morphaeus(
    width=2, size=32, epochs=3, batch=4, lr=5e-3, patience=0, morph_from=1, ramp_epochs=2, perceptual=False, block=4
)
PERCEPTUAL = replace(TINY, perceptual=True, features="lite0", weights="random")
TEST = blobs(3, 40, 36, seed=3)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def source(count: int, seed: int, channels: int = 1) -> MemorySource:
    grey = blobs(count, 32, 32, seed=seed)
    return MemorySource(replace(grey, pixels=np.repeat(grey.pixels, channels, axis=1)))


def fitted(method: Morphaeus, context: FitContext):
    return method.fit(source(8, 1), source(4, 2), context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread):
    """One with every part but the perceptual loss."""
    return fitted(TINY, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("morphaeus")))


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=5).pixels)


def deforming(method: Morphaeus = TINY):
    """A network that moves pixels, with the statistics of its own batch."""
    torch.manual_seed(0)
    network = method.network(1).train()
    torch.nn.init.normal_(network.deformer.flow.weight, 0, 0.1)
    return network


def test_before_the_deformation_the_loss_is_the_squared_error():
    network, images = deforming(), grid()
    expected = F.mse_loss(network.reconstruct(images), images)
    assert TINY.loss(network, images, 0, None).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(("epoch", "beta"), [(1, 1.5), (2, 3.0), (9, 3.0)])
def test_from_its_epoch_on_the_deformation_is_learned_as_well(epoch, beta):
    network, images = deforming(), grid()
    seen, velocity = network(images)
    expected = F.mse_loss(seen, images) + morph_loss(images, seen, velocity, beta)
    assert TINY.loss(network, images, epoch, None).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("epoch", "learned"), [(10, False), (11, True)])
def test_by_default_the_deformation_is_learned_from_the_twelfth_epoch_on(epoch, learned):
    method, network = replace(Morphaeus(), size=32, width=2, perceptual=False), deforming()
    method.loss(network, grid(), epoch, None).backward()
    assert (network.deformer.flow.weight.grad is not None) is learned


def test_the_perceptual_loss_weighs_a_twentieth():
    network, images = deforming(), grid()
    features = PERCEPTUAL.feature_losses("cpu")
    apart = features(network.reconstruct(images), images)["content"]
    plain = TINY.loss(network, images, 0, None)
    assert PERCEPTUAL.loss(network, images, 0, features).item() == pytest.approx(
        (plain + 0.05 * apart).item(), rel=1e-5
    )


def test_vgg_features_see_images_without_normalisation():
    pytest.importorskip("torchvision")
    made = replace(PERCEPTUAL, features="vgg19").feature_losses("cpu")
    plain = FeatureLosses("vgg19", ["content"], normalised=False, weights="random")
    images = grid(2)
    assert made(images, images.flip(-1))["content"] == plain(images, images.flip(-1))["content"]
    assert made.weights_used[0].source == "random: seed 0"


def test_the_epoch_is_chosen_by_the_errors_of_both_images():
    network, images = deforming().eval(), grid()
    seen, velocity = network(images)
    errors = [F.mse_loss(one, images).item() for one in (seen, warp(seen, integrate(velocity)))]
    assert errors[0] != pytest.approx(errors[1], rel=1e-3)
    assert TINY.error(network, images).item() == pytest.approx(sum(errors) / 2)
    assert replace(TINY, morph=False).error(network, images).item() == pytest.approx(errors[0])


def test_an_image_is_compared_with_its_deformed_reconstruction(detector):
    images = torch.as_tensor(blobs(3, 32, 32, seed=3).pixels)
    with torch.no_grad():
        seen, velocity = detector.network(images)
        expected = (images - warp(seen, integrate(velocity))).abs()
    found = detector.predict(blobs(3, 32, 32, seed=3))
    np.testing.assert_allclose(found.maps, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.scores, found.maps.mean((1, 2)), rtol=1e-4)


def test_comparing_with_the_plain_reconstruction_learns_the_same_networks(detector, context):
    plain = fitted(replace(TINY, inference="x_rec"), context)
    same = plain.network.state_dict()
    assert all(torch.equal(same[name], one) for name, one in detector.network.state_dict().items())
    assert not np.array_equal(plain.predict(TEST).maps, detector.predict(TEST).maps)


def test_without_the_deformation_another_autoencoder_is_learned(detector, context):
    without = fitted(replace(TINY, morph=False), context)
    images = torch.as_tensor(blobs(3, 32, 32, seed=3).pixels)
    assert not torch.equal(without.network.reconstruct(images), detector.network.reconstruct(images))
    assert without.predict(TEST).maps.tobytes() != detector.predict(TEST).maps.tobytes()


def test_learning_the_deformation_moves_reconstructions_nearer_to_their_images(context):
    method = replace(TINY, width=4, epochs=25, ramp_epochs=10_000)
    made = fitted(method, context)
    images = torch.as_tensor(blobs(8, 32, 32, seed=1).pixels)
    with torch.no_grad():
        seen, velocity = made.network(images)
        moved = warp(seen, integrate(velocity))
    assert F.mse_loss(moved, images) < 0.99 * F.mse_loss(seen, images)


def test_the_perceptual_loss_changes_what_is_learned_and_names_its_weights(detector, context):
    found = fitted(PERCEPTUAL, context)
    assert found.predict(TEST).maps.tobytes() != detector.predict(TEST).maps.tobytes()
    (used,) = found.weights
    assert (used["name"], used["source"]) == ("tf_efficientnet_lite0", "random: seed 0")
    assert detector.weights == []


@pytest.mark.parametrize("change", [{"bn_mode": "eval"}, {"augment": True}, {"morph_from": 2}], ids=str)
def test_each_way_to_train_changes_what_is_learned(change, detector, context):
    assert (
        fitted(replace(TINY, **change), context).predict(TEST).maps.tobytes() != detector.predict(TEST).maps.tobytes()
    )


def test_the_share_of_folds_on_healthy_validation_images_is_a_diagnostic_and_told(tmp_path):
    heard = []
    made = fitted(TINY, FitContext(0, "cpu", "float32", tmp_path, heard.append))
    healthy = torch.as_tensor(blobs(4, 32, 32, seed=2).pixels)
    with torch.no_grad():
        expected = folding(integrate(made.network(healthy)[1])).mean().item()
    assert made.diagnostics == {"folding": pytest.approx(expected)}
    assert heard[-1].message == f"{expected:.2%} of the pixels of healthy images fold"


def test_a_deformation_that_folds_is_counted(context):
    network = deforming()
    torch.nn.init.normal_(network.deformer.flow.weight, 0, 5)
    assert 0.05 < TINY.diagnosed(network, grid(), context)["folding"] < 1
    assert replace(TINY, morph=False).diagnosed(network, grid(), context) == {}


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path)
    again = Morphaeus.load(tmp_path, "cpu")
    assert again.predict(TEST).maps.tobytes() == detector.predict(TEST).maps.tobytes()


def test_missing_weights_are_said_before_the_training(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pytest.importorskip("torchvision")
    with pytest.raises(MissingWeightsError, match=r"vgg19.*uadbench weights fetch vgg19"):
        fitted(
            replace(PERCEPTUAL, features="vgg19", weights="imagenet"),
            FitContext(0, "cpu", "float32", tmp_path, heard.append),
        )
    assert heard == []


def test_images_that_the_features_cannot_see_are_refused(context):
    four = source(8, 1, channels=4)
    with pytest.raises(InvalidDataError, match=r"images have 4 channels; the perceptual loss sees 1 .* or 3"):
        PERCEPTUAL.fit(four, four, context)
    assert replace(TINY, epochs=2).fit(four, four, context).channels == 4


def test_validation_images_of_other_channels_are_refused(context):
    with pytest.raises(InvalidDataError, match="Training images have 1 channels, validation images 3"):
        TINY.fit(source(8, 1), source(4, 2, channels=3), context)
