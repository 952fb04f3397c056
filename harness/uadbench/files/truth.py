"""The truth file (layout v1): what is wrong in which image. No method ever sees it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files.digest import digest_array, digest_texts
from uadbench.files.images import SPLITS, Card, Digests, digest_roster, require_digest, require_disjoint, scaled
from uadbench.files.layout import opened, read_texts
from uadbench.types import ANNOTATIONS, Truth

SCHEMA = "uadbench-truth-v1"
_NO_PATHOLOGY = ("", "healthy", "all")  # the last two are strata of their own


@dataclass(frozen=True, slots=True)
class TruthFile:
    """An opened truth file: the dataset's card and digests, and the truth of every split."""

    path: Path
    card: Card
    digests: Digests
    splits: Mapping[str, Truth]

    def __getitem__(self, split: str) -> Truth:
        return self.splits[split]


def open_truth(path: Path) -> TruthFile:
    """The truth at `path`, after layout, digests, healthy-only train and val, masks and boxes were checked.

    Raises:
        InvalidDataError: Missing, foreign, truncated or changed file; an anomalous training image; a subject in two
            splits; a box outside its image.
    """
    path = Path(path)
    with opened(path, SCHEMA) as file:
        card, digests = Card.read(file), Digests.read(file)
        splits = {split: _read_split(file[split]) for split in SPLITS}
    for split, truth in splits.items():
        check_truth(f"{path}: split {split!r} of {card.name}", split, truth)
    require_disjoint(card, {split: truth.subjects for split, truth in splits.items()})
    members = {split: (truth.ids, truth.subjects) for split, truth in splits.items()}
    require_digest(path, "roster", digest_roster(members), digests.roster)
    masks = {split: digest_array(truth.masks) for split, truth in splits.items()}
    require_digest(path, "truth", digest_truth(splits, masks), digests.truth)
    return TruthFile(path, card, digests, splits)


def _read_split(group: h5py.Group) -> Truth:
    clean = scaled(group["clean"], group["clean"][:]) if "clean" in group else None
    return Truth(
        ids=read_texts(group, "ids"),
        subjects=read_texts(group, "subjects"),
        labels=group["labels"][:],
        pathologies=read_texts(group, "pathologies"),
        annotations=read_texts(group, "annotations"),
        masks=group["masks"][:],
        boxes=group["boxes"][:],
        box_images=group["box_images"][:],
        clean=clean,
        names=read_texts(group, "names"),
        box_pathologies=read_texts(group, "box_pathologies") if "box_pathologies" in group else (),
        ignored=group["ignored"][:] if "ignored" in group else np.zeros((0, 4), np.float32),
        ignored_images=group["ignored_images"][:] if "ignored" in group else np.zeros(0, np.int64),
    )


def original_subjects(truth: TruthFile) -> Mapping[str, tuple[str, ...]]:
    """The subjects of every split as their source calls them; where the file does not say, their opaque ids."""
    with opened(truth.path, SCHEMA) as file:
        return {
            split: read_texts(file[split], "original_subjects") if "original_subjects" in file[split] else some.subjects
            for split, some in truth.splits.items()
        }


def check_truth(where: str, split: str, truth: Truth) -> None:
    """Refuses truth that breaks its own rules.

    Raises:
        InvalidDataError: Lengths that disagree, an anomalous image in train or val, an unknown annotation level, a
            mask without a single pixel or on a healthy image, an anomalous image without a pathology's name, a box
            outside its image or on a healthy one.
    """
    n = len(truth)
    columns = (
        truth.labels,
        truth.pathologies,
        truth.annotations,
        truth.masks,
        truth.subjects,
        truth.names or truth.ids,
    )
    lengths = {len(column) for column in columns}
    if lengths != {n} or truth.masks.ndim != 3:
        raise InvalidDataError(f"{where}: columns of {sorted(lengths)} rows for {n} ids. Give one row per image.")
    if split != "test" and truth.labels.any():
        first = int(np.argmax(truth.labels))
        raise InvalidDataError(
            f"{where}: image {_name(truth, first)!r} is anomalous ({truth.pathologies[first]}). "
            "Training and validation are healthy only; move it to test or leave it out."
        )
    for what, flags in (("labels", truth.labels), ("masks", truth.masks)):
        if flags.dtype != bool:
            raise InvalidDataError(f"{where}: {what} are {flags.dtype}. Give bool, True = anomalous.")
    for level in sorted(set(truth.annotations) - set(ANNOTATIONS)):
        raise InvalidDataError(f"{where}: annotation {level!r} is unknown. Give one of {', '.join(ANNOTATIONS)}.")
    marked = truth.masks.any(axis=(1, 2))
    masked = np.array(truth.annotations, dtype=object) == "mask"
    for row in np.flatnonzero(marked != (masked & truth.labels)):
        raise InvalidDataError(
            f"{where}: image {_name(truth, int(row))!r} has annotation {truth.annotations[row]!r}, label "
            f"{int(truth.labels[row])} and {int(truth.masks[row].sum())} mask pixels. A mask belongs to an anomalous "
            "image annotated 'mask', and marks at least one pixel."
        )
    _check_pathologies(where, truth)
    _check_boxes(where, truth)


