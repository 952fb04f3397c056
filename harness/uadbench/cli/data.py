"""`uadbench data`: make, import and show datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import say_json, show
from uadbench.cli.importing import import_
from uadbench.cli.listing import as_json
from uadbench.cli.synthesising import synthesise

if TYPE_CHECKING:
    from uadbench.files.images import Dataset


@click.group()
def data() -> None:
    """Make, import and show datasets."""


data.add_command(import_)
data.add_command(synthesise)


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


@data.command("show")
@click.argument("name")
@click.option(
    "--ids",
    type=click.Choice(["val", "test", "all"]),
    help="Print the opaque ids of a split, one a line; all: those of val and test, each after its split.",
)
@as_json
def show_(name: str, ids: str | None, as_json: bool) -> None:
    """What a dataset of the workspace holds: card, digests, and counts per split and pathology."""
    from collections import Counter

    from uadbench.files.images import open_images
    from uadbench.files.truth import open_truth
    from uadbench.home import data_folder
    from uadbench.runs.plan import find_dataset

    paths = find_dataset(name, data_folder())
    dataset = open_images(paths.images)
    if ids:
        return click.echo("\n".join(_ids(dataset, ids)))
    truth = open_truth(paths.truth)
    counts = [
        (split, pathology, annotation, len(rows), len({known.subjects[i] for i in rows}))
        for split, known in truth.splits.items()
        for (pathology, annotation) in sorted(Counter(zip(known.pathologies, known.annotations, strict=True)))
        for rows in [
            [i for i in range(len(known)) if (known.pathologies[i], known.annotations[i]) == (pathology, annotation)]
        ]
    ]
    card = {field: getattr(dataset.card, field) for field in dataset.card.__dataclass_fields__}
    digests = {"identity": dataset.digests.identity, "pixels": dataset.digests.pixels}
    if as_json:
        return say_json([{**card, **digests, "shape": dataset["test"].shape, "counts": counts}])
    show(
        f"{name}: {card['modality']}, {card['anatomy']}, {dataset['test'].shape[1]} x {dataset['test'].shape[2]}",
        ("split", "pathology", "annotation", "images", "subjects"),
        [tuple(str(cell) for cell in row) for row in counts],
    )
    for what in ("licence", "citation", "spacing_mm"):
        click.echo(f"{what}: {'not stated' if card[what] in (None, '') else card[what]}")
    for step in card["preprocessing"]:
        click.echo(f"{step.get('step')}: {', '.join(f'{key} {step[key]}' for key in step if key != 'step')}")
    for note in card["notes"]:
        click.echo(f"note: {note}")
    return click.echo(f"identity: {digests['identity']}\npixels: {digests['pixels']}")


def _ids(dataset: Dataset, split: str) -> list[str]:
    if split != "all":
        return list(dataset[split].ids)
    return [f"{one}\t{identity}" for one in ("val", "test") for identity in dataset[one].ids]
