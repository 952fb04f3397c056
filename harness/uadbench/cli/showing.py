"""`uadbench data show`: what a dataset holds, in numbers and, if asked for, in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import say_json, show
from uadbench.cli.listing import as_json

if TYPE_CHECKING:
    from uadbench.files.images import Dataset

COUNTS = ("split", "pathology", "annotation", "images", "subjects")
Count = tuple[str, str, str, int, int]


@click.command("show")
@click.argument("name")
@click.option(
    "--ids",
    type=click.Choice(["val", "test", "all"]),
    help="Print the opaque ids of a split, one a line; all: those of val and test, each after its split.",
)
@click.option(
    "--sheets",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Draw contact sheets with masks and boxes into this folder, and a page that shows them.",
)
@click.option("--most", type=click.IntRange(1), default=24, show_default=True, help="Images on a sheet, at most.")
@as_json
def show_(name: str, ids: str | None, folder: Path | None, most: int, as_json: bool) -> None:
    """What a dataset of the workspace holds: card, digests, counts per split and pathology, and sheets of pictures."""
    from uadbench.cli.finding import dataset_of
    from uadbench.errors import UsageError
    from uadbench.sheets import sheets, strata

    if ids and folder:
        raise UsageError("--ids prints ids and nothing else, --sheets draws pictures. Give one of the two.")
    dataset, truth = dataset_of(name)
    if ids:
        return click.echo("\n".join(_ids(dataset, ids)))
    counts = [(one.split, one.pathology, one.annotation, len(one.rows), one.subjects) for one in strata(truth)]
    index = sheets(dataset, truth, folder, most=most).index if folder else None
    return _as_json(dataset, counts, index) if as_json else _as_text(dataset, counts, index)


def _as_json(dataset: Dataset, counts: list[Count], index: Path | None) -> None:
    drawn = {"sheets": str(index)} if index else {}
    say_json([{**_card(dataset), **_digests(dataset), "shape": dataset["test"].shape, "counts": counts, **drawn}])


def _as_text(dataset: Dataset, counts: list[Count], index: Path | None) -> None:
    card, (_, height, width) = dataset.card, dataset["test"].shape
    show(
        f"{card.name}: {', '.join(filter(None, (card.modality, card.anatomy, f'{height} x {width}')))}",
        COUNTS,
        [tuple(str(cell) for cell in row) for row in counts],
    )
    for what in ("licence", "citation", "spacing_mm"):
        click.echo(f"{what}: {getattr(card, what) or 'not stated'}")
    for step in card.preprocessing:
        click.echo(f"{step.get('step')}: {', '.join(f'{key} {step[key]}' for key in step if key != 'step')}")
    for leak in card.leaks:
        click.secho(f"leak: {leak}", fg="yellow")
    for note in card.notes:
        click.echo(f"note: {note}")
    for kind, digest in _digests(dataset).items():
        click.echo(f"{kind}: {digest}")
    if index:
        click.echo(f"sheets: {index}")


def _card(dataset: Dataset) -> dict[str, object]:
    return {field: getattr(dataset.card, field) for field in dataset.card.__dataclass_fields__}


def _digests(dataset: Dataset) -> dict[str, str]:
    return {"identity": dataset.digests.identity, "pixels": dataset.digests.pixels}


def _ids(dataset: Dataset, split: str) -> list[str]:
    if split != "all":
        return list(dataset[split].ids)
    return [f"{one}\t{identity}" for one in ("val", "test") for identity in dataset[one].ids]
