"""Stage 1: any installed method that reconstructs, by name; it is fitted first, and then only asked.

Source: Bercea et al., MICCAI 2023 (PHANES), sec. 3, where it is RA.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from jaxtyping import Float32

from uadbench import Detector, FitContext, Images, ImageSource, Method, Progress, plugins
from uadbench.errors import ContractError, InvalidDataError, ParameterError
from uadbench.fitting import checked
from uadbench.plugins import Registered
from uadbench.types import CHECKPOINT_SUFFIX

OWN_NAME = "phanes"
# a run that was cut off keeps what is called so, and with it the checkpoint inside
WORK = f"stage1{CHECKPOINT_SUFFIX}"
FOLDER, RECORD = "stage1", "stage1.json"


@dataclass(frozen=True, slots=True)
class FirstStage:
    """A method by name, with a preset and `settings` over it, such as "epochs=5 lr=1e-3"."""

    name: str
    preset: str
    settings: str

    @property
    def registered(self) -> Registered:
        """Its spec, and the distribution that offers it.

        Raises:
            ParameterError: It is not installed, or does not reconstruct; lists those that do.
        """
        known = plugins.registry().methods()
        able = [name for name, one in known.items() if one.spec.reconstructs and name != OWN_NAME]
        if self.name in able:
            return known[self.name]
        why = "returns no reconstructions" if self.name in known else "is not installed"
        remedy = f"Give one that reconstructs: {', '.join(able)}" if able else "Install one, as uadbench-introspective"
        raise ParameterError(
            f"{OWN_NAME}: stage1 is {self.name!r}, which {'is this method itself' if self.name == OWN_NAME else why}. "
            f"{remedy}."
        )

    def made(self) -> Method:
        """The method with its parameters, unfitted.

        Raises:
            ParameterError: No such method, or a setting that does not fit.
            UnknownNameError: It has no such preset.
            UsageError: A setting that is not param=value.
        """
        found = self.registered
        settings = plugins.parse_settings([f"{self.name}.{one}" for one in self.settings.split()])
        method: Method = plugins.build(found.spec, self.preset, settings.get(self.name, {}))
        return method

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Detector:
        """Fitted in a work folder of its own.

        Raises:
            InvalidDataError: Images smaller than it takes.
        """
        least, (_, h, w) = self.registered.spec.min_size, train.shape
        if min(h, w) < least:
            raise InvalidDataError(
                f"{OWN_NAME}: stage 1, {self.name}, needs images of at least {least} pixels a side; these have "
                f"{h} x {w}. Give larger ones, or another stage1."
            )
        folder = context.workdir / WORK
        folder.mkdir(parents=True, exist_ok=True)

        def report(progress: Progress) -> None:
            context.report(replace(progress, message=f"stage 1, {self.name}: {progress.message}"))

        return self.made().fit(train, val, replace(context, workdir=folder, report=report))

    def clear(self, context: FitContext) -> None:
        """Removes that folder, when stage 2 is fitted as well: what an interrupted run would have gone on from."""
        rmtree(context.workdir / WORK)

    def save(self, detector: Detector, folder: Path) -> None:
        """Writes the fitted method into a folder inside, and beside it what it is."""
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        detector.save(folder / FOLDER)
        origin = self.registered.origin
        record = {**asdict(self), "params": asdict(self.made()), **asdict(origin)}
        (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")

    def load(self, folder: Path, device: str) -> Detector:
        """What `save` wrote, through the registry.

        Raises:
            InvalidDataError: No such record, or that of another method.
        """
        record = _record(folder / RECORD)
        if record.get("name") != self.name:
            raise InvalidDataError(
                f"{folder / FOLDER} holds a fitted {record.get('name')}, not {self.name}. Fit the method again."
            )
        detector: Detector = plugins.resolve(self.registered.spec.target).load(folder / FOLDER, device)
        return detector


def reconstructed(detector: Detector, images: Images, name: str) -> Float32[np.ndarray, "n c h w"]:
    """What the fitted stage 1 of that name makes of images.

    Raises:
        ContractError: It returns none, or of another shape.
    """
    seen = checked(detector.predict(images), images).reconstructions
    if seen is None:
        raise ContractError(
            f"{OWN_NAME}: stage 1, {name}, returned no reconstructions, although its spec says that it does. Give "
            "another stage1, or say reconstructs=False in its spec."
        )
    return seen


def _record(path: Path) -> Mapping[str, Any]:
    try:
        record: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidDataError(f"{path} holds no record of stage 1 ({error}). Fit the method again.") from error
    return record
