"""What a plugin may tell the harness. Hooks return specs and observe runs; they never touch data or metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("uadbench")
hookimpl = pluggy.HookimplMarker("uadbench")

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What can be known of a method without importing it.

    `target` is "package.module:Class", imported only when the method is made. `presets` maps a preset's name to the
    parameters it sets; "quick" must exist. `cost` orders a campaign (seconds to fit and score brain-phantom-v1 on two
    cores, roughly). `weights` names pretrained weights that are needed. `min_size` is the smallest side in pixels.
    `canary` marks the trivial baselines that every board shows.
    """

    name: str
    target: str
    title: str
    paper: str = ""
    presets: Mapping[str, Params] = field(default_factory=lambda: {"quick": {}})
    stochastic: bool = False
    reconstructs: bool = False
    weights: tuple[str, ...] = ()
    min_size: int = 1
    cost: float = 60.0
    canary: bool = False
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        module, _, name = self.target.partition(":")
        if not module or not name.isidentifier():
            raise ValueError(f"MethodSpec {self.name!r}: target {self.target!r} is not 'package.module:Class'.")
        if "quick" not in self.presets:
            raise ValueError(f"MethodSpec {self.name!r}: presets {sorted(self.presets)} lack 'quick'. Add one.")


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A dataset that can be generated (`make`) or imported (`importer`), each "package.module:function", or neither
    (`how` tells how to come by it).

    An importer reads what lies in its `roots`, pairs of a key and of what the folder or zip there holds. Most make the
    datasets they `writes`; an importer of a layout, which writes none of its own, asks for a name.
    """

    name: str
    title: str
    how: str
    make: str = ""
    extra: str = ""
    importer: str = ""
    roots: tuple[tuple[str, str], ...] = ()
    writes: tuple[str, ...] = ()


@hookspec
def uadbench_methods() -> Sequence[MethodSpec]:  # type: ignore[empty-body]
    """Return the methods of this distribution. Import no heavy library to do so."""


@hookspec
def uadbench_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets that this distribution can make or import."""


@hookspec
def uadbench_run_started(run: Any) -> None:
    """Observe that a run has started. Exceptions are logged, never fatal."""


@hookspec
def uadbench_run_finished(run: Any, result: Any) -> None:
    """Observe that a run has finished; `result` is None when it failed. Exceptions are logged, never fatal."""
