"""Training and predicting on a GPU: as on the CPU, in half precision, saved for either; and all of it on the CPU."""

from functools import cache

import numpy as np
import pytest
import torch
from uadbench_anoddpm._simplex import octaves
from uadbench_anoddpm.anoddpm import AnoDdpm

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread", "whole_float32")

METHOD = AnoDdpm(
    width=4,
    multipliers=(1, 2),
    res_blocks=1,
    attention=(8,),
    heads=1,
    size=16,
    epochs=2,
    steps=4,
    batch=4,
    lr=1e-3,
    ema_decay=0.5,
    noised_to=100,
    sampler="ddim",
    ddim_steps=3,
    augment=True,
    block=4,
)
TEST = blobs(3, 40, 36, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where nothing is written: these trainings are short."""
    return tmp_path_factory.mktemp("work")


@cache
def fitted(device, precision, folder):
    """A detector that was trained on that device; once for all tests."""
    context = FitContext(0, device, precision, folder)
    train, val = (MemorySource(blobs(count, 32, 32, seed=count)) for count in (8, 4))
    return METHOD.fit(train, val, context)


def predicted(detector):
    return detector.predict(TEST)


def apart(found, expected) -> float:
    """The mean difference of reconstructions in [0, 1]."""
    return float(np.abs(found.reconstructions - expected.reconstructions).mean())


def test_noise_is_the_same_as_on_the_cpu(device):
    drawn = torch.rand(4, 256, generator=torch.Generator().manual_seed(0)).argsort(1)
    depths = torch.tensor([0, 1, 200, 799])
    here, there = (octaves(drawn.to(one), depths.to(one), 32, 64.0, 6, 0.8).cpu() for one in ("cpu", device))
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_it_learns_as_on_the_cpu(device, folder):
    here, there = (predicted(fitted(one, "float32", folder)) for one in ("cpu", device))
    assert apart(there, here) < 0.01


def test_in_half_precision_it_is_finite_and_near(device, folder):
    whole, half = (predicted(fitted(device, one, folder)) for one in ("float32", "bfloat16"))
    assert 0 < apart(half, whole) < 0.03


def test_an_image_has_the_same_bytes_alone_and_in_a_batch(device, folder):
    detector = fitted(device, "float32", folder)
    alone = [detector.predict(TEST[row : row + 1]).maps[0].tobytes() for row in range(len(TEST))]
    assert alone == [one.tobytes() for one in predicted(detector).maps]


def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(device, folder, tmp_path):
    detector = fitted(device, "float32", folder)
    detector.save(tmp_path)
    again, here = (predicted(AnoDdpm.load(tmp_path, one)) for one in (device, "cpu"))
    assert again.maps.tobytes() == predicted(detector).maps.tobytes()
    assert apart(here, again) < 1e-4
    assert here.scores == pytest.approx(again.scores, rel=0.01)
