"""Introspective autoencoders: the encoder judges what the decoder makes, and anomalies come back as healthy tissue."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_introspective._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
