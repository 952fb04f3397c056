"""`uadbench predict`: one image under its anomaly map, from a fitted run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uadbench.files.images import Dataset
    from uadbench.runs.store import Run
    from uadbench.types import Images, Prediction


@click.command()
@click.argument("run")
@click.argument("image")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the PNG; default: IMAGE-METHOD.png here.")
@click.option(
    "--divide-by",
    type=float,
    help="Stored grey value that becomes intensity 1, as at import (default: the type's largest).",
)
@click.option("--device", default="cpu", show_default=True)
def predict(run: str, image: str, out: Path | None, divide_by: float | None, device: str) -> None:
    """Draw IMAGE, a picture file or the id of a test image, beside itself under its anomaly map by the fitted RUN.

    For research only, not for diagnosis.
    """
    import numpy as np

    from uadbench.board import pair
    from uadbench.cli.finding import dataset_of, run_of
    from uadbench.errors import InvalidDataError
    from uadbench.files.predictions import open_predictions
    from uadbench.packing import EXTERNAL

    found = run_of(run)
    if not found.is_done or not found.detector.is_dir():
        made = "its maps were made elsewhere" if found.record.spec.preset == EXTERNAL else found.record.status
        raise InvalidDataError(f"Run {found.id} has no fitted detector ({made}). Choose a run of an installed method.")
    spec = found.record.spec
    dataset, _ = dataset_of(spec.dataset)
    images = _picture(Path(image), dataset, divide_by) if Path(image).is_file() else _by_id(image, dataset)
    prediction = _predicted(found, images, device)
    val = open_predictions(found.predictions, verify=False)["val"]
    healthy = val.maps(slice(0, len(val)))
    low, high = (float(np.quantile(healthy, share)) for share in (0.5, 0.999))
    target = out or Path(f"{Path(image).stem}-{spec.method}.png")
    from uadbench.files.layout import space_checked

    with space_checked(target):
        target.write_bytes(pair(images.pixels[0], prediction.maps[0], low, max(high, float(prediction.maps[0].max()))))
    below = int((val.scores < prediction.scores[0]).sum())
    click.echo(f"score {prediction.scores[0]:.6g}, above {below} of {len(val)} healthy validation images\n{target}")


def _predicted(run: Run, images: Images, device: str) -> Prediction:
    from uadbench import plugins
    from uadbench.errors import RunFailedError, UadbenchError
    from uadbench.fitting import checked
    from uadbench.torch_support.devices import require_device

    require_device(device)
    load = plugins.method_class(run.record.spec.method).load
    try:
        return checked(load(run.detector, device).predict(images), images)
    except UadbenchError:
        raise
    except Exception as error:
        raise RunFailedError(
            f"{run.record.spec.method} cannot predict with {run.detector} ({type(error).__name__}: {error}). "
            "Run it again if its files are damaged."
        ) from error


def _by_id(name: str, dataset: Dataset) -> Images:
    from uadbench.errors import UnknownNameError

    for split in ("test", "val"):
        if name in dataset[split].ids:
            row = dataset[split].ids.index(name)
            return dataset[split][row : row + 1]
    known = [*dataset["test"].ids, *dataset["val"].ids]
    raise UnknownNameError("file or image", name, known, f"uadbench data show {dataset.card.name} --ids test")


def _picture(path: Path, dataset: Dataset, divide_by: float | None) -> Images:
    import numpy as np

    from uadbench.datasets.importing.foregrounds import foreground
    from uadbench.datasets.importing.geometry import Geometry
    from uadbench.datasets.importing.pictures import read_grey
    from uadbench.errors import InvalidDataError
    from uadbench.types import Images

    channels, height, width = dataset["test"].shape
    if height != width or channels != 1:
        raise InvalidDataError(
            f"{path}: {dataset.card.name} has images of {channels} x {height} x {width}; a picture can be "
            "brought to one channel and a square only. Give the id of a test image."
        )
    stored = read_grey(path.read_bytes(), str(path))
    largest = divide_by or float(np.iinfo(stored.dtype).max)
    square = Geometry(stored.shape[0], stored.shape[1], height).image(np.clip(stored / largest, 0, 1))
    rules = [str(step["rule"]) for step in dataset.card.preprocessing if step.get("step") == "foreground"]
    body = foreground(np.round(square * 255).astype(np.uint8), rules[0] if rules else "otsu")
    return Images(square.astype(np.float32)[None, None], body[None], (path.stem,), (path.stem,))
