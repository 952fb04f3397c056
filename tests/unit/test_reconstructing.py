"""Methods that reconstruct: training by one loss, and a detector's maps, scores, blocks and folder."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from trainings import context as context_in

from uadbench.errors import DeviceMemoryError, InvalidDataError, ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.determinism import generator_of
from uadbench.torch_support.layers import LITE0_BACKBONE
from uadbench.torch_support.reconstructing import (
    SIGNED,
    UNIT,
    Domain,
    Training,
    fit,
    on_grid,
    require_multiple,
    restored,
)
from uadbench.torch_support.training import Schedule
from uadbench.types import Images

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SIZE = 16


@dataclass(frozen=True)
class Toy:
    """A small convolutional autoencoder; `noise` is drawn while predicting."""

    size: int = SIZE
    residual: str = "absolute"
    block: int = 4
    noise: float = 0.0
    signed: bool = True

    @property
    def domain(self) -> Domain:
        return SIGNED if self.signed else UNIT

    def network(self, channels: int) -> nn.Sequential:
        down = (nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        return nn.Sequential(*down, nn.ConvTranspose2d(8, channels, 4, 2, 1))

    def reconstruct(self, network, images, draw):
        return network(images + self.noise * draw(*images.shape[1:]) if self.noise else images)


def squared_error(network, images):
    return (network(images) - images).square().mean()


TRAINING = Training(squared_error, partial(torch.optim.Adam, lr=0.01), Schedule(2, 4))


def source(count=9, *, seed=1, channels=1, size=(24, 20)) -> MemorySource:
    return MemorySource(images(count, seed=seed, channels=channels, size=size))


def images(count=7, *, seed=2, channels=1, size=(24, 20)) -> Images:
    grey = blobs(count, *size, seed=seed)
    return replace(grey, pixels=np.repeat(grey.pixels, channels, axis=1))


def fitted(folder, toy=None, training=TRAINING, *, channels=1, **context):
    given = context_in(folder, **context)
    train, val = source(channels=channels), source(3, seed=3, channels=channels)
    return fit(toy or Toy(), training, train, val, given)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread):
    return fitted(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, one_torch_thread):
    """A detector that draws while predicting."""
    return fitted(tmp_path_factory.mktemp("noisy"), Toy(noise=0.5))


def bytes_of(prediction):
    """Of each image."""
    parts = zip(prediction.maps, prediction.scores, prediction.reconstructions, strict=True)
    return [b"".join(part.tobytes() for part in image) for image in parts]


@pytest.mark.parametrize("channels", [1, 3])
def test_on_the_grid_the_map_is_the_residual_mean_over_channels(channels, tmp_path):
    detector, batch = fitted(tmp_path, channels=channels), images(3, channels=channels, size=(SIZE, SIZE))
    prediction = detector.predict(batch)
    with torch.no_grad():
        seen = detector.network(torch.as_tensor(2 * batch.pixels - 1)).numpy()
    np.testing.assert_allclose(prediction.maps, np.abs(2 * batch.pixels - 1 - seen).mean(1), atol=1e-5)
    np.testing.assert_allclose(prediction.reconstructions, np.clip((seen + 1) / 2, 0, 1), atol=1e-5)


def test_a_map_is_drawn_up_and_the_score_is_its_mean_on_the_grid(detector):
    batch = images(3)
    grid = on_grid(detector.method, MemorySource(batch))
    with torch.no_grad():
        error = (grid - detector.network(grid)).abs()
    expected = F.interpolate(error, (24, 20), mode="bilinear", align_corners=False)[:, 0]
    prediction = detector.predict(batch)
    np.testing.assert_allclose(prediction.maps, expected, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, error.double().mean((1, 2, 3)), rtol=1e-5)
    assert np.abs(prediction.scores - prediction.maps.mean((1, 2))).max() > 1e-6


@pytest.mark.parametrize("size", [(SIZE, SIZE), (5, 7), (40, 33)])
def test_maps_and_reconstructions_have_the_size_of_the_images(size, detector):
    prediction = detector.predict(images(2, size=size))
    assert prediction.maps.shape == (2, *size)
    assert prediction.reconstructions.shape == (2, 1, *size)
    assert 0 <= prediction.reconstructions.min() <= prediction.reconstructions.max() <= 1


@pytest.mark.parametrize("which", ["detector", "noisy"])
@pytest.mark.parametrize("rows", [[0], [6], [3, 4], [6, 5, 4, 3, 2, 1, 0], [2, 2, 0, 5, 1]], ids=str)
def test_an_image_has_the_same_bytes_in_every_batch_and_order(rows, which, request):
    detector, batch = request.getfixturevalue(which), images()
    whole = bytes_of(detector.predict(batch))
    assert len(set(whole)) == 7
    assert bytes_of(detector.predict(replace(batch, **chosen(batch, rows)))) == [whole[row] for row in rows]


def chosen(batch, rows):
    """Some images, in that order."""
    ids = tuple(map(str, range(len(rows))))
    return {"pixels": batch.pixels[rows], "foreground": batch.foreground[rows], "ids": ids, "subjects": ids}


def test_no_images_are_predicted_as_none(detector):
    assert detector.predict(images()[:0]).maps.shape == (0, 24, 20)


def test_noise_comes_from_the_seed_and_the_image_and_goes_on_in_its_stream(noisy):
    seen, batch = [], images(2, size=(SIZE, SIZE))

    class Drawing:
        """Draws twice and keeps what it drew."""

        size, residual, block, domain = SIZE, "absolute", 2, SIGNED

        def reconstruct(self, network, images, draw):
            seen.append([draw(3), draw(2, 2)])
            return images

    replace(noisy, method=Drawing(), seed=5).predict(batch)
    for row, image in enumerate(batch.pixels):
        stream = generator_of(5, image)
        assert torch.equal(seen[0][0][row], torch.randn(3, generator=stream))
        assert torch.equal(seen[0][1][row], torch.randn(2, 2, generator=stream))


def test_predicting_leaves_the_caller_s_random_state_and_kernels_alone(noisy):
    before = torch.get_rng_state()
    noisy.predict(images(2))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_fitting_leaves_the_caller_s_random_state_alone(tmp_path):
    before = torch.get_rng_state()
    fitted(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(detector, tmp_path):
    batch = images(3)
    first = bytes_of(detector.predict(batch))
    assert bytes_of(fitted(tmp_path).predict(batch)) == first
    assert bytes_of(fitted(tmp_path, seed=1).predict(batch)) != first


def test_a_saved_detector_comes_back_with_the_same_bytes(noisy, tmp_path):
    noisy.save(tmp_path / "detector")
    again = restored(Toy, tmp_path / "detector", "cpu")
    assert again.method == Toy(noise=0.5)
    assert bytes_of(again.predict(images())) == bytes_of(noisy.predict(images()))


def test_a_detector_remembers_its_channels_and_its_seed(tmp_path):
    fitted(tmp_path, channels=3, seed=4).save(tmp_path / "detector")
    again = restored(Toy, tmp_path / "detector", "cpu")
    assert (again.channels, again.seed) == (3, 4)


@pytest.mark.parametrize(("fit_on", "see"), [(1, 3), (3, 1)])
def test_images_of_other_channels_are_refused(fit_on, see, tmp_path):
    detector = fitted(tmp_path, channels=fit_on)
    with pytest.raises(InvalidDataError, match=f"fitted on images of {fit_on} channels; these have {see}. Convert"):
        detector.predict(images(2, channels=see))


def test_validation_images_of_other_channels_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"Training images have 1 channels, validation images 3"):
        fit(Toy(), TRAINING, source(), source(3, channels=3), context_in(tmp_path))


def test_choosing_an_epoch_without_validation_images_is_refused(tmp_path):
    training = replace(TRAINING, validation=squared_error)
    with pytest.raises(InvalidDataError, match=r"There are no images to read"):
        fit(Toy(), training, source(), source(0), context_in(tmp_path))


def test_validation_chooses_the_best_epoch(tmp_path):
    values = iter([3.0, 1.0, 2.0])

    def judged(network, batch):
        return torch.tensor(next(values))

    training = replace(TRAINING, schedule=Schedule(3, 4), validation=judged)
    best = fitted(tmp_path / "best", training=training)
    two = fitted(tmp_path / "two", training=replace(TRAINING, schedule=Schedule(2, 4)))
    assert bytes_of(best.predict(images())) == bytes_of(two.predict(images()))


@pytest.mark.parametrize(
    "change",
    [
        {"augment": True},
        {"clip_norm": 1e-3, "optimiser": partial(torch.optim.SGD, lr=0.1)},
        {"scheduler": partial(StepLR, step_size=1, gamma=0.1)},
        {"schedule": Schedule(2, 4, mode="eval")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_of_a_training_reaches_it(change, detector, tmp_path):
    plain = replace(TRAINING, **{key: value for key, value in change.items() if key == "optimiser"})
    without = fitted(tmp_path / "without", training=plain).predict(images(2))
    assert bytes_of(fitted(tmp_path / "with", training=replace(TRAINING, **change)).predict(images(2))) != bytes_of(
        without
    )


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_domain_goes_from_its_low_to_one_and_back(low):
    domain, grey = Domain(low), torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3).repeat(1, 1, 3, 1)
    inside = domain.to_grid(grey, 3)
    assert (inside.min(), inside.max()) == (low, 1)
    assert torch.equal(domain.to_unit(inside), grey)
    assert torch.equal(domain.to_unit(3 * torch.tensor([-1.0, 1.0])), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("size", "sentence"), [(100, "give 96 or 128"), (16, "give 32"), (0, "give 32"), (33, "give 32 or 64")]
)
def test_a_grid_that_does_not_halve_is_refused_with_those_that_do(size, sentence):
    with pytest.raises(ParameterError, match=f"toy: size is {size}. The network takes multiples of 32: {sentence}"):
        require_multiple("toy", size, 32)
    require_multiple("toy", 96, 32)


def test_what_a_residual_lacks_is_said_before_the_training(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / f"{LITE0_BACKBONE}.pth").write_bytes(b"no weights")
    with pytest.raises(InvalidDataError, match=LITE0_BACKBONE):
        fitted(tmp_path, Toy(residual="perceptual"), report=heard.append)
    assert heard == []


def test_too_little_memory_while_predicting_names_the_block_to_try(detector):
    class Greedy:
        """Asks for more memory than any machine has."""

        size, residual, block, domain = SIZE, "absolute", 8, SIGNED

        def reconstruct(self, network, images, draw):
            return torch.empty(2**50, device=images.device)

    with pytest.raises(DeviceMemoryError, match=r"too little memory for a block of 8. Try a block of 4"):
        replace(detector, method=Greedy()).predict(images(2))


def test_too_little_memory_while_training_names_the_batch_to_try(tmp_path):
    def greedy(network, batch):
        return torch.empty(2**50, device=batch.device)

    with pytest.raises(DeviceMemoryError, match=r"too little memory for a batch of 4. Try a batch of 2"):
        fitted(tmp_path, training=replace(TRAINING, loss=greedy))


def test_residuals_with_pretrained_weights_name_them(tmp_path):
    detector = fitted(tmp_path, Toy(size=32, residual="perceptual"))
    assert [used["name"] for used in detector.weights] == ["tf_efficientnet_lite0"]
    assert fitted(tmp_path).weights == []
