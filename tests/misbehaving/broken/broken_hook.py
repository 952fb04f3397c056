"""A plugin whose hook returns names instead of specs."""

from uadbench.hookspecs import hookimpl


@hookimpl
def uadbench_methods() -> list[str]:
    """No MethodSpec."""
    return ["patchcore"]
