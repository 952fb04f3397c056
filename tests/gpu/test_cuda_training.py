"""Training and predicting on a GPU: as on the CPU, in half precision, with too little memory, and going on exactly.

Every test runs on the CPU as well, where it shows that it asks what it means to ask. Tolerances are those of sums in
another order (float32, no TF32), and of bfloat16's 8 bits.
"""

import dataclasses
import itertools
import time
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import KilledError, context, images, no_tf32, trained

from uadbench import plugins
from uadbench.errors import DeviceMemoryError, EnvironmentProblemError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support import training
from uadbench.torch_support.training import Learner, Schedule, gradient_step, mean_loss, train
from uadbench.types import Prediction

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ONCE = Schedule(4, 4)  # no checkpoint within ten minutes


def test_a_short_training_is_that_of_the_cpu(device, tmp_path):
    with no_tf32():
        here = trained(tmp_path, schedule=ONCE, dropout=0.0)
        there = trained(tmp_path, schedule=ONCE, dropout=0.0, device=device)
    assert there.losses == pytest.approx(here.losses, rel=1e-3)
    with torch.no_grad():
        seen = [one.learner.network.cpu()(images()) for one in (here, there)]
    np.testing.assert_allclose(seen[1], seen[0], atol=2e-3)


def test_everything_stays_on_the_device(device, tmp_path):
    learner = trained(tmp_path, schedule=ONCE, device=device).learner
    kinds = {weights.device.type for weights in learner.network.state_dict().values()}
    assert kinds == {device}


