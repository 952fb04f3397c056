"""Scenes: tiny datasets on disk and predictions for them, made with the same writers as real ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings

from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card, Dataset, open_images
from uadbench.files.predictions import PredictionWriter, open_predictions
from uadbench.files.results import Result
from uadbench.files.truth import TruthFile, open_truth
from uadbench.metrics.counting import rounded
from uadbench.protocols import Protocol
from uadbench.scoring import score
from uadbench.types import Images, Prediction, Truth

SIZE = 16
repeatable = settings(derandomize=True, deadline=None, max_examples=60)

Painter = Callable[[Images, Truth], Prediction]


def maps_and_masks(*, levels: int, seed: int, n: int = 4, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Read-only maps (n, 16, 16) with that many levels of value, a little higher where the masks are True."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, SIZE, SIZE)) < share
    maps = np.floor((rng.random(masks.shape) + 0.3 * masks) / 1.3 * levels).astype(np.float32) / np.float32(levels)
    maps.flags.writeable = masks.flags.writeable = False
    return maps, masks


def speckled(n: int, *, seed: int, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Rounded gamma noise with 2 % of pixels in anomalous squares of 3 x 3, many of them by themselves, 1 higher."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((n, size + 2, size + 2), bool)
    centres[:, 1:-1, 1:-1] = rng.random((n, size, size), np.float32) < 0.02 / 9
    masks = np.zeros((n, size, size), bool)
    for row, column in np.ndindex(3, 3):
        masks |= centres[:, row : row + size, column : column + size]
    return rounded(rng.standard_gamma(2.0, masks.shape, np.float32) + masks), masks


def constant(images: Images, truth: Truth) -> Prediction:
    """The same value everywhere."""
    return Prediction(np.full(truth.masks.shape, 0.1, np.float32), np.full(len(truth), 0.1))


def oracle(images: Images, truth: Truth) -> Prediction:
    """The masks as maps and the labels as scores."""
    return Prediction(truth.masks.astype(np.float32), truth.labels.astype(np.float64))


def noise(seed: int, *, lift: float = 1.0, shared: int = 99, own: float = 1.0) -> Painter:
    """Gamma noise, higher by `lift` in the masks; the part of `shared` is the same in every prediction."""

    def paint(images: Images, truth: Truth) -> Prediction:
        rngs = np.random.default_rng([shared, len(truth)]), np.random.default_rng([seed, len(truth)])
        both, alone = (rng.gamma(2.0, size=truth.masks.shape) for rng in rngs)
        maps = (both + own * alone + lift * truth.masks).astype(np.float32)
        return Prediction(maps, maps.mean(axis=(1, 2)).astype(np.float64) + 0.2 * lift * truth.labels)

    return paint


@dataclass(frozen=True, slots=True)
class Scene:
    """A dataset on disk with the rules that score it."""

    folder: Path
    rules: Protocol
    dataset: Dataset
    known: TruthFile

    @property
    def truth(self) -> Truth:
        """The truth of test."""
        return self.known["test"]

    def predict(
        self,
        painter: Painter,
        name: str = "one",
        *,
        order: slice = slice(None),
        provenance: Mapping[str, Any] | None = None,
    ) -> Path:
        """A sealed prediction file; `order` picks and orders the rows of both splits."""
        path = self.folder / f"{name}.predictions.h5"
        with PredictionWriter(path, self.provenance() | dict(provenance or {})) as writer:
            for split in ("val", "test"):
                source = self.dataset[split]
                painted = painter(source[: len(source)], self.known[split])
                made = None if painted.reconstructions is None else painted.reconstructions[order]
                writer.append(split, source.ids[order], Prediction(painted.maps[order], painted.scores[order], made))
        return path

    def provenance(self) -> dict[str, Any]:
        """What a prediction file for this dataset says of its making."""
        digests = self.dataset.digests
        named = {"name": self.dataset.card.name, "identity": digests.identity, "pixels": digests.pixels}
        return {"method": "painted", "seed": 0, "dataset": named}

    def stored(self, predictions: Path, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Maps and scores as they lie in the file, in the order of the images."""
        found = open_predictions(predictions)[split]
        order = [found.ids.index(one) for one in self.known[split].ids]
        return found.maps(slice(None))[order], found.scores[order]

    def score(self, predictions: Path) -> Result:
        """The result of these predictions."""
        return score(self.rules, self.dataset.path, self.known.path, predictions)


def scene(
    folder: Path,
    pathologies: Mapping[str, str] | None = None,
    *,
    each: int = 6,
    body: slice = slice(None),
    change: Callable[[str, Sample], Sample] = lambda split, one: one,
    rules: Mapping[str, Any] | None = None,
) -> Scene:
    """A dataset of `each` healthy images per split and `each` anomalous test images per pathology, one per subject.

    `pathologies` maps a name to its annotation level; `body` are the columns of the foreground; `change` edits any
    sample before it is written.
    """
    splits = {split: [_sample(f"{split}-{i}", body) for i in range(each)] for split in ("train", "val", "test")}
    for name, level in (pathologies or {"square": "mask"}).items():
        splits["test"] += [_sick(_sample(f"{name}-{i}", body), name, level, i) for i in range(each)]
    changed = {split: [change(split, one) for one in rows] for split, rows in splits.items()}
    card = Card("toy-v1", "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024")
    paths = write_dataset(Path(folder), card, changed)
    own = {"name": "toy-local", "title": "Toy", "dataset": "toy-v1", "primary": "image_auroc", "resamples": 200}
    return Scene(
        Path(folder), Protocol(**(own | dict(rules or {}))), open_images(paths.images), open_truth(paths.truth)
    )


def _sample(name: str, body: slice) -> Sample:
    foreground = np.zeros((SIZE, SIZE), bool)
    foreground[:, body] = True
    grey = np.random.default_rng(list(name.encode())).integers(60, 90, (1, SIZE, SIZE), dtype=np.uint8)
    return Sample(grey, foreground, name, name)


def _sick(healthy: Sample, name: str, level: str, place: int) -> Sample:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[2 + place % 6 : 6 + place % 6, 3:8] = True
    boxes = np.array([[3, 2 + place % 6, 5, 4]], np.float32) if level in ("mask", "box") else np.zeros((0, 4))
    marked = mask if level == "mask" else None
    return replace(healthy, label=1, pathology=name, annotation=level, mask=marked, boxes=boxes)


def rows_of(truth: Truth, pathologies: Sequence[str]) -> np.ndarray:
    """The healthy images and those of these pathologies, as a bool per image."""
    return ~truth.labels | np.isin(np.array(truth.pathologies), list(pathologies))
