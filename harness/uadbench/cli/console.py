"""What the commands share on the terminal: a console, tables, and JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 160


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a title and a table; text is shown as it is, never as markup, and folded rather than cut."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    terminal = console()
    if title:
        terminal.print(escape(title), style="italic", highlight=False)
    terminal.print(table)


def console(*, stderr: bool = False) -> Console:
    """The terminal; into a pipe or file, wide enough that no table is cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(width=None if stream.isatty() else PIPED_WIDTH, stderr=stderr)


def say_json(records: Iterable[Mapping[str, Any]]) -> None:
    """Print records as one JSON array."""
    click.echo(json.dumps(list(records), indent=1, default=str))


def seconds(value: float | None) -> str:
    """A duration for people: `12 s`, `3 min 20 s`, or a dash."""
    if value is None:
        return "–"
    return f"{value:.0f} s" if value < 90 else f"{int(value) // 60} min {int(value) % 60} s"
