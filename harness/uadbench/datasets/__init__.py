"""The datasets that ship with the harness, offered through the same hook as any plugin's. Light: imports nothing heavy."""

from collections.abc import Sequence

from uadbench.hookspecs import DatasetSpec, hookimpl


@hookimpl
def uadbench_datasets() -> Sequence[DatasetSpec]:
    """The built-in phantom, and the three sets that `uadbench data import manifest` makes."""
    return (
        DatasetSpec(
            name="brain-phantom-v1",
            title="Synthetic T1 brain slices from the MNI152 template, 12 kinds of anomaly with exact masks",
            how="uadbench data make brain-phantom-v1",
            make="uadbench.datasets.phantom.generation:make",
            extra="phantom",
        ),
    )
