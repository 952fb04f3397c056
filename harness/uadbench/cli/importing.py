"""`uadbench data import`: datasets from files that a user has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from uadbench.datasets.importing.carrying import Report
    from uadbench.datasets.importing.items import Plan
    from uadbench.datasets.importing.leaks import Terms
    from uadbench.datasets.importing.reporting import ImportReport
    from uadbench.hookspecs import DatasetSpec

STATED = (
    click.option("--name", required=True, help="Name of the dataset: letters, digits, dashes."),
    click.option("--licence", default="", help="Required. What may be done with the pictures, and who says so."),
    click.option("--citation", default="", help="Required. Whom to cite."),
    click.option("--size", type=int, help="Pad to a square and resize to SIZE x SIZE pixels."),
    click.option("--foreground", default="otsu", show_default=True, help="The body: otsu, nonzero, all or given."),
    click.option("--version", default="1", show_default=True, help="Version of the dataset."),
    click.option("--modality", default="", help="How it was imaged, as 'MR FLAIR'."),
    click.option("--anatomy", default="", help="What was imaged, as 'brain'."),
    click.option("--spacing-mm", type=float, help="Millimetres per pixel of the written images, if known."),
    click.option("--note", "notes", multiple=True, help="What every board should say of the dataset; may be repeated."),
)
CARRIED = (
    click.option("--workers", type=click.IntRange(1), help="Processes (default: one per core)."),
    click.option(
        "--allow-leak", is_flag=True, help="Import in spite of a leak; marks the dataset and every row on it."
    ),
    click.option("--drop-leaks", is_flag=True, help="Leave out of train and val what is also in a later split."),
    click.option("--to", "folder", type=click.Path(path_type=Path), help="Where to write; default: the data folder."),
    click.option("--force", is_flag=True, help="Import it again although it is there."),
)
ROOTED = (
    click.option("--root", "roots", multiple=True, metavar="[KEY=]PATH", help="Where a source lies; may be repeated."),
    click.option(
        "--split", type=click.Path(path_type=Path), help="Your own split: a CSV with the columns name, split."
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is drawn."),
)


class _Importers(click.Group):
    """`manifest`, and each installed importer under its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_importers())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        spec = _importers().get(cmd_name)
        return importer_command(spec) if spec else super().get_command(ctx, cmd_name)


def _importers() -> dict[str, DatasetSpec]:
    from uadbench import plugins

    return {name: spec for name, spec in plugins.registry().datasets().items() if spec.importer}


@click.group("import", cls=_Importers)
def import_() -> None:
    """Make a dataset from files you have."""


def _options(*options: Callable) -> Callable[[Callable], Callable]:
    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@import_.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--csv", type=click.Path(path_type=Path), help="A manifest outside SOURCE, instead of its manifest.csv.")
@click.option("--where", default="", help="Keep the rows for which this expression over the columns is true.")
@click.option("--divide-by", default="", help="Column whose value becomes intensity 1; brighter pixels are clipped.")
@_options(*STATED, *CARRIED)
def manifest(
    source: Path,
    *,
    csv: Path | None,
    where: str,
    divide_by: str,
    name: str,
    licence: str,
    citation: str,
    size: int | None,
    foreground: str,
    version: str,
    modality: str,
    anatomy: str,
    spacing_mm: float | None,
    notes: tuple[str, ...],
    workers: int | None,
    allow_leak: bool,
    drop_leaks: bool,
    folder: Path | None,
    force: bool,
) -> None:
    """Import SOURCE, a folder or zip of pictures with a manifest.csv.

    The manifest has one row per picture and at least the columns file, split and label (0 healthy, 1 anomalous); also
    pathology, annotation, boxes (JSON list of [x, y, w, h] in pixels), mask and foreground (paths), slice (index in a
    volume), patient_id and dup_group. Of split val only healthy pictures are kept; splits other than train, val and
    test are left out.
    """
    from uadbench.datasets.manifest import ImportOptions, import_manifest
    from uadbench.home import data_folder

    target = folder or data_folder()
    if _is_done(name, target, force=force):
        return
    options = ImportOptions(
        name=name, licence=licence, citation=citation, csv=csv, where=where, divide_by=divide_by, size=size,
        foreground=foreground, version=version, modality=modality, anatomy=anatomy, spacing_mm=spacing_mm, notes=notes,
    )  # fmt: skip
    with _terms(workers, allow_leak, drop_leaks) as terms:
        report = import_manifest(source, target, options, terms)
    _show(name, report)


