"""Refusing parameters out of range."""

from typing import Protocol

from uadbench.errors import ParameterError
from uadbench_morphaeus._networks import SIZES

INFERENCES = ("x_morph", "x_rec")


class Morphing(Protocol):
    """The parameters that are checked."""

    @property
    def size(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def block(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def perceptual_weight(self) -> float: ...
    @property
    def morph(self) -> bool: ...
    @property
    def morph_from(self) -> int: ...
    @property
    def ramp_epochs(self) -> int: ...
    @property
    def inference(self) -> str: ...


def require_morphing(method: Morphing) -> None:
    """Refuses what the networks, the losses or the schedule cannot do.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
    """
    if method.size not in SIZES:
        raise ParameterError(f"morphaeus: size is {method.size}. The network halves it down to 1: give one of {SIZES}.")
    if method.inference not in INFERENCES:
        raise ParameterError(f"inference is {method.inference!r}. Give one of {', '.join(INFERENCES)}.")
    if not method.lr > 0:
        raise ParameterError(f"lr is {method.lr}. Give a learning rate above 0, such as 5e-4.")
    for name, least in (("width", 1), ("block", 1), ("ramp_epochs", 1), ("morph_from", 0), ("perceptual_weight", 0)):
        value = getattr(method, name)
        if not value >= least:
            raise ParameterError(f"{name} is {value}. Give at least {least}.")
    if method.morph:
        _require_time_to_deform(method)


def _require_time_to_deform(method: Morphing) -> None:
    """Refuses trainings that end, or may end, before the deformation is learned."""
    begins = method.morph_from
    if begins >= method.epochs:
        raise ParameterError(
            f"morphaeus: epochs is {method.epochs} and morph_from {begins}, so that no deformation is learned. Give "
            f"epochs above {begins}, a lower morph_from, or morph=false."
        )
    if 0 < method.patience <= begins:
        raise ParameterError(
            f"morphaeus: patience is {method.patience} and morph_from {begins}: training could end before a "
            f"deformation is learned. Give a patience above {begins}, or 0 to train all epochs."
        )
