"""One benchmark per batch size and scope. The rounds are timed by pytest-benchmark; nothing is asserted about them."""

from pytest_benchmark.fixture import BenchmarkFixture

from uadbench.files.predictions import PredictionWriter
from uadbench.latency.memory import device_peak_mib, peak_mib, reset_device_peak
from uadbench.latency.workload import Scope, Workload


def test_latency(
    benchmark: BenchmarkFixture, workload: Workload, writer: PredictionWriter, batch: int, scope: Scope
) -> None:
    """Warm up, time the rounds, and note the peak memory."""
    request = workload.request
    model = scope == "model"
    reset_device_peak(request.device)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        workload.predict if model else workload.carry_through,
        setup=workload.images(batch) if model else workload.rows(batch, writer),
        rounds=request.rounds,
        warmup_rounds=request.warmups,
    )
    benchmark.extra_info.update(
        batch=batch,
        scope=scope,
        loaded_mib=workload.loaded_mib,
        peak_mib=peak_mib(),
        peak_device_mib=device_peak_mib(request.device),
    )
