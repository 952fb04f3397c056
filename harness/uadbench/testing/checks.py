"""The named checks and how to run them. Each function is one check; its docstring's first line says what must hold."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from uadbench.errors import ContractError, EnvironmentProblemError, UadbenchError
from uadbench.testing import declaring, predicting, sizing
from uadbench.testing.case import Case, case

CHECKS: dict[str, Callable[[Case], None]] = {
    "frozen": declaring.frozen,
    "presets": declaring.presets,
    "parameters": declaring.parameters,
    "light-import": declaring.light_import,
    "unchanged": declaring.unchanged,
    "shapes": predicting.shapes,
    "finite": predicting.finite,
    "one-image": predicting.one_image,
    "batch": predicting.batch,
    "inputs": predicting.inputs,
    "save-load": predicting.save_load,
    "reconstructs": predicting.reconstructs,
    "seed": predicting.seed,
    "odd-size": sizing.odd_size,
    "min-size": sizing.min_size,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One promise of the contract: its name, what must hold, and the function that tries it."""

    name: str
    what: str
    try_it: Callable[[Case], None]

    def __str__(self) -> str:
        return self.name

    def run(self, subject: Case) -> None:
        """Try it on a case.

        Raises:
            ContractError: It does not hold; the sentence says what to change.
            EnvironmentProblemError: It could not be tried: a library, weights or a device is missing.
        """
        try:
            self.try_it(subject)
        except (ContractError, EnvironmentProblemError):
            raise
        except UadbenchError as error:
            raise ContractError(f"{subject.name}: refused a healthy image of the checks: {error}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: `sentence` is empty when it passed, else it says what to change."""

    check: str
    what: str
    passed: bool
    sentence: str = ""


def checks() -> tuple[Check, ...]:
    """Every check of the contract, the cheap ones first."""
    return tuple(Check(name, _first_line(function), function) for name, function in CHECKS.items())


def check_method(
    name: str, *, preset: str = "quick", overrides: Mapping[str, Any] | None = None, size: int = 64, device: str = "cpu"
) -> Iterator[Outcome]:
    """The outcome of each check on an installed method, as it comes.

    Raises:
        UnknownNameError: No such method or preset.
        ParameterError: An override that does not fit.
        EnvironmentProblemError: A library, weights or a device is missing.
    """
    subject = case(name, preset=preset, overrides=overrides, size=size, device=device)
    subject.make()
    return (_outcome(check, subject) for check in checks())


def _outcome(check: Check, subject: Case) -> Outcome:
    try:
        check.run(subject)
    except ContractError as error:
        return Outcome(check.name, check.what, passed=False, sentence=str(error))
    return Outcome(check.name, check.what, passed=True)


def _first_line(function: Callable[[Case], None]) -> str:
    return (function.__doc__ or "").partition("\n")[0].rstrip(".")
