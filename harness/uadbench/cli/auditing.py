"""`uadbench data audit`: what leaks in a dataset, and what tells its labels without looking at the anatomy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import console, say_json
from uadbench.cli.listing import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uadbench.auditing import Audit, Scans, Specimen


@click.command("audit")
@click.argument("files", nargs=-1, required=True)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with every suspect pair to this file.")
@as_json
def audit_(files: tuple[str, ...], html: Path | None, as_json: bool) -> None:
    """Look for leaks and shortcuts in FILES: datasets of the workspace by name, images files (NAME.images.h5 beside
    NAME.truth.h5), or folders and zips with a manifest.csv, which are audited as they are.

    Exit code 3 when something leaks.
    """
    from uadbench.auditing import audit, page, thumbnails
    from uadbench.errors import UsageError
    from uadbench.files.layout import write_text_atomically

    if html and len(files) > 1:
        raise UsageError(f"--html {html} is one page, and there are {len(files)} files. Audit them one by one.")
    found: list[Audit] = []
    for file in files:
        specimens, scans = _opened(file)
        with console(stderr=True).status(f"auditing {file}"):
            found.append(audit(Path(file).name, specimens, scans))
            if html:
                write_text_atomically(html, page(found[-1], thumbnails(found[-1], scans, specimens)))
    if as_json:
        say_json([one.to_json() for one in found])
    else:
        click.echo("\n\n".join("\n".join(one.lines()) for one in found))
    if html and not as_json:
        click.echo(f"page: {html}")
    if any(one.leaks for one in found):
        raise click.exceptions.Exit(3)


def _opened(file: str) -> tuple[Sequence[Specimen], Scans]:
    """The specimens of a dataset or pack, and passes over their pixels."""
    from uadbench.auditing import scans_of, specimens_of
    from uadbench.datasets.manifest.pack import read_pack
    from uadbench.files.dataset import DatasetPaths
    from uadbench.files.images import open_images
    from uadbench.files.truth import open_truth
    from uadbench.home import data_folder
    from uadbench.runs.plan import find_dataset

    path = Path(file)
    if path.name.endswith(".images.h5"):
        paths = DatasetPaths(path, path.with_name(path.name.removesuffix(".images.h5") + ".truth.h5"))
    elif path.exists():
        pack = read_pack(path)
        return pack.specimens, pack.scan
    else:
        paths = find_dataset(file, data_folder())
    dataset, truth = open_images(paths.images), open_truth(paths.truth)
    return specimens_of(truth), scans_of(dataset)
