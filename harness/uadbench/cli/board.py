"""`uadbench board`: the leaderboard of the workspace's runs, or of rows kept in git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uadbench.board import Leaderboard
    from uadbench.files.submission import AcceptedRow
    from uadbench.protocols import Protocol

SUFFIXES = {"html": ".html", "markdown": ".md", "latex": ".tex", "csv": ".csv", "bibtex": ".bib"}


@click.command()
@click.option(
    "--dataset", "-d", "datasets", multiple=True, help="Datasets of the workspace; default: all with finished runs."
)
@click.option("--rows", type=click.Path(path_type=Path), help="Render accepted rows from this folder instead of runs.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Where to write; default: the boards folder.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["terminal", *SUFFIXES]),
    default="terminal",
    show_default=True,
    help="What to print; HTML, Markdown, LaTeX, CSV and BibTeX files are always written.",
)
def board(datasets: tuple[str, ...], rows: Path | None, folder: Path | None, formats: str) -> None:
    """Write leaderboards as HTML, Markdown, LaTeX, CSV and BibTeX, and print them."""
    from uadbench.home import boards_folder

    target = folder or boards_folder()
    written = _of_rows(rows, target) if rows else _of_runs(datasets, target)
    for leaderboard, path in written:
        _print(leaderboard, path, formats)
        click.echo(f"Board: {path}", err=formats != "terminal")


def _print(leaderboard: Leaderboard, page: Path, form: str) -> None:
    from uadbench.board import terminal_table

    if form == "terminal":
        terminal = console()
        terminal.print(terminal_table(leaderboard, terminal.width))
    else:
        written = page.with_name(f"{leaderboard.protocol.name}{SUFFIXES[form]}")
        click.echo(written.read_text(encoding="utf-8"), nl=False)


def _of_runs(names: tuple[str, ...], folder: Path) -> list[tuple[Leaderboard, Path]]:
    from uadbench.cli.finding import dataset_of
    from uadbench.errors import InvalidDataError
    from uadbench.home import runs_folder
    from uadbench.runs.boards import BoardWriter
    from uadbench.runs.store import Store
    from uadbench.scoring import rules_for

    store = Store(runs_folder())
    chosen = names or tuple(dict.fromkeys(run.record.spec.dataset for run in store.runs() if run.is_done))
    if not chosen:
        raise InvalidDataError(f"{store.folder} holds no finished run. Make some with `uadbench run --all`.")
    boards = []
    for name in chosen:
        dataset, truth = dataset_of(name)
        boards.append(BoardWriter(rules_for(truth), dataset, truth, folder).write(store))
    return boards


def _of_rows(rows: Path, folder: Path) -> list[tuple[Leaderboard, Path]]:
    from uadbench.board import Entry, leaderboard, write_board
    from uadbench.errors import InvalidDataError
    from uadbench.verifying import read_rows

    accepted = read_rows(rows)
    if not accepted:
        raise InvalidDataError(f"{rows} holds no row. Accept one with `uadbench verify BUNDLE --accept {rows}`.")
    names = sorted({row.results[0].protocol.name for row in accepted})
    boards = []
    for name in names:
        entries = [
            Entry(row.results, row.trust, row.submitter.name)
            for row in accepted
            if row.results[0].protocol.name == name
        ]
        ranked = leaderboard(_rules_of(accepted, name), entries)
        boards.append((ranked, write_board(ranked, folder)))
    return boards


def _rules_of(rows: Sequence[AcceptedRow], name: str) -> Protocol:
    """The shipped protocol of that name; a local one is made from its dataset, which must be in the workspace."""
    from uadbench.cli.finding import dataset_of
    from uadbench.protocols import protocol, shipped
    from uadbench.scoring import rules_for

    dataset = next(row.results[0].dataset.name for row in rows if row.results[0].protocol.name == name)
    if name in shipped() or name != f"{dataset}-local":
        return protocol(name)
    return rules_for(dataset_of(dataset)[1])
