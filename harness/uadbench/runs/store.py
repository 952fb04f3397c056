"""The store: one folder per run, with its record, log, sealed predictions and result. Nothing finished is ever lost."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from uadbench.errors import InvalidDataError, UadbenchError, UnknownNameError, UsageError
from uadbench.files.digest import digest_json
from uadbench.files.layout import held, write_text_atomically
from uadbench.files.results import Frozen, Result, read_record, read_result
from uadbench.types import CHECKPOINT_SUFFIX

Status = Literal["running", "done", "failed", "interrupted"]


class Failure(Frozen):
    """Why a run has no predictions: the error's class and its sentence."""

    kind: str
    sentence: str
    exit_code: int = 1


def failure_of(error: BaseException) -> Failure:
    """An error of a run as a typed failure; of a foreign error the first line is kept."""
    kind, text = type(error).__name__, str(error).strip()
    if isinstance(error, UadbenchError):
        return Failure(kind=kind, sentence=text, exit_code=error.exit_code)
    return Failure(kind=kind, sentence=f"{kind}: {text.splitlines()[0]}" if text else kind)


def death(what: str, code: int) -> Failure:
    """The failure of a process that ended with this exit code (negative: a signal) and said nothing."""
    died = f"signal {-code}" if code < 0 else f"exit code {code}"
    hint = " Too little memory is the usual cause." if code == -9 else ""
    return Failure(kind="ProcessDied", sentence=f"{what} ended with {died}.{hint}")


class RunSpec(Frozen):
    """What a run is, before it is carried out; its key decides whether it was done before."""

    method: str
    distribution: str
    distribution_version: str
    preset: str
    params: Mapping[str, Any] = Field(default_factory=dict)
    overrides: Mapping[str, Any] = Field(default_factory=dict)
    seed: int
    device: str
    precision: str
    dataset: str
    dataset_version: str
    identity: str
    pixels: str

    @property
    def key(self) -> str:
        """Digest of everything above: the same key, the same run."""
        return digest_json(self.model_dump(mode="json"))

    @property
    def settings(self) -> str:
        """The overridden parameters as text, such as `latent=4`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.overrides.items())

    @property
    def id(self) -> str:
        """A readable name, unique by the start of the key."""
        return f"{self.method.replace(':', '-')}-{self.preset}-seed{self.seed}-{self.key[:8]}"


class RunRecord(Frozen):
    """What became of a run, with wall-clock seconds; times of day are UTC."""

    schema_name: Literal["uadbench-run-v1"] = Field("uadbench-run-v1", alias="schema")
    spec: RunSpec
    status: Status
    started: str
    finished: str = ""
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    failure: Failure | None = None


class Run:
    """The folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def predictions(self) -> Path:
        """The sealed prediction file; it exists once the run is done."""
        return self.folder / "predictions.h5"

    @property
    def log(self) -> Path:
        """What the method printed, and the traceback of a failure."""
        return self.folder / "log.txt"

    @property
    def detector(self) -> Path:
        """The fitted detector, as the method saved it."""
        return self.folder / "work" / "detector"

    @property
    def record(self) -> RunRecord:
        """The run's record.

        Raises:
            InvalidDataError: The folder holds no valid record.
        """
        return read_record(self.folder / "run.json", RunRecord)

    def write(self, record: RunRecord) -> None:
        """Store the record, atomically."""
        write_text_atomically(self.folder / "run.json", record.model_dump_json(by_alias=True, indent=1) + "\n")

    def begin(self, record: RunRecord) -> None:
        """Store the record of a run that starts now; what an unfinished run left behind goes.

        Checkpoints of a run that was cut off stay: training goes on from them.
        """
        for leftover in (self.predictions, self.folder / "result.json"):
            leftover.unlink(missing_ok=True)
        for leftover in self._leftovers():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        self.write(record)

    def _leftovers(self) -> list[Path]:
        """What lies in the work folder and is no checkpoint of a run that was cut off."""
        found = list((self.folder / "work").glob("*"))
        try:
            cut_off = self.record.status in ("running", "interrupted")
        except InvalidDataError:
            cut_off = False
        return [path for path in found if not (cut_off and path.suffix == CHECKPOINT_SUFFIX)]

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Keeps other processes from carrying out this run; False where one of them does it now."""
        with held(self.folder) as free:
            yield free

    @property
    def is_readable(self) -> bool:
        """Whether the record can be read."""
        try:
            return bool(self.record)
        except InvalidDataError:
            return False

    @property
    def is_done(self) -> bool:
        """Whether the run has sealed predictions and a record that says so; a damaged record says nothing."""
        return self.predictions.is_file() and self.is_readable and self.record.status == "done"

    def result(self, protocol_digest: str, metric_version: str) -> Result | None:
        """The stored result under that protocol and metric version, or None if it must be scored."""
        path = self.folder / "result.json"
        if not path.is_file():
            return None
        try:
            stored = read_result(path)
        except InvalidDataError:
            return None
        fits = stored.protocol.digest == protocol_digest and stored.metric_version == metric_version
        return stored if fits else None

    def write_result(self, result: Result) -> None:
        """Store the result, atomically."""
        result.write(self.folder / "result.json")


class Store:
    """All runs under one folder, as `<dataset>/<run id>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, spec: RunSpec) -> Run:
        """The folder for a run, whether it was carried out or not."""
        return Run(self.folder / spec.dataset / spec.id)

    def runs(self, dataset: str | None = None) -> Iterator[Run]:
        """Every run with a record, by dataset and name."""
        for path in sorted(self.folder.glob(f"{dataset or '*'}/*/run.json")):
            yield Run(path.parent)

    def done(self, dataset: str) -> list[Run]:
        """The finished runs on a dataset."""
        return [run for run in self.runs(dataset) if run.is_done]

    def find(self, name: str) -> Run:
        """The run that a user means: a folder, or the start of an id (also after `dataset/`) that fits one only.

        Raises:
            UnknownNameError: No run fits.
            UsageError: Several runs fit.
        """
        folder = Path(name).absolute()
        if (folder / "run.json").is_file():
            return Run(folder.resolve())
        runs = list(self.runs())
        dataset, _, start = name.rpartition("/")
        fitting = [run for run in runs if run.id.startswith(start) and dataset in ("", run.folder.parent.name)]
        fitting = [run for run in fitting if run.id == start] or fitting
        if not fitting:
            raise UnknownNameError("run", name, [run.id for run in runs], "uadbench list runs")
        if len(fitting) > 1:
            shown = ", ".join(f"{run.folder.parent.name}/{run.id}" for run in fitting[:4])
            raise UsageError(f"{name!r} fits {len(fitting)} runs: {shown}. Give the run's folder, or more of its name.")
        return fitting[0]


def now() -> str:
    """The time of day, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
