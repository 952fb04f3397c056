"""`import_manifest`: pictures and a CSV manifest in, the two files of a dataset and a report out."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from uadbench.datasets.manifest.options import ImportOptions, require_libraries
from uadbench.datasets.manifest.reading import Reading, read_sample
from uadbench.datasets.manifest.reporting import ImportReport, preprocessing_steps, report
from uadbench.datasets.manifest.rows import read_rows
from uadbench.datasets.manifest.sources import Source, opened_source
from uadbench.datasets.manifest.tables import read_table, select
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import SPLITS, Card

MANIFEST = "manifest.csv"


def import_manifest(source: Path, folder: Path, options: ImportOptions) -> ImportReport:
    """Writes the dataset that a folder or zip of pictures and its manifest describe into `folder`; says what was done.

    Raises:
        MissingLibraryError: pandas, scikit-image or Pillow is not installed.
        UsageError: An option that does not fit the manifest.
        InvalidDataError: A manifest, picture, mask or box that breaks its rule, each with its row; a subject in two
            splits; an empty split.
        EnvironmentProblemError: The files cannot be written.
    """
    require_libraries()
    with opened_source(Path(source)) as pictures:
        name, raw = _manifest(pictures, options.csv)
        table, left_out = select(read_table(raw, name), options.where)
        readings = [read_sample(pictures, row, options) for row in read_rows(table, options.divide_by)]
    _require_one_size(readings)
    steps = preprocessing_steps(options, hashlib.sha256(raw).hexdigest(), left_out, readings)
    card = Card(
        options.name, options.version, options.modality, options.anatomy, options.spacing_mm, options.licence.strip(),
        options.citation.strip(), steps, options.notes,
    )  # fmt: skip
    return report(write_dataset(folder, card, _by_split(readings)), readings, left_out, steps)


def _manifest(pictures: Source, csv: Path | None) -> tuple[str, bytes]:
    if csv is None:
        return MANIFEST, pictures.read(MANIFEST, "The manifest (give another with --csv)")
    try:
        return csv.name, csv.read_bytes()
    except OSError as error:
        raise InvalidDataError(f"--csv {csv}: cannot be read ({error.strerror}). Check the path.") from error


def _require_one_size(readings: Sequence[Reading]) -> None:
    for one in readings:
        first = readings[0]
        if one.geometry.size != first.geometry.size:
            raise UsageError(
                f"{one.row.where} has {one.geometry.size} pixels a side, {first.row.where} has "
                f"{first.geometry.size}. Use --size to bring all to one."
            )


def _by_split(readings: Sequence[Reading]) -> Mapping[str, Sequence[Sample]]:
    return {split: [one.sample for one in readings if one.row.split == split] for split in SPLITS}
