"""Refusing parameters out of range, in sentences that every method of this package shares."""

from typing import Protocol

from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import require_multiple
from uadbench.torch_support.residuals import require_residual
from uadbench.torch_support.training import Schedule


class Trained(Protocol):
    """The parameters that every method here has."""

    @property
    def size(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def residual(self) -> str: ...
    @property
    def block(self) -> int: ...


def require_training(name: str, method: Trained, *, multiple: int) -> None:
    """Checks what every method has; `multiple` is how much its network shrinks a side.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
    """
    Schedule(method.epochs, method.batch)
    require_positive("lr", method.lr, "a learning rate above 0, such as 0.001")
    require_at_least("block", method.block, 1)
    require_multiple(name, method.size, multiple)
    require_residual(method.residual)


def require_latent(latent: int) -> None:
    """Refuses a latent of no numbers.

    Raises:
        ParameterError: `latent` is below 1.
    """
    require_at_least("latent", latent, 1)


def require_at_least(name: str, value: float, least: float) -> None:
    """Refuses what is below `least`.

    Raises:
        ParameterError: Names both.
    """
    if value < least:
        raise ParameterError(f"{name} is {value}. Give at least {least}.")


def require_positive(name: str, value: float, remedy: str) -> None:
    """Refuses 0, what is below it, and NaN.

    Raises:
        ParameterError: With the remedy.
    """
    if not value > 0:
        raise ParameterError(f"{name} is {value}. Give {remedy}.")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuses a word that is no choice.

    Raises:
        ParameterError: Lists the choices.
    """
    if value not in choices:
        raise ParameterError(f"{name} is {value!r}. Give one of {', '.join(choices)}.")
