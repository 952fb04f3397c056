"""Reading: maps, reconstructions and images by row of the images file, whatever the order of the prediction file."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from uadbench.files.images import SplitSource
from uadbench.files.predictions import StoredPredictions
from uadbench.types import Truth

HEALTHY = "healthy"
_ROWS = 32
_KEPT_BYTES = 256 * 2**20

Rows = Int[np.ndarray, " r"]


class MapReader:
    """The maps of one split by row of the images file, with the pixels that count.

    A split of at most 256 MiB of maps is read once and kept; a larger one is read in blocks each time.
    """

    def __init__(self, source: SplitSource, predictions: StoredPredictions, pixels: str) -> None:
        place = {one: i for i, one in enumerate(predictions.ids)}
        self._order = np.array([place[one] for one in source.ids])
        self._predictions, self._pixels, self.source = predictions, pixels, source
        self.foreground = source.foreground()
        self.scores = predictions.scores[self._order]
        self._kept: Float[np.ndarray, "n h w"] | None = None
        if 4 * self.foreground.size <= _KEPT_BYTES:
            self._kept = self._read(np.arange(len(self.scores)))

    def __len__(self) -> int:
        return len(self.scores)

    def maps(self, rows: Rows) -> Float[np.ndarray, "r h w"]:
        """The maps of these rows, in their order."""
        return self._read(rows) if self._kept is None else self._kept[rows]

    def _read(self, rows: Rows) -> Float[np.ndarray, "r h w"]:
        stored = self._order[rows]
        ascending = np.argsort(stored)
        maps = np.empty((len(rows), *self._predictions.shape), np.float32)
        wanted = stored[ascending]
        together = wanted[-1] - wanted[0] + 1 == len(wanted)  # a slice reads several times faster than a list of rows
        maps[ascending] = self._predictions.maps(slice(wanted[0], wanted[-1] + 1) if together else wanted)
        return maps

    def reconstruction(self, row: int) -> Float[np.ndarray, "c h w"] | None:
        """The reconstruction of this row, or None where the method makes none."""
        place = int(self._order[row])
        found = self._predictions.reconstructions(slice(place, place + 1))
        return None if found is None else found[0]

    def counted(self, rows: Rows) -> Bool[np.ndarray, "r h w"]:
        """The pixels of these rows that the protocol counts."""
        if self._pixels == "foreground":
            return self.foreground[rows]
        return np.ones((len(rows), *self._predictions.shape), bool)


def blocks(rows: Int[np.ndarray, " n"]) -> Iterator[Rows]:
    """The rows in parts small enough to hold their maps."""
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def kinds(truth: Truth) -> list[str]:
    """The kind of each image: its pathology, with the classes of its boxes where these say more."""
    classes: list[set[str]] = [set() for _ in truth.ids]
    # without classes there is nothing to zip
    for row, name in zip(truth.box_images, truth.box_pathologies, strict=False):
        classes[row].add(name)
    return [
        f"{pathology}: {', '.join(sorted(some))}" if some - {pathology} else pathology
        for pathology, some in zip(truth.pathologies, classes, strict=True)
    ]


def groups(truth: Truth) -> dict[str, Bool[np.ndarray, " n"]]:
    """Rows of the healthy images and of each kind of anomalous ones, by name, healthy first; each image is in one."""
    kind = np.array(kinds(truth), dtype=object)
    found = {HEALTHY: ~truth.labels}
    for name in sorted(set(kind[truth.labels])):
        found[name] = truth.labels & (kind == name)
    return found


def shown(truth: Truth) -> dict[str, tuple[str, ...]]:
    """The groups whose images show a pathology, by its name: as that of the image, or as the class of a box in it."""
    kind, found = kinds(truth), dict[str, set[str]]()
    for row in np.flatnonzero(truth.labels):
        found.setdefault(truth.pathologies[row], set()).add(kind[row])
    for row, name in zip(truth.box_images, truth.box_pathologies, strict=False):
        found.setdefault(name, set()).add(kind[row])
    return {name: tuple(sorted(found[name])) for name in sorted(found)}
