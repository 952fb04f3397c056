"""Fitting and predicting on a GPU: as on the CPU, in half precision, saved for either; and all of it on the CPU."""

from functools import cache

import numpy as np
import pytest
from uadbench_features.padim import Padim
from uadbench_features.reverse_distillation import ReverseDistillation

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread", "whole_float32")

METHODS = {
    "padim": Padim("tf_efficientnet_lite0", 32, dimensions=20),
    "distillation": ReverseDistillation("tf_efficientnet_lite0", 32, width=4, blocks=1, epochs=2, batch=4),
    "kept": ReverseDistillation("tf_efficientnet_lite0", 32, width=4, blocks=1, epochs=2, batch=4, keep_features=True),
}
TEST = blobs(3, 40, 36, seed=3)
each_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where nothing is written: these trainings are short."""
    return tmp_path_factory.mktemp("work")


@cache
def fitted(name, device, precision, folder):
    """A detector that was fitted on that device; once for all tests."""
    context = FitContext(0, device, precision, folder)
    train, val = (MemorySource(blobs(count, 32, 32, seed=count)) for count in (8, 4))
    return METHODS[name].fit(train, val, context)


def predicted(detector):
    return detector.predict(TEST)


def apart(found, expected) -> float:
    """The mean difference of maps, as a share of their mean."""
    return float(np.abs(found.maps - expected.maps).mean() / expected.maps.mean())


@each_method
def test_it_finds_what_it_finds_on_the_cpu(name, device, folder):
    here, there = (predicted(fitted(name, one, "float32", folder)) for one in ("cpu", device))
    assert apart(there, here) < 0.02


@each_method
def test_in_half_precision_it_is_near(name, device, folder):
    whole, half = (predicted(fitted(name, device, one, folder)) for one in ("float32", "bfloat16"))
    assert apart(half, whole) < 0.1


@each_method
def test_an_image_has_the_same_bytes_alone_and_in_a_batch(name, device, folder):
    detector = fitted(name, device, "float32", folder)
    alone = [detector.predict(TEST[row : row + 1]).maps[0].tobytes() for row in range(len(TEST))]
    assert alone == [one.tobytes() for one in predicted(detector).maps]


@each_method
def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(name, device, folder, tmp_path):
    detector = fitted(name, device, "float32", folder)
    detector.save(tmp_path)
    again, here = (predicted(type(METHODS[name]).load(tmp_path, one)) for one in (device, "cpu"))
    assert again.maps.tobytes() == predicted(detector).maps.tobytes()
    assert apart(here, again) < 1e-3
