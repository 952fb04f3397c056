"""Training and predicting on a GPU: as on the CPU, in half precision, saved for either. The CPU runs it all as well."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("stand_in", "one_torch_thread", "whole_float32")

THIN = {"width": 4, "blocks": 1, "size": 48, "epochs": 1, "batch": 4, "lr": 2e-4, "block": 4}
OFFLINE = {"distance": "lite0", "features": "lite0", "weights": "random", "style": 1.0}
TEST, WHOLE = blobs(3, 44, 40, seed=3), np.ones((3, 44, 40), bool)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A detector that was trained on that device; once for all tests."""

    @cache
    def fit(device, precision="float32"):
        context = FitContext(0, device, precision, tmp_path_factory.mktemp("work"))
        train, val = (MemorySource(blobs(count, 48, 48, seed=count)) for count in (8, 4))
        return Phanes("stand-in-mean", "quick", **THIN, **OFFLINE).fit(train, val, context)

    return fit


def painted(detector) -> np.ndarray:
    """Everything anew, so that the whole output of the generator is seen."""
    return detector.inpaint(TEST, WHOLE)


def test_it_learns_as_on_the_cpu(device, fitted):
    here, there = fitted("cpu"), fitted(device)
    assert np.abs(painted(there) - painted(here)).mean() < 0.01
    assert there.threshold == pytest.approx(here.threshold, rel=0.01)


def test_in_half_precision_it_is_finite_and_near(device, fitted):
    whole, half = (painted(fitted(device, one)) for one in ("float32", "bfloat16"))
    assert 0 < np.abs(half - whole).mean() < 0.03


def test_an_image_has_the_same_bytes_alone_and_in_a_batch(device, fitted):
    whole = fitted(device).predict(TEST).maps
    alone = [fitted(device).predict(TEST[row : row + 1]).maps[0] for row in range(3)]
    assert [one.tobytes() for one in alone] == [one.tobytes() for one in whole]


def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(device, fitted, tmp_path):
    fitted(device).save(tmp_path)
    again, here = (Phanes.load(tmp_path, one) for one in (device, "cpu"))
    assert painted(again).tobytes() == painted(fitted(device)).tobytes()
    assert np.abs(painted(here) - painted(again)).mean() < 1e-4
    assert here.predict(TEST).scores == pytest.approx(again.predict(TEST).scores, rel=0.05)


def test_a_killed_training_goes_on_exactly(device, killed_and_whole):
    method = replace(Phanes("stand-in-mean", "quick", **THIN, **OFFLINE), epochs=3)
    sources = [MemorySource(blobs(count, 48, 48, seed=count)) for count in (8, 4)]
    again, whole = (painted(one) for one in killed_and_whole(method, *sources, device))
    # the gradient of reflection padding adds otherwise on a GPU
    assert np.abs(again - whole).mean() < (1e-2 if device == "cuda" else 1e-9)
