"""The images file (layout v1): what a method may see. Per split `images`, `foreground`, opaque `ids` and `subjects`.

Stored intensities are uint8 or uint16 with a `scale`; as read they are float32 in [0, 1].
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files.digest import canonical_json, digest_blocks, digest_texts
from uadbench.files.layout import opened, read_json, read_texts
from uadbench.types import Images

SCHEMA = "uadbench-images-v1"
SPLITS = ("train", "val", "test")
# Images that are read or written together where a whole split might not fit into memory.
BLOCK = 64


@dataclass(frozen=True, slots=True)
class Card:
    """What a dataset is: its name and version, what was imaged how, who to thank, and each preprocessing step.

    `leaks` are those that an import found and its user allowed: every row on such a dataset is marked.
    """

    name: str
    version: str
    modality: str
    anatomy: str
    spacing_mm: float | None
    licence: str
    citation: str
    preprocessing: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    def write(self, file: h5py.File) -> None:
        """Store every field as a JSON attribute; leaks only where there are some."""
        for name, value in asdict(self).items():
            if name != "leaks" or value:
                file.attrs[name] = canonical_json(value)

    @classmethod
    def read(cls, file: h5py.File) -> "Card":
        """The card of an images or truth file."""
        names = [name for name in cls.__dataclass_fields__ if name != "leaks" or name in file.attrs]
        values = {name: read_json(file, name) for name in names}
        for name in ("preprocessing", "notes", "leaks"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Digests:
    """Four digests: who is in which split, what is true of them, both together (identity), and the pixels."""

    roster: str
    truth: str
    pixels: str

    @property
    def identity(self) -> str:
        """Binds rows to a board: ids, splits, subjects, labels, boxes and masks."""
        return digest_texts([self.roster, self.truth])

    def write(self, file: h5py.File) -> None:
        """Store the digests as attributes."""
        file.attrs["roster_digest"] = self.roster
        file.attrs["truth_digest"] = self.truth
        file.attrs["pixel_digest"] = self.pixels
        file.attrs["identity_digest"] = self.identity

    @classmethod
    def read(cls, file: h5py.File) -> "Digests":
        """The digests as a file states them."""
        attrs = file.attrs
        digests = cls(str(attrs["roster_digest"]), str(attrs["truth_digest"]), str(attrs["pixel_digest"]))
        if attrs["identity_digest"] != digests.identity:
            raise InvalidDataError(
                f"{file.filename}: the identity digest does not follow from the file's other digests. "
                "The file was changed by hand; make it again."
            )
        return digests


Rows: TypeAlias = "h5py.Dataset | np.memmap"


@dataclass(slots=True)
class SplitSource:
    """An `ImageSource` over one split of an images file; reads only the rows asked for."""

    path: Path
    split: str
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    shape: tuple[int, int, int]
    _stored: tuple[Rows, Rows, np.float32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Images:
        images, foreground, scale = self._opened()
        pixels = images[rows].astype(np.float32)
        pixels *= scale
        return Images(pixels, np.array(foreground[rows]), self.ids[rows], self.subjects[rows])

    def _opened(self) -> tuple[Rows, Rows, np.float32]:
        """The images and the foreground in the file, which stays open, and the images' scale."""
        if self._stored is None:
            group = h5py.File(self.path, "r", rdcc_nbytes=0)[self.split]
            images, foreground = group["images"], group["foreground"]
            self._stored = _rows(images), _rows(foreground), np.float32(images.attrs["scale"])
        return self._stored

    def foreground(self) -> np.ndarray:
        """The foreground (n, h, w) of the whole split."""
        with h5py.File(self.path, "r") as file:
            return np.asarray(file[self.split]["foreground"][:])


def _rows(dataset: h5py.Dataset) -> Rows:
    """The array, mapped into memory where it lies in one piece: a call of HDF5 takes longer than reading an image."""
    offset = dataset.id.get_offset()
    if dataset.chunks is not None or offset is None or not dataset.size:
        return dataset
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


