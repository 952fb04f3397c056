"""The latency report: raw rounds, what follows from them, and everything that a time depends on.

Times are wall-clock milliseconds per batch, memory is MiB (2^20 bytes), throughput is images per second.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from uadbench.errors import InvalidDataError
from uadbench.files.layout import write_text_atomically
from uadbench.files.results import DatasetDigests, Frozen, read_record
from uadbench.runs.store import Failure, RunSpec


def percentile(rounds_ms: Sequence[float], percent: float) -> float:
    """The value, in the unit of the rounds, that `percent` (0 to 100) of them do not exceed.

    Between two rounds it is interpolated linearly: position (n - 1) * percent / 100 among the sorted rounds. With
    fewer than 20 rounds the 95th percentile lies between the two slowest.
    Source: Hyndman and Fan, The American Statistician 1996, definition 7.

    Raises:
        InvalidDataError: No rounds.
    """
    if not rounds_ms:
        raise InvalidDataError("percentile: no rounds were measured, so there is no percentile. Measure at least one.")
    return float(np.percentile(np.asarray(rounds_ms, np.float64), percent, method="linear"))


class Rounds(Frozen):
    """Every timed round of one batch size, in the order measured, and what follows from them.

    `images_per_second` counts the images of all rounds over the time of all rounds.
    """

    rounds_ms: tuple[float, ...]
    p50_ms: float
    p95_ms: float
    images_per_second: float

    @classmethod
    def of(cls, rounds_ms: Sequence[float], batch: int) -> Self:
        """The rounds of batches of `batch` images.

        Raises:
            InvalidDataError: No rounds.
        """
        p50, p95 = percentile(rounds_ms, 50), percentile(rounds_ms, 95)
        throughput = 1000.0 * batch * len(rounds_ms) / sum(rounds_ms)
        return cls(rounds_ms=tuple(rounds_ms), p50_ms=p50, p95_ms=p95, images_per_second=throughput)


class BatchLatency(Frozen):
    """One batch size. `model`: `predict` on images in memory. `end_to_end`: what a run does for a batch.

    That is: read and decompress it from the images file, predict, check, round the maps and append them to a prediction
    file. The images file has been read before, so it comes from the system's file cache.
    `peak_mib` is the largest resident memory of the measuring process up to this batch size (sizes ascend, one
    process per method), libraries included; `peak_device_mib` the most that torch had allocated on the accelerator.
    """

    batch: int
    model: Rounds
    end_to_end: Rounds
    peak_mib: float
    peak_device_mib: float | None = None


class MethodLatency(Frozen):
    """One detector, timed in a process of its own.

    `detector` is a digest of the detector's files. `loaded_mib` is the peak memory once libraries and detector were
    loaded and before the first image. `torch_threads` is None where the method does not load torch.
    """

    run: str
    spec: RunSpec
    detector: str
    loaded_mib: float
    usable_cores: int
    torch_threads: int | None
    hardware: Mapping[str, Any]
    batches: tuple[BatchLatency, ...]


class MethodFailure(Frozen):
    """A method that was not timed, or not at all batch sizes, and why; `log` is where it printed."""

    method: str
    run: str = ""
    failure: Failure
    log: str = ""


class LatencyReport(Frozen):
    """What `uadbench latency` measured on one dataset; `images` test images were taken in turn, in whole batches.

    `load` is the number of processes that wanted a core in the minute before; None where the system does not tell.
    """

    schema_name: Literal["uadbench-latency-v1"] = Field("uadbench-latency-v1", alias="schema")
    dataset: DatasetDigests
    started: str
    device: str
    load: float | None = None
    images: int
    rounds: int
    warmups: int
    harness_version: str
    versions: Mapping[str, str]
    methods: tuple[MethodLatency, ...] = ()
    failures: tuple[MethodFailure, ...] = ()

    def write(self, path: Path) -> None:
        """Store as JSON, atomically."""
        write_text_atomically(path, self.model_dump_json(by_alias=True, indent=1) + "\n")


def read_latency(path: Path) -> LatencyReport:
    """The report stored at `path`.

    Raises:
        InvalidDataError: No such file, or not a latency report.
    """
    return read_record(path, LatencyReport)
