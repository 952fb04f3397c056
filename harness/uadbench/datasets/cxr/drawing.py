"""Splits of films that nobody published: whole subjects, drawn by the seed, to the published counts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.splitting import counted


@dataclass(frozen=True, slots=True)
class Draw:
    """How many images are drawn: of healthy ones for test, val and train, of anomalous ones for test. None takes all
    that are left."""

    test: int
    val: int
    train: int | None = None
    anomalous: int | None = None

    def step(self, seed: int) -> Mapping[str, Any]:
        """The draw as a step of the card."""
        return {
            "step": "split", "rule": "whole subjects in an order drawn by the seed fill test, val and train; a subject "
            "with an anomalous image gives no healthy one", "seed": seed, "images": asdict(self),
        }  # fmt: skip

    def settle(self, items: Sequence[Item], seed: int) -> tuple[list[Item], Mapping[str, int]]:
        """The items that are drawn, each with its split, and how many are not.

        Raises:
            InvalidDataError: Too few images.
        """
        sick = {item.subject for item in items if item.label}
        healthy = [item for item in items if not item.label]
        pure = [item for item in healthy if item.subject not in sick]
        anomalous = [item for item in items if item.label]
        taken, rest = _filled(pure, [("test", self.test), ("val", self.val), ("train", self.train)], seed)
        more, others = _filled(anomalous, [("test", self.anomalous)], seed)
        return [*taken, *more], {
            "healthy image of a subject with an anomalous one": len(healthy) - len(pure),
            "healthy, not drawn": rest,
            "anomalous, not drawn": others,
        }


def _filled(items: Sequence[Item], wanted: Sequence[tuple[str, int | None]], seed: int) -> tuple[list[Item], int]:
    """Items drawn to their numbers, and how many are left; a split that wants all takes those."""
    numbers = [(split, number) for split, number in wanted if number is not None]
    drawn, left = counted(items, numbers, seed)
    greedy = [split for split, number in wanted if number is None]
    if not greedy:
        return drawn, left
    names = {item.name for item in drawn}
    return [*drawn, *(replace(item, split=greedy[0]) for item in items if item.name not in names)], 0
