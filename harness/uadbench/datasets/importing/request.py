"""What an importer is asked for, and what it may ask back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uadbench.datasets.importing.carrying import Report, silent
from uadbench.datasets.importing.options import ImportOptions
from uadbench.datasets.importing.sources import Source, source_at
from uadbench.datasets.importing.workers import Asked, Told, spread
from uadbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Request:
    """The roots by their keys; the seed of what is drawn; and, for a layout, what the user says of the dataset."""

    roots: Mapping[str, Source]
    seed: int = 0
    options: ImportOptions | None = None
    workers: int = 1
    report: Report = silent

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: give 0 or more.")

    @property
    def stated(self) -> ImportOptions:
        """What the user says of a dataset that has no name of its own.

        Raises:
            UsageError: Nothing.
        """
        if self.options is None:
            raise UsageError("This layout needs --name, --licence and --citation: it can hold any dataset.")
        return self.options

    def survey(self, look: Callable[[Asked], Told], things: Iterable[Asked], step: str) -> list[Told]:
        """`look` at each of the things, in processes where there are several; their answers in order.

        For what a plan must know of the files before it can say which pictures it takes. `look` is a module's function.

        Raises:
            EnvironmentProblemError: A process died.
        """
        listed = list(things)
        return spread(look, listed, self.workers, lambda done: self.report(step, done, len(listed)))


def roots_of(known: Sequence[tuple[str, str]], given: Sequence[str]) -> dict[str, Source]:
    """The sources that a user gives as KEY=PATH, or as PATH where an importer has but one root.

    Raises:
        UsageError: A key that is unknown, missing or given twice.
        InvalidDataError: A path that is neither a folder nor a zip.
    """
    holds = dict(known)
    found: dict[str, Source] = {}
    for text in given:
        key, sign, path = text.partition("=")
        if not sign or (key not in holds and len(holds) == 1 and Path(text).exists()):
            key, path = (next(iter(holds)), text) if len(holds) == 1 else (text, "")
        if key not in holds or not path or key in found:
            raise UsageError(f"--root {text}: give each once, of {_listed(known)}.")
        found[key] = source_at(Path(path))
    missing = [key for key in holds if key not in found]
    if missing:
        raise UsageError(f"No --root for {', '.join(missing)}. Give {_listed(known)}.")
    return found


def _listed(known: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"--root {key}=PATH ({holds})" for key, holds in known)