def test_in_bfloat16_losses_are_finite_and_near(device, tmp_path):
    half = trained(tmp_path, schedule=ONCE, dropout=0.0, device=device, precision="bfloat16")
    whole = trained(tmp_path, schedule=ONCE, dropout=0.0, device=device)
    assert np.isfinite(half.losses).all()
    assert half.losses != whole.losses
    assert half.losses == pytest.approx(whole.losses, rel=0.05)
    assert {weights.dtype for weights in half.learner.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("step", [4, 6, 11])
def test_a_killed_training_goes_on_byte_for_byte(step, precision, device, tmp_path):
    options = {"schedule": Schedule(4, 4, checkpoint_minutes=0), "device": device, "precision": precision}
    whole = trained(tmp_path / "whole", **options)
    with pytest.raises(KilledError):
        trained(tmp_path, killed_at=step, **options)
    again = trained(tmp_path, **options)
    assert again.losses == whole.losses[step // 3 * 3 :]
    assert again.bytes == whole.bytes


def test_the_same_seed_gives_the_same_bytes(device, tmp_path):
    first, second = (trained(tmp_path, schedule=ONCE, device=device).bytes for _ in range(2))
    assert first == second


def test_images_that_do_not_fit_stay_where_they_are_and_change_nothing(device, tmp_path, monkeypatch):
    resident = trained(tmp_path, schedule=ONCE, device=device)
    monkeypatch.setattr(training, "RESIDENT", 0.0)
    assert trained(tmp_path, schedule=ONCE, device=device).bytes == resident.bytes


def train_beyond_all_memory(device, folder):
    """A linear layer whose outputs are copied 2^30 times: 2^50 bytes for a batch of 4."""
    layer = nn.Linear(1, 2**10, bias=False, device=device)

    def loss(batch):
        rows = layer(batch.flatten()[:, None])  # (4, 1, 8, 8) -> (256, 2^10)
        return rows[..., None].expand(-1, -1, 2**30).contiguous().sum()

    given = context(folder, device=device)
    step = gradient_step(loss, torch.optim.SGD(layer.parameters(), 0.1), given)
    train(Learner(layer, step), images(4), Schedule(1, 4), given)


def test_a_batch_that_does_not_fit_ends_in_a_sentence(device, tmp_path):
    with pytest.raises(DeviceMemoryError, match=r"too little memory for a batch of 4. Try a batch of 2, or another"):
        train_beyond_all_memory(device, tmp_path)


def test_after_too_little_memory_a_smaller_training_still_runs(device, tmp_path):
    expected = trained(tmp_path, schedule=ONCE, device=device).bytes
    with pytest.raises(DeviceMemoryError):
        train_beyond_all_memory(device, tmp_path)
    assert trained(tmp_path, schedule=ONCE, device=device).bytes == expected


@pytest.mark.gpu
def test_a_batch_that_nearly_fits_is_refused_as_well(tmp_path):
    free, _ = torch.cuda.mem_get_info()

    def step(batch, epoch):
        return torch.zeros(int(0.6 * free) // 4, device="cuda")[:1].sum() + hoard.sum() * 0

    hoard = torch.zeros(int(0.6 * free) // 4, device="cuda")
    with pytest.raises(DeviceMemoryError, match=r"Try a batch of 2"):
        train(Learner(nn.Identity(), step), images(4), Schedule(1, 4), context(tmp_path, device="cuda"))


def test_validation_leaves_the_device_s_random_state_alone(device, tmp_path):
    def state():
        return torch.get_rng_state() if device == "cpu" else torch.cuda.get_rng_state(device)

    before = state()
    mean_loss(lambda part: torch.rand_like(part).mean(), images(), 4, context(tmp_path, device=device))()
    assert torch.equal(before, state())


@pytest.mark.slow
@pytest.mark.gpu
def test_a_compiled_training_is_the_plain_one(tmp_path):
    def losses(compiled):
        torch.manual_seed(0)
        layer = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8)).to("cuda")
        optimiser = torch.optim.Adam(layer.parameters(), 0.01)
        given = context(tmp_path, device="cuda")
        step = gradient_step(lambda one: (layer(one) - one).square().mean(), optimiser, given, compiled=compiled)
        return [step(images()[start : start + 4].to("cuda"), 0).item() for start in (0, 4, 6)]

    try:
        compiled = losses(compiled=True)
    except EnvironmentProblemError as error:
        pytest.skip(str(error))
    assert compiled == pytest.approx(losses(compiled=False), rel=1e-4)


# the methods of the autoencoder package, through the registry

SAMPLING = ("vae", "beta-vae", "vae-latent", "vae-restoration")  # with noise that is drawn on the device
SMALL = {"size": 32, "width": 4, "latent": 8, "epochs": 2, "batch": 4, "steps": 2, "restore_steps": 2}
TRAIN, VAL, TEST = blobs(8, 32, 32, seed=1), blobs(4, 32, 32, seed=2), blobs(5, 40, 36, seed=3)
METHODS = [
    name
    for name, registered in plugins.registry().methods().items()
    if registered.origin.distribution == "uadbench-autoencoders"
]


def small(name):
    """The method with the smallest parameters that it has."""
    known = {field.name for field in dataclasses.fields(plugins.method_class(name))}
    return plugins.make(name, **{key: value for key, value in SMALL.items() if key in known})


def fitted(name, given):
    return small(name).fit(MemorySource(TRAIN), MemorySource(VAL), given)


@dataclass(frozen=True)
class Made:
    """A fitted method: the losses of its epochs, what it predicts, and whether every kernel was deterministic."""

    detector: Any
    losses: list[float]
    prediction: Prediction
    exact: bool


@cache
def made(name, device, precision, folder):
    """A method fitted on that device; once for all tests."""
    heard = []
    with warnings.catch_warnings(record=True) as warned, no_tf32():
        warnings.simplefilter("always")
        detector = fitted(name, context(folder, device=device, precision=precision, report=heard.append))
        prediction = detector.predict(TEST)
    losses = [float(progress.message.split()[1].strip(",")) for progress in heard]
    return Made(detector, losses, prediction, not any("deterministic" in str(one.message) for one in warned))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where nothing is written: these trainings are short."""
    return tmp_path_factory.mktemp("work")


def same(found, whole):
    """Byte for byte, or nearly where torch says that a kernel has no deterministic form on this device."""
    return found.maps.tobytes() == whole.prediction.maps.tobytes() or (
        not whole.exact and apart(found, whole.prediction) < 0.01
    )


def apart(found, expected):
    """The mean difference of maps as a share of their mean."""
    return np.abs(found.maps - expected.maps).mean() / np.abs(expected.maps).mean()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns_and_maps_as_on_the_cpu(name, device, folder):
    here, there = (made(name, one, "float32", folder) for one in ("cpu", device))
    assert there.losses == pytest.approx(here.losses, rel=0.1 if name in SAMPLING else 0.01)
    assert apart(there.prediction, here.prediction) < 0.02
    assert there.prediction.scores == pytest.approx(here.prediction.scores, rel=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_in_bfloat16_is_finite_and_near(name, device, folder):
    whole, half = (made(name, device, one, folder) for one in ("float32", "bfloat16"))
    assert half.losses == pytest.approx(whole.losses, rel=0.08)
    assert apart(half.prediction, whole.prediction) < 0.04


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_method_goes_on_exactly(name, device, folder, tmp_path, monkeypatch):
    def kill(progress):
        if progress.done == 2:
            raise KilledError

    minutes, heard, whole = itertools.count(0.0, 3600.0), [], made(name, device, "float32", folder)
    monkeypatch.setattr(time, "monotonic", lambda: next(minutes))  # a checkpoint after every epoch
    with no_tf32():
        with pytest.raises(KilledError):
            fitted(name, context(tmp_path, device=device, report=kill))
        again = fitted(name, context(tmp_path, device=device, report=heard.append)).predict(TEST)
    assert heard[0].message == "going on from a checkpoint"
    assert same(again, whole)


@pytest.mark.parametrize("name", METHODS)
def test_a_detector_gives_an_image_the_same_bytes_alone_and_in_a_batch(name, device, folder):
    whole = made(name, device, "float32", folder)
    with no_tf32():
        alone = [whole.detector.predict(TEST[row : row + 1]) for row in range(len(TEST))]
    maps, scores = (np.concatenate([getattr(one, part) for one in alone]) for part in ("maps", "scores"))
    assert same(Prediction(maps, scores), whole)


@pytest.mark.parametrize("name", METHODS)
def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(name, device, folder, tmp_path):
    whole, kind = made(name, device, "float32", folder), plugins.method_class(name)
    whole.detector.save(tmp_path)
    with no_tf32():
        again, here = (kind.load(tmp_path, one).predict(TEST) for one in (device, "cpu"))
    assert same(again, whole)
    assert apart(here, whole.prediction) < 0.001
