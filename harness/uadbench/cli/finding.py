"""From what a user types to what is meant: runs, prediction files, protocols, and the dataset behind them."""

from functools import cache
from pathlib import Path

import click

from uadbench.files.dataset import paths_in
from uadbench.files.images import Dataset, open_images
from uadbench.files.predictions import open_predictions
from uadbench.files.results import Result
from uadbench.files.truth import TruthFile, open_truth
from uadbench.home import data_folder, runs_folder
from uadbench.protocols import Protocol, protocol, read_protocol
from uadbench.runs.plan import find_dataset
from uadbench.runs.store import Run, Store
from uadbench.scoring import rules_for, score


def protocol_of(text: str) -> Protocol:
    """The protocol in a TOML file, or the shipped one of that name."""
    return read_protocol(Path(text)) if text.endswith(".toml") else protocol(text)


def run_of(name: str) -> Run:
    """The run that a user means."""
    return Store(runs_folder()).find(name)


@cache
def dataset_of(name: str) -> tuple[Dataset, TruthFile]:
    """Images and truth of a dataset in the workspace."""
    paths = find_dataset(name, data_folder())
    return open_images(paths.images), open_truth(paths.truth)


def is_kept(name: str, folder: Path, *, force: bool) -> bool:
    """Whether a dataset is there already and may not be replaced; says so."""
    paths = paths_in(folder, name)
    kept = paths.images.is_file() and paths.truth.is_file() and not force
    if kept:
        click.echo(f"{name} is in {folder} already. Use --force to make it again.")
    return kept


def predictions_of(name: str) -> Path:
    """The prediction file of a run, or the file itself."""
    return Path(name) if name.endswith(".h5") else run_of(name).predictions


def scored(name: str, rules: Protocol | None = None) -> Result:
    """The result of a run or prediction file, scored now."""
    predictions = open_predictions(predictions_of(name))
    dataset, truth = dataset_of(str(predictions.provenance.get("dataset", {}).get("name")))
    own = rules or rules_for(truth)
    return score(own, dataset, truth, predictions)
