"""What an import did: counts, what was left out and changed, and the preprocessing steps for the card."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from uadbench.auditing import Audit
from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.recipe import FOREGROUNDS, NORMALISATIONS, SQUARES, Recipe
from uadbench.datasets.importing.shards import Facts
from uadbench.files.dataset import DatasetPaths
from uadbench.files.images import SPLITS


@dataclass(frozen=True, slots=True)
class Count:
    """How many images, of how many subjects, of one pathology in a split."""

    split: str
    label: int
    pathology: str
    images: int
    subjects: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote, left out and changed, and what its audit found.

    `clipped` of `pixels` stored pixels were outside intensities of 0 to 1; `outside` of `marked` mask pixels lie
    outside the foreground, where a protocol of foreground pixels does not look.
    """

    paths: DatasetPaths
    counts: tuple[Count, ...]
    left_out: Mapping[str, int]
    clipped: int
    pixels: int
    outside: int
    marked: int
    preprocessing: tuple[Mapping[str, Any], ...]
    audit: Audit

    def lines(self) -> list[str]:
        """What was left out and changed, what the audit says, and the two paths, a line each."""
        return [
            *(f"left out: {n} ({reason})" for reason, n in self.left_out.items()),
            f"clipped to 0 or 1: {self.clipped} of {self.pixels} stored pixels",
            f"mask pixels outside the foreground: {self.outside} of {self.marked}",
            *self.audit.lines(),
            f"images: {self.paths.images}",
            f"truth: {self.paths.truth}",
        ]


def counts(items: Sequence[Item]) -> tuple[Count, ...]:
    """Images and subjects of each pathology in each split."""
    images = Counter((one.split, one.label, one.pathology) for one in items)
    members = {(one.split, one.label, one.pathology, one.subject) for one in items}
    subjects = Counter(member[:3] for member in members)
    order = sorted(images, key=lambda kind: (SPLITS.index(kind[0]), *kind[1:]))
    return tuple(Count(*kind, images[kind], subjects[kind]) for kind in order)


def steps(recipe: Recipe, facts: Sequence[Facts], bits: int) -> tuple[Mapping[str, Any], ...]:
    """The named steps between the stored pictures and the images, with their parameters, in order."""
    found: list[Mapping[str, Any]] = [{"step": "grey", "bits": [bits]}]
    if recipe.crop:
        found.append({"step": "crop", "height": recipe.crop[0], "width": recipe.crop[1], "at": "centre"})
    rule, clipped = recipe.normalisation, sum(one.clipped for one in facts)
    if rule.rule != "largest" or clipped:
        found.append(
            {
                "step": "normalise", "rule": rule.rule, "is": NORMALISATIONS[rule.rule], **rule.parameters,
                "clip": [0.0, 1.0], "clipped_pixels": clipped,
            }
        )  # fmt: skip
    reshaped = sum(one.padded for one in facts)
    if recipe.square == "pad" and reshaped:
        found.append({"step": "pad", "to": "centred square", "fill": "image minimum", "images": reshaped})
    resized = sum(one.resized for one in facts)
    if resized:
        found.append(
            {
                "step": "resize", "size": recipe.size, "square": SQUARES[recipe.square], "mask": "nearest",
                "image": "linear, anti-aliased; beyond 8 x from means of 4 x 4 blocks per pixel", "images": resized,
                "scikit-image": version("scikit-image"),
            }
        )  # fmt: skip
    return (*found, {"step": "foreground", "rule": recipe.foreground, "is": FOREGROUNDS[recipe.foreground]})
