"""MorphAEus: an autoencoder of healthy anatomy whose reconstruction is deformed to fit the image."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_morphaeus._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
