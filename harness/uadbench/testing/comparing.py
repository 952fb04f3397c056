"""Two predictions side by side: the same bit by bit, and in the shape of their images."""

import numpy as np

from uadbench.errors import ContractError
from uadbench.testing.case import Case
from uadbench.types import Images, Prediction


def require_map_shape(subject: Case, images: Images, found: Prediction) -> None:
    """Refuses maps that are not one (h, w) per image."""
    n, _, h, w = images.pixels.shape
    if found.maps.shape != (n, h, w):
        raise ContractError(
            f"{subject.name}: images {images.pixels.shape} gave maps {found.maps.shape}. Return one map ({h}, {w}) per "
            "image: average over channels, resize or pad back to the size of the image."
        )


def require_reconstruction_shape(subject: Case, images: Images, found: Prediction) -> None:
    """Refuses reconstructions that are not shaped like the images."""
    if found.reconstructions is not None and found.reconstructions.shape != images.pixels.shape:
        raise ContractError(
            f"{subject.name}: images {images.pixels.shape} gave reconstructions {found.reconstructions.shape}. "
            "Return them in the shape of the images."
        )


def require_same(expected: Prediction, found: Prediction, what: str, remedy: str) -> None:
    """Refuses two predictions that differ in any bit."""
    for name in ("maps", "scores", "reconstructions"):
        left, right = getattr(expected, name), getattr(found, name)
        if left is None and right is None:
            continue
        if left is None or right is None or left.shape != right.shape:
            raise ContractError(f"{what}: {name} are there once and not twice, or change shape. {remedy}")
        if not np.array_equal(left, right):
            largest = np.abs(left.astype(np.float64) - right).max()
            raise ContractError(f"{what}: {name} by up to {largest:.3g}. {remedy}")


def joined(parts: list[Prediction], *, reverse: bool) -> Prediction:
    """The predictions of several batches as one, in reverse order if asked."""

    def join(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)[:: -1 if reverse else 1]

    reconstructions = [part.reconstructions for part in parts if part.reconstructions is not None]
    return Prediction(
        join([part.maps for part in parts]),
        join([part.scores for part in parts]),
        join(reconstructions) if len(reconstructions) == len(parts) else None,
    )
