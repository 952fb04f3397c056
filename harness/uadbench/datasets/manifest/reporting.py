"""What an import did: counts, what was left out and changed, and the preprocessing steps for the card."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from uadbench.datasets.manifest.options import ImportOptions
from uadbench.datasets.manifest.pictures import FOREGROUNDS
from uadbench.datasets.manifest.reading import Reading
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
    """What an import wrote, left out and changed.

    `clipped` of `pixels` stored pixels were above intensity 1; `outside` of `marked` mask pixels lie outside the
    foreground, where a protocol of foreground pixels does not look.
    """

    paths: DatasetPaths
    counts: tuple[Count, ...]
    left_out: Mapping[str, int]
    clipped: int
    pixels: int
    outside: int
    marked: int
    preprocessing: tuple[Mapping[str, Any], ...]

    def lines(self) -> list[str]:
        """What was left out and changed, and the two paths, a line each."""
        return [
            *(f"left out: {n} ({reason})" for reason, n in self.left_out.items()),
            f"clipped to 1: {self.clipped} of {self.pixels} stored pixels",
            f"mask pixels outside the foreground: {self.outside} of {self.marked}",
            f"images: {self.paths.images}",
            f"truth: {self.paths.truth}",
        ]


def report(
    paths: DatasetPaths, readings: Sequence[Reading], left_out: Mapping[str, int], steps: tuple[Mapping[str, Any], ...]
) -> ImportReport:
    """The report on a written dataset."""
    masks = [(one.sample.mask, one.sample.foreground) for one in readings if one.sample.mask is not None]
    return ImportReport(
        paths=paths,
        counts=_counts(readings),
        left_out=left_out,
        clipped=sum(one.clipped for one in readings),
        pixels=sum(one.geometry.height * one.geometry.width for one in readings),
        outside=sum(int((mask & ~body).sum()) for mask, body in masks),
        marked=sum(int(mask.sum()) for mask, _ in masks),
        preprocessing=steps,
    )


def _counts(readings: Sequence[Reading]) -> tuple[Count, ...]:
    images = Counter((one.row.split, one.row.label, one.row.pathology) for one in readings)
    members = {(one.row.split, one.row.label, one.row.pathology, one.row.subject) for one in readings}
    subjects = Counter(member[:3] for member in members)
    order = sorted(images, key=lambda kind: (SPLITS.index(kind[0]), *kind[1:]))
    return tuple(Count(*kind, images[kind], subjects[kind]) for kind in order)


def preprocessing_steps(
    options: ImportOptions, manifest_digest: str, left_out: Mapping[str, int], readings: Sequence[Reading]
) -> tuple[Mapping[str, Any], ...]:
    """The named steps between the source and the written images, with their parameters, in order."""
    bits = sorted({one.sample.pixels.dtype.itemsize * 8 for one in readings})
    steps: list[Mapping[str, Any]] = [
        {"step": "select", "manifest_sha256": manifest_digest, "where": options.where, "left_out": dict(left_out)},
        {"step": "grey", "bits": bits},
    ]
    if options.divide_by:
        clipped = sum(one.clipped for one in readings)
        steps.append({"step": "divide", "column": options.divide_by, "clip": 1.0, "clipped_pixels": clipped})
    padded = sum(one.geometry.height != one.geometry.width for one in readings)
    if padded:
        steps.append({"step": "pad", "to": "centred square", "fill": "image minimum", "images": padded})
    resized = sum(one.geometry.side != one.geometry.size for one in readings)
    if resized:
        steps.append(
            {
                "step": "resize",
                "size": options.size,
                "image": "linear, anti-aliased",
                "mask": "nearest",
                "images": resized,
                "scikit-image": version("scikit-image"),
            }
        )
    return (*steps, {"step": "foreground", "rule": options.foreground, "is": FOREGROUNDS[options.foreground]})
