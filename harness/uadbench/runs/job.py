"""One job in a process of its own: it is given the images file alone, and reports on standard output as JSON lines.

The parent reads `{"progress": ...}` lines, then one `{"timing": ...}` or `{"failure": ...}`. What a plugin prints
goes to standard error, so to the run's log.
"""

import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from uadbench.errors import RunFailedError
from uadbench.fitting import Order, Timing, fit_predict
from uadbench.runs.store import Failure, Run, RunSpec, death, failure_of
from uadbench.types import Progress

# Torch threads that spin for long while they wait would starve other processes, and those that sleep at once slow small
# networks down by half: they spin for some microseconds. Read when torch is imported; changes no number.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
ENVIRONMENT = {"PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **WAITING}


class JobFailedError(RunFailedError):
    """The job ended without predictions; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def carry_out(run: Run, spec: RunSpec, images: Path, report: Callable[[Progress], None]) -> Timing:
    """Run the job in a new process until its predictions are sealed in the run's folder.

    Raises:
        JobFailedError: The method failed, or the process died.
    """
    order = {
        "method": spec.method,
        "preset": spec.preset,
        "params": dict(spec.overrides),
        "seed": spec.seed,
        "device": spec.device,
        "precision": spec.precision,
    }
    request = {"order": order, "images": str(images), "out": str(run.predictions), "workdir": str(run.folder / "work")}
    command = [sys.executable, "-m", "uadbench.runs.job"]
    with (
        run.log.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env={**os.environ, **ENVIRONMENT},
        ) as process,
    ):
        try:
            return _listen(process, json.dumps(request), report)
        except BaseException:
            process.kill()
            raise


def _listen(process: subprocess.Popen, request: str, report: Callable[[Progress], None]) -> Timing:
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code is told below
        process.stdin.write(request)
        process.stdin.close()
    outcome: Mapping[str, Any] = {}
    for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            report(Progress(**message["progress"]))
        else:
            outcome = message
    code = process.wait()
    if "timing" in outcome and code == 0:
        return Timing(**outcome["timing"])
    if "failure" in outcome:
        raise JobFailedError(Failure(**outcome["failure"]))
    raise JobFailedError(death("The process of the run", code))


def _tell(channel: IO[str], message: Mapping[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def main() -> int:
    """Entry point of the job's process."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    try:
        timing = fit_predict(
            Order(**request["order"]),
            Path(request["images"]),
            Path(request["out"]),
            workdir=Path(request["workdir"]),
            report=lambda progress: _tell(channel, {"progress": asdict(progress)}),
        )
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises becomes one typed failure, traceback in the log
        traceback.print_exc()
        _tell(channel, {"failure": failure_of(error).model_dump()})
        return 1
    _tell(channel, {"timing": asdict(timing)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
