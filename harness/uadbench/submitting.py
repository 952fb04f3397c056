"""Submitting: finished runs become a bundle, a folder of sealed prediction files and one submission.json."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uadbench import __version__
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.layout import space_checked, write_text_atomically
from uadbench.files.predictions import open_predictions
from uadbench.files.results import Result
from uadbench.files.submission import DECLARATION, Submission, SubmittedRun, Submitter

MANIFEST = "submission.json"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run to submit: its prediction file, its own result, and the seconds it took."""

    name: str
    predictions: Path
    result: Result
    fit_seconds: float | None = None
    predict_seconds: float | None = None


def pack(candidates: Sequence[Candidate], submitter: Submitter, folder: Path) -> Path:
    """Write the bundle into a new folder and return the path of its submission.json.

    Raises:
        UsageError: The folder exists, no run is given, or one twice.
        InvalidDataError: Runs under several protocols or datasets, or an incomplete or damaged prediction file.
    """
    if not candidates:
        raise UsageError("Nothing to submit. Name at least one run; see `uadbench list runs`.")
    if folder.exists():
        raise UsageError(f"{folder} exists already. Name a new folder for the bundle.")
    names = [one.name for one in candidates]
    if len(set(names)) != len(names):
        raise UsageError(f"A run is named twice among {', '.join(names)}. Name each once.")
    first = candidates[0].result
    for one in candidates:
        _require_fitting(one, first)
    submission = Submission(
        schema="uadbench-submission-v1",
        protocol=first.protocol.name,
        protocol_digest=first.protocol.digest,
        dataset=first.dataset.name,
        identity=first.dataset.identity,
        submitter=submitter,
        declaration=DECLARATION,
        harness_version=__version__,
        runs=tuple(_described(one) for one in candidates),
    )
    with space_checked(folder):
        (folder / "predictions").mkdir(parents=True)
        for one, run in zip(candidates, submission.runs, strict=True):
            shutil.copyfile(one.predictions, folder / run.predictions)
    write_text_atomically(folder / MANIFEST, submission.model_dump_json(by_alias=True, indent=1) + "\n")
    return folder / MANIFEST


def _require_fitting(one: Candidate, first: Result) -> None:
    if one.result.protocol != first.protocol or one.result.dataset.identity != first.dataset.identity:
        raise InvalidDataError(
            f"{one.name} was scored under {one.result.protocol.name}, the first run under {first.protocol.name}. "
            "Submit the runs of one protocol at a time."
        )
    if one.result.complete[0] != one.result.complete[1]:
        raise InvalidDataError(
            f"{one.name} has {one.result.complete[0]} of {one.result.complete[1]} predictions. Run it again."
        )
    if open_predictions(one.predictions).seal != one.result.seal:
        raise InvalidDataError(
            f"{one.predictions}: the stored result belongs to another seal. Run `uadbench score` again."
        )


def _described(one: Candidate) -> SubmittedRun:
    claimed = {
        value.metric: value.value for value in one.result.values if value.stratum == "all" and value.value is not None
    }
    return SubmittedRun(
        predictions=f"predictions/{one.name}.h5",
        seal=one.result.seal,
        claimed=claimed,
        fit_seconds=one.fit_seconds,
        predict_seconds=one.predict_seconds,
    )
