"""From a stored picture to its values, whatever its format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from uadbench.datasets.importing import films, pictures, scans, volumes
from uadbench.datasets.importing.items import Stored
from uadbench.datasets.importing.sources import inside
from uadbench.errors import InvalidDataError

Spacing = tuple[float, float, float]
UNKNOWN: Spacing = (float("nan"),) * 3


@dataclass(frozen=True, slots=True)
class Picture:
    """Values (h, w), uint8, uint16 or float32; the value `largest` stands for intensity 1 unless a rule says
    otherwise; mm between rows, columns and slices, NaN where not known."""

    values: np.ndarray
    largest: float
    spacing_mm: Spacing = UNKNOWN


def read_picture(stored: Stored, where: str) -> Picture:
    """The picture at its place, turned upside down where that says so.

    Raises:
        InvalidDataError: A format that is not read here, or a file that is damaged or lacks the slice.
        MissingLibraryError: A compression whose decoder is not installed.
    """
    found = _as_stored(stored, where)
    return replace(found, values=found.values[::-1]) if stored.flip else found


def read_steps(pictures: Iterable[Stored]) -> tuple[Mapping[str, str], ...]:
    """What `read_picture` does to pictures of these formats, as named steps; nothing to PNG and its like."""
    names = [picture.file.lower() for picture in pictures]
    return tuple(step for endings, step in _STEPS if any(name.endswith(endings) for name in names))


_STEPS = (
    (volumes.SUFFIXES, {"step": "orient", "to": "RAS", "axial slices": "anterior above, right on the right"}),
    (
        films.SUFFIXES,
        {
            "step": "show", "what": "DICOM film", "rule": "rescale, then its VOI LUT or first window, else all that "
            "its bits can say; MONOCHROME1 turned over",
        },
    ),
)  # fmt: skip


def _as_stored(stored: Stored, where: str) -> Picture:
    source, name, low = stored.source, inside(stored.file, where), stored.file.lower()
    if low.endswith(volumes.SUFFIXES):
        return _of_volume(stored, where)
    if low.endswith(films.SUFFIXES):
        values, (rows, columns) = films.read_film(source.read(name, where), where)
        return Picture(values, 1.0, (rows, columns, float("nan")))
    if low.endswith(scans.SUFFIXES):
        values = scans.read_scan(source, name, stored.slice, where)
        return Picture(values, float(values.max()) or 1.0, scans.read_spacing(source, name, where))
    if low.endswith(pictures.SUFFIXES):
        grey = pictures.read_grey(source.read(name, where), where)
        return Picture(grey, float(np.iinfo(grey.dtype).max))
    raise InvalidDataError(f"{where}: {name!r} has none of the endings {', '.join(ENDINGS)}. Convert it to one.")


ENDINGS = (*pictures.SUFFIXES, *volumes.SUFFIXES, *films.SUFFIXES, *scans.SUFFIXES)


def _of_volume(stored: Stored, where: str) -> Picture:
    whole = volumes.volume(stored.source, stored.file, _file(stored))
    count = whole.values.shape[2]
    if not 0 <= stored.slice < count:
        raise InvalidDataError(f"{where}: slice {stored.slice} of {count}. Give a slice from 0 to {count - 1}.")
    x, y, z = whole.spacing_mm
    return Picture(whole.axial(stored.slice), max(1.0, float(whole.values.max())), (y, x, z))


def _file(stored: Stored) -> str:
    """How errors name the whole file; the same for all its slices, so that it is read once."""
    return stored.file


def read_mask(stored: Stored, image: Stored, where: str) -> np.ndarray:
    """Which pixels (h, w) a mask marks: those that are not 0.

    Raises:
        InvalidDataError: As `read_picture`; or a volume that lies elsewhere in space than the image.
    """
    found = read_picture(stored, where)
    if stored.file.lower().endswith(volumes.SUFFIXES) and image.file.lower().endswith(volumes.SUFFIXES):
        own, its = (volumes.volume(one.source, one.file, _file(one)) for one in (stored, image))
        if not volumes.same_geometry(own, its):
            raise InvalidDataError(
                f"{where}: {own.values.shape} voxels, the image {its.values.shape}, or another place in space. "
                "Resample the mask to its image."
            )
    return np.asarray(found.values != 0)


def volume_percentile(stored: Stored, percentile: float) -> float:
    """The percentile of the voxels above 0 of the volume that a slice belongs to.

    Raises:
        InvalidDataError: No volume, or one without a voxel above 0.
    """
    if not stored.file.lower().endswith(volumes.SUFFIXES):
        raise InvalidDataError(
            f"{stored.file}: a percentile of the volume needs a NIfTI file. Choose that of the slice."
        )
    return volumes.percentile_above_zero(stored.source, stored.file, _file(stored), percentile)
