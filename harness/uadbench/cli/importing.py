"""`uadbench data import`: datasets from pictures that a user has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import console

if TYPE_CHECKING:
    from uadbench.datasets.manifest import ImportReport


@click.group("import")
def import_() -> None:
    """Make a dataset from pictures you have."""


@import_.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the dataset: letters, digits, dashes.")
@click.option("--licence", default="", help="Required. What may be done with the pictures, and who says so.")
@click.option("--citation", default="", help="Required. Whom to cite.")
@click.option("--csv", type=click.Path(path_type=Path), help="A manifest outside SOURCE, instead of its manifest.csv.")
@click.option("--where", default="", help="Keep the rows for which this expression over the columns is true.")
@click.option("--divide-by", default="", help="Column whose value becomes intensity 1; brighter pixels are clipped.")
@click.option("--size", type=int, help="Pad to a square and resize to SIZE x SIZE pixels.")
@click.option("--foreground", default="otsu", show_default=True, help="The body in the picture: otsu, nonzero or all.")
@click.option("--version", default="1", show_default=True, help="Version of the dataset.")
@click.option("--modality", default="", help="How it was imaged, as 'MR FLAIR'.")
@click.option("--anatomy", default="", help="What was imaged, as 'brain'.")
@click.option("--spacing-mm", type=float, help="Millimetres per pixel of the written images, if known.")
@click.option("--note", "notes", multiple=True, help="What every board should say of the dataset; may be repeated.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Where to write; default: the data folder.")
@click.option("--force", is_flag=True, help="Import it again although it is there.")
def manifest(
    source: Path,
    *,
    name: str,
    licence: str,
    citation: str,
    csv: Path | None,
    where: str,
    divide_by: str,
    size: int | None,
    foreground: str,
    version: str,
    modality: str,
    anatomy: str,
    spacing_mm: float | None,
    notes: tuple[str, ...],
    folder: Path | None,
    force: bool,
) -> None:
    """Import SOURCE, a folder or zip of pictures with a manifest.csv.

    The manifest has one row per picture and at least the columns file, split and label (0 healthy, 1 anomalous); also
    pathology, annotation, boxes (JSON list of [x, y, w, h] in pixels), mask (a path), patient_id and dup_group. Of
    split val only healthy pictures are kept; splits other than train, val and test are left out.
    """
    from uadbench.cli.finding import is_kept
    from uadbench.datasets.manifest import ImportOptions, import_manifest
    from uadbench.home import data_folder

    target = folder or data_folder()
    if is_kept(name, target, force=force):
        return
    options = ImportOptions(
        name=name, licence=licence, citation=citation, csv=csv, where=where, divide_by=divide_by, size=size,
        foreground=foreground, version=version, modality=modality, anatomy=anatomy, spacing_mm=spacing_mm, notes=notes,
    )  # fmt: skip
    _show(name, import_manifest(source, target, options))


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