def scaled(dataset: h5py.Dataset, stored: np.ndarray) -> np.ndarray:
    """Stored integers as float32 intensities in [0, 1]."""
    intensities = stored.astype(np.float32)
    intensities *= np.float32(dataset.attrs["scale"])
    return intensities


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened images file: its card, digests and splits."""

    path: Path
    card: Card
    digests: Digests
    splits: Mapping[str, SplitSource]

    def __getitem__(self, split: str) -> SplitSource:
        return self.splits[split]


def open_images(path: Path, *, verify: bool = True) -> Dataset:
    """The dataset at `path`, after its layout, digests and subject-disjoint splits were checked.

    `verify=False` skips hashing the pixels, for listings.

    Raises:
        InvalidDataError: Missing, foreign, truncated or changed file; a subject in two splits; shapes that disagree.
    """
    path = Path(path)
    with opened(path, SCHEMA) as file:
        card, digests = Card.read(file), Digests.read(file)
        splits = {split: _read_split(path, file, split, card.name) for split in SPLITS}
        members = {split: (source.ids, source.subjects) for split, source in splits.items()}
        require_disjoint(card, {split: subjects for split, (_, subjects) in members.items()})
        require_digest(path, "roster", digest_roster(members), digests.roster)
        if verify:
            require_digest(path, "pixel", digest_pixels(file), digests.pixels)
    return Dataset(path, card, digests, splits)


def _read_split(path: Path, file: h5py.File, split: str, name: str) -> SplitSource:
    group = file[split]
    ids, subjects = read_texts(group, "ids"), read_texts(group, "subjects")
    images, foreground = group["images"], group["foreground"]
    if images.ndim != 4 or images.dtype not in (np.uint8, np.uint16):
        raise InvalidDataError(
            f"{path}: {split}/images is {images.dtype} {images.shape}. Store uint8 or uint16 (n, c, h, w)."
        )
    n, c, h, w = images.shape
    if foreground.shape != (n, h, w) or len(ids) != n or len(subjects) != n:
        raise InvalidDataError(
            f"{path}: split {split!r} of {name} has images {images.shape}, foreground {foreground.shape}, "
            f"{len(ids)} ids and {len(subjects)} subjects, which disagree. Make the file again."
        )
    if len(set(ids)) != n:
        raise InvalidDataError(f"{path}: split {split!r} of {name} holds an id twice. Make the file again.")
    return SplitSource(path, split, ids, subjects, (c, h, w))


def require_disjoint(card: Card, subjects: Mapping[str, Iterable[str]]) -> None:
    """Refuses a subject that is in two splits, unless the card says that leaks were allowed.

    Raises:
        InvalidDataError: Names the subject and both splits.
    """
    if card.leaks:
        return
    home: dict[str, str] = {}
    for split, members in subjects.items():
        for subject in members:
            if home.setdefault(subject, split) != split:
                raise InvalidDataError(
                    f"Split {split!r} of {card.name}: subject {subject!r} is also in {home[subject]!r}. "
                    "Split by subject, not by slice."
                )


def digest_roster(members: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> str:
    """Digest of ids and subjects per split, in file order."""
    return digest_texts(text for split in SPLITS for text in (split, *members[split][0], *members[split][1]))


def digest_pixels(file: h5py.File) -> str:
    """Digest of stored intensities, their scale and the foreground, per split."""
    return digest_texts(
        part
        for split in SPLITS
        for part in (
            split,
            str(float(file[split]["images"].attrs["scale"])),
            digest_stored(file[split]["images"]),
            digest_stored(file[split]["foreground"]),
        )
    )


def digest_stored(dataset: h5py.Dataset) -> str:
    """`digest_array` of an array (n, ...) in a file, read in blocks of rows."""
    blocks = (dataset[start : start + BLOCK] for start in range(0, len(dataset), BLOCK))
    return digest_blocks(dataset.dtype, dataset.shape, blocks)


def require_digest(path: Path, kind: str, found: str, stated: str) -> None:
    """Refuses a file whose content does not have the digest it states.

    Raises:
        InvalidDataError: With both digests.
    """
    if found != stated:
        raise InvalidDataError(
            f"{path}: the {kind} digest is {found[:12]}, but the file states {stated[:12]}. "
            "The file is damaged or was changed; make it again."
        )
