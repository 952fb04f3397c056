"""COVID-19 Radiography Database: normal films against lung opacities, and against Covid-19.

Source: Chowdhury et al., IEEE Access 2020; Rahman et al., Computers in Biology and Medicine 2021. Numbers of images and
the choice of Covid-19 films are MorphAEus' (Bercea et al., MICCAI 2023, sec. 4); the split here is drawn.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.cxr.trees import Tree, require_all
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.request import Request
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

NORMAL, OPACITY, COVID, VIRAL = "Normal", "Lung_Opacity", "COVID", "Viral Pneumonia"
CLASSES = (COVID, OPACITY, NORMAL, VIRAL)
# Train has the rest: 8,154, less what near-duplicates of anomalous or drawn films take away.
DRAW = Draw(test=1019, val=1019)
RECIPE = Recipe(size=128, foreground="all")
CARD = Card(
    name="cxr-pneumonia-mor-v1",
    version="1",
    modality="X-ray",
    anatomy="chest",
    spacing_mm=None,
    licence="as the database's page states; films of several sources under terms of their own; not redistributed",
    citation=(
        "Chowdhury et al., Can AI help in screening viral and COVID-19 pneumonia?, IEEE Access 2020; Rahman et al., "
        "Exploring the effect of image enhancement techniques on COVID-19 detection using chest X-ray images, "
        "Computers in Biology and Medicine 2021; choice of films: Bercea et al., What do AEs learn?, MICCAI 2023"
    ),
    notes=(
        "Which normal films are in which split is drawn by us, with MorphAEus' numbers for val and test.",
        "No patients are known: films that are near-duplicates of each other count as one patient.",
        "1,341 of the 10,192 normal films come from a set of children, as the database says; file names do not tell.",
    ),
)
CONTROLS = (
    "Healthy controls are drawn by us from the normal films: those of the paper were never published.",
    "Covid-19 films and normal films come from other hospitals: a shortcut is to be expected.",
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Numbers of the films in the database: how many are normal and show opacity, the first and last of the Covid-19
    films that are taken, and how the normal films are drawn."""

    normal: int = 10192
    opacity: int = 6012
    covid: tuple[int, int] = (1143, 3616)
    draw: Draw = DRAW


def plans(request: Request) -> Sequence[Plan]:
    """Normal against lung opacity, and normal against Covid-19.

    Raises:
        InvalidDataError: A folder or film that is missing.
    """
    return both(request, Extent())


def both(request: Request, extent: Extent) -> Sequence[Plan]:
    """The two datasets of a database of this extent.

    Raises:
        InvalidDataError: As `plans`.
    """
    tree = Tree.of(request.roots["covid"], f"COVID-19_Radiography_Dataset/<{' | '.join(CLASSES)}>/images/*.png")
    films = {kind: _numbered(tree, kind) for kind in CLASSES}
    controls = Card(
        "cxr-covid-mor-v1", CARD.version, CARD.modality, CARD.anatomy, None, CARD.licence, CARD.citation,
        notes=(*CARD.notes, *CONTROLS),
    )  # fmt: skip
    return (
        _plan(request, CARD, _Choice(tree, films, extent, OPACITY, (1, extent.opacity))),
        _plan(request, controls, _Choice(tree, films, extent, COVID, extent.covid)),
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """The anomalous class of a dataset, and the first and last number of its films."""

    tree: Tree
    films: Mapping[str, Mapping[int, str]]
    extent: Extent
    sick: str
    numbers: tuple[int, int]

    def items(self) -> list[Item]:
        """Normal films, then those of the class."""
        return [*self._of(NORMAL, (1, self.extent.normal)), *self._of(self.sick, self.numbers)]

    def _of(self, kind: str, numbers: tuple[int, int]) -> list[Item]:
        wanted = {f"{kind}-{number}.png": number for number in range(numbers[0], numbers[1] + 1)}
        there = [f"{kind}-{number}.png" for number in self.films[kind]]
        require_all(wanted, there, f"films of {kind}/images", self.tree.root)
        return [self._item(kind, self.films[kind][number], number) for number in wanted.values()]

    def _item(self, kind: str, film: str, number: int) -> Item:
        label = int(kind != NORMAL)
        pathology, annotation = (kind.replace("_", " "), "image") if label else ("healthy", "none")
        return Item(f"{kind}-{number}", Stored(self.tree.source, film), film, "", "", label, pathology, annotation)

    def left_out(self) -> dict[str, int]:
        """How many films are not of the dataset, by class."""
        taken = {NORMAL: (1, self.extent.normal), self.sick: self.numbers}
        return {
            f"other film of {kind}": sum(not _within(number, taken.get(kind)) for number in self.films[kind])
            for kind in CLASSES
        }


def _within(number: int, numbers: tuple[int, int] | None) -> bool:
    return numbers is not None and numbers[0] <= number <= numbers[1]


def _plan(request: Request, card: Card, choice: _Choice) -> Plan:
    draw = choice.extent.draw
    films = {NORMAL: [1, choice.extent.normal], choice.sick: list(choice.numbers)}
    select = {"step": "select", "rule": "numbers in the file names, first and last", "films": films}
    steps = (select, draw.step(request.seed))
    return Plan(
        card, choice.items(), RECIPE, choice.left_out(), steps, lambda items: draw.settle(items, request.seed)
    )  # fmt: skip


def _numbered(tree: Tree, kind: str) -> dict[int, str]:
    """The films of a class by the numbers in their names; where the class itself is not there, none."""
    found: dict[int, str] = {}
    for path in map(PurePosixPath, tree.names):
        number = re.fullmatch(rf"{re.escape(kind)}-(\d+)\.png", path.name)
        if number is None or path.parts[-3:-1] != (kind, "images"):
            continue
        before = found.setdefault(int(number[1]), str(path))
        if before != str(path):
            raise InvalidDataError(f"{tree.root}: both {before} and {path} are film {number[1]} of {kind}. Keep one.")
    if not found and kind != VIRAL:
        raise InvalidDataError(f"{tree.root}: there is no film in {kind}/images. It should hold {tree.layout}.")
    return found
