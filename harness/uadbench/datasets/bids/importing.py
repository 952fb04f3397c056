"""Axial slices of a dataset in BIDS, raw or derived: healthy by participants.tsv, by lesion masks, or by both.

Source: Gorgolewski et al., Sci Data 2016 (BIDS); derivatives of BIDS 1.4.
Each picture gives its middle slice; where lesions are masked, every fifth slice of the middle half of each volume, so
that the place of a slice does not tell its label. Intensities are divided by the 98th percentile of the volume.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from uadbench.datasets.bids.names import LABELS, Named, named
from uadbench.datasets.bids.participants import COLUMNS, HEALTHY, TABLE, Participant, read_participants
from uadbench.datasets.importing import volumes
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Normalisation
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import by_subject
from uadbench.errors import InvalidDataError, UsageError

APART = 5  # slices
LAYOUT = "Give the folder or zip of a BIDS dataset with sub-<label>/[ses-<label>/]anat/*_<suffix>.nii.gz."


@dataclass(frozen=True, slots=True)
class Scan:
    """A volume, what is known of whom it shows, and the mask of its lesions if there is one."""

    picture: Stored
    suffix: str
    mask: Stored | None
    subject: str
    participant: Participant


@dataclass(frozen=True, slots=True)
class Seen:
    """How many axial slices a volume has, and on which of them its mask marks something."""

    count: int
    marked: frozenset[int]


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset, as its user names it.

    Raises:
        UsageError: The user does not say what it is, or of which suffix.
        InvalidDataError: Another layout, a name that is not BIDS, a table or mask that breaks its rule, or volumes of
            whom nothing says whether they are healthy.
    """
    options, source, seed = request.stated, request.roots["bids"], request.seed
    names = source.names()
    files = [found for name in names if (found := named(name))]
    participants = read_participants(source, names)
    scans = _scans(source, files, options.modality, participants)
    known = _known(scans)
    lacking = len(participants.keys() - {scan.subject for scan in scans})
    left_out = {
        "volume with neither a group nor a lesion mask": len(scans) - len(known),
        "participant without such a picture": lacking,
    }
    sparse = not any(scan.mask for scan in known)
    seen = request.survey(look, [scan.mask or scan.picture for scan in known], "looking")
    items = [item for scan, found in zip(known, seen, strict=True) for item in _items(scan, found, sparse)]
    selection = (
        {"step": "select", "suffix": scans[0].suffix, "slices": _rule(sparse)},
        {"step": "split", "rule": "by subject, in each site alike; lesions in test alone", "seed": seed},
    )
    recipe = replace(options.recipe, normalisation=Normalisation("volume-percentile"))
    return (Plan(options.card, items, recipe, left_out, selection, lambda found: settled(found, seed)),)


def _rule(sparse: bool) -> str:
    return "the middle axial slice" if sparse else f"every slice {APART} apart of the middle half, from the middle on"


def _scans(
    source: Source, files: Sequence[Named], modality: str, participants: Mapping[str, Participant]
) -> list[Scan]:
    """All volumes of the wanted suffix."""
    masks: dict[tuple[str, ...], list[Named]] = defaultdict(list)
    for one in files:
        if one.marks_lesions:
            masks[one.session].append(one)
    pictures = _pictures(source, files, modality)
    marks = [_mask(one, masks[one.session]) for one in pictures]
    return [
        Scan(
            Stored(source, one.file),
            one.suffix,
            Stored(source, mask) if mask else None,
            one.subject,
            participants.get(one.subject, Participant()),
        )
        for one, mask in zip(pictures, marks, strict=True)
    ]


def _pictures(source: Source, files: Sequence[Named], modality: str) -> list[Named]:
    """The pictures of the wanted suffix, one for each scan."""
    found = Counter(one.suffix for one in files if one.suffix not in LABELS)
    if not found:
        raise InvalidDataError(f"{source}: holds no picture below anat. {LAYOUT}")
    words = modality.lower().split()
    fitting = [one for one in found if one.lower() in words or (one.endswith("w") and one[:-1].lower() in words)]
    chosen = list(found) if not modality and len(found) == 1 else fitting
    if len(chosen) != 1:
        listed = ", ".join(f"{suffix} ({n})" for suffix, n in sorted(found.items()))
        raise UsageError(f"--modality {modality!r} names none or several of the suffixes {listed}. Name one.")
    pictures: dict[tuple[str, ...], Named] = {}
    for one in files:
        if one.suffix == chosen[0] and pictures.setdefault(one.scan, one) is not one:
            raise InvalidDataError(
                f"{one.file}: the same scan as {pictures[one.scan].file!r}. Give one of them, as the derivative alone."
            )
    return list(pictures.values())


