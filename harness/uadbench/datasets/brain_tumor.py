"""Brain Tumor MRI, collected from the web and pooled on Kaggle, with the numbers of images of AE4AD.

Source: Cai et al., MICCAI 2024 (AE4AD), App. A, Table A3: 1,000 normals to train; 600 normals, 300 gliomas and 300
meningiomas to test; 64 px, aspect not kept.
Deviates: nobody knows the patients, so groups of near-duplicates are drawn whole; a tenth of the training groups
validates; the draw is ours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.pictures import SUFFIXES
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import counted, tenth_validates
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NAME = "brain-tumor-ae4-v1"
HALVES = ("Training", "Testing")
PATHOLOGIES = {"notumor": "healthy", "glioma": "glioma", "meningioma": "meningioma"}
UNUSED = "pituitary"
LAYOUT = f"Give the folder or zip with {' and '.join(HALVES)}, each with {', '.join(PATHOLOGIES)} and {UNUSED}."


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of images: normals to train and validate, normals to test, and tumours of each kind to test."""

    train: int = 1000
    normal: int = 600
    glioma: int = 300
    meningioma: int = 300

    def share(self, percent: int) -> "Counts":
        """So much of each count, at least one image."""
        return Counts(*(max(1, count * percent // 100) for count in asdict(self).values()))


PUBLISHED = Counts()


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset.

    Raises:
        InvalidDataError: Another layout, a class that is not known, or one without pictures.
    """
    return (plan(request.roots["kaggle"], request.seed, PUBLISHED),)


def plan(kaggle: Source, seed: int, wanted: Counts) -> Plan:
    """The dataset with the given numbers of images.

    Raises:
        InvalidDataError: As `plans`.
    """
    items, left_out = _listed(kaggle)
    there = Counter(item.pathology for item in items)
    for pathology in PATHOLOGIES.values():
        if not there[pathology]:
            raise InvalidDataError(f"{kaggle}: holds no picture of class {pathology!r}. {LAYOUT}")
    rule = (
        "groups of near-duplicates, drawn whole until each count is reached; where there are too few images, the "
        "largest whole percentage of all counts that can be reached; a tenth of the groups of train validates"
    )
    selection = (
        {"step": "select", "rule": f"{' and '.join(HALVES)} pooled, without {UNUSED}", "files": dict(there)},
        {"step": "split", "rule": rule, "seed": seed, "counts": asdict(wanted)},
    )
    recipe = Recipe(size=64, square="stretch", bits=8)
    return Plan(_card(there), items, recipe, left_out, selection, lambda found: settled(found, seed, wanted))


def _card(there: Mapping[str, int]) -> Card:
    files = ", ".join(f"{there[pathology]:,} {pathology}" for pathology in PATHOLOGIES.values())
    return Card(
        name=NAME,
        version="1",
        modality="MR",
        anatomy="brain",
        spacing_mm=None,
        licence="as its page on Kaggle states (masoudnickparvar/brain-tumor-mri-dataset); not redistributed",
        citation=(
            "Nickparvar, Brain Tumor MRI Dataset, Kaggle; counts: Cai et al., Rethinking Autoencoders for Medical "
            "Anomaly Detection, MICCAI 2024"
        ),
        notes=(
            f"Drawn by us from the pooled download ({files} files); the paper's own list comes by `medianomaly`.",
            "Collected from the web, with many duplicates and no patients: a group of near-duplicates is the subject.",
            "A group is drawn whole, so that a count may be passed by a part of one group.",
            "Where a copy has fewer pictures than the paper, all counts are reduced alike; the steps say to how much.",
        ),
    )


def _listed(kaggle: Source) -> tuple[list[Item], dict[str, int]]:
    """The pictures of the three classes, and how many files are not taken."""
    items: dict[str, Item] = {}
    left_out = Counter[str]()
    for file in kaggle.names():
        parts = PurePosixPath(file).parts
        if len(parts) < 3 or parts[-3] not in HALVES:
            left_out[f"outside the class folders of {' and '.join(HALVES)}"] += 1
        elif parts[-2] == UNUSED:
            left_out[f"class {UNUSED!r}, which the paper does not use"] += 1
        elif parts[-2] not in PATHOLOGIES:
            raise InvalidDataError(
                f"{file}: class {parts[-2]!r} is none of {', '.join(PATHOLOGIES)}, {UNUSED}. This may be another "
                f"collection of brain tumours. {LAYOUT}"
            )
        elif not file.lower().endswith(SUFFIXES):
            left_out["no picture by its ending"] += 1
        else:
            name = "/".join(parts[-3:])
            if name in items:
                raise InvalidDataError(f"{file}: the same picture as {items[name].where}, by name. Give one copy.")
            items[name] = _item(kaggle, file, name, PATHOLOGIES[parts[-2]])
    return list(items.values()), dict(left_out)


def _item(kaggle: Source, file: str, name: str, pathology: str) -> Item:
    sick = pathology != "healthy"
    picture = Stored(kaggle, file)
    return Item(
        name, picture, file, label=int(sick), pathology=pathology, annotation="image" if sick else "none",
    )  # fmt: skip


def settled(items: Sequence[Item], seed: int, wanted: Counts) -> tuple[list[Item], dict[str, int]]:
    """The items that fill the counts, or the largest percentage of all of them that can be filled.

    Raises:
        InvalidDataError: Not even one percent.
    """
    sick = {item.subject for item in items if item.label}
    clear = [item for item in items if item.label or item.subject not in sick]
    twins = {"healthy, but a near-duplicate of a tumour": len(items) - len(clear)}
    for percent in range(100, 0, -1):
        drawn = _drawn(clear, seed, wanted.share(percent))
        if drawn is not None:
            rest = len(clear) - len(drawn)
            short = f"beyond {percent} % of the paper's counts, for more of which there are too few pictures"
            return tenth_validates(drawn, seed), {
                **twins,
                short if percent < 100 else "beyond the paper's counts": rest,
            }
    raise InvalidDataError(
        f"{NAME}: {len(items)} pictures are copies of so few that not one percent of the paper's counts can be drawn. "
        f"{LAYOUT}"
    )


def _drawn(items: Sequence[Item], seed: int, wanted: Counts) -> list[Item] | None:
    """The items that fill the counts, or None where there are too few."""
    fillings = {
        "healthy": (("train", wanted.train), ("test", wanted.normal)),
        "glioma": (("test", wanted.glioma),),
        "meningioma": (("test", wanted.meningioma),),
    }
    drawn: list[Item] = []
    for pathology, counts in fillings.items():
        members = [item for item in items if item.pathology == pathology]
        try:
            drawn += counted(members, counts, seed)[0]
        except InvalidDataError:
            return None
    return drawn
