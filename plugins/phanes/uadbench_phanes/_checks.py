"""Refusing parameters and images that the method cannot work with, in sentences."""

from typing import Any

from uadbench import ImageSource
from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support.feature_losses import require_losses
from uadbench.torch_support.perceptual import require_distance
from uadbench.torch_support.reconstructing import require_same_channels
from uadbench.torch_support.weights import require_kind
from uadbench_phanes._detector import THRESHOLDS
from uadbench_phanes._inpainting import SMALLEST, STRIDE
from uadbench_phanes._losses import NAMES

AT_LEAST_ONE = ("width", "blocks", "block")
AT_LEAST_ZERO = ("style", "perceptual", "adversarial")


def require_parameters(method: Any) -> None:
    """Refuses a size, weight or name that does not fit.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
        UnknownNameError: No such perceptual distance or features.
    """
    if method.size < SMALLEST or method.size % STRIDE:
        raise ParameterError(
            f"phanes: size is {method.size}. The generator takes multiples of {STRIDE} from {SMALLEST} on."
        )
    if not method.lr > 0:
        raise ParameterError(f"lr is {method.lr}. Give a learning rate above 0, such as 5e-5.")
    if method.threshold not in THRESHOLDS:
        raise ParameterError(f"threshold is {method.threshold!r}. Give one of {', '.join(THRESHOLDS)}.")
    for least, fields in ((1, AT_LEAST_ONE), (0, AT_LEAST_ZERO)):
        for field in fields:
            if not getattr(method, field) >= least:
                raise ParameterError(f"{field} is {getattr(method, field)}. Give at least {least}.")
    require_distance(method.distance)
    require_losses(method.features, NAMES)
    require_kind(method.weights)


def require_images(train: ImageSource, val: ImageSource) -> None:
    """Refuses images that the networks behind losses and map cannot see.

    Raises:
        InvalidDataError: Not 1 or 3 channels, or others for validation than for training.
    """
    require_same_channels(train, val)
    channels = train.shape[0]
    if channels not in (1, 3):
        raise InvalidDataError(
            f"phanes: images have {channels} channels; its features see 1 (grey) or 3 (RGB). Convert them."
        )
