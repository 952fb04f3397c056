"""`import_manifest`: pictures and a CSV manifest in, the two files of a dataset and a report out."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uadbench.datasets.manifest.pictures import FOREGROUNDS, Geometry, foreground, read_grey
from uadbench.datasets.manifest.rows import Row, read_rows
from uadbench.datasets.manifest.sources import Source, opened_source
from uadbench.datasets.manifest.tables import read_table, select
from uadbench.errors import InvalidDataError, MissingLibraryError, UsageError
from uadbench.files.dataset import DatasetPaths, Sample, write_dataset
from uadbench.files.images import SPLITS, Card

MANIFEST = "manifest.csv"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a manifest becomes a dataset.

    `where` filters rows by an expression over the columns; `divide_by` names the column whose value becomes intensity
    1; `size` is the side in pixels (None keeps square images of one size); `spacing_mm` is that of the written images;
    `csv` is a manifest outside the source.

    Raises:
        UsageError: A name, size, spacing or foreground that does not fit, or no licence or citation.
    """

    name: str
    licence: str
    citation: str
    version: str = "1"
    modality: str = ""
    anatomy: str = ""
    spacing_mm: float | None = None
    notes: tuple[str, ...] = ()
    csv: Path | None = None
    where: str = ""
    divide_by: str = ""
    size: int | None = None
    foreground: str = "otsu"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", self.name):
            raise UsageError(f"--name {self.name!r}: use letters, digits and single dashes, as in 'brain-flair-v1'.")
        for option in ("licence", "citation"):
            if not getattr(self, option).strip():
                raise UsageError(f"--{option} is empty: a dataset without it cannot be published. "
                                 "State it, or say that it is not known and what follows.")
        if self.size is not None and not 1 <= self.size <= 8192:
            raise UsageError(f"--size {self.size}: give a side of 1 to 8192 pixels.")
        if self.spacing_mm is not None and not 0 < self.spacing_mm < np.inf:
            raise UsageError(f"--spacing-mm {self.spacing_mm}: give millimetres above 0, or leave it out if unknown.")
        if self.foreground not in FOREGROUNDS:
            raise UsageError(f"--foreground {self.foreground!r} is none of {', '.join(FOREGROUNDS)}.")


