"""A panorama: images before and after they were spoiled, and what each method makes of them, as one PNG."""

from collections.abc import Iterable

import numpy as np

from uadbench.board.drawing import Colours, grey, outlined, small_png
from uadbench.evidence import MapReader
from uadbench.files.images import Dataset
from uadbench.files.predictions import open_predictions
from uadbench.files.truth import TruthFile
from uadbench.runs.store import Run

GAP = 2  # px, white
MOST_BYTES = 400_000


def panorama(runs: Iterable[Run], images: Dataset, truth: TruthFile, suites: Iterable[str]) -> bytes:
    """One row per suite, of the anomalous image with the median area; one column per run after the first two."""
    known = truth["test"]
    readers = [MapReader(images["test"], open_predictions(run.predictions)["test"], "all") for run in runs]
    rows = []
    for suite in suites:
        mine = np.flatnonzero(np.array(known.pathologies) == suite)
        areas = known.masks[mine].sum(axis=(1, 2))
        row = int(mine[np.argsort(areas, kind="stable")[len(mine) // 2]])
        spoiled = images["test"][row : row + 1].pixels[0]
        made = [grey(seen) for reader in readers if (seen := reader.reconstruction(row)) is not None]
        rows.append([grey(known.clean[row]), outlined(spoiled, known.masks[row], np.empty((0, 4))), *made])
    whole = mosaic(rows)
    return small_png(whole, MOST_BYTES, longest=max(whole.shape))


def mosaic(rows: list[list[Colours]]) -> Colours:
    """Pictures of one size side by side and below each other, with white gaps."""
    framed = [[np.pad(one, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for one in row] for row in rows]
    return np.concatenate([np.concatenate(row, axis=1) for row in framed], axis=0)
