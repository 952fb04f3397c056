"""`uadbench predictions`: a board row for maps that any code made, without writing a plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uadbench.files.images import Dataset
    from uadbench.packing import ExternalMethod
    from uadbench.runs.store import Run, RunSpec


@click.group()
def predictions() -> None:
    """Pack anomaly maps made elsewhere."""


@predictions.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dataset", "-d", required=True, help="A dataset of the workspace.")
@click.option("--method", "-m", "name", required=True, help="A name that no installed method has.")
@click.option("--title", default="", help="The row's title; default: the name.")
@click.option("--paper", default="", help="Who published the method, where.")
@click.option("--code", default="", help="Where its code is.")
@click.option("--seed", type=int, default=0, show_default=True, help="Pack each seed by itself.")
@click.option("--deterministic", is_flag=True, help="Another seed would make the same maps.")
@click.option("--scores", type=click.Path(path_type=Path), help="CSV with columns id,score; default: mean of the map.")
@click.option("--reconstructions", type=click.Path(path_type=Path), help="A folder like DIR, intensities in [0, 1].")
@click.option("--force", is_flag=True, help="Replace this seed if it was packed before.")
def pack(
    folder: Path,
    dataset: str,
    name: str,
    title: str,
    paper: str,
    code: str,
    seed: int,
    deterministic: bool,
    scores: Path | None,
    reconstructions: Path | None,
    force: bool,
) -> None:
    """Make a finished run, marked external, of the anomaly maps in DIR.

    DIR holds one file per image of val and test, `<id>.npy`, .npz (one array), .png (16 bits; 8 are refused, as 256
    levels are few), .tif (float32 or 16 bits), .nii or .nii.gz (taken as stored, [row, column]): a map (h, w) of the
    images' size, higher = more anomalous, on one scale for all images. Seeds with the same name, title, paper and code
    are one row. The ids are printed by `uadbench data show X --ids all`; the images are read so:

    \b
    file = h5py.File("X.images.h5")    # in the workspace's data folder; splits train, val, test
    images = file["test/images"][:] * file["test/images"].attrs["scale"]    # (n, c, h, w) in [0, 1]
    ids = file["test/ids"].asstr()[:]    # maps[i] goes to f"{ids[i]}.npy"
    """
    from uadbench.errors import UsageError
    from uadbench.files.images import open_images
    from uadbench.home import data_folder, runs_folder
    from uadbench.packing import ExternalMethod, pack_predictions
    from uadbench.runs.plan import find_dataset
    from uadbench.runs.store import RunRecord, Store, now

    method = ExternalMethod(name, title, paper, code, seed, stochastic=not deterministic)
    images = open_images(find_dataset(dataset, data_folder()).images)
    spec, started = _spec(method, images), now()
    run = Store(runs_folder()).run(spec)
    if run.is_done and not force:
        raise UsageError(f"Seed {seed} of {name} is packed already: {run.id}. Give its own --seed, or --force.")
    with _prepared(run):
        pack_predictions(folder, images, run.predictions, method, scores=scores, reconstructions=reconstructions)
        run.write(RunRecord(schema="uadbench-run-v1", spec=spec, status="done", started=started, finished=now()))
    _warn(run)
    click.echo(f"{run.folder}\nScore it: uadbench score {run.id}\nWrite the board: uadbench board -d {dataset}")


@contextlib.contextmanager
def _prepared(run: Run) -> Iterator[None]:
    """The run's folder without the result of older predictions; a folder that nothing came into goes."""
    (run.folder / "result.json").unlink(missing_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            run.folder.rmdir()


def _warn(run: Run) -> None:
    from uadbench.files.predictions import FEW_LEVELS, open_predictions

    levels = open_predictions(run.predictions, verify=False).distinct_values
    if levels < FEW_LEVELS:
        click.secho(f"The test maps have {levels} distinct values only; the row will be marked.", fg="yellow", err=True)


def _spec(method: ExternalMethod, images: Dataset) -> RunSpec:
    from uadbench.packing import EXTERNAL
    from uadbench.runs.store import RunSpec

    return RunSpec(
        method=method.name,
        distribution=EXTERNAL,
        distribution_version=method.version,
        preset=EXTERNAL,
        seed=method.seed,
        device="",
        precision="",
        dataset=images.card.name,
        dataset_version=images.card.version,
        identity=images.digests.identity,
        pixels=images.digests.pixels,
    )
