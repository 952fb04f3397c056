"""From an image to a map, from a map to a score: what all canaries share."""

import numpy as np
from jaxtyping import Float32

from uadbench.errors import InvalidDataError
from uadbench.types import Images, Prediction


def grey(pixels: Float32[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n h w"]:
    """Mean over channels."""
    return pixels.mean(axis=1)


def scored_by_mean(maps: Float32[np.ndarray, "n h w"], reconstructions: np.ndarray | None = None) -> Prediction:
    """A prediction whose score is the mean of each map.

    One image at a time: a sum over a batch may add in another order, and the last bit would depend on the batch.
    """
    scores = np.array([np.ascontiguousarray(one).mean(dtype=np.float64) for one in maps], np.float64)
    return Prediction(maps, scores, reconstructions)


def require_shape(name: str, images: Images, fitted: tuple[int, ...]) -> None:
    """Refuses images of another shape than those fitted.

    Raises:
        InvalidDataError: With both shapes.
    """
    if images.pixels.shape[1:] != fitted:
        raise InvalidDataError(
            f"{name}: fitted on images of shape {fitted}, asked to predict {images.pixels.shape[1:]}. "
            "Predict images of the dataset it was fitted on, or fit it again."
        )
