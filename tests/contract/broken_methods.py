"""Methods with one fault each, to show that no check of the contract is empty. Composed from a good method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from uadbench.errors import InvalidDataError, MissingWeightsError
from uadbench.types import Prediction


@dataclass(frozen=True)
class Detector:
    """Compares with a level image in the way that `see` says; stores the level as `stored`."""

    level: np.ndarray
    see: Callable
    stored: type

    def predict(self, images):
        return self.see(images, self.level)

    def save(self, folder):
        np.save(folder / "level.npy", self.level.astype(self.stored))


def scored(maps, reconstructions=None):
    return Prediction(maps, np.array([one.mean() for one in maps], np.float64), reconstructions)


def residual(images, level):
    return scored(np.abs(images.pixels - level).mean(axis=1))


def mean_image(train, context, method):
    return train[:].pixels.mean(axis=0)


def method(
    *,
    see: Callable = residual,
    learn: Callable = mean_image,
    stored: type = np.float32,
    frozen: bool = True,
    gain: Any = 1.0,
) -> type:
    """The class of a method that is good unless told otherwise."""

    @dataclass(frozen=frozen)
    class Method:
        gain: Any = 1.0

        def fit(self, train, val, context):
            return Detector(learn(train, context, self), see, stored)

        @classmethod
        def load(cls, folder, device):
            return Detector(np.load(folder / "level.npy").astype(np.float32), see, stored)

    Method.__init__.__defaults__ = (gain,)
    return Method


def writes_into_the_method(train, context, method):
    object.__setattr__(method, "gain", 2.0)
    return mean_image(train, context, method)


def adds_unseeded_noise(train, context, method):
    noise = np.random.default_rng().random(train.shape, dtype=np.float32)
    return mean_image(train, context, method) + noise


def adds_seeded_noise(train, context, method):
    noise = np.random.default_rng(context.seed).random(train.shape, dtype=np.float32)
    return mean_image(train, context, method) + noise


def lacks_weights(train, context, method):
    raise MissingWeightsError("No weights here.")


def repeats_channels(images, level):
    return scored(residual(images, level).maps, np.repeat(level[None], len(images), axis=0).repeat(3, axis=1))


def halves(images, level):
    return scored(residual(images, level).maps[:, ::2, ::2])


def divides_by_the_deviation(images, level):
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = np.array([one.std() for one in images.pixels], np.float32)[:, None, None]
        return scored(residual(images, level).maps / deviations)


def squeezes(images, level):
    return scored(residual(images, level).maps.squeeze())


def normalises_over_the_batch(images, level):
    maps = residual(images, level).maps
    return scored(maps / maps.max())


def writes_into_the_images(images, level):
    images.pixels[...] = np.abs(images.pixels - level)
    return scored(images.pixels.mean(axis=1))


def crops_to_even(images, level):
    _, _, h, w = images.pixels.shape
    return scored(residual(images, level).maps[:, : h // 2 * 2, : w // 2 * 2])


def refuses_odd_sides(images, level):
    if images.pixels.shape[2] % 2:
        raise InvalidDataError("Odd sides are not for me. Pad the images.")
    return residual(images, level)


def needs_eight_pixels(images, level):
    np.lib.stride_tricks.sliding_window_view(images.pixels, (8, 8), axis=(2, 3))
    return residual(images, level)


def returns_a_tuple(images, level):
    return residual(images, level).maps, residual(images, level).scores


Good = method()
Mutable = method(frozen=False)
NumpyParameter = method(gain=np.float32(1))
Changed = method(learn=writes_into_the_method)
Channels = method(see=repeats_channels)
Halved = method(see=halves)
NotFinite = method(see=divides_by_the_deviation)
Squeezed = method(see=squeezes)
Batchwise = method(see=normalises_over_the_batch)
Writing = method(see=writes_into_the_images)
Forgetful = method(stored=np.float16)
Unseeded = method(learn=adds_unseeded_noise)
Seeded = method(learn=adds_seeded_noise)
Cropped = method(see=crops_to_even)
Refusing = method(see=refuses_odd_sides)
Large = method(see=needs_eight_pixels)
Tuple = method(see=returns_a_tuple)
Weightless = method(learn=lacks_weights)
