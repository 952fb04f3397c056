"""Checks of the image sizes that a method takes."""

from uadbench.errors import ContractError, EnvironmentProblemError, UadbenchError
from uadbench.testing.blobs import blobs
from uadbench.testing.case import Case
from uadbench.testing.comparing import require_map_shape
from uadbench.types import Images, Prediction


def odd_size(subject: Case) -> None:
    """Images with odd, unequal sides work or are refused by a sentence."""
    least = subject.spec.min_size
    height, width = (subject.side + 1) | 1, max((subject.side - 1) | 1, least | 1)
    try:
        images, found = _fitted_at(subject, height, width)
    except (ContractError, EnvironmentProblemError):
        raise
    except UadbenchError:
        return
    require_map_shape(subject, images, found)


def min_size(subject: Case) -> None:
    """Images as small as the spec's min_size work."""
    least = subject.spec.min_size
    try:
        require_map_shape(subject, *_fitted_at(subject, least, least))
    except EnvironmentProblemError:
        raise
    except UadbenchError as error:
        raise ContractError(
            f"{subject.name}: the spec says min_size={least}, but images of {least} x {least} do not work: {error} "
            "Raise min_size in the spec to the smallest side that works."
        ) from error


def _fitted_at(subject: Case, height: int, width: int) -> tuple[Images, Prediction]:
    detector = subject.fit(subject.make(), height, width)
    images = blobs(2, height, width, seed=3)
    return images, subject.predict(detector, images)
