"""What the tests of the harness and of the plugins share: devices, threads, killed trainings, healthy phantoms.

A test marked `gpu` is skipped where there is no CUDA device, and says so.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from uadbench import Detector, FitContext, Images, ImageSource, Method, Progress, plugins
from uadbench.testing import MemorySource
from uadbench.torch_support.devices import cuda_devices


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request) -> str:
    """The CPU always, a CUDA device where there is one."""
    return request.param


@pytest.fixture(scope="module")
def one_torch_thread():
    """torch on one thread: on small networks several of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def whole_float32():
    """Convolutions of a GPU in whole float32, to compare them with the CPU's."""
    import torch

    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


class KilledError(Exception):
    """What the process is killed by."""


@pytest.fixture
def killed_and_whole(tmp_path, monkeypatch) -> Callable[[Method, ImageSource, ImageSource, str], tuple[Detector, ...]]:
    """Fits a method that is killed after two epochs and goes on, and one that is left in peace; both detectors."""
    hours = itertools.count(0.0, 3600.0)

    def kill(progress: Progress) -> None:
        if progress.done == 2:
            raise KilledError

    def fit(method: Method, train: ImageSource, val: ImageSource, device: str) -> tuple[Detector, ...]:
        monkeypatch.setattr(time, "monotonic", lambda: next(hours))  # a checkpoint after every epoch
        context, heard = FitContext(0, device, "float32", tmp_path), []
        with pytest.raises(KilledError):
            method.fit(train, val, replace(context, report=kill))
        again = method.fit(train, val, replace(context, report=heard.append))
        assert heard[0].message == "going on from a checkpoint"
        return again, method.fit(train, val, replace(context, workdir=tmp_path / "whole"))

    return fit


@pytest.fixture(scope="session")
def phantoms() -> Mapping[str, Images]:
    """Healthy ones of every split of brain-phantom-v1."""
    pytest.importorskip("nibabel", reason="the phantom's template is read with nibabel")
    pytest.importorskip("nilearn", reason="the phantom's template ships with nilearn")
    from uadbench.datasets.phantom.generation import phantom

    found = {}
    for split, count in (("train", 240), ("val", 40), ("test", 40)):  # the first of test are healthy
        samples = [phantom(split, index) for index in range(count)]
        pixels = np.stack([sample.pixels for sample in samples]).astype(np.float32) / 255
        names = tuple(f"{split}-{index}" for index in range(count))
        found[split] = Images(pixels, np.stack([sample.foreground for sample in samples]), names, names)
    return found


@pytest.fixture
def quick_errors(phantoms, tmp_path) -> Callable[[str], tuple[float, float]]:
    """Mean squared error over the foreground of healthy test phantoms: of a method's `quick`, of the mean image."""
    train, val, test = (phantoms[split] for split in ("train", "val", "test"))

    def error(seen: np.ndarray) -> float:
        return float(np.square(seen - test.pixels)[test.foreground[:, None]].mean())

    def errors(name: str) -> tuple[float, float]:
        context = FitContext(0, "cpu", "float32", tmp_path)
        detector = plugins.make(name, preset="quick").fit(MemorySource(train), MemorySource(val), context)
        return error(detector.predict(test).reconstructions), error(train.pixels.mean(0))

    return errors


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU."""
    if item.get_closest_marker("gpu") is not None and not cuda_devices():
        pytest.skip("no CUDA device")
