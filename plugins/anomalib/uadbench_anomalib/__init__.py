"""anomalib's image models: every one that is installed, under the name `anomalib:<model>`."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl
from uadbench_anomalib._presets import offered


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The models of the installed anomalib, found without importing it.

    Raises:
        EnvironmentProblemError: anomalib is not installed, or of another major version than 2.
    """
    return offered()
