"""The registry: finds installed plugins by entry point, one by one, and makes methods by name.

An entry point in group `uadbench` names a light module with hook implementations. One that does not load is kept as
`Broken` and the others work.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from uadbench import hookspecs
from uadbench.errors import (
    MissingLibraryError,
    ParameterError,
    PluginError,
    UadbenchError,
    UnknownNameError,
    UsageError,
)
from uadbench.hookspecs import DatasetSpec, MethodSpec

GROUP = "uadbench"
Spec = TypeVar("Spec", MethodSpec, DatasetSpec)


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """The distribution a plugin came with."""

    distribution: str
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that does not load, and why."""

    name: str
    origin: Origin
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """A method and the distribution that offers it."""

    spec: MethodSpec
    origin: Origin


class Registry:
    """Everything that the given entry points offer."""

    def __init__(self, points: Sequence[EntryPoint]) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self._origins: list[tuple[Any, Origin]] = []
        for point in points:
            self._load(point)

    def _load(self, point: EntryPoint) -> None:
        origin = _origin(point)
        try:
            plugin = point.load()
            self.manager.register(plugin, name=f"{origin.distribution}:{point.name}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a foreign module does, it breaks only itself
            self.broken.append(Broken(point.name, origin, f"{type(error).__name__}: {error}"))
            return
        self._origins.append((plugin, origin))

    def _specs(self, hook: str, kind: type[Spec]) -> list[tuple[Spec, Origin]]:
        found: list[tuple[Spec, Origin]] = []
        for plugin, origin in list(self._origins):
            offer: Callable[[], Sequence[Spec]] | None = getattr(plugin, hook, None)
            if offer is None:
                continue
            try:
                specs = list(offer())
                wrong = [spec for spec in specs if not isinstance(spec, kind)]
                if wrong:
                    raise TypeError(f"{hook} returned {wrong[0]!r}; return a sequence of {kind.__name__}")
            except Exception as error:  # noqa: BLE001 - as above
                self._origins.remove((plugin, origin))
                self.broken.append(Broken(hook, origin, f"{type(error).__name__}: {error}"))
                continue
            found.extend((spec, origin) for spec in specs)
        return found

    def methods(self) -> dict[str, Registered]:
        """Every method by name, canaries first, then by cost.

        Raises:
            PluginError: Two distributions offer one name.
        """
        named: dict[str, Registered] = {}
        for spec, origin in self._specs("uadbench_methods", MethodSpec):
            _refuse_duplicate("method", spec.name, origin, named[spec.name].origin if spec.name in named else None)
            named[spec.name] = Registered(spec, origin)
        order = sorted(named.values(), key=lambda one: (not one.spec.canary, one.spec.cost, one.spec.name))
        return {one.spec.name: one for one in order}

    def datasets(self) -> dict[str, DatasetSpec]:
        """Every dataset that can be made or imported, by name.

        Raises:
            PluginError: Two distributions offer one name.
        """
        named: dict[str, tuple[DatasetSpec, Origin]] = {}
        for spec, origin in self._specs("uadbench_datasets", DatasetSpec):
            _refuse_duplicate("dataset", spec.name, origin, named[spec.name][1] if spec.name in named else None)
            named[spec.name] = spec, origin
        return {name: spec for name, (spec, _) in named.items()}


def _origin(point: EntryPoint) -> Origin:
    return Origin(point.dist.name, point.dist.version) if point.dist else Origin("unknown", "0")


def _refuse_duplicate(kind: str, name: str, origin: Origin, other: Origin | None) -> None:
    if other is not None:
        raise PluginError(
            f"Two plugins offer the {kind} {name!r}: {other.distribution} and {origin.distribution}. "
            f"Uninstall one of them, or rename the {kind} in one."
        )


@cache
def registry() -> Registry:
    """The registry of this environment, read once."""
    return Registry(sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)))


