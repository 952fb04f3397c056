"""ATLAS v2.0: T1 scans in MNI space with stroke lesions outlined; trained on healthy fastMRI and IXI brains.

Source: Liew et al., Scientific Data 2022; the protocol is that of PHANES, MICCAI 2023, sec. 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from uadbench.datasets.fastmri.scanned import CITATION as HEALTHY_CITATION
from uadbench.datasets.fastmri.scanned import LICENCE as HEALTHY_LICENCE
from uadbench.datasets.fastmri.scanned import RECIPE, healthy_brains
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.reading import read_picture
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NAME = "atlas-stroke-v1"
MNI_SLICE = 95
# PHANES skips a slice whose mask sums to 1 or less.
FEWEST_PIXELS = 2
CASES = 655
_IMAGE, _MASK = "_space-MNI152NLin2009aSym_T1w", "_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask"
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True)
class Case:
    """A scan and its lesion mask; `name` is what their file names share."""

    name: str
    image: str
    mask: str


def plans(request: Request) -> Sequence[Plan]:
    """atlas-stroke-v1.

    Raises:
        InvalidDataError: As `cases` and `healthy_brains`; no slice with a lesion.
    """
    source = request.roots["atlas"]
    found, unmasked = cases(source)
    sizes = request.survey(lesion_size, [(source, case.mask) for case in found], "looking for lesions")
    healthy = healthy_brains(request)
    sick = [_item(source, case) for case, size in zip(found, sizes, strict=True) if size >= FEWEST_PIXELS]
    if not sick:
        raise InvalidDataError(f"Root atlas: none of {len(found)} masks marks a lesion in slice {MNI_SLICE}.")
    left_out = {
        **healthy.left_out,
        "ATLAS scan without a lesion mask": unmasked,
        f"ATLAS scan with less than {FEWEST_PIXELS} lesion pixels in slice {MNI_SLICE}": len(found) - len(sick),
    }
    other = f" The release has {CASES}." if len(found) != CASES else ""
    notes = (
        (
            f"Test: axial slice {MNI_SLICE} of the {len(sick)} of {len(found)} scans that have a lesion there.{other} "
            "No healthy test images. Training scans of fastMRI are not registered to MNI space."
        ),
        *healthy.notes,
    )
    card = Card(
        NAME, "1", "MR T1", "brain", None, f"ATLAS v2.0: INDI terms of use (encrypted release); {HEALTHY_LICENCE}",
        "Liew et al., A large, curated, open-source stroke neuroimaging dataset (ATLAS v2.0), Scientific Data 2022; "
        f"Bercea et al., Reversing the abnormal (PHANES), MICCAI 2023; {HEALTHY_CITATION}",
        notes=notes,
    )  # fmt: skip
    chosen = {"step": "slice", "of": "ATLAS", "index": MNI_SLICE, "lesion_pixels_at_least": FEWEST_PIXELS}
    return (Plan(card, [*healthy.items, *sick], RECIPE, left_out, (*healthy.steps, chosen)),)


def cases(source: Source) -> tuple[list[Case], int]:
    """The scans with a mask, by name; and how many scans have none.

    Raises:
        InvalidDataError: No scan of the layout, none with a mask, a mask without its scan, or a scan twice.
    """
    images, masks = _stems(source, _IMAGE), _stems(source, _MASK)
    if not images:
        raise InvalidDataError(
            f"Root atlas: no *{_IMAGE}.nii.gz lies there. Decrypt ATLAS v2.0 and give the folder that holds "
            "Training/R001/sub-r001s001/ses-1/anat."
        )
    alone = sorted(masks.keys() - images.keys())
    if alone:
        raise InvalidDataError(
            f"Root atlas: {masks[alone[0]]!r} and {len(alone) - 1} more masks have no scan beside them. Add the scans."
        )
    if not masks:
        raise InvalidDataError(f"Root atlas: {len(images)} scans and no *{_MASK}.nii.gz. Give the Training part too.")
    return [Case(name, images[name], masks[name]) for name in sorted(masks)], len(images) - len(masks)


def _stems(source: Source, kind: str) -> dict[str, str]:
    """The files of a kind by what stands before it."""
    found: dict[str, str] = {}
    for name in source.names():
        short = PurePosixPath(name).name
        stem, _, ending = short.partition(kind)
        if ending not in _ENDINGS or not stem:
            continue
        if stem in found:
            raise InvalidDataError(f"Root atlas: {short} lies there twice, {found[stem]!r} and {name!r}. Keep one.")
        found[stem] = name
    return found


def lesion_size(asked: tuple[Source, str]) -> int:
    """How many pixels of the slice a mask marks.

    Raises:
        InvalidDataError: An unreadable mask, or one that ends below the slice.
    """
    source, name = asked
    return int(np.count_nonzero(read_picture(Stored(source, name, MNI_SLICE), f"{name}, slice {MNI_SLICE}").values))


def _item(source: Source, case: Case) -> Item:
    return Item(
        name=case.name,
        picture=Stored(source, case.image, MNI_SLICE),
        where=f"{case.image}, slice {MNI_SLICE}",
        split="test",
        subject=case.name.partition("_")[0],
        label=1,
        pathology="stroke lesion",
        annotation="mask",
        mask=Stored(source, case.mask, MNI_SLICE),
        site="ATLAS",
        volume=case.name,
    )
