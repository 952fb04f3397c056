"""AnoDDPM: a diffusion model of healthy images, whose noise is as coarse as lesions are."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_anoddpm._presets import METHODS


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    return METHODS
