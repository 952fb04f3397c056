"""Descriptors: what is left of an image when brightness, contrast, compression and size no longer matter.

An image is brought to 64 x 64 block means and high-passed (minus its Gaussian blur of 3 cells). Two pictures are kept:
that one, and the same divided by its local standard deviation, in which a clipped or brightened region weighs no more
than another. Their normalised correlations are averaged. The hash is the sign of 256 low frequencies of both, as a
perceptual hash; a mirror image only changes the sign of its odd horizontal frequencies.

Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, sec. 3.2.1 (signs of DCT
coefficients).
Deviates: of the two high-passed pictures and not of grey values, 16 x 16 frequencies from the second on, split at zero
and not at the median.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, Int8, UInt64
from scipy import ndimage
from scipy.fft import dct

SIDE = 64  # cells; at 128 pixels finer ones hold noise and the blocks of a JPEG
FREQUENCIES = 16
BITS = FREQUENCIES**2
_BLUR = 3.0  # cells
# Local contrast below this, in intensity, is noise or the step of 8 bits, and is not raised to the others'.
_NOISE = 0.02
_NARROW = 0.1  # images that use less of [0, 1] were stored with more bits: their noise is smaller
_FLAT = 0.001
_LEVELS = 127


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The descriptors of n images.

    `digests` of shape and pixels are equal for equal images; `hashes` hold +1 and -1; `pictures` are two high-passed
    pictures in steps of `scales`, so scaled that both have length 1; `textured` is False for an image without any
    contrast, which is like no other.
    """

    digests: UInt64[np.ndarray, "n 2"]
    hashes: Int8[np.ndarray, "n 256"]
    pictures: Int8[np.ndarray, "n 2 64 64"]
    scales: Float32[np.ndarray, "n 2"]
    textured: Bool[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.digests)

    def vectors(self, rows: np.ndarray, *, mirrored: bool = False) -> Float32[np.ndarray, "k 8192"]:
        """The pictures of some images as vectors of length 1: their product is the similarity in [-1, 1]."""
        pictures = self.pictures[rows][..., ::-1] if mirrored else self.pictures[rows]
        scaled = pictures * (self.scales[rows] * np.float32(np.sqrt(0.5)))[:, :, None, None]
        return scaled.reshape(len(rows), -1)  # (k, 2, 64, 64) -> (k, 8192)


def gathered(total: int, parts: Iterable[Descriptors]) -> Descriptors:
    """The descriptors of `total` images that come in batches; at no time do they lie in memory twice."""
    empty = descriptors(np.zeros((0, 1, 1), np.float32))
    fields = {name: getattr(empty, name) for name in Descriptors.__dataclass_fields__}
    filled = {name: np.zeros((total, *one.shape[1:]), one.dtype) for name, one in fields.items()}
    start = 0
    for part in parts:
        for name, one in filled.items():
            one[start : start + len(part)] = getattr(part, name)
        start += len(part)
    return Descriptors(**filled)


def descriptors(pixels: Float32[np.ndarray, "n h w"]) -> Descriptors:
    """The descriptors of images of one size, intensities in [0, 1]."""
    pixels = np.ascontiguousarray(pixels, np.float32)
    coarse = block_means(pixels)  # (n, h, w) -> (n, 64, 64)
    passed = coarse - _blurred(coarse)
    narrow = np.minimum(1, np.ptp(coarse, axis=(1, 2), keepdims=True) / _NARROW)
    local = passed / (np.sqrt(_blurred(passed**2)) + np.maximum(_NOISE * narrow, 1e-6))
    textured = passed.std(axis=(1, 2)) > np.minimum(_FLAT, _FLAT * narrow[:, 0, 0] + 1e-7)
    both = np.stack([_unit(passed), _unit(local)], axis=1) * textured[:, None, None, None]
    pictures, scales = _quantised(both)
    return Descriptors(_digests(pixels), _hashes(both.sum(axis=1)), pictures, scales, textured)


def block_means(pixels: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n 64 64"]:
    """The means of 64 x 64 blocks that share the image evenly; a pixel on an edge counts in parts."""
    _, height, width = pixels.shape
    return np.matmul(_shares(height), pixels @ _shares(width).T)  # (n, h, w) -> (n, h, 64) -> (n, 64, 64)


@lru_cache(maxsize=64)
def _shares(length: int) -> Float32[np.ndarray, "64 l"]:
    """The share of each pixel of a row in each block, rows adding up to 1."""
    ends, places = np.arange(SIDE + 1)[:, None] * length / SIDE, np.arange(length)
    overlap = np.minimum(ends[1:], places + 1) - np.maximum(ends[:-1], places)
    return np.asarray(np.clip(overlap, 0, None) * SIDE / length, np.float32)


@lru_cache(maxsize=1)
def _blur() -> Float32[np.ndarray, "64 64"]:
    return np.asarray(ndimage.gaussian_filter1d(np.eye(SIDE), _BLUR, axis=0), np.float32)


@lru_cache(maxsize=1)
def _waves() -> Float32[np.ndarray, "16 64"]:
    return np.asarray(dct(np.eye(SIDE), axis=0, norm="ortho")[1 : FREQUENCIES + 1], np.float32)


def _blurred(pictures: Float32[np.ndarray, "n 64 64"]) -> Float32[np.ndarray, "n 64 64"]:
    return np.matmul(_blur(), pictures @ _blur().T)


def _unit(pictures: Float32[np.ndarray, "n 64 64"]) -> Float32[np.ndarray, "n 64 64"]:
    """Of mean 0 and length 1; nothing stays nothing."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return centred / np.maximum(np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True)), 1e-12)


def _quantised(
    both: Float32[np.ndarray, "n 2 64 64"],
) -> tuple[Int8[np.ndarray, "n 2 64 64"], Float[np.ndarray, "n 2"]]:
    """Whole steps up to 127, and the size of a step that makes their length 1: equal pictures correlate by 1."""
    peak = np.maximum(np.abs(both).max(axis=(2, 3), initial=0, keepdims=True), 1e-12)
    steps = np.rint(both * (_LEVELS / peak))
    length = np.sqrt((steps**2).sum(axis=(2, 3)))
    return steps.astype(np.int8), np.asarray(1 / np.maximum(length, 1), np.float32)


def _hashes(pictures: Float32[np.ndarray, "n 64 64"]) -> Int8[np.ndarray, "n 256"]:
    waves = np.matmul(_waves(), pictures @ _waves().T)  # (n, 64, 64) -> (n, 16, 16)
    return np.where(waves.reshape(len(waves), BITS) >= 0, 1, -1).astype(np.int8)


def mirrored_hashes(hashes: Int8[np.ndarray, "n 256"]) -> Int8[np.ndarray, "n 256"]:
    """The hashes of the mirror images: odd horizontal frequencies change their sign."""
    signs = np.where(np.arange(1, FREQUENCIES + 1) % 2, -1, 1).astype(np.int8)
    return hashes * np.tile(signs, FREQUENCIES)


def _digests(pixels: Float32[np.ndarray, "n h w"]) -> UInt64[np.ndarray, "n 2"]:
    shape = str(pixels.shape[1:]).encode()
    found = [hashlib.blake2b(image, digest_size=16, key=shape).digest() for image in pixels]
    return np.frombuffer(b"".join(found), np.uint64).reshape(-1, 2)
