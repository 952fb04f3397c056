"""The command line. Commands are imported when they are called, so that `--help` costs next to nothing."""

import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click

from uadbench.errors import UadbenchError

INTERRUPTED = 130

_COMMANDS = {
    "run": ("running:run", "Run methods on a dataset, score them and write the board."),
    "list": ("listing:list_", "List methods, datasets, protocols or runs."),
    "doctor": ("doctor:doctor", "Say what is installed and what is missing."),
    "data": ("data:data", "Make, import and show datasets."),
    "predict": ("predicting:predict", "Draw the anomaly map of one image with a fitted run."),
    "predictions": ("predictions:predictions", "Pack anomaly maps made elsewhere."),
    "score": ("scoring:score", "Score stored predictions again, without torch."),
    "compare": ("comparing:compare", "Compare two runs, paired by subject."),
    "board": ("board:board", "Write a leaderboard as HTML, Markdown and LaTeX."),
    "submit": ("submitting:submit", "Pack runs into a bundle for a leaderboard."),
    "verify": ("submitting:verify", "Re-score a bundle and compare with what it claims."),
    "latency": ("latency:latency", "Time installed methods."),
    "weights": ("weights:weights", "List, fetch and check pretrained weights."),
    "plugin": ("plugin:plugin", "Write a new method plugin, or check one."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use; their one-line help is known beforehand."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands in the order of a user's way."""
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"uadbench.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a misspelt command."""
        import difflib

        near = difflib.get_close_matches(args[0], list(_COMMANDS), n=1)
        if args[0] not in _COMMANDS and near:
            context.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home", type=click.Path(path_type=Path), help="Workspace folder (default: $UADBENCH_HOME or ~/uadbench)."
)
@click.option("--traceback", is_flag=True, help="Print the whole traceback of an error.")
@click.version_option(package_name="uadbench")
def uadbench(home: Path | None, traceback: bool) -> None:
    """How well does a method that has seen only healthy images find what is wrong in a medical image?

    Exit codes: 0 ok, 1 some runs failed, 2 usage, 3 invalid data, 4 environment, 130 interrupted.
    """
    if home is not None:
        import os

        os.environ["UADBENCH_HOME"] = str(home)


def main() -> NoReturn:
    """Entry point: an error of ours becomes one sentence and its exit code."""
    try:
        code = uadbench.main(standalone_mode=False, prog_name="uadbench")
    except UadbenchError as error:
        _stop(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _stop("Interrupted.", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(sentence: str, code: int) -> NoReturn:
    if "--traceback" in sys.argv:
        import traceback

        traceback.print_exc()
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {sentence}", err=True)
    sys.exit(code)
