"""From the JSON that pytest-benchmark writes to the record of one method: raw rounds, never its own statistics."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uadbench.files.digest import digest_texts
from uadbench.latency.report import BatchLatency, MethodLatency, Rounds
from uadbench.latency.workload import SCOPES
from uadbench.runs.store import Run


def latency_of(run: Run, benchmark: Mapping[str, Any]) -> MethodLatency | None:
    """The record of one run from pytest-benchmark's JSON; None if no batch size was measured in both scopes."""
    cases = {(one["extra_info"]["batch"], one["extra_info"]["scope"]): one for one in benchmark["benchmarks"]}
    whole = [batch for batch in sorted({batch for batch, _ in cases}) if all((batch, one) in cases for one in SCOPES)]
    if not whole:
        return None
    machine, spec = benchmark["machine_info"], run.record.spec
    return MethodLatency(
        run=run.id,
        spec=spec,
        detector=_detector_digest(run.detector),
        loaded_mib=cases[whole[0], "model"]["extra_info"]["loaded_mib"],
        usable_cores=machine["usable_cores"],
        torch_threads=machine["hardware"].get("threads"),
        hardware=machine["hardware"],
        batches=tuple(_batch(batch, *(cases[batch, scope] for scope in SCOPES)) for batch in whole),
    )


def _batch(batch: int, model: Mapping[str, Any], end_to_end: Mapping[str, Any]) -> BatchLatency:
    both = (model["extra_info"], end_to_end["extra_info"])
    device_peaks = [info["peak_device_mib"] for info in both if info["peak_device_mib"] is not None]
    return BatchLatency(
        batch=batch,
        model=Rounds.of(_ms(model), batch),
        end_to_end=Rounds.of(_ms(end_to_end), batch),
        peak_mib=max(info["peak_mib"] for info in both),
        peak_device_mib=max(device_peaks, default=None),
    )


def _ms(case: Mapping[str, Any]) -> list[float]:
    """The raw rounds in milliseconds, to the nanosecond that the clock can tell."""
    return [round(1000.0 * seconds, 6) for seconds in case["stats"]["data"]]


def _detector_digest(folder: Path) -> str:
    """Digest over the names and bytes of a detector's files."""
    parts: list[str] = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        with path.open("rb") as file:
            parts += [path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()]
    return digest_texts(parts)
