"""`uadbench compare`: the paired difference of two runs, with its interval."""

import click

from uadbench.cli.console import show


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--strata", is_flag=True, help="Also print every pathology.")
@click.option("--protocol", help="A shipped protocol's name or a TOML file; default: the dataset's own.")
def compare(first: str, second: str, strata: bool, protocol: str | None) -> None:
    """Print A - B for every metric, with the 95 % interval over the same resampled subjects."""
    from uadbench.cli.finding import dataset_of, predictions_of, protocol_of
    from uadbench.comparing import compare as compared
    from uadbench.errors import InvalidDataError
    from uadbench.files.predictions import open_predictions
    from uadbench.scoring import rules_for

    one, two = (open_predictions(predictions_of(name)) for name in (first, second))
    names = [str(side.provenance.get("dataset", {}).get("name")) for side in (one, two)]
    if names[0] != names[1]:
        raise InvalidDataError(f"A is a run on {names[0]}, B on {names[1]}. Compare two runs on one dataset.")
    dataset, truth = dataset_of(names[0])
    rules = protocol_of(protocol) if protocol else rules_for(truth)
    rows = compared(rules, dataset, truth, one, two)
    show(
        f"A = {first}, B = {second}, on {rules.name}",
        ("stratum", "metric", "A", "B", "A - B", "95 % interval", ""),
        [
            (
                row.stratum,
                row.metric,
                f"{row.first:.4f}",
                f"{row.second:.4f}",
                f"{row.first - row.second:+.4f}",
                "" if row.low is None else f"{row.low:+.4f} to {row.high:+.4f}",
                "differs" if row.differs else "",
            )
            for row in rows
            if strata or row.stratum == "all"
        ],
    )
