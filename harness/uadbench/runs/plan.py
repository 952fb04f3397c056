"""The plan: which runs a command means, which of them are done, and in which order the rest is carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uadbench import plugins
from uadbench.errors import InvalidDataError, UnknownNameError
from uadbench.files.dataset import DatasetPaths, paths_in
from uadbench.files.images import Dataset, open_images
from uadbench.runs.store import RunSpec, Store
from uadbench.torch_support.devices import require_device


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks for: methods x seeds on one dataset."""

    methods: tuple[str, ...]
    dataset: str
    preset: str = "quick"
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs to carry out, cheapest first, and those that are done already."""

    dataset: Dataset
    paths: DatasetPaths
    todo: tuple[RunSpec, ...]
    done: tuple[RunSpec, ...]


def plan(wish: Wish, store: Store, data: Path) -> Plan:
    """The plan of a wish.

    Raises:
        UnknownNameError: An unknown method, preset or dataset.
        ParameterError: A setting that does not fit its method.
        InvalidDataError: The dataset has not been made yet, or is damaged.
    """
    require_device(wish.device)
    paths = find_dataset(wish.dataset, data)
    for name in wish.settings:
        if name not in wish.methods:
            raise UnknownNameError("method in this run", name, wish.methods, "uadbench run --dry-run")
    registered = [plugins.method(name) for name in wish.methods]
    dataset = open_images(paths.images)
    specs = [_spec(one, wish, seed, dataset) for one in registered for seed in _seeds(one, wish)]
    order = {one.spec.name: (not one.spec.canary, one.spec.cost) for one in registered}
    specs.sort(key=lambda spec: (spec.seed, order[spec.method], spec.method))
    done = tuple(spec for spec in specs if store.run(spec).is_done)
    return Plan(dataset, paths, tuple(spec for spec in specs if spec not in done), done)


def _seeds(registered: plugins.Registered, wish: Wish) -> tuple[int, ...]:
    """A method without randomness needs one seed only."""
    return wish.seeds if registered.spec.stochastic else wish.seeds[:1]


def _spec(registered: plugins.Registered, wish: Wish, seed: int, dataset: Dataset) -> RunSpec:
    spec, overrides = registered.spec, dict(wish.settings.get(registered.spec.name, {}))
    preset = wish.preset if wish.preset in spec.presets or not spec.canary else "quick"
    if preset not in spec.presets:
        raise UnknownNameError(f"preset of {spec.name}", preset, spec.presets, f"uadbench list methods {spec.name}")
    params = plugins.params_of(spec.name, preset, overrides) if overrides else dict(spec.presets[preset])
    return RunSpec(
        method=spec.name,
        distribution=registered.origin.distribution,
        distribution_version=registered.origin.version,
        preset=preset,
        params=params,
        overrides=overrides,
        seed=seed,
        device=wish.device,
        precision=wish.precision,
        dataset=dataset.card.name,
        dataset_version=dataset.card.version,
        identity=dataset.digests.identity,
        pixels=dataset.digests.pixels,
    )


def find_dataset(name: str, data: Path) -> DatasetPaths:
    """The two files of a dataset in the data folder.

    Raises:
        UnknownNameError: Neither made nor known.
        InvalidDataError: Known, but not made yet; says how. Or one of the two files is missing.
    """
    paths = paths_in(data, name)
    missing = [path for path in (paths.images, paths.truth) if not path.is_file()]
    if not missing:
        return paths
    if len(missing) == 1:
        raise InvalidDataError(f"{missing[0]}: no such file, but its twin is there. Make or import {name} again.")
    known = plugins.registry().datasets()
    if name in known:
        raise InvalidDataError(f"Dataset {name!r} is not in {data}. Make it with `{known[name].how}`.")
    raise UnknownNameError("dataset", name, [*known, *made(data)], "uadbench list datasets")


def made(data: Path) -> Sequence[str]:
    """Names of the datasets whose two files are in the data folder."""
    names = [path.name.removesuffix(".images.h5") for path in sorted(data.glob("*.images.h5"))]
    return [name for name in names if paths_in(data, name).truth.is_file()]
