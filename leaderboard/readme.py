"""Writes the short board of each dataset into the README, between its two markers.

All runs must be done: missing ones are named, and the README stays as it is. A dataset that is not in the workspace is
named too, and its board in the README stays.

Usage: python leaderboard/readme.py README.md [--method M]... [--device cpu] DATASET:SEEDS...
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from uadbench import plugins
from uadbench.board import Leaderboard, caption, group, leaderboard, short_markdown
from uadbench.board.studies import machine
from uadbench.errors import UadbenchError
from uadbench.files.marked import Markers, replace_between
from uadbench.home import data_folder, runs_folder
from uadbench.runs.local import Outcome, ResultSet, finished
from uadbench.runs.plan import Wish, made, plan
from uadbench.runs.store import Store

METRICS = ("pixel_ap", "aupro", "oracle_dice", "dice_at_fpr5", "image_auroc", "image_ap")
SECONDS = ("Fit, s", "Predict, s")
PRESET = "quick"


def markers(dataset: str) -> Markers:
    """What stands around the board of a dataset."""
    return f"<!-- board of {dataset}: written by `make boards` -->", f"<!-- end of the board of {dataset} -->"


def block(results: ResultSet) -> str:
    """How the board was made, in a sentence or two, and its table."""
    board = leaderboard(results.protocol, group(results.results))
    shown = [metric for metric in METRICS if metric in board.metrics and metric != board.protocol.primary]
    seconds = {row.configuration: spent(row.configuration, results.outcomes) for row in board.rows}
    table = short_markdown(board, (board.protocol.primary, *shown), seconds, SECONDS)
    return f"{head(board, results)}\n\n{table}"


def head(board: Leaderboard, results: ResultSet) -> str:
    """Date, machine, preset, seeds, and what the columns hold."""
    records = [one.run.record for one in results.outcomes]
    seeds = ", ".join(map(str, sorted({record.spec.seed for record in records})))
    first = results.results[0]
    return (
        f"Measured by `make boards`, last run on {max(record.finished for record in records)[:10]}, {machine(first)}. "
        f"Preset `{PRESET}`, seeds {seeds}; what is not random has one. Ranked by "
        f"{caption(board.protocol.primary).title}, with its 95 % interval over subjects; values and seconds are means "
        "over seeds."
    )


def spent(configuration: str, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Seconds to fit and to predict, means over the seeds of a configuration."""
    records = [one.run.record for one in outcomes if one.result and one.result.configuration == configuration]
    steps = ([record.fit_seconds for record in records], [record.predict_seconds for record in records])
    fit, predict = ([one for one in step if one is not None] for step in steps)
    return brief(fit), brief(predict)


def brief(seconds: Sequence[float]) -> str:
    """A mean with one decimal below 10 s."""
    mean = fmean(seconds) if seconds else 0.0
    return f"{mean:.1f}" if mean < 10 else f"{mean:.0f}"


def measured(wish: Wish) -> ResultSet:
    """The results of a campaign that is complete.

    Raises:
        InvalidDataError: A run is missing, or its predictions cannot be scored.
    """
    store = Store(runs_folder())
    results = finished(plan(wish, store, data_folder()), store)
    for one in results.failures:
        raise SystemExit(f"{one.run.id} cannot be scored: {one.failure.sentence if one.failure else ''}")
    return results


def main(readme: Path, wishes: Sequence[Wish]) -> list[str]:
    """Replace the boards, after all are known; returns a sentence for each dataset that is not there."""
    here = made(data_folder())
    blocks = {wish.dataset: block(measured(wish)) for wish in wishes if wish.dataset in here}
    for dataset, text in blocks.items():
        replace_between(readme, markers(dataset), text)
    absent = [wish.dataset for wish in wishes if wish.dataset not in here]
    return [f"{name} is not in {data_folder()}: its board in {readme} stays as it is." for name in absent]


def wishes_of(arguments: Sequence[str]) -> tuple[Path, list[Wish]]:
    """The README and the campaigns that the command line names."""
    parser = argparse.ArgumentParser(description="Write the boards into the README.")
    parser.add_argument("readme", type=Path)
    parser.add_argument("boards", nargs="+", metavar="DATASET:SEEDS")
    parser.add_argument("--method", action="append")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    methods = tuple(given.method or plugins.registry().methods())
    pairs = [one.partition(":") for one in given.boards]
    seeds = {name: tuple(int(seed) for seed in (text or "0").split(",")) for name, _, text in pairs}
    return given.readme, [Wish(methods, name, PRESET, some, {}, given.device) for name, some in seeds.items()]


if __name__ == "__main__":
    try:
        sys.stdout.writelines(f"{sentence}\n" for sentence in main(*wishes_of(sys.argv[1:])))
    except UadbenchError as error:
        sys.exit(str(error))
