"""Fitting and predicting: from an images file to a sealed prediction file. This code never sees a truth file."""

import contextlib
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from uadbench import __version__, plugins
from uadbench.errors import ContractError, InvalidDataError
from uadbench.files.digest import canonical_json
from uadbench.files.images import Dataset, SplitSource, open_images
from uadbench.files.layout import space_checked
from uadbench.files.predictions import PREDICTED_SPLITS, PredictionWriter
from uadbench.torch_support.devices import require_device
from uadbench.types import CHECKPOINT_SUFFIX, Detector, FitContext, Images, Prediction, Progress

BATCH = 32
LIBRARIES = ("numpy", "scipy", "scikit-learn", "scikit-image", "torch", "timm", "h5py")


@dataclass(frozen=True, slots=True)
class Order:
    """What to fit: a method with a preset and overriding parameters, a seed, a device and a precision."""

    method: str
    preset: str = "quick"
    params: Mapping[str, Any] | None = None
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall-clock seconds of a run's two steps."""

    fit_seconds: float
    predict_seconds: float


def _silent(progress: Progress) -> None:
    """Nobody listens."""


def fit_predict(
    order: Order,
    images: Path,
    out: Path,
    *,
    workdir: Path,
    keep_detector: bool = True,
    report: Callable[[Progress], None] = _silent,
) -> Timing:
    """Fit on train, predict val and test, seal `out`; the detector is kept under `workdir/detector`.

    Raises:
        UsageError: Unknown method, preset or parameter.
        ContractError: A parameter cannot be recorded, or the plugin returned wrong shapes or values not finite.
        InvalidDataError: The images file breaks a rule, or is too small for the method.
    """
    registered = plugins.method(order.method)
    method = plugins.make(order.method, preset=order.preset, **(order.params or {}))
    _require_plain(order.method, asdict(method))
    dataset = open_images(images)
    _require_size(registered.spec.name, registered.spec.min_size, dataset)
    require_device(order.device)
    with space_checked(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
    context = FitContext(order.seed, order.device, order.precision, workdir, report)
    start = time.perf_counter()
    detector: Detector = method.fit(dataset["train"], dataset["val"], context)
    fitted = time.perf_counter()
    if keep_detector:
        with space_checked(workdir / "detector"):
            (workdir / "detector").mkdir(exist_ok=True)
            detector.save(workdir / "detector")
    provenance = _provenance(order, asdict(method), dataset, detector)
    with PredictionWriter(out, provenance) as writer:
        for split in PREDICTED_SPLITS:
            for ids, prediction in predictions(detector, dataset[split], report, split):
                writer.append(split, ids, prediction)
    for checkpoint in workdir.glob(f"*{CHECKPOINT_SUFFIX}"):
        checkpoint.unlink()
    return Timing(fitted - start, time.perf_counter() - fitted)


def predictions(detector: Detector, source: SplitSource, report: Callable[[Progress], None], split: str) -> Any:
    """Ids and checked Prediction of every batch of a split."""
    for start in range(0, len(source), BATCH):
        images = source[start : start + BATCH]
        yield images.ids, checked(detector.predict(images), images)
        report(Progress(min(start + BATCH, len(source)), len(source), "images", f"predicting {split}"))


def checked(prediction: Prediction, images: Images) -> Prediction:
    """The prediction, if it fits the images.

    Raises:
        ContractError: No Prediction, or maps of another number or size than the images.
    """
    if not isinstance(prediction, Prediction):
        raise ContractError(f"predict returned {type(prediction).__name__}. Return uadbench.Prediction(maps, scores).")
    n, c, h, w = images.pixels.shape
    if prediction.maps.shape != (n, h, w):
        raise ContractError(
            f"Prediction: maps {prediction.maps.shape} for images {images.pixels.shape}. "
            f"Return maps of shape {(n, h, w)}."
        )
    if prediction.reconstructions is not None and prediction.reconstructions.shape != (n, c, h, w):
        raise ContractError(
            f"Prediction: reconstructions {prediction.reconstructions.shape} for images "
            f"{images.pixels.shape}. Return the shape of the images."
        )
    return prediction


def _require_plain(name: str, params: Mapping[str, Any]) -> None:
    """Refuses, before hours of fitting, parameters that the sealed file could not record."""
    for key, value in params.items():
        try:
            canonical_json(value)
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"{name}.{key} is {value!r}, which cannot be recorded. Give finite numbers, texts, lists or mappings."
            ) from error


def _require_size(name: str, min_size: int, dataset: Dataset) -> None:
    _, h, w = dataset["train"].shape
    if min(h, w) < min_size:
        raise InvalidDataError(
            f"{name} needs images of at least {min_size} pixels a side; {dataset.card.name} has {h} x {w}. "
            "Import the dataset at a larger --size."
        )


def _provenance(order: Order, params: Mapping[str, Any], dataset: Dataset, detector: Detector) -> dict[str, Any]:
    registered = plugins.method(order.method)
    spec, origin, digests = registered.spec, registered.origin, dataset.digests
    return {
        "method": spec.name,
        "title": spec.title,
        "paper": spec.paper,
        "canary": spec.canary,
        "stochastic": spec.stochastic,
        "distribution": origin.distribution,
        "distribution_version": origin.version,
        "harness_version": __version__,
        "preset": order.preset,
        "params": dict(params),
        "seed": order.seed,
        "device": order.device,
        "precision": order.precision,
        "weights": [dict(used) for used in getattr(detector, "weights", ())],
        "diagnostics": dict(getattr(detector, "diagnostics", {})),
        "dataset": {
            "name": dataset.card.name,
            "version": dataset.card.version,
            "identity": digests.identity,
            "pixels": digests.pixels,
        },
        "versions": versions_of(LIBRARIES),
        "hardware": hardware(order.device),
    }


def versions_of(libraries: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of those libraries that are installed."""
    found = {"python": platform.python_version()}
    for library in libraries:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def hardware(device: str = "cpu") -> dict[str, Any]:
    """The machine a run was made on: processor, cores, system, and the accelerator if one is used."""
    import os

    card: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        card["threads"] = torch.get_num_threads()
        if device.startswith("cuda"):
            card["accelerator"] = torch.cuda.get_device_name(device)
    return card


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
