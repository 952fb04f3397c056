"""A small import, and as a program: the same import in a process that is killed at a moment that it is given."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.sources import source_at
from uadbench.files.images import Card

COUNT, SIDE = 80, 32  # two whole shards and a half
CARD = Card("toy-v1", "1", "none", "none", None, "none", "nobody")
# When the killer strikes: before which system call, of all that end on which name.
MOMENTS = {
    "in a shard": ("open", "p040.png"),
    "in the middle of writing a shard": ("os.rename", "000001.json"),
    "between shards": ("open", "p064.png"),
    "while writing": ("open", ".rows"),
    "between the two renames": ("os.rename", "toy-v1.images.h5"),
    "before cleaning": ("shutil.rmtree", ".toy-v1.import"),
}


def texture(seed: int, side: int = SIDE) -> np.ndarray:
    """A picture like no other, uint8."""
    coarse = np.random.default_rng(seed).uniform(20, 230, (8, 8))
    return ndimage.zoom(coarse, side // 8, order=1).astype(np.uint8)


def pictures(folder: Path) -> Path:
    """`COUNT` pictures, p000.png and so on."""
    folder.mkdir()
    for number in range(COUNT):
        Image.fromarray(texture(number)).save(folder / f"p{number:03d}.png")
    return folder


def item(folder: Path, number: int, **stated: object) -> Item:
    """One picture of its own subject: 10 of 80 to val, 20 to test, of which 5 are anomalous."""
    split = "val" if number % 8 == 1 else "test" if number % 4 == 2 else "train"
    sick = split == "test" and number % 16 == 2
    fields: dict[str, object] = {"split": split, "subject": f"s{number}", "label": int(sick)}
    if sick:
        fields |= {"pathology": "spot", "annotation": "box", "boxes": ((number % 20, 3.0, 4.0, 5.0),)}
    name = f"p{number:03d}.png"
    return replace(Item(name, Stored(source_at(folder), name), name), **(fields | stated))  # type: ignore[arg-type]


def plan(folder: Path, **changes: object) -> Plan:
    """The import of the pictures in a folder."""
    items = [item(folder, number) for number in range(COUNT)]
    return replace(Plan(CARD, items, Recipe(foreground="all")), **changes)  # type: ignore[arg-type]


def main() -> None:
    """Import, until the moment comes."""
    folder, out, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    event, ending = MOMENTS[moment]
    drafted = moment != "while writing"

    def strike(name: str, arguments: tuple) -> None:
        nonlocal drafted
        if name not in ("open", "os.rename", "shutil.rmtree"):
            return
        last = str(arguments[1 if name == "os.rename" else 0])
        drafted |= last.endswith(".truth.h5.partial")
        if drafted and name == event and last.endswith(ending):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(strike)
    import_plan(plan(folder), out, Terms())


if __name__ == "__main__":
    main()
