"""synthetic-ra-phantom-v1: RA's ellipses, in both readings of the paper, and copy-paste on healthy phantoms."""

from collections.abc import Callable
from pathlib import Path

from uadbench.datasets.synthetic.synthesising import synthesise
from uadbench.errors import InvalidDataError
from uadbench.files.dataset import paths_in

NAME = "synthetic-ra-phantom-v1"
SOURCE = "brain-phantom-v1"
SUITES_OF_RA = ("ra-ellipses-n8-12", "ra-ellipses-u8-12", "ra-copy-paste")


def _silent(done: int, total: int) -> None:
    """The default report: nobody listens."""


def make(folder: Path, *, workers: int = 1, report: Callable[[int, int], None] = _silent) -> Path:
    """Write the dataset beside brain-phantom-v1 and return its images file's path; seconds in one process.

    Source: Bercea et al., MIDL 2023, app. C.1.

    Raises:
        InvalidDataError: brain-phantom-v1 is not in the folder, or damaged.
    """
    source = paths_in(folder, SOURCE)
    if not (source.images.is_file() and source.truth.is_file()):
        raise InvalidDataError(
            f"{NAME} is made from {SOURCE}, which is not in {folder}. "
            f"Make that first with `uadbench data make {SOURCE}`."
        )
    return synthesise(source, SUITES_OF_RA, folder, name=NAME, report=report).images
