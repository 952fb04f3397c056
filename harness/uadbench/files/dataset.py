"""Writing a dataset: samples in, an images file and a truth file out, with opaque ids and shuffled order."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files import images as images_file
from uadbench.files import truth as truth_file
from uadbench.files.images import SPLITS, Card, Digests, digest_pixels, digest_roster, require_disjoint
from uadbench.files.layout import created, write_image_stack, write_texts
from uadbench.files.truth import check_truth, digest_truth
from uadbench.types import Truth


def _no_boxes() -> np.ndarray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its truth, as a generator or importer hands it over.

    `pixels` uint8 or uint16 (c, h, w), `foreground` bool (h, w), `mask` bool (h, w) with True = anomalous, `boxes`
    float32 (b, 4) as x, y, w, h in pixels, `clean` the healthy twin like `pixels`; `name` the original name.
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
    ordered = {split: _ordered(card, split, samples.get(split, ())) for split in SPLITS}
    require_disjoint(card.name, {split: [one.subject for one in rows] for split, rows in ordered.items()})
    _require_one_size(card, ordered)
    truths = {split: _truth(card, split, rows) for split, rows in ordered.items()}
    for split, truth in truths.items():
        check_truth(f"Split {split!r} of {card.name}", split, truth)
    paths = paths_in(folder, card.name)
    roster = digest_roster({split: (truth.ids, truth.subjects) for split, truth in truths.items()})
    with created(paths.images, images_file.SCHEMA) as file:
        for split, rows in ordered.items():
            _write_images(file.create_group(split), rows, truths[split])
        digests = Digests(roster, digest_truth(truths), digest_pixels(file))
        card.write(file)
        digests.write(file)
    with created(paths.truth, truth_file.SCHEMA) as file:
        card.write(file)
        digests.write(file)
        for split, rows in ordered.items():
            _write_truth(file.create_group(split), rows, truths[split])
    return paths


def _ordered(card: Card, split: str, samples: Sequence[Sample]) -> list[Sample]:
    if not samples:
        raise InvalidDataError(f"Split {split!r} of {card.name} is empty. A dataset has images in train, val and test.")
    names = [one.name for one in samples]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDataError(
            f"Split {split!r} of {card.name}: two images are called {twice!r}. Give each its own name."
        )
    return sorted(samples, key=lambda one: opaque(card, one.name))


def _require_one_size(card: Card, ordered: Mapping[str, Sequence[Sample]]) -> None:
    first = ordered["train"][0].pixels
    if first.ndim != 3 or first.dtype not in (np.uint8, np.uint16):
        raise InvalidDataError(
            f"Split 'train' of {card.name}: image {ordered['train'][0].name!r} is {first.dtype} {first.shape}. "
            "Give uint8 or uint16 (c, h, w)."
        )
    for split, rows in ordered.items():
        for one in rows:
            where = f"Split {split!r} of {card.name}: image {one.name!r}"
            if one.pixels.shape != first.shape or one.pixels.dtype != first.dtype:
                raise InvalidDataError(
                    f"{where} is {one.pixels.dtype} {one.pixels.shape}, others {first.dtype} "
                    f"{first.shape}. Bring all to one size and type."
                )
            for what, array in (("mask", one.mask), ("foreground", one.foreground)):
                if array is not None and array.shape != first.shape[1:]:
                    raise InvalidDataError(
                        f"{where} has size {first.shape[1:]}, but its {what} {array.shape}. "
                        "Give both the same geometry."
                    )
                if array is not None and array.dtype != bool:
                    raise InvalidDataError(f"{where} has a {what} of type {array.dtype}. Give bool.")


def _truth(card: Card, split: str, rows: Sequence[Sample]) -> Truth:
    size = rows[0].pixels.shape[1:]
    nothing = np.zeros(size, bool)
    return Truth(
        ids=tuple(opaque(card, one.name) for one in rows),
        subjects=tuple(opaque(card, f"subject {one.subject}") for one in rows),
        labels=np.array([one.label != 0 for one in rows]),
        pathologies=tuple(one.pathology for one in rows),
        annotations=tuple(one.annotation for one in rows),
        masks=np.stack([nothing if one.mask is None else one.mask for one in rows]),
        boxes=np.concatenate([np.asarray(one.boxes, np.float32).reshape(-1, 4) for one in rows]),
        box_images=np.repeat(np.arange(len(rows), dtype=np.int64), [len(one.boxes) for one in rows]),
        names=tuple(one.name for one in rows),
    )


def _write_images(group: h5py.Group, rows: Sequence[Sample], truth: Truth) -> None:
    pixels = np.stack([one.pixels for one in rows])
    # not compressed: it would save a quarter to a half of the file, and expanding takes ten times as long as reading
    group.create_dataset("images", data=pixels).attrs["scale"] = 1.0 / np.iinfo(pixels.dtype).max
    write_image_stack(group, "foreground", np.stack([one.foreground for one in rows]))
    write_texts(group, "ids", truth.ids)
    write_texts(group, "subjects", truth.subjects)


def _write_truth(group: h5py.Group, rows: Sequence[Sample], truth: Truth) -> None:
    for name in ("ids", "subjects", "pathologies", "annotations", "names"):
        write_texts(group, name, getattr(truth, name))
    write_texts(group, "original_subjects", [one.subject for one in rows])
    group.create_dataset("labels", data=truth.labels)
    group.create_dataset("boxes", data=truth.boxes)
    group.create_dataset("box_images", data=truth.box_images)
    write_image_stack(group, "masks", truth.masks)
    if any(one.clean is not None for one in rows):
        clean = np.stack([one.pixels if one.clean is None else one.clean for one in rows])
        write_image_stack(group, "clean", clean).attrs["scale"] = 1.0 / np.iinfo(clean.dtype).max
