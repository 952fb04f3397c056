"""Every error a user can meet: one sentence that says what, where with the value, and what to do.

The class decides the exit code of the command line: 1 some runs failed, 2 usage, 3 invalid data, 4 environment.
"""

import difflib
from collections.abc import Iterable


class UadbenchError(Exception):
    """Base of all errors that uadbench raises on purpose."""

    exit_code = 1


class RunFailedError(UadbenchError):
    """A method failed while fitting or predicting."""


class TrainingDivergedError(RunFailedError):
    """A loss that is not finite, or that grew beyond hope."""


class DeviceMemoryError(RunFailedError):
    """The device has too little memory for the batch; the sentence says which to try."""


class UsageError(UadbenchError):
    """A name, parameter or option that does not exist or does not fit."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in the registry; the sentence suggests the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], see: str) -> None:
        near = difflib.get_close_matches(name, list(known), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"No {kind} is called {name!r}.{hint} See `{see}`.")


class ParameterError(UsageError):
    """A parameter that a method does not have, or a value of the wrong type or range."""


class InvalidDataError(UadbenchError):
    """A file or an array that breaks its layout, its digest or its rule."""

    exit_code = 3


class LeakError(InvalidDataError):
    """What a method learns from is also what it is tested on."""


class ContractError(InvalidDataError):
    """A plugin returned something that the seam does not allow."""


class UndefinedMetricError(InvalidDataError):
    """A metric that has no value on this input, such as 0/0."""


class EnvironmentProblemError(UadbenchError):
    """Something outside the data is missing or full: a library, weights, disk space, a device."""

    exit_code = 4


class MissingLibraryError(EnvironmentProblemError):
    """A library that an optional part needs is not installed."""


class MissingWeightsError(EnvironmentProblemError):
    """Pretrained weights could not be found or fetched."""


class PluginError(EnvironmentProblemError):
    """An installed plugin does not load, or two of them claim one name."""
