"""A plugin whose methods each misbehave in one way; the harness must end every one of them in a sentence."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uadbench.hookspecs import MethodSpec, hookimpl
from uadbench.types import FitContext, Images, ImageSource, Prediction, Progress

NAMES = {"slow": "Slow", "nan": "NotANumber", "wrong-shape": "WrongShape", "dies": "Dies", "raises": "Raises",
         "leaves": "Leaves", "prints-a-lot": "PrintsALot", "tunable": "Tunable"}  # fmt: skip
SECONDS = "MISBEHAVING_SECONDS"


@hookimpl
def uadbench_methods() -> tuple[MethodSpec, ...]:
    """All of them, and one whose class does not exist."""
    specs = [MethodSpec(name, f"misbehaving:{target}", name, cost=100.0) for name, target in NAMES.items()]
    return (*specs, MethodSpec("missing-class", "misbehaving:Nowhere", "No such class"))


@dataclass(frozen=True)
class Quiet:
    """Its own detector; the image is the map."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Quiet":
        return self

    def predict(self, images: Images) -> Prediction:
        maps = images.pixels.mean(axis=1)
        return Prediction(maps, maps.mean(axis=(1, 2)))

    def save(self, folder: Path) -> None:
        (folder / "stored.txt").write_text("nothing learnt")

    @classmethod
    def load(cls, folder: Path, device: str) -> "Quiet":
        (folder / "stored.txt").read_text()
        return cls()


@dataclass(frozen=True)
class Slow(Quiet):
    """Fits for as many seconds as the environment says; leaves a sign that it has begun."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Slow":
        (context.workdir / "fitting").touch()
        end = time.monotonic() + float(os.environ.get(SECONDS, "0"))
        while time.monotonic() < end:
            context.report(Progress(1, 2, "steps"))
            time.sleep(0.05)
        return self


@dataclass(frozen=True)
class NotANumber(Quiet):
    """Divides by zero."""

    def predict(self, images: Images) -> Prediction:
        return Prediction(np.full(images.foreground.shape, np.nan, np.float32), np.zeros(len(images)))


@dataclass(frozen=True)
class WrongShape(Quiet):
    """Crops its maps."""

    def predict(self, images: Images) -> Prediction:
        return Prediction(images.pixels[:, 0, 1:], np.zeros(len(images)))


@dataclass(frozen=True)
class Dies(Quiet):
    """Is killed, as by a system short of memory."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Dies":
        os.kill(os.getpid(), signal.SIGKILL)
        return self


@dataclass(frozen=True)
class Raises(Quiet):
    """Has a bug."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Raises":
        raise LookupError("no such layer\nand a second line")


@dataclass(frozen=True)
class Leaves(Quiet):
    """Exits as if all were well."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "Leaves":
        raise SystemExit(0)


@dataclass(frozen=True)
class PrintsALot(Quiet):
    """Prints to standard output what looks like an answer to the harness, from Python and past it."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "PrintsALot":
        for _ in range(2000):
            print('{"failure": {"kind": "Printed", "sentence": "printed, not told"}}')
        os.write(1, b"not JSON\n" * 2000)
        return self


@dataclass(frozen=True)
class Tunable(Quiet):
    """Has one parameter of each kind, and tells one of them as a diagnostic."""

    gain: float = 1.0
    count: int = 3
    mode: str = "plain"
    sizes: tuple[int, ...] = (1, 2)
    anything: float | None = None

    @property
    def diagnostics(self) -> dict[str, float]:
        return {"gain": self.gain}
