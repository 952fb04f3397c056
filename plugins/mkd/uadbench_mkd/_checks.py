"""Refusing parameters out of range, and images that the networks cannot see."""

from typing import Protocol

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support.reconstructing import require_multiple
from uadbench_mkd._networks import STRIDE, require_teacher

LOCALISATIONS = ("guided", "gradient", "smooth", "features")
AT_LEAST = (("width", 1), ("block", 1), ("smooth_samples", 1), ("smooth_noise", 0), ("mse_weight", 0), ("sigma", 0))


class Distilling(Protocol):
    """The parameters that are checked."""

    @property
    def teacher(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def localisation(self) -> str: ...


def require_distilling(method: Distilling) -> None:
    """Refuses what networks, loss or map cannot do.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
        UnknownNameError: No such teacher.
    """
    require_teacher(method.teacher)
    require_multiple("mkd", method.size, STRIDE)
    if method.localisation not in LOCALISATIONS:
        raise ParameterError(f"localisation is {method.localisation!r}. Give one of {', '.join(LOCALISATIONS)}.")
    if not method.lr > 0:
        raise ParameterError(f"lr is {method.lr}. Give a learning rate above 0, such as 1e-3.")
    for name, least in AT_LEAST:
        value = getattr(method, name)
        if not value >= least:
            raise ParameterError(f"{name} is {value}. Give at least {least}.")


def require_visible(shape: tuple[int, int, int]) -> None:
    """Refuses images that are neither grey nor RGB, or smaller than what one place of the coarsest level sees.

    Raises:
        InvalidDataError: Names channels or sizes.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise InvalidDataError(f"mkd: images have {channels} channels; the teacher sees 1 (grey) or 3 (RGB).")
    if min(height, width) < STRIDE:
        raise InvalidDataError(
            f"mkd: images of {height} x {width} px are smaller than the stride of the teacher's coarsest level, "
            f"{STRIDE} px. Give larger images."
        )
