"""Writing a dataset: samples in, an images file and a truth file out, with opaque ids and shuffled order."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files import images as images_file
from uadbench.files import truth as truth_file
from uadbench.files.images import (
    BLOCK,
    SPLITS,
    Card,
    Digests,
    digest_pixels,
    digest_roster,
    digest_stored,
    require_disjoint,
)
from uadbench.files.layout import created_together, write_texts
from uadbench.files.truth import check_truth, digest_truth
from uadbench.types import Truth


def _no_boxes() -> np.ndarray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slice lies in a volume: the volume's name, the slice's index (-1 where there is but one picture), and
    the distance in mm between rows, columns and slices of the source (NaN where it is not known)."""

    volume: str
    slice: int = -1
    spacing_mm: tuple[float, float, float] = (float("nan"),) * 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its truth, as a generator or importer hands it over.

    `pixels` uint8 or uint16 (c, h, w), `foreground` bool (h, w), `mask` bool (h, w) with True = anomalous, `boxes`
    float32 (b, 4) as x, y, w, h in pixels, with `box_pathologies` where they have classes of their own; `ignored` boxes
    (i, 4) are neither searched for nor healthy; `clean` the healthy twin like `pixels`; `name` the original name.
    """

    pixels: np.ndarray
    foreground: np.ndarray
    subject: str
    name: str
    label: int = 0
    pathology: str = "healthy"
    annotation: str = "none"
    mask: np.ndarray | None = None
    boxes: np.ndarray = field(default_factory=_no_boxes)
    clean: np.ndarray | None = None
    box_pathologies: tuple[str, ...] = ()
    ignored: np.ndarray = field(default_factory=_no_boxes)
    place: Place | None = None


class Samples(Protocol):
    """The samples of a split, which are fetched one by one: they need not fit into memory together."""

    @property
    def names(self) -> Sequence[str]: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Samples that are in memory."""

    samples: Sequence[Sample]

    @property
    def names(self) -> Sequence[str]:
        """Their original names."""
        return [one.name for one in self.samples]

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


@dataclass(frozen=True, slots=True)
class DatasetPaths:
    """Where the two files of a dataset lie."""

    images: Path
    truth: Path


def paths_in(folder: Path, name: str) -> DatasetPaths:
    """The paths of dataset `name` in a folder, whether they exist or not."""
    return DatasetPaths(Path(folder) / f"{name}.images.h5", Path(folder) / f"{name}.truth.h5")


def opaque(card: Card, text: str) -> str:
    """An id that tells nothing about the name it stands for: 12 hex digits."""
    return hashlib.sha256(f"{card.name}/{card.version}/{text}".encode()).hexdigest()[:12]


def write_dataset(folder: Path, card: Card, samples: Mapping[str, Sequence[Sample]]) -> DatasetPaths:
    """Write both files and return their paths. Rows are ordered by opaque id, which shuffles them.

    Raises:
        InvalidDataError: An empty split, a name twice, sizes or types that differ, an anomalous training image, a
            subject in two splits, a mask of another size, a box outside the image.
        EnvironmentProblemError: No space left.
    """
    return stream_dataset(folder, card, {split: Listed(samples.get(split, ())) for split in SPLITS})


def _silent(done: int, total: int) -> None:
    """The default report: nobody listens."""


