"""Training and predicting on a GPU: as on the CPU, in half precision, saved for either; and all of it on the CPU."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from uadbench_morphaeus.morphaeus import Morphaeus

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread", "whole_float32")

METHOD = Morphaeus(
    width=4, size=32, epochs=2, batch=4, patience=0, morph_from=1, features="lite0", weights="random", augment=True
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
    again, here = (predicted(Morphaeus.load(tmp_path, one)) for one in (device, "cpu"))
    assert again.maps.tobytes() == predicted(detector).maps.tobytes()
    assert apart(here, again) < 1e-4
    assert here.scores == pytest.approx(again.scores, rel=0.01)


def test_a_killed_training_goes_on_exactly(device, killed_and_whole):
    sources = [MemorySource(blobs(count, 32, 32, seed=count)) for count in (8, 4)]
    again, whole = (predicted(one) for one in killed_and_whole(replace(METHOD, epochs=3), *sources, device))
    assert apart(again, whole) < (1e-2 if device == "cuda" else 1e-9)
