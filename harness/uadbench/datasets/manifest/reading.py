"""From a row of the manifest to a sample: picture, mask and boxes brought to one geometry, all checked."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from uadbench.datasets.manifest.options import ImportOptions
from uadbench.datasets.manifest.pictures import Geometry, foreground, read_grey
from uadbench.datasets.manifest.rows import Row
from uadbench.datasets.manifest.sources import Source
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.dataset import Sample

# Boxes in a manifest are often scaled and printed; this much of a pixel outside is the printing.
ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Reading:
    """A row, its sample, how its picture lay in the source, and how many of its stored pixels were clipped."""

    row: Row
    sample: Sample
    geometry: Geometry
    clipped: int


def read_sample(pictures: Source, row: Row, options: ImportOptions) -> Reading:
    """The sample of one row: intensity = stored / divisor, clipped to 1, then padded and resized.

    Raises:
        UsageError: A picture that is not square, and no size to bring it to.
        InvalidDataError: A picture or mask that is missing or unreadable, a mask of another size or on a healthy image,
            a box outside, or an empty foreground.
    """
    grey = read_grey(pictures.read(row.file, row.where), row.where)
    height, width = grey.shape
    if options.size is None and height != width:
        raise UsageError(f"{row.where} is {width} x {height} pixels, not square. Use --size to pad and resize.")
    geometry = Geometry(height, width, options.size or height)
    _require_boxes_inside(row, geometry)
    largest = np.iinfo(grey.dtype).max
    intensity = grey / (row.divisor or largest)
    pixels = np.rint(geometry.image(np.minimum(intensity, 1.0)) * largest).astype(grey.dtype)
    body = foreground(pixels, options.foreground)
    if not body.any():
        raise InvalidDataError(
            f"{row.where}: foreground {options.foreground!r} is empty, the picture shows nothing. "
            "Leave it out with --where, or use --foreground all."
        )
    sample = Sample(
        pixels[None], body, row.subject, row.file, row.label, row.pathology, row.annotation,
        _mask(pictures, row, geometry), geometry.boxes(row.boxes),
    )  # fmt: skip
    return Reading(row, sample, geometry, int((intensity > 1).sum()))


def _require_boxes_inside(row: Row, geometry: Geometry) -> None:
    for x, y, w, h in row.boxes:
        if min(x, y) < -ROUNDING or x + w > geometry.width + ROUNDING or y + h > geometry.height + ROUNDING:
            raise InvalidDataError(
                f"{row.where}: box ({x:g}, {y:g}, {w:g}, {h:g}) does not lie in {geometry.width} x {geometry.height} "
                "pixels. Give x, y, width, height in pixels of the stored image."
            )


def _mask(pictures: Source, row: Row, geometry: Geometry) -> Bool[np.ndarray, "s s"] | None:
    if not row.mask:
        return None
    where = f"{row.where}, mask {row.mask!r}"
    mask = read_grey(pictures.read(row.mask, where), where) > 0
    if mask.shape != (geometry.height, geometry.width):
        height, width = mask.shape
        raise InvalidDataError(
            f"{where}: {width} x {height} pixels, the image {geometry.width} x {geometry.height}. "
            "Give both the same size."
        )
    if mask.any() != (row.label == 1):
        raise InvalidDataError(
            f"{where}: marks {int(mask.sum())} pixels of an image with label {row.label}. "
            "An anomalous image marks at least one, a healthy one none."
        )
    return geometry.mask(mask)