@dataclass(frozen=True, slots=True)
class Count:
    """How many images, of how many subjects, of one pathology in a split."""

    split: str
    label: int
    pathology: str
    images: int
    subjects: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote, left out and changed.

    `clipped` of `pixels` stored pixels were above intensity 1; `outside` of `marked` mask pixels lie outside the
    foreground, where a protocol of foreground pixels does not look.
    """

    paths: DatasetPaths
    counts: tuple[Count, ...]
    left_out: Mapping[str, int]
    clipped: int
    pixels: int
    outside: int
    marked: int
    preprocessing: tuple[Mapping[str, Any], ...]

    def lines(self) -> list[str]:
        """What was left out and changed, and the two paths, a sentence each."""
        left_out = [f"left out: {n} ({reason})" for reason, n in self.left_out.items()]
        return [
            *left_out,
            f"clipped to 1: {self.clipped} of {self.pixels} pixels",
            f"mask pixels outside the foreground: {self.outside} of {self.marked}",
            f"images: {self.paths.images}",
            f"truth: {self.paths.truth}",
        ]


def import_manifest(source: Path, folder: Path, options: ImportOptions) -> ImportReport:
    """Writes the dataset that a folder or zip of pictures and its manifest describe, and says what was done.

    Raises:
        MissingLibraryError: pandas, scikit-image or Pillow is not installed.
        UsageError: An option that does not fit the manifest.
        InvalidDataError: A manifest, picture, mask or box that breaks its rule, each with its row; a subject in two
            splits.
        EnvironmentProblemError: The files cannot be written.
    """
    require_libraries()
    with opened_source(Path(source)) as pictures:
        raw = _manifest_bytes(pictures, options.csv)
        frame, left_out = select(read_table(raw, MANIFEST if options.csv is None else options.csv.name), options.where)
        rows = read_rows(frame, options.divide_by)
        read = [_read(pictures, row, options) for row in rows]
    steps = _steps(options, hashlib.sha256(raw).hexdigest(), left_out, read)
    card = Card(
        options.name, options.version, options.modality, options.anatomy, options.spacing_mm, options.licence.strip(),
        options.citation.strip(), steps, options.notes,
    )  # fmt: skip
    _require_one_size(rows, read)
    paths = write_dataset(folder, card, _by_split(rows, read))
    return _report(paths, rows, read, left_out, steps)


def require_libraries() -> None:
    """Refuses to start without the libraries of the extra `import`.

    Raises:
        MissingLibraryError: Names the first that is missing.
    """
    for module in ("pandas", "skimage", "PIL"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingLibraryError(
                f"An import needs {module}, which does not load ({error}). Run `pip install 'uadbench[import]'`."
            ) from error


def _manifest_bytes(pictures: Source, csv: Path | None) -> bytes:
    if csv is None:
        return pictures.read(MANIFEST, "manifest (give another with --csv)")
    try:
        return csv.read_bytes()
    except OSError as error:
        raise InvalidDataError(f"--csv {csv}: cannot be read ({error.strerror}). Check the path.") from error


@dataclass(frozen=True, slots=True)
class _Read:
    """A sample, how its picture lay in the source, and how many of its stored pixels were clipped."""

    sample: Sample
    geometry: Geometry
    clipped: int


def _read(pictures: Source, row: Row, options: ImportOptions) -> _Read:
    grey = read_grey(pictures.read(row.file, row.where), row.where)
    height, width = grey.shape
    if options.size is None and height != width:
        raise UsageError(f"{row.where} is {width} x {height} pixels, not square. Use --size to pad and resize.")
    geometry = Geometry(height, width, options.size or height)
    _require_boxes_inside(row, geometry)
    largest = np.iinfo(grey.dtype).max
    intensity = grey / (row.divisor or largest)
    pixels = np.rint(geometry.image(np.minimum(intensity, 1.0)) * largest).astype(grey.dtype)
    body = foreground(pixels, options.foreground)
    if not body.any():
        raise InvalidDataError(f"{row.where}: foreground {options.foreground!r} is empty, the picture shows nothing. "
                               "Leave it out with --where, or use --foreground all.")
    mask = _mask(pictures, row, geometry)
    boxes = geometry.boxes(row.boxes)
    sample = Sample(
        pixels[None], body, row.subject, row.file, row.label, row.pathology, row.annotation, mask, boxes
    )  # fmt: skip
    return _Read(sample, geometry, int((intensity > 1).sum()))


def _require_boxes_inside(row: Row, geometry: Geometry) -> None:
    for x, y, w, h in row.boxes:
        if x < 0 or y < 0 or x + w > geometry.width or y + h > geometry.height:
            raise InvalidDataError(
                f"{row.where}: box ({x:g}, {y:g}, {w:g}, {h:g}) does not lie in {geometry.width} x {geometry.height} "
                "pixels. Give x, y, width, height in pixels of the stored image."
            )


def _mask(pictures: Source, row: Row, geometry: Geometry) -> np.ndarray | None:
    if not row.mask:
        return None
    where = f"{row.where}, mask {row.mask!r}"
    mask = read_grey(pictures.read(row.mask, where), where) > 0
    if mask.shape != (geometry.height, geometry.width):
        height, width = mask.shape
        raise InvalidDataError(f"{where}: {width} x {height} pixels, the image {geometry.width} x {geometry.height}. "
                               "Give both the same size.")
    if mask.any() != (row.label == 1):
        raise InvalidDataError(f"{where}: marks {int(mask.sum())} pixels of an image with label {row.label}. "
                               "An anomalous image marks at least one, a healthy one none.")
    return geometry.mask(mask)


def _require_one_size(rows: Sequence[Row], read: Sequence[_Read]) -> None:
    for row, one in zip(rows, read, strict=True):
        if one.geometry.size != read[0].geometry.size:
            raise UsageError(f"{row.where} has side {one.geometry.size}, {rows[0].where} has {read[0].geometry.size}. "
                             "Use --size to bring all to one.")


def _by_split(rows: Sequence[Row], read: Sequence[_Read]) -> Mapping[str, Sequence[Sample]]:
    samples: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for row, one in zip(rows, read, strict=True):
        samples[row.split].append(one.sample)
    return samples


def _steps(
    options: ImportOptions, manifest: str, left_out: Mapping[str, int], read: Sequence[_Read]
) -> tuple[Mapping[str, Any], ...]:
    import skimage

    steps: list[Mapping[str, Any]] = [
        {"step": "select", "manifest_sha256": manifest, "where": options.where, "left_out": dict(left_out)},
        {"step": "grey", "bits": sorted({one.sample.pixels.dtype.itemsize * 8 for one in read})},
    ]
    if options.divide_by:
        clipped = sum(one.clipped for one in read)
        steps.append({"step": "divide", "column": options.divide_by, "clip": 1.0, "clipped_pixels": clipped})
    padded = sum(one.geometry.height != one.geometry.width for one in read)
    if padded:
        steps.append({"step": "pad", "to": "centred square", "fill": "image minimum", "images": padded})
    resized = sum(one.geometry.side != one.geometry.size for one in read)
    if resized:
        steps.append({"step": "resize", "size": options.size, "image": "linear, anti-aliased", "mask": "nearest",
                      "images": resized, "scikit-image": skimage.__version__})
    return (*steps, {"step": "foreground", "rule": options.foreground, "is": FOREGROUNDS[options.foreground]})


def _report(
    paths: DatasetPaths, rows: Sequence[Row], read: Sequence[_Read], left_out: Mapping[str, int],
    steps: tuple[Mapping[str, Any], ...],
) -> ImportReport:  # fmt: skip
    images = Counter((row.split, row.label, row.pathology) for row in rows)
    subjects = Counter(kind for kind, _ in {((row.split, row.label, row.pathology), row.subject) for row in rows})
    order = sorted(images, key=lambda kind: (SPLITS.index(kind[0]), *kind[1:]))
    masked = [one.sample for one in read if one.sample.mask is not None]
    return ImportReport(
        paths=paths,
        counts=tuple(Count(*kind, images[kind], subjects[kind]) for kind in order),
        left_out=left_out,
        clipped=sum(one.clipped for one in read),
        pixels=sum(one.geometry.height * one.geometry.width for one in read),
        outside=sum(int((one.mask & ~one.foreground).sum()) for one in masked if one.mask is not None),
        marked=sum(int(one.mask.sum()) for one in masked if one.mask is not None),
        preprocessing=steps,
    )
