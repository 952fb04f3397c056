"""A plugin with methods that may be stage 1: the mean image, one that breaks its word, and one for large images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uadbench.hookspecs import MethodSpec, hookimpl
from uadbench.types import FitContext, Images, ImageSource, Prediction


@hookimpl
def uadbench_methods() -> tuple[MethodSpec, ...]:
    """All of them; a method alone, `stand-in-blind`, reconstructs nothing and says so."""
    named = {"mean": "Mean", "silent": "Silent"}
    specs = [MethodSpec(f"stand-in-{name}", f"stand_in:{cls}", name, reconstructs=True) for name, cls in named.items()]
    large = MethodSpec("stand-in-large", "stand_in:Mean", "large", reconstructs=True, min_size=1000)
    return (*specs, large, MethodSpec("stand-in-blind", "stand_in:Silent", "blind"))


@dataclass(frozen=True)
class Fitted:
    """Returns one image for all, at their size."""

    image: np.ndarray
    silent: bool = False

    def predict(self, images: Images) -> Prediction:
        down, right = (
            np.arange(to) * of // to for to, of in zip(images.pixels.shape[2:], self.image.shape[1:], strict=True)
        )
        image = self.image[:, down[:, None], right]
        maps = np.abs(images.pixels - image).mean(axis=1)
        seen = None if self.silent else np.broadcast_to(image, images.pixels.shape).copy()
        return Prediction(maps, maps.mean(axis=(1, 2)), seen)

    def save(self, folder: Path) -> None:
        np.save(folder / "image.npy", self.image)


@dataclass(frozen=True)
class Mean:
    """The mean of healthy images, `gain` times as bright."""

    gain: float = 1.0

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Fitted:
        (context.workdir / "fitted.txt").write_text("here")
        return Fitted(self.gain * train[0 : len(train)].pixels.mean(axis=0))

    @classmethod
    def load(cls, folder: Path, device: str) -> Fitted:
        return Fitted(np.load(folder / "image.npy"))


@dataclass(frozen=True)
class Silent:
    """Returns no reconstructions."""

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Fitted:
        return Fitted(train[0:1].pixels[0], silent=True)

    @classmethod
    def load(cls, folder: Path, device: str) -> Fitted:
        return Fitted(np.load(folder / "image.npy"), silent=True)