def stream_dataset(
    folder: Path, card: Card, samples: Mapping[str, Samples], report: Callable[[int, int], None] = _silent
) -> DatasetPaths:
    """`write_dataset` of samples that are fetched one by one; `report` hears images written and in all.

    Raises:
        InvalidDataError: As `write_dataset`.
        EnvironmentProblemError: No space left.
    """
    orders = {split: _order(card, split, samples[split].names) for split in SPLITS}
    paths, total = paths_in(folder, card.name), sum(map(len, orders.values()))
    model = samples["train"][orders["train"][0]]
    truths: dict[str, Truth] = {}
    subjects: dict[str, list[str]] = {}
    schemas = {paths.images: images_file.SCHEMA, paths.truth: truth_file.SCHEMA}
    with created_together(schemas) as (images, truth):
        for split, order in orders.items():
            done = sum(len(one) for one in truths.values())
            writing = _Writing(card, split, model, len(order), images.create_group(split), truth.create_group(split))
            for start in range(0, len(order), BLOCK):
                writing.write(start, [samples[split][i] for i in order[start : start + BLOCK]])
                report(done + min(start + BLOCK, len(order)), total)
            truths[split], subjects[split] = writing.finish(), writing.subjects
        require_disjoint(card, subjects)
        roster = digest_roster({split: (one.ids, one.subjects) for split, one in truths.items()})
        masks = {split: digest_stored(truth[split]["masks"]) for split in SPLITS}
        digests = Digests(roster, digest_truth(truths, masks), digest_pixels(images))
        for file in (images, truth):
            card.write(file)
            digests.write(file)
    return paths


def _order(card: Card, split: str, names: Sequence[str]) -> list[int]:
    if not names:
        raise InvalidDataError(f"Split {split!r} of {card.name} is empty. A dataset has images in train, val and test.")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidDataError(
            f"Split {split!r} of {card.name}: two images are called {twice!r}. Give each its own name."
        )
    return sorted(range(len(names)), key=lambda i: opaque(card, names[i]))


@dataclass(slots=True)
class _Writing:
    """One split on its way into both files, a block of samples at a time."""

    card: Card
    split: str
    model: Sample
    total: int
    images: h5py.Group
    truth: h5py.Group
    _light: list[Truth] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    _places: list[Place | None] = field(default_factory=list)
    _classes: bool = False

    def write(self, start: int, rows: Sequence[Sample]) -> None:
        """Check and write the samples of the rows from `start` on."""
        for one in rows:
            _require_size(self.card, self.split, one, self.model)
        block = _truth(self.card, rows)
        check_truth(f"Split {self.split!r} of {self.card.name}", self.split, block)
        if start == 0:
            self._create()
        here = slice(start, start + len(rows))
        self.images["images"][here] = np.stack([one.pixels for one in rows])
        self.images["foreground"][here] = np.stack([one.foreground for one in rows])
        self.truth["masks"][here] = block.masks
        self._write_clean(here, rows)
        self.subjects += [one.subject for one in rows]
        self._places += [one.place for one in rows]
        self._classes |= any(one.box_pathologies for one in rows)
        boxed, ignored = block.box_images + start, block.ignored_images + start
        light = replace(block, masks=np.zeros((len(rows), 0, 0), bool), box_images=boxed, ignored_images=ignored)
        self._light.append(light)

    def _create(self) -> None:
        shape, dtype = self.model.pixels.shape, self.model.pixels.dtype
        # in one piece and not compressed, so that a method may read rows in any order straight from the file
        images = self.images.create_dataset("images", (self.total, *shape), dtype)
        images.attrs["scale"] = 1.0 / np.iinfo(dtype).max
        self.images.create_dataset("foreground", (self.total, *shape[1:]), bool)
        _create_stack(self.truth, "masks", (self.total, *shape[1:]), np.dtype(bool))

    def _write_clean(self, here: slice, rows: Sequence[Sample]) -> None:
        if "clean" not in self.truth:
            if all(one.clean is None for one in rows):
                return
            images = self.images["images"]
            _create_stack(self.truth, "clean", images.shape, images.dtype).attrs["scale"] = images.attrs["scale"]
            for start in range(0, here.start, BLOCK):
                self.truth["clean"][start : start + BLOCK] = images[start : start + BLOCK]
        self.truth["clean"][here] = np.stack([one.pixels if one.clean is None else one.clean for one in rows])

    def finish(self) -> Truth:
        """Write the columns, and return the split's truth without its masks."""
        truth = _joined(self._light)
        truth = truth if self._classes else replace(truth, box_pathologies=())
        write_texts(self.images, "ids", truth.ids)
        write_texts(self.images, "subjects", truth.subjects)
        for name in ("ids", "subjects", "pathologies", "annotations", "names"):
            write_texts(self.truth, name, getattr(truth, name))
        write_texts(self.truth, "original_subjects", self.subjects)
        for name in ("labels", "boxes", "box_images"):
            self.truth.create_dataset(name, data=getattr(truth, name))
        if truth.box_pathologies:
            write_texts(self.truth, "box_pathologies", truth.box_pathologies)
        if len(truth.ignored):
            for name in ("ignored", "ignored_images"):
                self.truth.create_dataset(name, data=getattr(truth, name))
        _write_places(self.truth, self._places)
        return truth


