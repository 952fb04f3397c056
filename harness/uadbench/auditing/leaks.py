"""Findings on who is where: subjects and copies across splits, and anomalous images among the healthy."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Int64

from uadbench.auditing.matching import CLOSE, SIMILAR, Matches
from uadbench.auditing.records import Finding, Pair, Specimen, Suspect, rank
from uadbench.files.images import SPLITS

MOST_PAIRS = 1000  # that a finding holds
MOST_CLOSE = 12


def shared_subjects(specimens: Sequence[Specimen]) -> Iterator[Finding]:
    """Subjects in two splits: a leak between train, val and test, a warning where another split is involved."""
    homes: dict[str, dict[str, int]] = {}
    for row, specimen in enumerate(specimens):
        homes.setdefault(specimen.subject, {}).setdefault(specimen.split, row)
    shared: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for found in homes.values():
        for one, other in combinations(sorted(found, key=rank), 2):
            shared.setdefault((one, other), []).append((found[one], found[other]))
    for (one, other), rows in shared.items():
        pairs = tuple(Pair(_suspect(specimens, i), _suspect(specimens, j)) for i, j in rows[:MOST_PAIRS])
        names = _listed([pair.first.specimen.subject for pair in pairs[:3]], len(rows))
        sentence = f"{_count(len(rows), 'subject is', 'subjects are')} in {one} and in {other}: {names}."
        yield Finding("subject", _severity(one, other), sentence, pairs, total=len(rows))


def anomalous_in_training(specimens: Sequence[Specimen]) -> Iterator[Finding]:
    """Anomalous images in train or val, which hold healthy ones only."""
    for split in SPLITS[:2]:
        rows = [row for row, one in enumerate(specimens) if one.split == split and one.label]
        if rows:
            some = tuple(_suspect(specimens, row) for row in rows[:MOST_PAIRS])
            sentence = (
                f"{_count(len(rows), 'image', 'images')} in {split} "
                f"{'is' if len(rows) == 1 else 'are'} anomalous; a method there sees healthy images only."
            )
            yield Finding("anomalous", "leak", sentence, examples=some, total=len(rows))


def equal_pixels(specimens: Sequence[Specimen], equal: Int64[np.ndarray, " n"]) -> Iterator[Finding]:
    """Images with the same pixels: each with the first of its kind in every other split, and of another subject in its
    own.
    """
    firsts: dict[int, dict[str, int]] = {}
    pairs: list[tuple[int, int]] = []
    repeated = np.bincount(equal, minlength=len(equal))[equal] > 1
    for row in np.flatnonzero(repeated).tolist():
        split, found = specimens[row].split, firsts.setdefault(int(equal[row]), {})
        pairs += [
            (first, row)
            for home, first in found.items()
            if home != split or specimens[first].subject != specimens[row].subject
        ]
        found.setdefault(split, row)
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    ones = np.ones(len(rows))
    yield from _copies(specimens, Matches(rows[:, 0], rows[:, 1], ones, ones < 1), "exact-duplicate", _exact_sentence)


def near_duplicates(specimens: Sequence[Specimen], found: Matches) -> Iterator[Finding]:
    """Images that are copies of each other but for brightness, contrast, compression, size or mirroring."""
    yield from _copies(specimens, found[found.similarity >= SIMILAR], "near-duplicate", _near_sentence)
    if found.left_out:
        sentence = f"More near duplicates were found than are kept: {found.left_out:,} pairs are not shown."
        yield Finding("near-duplicate", "warning", sentence)


def closest(specimens: Sequence[Specimen], found: Matches) -> Iterator[Finding]:
    """The images of different splits and subjects that are most alike without being called copies."""
    near = found[(found.similarity < SIMILAR) & (found.similarity >= CLOSE)].most_similar(MOST_CLOSE)
    if len(near):
        sentence = (
            f"Below the limit of {SIMILAR} the most similar images of different subjects across splits reach "
            f"{near.similarity[0]:.3f}; look at them."
        )
        yield Finding("closest", "fact", sentence, _pairs(specimens, near), total=len(near))


def _copies(
    specimens: Sequence[Specimen], found: Matches, kind: str, sentence: Callable[[int, int, str, str], str]
) -> Iterator[Finding]:
    """One finding for each two splits."""
    splits = sorted({one.split for one in specimens}, key=rank)
    codes = np.array([splits.index(one.split) for one in specimens], np.int64)
    low, high = np.minimum(codes[found.first], codes[found.second]), np.maximum(codes[found.first], codes[found.second])
    for one, other in sorted(set(zip(low.tolist(), high.tolist(), strict=True))):
        some = found[(low == one) & (high == other)].most_similar(len(found))
        words = sentence(len(some), int(some.mirrored.sum()), splits[one], splits[other])
        shown = _pairs(specimens, some.most_similar(MOST_PAIRS))
        yield Finding(kind, _severity(splits[one], splits[other]), words, shown, total=len(some))


def _exact_sentence(count: int, mirrored: int, one: str, other: str) -> str:
    return f"{_count(count, 'pair', 'pairs')} of images with equal pixels{_between(one, other)}."


def _near_sentence(count: int, mirrored: int, one: str, other: str) -> str:
    mirrors = f" ({mirrored:,} mirrored)" if mirrored else ""
    return f"{_count(count, 'pair', 'pairs')} of near duplicates{mirrors}{_between(one, other)}."


def _between(one: str, other: str) -> str:
    if one == other:
        return f" of different subjects within {one}; they count as independent and are not"
    return f" between {one} and {other}"


def _pairs(specimens: Sequence[Specimen], found: Matches) -> tuple[Pair, ...]:
    """The pairs as records, the image of the split that comes first before the other."""
    columns = (found.first, found.second, found.similarity, found.mirrored)
    pairs = []
    for i, j, similarity, mirrored in zip(*(column.tolist() for column in columns), strict=True):
        i, j = sorted((i, j), key=lambda row: (rank(specimens[row].split), row))
        pairs.append(Pair(_suspect(specimens, i), _suspect(specimens, j), round(similarity, 4), mirrored))
    return tuple(pairs)


def _suspect(specimens: Sequence[Specimen], row: int) -> Suspect:
    return Suspect(row, specimens[row])


def _severity(one: str, other: str) -> str:
    return "leak" if one != other and one in SPLITS and other in SPLITS else "warning"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _listed(names: list[str], total: int) -> str:
    more = f" and {total - len(names):,} more" if total > len(names) else ""
    return f"{', '.join(names)}{more}"
