"""PHANES: what a first method finds is taken out of the image and painted anew as healthy tissue."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_phanes._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
