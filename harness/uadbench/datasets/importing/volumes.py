"""NIfTI volumes: reoriented to RAS, their axial slices as they are looked at, their spacing kept."""

import gzip
import importlib
import io
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError
from uadbench.files.layout import first_line

SUFFIXES = (".nii.gz", ".nii")
# Voxels; a head at 0.5 mm has a tenth of it. A header that states more is damaged or a trap.
LARGEST = 1 << 29
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels (x, y, z) in RAS order, mm between them, and the affine that places them in the scanner."""

    values: Float32[np.ndarray, "x y z"]
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray

    def axial(self, index: int) -> Float32[np.ndarray, "y x"]:
        """Axial slice `index`, counted from the feet: anterior is up, the right side of the body is right."""
        return self.values[:, :, index].T[::-1]


@lru_cache(maxsize=4)
def volume(source: Source, name: str, where: str) -> Volume:
    """The volume in a NIfTI file; the last four stay in memory, as slices of one come together.

    Raises:
        InvalidDataError: Unreadable, truncated, not three-dimensional, too large, or with voxels that are not finite.
    """
    with source.open(name, where) as file:
        return _read(gzip.GzipFile(fileobj=file) if name.lower().endswith(".gz") else file, where)


def _read(stream: BinaryIO | gzip.GzipFile, where: str) -> Volume:
    nibabel: Any = importlib.import_module("nibabel")
    try:
        header = stream.read(540)
        wanted = nibabel.Nifti2Image if _is_second(header) else nibabel.Nifti1Image
        stream.seek(0)
        shape = wanted.header_class.from_fileobj(io.BytesIO(header), check=False).get_data_shape()
        _require_shape(shape, where)
        image = nibabel.as_closest_canonical(wanted.from_stream(stream))
        values = np.asarray(image.get_fdata(dtype=np.float32)).reshape(image.shape[:3])
    except unreadable(nibabel) as error:
        raise InvalidDataError(
            f"{where}: not a readable NIfTI volume ({type(error).__name__}: {first_line(error)}). It is truncated or "
            "another format; fetch it again."
        ) from error
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise InvalidDataError(f"{where}: {wrong} voxels are not finite. Mend the volume, or leave it out.")
    zooms = tuple(float(side) for side in image.header.get_zooms()[:3])
    return Volume(values, (zooms[0], zooms[1], zooms[2]), np.asarray(image.affine))


def unreadable(nibabel: Any) -> tuple[type[Exception], ...]:
    """What reading a file raises that is no NIfTI, or damaged, or cut off."""
    return (
        *_UNREADABLE,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.wrapstruct.WrapStructError,
    )


def _is_second(header: bytes) -> bool:
    return len(header) >= 4 and 540 in (int.from_bytes(header[:4], order) for order in ("little", "big"))


def _require_shape(shape: tuple[int, ...], where: str) -> None:
    if len(shape) < 3 or any(side != 1 for side in shape[3:]) or min(shape) < 1:
        raise InvalidDataError(f"{where}: has the shape {shape}. Give one volume of three dimensions.")
    if int(np.prod([int(side) for side in shape], dtype=object)) > LARGEST:
        raise InvalidDataError(f"{where}: states {shape} voxels, more than any scanner makes. Fetch the file again.")


@lru_cache(maxsize=8)
def percentile_above_zero(source: Source, name: str, where: str, percentile: float) -> float:
    """The percentile of a volume's voxels above 0.

    Raises:
        InvalidDataError: A volume without a voxel above 0.
    """
    values = volume(source, name, where).values
    bright = values[values > 0]
    if not len(bright):
        raise InvalidDataError(f"{where}: no voxel is above 0, the volume shows nothing. Leave it out.")
    return float(np.percentile(bright, percentile))


def same_geometry(first: Volume, second: Volume) -> bool:
    """Whether two volumes have the same voxels in the same places, to a hundredth of a mm."""
    return first.values.shape == second.values.shape and np.allclose(first.affine, second.affine, atol=0.01)
