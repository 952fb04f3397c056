"""Writing the sheets of a dataset into a folder. Only the images that are shown are read, one at a time."""

from dataclasses import dataclass
from pathlib import Path

from uadbench.board.drawing import png
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.images import Dataset
from uadbench.files.layout import write_bytes_atomically, write_text_atomically
from uadbench.files.truth import TruthFile
from uadbench.sheets.choosing import Sheet, chosen
from uadbench.sheets.composing import Tile, composed, outlined
from uadbench.sheets.page import counted, render

INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Sheets:
    """What was written: the page, and the sheets that lie beside it."""

    index: Path
    sheets: tuple[Sheet, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pictures."""
        return tuple(self.index.with_name(one.name) for one in self.sheets)


def sheets(dataset: Dataset, truth: TruthFile, folder: Path, *, columns: int = 6, most: int = 24) -> Sheets:
    """Write a picture per split and pathology, of at most `most` images in rows of `columns`, and `index.html`.

    The folder needs nothing from outside; the same dataset gives the same pictures.

    Raises:
        UsageError: No column, or no image.
        InvalidDataError: Images and truth of two datasets.
        EnvironmentProblemError: The folder cannot be written, or no space is left.
        MissingLibraryError: Pillow was built without FreeType.
    """
    if columns < 1 or most < 1:
        raise UsageError(f"sheets: {most} images in {columns} columns show nothing. Give 1 or more of both.")
    if dataset.digests.identity != truth.digests.identity:
        raise InvalidDataError(
            f"{dataset.path} and {truth.path} have different identity digests. Give the two files of one dataset."
        )
    index, made = Path(folder) / INDEX, chosen(truth, most)
    for one in made:
        write_bytes_atomically(index.with_name(one.name), drawn(dataset, truth, one, columns))
    write_text_atomically(index, render(dataset, made))
    return Sheets(index, made)


def drawn(dataset: Dataset, truth: TruthFile, sheet: Sheet, columns: int) -> bytes:
    """One sheet as PNG; a tile's caption is its row in the split, from 0, and its opaque id."""
    known = truth[sheet.split]
    tiles = []
    for row in sheet.shown:
        image, boxes = dataset[sheet.split][row : row + 1], known.boxes[known.box_images == row]
        picture = outlined(image.pixels[0], known.masks[row], boxes)
        tiles.append(Tile(picture, f"{row}  {image.ids[0]}", _marks(known.annotations[row], len(boxes))))
    return png(composed(sheet.split, sheet.pathology, counted(sheet), tiles, columns))


def _marks(annotation: str, boxes: int) -> tuple[str, ...]:
    """What an image is annotated by; a mask may have boxes around its parts."""
    finest = () if annotation == "none" else (annotation,)
    return (*finest, "box") if boxes and annotation != "box" else finest