def _create_stack(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype) -> h5py.Dataset:
    """An array (n, ...) with one compressed chunk per image."""
    chunks = (1, *shape[1:])
    return group.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True)


def _write_places(group: h5py.Group, places: Sequence[Place | None]) -> None:
    if not any(places):
        return
    known = [one or Place("") for one in places]
    write_texts(group, "volumes", [one.volume for one in known])
    group.create_dataset("slices", data=np.array([one.slice for one in known], np.int32))
    group.create_dataset("spacing_mm", data=np.array([one.spacing_mm for one in known], np.float32))


def _require_size(card: Card, split: str, one: Sample, first: Sample) -> None:
    pixels, shape = one.pixels, first.pixels.shape
    where = f"Split {split!r} of {card.name}: image {one.name!r}"
    if len(shape) != 3 or first.pixels.dtype not in (np.uint8, np.uint16):
        raise InvalidDataError(f"{where} is {pixels.dtype} {pixels.shape}. Give uint8 or uint16 (c, h, w).")
    if pixels.shape != shape or pixels.dtype != first.pixels.dtype:
        raise InvalidDataError(
            f"{where} is {pixels.dtype} {pixels.shape}, others {first.pixels.dtype} {shape}. "
            "Bring all to one size and type."
        )
    for what, array in (("mask", one.mask), ("foreground", one.foreground)):
        if array is not None and array.shape != shape[1:]:
            raise InvalidDataError(
                f"{where} has size {shape[1:]}, but its {what} {array.shape}. Give both the same geometry."
            )
        if array is not None and array.dtype != bool:
            raise InvalidDataError(f"{where} has a {what} of type {array.dtype}. Give bool.")


def _truth(card: Card, rows: Sequence[Sample]) -> Truth:
    nothing = np.zeros(rows[0].pixels.shape[1:], bool)
    index = np.arange(len(rows), dtype=np.int64)
    return Truth(
        ids=tuple(opaque(card, one.name) for one in rows),
        subjects=tuple(opaque(card, f"subject {one.subject}") for one in rows),
        labels=np.array([one.label != 0 for one in rows]),
        pathologies=tuple(one.pathology for one in rows),
        annotations=tuple(one.annotation for one in rows),
        masks=np.stack([nothing if one.mask is None else one.mask for one in rows]),
        boxes=np.concatenate([np.asarray(one.boxes, np.float32).reshape(-1, 4) for one in rows]),
        box_images=np.repeat(index, [len(one.boxes) for one in rows]),
        names=tuple(one.name for one in rows),
        box_pathologies=tuple(
            name for one in rows for name in one.box_pathologies or (one.pathology,) * len(one.boxes)
        ),
        ignored=np.concatenate([np.asarray(one.ignored, np.float32).reshape(-1, 4) for one in rows]),
        ignored_images=np.repeat(index, [len(one.ignored) for one in rows]),
    )


def _joined(blocks: Sequence[Truth]) -> Truth:
    texts = ("ids", "subjects", "pathologies", "annotations", "names", "box_pathologies")
    arrays = ("labels", "masks", "boxes", "box_images", "ignored", "ignored_images")
    values: dict[str, Any] = {name: tuple(text for one in blocks for text in getattr(one, name)) for name in texts}
    values |= {name: np.concatenate([getattr(one, name) for one in blocks]) for name in arrays}
    return Truth(**values)
