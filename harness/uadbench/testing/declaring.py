"""Checks of what a method declares: its class, parameters, presets and import."""

import dataclasses
import json
from typing import Any

from uadbench.errors import ContractError, EnvironmentProblemError, UadbenchError
from uadbench.testing import importing
from uadbench.testing.case import Case, make


def frozen(subject: Case) -> None:
    """The method is a frozen dataclass."""
    cls = type(subject.make())
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ContractError(
            f"{subject.name}: {cls.__name__} is no frozen dataclass. Decorate it with @dataclass(frozen=True), so that "
            "its fields are its parameters and two runs cannot share a state."
        )


def presets(subject: Case) -> None:
    """Every preset makes a method."""
    for preset in subject.spec.presets:
        try:
            make(subject.spec, preset, {})
        except EnvironmentProblemError:
            raise
        except (UadbenchError, TypeError, ValueError) as error:
            raise ContractError(
                f"{subject.name}: preset {preset!r} makes no method: {error}. "
                "Name only fields of the class, with values that its __post_init__ accepts."
            ) from error


def parameters(subject: Case) -> None:
    """Parameters are plain values that a record of the run can hold."""
    for name, value in state(subject.make()).items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"{subject.name}: parameter {name!r} is {value!r}, which JSON cannot hold. Use numbers, text, booleans "
                "or tuples of them; make objects from them in fit."
            ) from error


def light_import(subject: Case) -> None:
    """Listing the method loads no heavy library."""
    heavy = importing.heavy_modules(subject.spec)
    if heavy:
        raise ContractError(
            f"{subject.name}: importing {importing.package(subject.spec)} and asking for its methods loads "
            f"{', '.join(heavy)}. Keep the hook in a light __init__.py; the class behind `target` is imported on use."
        )


def unchanged(subject: Case) -> None:
    """Fitting leaves the method as it was."""
    before = state(subject.make())
    _ = subject.detector
    after = state(subject.method)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if changed:
        raise ContractError(
            f"{subject.name}: fit changed {', '.join(map(repr, changed))} of the method. "
            "Keep what is learned in the detector that fit returns."
        )


def state(method: Any) -> dict[str, Any]:
    """A method's fields by name, to see whether `fit` changed them."""
    if dataclasses.is_dataclass(method):
        return {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    return dict(vars(method))
