"""Results: metric values with n, interval and provenance, as JSON that a machine and a reader can check."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uadbench.errors import InvalidDataError
from uadbench.files.digest import digest_json
from uadbench.files.layout import write_text_atomically

OVERALL = "all"
Record = TypeVar("Record", bound=BaseModel)


class Frozen(BaseModel):
    """A record that refuses unknown fields, changes and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Value(Frozen):
    """One metric on one stratum ("all" or a pathology), or the reason why it has none.

    `low` and `high` bound the 95 % interval; absent where a stratum has too few anomalous subjects.
    """

    metric: str
    stratum: str = OVERALL
    value: float | None
    low: float | None = None
    high: float | None = None
    subjects: int = 0
    images: int = 0
    cases: int = 0
    undefined: str = ""
    details: Mapping[str, float] = Field(default_factory=dict)


class DatasetDigests(Frozen):
    """Which data a result was measured on, and the leaks that its importer allowed."""

    name: str
    version: str
    identity: str
    pixels: str
    leaks: tuple[str, ...] = ()


class ProtocolDigest(Frozen):
    """Which frozen protocol measured it."""

    name: str
    digest: str
    primary: str


class Curve(Frozen):
    """Points of a curve, thinned for plots: `x` against `y`."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Result(Frozen):
    """What `score` returns. `draws` are the bootstrap values of the primary metric, for paired comparisons, without
    the resamples in which it has none (such as those without an anomalous image).

    `provenance` is what the prediction file says of its making; `seal` is the digest of that file's content.
    """

    schema_name: Literal["uadbench-result-v1"] = Field("uadbench-result-v1", alias="schema")
    protocol: ProtocolDigest
    dataset: DatasetDigests
    metric_version: str
    provenance: Mapping[str, Any]
    seal: str
    values: tuple[Value, ...]
    draws: tuple[float, ...] = ()
    curves: Mapping[str, Curve] = Field(default_factory=dict)
    complete: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The method's name; predictions made elsewhere may not say it."""
        return str(self.provenance.get("method") or "unnamed")

    @property
    def seed(self) -> int:
        """The seed of the run, 0 where none is said."""
        return int(self.provenance.get("seed") or 0)

    @property
    def configuration(self) -> str:
        """Digest of method, version, parameters and preset: results that share it differ in their seed only."""
        keys = ("method", "distribution", "distribution_version", "params", "preset")
        return digest_json({key: self.provenance.get(key) for key in keys})[:12]

    def get(self, metric: str, stratum: str = OVERALL) -> Value:
        """The value of one metric on one stratum.

        Raises:
            InvalidDataError: The result does not hold it.
        """
        for value in self.values:
            if value.metric == metric and value.stratum == stratum:
                return value
        raise InvalidDataError(f"The result of {self.method} holds no {metric} for {stratum!r}. Score it again.")

    @property
    def strata(self) -> tuple[str, ...]:
        """ "all" first, then every pathology."""
        return tuple(dict.fromkeys(value.stratum for value in self.values))

    def write(self, path: Path) -> None:
        """Store as JSON, atomically."""
        write_text_atomically(path, self.model_dump_json(by_alias=True, indent=1) + "\n")


def read_result(path: Path) -> Result:
    """The result stored at `path`.

    Raises:
        InvalidDataError: No such file, or not a result.
    """
    return read_record(path, Result)


def read_record(path: Path, kind: type[Record]) -> Record:
    """A pydantic record stored as JSON.

    Raises:
        InvalidDataError: No such file, or a field is missing or wrong; names the first.
    """
    try:
        return kind.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidDataError(f"{path}: no such file. Check the path.") from error
    except OSError as error:
        raise InvalidDataError(f"{path}: cannot be read ({error.strerror}). Give a file.") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{path}: not a valid {kind.__name__} ({_first(error)}). Make it again.") from error


def _first(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    one = error.errors()[0]
    return f"{'.'.join(str(part) for part in one['loc']) or 'file'}: {one['msg']}"
