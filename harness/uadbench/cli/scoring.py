"""`uadbench score`: score stored predictions again, without torch and without the method."""

from pathlib import Path

import click

from uadbench.cli.console import show


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN|FILE...")
@click.option("--protocol", help="A shipped protocol's name or a TOML file; default: the dataset's own.")
@click.option("--strata", is_flag=True, help="Also print every pathology.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the result as JSON (one run only).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def score(runs: tuple[str, ...], protocol: str | None, strata: bool, out: Path | None, as_json: bool) -> None:
    """Score RUNs of the workspace, or sealed prediction files, from the truth file."""
    from uadbench.cli.finding import protocol_of, scored
    from uadbench.errors import UsageError

    if out and len(runs) > 1:
        raise UsageError(f"--out holds one result, but {len(runs)} runs are given. Score them one by one.")
    for name in runs:
        result = scored(name, protocol_of(protocol) if protocol else None)
        if out:
            result.write(out)
        if as_json:
            click.echo(result.model_dump_json(by_alias=True, indent=1))
            continue
        show(
            f"{result.method} seed {result.provenance.get('seed', 0)} on {result.protocol.name}",
            ("stratum", "metric", "value", "95 % interval", "images", "subjects", ""),
            [
                (
                    value.stratum,
                    value.metric,
                    _number(value.value),
                    _interval(value.low, value.high),
                    str(value.images),
                    str(value.subjects),
                    value.undefined or ", ".join(f"{key} {number:.4g}" for key, number in value.details.items()),
                )
                for value in result.values
                if strata or value.stratum == "all"
            ],
        )
        for warning in result.warnings:
            click.secho(f"warning: {warning}", fg="yellow")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
