"""Training and predicting on a GPU: as on the CPU, in half precision, saved for either; and all of it on the CPU."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from uadbench_mkd._checks import LOCALISATIONS
from uadbench_mkd.mkd import Mkd

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread", "whole_float32")

METHOD = Mkd(teacher="lite0", width=4, size=32, epochs=2, batch=4, smooth_samples=2, sigma=1.0, block=4)
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


def predicted(detector, localisation="features"):
    return replace(detector, method=replace(METHOD, localisation=localisation)).predict(TEST)


def apart(found, expected) -> float:
    """The mean difference of maps, as a share of their mean."""
    return float(np.abs(found.maps - expected.maps).mean() / np.abs(expected.maps).mean())


def test_it_learns_as_on_the_cpu(device, folder):
    here, there = (predicted(fitted(one, "float32", folder)) for one in ("cpu", device))
    assert apart(there, here) < 0.05


def test_in_half_precision_it_is_finite_and_near(device, folder):
    whole, half = (predicted(fitted(device, one, folder)) for one in ("float32", "bfloat16"))
    assert 0 < apart(half, whole) < 0.2


@pytest.mark.parametrize("localisation", LOCALISATIONS)
def test_an_image_has_the_same_bytes_alone_and_in_a_batch(device, folder, localisation):
    detector = fitted(device, "float32", folder)
    whole = predicted(detector, localisation)
    one = replace(detector, method=replace(METHOD, localisation=localisation))
    alone = [one.predict(TEST[row : row + 1]).maps[0].tobytes() for row in range(len(TEST))]
    assert alone == [maps.tobytes() for maps in whole.maps]


def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(device, folder, tmp_path):
    detector = fitted(device, "float32", folder)
    detector.save(tmp_path)
    again, here = (predicted(Mkd.load(tmp_path, one)) for one in (device, "cpu"))
    assert again.maps.tobytes() == predicted(detector).maps.tobytes()
    assert apart(here, again) < 1e-3
    assert here.scores == pytest.approx(again.scores, rel=0.01)
