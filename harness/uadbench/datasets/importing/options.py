"""What a user decides about the import of a folder of their own."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.errors import UsageError
from uadbench.files.images import Card


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a folder becomes a dataset.

    `size` is the side in pixels (None keeps square images of one size); `spacing_mm` is that of the written images;
    `notes` are what every board should say of the dataset. Of a manifest alone: `where` filters rows by an expression
    over the columns, `divide_by` names the column whose value becomes intensity 1, `csv` is one outside the source.

    Raises:
        UsageError: A name, size, spacing or foreground that does not fit, or no licence or citation.
    """

    name: str
    licence: str
    citation: str
    version: str = "1"
    modality: str = ""
    anatomy: str = ""
    spacing_mm: float | None = None
    notes: tuple[str, ...] = ()
    csv: Path | None = None
    where: str = ""
    divide_by: str = ""
    size: int | None = None
    foreground: str = "otsu"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", self.name):
            raise UsageError(f"--name {self.name!r}: use letters, digits and single dashes, as in 'brain-flair-v1'.")
        for option in ("licence", "citation"):
            if not getattr(self, option).strip():
                raise UsageError(
                    f"--{option} is empty: a dataset without it cannot be published. "
                    "State it, or say that it is not known and what follows."
                )
        if self.spacing_mm is not None and not (math.isfinite(self.spacing_mm) and self.spacing_mm > 0):
            raise UsageError(f"--spacing-mm {self.spacing_mm}: give millimetres above 0, or leave it out if unknown.")
        _ = self.recipe  # refuses what it does not know

    @property
    def recipe(self) -> Recipe:
        """How pictures become images."""
        rule = Normalisation("column", column=self.divide_by) if self.divide_by else Normalisation()
        return Recipe(size=self.size, foreground=self.foreground, normalisation=rule)

    @property
    def card(self) -> Card:
        """The card of the dataset, without its steps."""
        return Card(
            self.name, self.version, self.modality, self.anatomy, self.spacing_mm, self.licence.strip(),
            self.citation.strip(), notes=self.notes,
        )  # fmt: skip
