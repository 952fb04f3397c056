"""What the tests of the harness and of the plugins share: devices, threads, and healthy phantoms.

A test marked `gpu` is skipped where there is no CUDA device, and says so.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from uadbench import FitContext, Images, plugins
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
