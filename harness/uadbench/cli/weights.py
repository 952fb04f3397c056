"""`uadbench weights`: which pretrained weights there are, fetching them, and checking those that are here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadbench.cli.console import console, say_json, show
from uadbench.cli.listing import as_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from uadbench.torch_support.fetching import Checked
    from uadbench.torch_support.weights_manifest import Entry

MIB = 2**20


@click.group()
def weights() -> None:
    """List, fetch and check pretrained weights.

    They lie in $UADBENCH_WEIGHTS, else in the workspace's folder `weights`. UADBENCH_OFFLINE=1 forbids every download.
    """


@weights.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Every file of weights: what uses it, whether it is here and where, and its licence."""
    from uadbench.torch_support.weights import folder
    from uadbench.torch_support.weights_manifest import shipped

    records = [_facts(entry) for entry in shipped().values()]
    if as_json:
        return say_json(records)
    show(
        f"Weights, placed in {folder()}",
        ("name", "file", "MiB", "here", "where", "used by", "licence"),
        [
            (
                record["name"],
                Path(record["file"]).name,
                f"{record['bytes'] / MIB:.2f}" if record["bytes"] else "",
                "yes" if record["present"] else "no",
                record["origin"] if record["origin"].startswith("pip: ") else record["where"],
                ", ".join(record["used_by"]),
                record["licence"],
            )
            for record in records
        ],
    )
    click.echo("`uadbench weights fetch NAME...` fetches what is not here, `uadbench weights verify` checks what is.")
    return None


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--dest", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: where runs look.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Another manifest, as one with a mirror's addresses.")
def fetch(names: Sequence[str], dest: Path | None, manifest: Path | None) -> None:
    """Download the weights NAME..., check their SHA-256 and place them."""
    from uadbench.torch_support import fetching
    from uadbench.torch_support.weights import folder
    from uadbench.torch_support.weights_manifest import entry_of, read_manifest, shipped

    known = read_manifest(manifest) if manifest else shipped()
    target = (dest or folder()).absolute()
    with _progress() as bars:
        for entry in [entry_of(name, known) for name in names]:
            report = partial(_move, bars, bars.add_task(entry.name, total=entry.bytes))
            bars.console.print(fetching.fetch(entry, target, report), markup=False, highlight=False, soft_wrap=True)
    if target != folder():
        click.echo(f"Runs look for weights in {folder()}. Set UADBENCH_WEIGHTS={target} to have them look there.")


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@as_json
def verify(names: Sequence[str], as_json: bool) -> None:
    """Compare the files that are here with their SHA-256; all of them, or NAME...

    Exit code 3 if one is damaged, 4 if one of NAME... is missing.
    """
    from uadbench.torch_support.fetching import check
    from uadbench.torch_support.weights_manifest import entry_of, shipped

    known = shipped()
    checked = [check(entry_of(name, known)) for name in names or known]
    if as_json:
        say_json({"name": one.entry.name, "state": one.state, **_place(one)} for one in checked)
    else:
        show("", ("name", "", "sha256", "where"), [_row(one) for one in checked])
    wrong = ("damaged", "missing") if names else ("damaged",)
    errors = [one.error for state in wrong for one in checked if one.state == state and one.error]
    if errors:
        raise errors[0]


def _facts(entry: Entry) -> dict[str, Any]:
    """An entry as the list shows it; methods that are installed name the weights they use."""
    import dataclasses

    from uadbench import plugins
    from uadbench.torch_support.weights import find

    place = find(entry.name)
    methods = [one.spec.name for one in plugins.registry().methods().values() if entry.name in one.spec.weights]
    return {
        **dataclasses.asdict(entry),
        "used_by": [*entry.used_by, *methods],
        "present": place is not None,
        "where": str(place.path) if place else "",
        "origin": place.source if place else "",
    }


def _place(one: Checked) -> dict[str, str]:
    return {"sha256": one.sha256, "where": str(one.place.path) if one.place else ""}


def _row(one: Checked) -> tuple[str, str, str, str]:
    state = "own: not the published file" if one.state == "own" else one.state
    place = _place(one)
    return one.entry.name, state, place["sha256"][:12], place["where"]


def _progress() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    terminal = console()
    return Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal)


def _move(bars: Progress, bar: TaskID, done: int, total: int | None) -> None:
    bars.update(bar, completed=done, total=total)
