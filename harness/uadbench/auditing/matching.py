"""Which images are copies of which: equal pixels, or a likeness that brightness, JPEG, size and mirroring do not end.

Candidates are pairs whose hashes differ in few bits, counted for blocks of images by a matrix product; only these are
correlated. Nothing is quadratic but that product, and memory grows with images, not with pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from uadbench.auditing.describing import BITS, Descriptors, mirrored_hashes

# On three public sets and a phantom of one template, images of different people reach 0.84. Of up to 500 images of each
# that were mirrored, brightened by 1.3 with clipping and saved as JPEG of quality 30, all at once, the worst copy has
# 0.852, a median one 0.97 or more, and the hash differs in at most 50 of 256 bits.
SIMILAR = 0.85
CLOSE = 0.7  # what is worth a look although it is not called a copy
MOST_KEPT = 100_000
_FARTHEST = 64  # bits
_BLOCK = 2048
_CHUNK = 1024
_DENSE = 0.02  # from this share of candidates on, correlating the whole block takes less time


def _nothing(done: int) -> None:
    """Nobody asks how far the search is."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of rows, first < second, with their similarity in [-1, 1] and whether they are mirror images.

    `left_out` more were found than are kept.
    """

    first: Int64[np.ndarray, " p"]
    second: Int64[np.ndarray, " p"]
    similarity: Float[np.ndarray, " p"]
    mirrored: Bool[np.ndarray, " p"]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: np.ndarray) -> "Matches":
        """Some of the pairs."""
        return Matches(self.first[chosen], self.second[chosen], self.similarity[chosen], self.mirrored[chosen])

    def most_similar(self, count: int) -> "Matches":
        """At most so many, the most similar first."""
        return self[np.lexsort((self.second, self.first, -self.similarity))[:count]]


def together(parts: list[Matches]) -> Matches:
    """The pairs of several searches, at most 100,000 of them."""
    nobody = np.zeros(0, np.int64)
    parts = [Matches(nobody, nobody, np.zeros(0), np.zeros(0, bool)), *parts]
    every = Matches(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.mirrored for part in parts]),
    )
    left_out = sum(part.left_out for part in parts) + max(0, len(every) - MOST_KEPT)
    kept = every.most_similar(MOST_KEPT)
    return Matches(kept.first, kept.second, kept.similarity, kept.mirrored, left_out)


def duplicate_pairs(
    descriptors: Descriptors, *, families: Int[np.ndarray, " n"] | None = None, least: float = SIMILAR,
    report: Callable[[int], None] = _nothing,
) -> Matches:  # fmt: skip
    """Pairs of images that are near duplicates, most similar first; pairs of one family are not looked for.

    Of images with equal pixels only the first takes part: see `equal_images` for the others. At most 100,000 pairs are
    kept.
    """
    found = together([])
    for some in near_duplicates(descriptors, families=families, least=least, report=report):
        found = together([found, some])
    return found


def duplicate_groups(descriptors: Descriptors, *, least: float = SIMILAR) -> Int64[np.ndarray, " n"]:
    """The group of every image, numbered in order of appearance: copies, and copies of copies, share one."""
    groups = equal_images(descriptors)
    for some in near_duplicates(descriptors, least=least):
        edges = (np.ones(len(some)), (groups[some.first], groups[some.second]))
        _, merged = connected_components(coo_array(edges, shape=(len(groups), len(groups))), directed=False)
        groups = merged[groups]
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def equal_images(descriptors: Descriptors) -> Int64[np.ndarray, " n"]:
    """For every image the first row that has its shape and pixels."""
    _, first, numbers = np.unique(descriptors.digests, axis=0, return_index=True, return_inverse=True)
    return first[numbers.ravel()]


def near_duplicates(
    descriptors: Descriptors, *, families: Int[np.ndarray, " n"] | None = None, least: float = SIMILAR,
    report: Callable[[int], None] = _nothing,
) -> Iterator[Matches]:  # fmt: skip
    """The near duplicates of `duplicate_pairs`, block by block; a pair that matches both ways comes as the better."""
    rows = np.flatnonzero((equal_images(descriptors) == np.arange(len(descriptors))) & descriptors.textured)
    apart = np.arange(len(descriptors)) if families is None else families
    for start in range(0, len(rows), _BLOCK):
        for other in range(start, len(rows), _BLOCK):
            yield _matches(descriptors, rows[start : start + _BLOCK], rows[other : other + _BLOCK], apart, least)
        report(start)


def _matches(
    descriptors: Descriptors, some: np.ndarray, others: np.ndarray, families: np.ndarray, least: float
) -> Matches:
    """The pairs of one block, each once."""
    searched = (families[some][:, None] != families[others]) & (some[:, None] < others)
    best = np.full(searched.shape, -1, np.float32)
    mirrored = np.zeros(searched.shape, bool)
    for mirror in (False, True):
        places = np.nonzero(searched & _alike(descriptors, some, others, mirrored=mirror))
        similarity = _similarity(descriptors, some, others, places, mirrored=mirror)
        mirrored[places] = similarity > best[places] if mirror else False
        best[places] = np.maximum(best[places], similarity)
    i, j = np.nonzero(best >= least)
    return Matches(some[i], others[j], best[i, j].astype(np.float64), mirrored[i, j])


def _alike(
    descriptors: Descriptors, some: np.ndarray, others: np.ndarray, *, mirrored: bool
) -> Bool[np.ndarray, "i j"]:
    """Pairs whose hashes differ in few bits: of vectors of +-1 the product is 256 less twice the differing bits."""
    hashes = descriptors.hashes[others]
    product = descriptors.hashes[some].astype(np.float32) @ (
        mirrored_hashes(hashes) if mirrored else hashes
    ).T.astype(np.float32)  # fmt: skip
    return np.asarray(product >= BITS - 2 * _FARTHEST)


def _similarity(
    descriptors: Descriptors, some: np.ndarray, others: np.ndarray, places: tuple[np.ndarray, ...], *, mirrored: bool
) -> Float32[np.ndarray, " p"]:
    """The similarity of chosen pairs of a block."""
    i, j = places
    if len(i) > _DENSE * len(some) * len(others):
        return (descriptors.vectors(some) @ descriptors.vectors(others, mirrored=mirrored).T)[i, j]
    found = np.empty(len(i), np.float32)
    for start in range(0, len(i), _CHUNK):
        rows = slice(start, start + _CHUNK)
        left, right = descriptors.vectors(some[i[rows]]), descriptors.vectors(others[j[rows]], mirrored=mirrored)
        found[rows] = np.einsum("pk,pk->p", left, right)
    return found
