"""`uadbench score`: score stored predictions again, without torch and without the method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadbench.cli.console import show

if TYPE_CHECKING:
    from uadbench.files.results import Result, Value
    from uadbench.protocols import Protocol


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN|FILE...")
@click.option("--protocol", help="A shipped protocol's name or a TOML file; default: the dataset's own.")
@click.option("--strata", is_flag=True, help="Also print every pathology.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the result as JSON (one run only).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--perceptual", is_flag=True, help="Also print LPIPS of reconstructions: never stored, never ranked.")
def score(
    runs: tuple[str, ...], protocol: str | None, strata: bool, out: Path | None, as_json: bool, perceptual: bool
) -> None:
    """Score RUNs of the workspace, or sealed prediction files, from the truth file."""
    from uadbench.cli.finding import protocol_of, scored
    from uadbench.errors import UsageError

    if out and len(runs) > 1:
        raise UsageError(f"--out holds one result, but {len(runs)} runs are given. Score them one by one.")
    if as_json and perceptual:
        raise UsageError("--perceptual prints a table, and LPIPS is no part of a result. Leave out --json.")
    rules = protocol_of(protocol) if protocol else None
    for name in runs:
        result = scored(name, rules)
        if out:
            result.write(out)
        if as_json:
            click.echo(result.model_dump_json(by_alias=True, indent=1))
            continue
        values = [value for value in result.values if strata or value.stratum == "all"]
        _print(_title(result), (value for value in values if not value.undefined))
        _say_undefined(values)
        _warn(result.warnings)
        if perceptual:
            _print_perceptual(name, result, rules)


def _title(result: Result) -> str:
    return f"{result.method} seed {result.provenance.get('seed', 0)} on {result.protocol.name}"


def _print(title: str, values: Iterable[Value]) -> None:
    show(
        title,
        ("stratum", "metric", "value", "95 % interval", "images", "subjects", ""),
        [
            (
                value.stratum,
                value.metric,
                _number(value.value),
                _interval(value.low, value.high),
                str(value.images),
                str(value.subjects),
                value.undefined or _details(value.details),
            )
            for value in values
        ],
    )


def _details(details: Mapping[str, float]) -> str:
    """Details in one line; a rate with its interval behind it."""
    words = []
    for key, number in details.items():
        if not key.endswith(("_low", "_high")):
            low, high = details.get(f"{key}_low"), details.get(f"{key}_high")
            interval = "" if low is None or high is None else f" ({_interval(low, high)})"
            words.append(f"{key.replace('_', ' ')} {number:.4g}{interval}")
    return ", ".join(words)


def _say_undefined(values: Iterable[Value]) -> None:
    """One line per reason; a metric without a value in all images is not named again for each pathology."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for value in values:
        if value.undefined:
            reason = value.undefined.removeprefix(f"{value.metric}: ")
            if value.metric not in reasons.get(("all", reason), ()):
                reasons.setdefault((value.stratum, reason), []).append(value.metric)
    for (stratum, reason), metrics in reasons.items():
        click.echo(f"no value in {stratum}: {', '.join(metrics)}: {reason}")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.secho(f"warning: {warning}", fg="yellow")


def _print_perceptual(name: str, result: Result, rules: Protocol | None) -> None:
    """LPIPS of the run whose seal was checked for `result`."""
    from uadbench.cli.finding import dataset_of, predictions_of
    from uadbench.files.predictions import open_predictions
    from uadbench.protocols import protocol_for
    from uadbench.torch_support.perceptual_quality import perceptual_quality

    dataset, truth = dataset_of(result.dataset.name)
    own = rules or protocol_for(dataset.card.name, has_masks=bool(truth["test"].masks.any()))
    quality = perceptual_quality(own, dataset, truth, open_predictions(predictions_of(name), verify=False))
    _print(f"LPIPS, not ranked: {_title(result)}", quality.values)
    _warn([quality.warning] if quality.warning else [])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
