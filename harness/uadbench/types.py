"""The nouns that cross the seam between harness and plugin, as frozen records of numpy arrays.

Letters in the shapes: n images, c channels, h w pixels, b boxes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Float64

from uadbench.errors import ContractError, InvalidDataError


@dataclass(frozen=True, slots=True)
class Images:
    """Healthy or unknown images as a method sees them: intensities in [0, 1], no label anywhere.

    Raises:
        InvalidDataError: Shapes that disagree.
    """

    pixels: Float32[np.ndarray, "n c h w"]
    foreground: Bool[np.ndarray, "n h w"]
    ids: tuple[str, ...]
    subjects: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4:
            raise InvalidDataError(f"Images: pixels have shape {self.pixels.shape}. Give (n, c, h, w).")
        n, _, h, w = self.pixels.shape
        if self.foreground.shape != (n, h, w) or len(self.ids) != n or len(self.subjects) != n:
            raise InvalidDataError(
                f"Images: pixels {self.pixels.shape}, foreground {self.foreground.shape}, {len(self.ids)} ids and "
                f"{len(self.subjects)} subjects disagree. Give one foreground (h, w), id and subject per image."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> "Images":
        return Images(self.pixels[rows], self.foreground[rows], self.ids[rows], self.subjects[rows])


class ImageSource(Protocol):
    """One split of a dataset, read lazily: `len(source)` images, `source[a:b]` loads some of them."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> Images: ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """Anomaly maps and scores of a batch, higher = more anomalous, any scale; float32 maps, float64 scores.

    Raises:
        ContractError: Shapes that disagree, or values that are not finite.
    """

    maps: Float32[np.ndarray, "n h w"]
    scores: Float64[np.ndarray, " n"]
    reconstructions: Float32[np.ndarray, "n c h w"] | None = None

    def __post_init__(self) -> None:
        maps, scores = np.asarray(self.maps, np.float32), np.asarray(self.scores, np.float64)
        if maps.ndim != 3 or scores.shape != maps.shape[:1]:
            raise ContractError(
                f"Prediction: maps {maps.shape} and scores {scores.shape} disagree. "
                "Return maps of shape (n, h, w) and scores of shape (n,)."
            )
        _require_finite("maps", maps)
        _require_finite("scores", scores)
        object.__setattr__(self, "maps", maps)
        object.__setattr__(self, "scores", scores)
        if self.reconstructions is not None:
            self._check_reconstructions(np.asarray(self.reconstructions, np.float32))

    def _check_reconstructions(self, reconstructions: np.ndarray) -> None:
        n, h, w = self.maps.shape
        shape = reconstructions.shape
        if reconstructions.ndim != 4 or (shape[0], *shape[2:]) != (n, h, w):
            raise ContractError(
                f"Prediction: reconstructions {shape} do not fit maps {self.maps.shape}. Return (n, c, h, w)."
            )
        _require_finite("reconstructions", reconstructions)
        object.__setattr__(self, "reconstructions", reconstructions)


def _require_finite(what: str, array: np.ndarray) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        wrong = np.argwhere(~finite)
        place = tuple(int(i) for i in wrong[0])
        raise ContractError(
            f"Prediction: {what} hold {len(wrong)} values that are not finite, the first {array[place]} at {place}. "
            "Return finite numbers; look for a division by zero or an overflow."
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is: `done` of `total` in `unit` (epochs, images), with an optional message."""

    done: int
    total: int
    unit: str
    message: str = ""


def _silent(progress: Progress) -> None:
    """The default report: nobody listens."""


CHECKPOINT_SUFFIX = ".checkpoint"


@dataclass(frozen=True, slots=True)
class FitContext:
    """What the harness gives a method beside the images.

    `seed` is the only source of randomness; `device` is a torch device string ("cpu", "cuda:0"); `precision` is
    "float32" or "bfloat16"; `workdir` is a folder for temporary files: empty, but for the `*.checkpoint` files that the
    same run wrote before it was cut off.
    """

    seed: int
    device: str
    precision: str
    workdir: Path
    report: Callable[[Progress], None] = _silent


class Detector(Protocol):
    """A fitted method. What it returns must not depend on batch size, order or neighbours in the batch."""

    def predict(self, images: Images) -> Prediction: ...

    def save(self, folder: Path) -> None: ...


class Method(Protocol):
    """A frozen dataclass; its fields are its parameters. `fit` returns a new Detector and changes nothing."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Detector: ...

    @classmethod
    def load(cls, folder: Path, device: str) -> Detector: ...


class Inpainter(Protocol):
    """Optional: a detector that can also replace the pixels where a mask is True by healthy tissue."""

    def inpaint(self, images: Images, masks: Bool[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n c h w"]: ...


ANNOTATIONS = ("none", "image", "box", "mask")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is wrong in each image of one split, in the order of the images file.

    `labels` True = anomalous; `annotations` is the finest annotation of an image; `boxes` are (x, y, w, h) in pixels
    from the top-left corner and `box_images` the index of the image each box lies in, `box_pathologies` its class where
    boxes have one. `ignored` boxes, of the images `ignored_images`, are neither searched for nor healthy tissue. A
    healthy image has pixel truth: nothing is anomalous.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    labels: Bool[np.ndarray, " n"]
    pathologies: tuple[str, ...]
    annotations: tuple[str, ...]
    masks: Bool[np.ndarray, "n h w"]
    boxes: Float32[np.ndarray, "b 4"] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    box_images: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    clean: Float32[np.ndarray, "n c h w"] | None = None
    names: tuple[str, ...] = ()
    box_pathologies: tuple[str, ...] = ()
    ignored: Float32[np.ndarray, "i 4"] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    ignored_images: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_pixel_truth(self) -> Bool[np.ndarray, " n"]:
        """Images whose every pixel is known: the healthy ones and those with a mask."""
        return ~self.labels | (np.array(self.annotations, dtype=object) == "mask")
