"""`uadbench run`: the plan first, two bars, one line per run, then the board."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from uadbench.cli.console import console, seconds, show

if TYPE_CHECKING:
    from pathlib import Path

    from uadbench.board import Leaderboard
    from uadbench.runs.boards import BoardWriter
    from uadbench.runs.local import Outcome, ResultSet
    from uadbench.runs.plan import Plan
    from uadbench.runs.store import RunSpec, Store
    from uadbench.types import Progress


@click.command()
@click.option("--all", "every", is_flag=True, help="Every installed method.")
@click.option("--method", "-m", "methods", multiple=True, help="A method; may be repeated.")
@click.option("--dataset", "-d", default="brain-phantom-v1", show_default=True, help="A dataset of the workspace.")
@click.option("--preset", default="quick", show_default=True, help="Parameters: quick (CPU minutes) or paper, ...")
@click.option(
    "--seeds",
    default="0",
    show_default=True,
    help="Seeds, such as 0,1,2; canaries and others without randomness take the first.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME.PARAM=VALUE", help="Override a parameter; may be repeated."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def run(
    every: bool,
    methods: tuple[str, ...],
    dataset: str,
    preset: str,
    seeds: str,
    settings: tuple[str, ...],
    device: str,
    precision: str,
    dry_run: bool,
) -> None:
    """Run methods on a dataset, score them and write the board.

    Done runs (same method, version, parameters, seed and data) are skipped, so an interrupted campaign goes on where
    it stopped. A run that fails takes one line, and its traceback stays in its log.
    """
    from uadbench import plugins
    from uadbench.errors import UsageError
    from uadbench.home import data_folder, runs_folder
    from uadbench.runs.plan import Wish, plan
    from uadbench.runs.store import Store

    if every == bool(methods):
        raise UsageError("Say which methods to run: --all, or --method NAME (see `uadbench list methods`).")
    names = tuple(plugins.registry().methods()) if every else tuple(dict.fromkeys(methods))
    wish = Wish(names, dataset, preset, _seeds(seeds), plugins.parse_settings(settings), device, precision)
    store = Store(runs_folder())
    planned = plan(wish, store, data_folder())
    _show_plan(planned)
    for broken in plugins.registry().broken:
        click.secho(
            f"Left out: {broken.name} of {broken.origin.distribution} does not load: {broken.error}", fg="yellow"
        )
    if not dry_run:
        _carry_out(planned, store)


def _seeds(text: str) -> tuple[int, ...]:
    from uadbench.errors import UsageError

    try:
        seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        seeds = (-1,)
    if min(seeds) < 0:
        raise UsageError(f"--seeds {text!r}: give whole numbers from 0 on, with commas, such as 0,1,2.")
    return seeds


def _show_plan(planned: Plan) -> None:
    card = planned.dataset.card
    click.echo(
        f"{card.name}: {', '.join(f'{len(source)} {split}' for split, source in planned.dataset.splits.items())}, "
        f"identity {planned.dataset.digests.identity[:12]}"
    )
    show(
        f"{len(planned.todo)} to run, {len(planned.done)} done",
        ("", "method", "preset", "seed", "device", "settings"),
        [
            (
                "done" if spec in planned.done else "run",
                spec.method,
                spec.preset,
                str(spec.seed),
                spec.device,
                spec.settings,
            )
            for spec in (*planned.done, *planned.todo)
        ],
    )


def _carry_out(planned: Plan, store: Store) -> None:
    from uadbench.files.truth import open_truth
    from uadbench.home import boards_folder
    from uadbench.runs.boards import BoardWriter
    from uadbench.runs.local import campaign
    from uadbench.scoring import rules_for

    truth = open_truth(planned.paths.truth)
    rules = rules_for(truth)
    writer = BoardWriter(rules, planned.dataset, truth, boards_folder())
    try:
        with Screen(planned, store, writer) as screen:
            results = campaign(planned, store, screen)
    except KeyboardInterrupt:
        kept = len(store.done(planned.dataset.card.name))
        click.echo(f"\nInterrupted. {kept} finished runs are kept; the same command goes on from here.", err=True)
        sys.exit(130)
    _end(results, *writer.write(store))


def _end(results: ResultSet, board: Leaderboard, path: Path) -> None:
    from uadbench.board import terminal_table

    if board.rows:
        console().print(terminal_table(board))
        click.echo(f"Board: {path}")
    for outcome in results.failures:
        if outcome.failure:
            click.secho(
                f"Failed: {outcome.run.id}: {outcome.failure.sentence} Log: {outcome.run.log}", fg="red", err=True
            )
    if results.failures:
        sys.exit(1)


class Screen:
    """Watches a campaign: one bar for all runs, one for the running method, and a line for each that ended."""

    def __init__(self, planned: Plan, store: Store, writer: BoardWriter) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._store, self._writer, self._rules = store, writer, writer.rules
        self._bars = Progress(
            TextColumn("{task.description:<44}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn()
        )
        self._all = self._bars.add_task(f"{len(planned.todo)} runs", total=len(planned.todo), note="")
        self._one = self._bars.add_task("", total=None, note="", visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.update(self._one, visible=False)
        self._bars.stop()

    def started(self, spec: RunSpec) -> None:
        """The second bar belongs to this run now."""
        self._bars.reset(
            self._one, description=f"{spec.method} seed {spec.seed}", total=None, note="starting", visible=True
        )

    def progressed(self, spec: RunSpec, progress: Progress) -> None:
        """The running method has come further."""
        note = f"{progress.done}/{progress.total} {progress.unit} {progress.message}".rstrip()
        self._bars.update(self._one, completed=progress.done, total=progress.total, note=note)

    def finished(self, outcome: Outcome) -> None:
        """One line for the run, and the board anew."""
        self._bars.console.print(self._line(outcome), highlight=False, markup=False, soft_wrap=True)
        if outcome.result:
            self._writer.write(self._store)
        self._bars.advance(self._all)

    def _line(self, outcome: Outcome) -> str:
        name = f"{outcome.spec.method} seed {outcome.spec.seed}"
        if outcome.failure or not outcome.result:
            return f"failed  {name:<32} {outcome.failure.sentence if outcome.failure else ''}"
        record, primary = outcome.run.record, outcome.result.get(self._rules.primary)
        shown = "–" if primary.value is None else f"{primary.value:.3f}"
        spent = f"fit {seconds(record.fit_seconds)}, predict {seconds(record.predict_seconds)}"
        return f"done    {name:<32} {self._rules.primary} {shown}   {spent}"
