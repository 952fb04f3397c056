"""Verifying: a bundle is re-scored from the truth file; no claimed number is believed, only compared."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from uadbench.errors import InvalidDataError
from uadbench.files.images import Dataset
from uadbench.files.layout import write_text_atomically
from uadbench.files.predictions import open_predictions
from uadbench.files.results import Result, read_record
from uadbench.files.submission import AcceptedRow, Submission, SubmittedRun, Trust, is_external
from uadbench.files.truth import TruthFile
from uadbench.protocols import Protocol
from uadbench.scoring import score
from uadbench.submitting import MANIFEST

TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Finding:
    """One run of a bundle after re-scoring: its result, or what is wrong with it."""

    predictions: str
    result: Result | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """A bundle after every run was looked at."""

    submission: Submission
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every run is sound."""
        return not any(finding.problems for finding in self.findings)


def read_submission(bundle: Path) -> Submission:
    """The submission of a bundle.

    Raises:
        InvalidDataError: No bundle, or a submission.json that breaks the schema.
    """
    return read_record(Path(bundle) / MANIFEST, Submission)


def verify(bundle: Path, rules: Protocol, dataset: Dataset, truth: TruthFile) -> Verification:
    """Check seals, digests and completeness, score again, and compare with the claimed numbers.

    Raises:
        InvalidDataError: No valid submission.json, or one for another protocol or dataset.
    """
    submission = read_submission(bundle)
    if (submission.protocol, submission.protocol_digest) != (rules.name, rules.digest):
        raise InvalidDataError(
            f"{bundle}: submitted under {submission.protocol} {submission.protocol_digest[:12]}, but the protocol here "
            f"is {rules.name} {rules.digest[:12]}. Score and submit again under this one."
        )
    if submission.identity != dataset.digests.identity:
        raise InvalidDataError(
            f"{bundle}: about {submission.dataset} of identity {submission.identity[:12]}, but {dataset.path} has "
            f"{dataset.digests.identity[:12]}. Run on this dataset and submit again."
        )
    findings = [_find(Path(bundle), run, rules, dataset, truth) for run in submission.runs]
    return Verification(submission, tuple(_once_each(findings)))


def _once_each(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Two runs of one configuration and seed, or one run relabelled with another seed, would count as two seeds."""
    first: dict[tuple[str, int], str] = {}
    measured: dict[str, str] = {}
    for finding in findings:
        result = finding.result
        if result is None:
            yield finding
            continue
        key = result.configuration, result.seed
        if key in first:
            again = f"seed {key[1]} of {result.method} is in {first[key]} already. Submit each seed once."
            finding = replace(finding, problems=(*finding.problems, again))
        else:
            first[key] = finding.predictions
            finding = _unlike(finding, result, measured)
        yield finding


def _unlike(finding: Finding, result: Result, measured: dict[str, str]) -> Finding:
    """The finding, with a problem if a stochastic method's run has the very numbers of a run seen before."""
    numbers = result.configuration + result.model_dump_json(include={"values", "draws"})
    other = measured.setdefault(numbers, finding.predictions)
    if other == finding.predictions or not result.provenance.get("stochastic"):
        return finding
    same = f"seed {result.seed} of {result.method} has every number of {other}. Submit runs of different seeds."
    return replace(finding, problems=(*finding.problems, same))


def _find(bundle: Path, run: SubmittedRun, rules: Protocol, dataset: Dataset, truth: TruthFile) -> Finding:
    path = bundle / run.predictions
    try:
        if path.is_symlink() or not path.resolve().is_relative_to(bundle.resolve()):
            raise InvalidDataError(f"{path}: a link out of the bundle. Put the file itself there.")
        predictions = open_predictions(path)
        if predictions.seal != run.seal:
            raise InvalidDataError(
                f"{path}: the file's seal {predictions.seal[:12]} is not the submitted {run.seal[:12]}."
            )
        result = score(rules, dataset, truth, predictions)
    except InvalidDataError as error:
        return Finding(run.predictions, None, (str(error),))
    problems = _differences(run, result)
    if result.complete[0] != result.complete[1]:
        problems = [f"{result.complete[0]} of {result.complete[1]} test images are predicted.", *problems]
    return Finding(run.predictions, result, tuple(problems))


def _differences(run: SubmittedRun, result: Result) -> list[str]:
    found = {value.metric: value.value for value in result.values if value.stratum == "all"}
    problems = []
    for metric, claimed in run.claimed.items():
        value = found.get(metric)
        if value is None or abs(value - claimed) > TOLERANCE:
            shown = "no value" if value is None else f"{value:.6f}"
            problems.append(f"{metric}: claimed {claimed:.6f}, re-scored {shown}.")
    return problems


def accept(verification: Verification, rows: Path) -> list[Path]:
    """Write one JSON file per configuration into `rows`, and return their paths.

    Raises:
        InvalidDataError: A run did not pass, or a row of another submitter is there already.
    """
    if not verification.passed:
        raise InvalidDataError("The bundle did not pass; no row was written. Mend what `uadbench verify` says first.")
    results = sorted(_results(verification.findings), key=lambda one: (one.configuration, one.seed))
    submitter = verification.submission.submitter
    accepted: dict[Path, AcceptedRow] = {}
    for configuration, members in groupby(results, key=lambda one: one.configuration):
        seeds = tuple(members)
        trust: Trust = "external" if is_external(seeds) else "re-scored"
        row = AcceptedRow(schema="uadbench-row-v1", trust=trust, submitter=submitter, results=seeds)
        path = rows / row_name(row.results[0], configuration)
        if path.is_file() and read_record(path, AcceptedRow).submitter.name != submitter.name:
            raise InvalidDataError(
                f"{path}: this configuration was submitted by another group already. Compare the two."
            )
        accepted[path] = row
    for path, row in accepted.items():
        write_text_atomically(path, row.model_dump_json(by_alias=True) + "\n")
    return list(accepted)


def _results(findings: Sequence[Finding]) -> list[Result]:
    return [finding.result for finding in findings if finding.result]


def row_name(result: Result, configuration: str) -> str:
    """The file name of a row: protocol, method, and the configuration's digest."""
    return f"{result.protocol.name}--{re.sub(r'[^A-Za-z0-9.-]+', '-', result.method)}--{configuration}.json"


def read_rows(folder: Path) -> list[AcceptedRow]:
    """All rows of a leaderboard folder, by file name.

    Raises:
        InvalidDataError: A file that is no row; names it.
    """
    return [read_record(path, AcceptedRow) for path in sorted(Path(folder).glob("*.json"))]
