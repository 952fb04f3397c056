"""Timing fitted detectors: pytest-benchmark in a new process per method, one report for all."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from uadbench import __version__
from uadbench.files.images import Dataset
from uadbench.files.layout import space_checked
from uadbench.files.results import DatasetDigests, read_record
from uadbench.fitting import LIBRARIES, versions_of
from uadbench.latency.gathering import latency_of
from uadbench.latency.report import LatencyReport, MethodFailure, MethodLatency
from uadbench.latency.schedule import Schedule
from uadbench.latency.workload import Request
from uadbench.runs.job import ENVIRONMENT
from uadbench.runs.store import Failure, Run, death, now

WARMUPS = 3

# As in a run; and no setting or plugin of the pytest that a user may have around.
_SET = {**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_UNSET = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER")

Attempt = tuple[tuple[MethodLatency, ...], tuple[MethodFailure, ...]]


def time_runs(
    schedule: Schedule, runs: Sequence[Run], dataset: Dataset, folder: Path, told: Callable[[LatencyReport, int], None]
) -> LatencyReport:
    """Time the detectors of finished runs, one after another; a method that fails is recorded and the others go on.

    After each run `told` gets the report so far and the number of runs behind it. Scratch files and the logs of
    failures lie in `folder`.

    Raises:
        UsageError: A batch size or number of images that the dataset cannot give.
    """
    report = LatencyReport(
        schema="uadbench-latency-v1",
        dataset=_digests(dataset),
        started=now(),
        device=schedule.device,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        images=schedule.count(dataset),
        rounds=schedule.rounds,
        warmups=WARMUPS,
        harness_version=__version__,
        versions=versions_of((*LIBRARIES, "pytest", "pytest-benchmark")),
    )
    for done, run in enumerate(runs, start=1):
        timed, failed = _attempt(run, report, schedule.batches, dataset, folder)
        report = report.model_copy(
            update={"methods": (*report.methods, *timed), "failures": (*report.failures, *failed)}
        )
        told(report, done)
    return report


def _digests(dataset: Dataset) -> DatasetDigests:
    card, digests = dataset.card, dataset.digests
    return DatasetDigests(name=card.name, version=card.version, identity=digests.identity, pixels=digests.pixels)


def _attempt(run: Run, report: LatencyReport, batches: Sequence[int], dataset: Dataset, folder: Path) -> Attempt:
    """What was measured of one run, and why not more; batch sizes done before a failure are kept."""
    log = folder / f"{run.id}.log"
    with space_checked(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".timing-", dir=folder) as name:
            scratch = Path(name)
            code = _call_pytest(_request(run, report, batches, dataset, scratch), log)
            measured = scratch / "benchmark.json"
            benchmark = json.loads(measured.read_text(encoding="utf-8") or "null") if measured.is_file() else None
            timed = latency_of(run, benchmark) if benchmark else None
            failure = None if code == 0 and timed else _failure(scratch, code)
    if failure is None:
        log.unlink(missing_ok=True)
        return ((timed,) if timed else ()), ()
    failed = MethodFailure(method=run.record.spec.method, run=run.id, failure=failure, log=str(log))
    return ((timed,) if timed else ()), (failed,)


def _request(run: Run, report: LatencyReport, batches: Sequence[int], dataset: Dataset, scratch: Path) -> Request:
    return Request(
        method=run.record.spec.method,
        detector=run.detector.absolute(),
        images=dataset.path.absolute(),
        scratch=scratch,
        device=report.device,
        batches=tuple(sorted(set(batches))),
        count=report.images,
        rounds=report.rounds,
        warmups=report.warmups,
    )


def _call_pytest(request: Request, log: Path) -> int:
    """The exit code of pytest on the installed suite; its output goes to the log."""
    asked = request.scratch / "request.json"
    asked.write_text(request.model_dump_json(), encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if key not in _UNSET}
    with resources.as_file(resources.files("uadbench.latency") / "suite") as suite, log.open("wb") as output:
        command = [sys.executable, "-m", "pytest", str(suite / "test_latency.py"), *_options(suite, request.scratch)]
        done = subprocess.run(
            [*command, "--request", str(asked)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**kept, **_SET},
            check=False,
        )
    return done.returncode


def _options(suite: Path, scratch: Path) -> list[str]:
    return [
        *("--rootdir", str(suite), "-c", str(suite / "pytest.ini")),
        *("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider"),
        *("--import-mode=importlib", "--assert=plain", "--maxfail=1"),
        *("--benchmark-only", "--benchmark-disable-gc", "--benchmark-timer=time.perf_counter"),
        f"--benchmark-storage=file://{scratch}",
        f"--benchmark-json={scratch / 'benchmark.json'}",
        f"--failure={scratch / 'failure.json'}",
    ]


def _failure(scratch: Path, code: int) -> Failure:
    if (scratch / "failure.json").is_file():
        return read_record(scratch / "failure.json", Failure)
    return death("The measuring process", code)
