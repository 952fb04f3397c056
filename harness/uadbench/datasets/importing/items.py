"""Items: which picture, of whom, with what wrong in it; and the plan that holds all of a dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.sources import Source
from uadbench.files.images import Card

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in a source: a file, in a volume the index of its slice, and whether it is turned upside down."""

    source: Source
    file: str
    slice: int = -1
    flip: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset before it is read.

    `name` is unique in the dataset; `where` names it in errors. `boxes` and `ignored` boxes are x, y, w, h in pixels of
    the picture as it is shown (after a flip, before a crop); a mask marks what is not 0. Without a `subject` the group
    of near-duplicates is the subject; `group` names near-duplicates that are known. `divisor` is the stored value that
    becomes intensity 1.
    """

    name: str
    picture: Stored
    where: str
    split: str = ""
    subject: str = ""
    label: int = 0
    pathology: str = "healthy"
    annotation: str = "none"
    mask: Stored | None = None
    boxes: tuple[Box, ...] = ()
    box_pathologies: tuple[str, ...] = ()
    ignored: tuple[Box, ...] = ()
    foreground: Stored | None = None
    group: str = ""
    site: str = ""
    volume: str = ""
    divisor: float | None = None


Settle = Callable[[Sequence[Item]], tuple[Sequence[Item], Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A dataset to be imported: its card without steps, its items, and how pictures become images.

    `left_out` counts by reason what the importer does not take; `selection` are the steps that chose the items.
    `settle`, where splits depend on who the subjects are, gives the items their splits once every subject is known, and
    counts what it leaves out.
    """

    card: Card
    items: Sequence[Item]
    recipe: Recipe
    left_out: Mapping[str, int] = field(default_factory=dict)
    selection: tuple[Mapping[str, Any], ...] = ()
    settle: Settle | None = None
