"""A plugin that offers a method and a dataset which others offer already."""

from uadbench.hookspecs import DatasetSpec, MethodSpec, hookimpl


@hookimpl
def uadbench_methods() -> tuple[MethodSpec, ...]:
    """The constant canary again."""
    return (MethodSpec("constant", "twin:Constant", "Another constant"),)


@hookimpl
def uadbench_datasets() -> tuple[DatasetSpec, ...]:
    """The phantom again."""
    return (DatasetSpec("brain-phantom-v1", "Another phantom", "pip install twin"),)