def _mask(picture: Named, masks: Sequence[Named]) -> str:
    """The file of the picture's lesion mask, or nothing."""
    own = [mask.file for mask in masks if mask.marks(picture)]
    if len(own) > 1:
        raise InvalidDataError(f"{picture.file}: has {len(own)} lesion masks, {', '.join(own[:3])}. Keep one.")
    return own[0] if own else ""


def _known(scans: Sequence[Scan]) -> list[Scan]:
    """The scans that a group or a mask tells something of."""
    known = [scan for scan in scans if scan.mask or scan.participant.group]
    groups = sorted({scan.participant.group for scan in scans if scan.participant.group})
    if not known:
        raise InvalidDataError(
            f"Nothing says who is healthy: no lesion mask (label-lesion_mask, desc-lesion_dseg), and no {TABLE} with "
            f"one of the columns {', '.join(COLUMNS)} filled."
        )
    if not any(scan.mask or scan.participant.healthy for scan in known):
        raise InvalidDataError(
            f"{TABLE}: none of the groups {', '.join(map(repr, groups))} is one of the healthy, which are called "
            f"{', '.join(HEALTHY)}. Rename them in a copy."
        )
    return known


def look(stored: Stored) -> Seen:
    """What a plan must know of a mask, or of a picture without one.

    Raises:
        InvalidDataError: No readable volume.
    """
    values = volumes.volume(stored.source, stored.file, stored.file).values
    marked = np.flatnonzero((values != 0).any(axis=(0, 1)))  # (x, y, z) -> (z,)
    return Seen(values.shape[2], frozenset(marked.tolist()))


def _items(scan: Scan, seen: Seen, sparse: bool) -> list[Item]:
    """The slices of a scan."""
    middle = seen.count // 2
    group, where = scan.participant, scan.picture.file
    if scan.mask is None:
        sick = not group.healthy
        chosen = [middle] if sparse or sick else _spread(seen.count)
        return [_item(scan, index, group.group if sick else "", None) for index in chosen]
    if group.healthy and seen.marked:
        raise InvalidDataError(
            f"{where}: its mask {scan.mask.file!r} marks something, but {TABLE} says {group.group!r}. Mend one of them."
        )
    name = group.group or "lesion"
    return [
        _item(scan, index, name, scan.mask) if index in seen.marked else _item(scan, index, "", None)
        for index in _spread(seen.count)
    ]


def _spread(count: int) -> list[int]:
    """Indices of slices in the middle half, `APART` from each other, the middle one of them."""
    middle, reach = count // 2, count // 4
    steps = range(-(reach // APART), reach // APART + 1)
    return [middle + step * APART for step in steps]


def _item(scan: Scan, index: int, pathology: str, mask: Stored | None) -> Item:
    where = f"{scan.picture.file}, slice {index}"
    return Item(
        name=where,
        picture=replace(scan.picture, slice=index),
        where=where,
        subject=scan.subject,
        label=int(bool(pathology)),
        pathology=pathology or "healthy",
        annotation=("mask" if mask else "image") if pathology else "none",
        mask=replace(mask, slice=index) if mask else None,
        site=scan.participant.site,
        volume=scan.picture.file,
    )


def settled(items: Sequence[Item], seed: int) -> tuple[list[Item], Mapping[str, int]]:
    """Subjects with a lesion go to test, the others to all three splits. Where all have one, they go to all three, and
    train and val keep the slices without."""
    sick = {item.subject for item in items if item.label}
    if any(item.subject not in sick for item in items):
        return by_subject(items, seed), {}
    home = {item.name: item.split for item in by_subject([replace(item, label=0) for item in items], seed)}
    placed = [replace(item, split=home[item.name]) for item in items]
    kept = [item for item in placed if not item.label or item.split == "test"]
    return kept, {"lesion on a slice of a training or validation subject": len(placed) - len(kept)}
