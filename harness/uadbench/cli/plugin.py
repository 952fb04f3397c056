"""`uadbench plugin`: write a new plugin, and check a method against the contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadbench.cli.console import console

if TYPE_CHECKING:
    from uadbench.testing import Outcome


@click.group()
def plugin() -> None:
    """Write a new plugin, or check a method against the contract."""


@plugin.command()
@click.argument("name")
@click.option(
    "--to",
    "folder",
    default=".",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which the new folder NAME is made.",
)
def new(name: str, folder: Path) -> None:
    """Write a complete package with one working method called NAME."""
    from uadbench.scaffold import new_plugin

    home = new_plugin(name, folder)
    path = home if home.is_absolute() else f"./{home}"
    click.echo(
        f"Wrote {path}, a package with one working method. Next:\n\n"
        f"  pip install -e {path}\n"
        f"  uadbench plugin check {name}\n\n"
        f"Then replace the median in {path}/uadbench_{name.replace('-', '_')} by your idea, and check again."
    )


@plugin.command()
@click.argument("name")
@click.option("--preset", default="quick", show_default=True, help="Preset of the method.")
@click.option("--set", "settings", multiple=True, metavar="PARAM=VALUE", help="A parameter, for instance epochs=1.")
@click.option("--device", default="cpu", show_default=True, help="Where to fit and predict, for instance cuda:0.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.pass_context
def check(context: click.Context, name: str, preset: str, settings: Sequence[str], device: str, as_json: bool) -> None:
    """Check the method NAME against the contract; exit code 3 when a check fails."""
    from uadbench import testing
    from uadbench.errors import ContractError

    overrides = _overrides(name, settings)
    with console(stderr=True).status(f"Checking {name}"):
        outcomes = list(testing.check_method(name, preset=preset, overrides=overrides, device=device))
    (_print_json if as_json else _print_table)(name, outcomes)
    if not all(outcome.passed for outcome in outcomes):
        context.exit(ContractError.exit_code)


def _overrides(name: str, settings: Sequence[str]) -> dict[str, Any]:
    from uadbench import plugins
    from uadbench.errors import UsageError

    for setting in settings:
        if not setting.partition("=")[0].isidentifier() or "=" not in setting:
            raise UsageError(f"--set {setting!r} is not param=value. Write for example --set epochs=1.")
    return plugins.parse_settings([f"{name}.{setting}" for setting in settings]).get(name, {})


def _print_json(name: str, outcomes: Sequence["Outcome"]) -> None:
    import dataclasses
    import json

    click.echo(json.dumps([{"method": name, **dataclasses.asdict(one)} for one in outcomes], indent=1))


def _print_table(name: str, outcomes: Sequence["Outcome"]) -> None:
    from rich.markup import escape
    from rich.table import Table

    passed = sum(outcome.passed for outcome in outcomes)
    table = Table("check", "", "what must hold", title=f"{name}: {passed} of {len(outcomes)} checks pass")
    for outcome in outcomes:
        mark = "[green]pass[/green]" if outcome.passed else "[red]FAIL[/red]"
        sentence = f"\n[red]{escape(outcome.sentence)}[/red]" if outcome.sentence else ""
        table.add_row(outcome.check, mark, f"{escape(outcome.what)}{sentence}")
    console().print(table)
