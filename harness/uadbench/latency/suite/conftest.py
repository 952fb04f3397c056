"""Reads the request, loads the detector once, and writes down the first failure for the calling process."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uadbench.files.predictions import PredictionWriter
from uadbench.fitting import hardware
from uadbench.latency.workload import SCOPES, DiscardedError, Request, Workload
from uadbench.runs.store import failure_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file that says what to time, and the file for what went wrong."""
    parser.addoption("--request", type=Path, required=True)
    parser.addoption("--failure", type=Path, required=True)


def _request(config: pytest.Config) -> Request:
    return Request.model_validate_json(config.getoption("--request").read_text(encoding="utf-8"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Batch sizes ascend, so that the peak memory of a size is not that of a larger one."""
    request = _request(metafunc.config)
    cases = [(batch, scope) for batch in sorted(request.batches) for scope in SCOPES]
    metafunc.parametrize(("batch", "scope"), cases, ids=[f"{request.method}-{b}-{scope}" for b, scope in cases])


@pytest.fixture(scope="session")
def workload(pytestconfig: pytest.Config) -> Workload:
    """The detector and the test images."""
    return Workload(_request(pytestconfig))


@pytest.fixture
def writer(workload: Workload) -> Iterator[PredictionWriter]:
    """A prediction file on the disk where runs keep theirs; it is thrown away."""
    path = workload.request.scratch / "predictions.h5"
    with contextlib.suppress(DiscardedError), PredictionWriter(path, {}) as opened:
        yield opened
        raise DiscardedError


def pytest_exception_interact(call: pytest.CallInfo, node: Any) -> None:
    """The first error of the method becomes one typed failure; its traceback is in the log."""
    path, error = node.config.getoption("--failure"), call.excinfo.value if call.excinfo else None
    if error is None or path.exists():
        return
    path.write_text(failure_of(error).model_dump_json(), encoding="utf-8")


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any]:
    """The same card as a run's provenance, taken after the method has loaded its libraries."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"hardware": hardware(_request(config).device), "usable_cores": cores}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """The repository that the user happens to stand in has no part in the times."""
    return {"id": "", "time": "", "author_time": "", "dirty": False, "project": "uadbench", "branch": ""}