def importer_command(spec: DatasetSpec) -> click.Command:
    """The command of an installed importer."""

    @click.command(spec.name, help=_help(spec))
    @_options(*ROOTED, *(() if spec.writes else STATED), *CARRIED)
    def command(
        *,
        roots: tuple[str, ...],
        split: Path | None,
        seed: int,
        name: str = "",
        licence: str = "",
        citation: str = "",
        size: int | None = None,
        foreground: str = "otsu",
        version: str = "1",
        modality: str = "",
        anatomy: str = "",
        spacing_mm: float | None = None,
        notes: tuple[str, ...] = (),
        workers: int | None,
        allow_leak: bool,
        drop_leaks: bool,
        folder: Path | None,
        force: bool,
    ) -> None:
        from uadbench import plugins
        from uadbench.datasets.importing.importing import import_plan
        from uadbench.datasets.importing.options import ImportOptions
        from uadbench.datasets.importing.request import Request, roots_of
        from uadbench.home import data_folder

        target = folder or data_folder()
        wanted = [one for one in spec.writes or (name,) if not _is_done(one, target, force=force)]
        if not wanted:
            return
        stated = None if spec.writes else ImportOptions(
            name=name, licence=licence, citation=citation, size=size, foreground=foreground, version=version,
            modality=modality, anatomy=anatomy, spacing_mm=spacing_mm, notes=notes,
        )  # fmt: skip
        with _terms(workers, allow_leak, drop_leaks) as terms:
            request = Request(roots_of(spec.roots, roots), seed, stated, terms.workers, terms.report)
            plans = plugins.resolve(spec.importer)(request)
        for plan in _split(plans, split):
            if plan.card.name not in wanted:
                continue
            with _terms(workers, allow_leak, drop_leaks) as terms:
                report = import_plan(plan, target, terms)
            _show(plan.card.name, report)

    return command


def _help(spec: DatasetSpec) -> str:
    width = max(len(key) for key, _ in spec.roots)
    roots = "\n".join(f"  {f'{key}=PATH':<{width + 5}}  {holds}" for key, holds in spec.roots)
    made = f"Writes {', '.join(spec.writes)}." if spec.writes else "Any dataset of this layout; you name it."
    return f"{spec.title}.\n\n{made}\n\n\b\nRoots, each a folder or a zip:\n{roots}"


def _split(plans: Sequence[Plan], split: Path | None) -> list[Plan]:
    """The plans, with the user's split where there is one, which may name what is in one of several datasets only."""
    from uadbench.datasets.importing.splitting import names_of, own_split

    if split is None:
        return list(plans)
    names = names_of(item for plan in plans for item in plan.items)
    return [own_split(plan, split, names) for plan in plans]


def _is_done(name: str, folder: Path, *, force: bool) -> bool:
    """Whether the dataset is kept as it is. What an import that was killed at its very end left is removed then."""
    from uadbench.cli.finding import is_kept
    from uadbench.datasets.importing.carrying import tidy

    kept = is_kept(name, folder, force=force)
    if kept:
        tidy(folder, name)
    return kept


@contextlib.contextmanager
def _terms(workers: int | None, allow: bool, drop: bool) -> Iterator[Terms]:
    """How the import is carried out, with a bar while it is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from uadbench.datasets.importing.leaks import Terms
    from uadbench.errors import UsageError

    if allow and drop:
        raise UsageError("--allow-leak and --drop-leaks: give one of them.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        leaks = "allow" if allow else "drop" if drop else "refuse"
        yield Terms(workers or os.cpu_count() or 1, leaks, _reporter(bars))


def _reporter(bars: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def report(step: str, done: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = bars.add_task(step, total=total)
        bars.update(tasks[step], completed=done, total=total)

    return report


def _show(name: str, report: ImportReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("split", "", "pathology", "images", "subjects", title=name)
    for one in report.counts:
        kind = "anomalous" if one.label else "healthy"
        table.add_row(one.split, kind, escape(one.pathology), str(one.images), str(one.subjects))
    console().print(table)
    for line in report.lines():
        click.echo(line)
