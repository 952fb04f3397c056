"""The images that an import takes: their items with splits and subjects, and where their pixels lie."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.shards import Shards
from uadbench.errors import InvalidDataError
from uadbench.files.dataset import Sample
from uadbench.files.images import BLOCK, SPLITS


@dataclass(frozen=True, slots=True)
class Chosen:
    """Items and the rows of the shards that hold their images."""

    shards: Shards
    items: Sequence[Item]
    rows: Sequence[int]

    @classmethod
    def of(cls, shards: Shards, all_items: Sequence[Item], taken: Sequence[Item]) -> "Chosen":
        """Those taken of all that were read."""
        rows = {item.name: row for row, item in enumerate(all_items)}
        return cls(shards, taken, [rows[item.name] for item in taken])

    @property
    def names(self) -> Sequence[str]:
        """Their original names."""
        return [item.name for item in self.items]

    def __getitem__(self, index: int) -> Sample:
        return self.shards.sample(self.rows[index], self.items[index])

    def keeping(self, kept: Sequence[bool]) -> "Chosen":
        """The images for which `kept` is true."""
        pairs = [(item, row) for item, row, keep in zip(self.items, self.rows, kept, strict=True) if keep]
        return Chosen(self.shards, [item for item, _ in pairs], [row for _, row in pairs])

    def split(self, split: str) -> "Chosen":
        """The images of one split."""
        return self.keeping([item.split == split for item in self.items])

    def scan(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A pass over all images in blocks: intensities float32 (n, h, w) in [0, 1], and foreground bool (n, h, w)."""
        side, largest = self.shards.form.side, np.float32(2**self.shards.form.bits - 1)
        for start in range(0, len(self.rows), BLOCK):
            found = [self.shards.row(row) for row in self.rows[start : start + BLOCK]]
            packed = np.stack([one["foreground"] for one in found])
            body = np.unpackbits(packed, axis=1, count=side * side).astype(bool).reshape(-1, side, side)
            yield np.stack([one["pixels"] for one in found]).astype(np.float32) / largest, body


def healthy_first(items: Sequence[Item]) -> tuple[list[Item], dict[str, int]]:
    """The items of train, val and test, val healthy only; and how many were left out, by reason.

    Raises:
        InvalidDataError: An anomalous training image.
    """
    for item in items:
        if item.split == "train" and item.label:
            raise InvalidDataError(
                f"{item.where}: an anomalous training image. "
                "Training is on healthy images only; move it to test, or leave it out with --where."
            )
    others = Counter(item.split for item in items if item.split not in SPLITS)
    left_out = {f"split {split!r} is none of {', '.join(SPLITS)}": n for split, n in sorted(others.items())}
    sick = sum(item.split == "val" and item.label == 1 for item in items)
    taken = [item for item in items if item.split in SPLITS and not (item.split == "val" and item.label)]
    return taken, {**left_out, **({"anomalous validation image": sick} if sick else {})}
