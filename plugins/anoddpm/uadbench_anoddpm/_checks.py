"""Refusing parameters out of range."""

from typing import Protocol

from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import require_multiple
from uadbench.torch_support.residuals import require_residual
from uadbench_anoddpm._diffusion import STEPS
from uadbench_anoddpm._network import IN_A_GROUP, Shaped

NOISES = ("simplex", "gaussian")
SAMPLERS = ("ddpm", "ddim")
AT_LEAST = {"octaves": 1, "clip_norm": 0, "block": 1}
ABOVE_ZERO = {"lr": "a learning rate, such as 1e-4", "frequency": "pixels, such as 64", "persistence": "such as 0.8"}


class Diffusing(Protocol):
    """The parameters that are checked, beside those of the network."""

    @property
    def ema_decay(self) -> float: ...
    @property
    def trained_to(self) -> int: ...
    @property
    def noised_to(self) -> int: ...
    @property
    def noise(self) -> str: ...
    @property
    def sampler(self) -> str: ...
    @property
    def ddim_steps(self) -> int: ...
    @property
    def residual(self) -> str: ...


def require_diffusing(method: Diffusing) -> None:
    """Refuses what noising, training or sampling cannot do.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
        UnknownNameError: No residual has the name.
    """
    for name, least in AT_LEAST.items():
        _require(getattr(method, name) >= least, name, getattr(method, name), f"at least {least}")
    for name, remedy in ABOVE_ZERO.items():
        _require(getattr(method, name) > 0, name, getattr(method, name), f"more than 0: {remedy}")
    decay = method.ema_decay
    _require(0 <= decay < 1, "ema_decay", decay, "0, for the last weights, up to below 1, such as 0.9999")
    _require_steps(method)
    _require(method.noise in NOISES, "noise", repr(method.noise), "one of " + ", ".join(NOISES))
    _require(method.sampler in SAMPLERS, "sampler", repr(method.sampler), "one of " + ", ".join(SAMPLERS))
    require_residual(method.residual)


def require_shape(shape: Shaped) -> None:
    """Refuses a network that cannot be built.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
    """
    for name in ("res_blocks", "heads"):
        _require(getattr(shape, name) >= 1, name, getattr(shape, name), "at least 1")
    whole = bool(shape.multipliers) and all(type(times) is int and times >= 1 for times in shape.multipliers)
    _require(whole, "multipliers", shape.multipliers, "at least one, each 1 or more")
    width = shape.width
    _require(width >= IN_A_GROUP and width % IN_A_GROUP == 0, "width", width, f"a multiple of {IN_A_GROUP}")
    _require(width % shape.heads == 0, "heads", shape.heads, f"a divisor of width, {width}")
    require_multiple("anoddpm", shape.size, 2 ** (len(shape.multipliers) - 1))


def _require_steps(method: Diffusing) -> None:
    """The network must have seen the noise that it is to take out."""
    most = method.trained_to
    _require(1 <= most <= STEPS, "trained_to", most, f"1 to {STEPS}")
    _require(1 <= method.noised_to <= most, "noised_to", method.noised_to, f"1 to {most}, trained_to")
    fits = 1 <= method.ddim_steps <= method.noised_to or method.sampler != "ddim"
    _require(fits, "ddim_steps", method.ddim_steps, f"1 to {method.noised_to}, noised_to")


def _require(holds: bool, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise ParameterError(f"{name} is {value}. Give {remedy}.")