def _check_pathologies(where: str, truth: Truth) -> None:
    for row in np.flatnonzero(truth.labels):
        if truth.pathologies[row] in _NO_PATHOLOGY:
            raise InvalidDataError(
                f"{where}: image {_name(truth, int(row))!r} is anomalous with pathology "
                f"{truth.pathologies[row]!r}. Name what is wrong, or say 'not stated'."
            )


def _check_boxes(where: str, truth: Truth) -> None:
    if len(truth.box_pathologies) not in (0, len(truth.boxes)):
        raise InvalidDataError(
            f"{where}: {len(truth.box_pathologies)} pathologies of {len(truth.boxes)} boxes. Name each or none."
        )
    _check_inside(where, truth, truth.boxes, truth.box_images)
    _check_inside(where, truth, truth.ignored, truth.ignored_images)
    for name in sorted(set(truth.box_pathologies) & set(_NO_PATHOLOGY)):
        raise InvalidDataError(f"{where}: a box has the pathology {name!r}. Name what it marks.")


def _check_inside(where: str, truth: Truth, boxes: np.ndarray, images: np.ndarray) -> None:
    _, height, width = truth.masks.shape
    if boxes.shape != (len(images), 4) or not set(images.tolist()) <= set(range(len(truth))):
        raise InvalidDataError(
            f"{where}: boxes {boxes.shape} of the images {images.tolist()[:8]}. "
            f"Give (b, 4) boxes, and for each the row of its image, below {len(truth)}."
        )
    for box, row in zip(boxes, images, strict=True):
        if not truth.labels[row]:
            raise InvalidDataError(
                f"{where}: image {_name(truth, int(row))!r} is healthy and has a box. Boxes mark what is anomalous."
            )
        x, y, w, h = (float(side) for side in box)
        inside = x >= -0.5 and y >= -0.5 and x + w <= width + 0.5 and y + h <= height + 0.5
        if not (inside and w > 0 and h > 0):
            raise InvalidDataError(
                f"{where}: box ({x:g}, {y:g}, {w:g}, {h:g}) of image {_name(truth, int(row))!r} does not lie in "
                f"{width} x {height} pixels. Give x, y, width, height in pixels of the stored image."
            )


def _name(truth: Truth, row: int) -> str:
    return truth.names[row] if truth.names else truth.ids[row]


def digest_truth(splits: Mapping[str, Truth], masks: Mapping[str, str]) -> str:
    """Digest of labels, pathologies, annotations, masks and boxes per split; clean images are pixels and not in it.

    `masks` are the digests of the mask arrays, which may be too large to be in memory.
    """
    return digest_texts(part for split in SPLITS for part in (split, *_digested(splits[split], masks[split])))


def _digested(truth: Truth, masks: str) -> Iterator[str]:
    yield from (*truth.pathologies, *truth.annotations)
    yield from (digest_array(truth.labels), masks, digest_array(truth.boxes), digest_array(truth.box_images))
    # not of every dataset, and those that lack them keep the digest they had
    yield from truth.box_pathologies
    if len(truth.ignored):
        yield from (digest_array(truth.ignored), digest_array(truth.ignored_images))
