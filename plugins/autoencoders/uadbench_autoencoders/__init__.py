"""Autoencoders: what a network that has learned healthy images cannot reconstruct is anomalous."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_autoencoders._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
