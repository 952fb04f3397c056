"""Multiresolution knowledge distillation: a small student of healthy images departs from its teacher on others."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_mkd._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
