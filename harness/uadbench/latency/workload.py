"""The work that is timed: one batch through a detector, from memory or from file to file."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from uadbench import plugins
from uadbench.files.images import SplitSource, open_images
from uadbench.files.predictions import PredictionWriter
from uadbench.files.results import Frozen
from uadbench.fitting import checked
from uadbench.latency.memory import peak_mib, synchronise
from uadbench.types import Detector, Images

Scope = Literal["model", "end-to-end"]
SCOPES: tuple[Scope, ...] = ("model", "end-to-end")


class Request(Frozen):
    """What one measuring process is asked to do; `scratch` is an empty folder."""

    method: str
    detector: Path
    images: Path
    scratch: Path
    device: str
    batches: tuple[int, ...]
    count: int
    rounds: int
    warmups: int


class DiscardedError(Exception):
    """Leaves a prediction writer without sealing what it holds."""


class Workload:
    """A loaded detector and the test images; batches are taken in turn, so that no round repeats the one before."""

    def __init__(self, request: Request) -> None:
        self.request = request
        method: Any = plugins.method_class(request.method)
        self._detector: Detector = method.load(request.detector, request.device)
        self._source = open_images(request.images, verify=False)["test"]
        self.loaded_mib = peak_mib()

    def images(self, batch: int) -> Callable[[], tuple[tuple[Images], dict]]:
        """A setup that reads the next batch into memory."""
        turns = self._turns(batch)

        def setup() -> tuple[tuple[Images], dict]:
            images = self._source[next(turns)]
            synchronise(self.request.device)
            return (images,), {}

        return setup

    def rows(self, batch: int, writer: PredictionWriter) -> Callable[[], tuple[tuple, dict]]:
        """A setup that opens the images file anew, so that HDF5 has no image of an earlier round at hand."""
        turns, known = self._turns(batch), self._source

        def setup() -> tuple[tuple, dict]:
            source = SplitSource(known.path, known.split, known.ids, known.subjects, known.shape)
            source[0:0]  # opens the file; a run does so once, not per batch
            synchronise(self.request.device)
            return (source, next(turns), writer), {}

        return setup

    def predict(self, images: Images) -> None:
        """Model only: images in memory to maps and scores in memory."""
        self._detector.predict(images)
        synchronise(self.request.device)

    def carry_through(self, source: SplitSource, rows: slice, writer: PredictionWriter) -> None:
        """End to end: what a run does for one batch."""
        images = source[rows]
        writer.append("test", images.ids, checked(self._detector.predict(images), images))
        synchronise(self.request.device)

    def _turns(self, batch: int) -> Iterator[slice]:
        starts = range(0, self.request.count - batch + 1, batch)
        return (slice(start, start + batch) for start in itertools.cycle(starts))
