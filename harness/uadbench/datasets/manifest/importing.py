"""`import_manifest`: pictures and a CSV manifest in, the two files of a dataset and a report out."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from uadbench.datasets.importing.importing import import_plan, require_libraries
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.options import ImportOptions
from uadbench.datasets.importing.reporting import ImportReport
from uadbench.datasets.importing.sources import Source, source_at
from uadbench.datasets.manifest.rows import Row, read_rows
from uadbench.datasets.manifest.tables import read_table, select
from uadbench.errors import InvalidDataError

MANIFEST = "manifest.csv"


def import_manifest(source: Path, folder: Path, options: ImportOptions, terms: Terms = Terms()) -> ImportReport:  # noqa: B008 - frozen
    """Writes the dataset that a folder or zip of pictures and its manifest describe into `folder`; says what was done.

    Raises:
        MissingLibraryError: pandas, scikit-image or Pillow is not installed.
        UsageError: An option that does not fit the manifest.
        InvalidDataError: A manifest, picture, mask or box that breaks its rule, each with its row; a subject in two
            splits; an empty split.
        EnvironmentProblemError: The files cannot be written.
    """
    require_libraries()
    return import_plan(plan(source_at(source), options), folder, terms)


def plan(pictures: Source, options: ImportOptions) -> Plan:
    """What the manifest says is to be imported.

    Raises:
        UsageError: An option that does not fit the manifest.
        InvalidDataError: A manifest that breaks its rule.
    """
    name, raw = manifest_of(pictures, options.csv)
    table, left_out = select(read_table(raw, name), options.where)
    rows = read_rows(table, options.divide_by)
    selection = {"step": "select", "manifest_sha256": hashlib.sha256(raw).hexdigest(), "where": options.where}
    return Plan(options.card, items_of(pictures, rows), options.recipe, left_out, (selection,))


def manifest_of(pictures: Source, csv: Path | None) -> tuple[str, bytes]:
    """Name and content of the manifest.

    Raises:
        InvalidDataError: There is none.
    """
    if csv is None:
        return MANIFEST, pictures.read(MANIFEST, "The manifest, unless another is given with --csv")
    try:
        return csv.name, csv.read_bytes()
    except OSError as error:
        raise InvalidDataError(f"--csv {csv}: cannot be read ({error.strerror}). Check the path.") from error


def items_of(pictures: Source, rows: Sequence[Row]) -> list[Item]:
    """One item per row."""
    return [
        Item(
            name=row.file,
            picture=Stored(pictures, row.file, row.slice),
            where=row.where,
            split=row.split,
            subject=row.subject,
            label=row.label,
            pathology=row.pathology,
            annotation=row.annotation,
            mask=Stored(pictures, row.mask, row.slice) if row.mask else None,
            boxes=row.boxes,
            foreground=Stored(pictures, row.foreground, row.slice) if row.foreground else None,
            group=row.group,
            volume=row.volume,
            divisor=row.divisor,
        )
        for row in rows
    ]
