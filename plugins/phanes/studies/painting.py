"""PHANES GT: what PHANES paints under the true masks, as predictions that are scored like any others."""

from pathlib import Path

import numpy as np

from uadbench import Prediction, plugins
from uadbench.files.images import Dataset
from uadbench.files.predictions import PREDICTED_SPLITS, PredictionWriter, open_predictions
from uadbench.files.truth import TruthFile
from uadbench.runs.store import Run

BLOCK = 32  # images
NAME = "phanes-gt"


def painted(run: Run, images: Dataset, truth: TruthFile, device: str) -> Path:
    """The file, in the run's work folder. Map: |x - x_ph|, mean over channels; score: its mean.

    Raises:
        InvalidDataError: The run's detector was not kept.
    """
    path = run.folder / "work" / f"{NAME}.h5"
    record = run.record.spec
    detector = plugins.resolve(plugins.method(record.method).spec.target).load(run.detector, device)
    provenance = {**open_predictions(run.predictions).provenance, "method": NAME, "title": "PHANES with the true masks"}
    with PredictionWriter(path, provenance) as writer:
        for split in PREDICTED_SPLITS:
            for start in range(0, len(images[split]), BLOCK):
                block = images[split][start : start + BLOCK]
                healthy = detector.inpaint(block, truth[split].masks[start : start + BLOCK])
                maps = np.abs(block.pixels - healthy).mean(axis=1)  # (n, c, h, w) -> (n, h, w)
                writer.append(split, block.ids, Prediction(maps, maps.mean(axis=(1, 2), dtype=np.float64), healthy))
    return path
