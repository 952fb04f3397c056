"""Which fitted detector stands for a method: that of a finished run, never one made for the occasion."""

from collections.abc import Sequence
from dataclasses import dataclass

from uadbench import plugins
from uadbench.errors import InvalidDataError, UnknownNameError, UsageError
from uadbench.files.images import Dataset
from uadbench.runs.store import Run, RunSpec, Store


@dataclass(frozen=True, slots=True)
class Choice:
    """The run to time for each method, and the methods that have none."""

    runs: tuple[Run, ...]
    missing: tuple[str, ...]


def choose(names: Sequence[str], preset: str, dataset: Dataset, store: Store, *, device: str = "cpu") -> Choice:
    """For each method a finished run on this very dataset: preset as given, no overridden parameter, lowest seed.

    Only runs of the installed version count. Of two with one seed, the one that was fitted on `device` is taken.

    Raises:
        UnknownNameError: An unknown method, or a preset that it does not have.
    """
    fitted = [(run, run.record.spec) for run in store.done(dataset.card.name) if run.detector.is_dir()]
    runs, missing = [], []
    for registered in [plugins.method(name) for name in names]:
        wanted = _preset(registered, preset)
        fitting = [(run, spec) for run, spec in fitted if _fits(spec, registered, wanted, dataset)]
        if fitting:
            runs.append(min(fitting, key=lambda one: (one[1].seed, one[1].device != device, one[0].id))[0])
        else:
            missing.append(registered.spec.name)
    return Choice(tuple(runs), tuple(missing))


def _preset(registered: plugins.Registered, preset: str) -> str:
    """As in `uadbench run`: a canary without that preset takes its quick one."""
    spec = registered.spec
    if preset in spec.presets:
        return preset
    if spec.canary:
        return "quick"
    raise UnknownNameError(f"preset of {spec.name}", preset, spec.presets, f"uadbench list methods {spec.name}")


def _fits(spec: RunSpec, registered: plugins.Registered, preset: str, dataset: Dataset) -> bool:
    return (
        (spec.method, spec.preset, dict(spec.overrides)) == (registered.spec.name, preset, {})
        and (spec.distribution, spec.distribution_version)
        == (registered.origin.distribution, registered.origin.version)
        and (spec.identity, spec.pixels) == (dataset.digests.identity, dataset.digests.pixels)
    )


def how_to_fit(missing: Sequence[str], preset: str, dataset: str) -> str:
    """One sentence for the methods without a run, and the command that makes their runs."""
    options = [f"--dataset {dataset}", *(f"--method {name}" for name in missing)]
    if preset != "quick":
        options.append(f"--preset {preset}")
    return (
        f"No finished run (preset {preset}) on {dataset} of {', '.join(missing)}. "
        f"Fit with `uadbench run {' '.join(options)}`, or name another run."
    )


def require_timeable(run: Run, dataset: Dataset) -> None:
    """Refuses a run that cannot be timed on that dataset.

    Raises:
        UsageError: It belongs to another dataset.
        InvalidDataError: It has not finished, its detector was not kept, or the dataset was made anew since.
    """
    spec, digests = run.record.spec, dataset.digests
    again = f"Run it again with `uadbench run --dataset {spec.dataset} --method {spec.method}`."
    if spec.dataset != dataset.card.name:
        raise UsageError(
            f"Run {run.id} is on {spec.dataset}, not {dataset.card.name}. A report is on one dataset; "
            "time them one by one."
        )
    if not run.is_done or not run.detector.is_dir():
        raise InvalidDataError(f"Run {run.id} has no fitted detector ({run.record.status}). {again}")
    if spec.identity != digests.identity:
        raise InvalidDataError(
            f"Run {run.id} was fitted on another {spec.dataset} (identity {spec.identity[:12]}, now "
            f"{digests.identity[:12]}). {again}"
        )
