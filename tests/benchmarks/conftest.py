"""What benchmarks share."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """BLAS and OpenMP keep to one thread."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1):
        yield