def method(name: str) -> Registered:
    """The method of that name.

    Raises:
        UnknownNameError: No installed plugin offers it; names the nearest.
        PluginError: Two distributions offer one name.
    """
    known = registry().methods()
    if name not in known:
        raise UnknownNameError("method", name, known, "uadbench list methods")
    return known[name]


def dataset(name: str) -> DatasetSpec:
    """The dataset of that name that a plugin can make or import."""
    known = registry().datasets()
    if name not in known:
        raise UnknownNameError("dataset", name, known, "uadbench list datasets")
    return known[name]


def resolve(target: str) -> Any:
    """The object that "package.module:name" names.

    Raises:
        MissingLibraryError: Importing it needs a library that is not installed.
        PluginError: The module does not load, or holds no such name.
    """
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"{target} needs the library {error.name!r}, which is not installed. "
            f"Install it with `pip install {error.name}`."
        ) from error
    except UadbenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"{target} does not load ({type(error).__name__}: {error}). Install another version of its plugin."
        ) from error


def method_class(name: str) -> Any:
    """The class behind a method's name; this imports its libraries."""
    return resolve(method(name).spec.target)


def params_of(name: str, preset: str = "quick", overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All parameters of a method after its preset and the overrides, by name.

    Raises:
        UnknownNameError: The preset does not exist.
        ParameterError: An override is no field of the method, or has another type.
    """
    return dataclasses.asdict(make(name, preset=preset, **(overrides or {})))


def make(name: str, *, preset: str = "quick", **overrides: Any) -> Any:  # names are checked in `build`
    """A Method: the class of that name with the preset's parameters and the overrides.

    Raises:
        UnknownNameError: The method or the preset does not exist.
        ParameterError: An override is no field of the method, or has another type.
    """
    return build(method(name).spec, preset, overrides)


def build(spec: MethodSpec, preset: str, overrides: Mapping[str, Any]) -> Any:
    """As `make`, of a spec that need not be installed."""
    name = spec.name
    if preset not in spec.presets:
        raise UnknownNameError(f"preset of {name}", preset, spec.presets, f"uadbench list methods {name}")
    cls = resolve(spec.target)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise PluginError(
            f"{name}: {spec.target} is no dataclass, so it has no parameters. Make it a frozen dataclass."
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}
    params = {**spec.presets[preset], **overrides}
    for key, value in params.items():
        if key not in fields:
            raise ParameterError(_unknown_parameter(name, key, fields))
        params[key] = _fitting(name, fields[key], value)
    try:
        return cls(**params)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"{name}: {error}") from error


def _unknown_parameter(name: str, key: str, fields: Mapping[str, Any]) -> str:
    error = UnknownNameError(f"parameter of {name}", key, fields, f"uadbench list methods {name}")
    return f"{error} It has: {', '.join(fields) or 'no parameters'}."


def _fitting(name: str, field: dataclasses.Field, value: Any) -> Any:
    """The value as the field's type; an int is a float, a list is a tuple, all else must match the default's type."""
    default = field.default
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{name}.{field.name} is {value!r}. Give a finite number.")
    if default is dataclasses.MISSING or default is None or value is None:
        return value
    kind = type(default)
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if type(value) is not kind:
        raise ParameterError(
            f"{name}.{field.name} is {value!r} of type {type(value).__name__}. "
            f"Give {kind.__name__}, as in the default {default!r}."
        )
    return value


def parse_settings(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`["ae-latent.latent=8"]` as {"ae-latent": {"latent": 8}}; values are Python literals, true, false, or text.

    Raises:
        UsageError: A setting that is not name.param=value.
    """
    import ast

    parsed: dict[str, dict[str, Any]] = {}
    for setting in settings:
        left, equals, text = setting.partition("=")
        name, dot, param = left.rpartition(".")
        if not (equals and dot and name and param):
            raise UsageError(f"--set {setting!r} is not name.param=value. Write for example --set ae-latent.latent=8.")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = {"true": True, "false": False}.get(text, text)
        parsed.setdefault(name, {})[param] = value
    return parsed
