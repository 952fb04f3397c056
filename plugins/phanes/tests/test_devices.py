"""Training and predicting on a GPU: as on the CPU, in half precision, saved for either. The CPU runs it all as well."""

import itertools
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("stand_in", "one_torch_thread")

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
        with exact():
            return Phanes("stand-in-mean", "quick", **THIN, **OFFLINE).fit(train, val, context)

    return fit


def exact():
    """Convolutions of a GPU in whole float32."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def painted(detector) -> np.ndarray:
    """Everything anew, so that the whole output of the generator is seen."""
    with exact():
        return detector.inpaint(TEST, WHOLE)


def test_it_learns_as_on_the_cpu(device, fitted):
    here, there = fitted("cpu"), fitted(device)
    assert np.abs(painted(there) - painted(here)).mean() < 0.01
    assert there.threshold == pytest.approx(here.threshold, rel=0.01)


def test_in_half_precision_it_is_finite_and_near(device, fitted):
    whole, half = (painted(fitted(device, one)) for one in ("float32", "bfloat16"))
    assert 0 < np.abs(half - whole).mean() < 0.03


def test_an_image_has_the_same_bytes_alone_and_in_a_batch(device, fitted):
    with exact():
        whole = fitted(device).predict(TEST).maps
        alone = [fitted(device).predict(TEST[row : row + 1]).maps[0] for row in range(3)]
    assert [one.tobytes() for one in alone] == [one.tobytes() for one in whole]


def test_a_detector_saved_on_a_device_is_loaded_on_it_and_on_the_cpu(device, fitted, tmp_path):
    fitted(device).save(tmp_path)
    again, here = (Phanes.load(tmp_path, one) for one in (device, "cpu"))
    assert painted(again).tobytes() == painted(fitted(device)).tobytes()
    assert np.abs(painted(here) - painted(again)).mean() < 1e-4
    assert here.predict(TEST).scores == pytest.approx(again.predict(TEST).scores, rel=0.05)


class KilledError(Exception):
    """What the process is killed by."""


def kill(progress):
    if progress.done == 2:
        raise KilledError


def test_a_killed_training_goes_on_exactly(device, tmp_path, monkeypatch):
    hours, heard = itertools.count(0.0, 3600.0), []
    method = replace(Phanes("stand-in-mean", "quick", **THIN, **OFFLINE), epochs=3)
    monkeypatch.setattr(time, "monotonic", lambda: next(hours))  # a checkpoint after every epoch
    sources = [MemorySource(blobs(count, 48, 48, seed=count)) for count in (8, 4)]
    context = FitContext(0, device, "float32", tmp_path)
    with exact():
        with pytest.raises(KilledError):
            method.fit(*sources, replace(context, report=kill))
        again = method.fit(*sources, replace(context, report=heard.append))
        whole = method.fit(*sources, replace(context, workdir=tmp_path / "whole"))
    assert "going on from a checkpoint" in [progress.message for progress in heard]
    apart = np.abs(painted(again) - painted(whole)).mean()
    assert apart < (1e-2 if device == "cuda" else 1e-9)  # the gradient of reflection padding adds otherwise there
