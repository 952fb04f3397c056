"""Small made-up records for tests: protocols, results with draws, and the two files of a tiny dataset."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from uadbench.files.dataset import DatasetPaths, Sample, write_dataset
from uadbench.files.images import Card
from uadbench.files.predictions import PredictionWriter
from uadbench.files.results import OVERALL, Curve, DatasetDigests, ProtocolDigest, Result, Value
from uadbench.protocols import Protocol
from uadbench.types import Prediction

METRICS = ("image_auroc", "pixel_ap", "dice_at_fpr5")


def protocol(**changes: Any) -> Protocol:
    """A local protocol with three metrics, ranked by pixel AP."""
    rules = {"name": "toy-v1", "title": "A toy board", "dataset": "toy-v1", "primary": "pixel_ap", "metrics": METRICS}
    return Protocol(**(rules | changes))


def value(metric: str, number: float | None, stratum: str = OVERALL, **changes: Any) -> Value:
    """A metric value with an interval of 0.04 around it, or an undefined one."""
    bounds = {} if number is None else {"low": number - 0.02, "high": number + 0.02, "subjects": 20, "images": 40}
    return Value(**({"metric": metric, "stratum": stratum, "value": number} | bounds | changes))


def draws(number: float, *, seed: int = 0, spread: float = 0.01, count: int = 200) -> tuple[float, ...]:
    """Bootstrap values around a number."""
    return tuple((number + spread * np.random.default_rng(seed).standard_normal(count)).tolist())


def result(
    method: str = "ae",
    number: float = 0.4,
    *,
    seed: int = 0,
    rules: Protocol | None = None,
    provenance: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """A complete result whose metrics all have the value `number`, with draws of its own."""
    rules = rules or protocol()
    known = {
        "method": method,
        "title": method.upper(),
        "preset": "quick",
        "params": {},
        "seed": seed,
        "stochastic": False,
    }
    fields: dict[str, Any] = {
        "schema": "uadbench-result-v1",
        "protocol": ProtocolDigest(name=rules.name, digest=rules.digest, primary=rules.primary),
        "dataset": DatasetDigests(name="toy-v1", version="1", identity="1d" * 32, pixels="9e" * 32),
        "metric_version": "1",
        "provenance": known | dict(provenance or {}),
        "seal": f"{seed:02d}" * 32,
        "values": tuple(value(metric, number) for metric in rules.metrics),
        "draws": draws(number, seed=sum(method.encode())),
        "complete": (40, 40),
    }
    return Result(**(fields | changes))


def curve() -> Curve:
    """Three points from (0, 0) to (1, 1)."""
    return Curve(x=(0.0, 0.2, 1.0), y=(0.0, 0.7, 1.0))


def card(name: str = "toy-v1") -> Card:
    """The card of a made-up dataset."""
    return Card(name, "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024", notes=("Made up.",))


def sample(name: str, place: int, *, sick: bool = False, masked: bool = True, size: int = 24) -> Sample:
    """Grey noise; a sick one has a bright square with a box, and a mask or only the box."""
    square = np.zeros((size, size), bool)
    square[4 + place % 6 : 12 + place % 6, 5:13] = sick
    pixels = np.random.default_rng(place).integers(60, 90, (1, size, size), dtype=np.uint8)
    pixels[0, square] = 200
    plain = Sample(pixels, np.ones((size, size), bool), name, name)
    if not sick:
        return plain
    boxes = np.array([[5, 4 + place % 6, 8, 8]], np.float32)
    level, mask = ("mask", square) if masked else ("box", None)
    return replace(plain, label=1, pathology="square", annotation=level, mask=mask, boxes=boxes)


def toy_dataset(folder: Path, *, masked: bool = True, each: int = 6) -> DatasetPaths:
    """A dataset of `each` healthy images per split, and as many anomalous ones in test."""
    splits = {split: [sample(f"{split}-{i}", i) for i in range(each)] for split in ("train", "val", "test")}
    splits["test"] += [sample(f"sick-{i}", i, sick=True, masked=masked) for i in range(each)]
    return write_dataset(Path(folder), card(), splits)


def toy_predictions(path: Path, images: Any, *, seed: int = 0, **provenance: Any) -> Path:
    """A sealed prediction file whose maps are the images with noise; `images` is an opened dataset."""
    generator = np.random.default_rng(seed)
    digests = images.digests
    known = {"method": "intensity", "seed": seed, "dataset": {"identity": digests.identity, "pixels": digests.pixels}}
    with PredictionWriter(path, known | provenance) as writer:
        for split in ("val", "test"):
            batch = images[split][: len(images[split])]
            maps = batch.pixels.mean(axis=1) + generator.normal(0, 0.2, batch.foreground.shape).astype(np.float32)
            writer.append(split, batch.ids, Prediction(maps, maps.mean(axis=(1, 2)).astype(np.float64)))
    return path
