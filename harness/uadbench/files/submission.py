"""Submissions: prediction files with who, paper, code, licence and declarations; and the rows that come of them."""

from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from uadbench.files.results import Frozen, Result

Trust = Literal["external", "re-scored", "reproduced"]
DECLARATION = "The method saw the images of train and val only, and nothing was chosen by its results on test."


class SubmittedRun(Frozen):
    """One sealed prediction file of a bundle, and the numbers that its submitter claims for it (metric to value)."""

    predictions: str
    seal: str
    claimed: Mapping[str, float] = Field(default_factory=dict)
    fit_seconds: float | None = Field(None, ge=0)
    predict_seconds: float | None = Field(None, ge=0)

    @field_validator("predictions")
    @classmethod
    def stays_in_bundle(cls, path: str) -> str:
        """A plain relative path to an .h5 file."""
        parts = path.split("/")
        if (
            not path.endswith(".h5")
            or path.startswith("/")
            or "\\" in path
            or any(part in ("", ".", "..") for part in parts)
        ):
            raise ValueError(f"{path!r} is not a path inside the bundle, such as predictions/run.h5")
        return path


class Submitter(Frozen):
    """Who submits, and where method and paper are to be found."""

    name: str = Field(min_length=1, max_length=200)
    paper: str = Field("", max_length=500)
    code: str = Field("", max_length=500)
    licence: str = Field("", max_length=200)


class Submission(Frozen):
    """The submission.json of a bundle: all runs of one protocol."""

    schema_name: Literal["uadbench-submission-v1"] = Field("uadbench-submission-v1", alias="schema")
    protocol: str
    protocol_digest: str
    dataset: str
    identity: str
    submitter: Submitter
    declaration: str
    harness_version: str
    runs: tuple[SubmittedRun, ...] = Field(min_length=1)

    @field_validator("dataset")
    @classmethod
    def is_a_name(cls, name: str) -> str:
        """A name, never a path: it is looked up in the data folder."""
        if not name or "/" in name or "\\" in name:
            raise ValueError(f"{name!r} is not the name of a dataset")
        return name

    @field_validator("declaration")
    @classmethod
    def is_declared(cls, text: str) -> str:
        """The declaration, word for word."""
        if text != DECLARATION:
            raise ValueError(f"must be: {DECLARATION}")
        return text


def is_external(results: Iterable[Result]) -> bool:
    """Whether maps of any of these were packed from files, so that no method made them under this harness."""
    return any(bool(result.provenance.get("external")) for result in results)


class AcceptedRow(Frozen):
    """One row of a leaderboard kept in git: the results as re-scored here, over the seeds of one configuration.

    `trust` follows from the results where they are external: their arithmetic is checked, their making is not.
    """

    schema_name: Literal["uadbench-row-v1"] = Field("uadbench-row-v1", alias="schema")
    trust: Trust = "re-scored"
    submitter: Submitter
    results: tuple[Result, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def is_not_trusted_beyond_its_results(self) -> Self:
        """External results are an external row, whatever the file says."""
        if is_external(self.results) and self.trust != "external":
            raise ValueError(f"maps made elsewhere are 'external', not {self.trust!r}")
        return self
