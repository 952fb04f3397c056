"""Packing: anomaly maps that any code made, one file per image, become a sealed prediction file.

What the file says of its making is what its packer says; its provenance marks it `external`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from uadbench import __version__, plugins
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.digest import digest_texts
from uadbench.files.images import Dataset, open_images
from uadbench.files.maps import EXTENSIONS, extension, read_array
from uadbench.files.predictions import PREDICTED_SPLITS, PredictionWriter
from uadbench.files.scores import read_scores
from uadbench.fitting import BATCH, versions_of
from uadbench.types import Prediction

EXTERNAL = "external"
# A reconstruction may overshoot [0, 1] a little; beyond this it has another scale.
FARTHEST = 2.0


@dataclass(frozen=True, slots=True)
class ExternalMethod:
    """What made the maps, in its packer's words, and the seed it was run with.

    Seeds that share name, title, paper and code are one row. `stochastic` = another seed would make other maps.

    Raises:
        UsageError: A name that is no plain word, or a negative seed.
    """

    name: str
    title: str = ""
    paper: str = ""
    code: str = ""
    seed: int = 0
    stochastic: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", self.name):
            raise UsageError(
                f"Method name {self.name!r}: give up to 64 letters, digits, dots, plus, minus or underscores, "
                "such as my-vae."
            )
        if self.seed < 0:
            raise UsageError(f"Seed {self.seed} of {self.name}: give a whole number from 0 on.")

    @property
    def version(self) -> str:
        """Digest that two methods of one name differ in, by their title, paper or code."""
        return digest_texts([self.title, self.paper, self.code])[:12]


def pack_predictions(
    maps: Path,
    images: Dataset | Path,
    out: Path,
    method: ExternalMethod,
    *,
    scores: Path | None = None,
    reconstructions: Path | None = None,
) -> Path:
    """Seal the maps in a folder as the prediction file `out`, and return its path.

    The folder holds one file `<id>.<extension>` per image of val and test, see `uadbench.files.maps`; hidden files and
    other extensions are passed over. Without `scores` (CSV with columns id, score) the score of an image is the mean
    of its map. Reconstructions are intensities in [0, 1] like the images, or uint8 or uint16 that stand for them.

    Raises:
        UsageError: The method's name is that of an installed method.
        InvalidDataError: A file or score is missing, unknown, twice there, unreadable, of another size or not finite.
        MissingLibraryError: NIfTI without nibabel.
        EnvironmentProblemError: No space left.
    """
    _require_free(method.name)
    dataset = images if isinstance(images, Dataset) else open_images(images)
    ids = [identity for split in PREDICTED_SPLITS for identity in dataset[split].ids]
    sources = _Sources(
        shape=dataset["test"].shape,
        maps=_files(Path(maps), ids, dataset.card.name),
        reconstructions=_files(Path(reconstructions), ids, dataset.card.name) if reconstructions else None,
        scores=read_scores(Path(scores), ids) if scores else None,
    )
    with PredictionWriter(Path(out), _provenance(method, dataset, given=scores is not None)) as writer:
        for split in PREDICTED_SPLITS:
            for start in range(0, len(dataset[split]), BATCH):
                batch = dataset[split].ids[start : start + BATCH]
                writer.append(split, batch, sources.prediction(batch))
    return Path(out)


def _require_free(name: str) -> None:
    for known, installed in plugins.registry().methods().items():
        if known.lower() == name.lower():
            raise UsageError(
                f"The name {known!r} is taken by {installed.origin.distribution} {installed.origin.version} (see "
                "`uadbench list methods`). Give maps made elsewhere a name of their own."
            )


def _files(folder: Path, ids: Sequence[str], dataset: str) -> Mapping[str, Path]:
    """The file of each id."""
    if not folder.is_dir():
        raise InvalidDataError(f"{folder}: no such folder. Give the folder that holds one file per image.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not extension(path) or path.name.startswith("."):
            continue
        identity = path.name.removesuffix(extension(path))
        if identity in found:
            raise InvalidDataError(f"{path}: {found[identity].name} is there for the same image. Keep one of the two.")
        found[identity] = path
    missing, foreign = [one for one in ids if one not in found], sorted(set(found) - set(ids))
    if missing:
        raise InvalidDataError(
            f"{folder}: {len(missing)} of {len(ids)} files are missing, the first {_first(missing)}. Name each file by "
            f"its id (`uadbench data show {dataset} --ids all`) and one of {', '.join(EXTENSIONS)}."
        )
    if foreign:
        raise InvalidDataError(
            f"{found[foreign[0]]}: no image of val or test of {dataset} has this id. "
            f"{len(foreign)} such files are there, the first {_first(foreign)}. Move them away."
        )
    return found


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3])


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the prediction of each id is to be read, and the images' shape (c, h, w)."""

    shape: tuple[int, int, int]
    maps: Mapping[str, Path]
    reconstructions: Mapping[str, Path] | None
    scores: Mapping[str, float] | None

    def prediction(self, ids: Sequence[str]) -> Prediction:
        """The prediction of these images."""
        maps = np.stack([_finite(self.maps[one], self._map(self.maps[one])) for one in ids])
        known = self.scores
        scores = np.array([known[one] for one in ids]) if known else maps.mean(axis=(1, 2), dtype=np.float64)
        files = self.reconstructions
        made = np.stack([_finite(files[one], self._intensities(files[one])) for one in ids]) if files else None
        return Prediction(maps, scores, made)

    def _map(self, path: Path) -> np.ndarray:
        array = read_array(path)
        if array.shape != self.shape[1:]:
            raise InvalidDataError(
                f"{path}: holds an array {array.shape}, but the images are {self.shape[1:]}. "
                "Write one map (h, w) of the images' size."
            )
        return array

    def _intensities(self, path: Path) -> np.ndarray:
        array = read_array(path)
        if (1, *array.shape) == self.shape:
            array = array[None]  # (h, w) -> (c, h, w)
        if array.shape != self.shape:
            raise InvalidDataError(
                f"{path}: holds an array {array.shape}, but the images are {self.shape}. "
                "Write one reconstruction (c, h, w) of the images' size."
            )
        scale = np.iinfo(array.dtype).max if array.dtype in (np.uint8, np.uint16) else 1
        intensities = array / scale
        if np.abs(intensities).max() > FARTHEST:
            raise InvalidDataError(
                f"{path}: holds {np.abs(intensities).max():g}, but intensities are in [0, 1]. "
                "Scale it as the images are."
            )
        return intensities


def _finite(path: Path, array: np.ndarray) -> Float32[np.ndarray, "..."]:
    with np.errstate(over="ignore"):
        plain = array.astype(np.float32)
    wrong = int((~np.isfinite(plain)).sum())
    if wrong:
        raise InvalidDataError(
            f"{path}: {wrong} values are not finite as float32. Look for a division by zero, and write finite numbers."
        )
    return plain


def _provenance(method: ExternalMethod, dataset: Dataset, *, given: bool) -> dict[str, Any]:
    digests = dataset.digests
    return {
        "method": method.name,
        "title": method.title or method.name,
        "paper": method.paper,
        "code": method.code,
        "external": True,
        "canary": False,
        "stochastic": method.stochastic,
        "distribution": EXTERNAL,
        "distribution_version": method.version,
        "harness_version": __version__,
        "preset": EXTERNAL,
        "params": {},
        "seed": method.seed,
        "score": "given" if given else "mean of map",
        "dataset": {
            "name": dataset.card.name,
            "version": dataset.card.version,
            "identity": digests.identity,
            "pixels": digests.pixels,
        },
        "versions": versions_of(("numpy", "h5py")),
        "hardware": {},
    }
