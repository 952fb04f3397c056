"""What the tests of the harness and of the plugins share: devices and threads.

A test marked `gpu` is skipped where there is no CUDA device, and says so.
"""

import pytest

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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU."""
    if item.get_closest_marker("gpu") is not None and not cuda_devices():
        pytest.skip("no CUDA device")
