"""Features of frozen networks: their distribution at every position, and a student that restores healthy ones."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_features._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
