"""What a user decides about an import."""

import importlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

from uadbench.datasets.manifest.pictures import FOREGROUNDS
from uadbench.errors import MissingLibraryError, UsageError


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a manifest becomes a dataset.

    `where` filters rows by an expression over the columns; `divide_by` names the column whose value becomes intensity
    1; `size` is the side in pixels (None keeps square images of one size); `spacing_mm` is that of the written images;
    `csv` is a manifest outside the source; `notes` are what every board should say of the dataset.

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
        if self.size is not None and not 1 <= self.size <= 8192:
            raise UsageError(f"--size {self.size}: give a side of 1 to 8192 pixels.")
        if self.spacing_mm is not None and not (math.isfinite(self.spacing_mm) and self.spacing_mm > 0):
            raise UsageError(f"--spacing-mm {self.spacing_mm}: give millimetres above 0, or leave it out if unknown.")
        if self.foreground not in FOREGROUNDS:
            raise UsageError(f"--foreground {self.foreground!r} is none of {', '.join(FOREGROUNDS)}.")


def require_libraries() -> None:
    """Refuses to start without the libraries of the extra `import`.

    Raises:
        MissingLibraryError: Names the first that is missing.
    """
    for module in ("pandas", "skimage", "PIL"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingLibraryError(
                f"An import needs {module}, which does not load ({error}). Run `pip install 'uadbench[import]'`."
            ) from error
