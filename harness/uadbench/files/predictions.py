"""The prediction file (layout v1): maps and scores for val and test, provenance, and a seal over all of it.

Maps are float32 rounded to 13 mantissa bits, so that ranking metrics can be counted exactly. A file that was not
sealed has another name (`.partial`) and is never scored.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files.containing import require_contained
from uadbench.files.digest import canonical_json, digest_array, digest_texts
from uadbench.files.layout import Draft, opened, read_texts, write_texts
from uadbench.metrics.counting import DROPPED_BITS, KEY_LEVELS, rounded
from uadbench.types import Prediction

SCHEMA = "uadbench-predictions-v1"
PREDICTED_SPLITS = ("val", "test")
FEW_LEVELS = 256
_TYPES = {"maps": np.float32, "reconstructions": np.float32, "scores": np.float64}


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 2000


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


# What boards and rows read of the provenance, which in a file from elsewhere is anybody's JSON.
_STATED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("seed", lambda value: type(value) is int and value >= 0, "a whole number from 0 on"),
    ("dataset", _is_object, "an object"),
    ("params", _is_object, "an object"),
    *(
        (key, _is_short_text, "a text of at most 2000 characters")
        for key in ("method", "title", "paper", "code", "distribution", "distribution_version", "preset")
    ),
)


class PredictionWriter:
    """Collects the predictions of a run, batch by batch, and seals them.

    Use as a context manager; leaving it well seals the file, leaving it by an error removes what was written. Maps of
    any code can be packed this way and scored like those of a plugin.

    Raises:
        InvalidDataError: An id twice, an unknown split, or maps of two sizes.
        EnvironmentProblemError: No space left.
    """

    def __init__(self, path: Path, provenance: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.provenance = dict(provenance)
        self._ids: dict[str, list[str]] = {}
        self._scores: dict[str, list[np.ndarray]] = {}
        self._draft = Draft(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.seal()
        finally:
            self._draft.discard()

    def append(self, split: str, ids: Sequence[str], prediction: Prediction) -> None:
        """Add the prediction of a batch of images to split "val" or "test"."""
        if split not in PREDICTED_SPLITS:
            raise InvalidDataError(f"{self.path}: split {split!r} is not predicted. Give 'val' or 'test'.")
        if len(ids) != len(prediction.scores):
            raise InvalidDataError(
                f"{self.path}: {len(ids)} ids for {len(prediction.scores)} predictions. Give one id each."
            )
        with self._draft.writing() as file:
            _extend(self.path, file, f"{split}/maps", rounded(prediction.maps))
            if prediction.reconstructions is not None:
                _extend(self.path, file, f"{split}/reconstructions", prediction.reconstructions)
        self._ids.setdefault(split, []).extend(ids)
        self._scores.setdefault(split, []).append(prediction.scores)

    def seal(self) -> str:
        """Write ids, scores, provenance and seal, give the file its name, and return the seal."""
        for split in PREDICTED_SPLITS:
            ids = self._ids.get(split, [])
            if not ids or len(set(ids)) != len(ids):
                raise InvalidDataError(
                    f"{self.path}: split {split!r} has {len(ids)} predictions of {len(set(ids))} images. "
                    "Predict every image of val and test once."
                )
            _require_reconstructions(self.path, self._draft.file[split], split, len(ids))
        with self._draft.writing() as file:
            for split in PREDICTED_SPLITS:
                write_texts(file[split], "ids", self._ids[split])
                file[split].create_dataset("scores", data=np.concatenate(self._scores[split]))
            file.attrs["schema"] = SCHEMA
            file.attrs["provenance"] = canonical_json(self.provenance)
            seal, file.attrs["distinct_values"] = _digest(file)
            file.attrs["seal"] = seal
        self._draft.finish()
        return seal


def _require_reconstructions(path: Path, group: h5py.Group, split: str, count: int) -> None:
    made = len(group["reconstructions"]) if "reconstructions" in group else count
    if made != count:
        raise InvalidDataError(
            f"{path}: split {split!r} has {made} reconstructions for {count} maps. Reconstruct every image, or none."
        )


def _extend(path: Path, file: h5py.File, name: str, rows: np.ndarray) -> None:
    if name not in file:
        file.create_dataset(
            name,
            data=rows,
            maxshape=(None, *rows.shape[1:]),
            chunks=(1, *rows.shape[1:]),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        return
    dataset = file[name]
    if dataset.shape[1:] != rows.shape[1:]:
        raise InvalidDataError(f"{path}: {name} of size {rows.shape[1:]} after {dataset.shape[1:]}. Keep one size.")
    dataset.resize(len(dataset) + len(rows), axis=0)
    dataset[-len(rows) :] = rows


def _blocks(dataset: h5py.Dataset, rows: int = 32) -> Iterator[np.ndarray]:
    for start in range(0, len(dataset), rows):
        yield _finite(dataset, slice(start, start + rows))


def _digest(file: h5py.File) -> tuple[str, int]:
    """The digest over all content, and the number of distinct values of the test maps, in one pass over the maps."""
    parts = [str(file.attrs["provenance"])]
    seen = np.zeros(KEY_LEVELS, bool)
    for split in PREDICTED_SPLITS:
        parts += [split, *read_texts(file[split], "ids"), digest_array(_finite(file[split]["scores"], slice(None)))]
        for name in ("maps", "reconstructions"):
            if name in file[split]:
                parts.append(name)
                for block in _blocks(file[split][name]):
                    parts.append(digest_array(block))
                    if (split, name) == ("test", "maps"):
                        seen[np.ascontiguousarray(block, np.float32).view(np.uint32) >> np.uint32(DROPPED_BITS)] = True
    return digest_texts(parts), int(seen.sum())


def _finite(dataset: h5py.Dataset, rows: slice) -> np.ndarray:
    """These rows, unless one is NaN or infinite: anybody can seal a file, so a seal alone promises nothing."""
    values = np.asarray(dataset[rows])
    if not np.isfinite(values).all():
        raise InvalidDataError(
            f"{dataset.file.filename}: {dataset.name} holds values that are not finite. Predict finite numbers."
        )
    return values


@dataclass(slots=True)
class StoredPredictions:
    """The predictions of one split; maps and reconstructions are read by rows when asked for."""

    path: Path
    split: str
    ids: tuple[str, ...]
    scores: np.ndarray
    shape: tuple[int, int]
    reconstructs: bool
    _file: h5py.File | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def _group(self) -> h5py.Group:
        if self._file is None:
            self._file = h5py.File(self.path, "r")
        return self._file[self.split]

    def maps(self, rows: slice | np.ndarray) -> np.ndarray:
        """Maps (n, h, w) of these rows; row numbers must ascend."""
        return np.asarray(self._group()["maps"][rows])

    def reconstructions(self, rows: slice | np.ndarray) -> np.ndarray | None:
        """Reconstructions (n, c, h, w) of these rows, or None where the method makes none."""
        return np.asarray(self._group()["reconstructions"][rows]) if self.reconstructs else None


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """An opened, sealed prediction file."""

    path: Path
    provenance: Mapping[str, Any]
    seal: str
    distinct_values: int
    splits: Mapping[str, StoredPredictions]

    def __getitem__(self, split: str) -> StoredPredictions:
        return self.splits[split]


def open_predictions(path: Path, *, verify: bool = True) -> PredictionFile:
    """The predictions at `path`, after layout and seal were checked.

    Raises:
        InvalidDataError: Missing, foreign, truncated, unsealed, or changed after sealing.
    """
    path = Path(path)
    with opened(path, SCHEMA) as file:
        require_contained(file)
        if "seal" not in file.attrs:
            raise InvalidDataError(
                f"{path}: the file is not sealed; the run that wrote it did not finish. Run it again."
            )
        seal = str(file.attrs["seal"])
        distinct_values = int(file.attrs["distinct_values"])
        splits = {split: _stored(path, file, split) for split in PREDICTED_SPLITS}
        if verify:
            _require_content(path, file, seal, distinct_values)
        provenance = _provenance(path, str(file.attrs["provenance"]))
        return PredictionFile(path, provenance, seal, distinct_values, splits)


def _provenance(path: Path, text: str) -> dict[str, Any]:
    """What the file says of its making, if it is said as our writer does: one canonical JSON object."""
    found = json.loads(text)
    if not isinstance(found, dict) or canonical_json(found) != text:
        raise InvalidDataError(f"{path}: the provenance is no canonical JSON object. Write it by PredictionWriter.")
    for key, fits, wanted in _STATED:
        if key in found and not fits(found[key]):
            raise InvalidDataError(f"{path}: the provenance says {key} = {str(found[key])[:80]!r}. Give {wanted}.")
    return found


def _require_content(path: Path, file: h5py.File, seal: str, stated: int) -> None:
    """Refuses content that the seal, or the number of distinct values that the file states, does not fit."""
    digest, counted = _digest(file)
    if digest != seal:
        raise InvalidDataError(
            f"{path}: the seal {seal[:12]} does not fit the content. "
            "The file is damaged or was changed after the run; delete it and run again."
        )
    if counted != stated:
        raise InvalidDataError(
            f"{path}: the file states {stated} distinct values of the test maps, which hold {counted}. "
            "It was changed after the run; delete it and run again."
        )


def _stored(path: Path, file: h5py.File, split: str) -> StoredPredictions:
    group = file[split]
    ids, scores, maps = read_texts(group, "ids"), group["scores"][:], group["maps"]
    if maps.ndim != 3 or len(maps) != len(ids) or scores.shape != (len(ids),):
        raise InvalidDataError(
            f"{path}: {split} holds maps {maps.shape}, scores {scores.shape} and {len(ids)} ids, "
            "which disagree. Delete it and run again."
        )
    for name, kind in _TYPES.items():
        if name in group and group[name].dtype != kind:
            raise InvalidDataError(
                f"{path}: {split}/{name} are {group[name].dtype}, not {np.dtype(kind)}. Write them by PredictionWriter."
            )
    _require_reconstructions(path, group, split, len(ids))
    return StoredPredictions(path, split, ids, scores, tuple(maps.shape[1:]), "reconstructions" in group)
