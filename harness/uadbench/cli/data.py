"""`uadbench data`: make, import, audit and show datasets."""

from __future__ import annotations

from pathlib import Path

import click

from uadbench.cli.auditing import audit_
from uadbench.cli.importing import import_
from uadbench.cli.showing import show_
from uadbench.cli.synthesising import synthesise


@click.group()
def data() -> None:
    """Make, import, audit and show datasets."""


data.add_command(import_)
data.add_command(audit_)
data.add_command(synthesise)
data.add_command(show_)


@data.command()
@click.argument("name")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes (default: one per core).")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Where to write; default: the data folder.")
@click.option("--force", is_flag=True, help="Make it again although it is there.")
def make(name: str, workers: int | None, folder: Path | None, force: bool) -> None:
    """Generate dataset NAME, such as brain-phantom-v1. Does not depend on the number of workers."""
    import os

    from uadbench import plugins
    from uadbench.cli.finding import is_kept
    from uadbench.errors import UsageError
    from uadbench.files.dataset import paths_in
    from uadbench.home import data_folder

    spec = plugins.dataset(name)
    if not spec.make:
        raise UsageError(f"Dataset {name!r} cannot be generated. It comes by `{spec.how}`.")
    target = folder or data_folder()
    if is_kept(name, target, force=force):
        return
    paths = paths_in(target, name)
    _make(spec.make, name, target, workers or os.cpu_count() or 1)
    click.echo(f"{paths.images}\n{paths.truth}")


def _make(maker: str, name: str, folder: Path, workers: int) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from uadbench import plugins

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bars:
        bar = bars.add_task(f"making {name}", total=None)
        plugins.resolve(maker)(
            folder, workers=workers, report=lambda done, total: bars.update(bar, completed=done, total=total)
        )
