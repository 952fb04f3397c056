"""What is timed and whether this environment can time it: batch sizes, rounds, images and device."""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass

from uadbench.errors import MissingLibraryError, UsageError
from uadbench.files.images import Dataset

IMAGES = 64
NEEDED = ("pytest", "pytest_benchmark")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is timed: batch sizes (images), rounds per batch size and scope, how many test images, and the device.

    `images` None stands for 64, or as many as the largest batch needs, or all that there are.

    Raises:
        UsageError: A number below 1, or a device that is neither cpu nor cuda.
    """

    batches: tuple[int, ...] = (1, 16)
    rounds: int = 30
    images: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for option, value in (("rounds", self.rounds), ("images", self.images), *(("batch", b) for b in self.batches)):
            if value is not None and value < 1:
                raise UsageError(f"--{option} {value}: give a whole number from 1 on.")
        if not self.batches:
            raise UsageError("No batch size is given. Give one or more, such as --batch 1 --batch 16.")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"--device {self.device!r}: only cpu, cuda and cuda:N can be timed.")

    def count(self, dataset: Dataset) -> int:
        """How many test images of the dataset take part.

        Raises:
            UsageError: More images than the test split has, or a batch larger than that.
        """
        there = len(dataset["test"])
        count = min(there, max(IMAGES, *self.batches)) if self.images is None else self.images
        if count > there:
            raise UsageError(f"--images {count}: {dataset.card.name} has {there} test images. Give at most {there}.")
        if max(self.batches) > count:
            more = f" or more --images (there are {there})" if count < there else ""
            raise UsageError(
                f"--batch {max(self.batches)}: batches are taken from {count} test images of {dataset.card.name}. "
                f"Give a batch of at most {count}{more}."
            )
        return count


def require_pytest_benchmark(needed: Sequence[str] = NEEDED) -> None:
    """Refuses an environment without the libraries that time.

    Raises:
        MissingLibraryError: Names the first that is missing, and the extra that brings it.
    """
    for library in needed:
        if importlib.util.find_spec(library) is None:
            raise MissingLibraryError(
                f"Timing needs the library {library!r}, which is not installed. "
                "Install it with `pip install 'uadbench[latency]'`."
            )
