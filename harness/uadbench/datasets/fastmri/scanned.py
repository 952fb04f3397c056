"""The scans in a fastMRI folder, and the healthy brains that RA trains and validates on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from uadbench.datasets import ixi
from uadbench.datasets.fastmri.roles import TRAIN, VAL, Role, roles, table_sha256, with_slices
from uadbench.datasets.importing.items import Item, Stored
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError

# Norm98 of RA and PHANES: all pixels of the slice, background too. 16 bits: a scan has more grey values than 256.
RECIPE = Recipe(size=128, normalisation=Normalisation("slice-percentile", percentile=98.0), bits=16)
LICENCE = (
    "fastMRI data sharing agreement (NYU; not redistributable); IXI CC BY-SA 3.0; fastMRI+ annotations MIT. "
    "The images stay with whoever signed."
)
CITATION = (
    "Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839; Zhao et al., "
    "fastMRI+, Scientific Data 2022; IXI, brain-development.org; Bercea et al., Generalizing unsupervised anomaly "
    "detection: towards unbiased pathology screening (RA), MIDL 2023"
)
FLIP: Mapping[str, Any] = {"step": "flip", "axis": "up/down", "of": "fastMRI"}
_NAMED = 3  # missing files in an error


@dataclass(frozen=True, slots=True)
class Healthy:
    """Items of train and val, what was left out, the steps that chose them, and what a board should say of them."""

    items: Sequence[Item]
    left_out: Mapping[str, int]
    steps: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def healthy_brains(request: Request) -> Healthy:
    """131 fastMRI files and all of IXI to train, 15 fastMRI files to validate.

    Source: RA, MIDL 2023, App. B and C; PHANES, MICCAI 2023, sec. 4.

    Raises:
        InvalidDataError: A listed file is not there, or IXI has no volume.
    """
    scans = Scans.of(request.roots["fastmri"])
    listed = [one for one in with_slices(roles()) if one.role in (TRAIN, VAL)]
    scans.require(one.file for one in listed)
    own = [scans.item(one, "train" if one.role == TRAIN else "val") for one in listed]
    brains = ixi.brains(request)
    steps = (
        {"step": "split", "rule": "RA, MIDL 2023, published lists", "sha256": table_sha256()},
        {"step": "slice", "of": "IXI", "rule": brains.rule},
        FLIP,
    )
    return Healthy([*own, *brains.items("train")], brains.left_out, steps, (*_NOTES, *brains.notes))


_NOTES = (
    (
        "Train and val as RA: 131 fastMRI files and IXI to train (the published list has 130 of the 131), 15 "
        "fastMRI files to validate."
    ),
    "fastMRI names no patients: each file is taken as a subject of its own.",
    (
        "fastMRI slice 3 of files whose slice is not known; the lists publish none, those known were derived from the "
        "numbers and labels of the boxes."
    ),
    "Resized with anti-aliasing, as the papers were not; 98th percentile of all pixels of the slice.",
)


@dataclass(frozen=True, slots=True)
class Scans:
    """The brain scans below a folder: file names without ending, and where each lies."""

    source: Source
    places: Mapping[str, str]

    @classmethod
    def of(cls, source: Source) -> "Scans":
        """The scans of a source.

        Raises:
            InvalidDataError: There is none, or one lies there twice.
        """
        places: dict[str, str] = {}
        for name in source.names():
            path = PurePosixPath(name)
            if not (path.name.startswith("file_brain_") and path.suffix == ".h5"):
                continue
            if path.stem in places:
                raise InvalidDataError(
                    f"Root fastmri: {path.stem} lies there twice, as {places[path.stem]!r} and {name!r}. Keep one."
                )
            places[path.stem] = name
        if not places:
            raise InvalidDataError(
                "Root fastmri: no file_brain_*.h5 lies there. Give the folder that holds multicoil_train and "
                "multicoil_val of the fastMRI brain set."
            )
        return cls(source, places)

    def require(self, files: Iterable[str]) -> None:
        """Refuses a folder that lacks some of the files.

        Raises:
            InvalidDataError: Says how many are missing, and names the first.
        """
        wanted = sorted(set(files))
        missing = [file for file in wanted if file not in self.places]
        if missing:
            more = ", ..." if len(missing) > _NAMED else ""
            raise InvalidDataError(
                f"Root fastmri: {len(missing)} of the {len(wanted)} files that RA's lists name are missing: "
                f"{', '.join(missing[:_NAMED])}{more}. They are AXT1 files of multicoil_train and multicoil_val; "
                "add them."
            )

    def item(self, role: Role, split: str, *, pathology: str = "healthy") -> Item:
        """The image of a role; with a pathology it is anomalous, annotated for the whole image.

        Raises:
            InvalidDataError: The role has no slice.
        """
        if role.slice is None:
            raise InvalidDataError(f"{role.file} has no slice in RA's list. Leave it out.")
        sick = pathology != "healthy"
        return Item(
            name=role.file,
            picture=Stored(self.source, self.places[role.file], role.slice, flip=True),
            where=f"{role.file}, slice {role.slice}",
            split=split,
            subject=role.file,
            label=int(sick),
            pathology=pathology,
            annotation="image" if sick else "none",
            site="fastMRI",
            volume=role.file,
        )
