"""`uadbench data synthesise`: synthetic anomalies on the healthy test images of a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from uadbench.cli.console import say_json, show
from uadbench.cli.listing import as_json


@click.command()
@click.argument("source", required=False)
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="A suite; may be repeated.")
@click.option("--name", help="Name of the new dataset: letters, digits, dashes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other anomalies.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Where to write; default: the data folder.")
@click.option("--force", is_flag=True, help="Make it again although it is there.")
@click.option("--list", "listing", is_flag=True, help="List the suites and make nothing.")
@as_json
def synthesise(
    source: str | None,
    *,
    suites: tuple[str, ...],
    name: str | None,
    seed: int,
    folder: Path | None,
    force: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Put synthetic anomalies on the healthy test images of dataset SOURCE and write them as a new dataset.

    Train and val stay those of SOURCE. Every corrupted image has an exact mask, boxes and its clean twin.
    """
    from uadbench.cli.finding import is_kept
    from uadbench.datasets.synthetic import synthesise
    from uadbench.errors import UsageError
    from uadbench.files.images import open_images
    from uadbench.home import data_folder
    from uadbench.runs.plan import find_dataset

    if listing:
        return _list(as_json)
    if not source or not name:
        raise UsageError("Say from which dataset and under which name: `uadbench data synthesise SOURCE --name NEW`.")
    target = folder or data_folder()
    if is_kept(name, target, force=force):
        return None
    paths = synthesise(find_dataset(source, data_folder()), suites, target, name=name, seed=seed)
    for note in open_images(paths.images, verify=False).card.notes:
        click.echo(note)
    return click.echo(f"{paths.images}\n{paths.truth}")


def _list(as_json: bool) -> None:
    from dataclasses import asdict

    from uadbench.datasets.synthetic import SUITES

    records = [
        {
            "name": name,
            "title": (type(one).__doc__ or "").partition("\n")[0],
            "params": asdict(one),  # type: ignore[call-overload]
            "paper": one.paper,
        }
        for name, one in SUITES.items()
    ]
    if as_json:
        return say_json(records)
    return show(
        f"{len(records)} suites",
        ("name", "title", "made by"),
        [(record["name"], record["title"], repr(SUITES[record["name"]])) for record in records],
    )
