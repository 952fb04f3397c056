"""A folder or zip with a manifest, as it is: every picture of every split, for an audit before anything is imported."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uadbench.auditing import Specimen
from uadbench.datasets.importing.foregrounds import foreground
from uadbench.datasets.importing.importing import require_libraries
from uadbench.datasets.importing.items import Stored
from uadbench.datasets.importing.reading import Picture, read_picture
from uadbench.datasets.importing.sources import Source, source_at
from uadbench.datasets.manifest.importing import manifest_of
from uadbench.datasets.manifest.rows import Row, read_rows
from uadbench.datasets.manifest.tables import read_table
from uadbench.files.images import BLOCK


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows of a manifest and the source of their pictures."""

    source: Source
    rows: tuple[Row, ...]

    @property
    def specimens(self) -> list[Specimen]:
        """One per row, in the manifest's order. Without a patient the group of duplicates is the subject."""
        return [
            Specimen(row.file, row.split, bool(row.label), row.subject or row.file, row.pathology) for row in self.rows
        ]

    def scan(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A pass over all pictures in blocks of one size: intensities float32 (n, h, w) in [0, 1], and foreground."""
        block: list[np.ndarray] = []
        for row in self.rows:
            grey = _whole(read_picture(Stored(self.source, row.file, row.slice), row.where))
            if block and (len(block) == BLOCK or (grey.shape, grey.dtype) != (block[0].shape, block[0].dtype)):
                yield _stacked(block)
                block = []
            block.append(grey)
        yield _stacked(block)


def _whole(picture: Picture) -> np.ndarray:
    """The values as stored where they are whole numbers, else as uint16 up to the largest."""
    if picture.values.dtype != np.float32:
        return picture.values
    intensity = np.clip(picture.values / picture.largest, 0, 1)
    return np.rint(intensity * np.iinfo(np.uint16).max).astype(np.uint16)


def _stacked(block: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    largest = np.float32(np.iinfo(block[0].dtype).max)
    return np.stack(block).astype(np.float32) / largest, np.stack([foreground(one, "otsu") for one in block])


def read_pack(path: Path, csv: Path | None = None) -> Pack:
    """The pack at `path`, a folder or a zip with a manifest.csv, or with the one given.

    Raises:
        MissingLibraryError: pandas, scikit-image or Pillow is not installed.
        InvalidDataError: No such source, or a manifest that breaks its rule.
    """
    require_libraries()
    source = source_at(path)
    name, raw = manifest_of(source, csv)
    return Pack(source, tuple(read_rows(read_table(raw, name), "")))
