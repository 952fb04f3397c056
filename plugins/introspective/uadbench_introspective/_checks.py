"""Refusing parameters out of range, in sentences that both methods share."""

from uadbench.errors import ParameterError
from uadbench_introspective._networks import SIZES
from uadbench_introspective._training import Introspective, schedule

SAMPLINGS = ("mean", "sample")
AT_LEAST_ONE = ("latent", "width", "block")
AT_LEAST_ZERO = ("beta_rec", "beta_kl", "beta_neg", "gamma_r")


def require_introspective(name: str, method: Introspective) -> None:
    """Checks what both methods have.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
    """
    schedule(method)
    if method.size not in SIZES:
        raise ParameterError(f"{name}: size is {method.size}. The network halves it down to 4: give one of {SIZES}.")
    if method.test_sampling not in SAMPLINGS:
        raise ParameterError(f"test_sampling is {method.test_sampling!r}. Give one of {', '.join(SAMPLINGS)}.")
    if not method.lr > 0:
        raise ParameterError(f"lr is {method.lr}. Give a learning rate above 0, such as 5e-5.")
    for field in AT_LEAST_ONE:
        require_at_least(method, field, 1)
    for field in AT_LEAST_ZERO:
        require_at_least(method, field, 0)


def require_at_least(method: object, field: str, least: float) -> None:
    """Refuses a parameter below `least`, and NaN.

    Raises:
        ParameterError: Names both.
    """
    value = getattr(method, field)
    if not value >= least:
        raise ParameterError(f"{field} is {value}. Give at least {least}.")
