"""`uadbench submit` and `uadbench verify`: bundles for a leaderboard that believes no submitted number."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="A new folder for the bundle.")
@click.option("--submitter", required=True, help="Person or group.")
@click.option("--paper", default="", help="Title, DOI or link of the paper.")
@click.option("--code", default="", help="Where the method's code is.")
@click.option("--licence", default="", help="Licence of the code.")
@click.option(
    "--declare",
    is_flag=True,
    help="Declare that the method saw train and val only, and that nothing was chosen on test.",
)
def submit(
    runs: tuple[str, ...], *, folder: Path, submitter: str, paper: str, code: str, licence: str, declare: bool
) -> None:
    """Pack finished RUNs (all seeds of one or more methods, under one protocol) into a bundle."""
    from uadbench.cli.finding import dataset_of, run_of
    from uadbench.errors import UsageError
    from uadbench.files.submission import DECLARATION, Submitter
    from uadbench.runs.local import result_of
    from uadbench.scoring import rules_for
    from uadbench.submitting import Candidate, pack

    if not declare:
        raise UsageError(f"A submission declares: «{DECLARATION}» Add --declare if that is so.")
    candidates = []
    for run in (run_of(name) for name in runs):
        record = run.record
        if not run.is_done:
            raise UsageError(f"Run {run.id} is {record.status}; only finished runs can be submitted.")
        dataset, truth = dataset_of(record.spec.dataset)
        rules = rules_for(truth)
        result = result_of(run, rules, dataset, truth)
        candidates.append(Candidate(run.id, run.predictions, result, record.fit_seconds, record.predict_seconds))
    path = pack(candidates, Submitter(name=submitter, paper=paper, code=code, licence=licence), folder)
    click.echo(f"{path}\nCheck it as the leaderboard will: uadbench verify {folder}")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--accept", "rows", type=click.Path(path_type=Path), help="Write the re-scored rows into this folder.")
def verify(bundle: Path, rows: Path | None) -> None:
    """Re-score BUNDLE from the truth file and compare with what it claims. Exit code 3 if anything differs."""
    from uadbench.cli.finding import dataset_of
    from uadbench.scoring import rules_for
    from uadbench.verifying import accept, read_submission
    from uadbench.verifying import verify as verified

    submission = read_submission(bundle)
    dataset, truth = dataset_of(submission.dataset)
    rules = rules_for(truth)
    verification = verified(bundle, rules, dataset, truth)
    for finding in verification.findings:
        if finding.result and not finding.problems:
            primary = finding.result.get(rules.primary)
            shown = "–" if primary.value is None else f"{primary.value:.4f}"
            click.echo(f"ok      {finding.predictions}: {rules.primary} {shown}, all claimed numbers confirmed")
        for problem in finding.problems:
            click.secho(f"wrong   {finding.predictions}: {problem}", fg="red")
    if not verification.passed:
        sys.exit(3)
    for path in accept(verification, rows) if rows else ():
        click.echo(f"row     {path}")
