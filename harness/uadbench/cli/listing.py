"""`uadbench list`: what is installed, known and done."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from uadbench.cli.console import say_json, seconds, show

if TYPE_CHECKING:
    from uadbench.hookspecs import DatasetSpec

_METHODS = ("name", "", "title", "presets", "from")
_PRESETS = ("name", "preset", "parameters", "weights", "least px")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.group("list")
def list_() -> None:
    """List methods, datasets, protocols or runs."""


@list_.command()
@click.argument("name", required=False)
@click.option("-v", "--verbose", is_flag=True, help="What each preset changes, and which weights it may need.")
@as_json
def methods(name: str | None, verbose: bool, as_json: bool) -> None:
    """Installed methods, and plugins that do not load; with NAME its presets and parameters."""
    from uadbench import plugins

    if name:
        return _method(name, as_json)
    registry = plugins.registry()
    found, broken = registry.methods(), registry.broken
    if as_json:
        records = [_facts(one) for one in found.values()]
        records += [{"broken": one.name, "distribution": one.origin.distribution, "error": one.error} for one in broken]
        return say_json(records)
    heads, line = (_PRESETS, _preset_lines) if verbose else (_METHODS, _method_line)
    show(f"{len(found)} methods", heads, [cells for one in found.values() for cells in line(one)])
    for one in broken:
        click.secho(f"broken: {one.name} of {one.origin.distribution} {one.origin.version}: {one.error}", fg="yellow")
    return None


def _method_line(one: Any) -> list[tuple[str, ...]]:
    spec, origin = one.spec, one.origin
    source = f"{origin.distribution} {origin.version}"
    return [(spec.name, "canary" if spec.canary else "", spec.title, ", ".join(spec.presets), source)]


def _preset_lines(one: Any) -> list[tuple[str, ...]]:
    """One line per preset, or per presets that are the same: what they lay over the method's own defaults."""
    spec = one.spec
    lines: dict[str, list[str]] = {}
    for preset, params in spec.presets.items():
        changed = " ".join(f"{name}={value!r}" for name, value in params.items()) or "the defaults"
        lines.setdefault(changed, []).append(preset)
    least = str(spec.min_size) if spec.min_size > 1 else ""
    firsts = [(spec.name, ", ".join(spec.weights), least), *(("", "", ""),) * len(lines)]
    return [
        (name, ", ".join(presets), changed, weights, least)
        for (name, weights, least), (changed, presets) in zip(firsts, lines.items(), strict=False)
    ]


def _facts(one: Any) -> dict[str, Any]:
    spec, origin = one.spec, one.origin
    return {
        "name": spec.name,
        "title": spec.title,
        "paper": spec.paper,
        "canary": spec.canary,
        "presets": dict(spec.presets),
        "stochastic": spec.stochastic,
        "reconstructs": spec.reconstructs,
        "weights": list(spec.weights),
        "min_size": spec.min_size,
        "distribution": origin.distribution,
        "version": origin.version,
    }


def _method(name: str, as_json: bool) -> None:
    import dataclasses

    from uadbench import plugins

    one = plugins.method(name)
    fields = dataclasses.fields(plugins.method_class(name))
    if as_json:
        return say_json([{**_facts(one), "params": {field.name: field.default for field in fields}}])
    click.echo(f"{name}: {one.spec.title}\n{one.spec.paper}".rstrip())
    presets = one.spec.presets
    show(
        "",
        ("parameter", "default", *presets),
        [
            (
                field.name,
                repr(field.default),
                *(repr(preset[field.name]) if field.name in preset else "" for preset in presets.values()),
            )
            for field in fields
        ],
    )
    return None


@list_.command()
@as_json
def datasets(as_json: bool) -> None:
    """Datasets that can be made or imported, and those in the workspace."""
    from uadbench import plugins
    from uadbench.home import data_folder
    from uadbench.hookspecs import DatasetSpec
    from uadbench.runs.plan import made

    known, here = plugins.registry().datasets(), made(data_folder())
    names = [*known, *(name for name in here if name not in known)]
    found = {name: known.get(name) or DatasetSpec(name, "your own", "") for name in names}
    if as_json:
        return say_json(
            {
                "name": name, "made": _made(spec, here), "title": spec.title, "how": spec.how,
                "writes": spec.writes, "roots": dict(spec.roots),
            }
            for name, spec in found.items()
        )  # fmt: skip
    words = {True: "yes", False: "no", None: ""}
    show(
        f"Datasets in {data_folder()}",
        ("name", "made", "title", "how"),
        [(name, words[_made(spec, here)], _title(spec), spec.how) for name, spec in found.items()],
    )
    return None


def _made(spec: DatasetSpec, here: Collection[str]) -> bool | None:
    """Whether the workspace has the dataset, or all that the importer writes; None of a layout that writes any."""
    if spec.importer and not spec.writes:
        return None
    return all(name in here for name in spec.writes or (spec.name,))


def _title(spec: DatasetSpec) -> str:
    return f"{spec.title}; writes {', '.join(spec.writes)}" if spec.writes else spec.title


@list_.command()
@as_json
def protocols(as_json: bool) -> None:
    """Frozen protocols with their digests."""
    import dataclasses

    from uadbench.protocols import shipped

    found = shipped().values()
    if as_json:
        return say_json({**dataclasses.asdict(one), "digest": one.digest} for one in found)
    show(
        f"{len(found)} protocols",
        ("name", "dataset", "primary", "digest", "title"),
        [(one.name, one.dataset, one.primary, one.digest[:12], one.title) for one in found],
    )
    return None


@list_.command()
@click.option("--dataset", help="Only runs on this dataset.")
@as_json
def runs(dataset: str | None, as_json: bool) -> None:
    """Runs in the workspace, done or failed."""
    from uadbench.home import runs_folder
    from uadbench.runs.store import Store

    every = list(Store(runs_folder()).runs(dataset))
    found = [(run, run.record) for run in every if run.is_readable]
    for run in (one for one in every if not one.is_readable):
        click.secho(f"damaged: {run.folder} holds no valid run.json; delete it and run again.", fg="yellow", err=True)
    if as_json:
        return say_json(
            {"id": run.id, "folder": str(run.folder), **record.model_dump(by_alias=True)} for run, record in found
        )
    show(
        f"Runs in {runs_folder()}",
        ("run", "dataset", "settings", "status", "fit", "predict", ""),
        [
            (
                run.id,
                record.spec.dataset,
                record.spec.settings,
                record.status,
                seconds(record.fit_seconds),
                seconds(record.predict_seconds),
                record.failure.sentence if record.failure else "",
            )
            for run, record in found
        ],
    )
    return None
