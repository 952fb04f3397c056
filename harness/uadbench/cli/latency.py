"""`uadbench latency`: how long fitted methods take per batch, and how much memory they need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uadbench.files.images import Dataset
    from uadbench.latency.report import LatencyReport
    from uadbench.latency.schedule import Schedule
    from uadbench.runs.store import Run

PHANTOM = "brain-phantom-v1"


@click.command()
@click.option("--all", "every", is_flag=True, help="Every installed method.")
@click.option("--method", "-m", "methods", multiple=True, help="A method; may be repeated.")
@click.option("--dataset", "-d", help=f"A dataset of the workspace.  [default: {PHANTOM}, or that of RUN]")
@click.option("--preset", default="quick", show_default=True, help="The preset that was run: quick, paper, ...")
@click.option(
    "--batch",
    "batches",
    type=int,
    multiple=True,
    default=(1, 16),
    show_default=True,
    help="Images at once; repeatable.",
)
@click.option("--rounds", type=int, default=30, show_default=True, help="Timed batches, after a few to warm up.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--images", type=int, help="Test images the batches are taken from.  [default: 64, or all if fewer]")
@click.option(
    "--json",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the report; default: in the workspace.",
)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def latency(
    every: bool,
    methods: tuple[str, ...],
    dataset: str | None,
    preset: str,
    batches: tuple[int, ...],
    rounds: int,
    device: str,
    images: int | None,
    out: Path | None,
    runs: tuple[str, ...],
) -> None:
    """Time the fitted detectors of finished runs: of methods (--method, --all), or RUNs by name.

    "model" is predicting images in memory; "end to end" reads them from the images file, predicts, and appends to a
    prediction file, as a run does. p50 and p95 are over all rounds, in milliseconds per batch; images/s are end to end.
    Peak memory is that of the measuring process, on CUDA that of torch on the device.
    """
    from uadbench.errors import UsageError
    from uadbench.latency.schedule import Schedule, require_pytest_benchmark
    from uadbench.torch_support.devices import require_device

    if (every and methods) or not (every or methods or runs):
        raise UsageError("Say what to time: --all, --method NAME, or a RUN (see `uadbench list runs`).")
    schedule = Schedule(batches, rounds, images, device)
    require_pytest_benchmark()
    require_device(device)
    opened, chosen, lacking = _chosen(_names(every, methods), runs, dataset, preset, device)
    if not chosen:
        raise UsageError(lacking)
    if lacking:
        click.secho(lacking, fg="yellow", err=True)
    _end(*_timed(schedule, chosen, opened, out), complete=not lacking)


def _names(every: bool, methods: tuple[str, ...]) -> tuple[str, ...]:
    from uadbench import plugins

    registry = plugins.registry()
    names = tuple(registry.methods()) if every else tuple(dict.fromkeys(methods))
    for broken in registry.broken if every else ():
        click.secho(
            f"Left out: {broken.name} of {broken.origin.distribution} does not load: {broken.error}",
            fg="yellow",
            err=True,
        )
    return names


def _chosen(
    names: Sequence[str], runs: Sequence[str], dataset: str | None, preset: str, device: str
) -> tuple[Dataset, list[Run], str]:
    """The dataset, the runs to time, and a sentence on the methods that have none."""
    from uadbench.files.images import open_images
    from uadbench.home import data_folder, runs_folder
    from uadbench.latency.choosing import choose, how_to_fit, require_timeable
    from uadbench.runs.plan import find_dataset
    from uadbench.runs.store import Store

    store = Store(runs_folder())
    named = [store.find(name) for name in runs]
    of = dataset or (named[0].record.spec.dataset if named else PHANTOM)
    opened = open_images(find_dataset(of, data_folder()).images)
    for run in named:
        require_timeable(run, opened)
    choice = choose(names, preset, opened, store, device=device)
    chosen = {run.folder.absolute(): run for run in (*named, *choice.runs)}
    return opened, list(chosen.values()), how_to_fit(choice.missing, preset, of) if choice.missing else ""


def _timed(schedule: Schedule, runs: Sequence[Run], dataset: Dataset, out: Path | None) -> tuple[LatencyReport, Path]:
    """The report and where it lies; it is written anew after each run, so that an interruption loses one run only."""
    from datetime import UTC, datetime

    from rich.console import Console

    from uadbench.home import home
    from uadbench.latency.measuring import time_runs

    folder = home() / "latency"
    path = out or folder / f"{dataset.card.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    with Console(stderr=True).status(f"Timing {runs[0].id} (1 of {len(runs)})") as status:

        def told(report: LatencyReport, done: int) -> None:
            report.write(path)
            if done < len(runs):
                status.update(f"Timing {runs[done].id} ({done + 1} of {len(runs)})")

        return time_runs(schedule, runs, dataset, folder, told), path


def _end(report: LatencyReport, path: Path, *, complete: bool) -> None:
    if report.methods:
        _table(report)
        _warn_if_busy(report)
    click.echo(f"Report: {path}")
    for one in report.failures:
        click.secho(f"Failed: {one.run}: {one.failure.sentence} Log: {one.log}", fg="red", err=True)
    if report.failures or not complete:
        sys.exit(1)


def _warn_if_busy(report: LatencyReport) -> None:
    cores = report.methods[0].usable_cores
    if report.load is not None and report.load > cores:
        click.secho(
            f"warning: the machine was busy (load {report.load:.1f} on {cores} cores), so the times may be too long.",
            fg="yellow",
            err=True,
        )


def _table(report: LatencyReport) -> None:
    card = report.methods[0].hardware
    where = card.get("accelerator") or f"{card.get('processor', '')}, {report.methods[0].usable_cores} cores"
    show(
        f"{report.dataset.name} on {report.device} ({where}), {report.rounds} rounds, times per batch",
        ("method", "batch", "model p50", "p95 ms", "end to end p50", "p95 ms", "images/s", "peak MiB"),
        [
            (
                method.spec.method if method.spec.preset == "quick" else f"{method.spec.method} ({method.spec.preset})",
                str(one.batch),
                *(f"{ms:.2f}" for ms in (one.model.p50_ms, one.model.p95_ms)),
                *(f"{ms:.2f}" for ms in (one.end_to_end.p50_ms, one.end_to_end.p95_ms)),
                f"{one.end_to_end.images_per_second:.1f}",
                f"{one.peak_mib if one.peak_device_mib is None else one.peak_device_mib:.0f}",
            )
            for method in report.methods
            for one in method.batches
        ],
    )
