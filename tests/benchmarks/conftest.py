"""What benchmarks share."""

import numpy as np
import pytest

LARGEST_KEPT = 31 * 2**20  # bytes; glibc never keeps a block of 32 MiB


@pytest.fixture(scope="module")
def one_thread():
    """BLAS and OpenMP keep to one thread."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def kept_memory():
    """The process keeps what it frees, as after hours of work, so that chance gives neither side the dearer memory.

    Until a large block has been freed once, glibc returns such blocks and fetches new pages, at about 1 us for 4 KiB.
    """
    np.empty(LARGEST_KEPT, np.uint8)
