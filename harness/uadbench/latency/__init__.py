"""Latency: how long fitted detectors take per batch, alone and from file to file, and how much memory."""

from uadbench.latency.choosing import Choice, choose
from uadbench.latency.measuring import time_runs
from uadbench.latency.report import (
    BatchLatency,
    LatencyReport,
    MethodFailure,
    MethodLatency,
    Rounds,
    percentile,
    read_latency,
)
from uadbench.latency.schedule import Schedule, require_pytest_benchmark

__all__ = [
    "BatchLatency",
    "Choice",
    "LatencyReport",
    "MethodFailure",
    "MethodLatency",
    "Rounds",
    "Schedule",
    "choose",
    "percentile",
    "read_latency",
    "require_pytest_benchmark",
    "time_runs",
]
