"""One method under check: made as the harness makes it, fitted on blobs, its foreign errors put into sentences."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from uadbench import plugins
from uadbench.errors import ContractError, UadbenchError
from uadbench.hookspecs import MethodSpec
from uadbench.testing.blobs import MemorySource, blobs, copied
from uadbench.types import Detector, FitContext, Images, Prediction

TRAIN, VAL, TEST = 16, 4, 6


@dataclasses.dataclass(frozen=True)
class Case:
    """A method with a preset and overrides, checked on square images of `size` pixels (never below its `min_size`).

    What is expensive is done once: `detector` is the method fitted with seed 0, `prediction` what it says of `images`.
    """

    spec: MethodSpec
    preset: str = "quick"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    size: int = 64
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The method's name."""
        return self.spec.name

    @property
    def side(self) -> int:
        """Height and width of the images, in pixels."""
        return max(self.size, self.spec.min_size)

    def make(self) -> Any:
        """A new method with the case's preset and overrides."""
        return make(self.spec, self.preset, self.overrides)

    @cached_property
    def method(self) -> Any:
        """The method that made `detector`."""
        return self.make()

    @cached_property
    def detector(self) -> Detector:
        """The method fitted on square images with seed 0."""
        return self.fit(self.method, self.side, self.side)

    @cached_property
    def images(self) -> Images:
        """The images that are predicted."""
        return blobs(TEST, self.side, self.side, seed=2)

    @cached_property
    def prediction(self) -> Prediction:
        """What `detector` says of `images`, all in one batch."""
        return self.predict(self.detector, self.images)

    def fit(self, method: Any, height: int, width: int, *, seed: int = 0) -> Detector:
        """The method fitted on blobs of this size.

        Raises:
            ContractError: It raised something that is no UadbenchError, or returned no detector.
        """
        train, val = (MemorySource(blobs(n, height, width, seed=n)) for n in (TRAIN, VAL))
        with tempfile.TemporaryDirectory() as workdir, self._speaking(f"fit ({TRAIN} images, {height} x {width})"):
            context = FitContext(seed=seed, device=self.device, precision="float32", workdir=Path(workdir))
            detector: Detector = method.fit(train, val, context)
        if not callable(getattr(detector, "predict", None)):
            raise ContractError(f"{self.name}: fit returned {detector!r}. Return a detector with `predict` and `save`.")
        return detector

    def predict(self, detector: Detector, images: Images, *, copy: bool = True) -> Prediction:
        """What the detector says of the images; it gets copies unless told otherwise.

        Raises:
            ContractError: It raised something that is no UadbenchError, or returned no Prediction.
        """
        _, _, height, width = images.pixels.shape
        with self._speaking(f"predict ({len(images)} images, {height} x {width})"):
            prediction = detector.predict(copied(images) if copy else images)
        if not isinstance(prediction, Prediction):
            raise ContractError(
                f"{self.name}: predict returned {type(prediction).__name__}. Return uadbench.Prediction(maps, scores)."
            )
        return prediction

    def reload(self, detector: Detector) -> Detector:
        """The detector after it was saved, its folder moved, and loaded again."""
        with tempfile.TemporaryDirectory() as root, self._speaking("save and load"):
            written, moved = Path(root, "written"), Path(root, "moved")
            written.mkdir()
            detector.save(written)
            written.rename(moved)
            loaded: Detector = plugins.resolve(self.spec.target).load(moved, self.device)
        return loaded

    @contextmanager
    def _speaking(self, act: str) -> Iterator[None]:
        try:
            yield
        except UadbenchError:
            raise
        except Exception as error:
            raise ContractError(
                f"{self.name}: {act} raised {type(error).__name__}: {error}. Mend it, or refuse the input with an "
                "error of `uadbench.errors` that says what to change."
            ) from error


def make(spec: MethodSpec, preset: str, overrides: Mapping[str, Any]) -> Any:
    """A method from its spec, installed or not."""
    return plugins.build(spec, preset, overrides)


def case(
    name: str, *, preset: str = "quick", overrides: Mapping[str, Any] | None = None, size: int = 64, device: str = "cpu"
) -> Case:
    """The case of an installed method; asked twice, it is the same case, still fitted.

    Raises:
        UnknownNameError: No installed plugin offers the method.
    """
    return _case(name, preset, json.dumps(overrides or {}, sort_keys=True), size, device)


@cache
def _case(name: str, preset: str, overrides: str, size: int, device: str) -> Case:
    return Case(plugins.method(name).spec, preset, json.loads(overrides), size, device)
