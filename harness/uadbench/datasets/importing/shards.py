"""Shards: images that are done, on disk before the dataset is whole, so that an import goes on where it was cut off."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.processing import Processed
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.dataset import Place, Sample
from uadbench.files.layout import space_checked, write_bytes_atomically, write_text_atomically

SHARD = 32  # images


@dataclass(frozen=True, slots=True)
class Form:
    """Side in pixels and bits of all images of a dataset, and the picture that set them."""

    side: int
    bits: int
    where: str

    @property
    def record(self) -> np.dtype:
        """One image as bytes: pixels, then foreground and mask with eight pixels to a byte."""
        packed = (self.side * self.side + 7) // 8
        shape = (self.side, self.side)
        return np.dtype([("pixels", f"u{self.bits // 8}", shape), ("foreground", "u1", packed), ("mask", "u1", packed)])

    @classmethod
    def of(cls, processed: Processed, where: str) -> "Form":
        """The form of an image."""
        return cls(len(processed.pixels), processed.pixels.dtype.itemsize * 8, where)

    def check(self, processed: Processed, item: Item) -> None:
        """Refuses an image of another form.

        Raises:
            UsageError: Another side.
            InvalidDataError: Another number of bits.
        """
        own = Form.of(processed, item.where)
        if own.side != self.side:
            raise UsageError(
                f"{own.where} has {own.side} pixels a side, {self.where} has {self.side}. "
                "Use --size to bring all to one."
            )
        if own.bits != self.bits:
            raise InvalidDataError(
                f"Image {item.name!r} is uint{own.bits}, others, as {self.where}, uint{self.bits}. Bring all to one."
            )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a shard tells of one image beside its pixels."""

    boxes: list[list[float]]
    ignored: list[list[float]]
    masked: bool
    clipped: int
    stored: int
    padded: bool
    resized: bool
    marked: int
    outside: int
    spacing_mm: list[float | None]

    @classmethod
    def of(cls, one: Processed) -> "Facts":
        """The facts of an image."""
        mask = one.mask
        return cls(
            boxes=one.boxes.tolist(),
            ignored=one.ignored.tolist(),
            masked=mask is not None,
            clipped=one.clipped,
            stored=one.stored,
            padded=one.padded,
            resized=one.resized,
            marked=0 if mask is None else int(mask.sum()),
            outside=0 if mask is None else int((mask & ~one.foreground).sum()),
            spacing_mm=[None if np.isnan(side) else side for side in one.spacing_mm],
        )


def write_shard(folder: Path, number: int, form: Form, images: Sequence[Processed]) -> None:
    """Write the images of one shard; it counts once its facts are there.

    Raises:
        EnvironmentProblemError: No space left.
    """
    rows = np.zeros(len(images), form.record)
    for row, one in zip(rows, images, strict=True):
        row["pixels"] = one.pixels
        row["foreground"] = np.packbits(one.foreground)
        if one.mask is not None:
            row["mask"] = np.packbits(one.mask)
    write_bytes_atomically(_rows(folder, number), rows.tobytes())
    facts = [{name: getattr(Facts.of(one), name) for name in Facts.__dataclass_fields__} for one in images]
    write_text_atomically(_facts(folder, number), json.dumps({"facts": facts}))


def is_done(folder: Path, number: int) -> bool:
    """Whether a shard is whole."""
    return _facts(folder, number).is_file()


def read_facts(folder: Path, number: int) -> list[Facts]:
    """The facts of a shard's images, in their order."""
    found: list[dict[str, Any]] = json.loads(_facts(folder, number).read_text())["facts"]
    return [Facts(**one) for one in found]


def _rows(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.rows"


def _facts(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


@dataclass(frozen=True, slots=True)
class Shards:
    """All images of an import, read one by one."""

    folder: Path
    form: Form
    facts: Sequence[Facts]

    def row(self, index: int) -> np.void:
        """The record of image `index`."""
        record = self.form.record
        number, place = divmod(index, SHARD)
        path = _rows(self.folder, number)
        with space_checked(path):
            found = np.fromfile(path, record, count=1, offset=place * record.itemsize)
        if not len(found):
            raise InvalidDataError(f"{path}: holds no image {place}. Remove {self.folder} and import again.")
        return found[0]

    def sample(self, index: int, item: Item) -> Sample:
        """Image `index` with the truth of its item."""
        row, facts, pixels = self.row(index), self.facts[index], self.form.side**2
        shape = (self.form.side, self.form.side)
        spacing = [float("nan") if side is None else side for side in facts.spacing_mm]
        return Sample(
            pixels=row["pixels"][None],
            foreground=np.unpackbits(row["foreground"], count=pixels).astype(bool).reshape(shape),
            subject=item.subject,
            name=item.name,
            label=item.label,
            pathology=item.pathology,
            annotation=item.annotation,
            mask=np.unpackbits(row["mask"], count=pixels).astype(bool).reshape(shape) if facts.masked else None,
            boxes=np.array(facts.boxes, np.float32).reshape(-1, 4),
            box_pathologies=item.box_pathologies,
            ignored=np.array(facts.ignored, np.float32).reshape(-1, 4),
            place=_place(item, (spacing[0], spacing[1], spacing[2])),
        )


def _place(item: Item, spacing: tuple[float, float, float]) -> Place | None:
    if not item.volume and item.picture.slice < 0 and np.isnan(spacing).all():
        return None
    return Place(item.volume or item.picture.file, item.picture.slice, spacing)
