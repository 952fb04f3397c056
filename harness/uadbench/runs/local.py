"""Carrying out a plan on this machine, one job after another: fit and predict apart, then score, then the board."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from uadbench import metrics, plugins
from uadbench.errors import InvalidDataError, UadbenchError
from uadbench.files.images import Dataset
from uadbench.files.results import Result
from uadbench.files.truth import TruthFile, open_truth
from uadbench.fitting import Timing
from uadbench.home import data_folder, runs_folder
from uadbench.protocols import Protocol as Rules
from uadbench.runs.job import JobFailedError, carry_out
from uadbench.runs.plan import Plan, Wish, plan
from uadbench.runs.store import Failure, Run, RunRecord, RunSpec, Store, now
from uadbench.scoring import rules_for, score
from uadbench.types import Progress

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

ELSEWHERE = Failure(
    kind="RunHeld",
    sentence="Another process carries out this run now. Wait for it, then give the same command again.",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a campaign ended: with a result, or with a failure."""

    run: Run
    spec: RunSpec
    result: Result | None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The outcomes of a campaign, in the order of the plan."""

    protocol: Rules
    outcomes: tuple[Outcome, ...]

    def __repr__(self) -> str:
        return f"<{len(self.results)} results and {len(self.failures)} failures on {self.protocol.dataset}>"

    @property
    def results(self) -> tuple[Result, ...]:
        """The results of the runs that ended well."""
        return tuple(one.result for one in self.outcomes if one.result)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The runs that failed."""
        return tuple(one for one in self.outcomes if one.failure)

    def to_frame(self) -> "pd.DataFrame":
        """One line per method, seed, metric and stratum (needs pandas)."""
        import pandas as pd

        return pd.DataFrame(
            {"method": one.method, "seed": one.seed, **value.model_dump(exclude={"details"})}
            for one in self.results
            for value in one.values
        )


class Observer(Protocol):
    """Who watches a campaign."""

    def started(self, spec: RunSpec) -> None: ...

    def progressed(self, spec: RunSpec, progress: Progress) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


class Silent:
    """The observer that says nothing."""

    def started(self, spec: RunSpec) -> None:
        """A run has started."""

    def progressed(self, spec: RunSpec, progress: Progress) -> None:
        """A run has come further."""

    def finished(self, outcome: Outcome) -> None:
        """A run has ended, and its result or failure is stored."""


def run(
    methods: Sequence[str],
    dataset: str = "brain-phantom-v1",
    *,
    preset: str = "quick",
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "cpu",
) -> ResultSet:
    """Run methods on a dataset of the workspace, skip what is done, and return all results.

    Raises:
        UsageError: An unknown method, parameter or dataset.
        InvalidDataError: The dataset has not been made, or is damaged.
    """
    store = Store(runs_folder())
    wish = Wish(tuple(methods), dataset, preset, tuple(seeds), settings or {}, device)
    return campaign(plan(wish, store, data_folder()), store, Silent())


def campaign(planned: Plan, store: Store, observer: Observer) -> ResultSet:
    """Carry out a plan; a run that fails is recorded and the others go on. Done runs are scored if need be."""
    truth = open_truth(planned.paths.truth)
    rules = rules_for(truth)
    outcomes = [_scored(store.run(spec), spec, rules, planned, truth) for spec in planned.done]
    for spec in planned.todo:
        observer.started(spec)
        outcome = _attempt(store.run(spec), spec, rules, planned, truth, observer)
        outcomes.append(outcome)
        _notify("uadbench_run_finished", {"run": outcome.run, "result": outcome.result})
        observer.finished(outcome)
    return ResultSet(rules, tuple(outcomes))


def finished(planned: Plan, store: Store) -> ResultSet:
    """The results of a plan that was carried out; scored now where need be, but nothing is run.

    Raises:
        InvalidDataError: Runs are missing; names them and the command that makes them.
    """
    if planned.todo:
        names = [f"{one.method} seed {one.seed}{f' ({one.settings})' * bool(one.settings)}" for one in planned.todo]
        more = f" and {len(names) - 4} more" * (len(names) > 4)
        raise InvalidDataError(
            f"{planned.dataset.card.name}: {len(names)} runs are not done: {', '.join(names[:4])}{more}. "
            f"Make them with `{_command(planned.todo)}`."
        )
    return campaign(planned, store, Silent())


def _command(specs: Sequence[RunSpec]) -> str:
    """The command that carries out these runs of one wish."""
    first = specs[0]
    methods = "".join(f" -m {name}" for name in sorted({one.method for one in specs}))
    seeds = ",".join(map(str, sorted({one.seed for one in specs})))
    device = f" --device {first.device}" * (first.device != "cpu")
    pairs = {f" --set {one.method}.{name}={value}" for one in specs for name, value in one.overrides.items()}
    return f"uadbench run -d {first.dataset}{methods} --seeds {seeds}{device}{''.join(sorted(pairs))}"


def _attempt(run: Run, spec: RunSpec, rules: Rules, planned: Plan, truth: TruthFile, observer: Observer) -> Outcome:
    with run.held() as mine:
        if not mine:
            return Outcome(run, spec, None, ELSEWHERE)
        # another process may have finished it since the plan was made
        failure = None if run.is_done else _carried_out(run, spec, planned, observer)
    return Outcome(run, spec, None, failure) if failure else _scored(run, spec, rules, planned, truth)


def _carried_out(run: Run, spec: RunSpec, planned: Plan, observer: Observer) -> Failure | None:
    """Fit and predict in a process of its own, and record how it ended."""
    begun = RunRecord(schema="uadbench-run-v1", spec=spec, status="running", started=now())
    run.begin(begun)
    _notify("uadbench_run_started", {"run": run})
    try:
        timing = carry_out(run, spec, planned.paths.images, lambda progress: observer.progressed(spec, progress))
    except JobFailedError as error:
        run.write(begun.model_copy(update={"status": "failed", "failure": error.failure, "finished": now()}))
        return error.failure
    except KeyboardInterrupt:
        run.write(begun.model_copy(update={"status": "interrupted", "finished": now()}))
        raise
    run.write(_ended(begun, timing))
    return None


def _ended(begun: RunRecord, timing: Timing) -> RunRecord:
    return begun.model_copy(
        update={
            "status": "done",
            "finished": now(),
            "fit_seconds": timing.fit_seconds,
            "predict_seconds": timing.predict_seconds,
        }
    )


def _scored(run: Run, spec: RunSpec, rules: Rules, planned: Plan, truth: TruthFile) -> Outcome:
    try:
        return Outcome(run, spec, result_of(run, rules, planned.dataset, truth))
    except UadbenchError as error:
        return Outcome(
            run, spec, None, Failure(kind=type(error).__name__, sentence=str(error), exit_code=error.exit_code)
        )


def result_of(run: Run, rules: Rules, images: Dataset, truth: TruthFile) -> Result:
    """The run's result under these rules: as stored if it fits, else scored now and stored."""
    stored = run.result(rules.digest, metrics.VERSION)
    if stored is not None:
        return stored
    result = score(rules, images, truth, run.predictions)
    run.write_result(result)
    return result


def _notify(hook: str, facts: Mapping[str, Any]) -> None:
    """Tell the observers among the plugins; what they raise is logged, never fatal."""
    try:
        getattr(plugins.registry().manager.hook, hook)(**facts)
    except Exception:  # an observer must not end a campaign
        logger.warning("An observer of %s failed.", hook, exc_info=True)
