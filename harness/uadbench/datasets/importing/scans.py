"""fastMRI files: the root-sum-of-squares reconstruction in HDF5, one slice of it at a time."""

import re

import h5py
import numpy as np
from jaxtyping import Float32

from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError
from uadbench.files.layout import first_line

SUFFIXES = (".h5",)
RECONSTRUCTION = "reconstruction_rss"
_BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError)


def read_scan(source: Source, name: str, index: int, where: str) -> Float32[np.ndarray, "h w"]:
    """Slice `index` of the magnitude image, as the scanner stored it (the annotations are on its up/down flip).

    Raises:
        InvalidDataError: No HDF5, no reconstruction in it, no such slice, or values that are not finite.
    """
    with source.open(name, where) as stream:
        try:
            with h5py.File(stream, "r") as file:
                stack = file[RECONSTRUCTION]
                count = len(stack)
                values = np.asarray(stack[index], np.float32) if 0 <= index < count else None
        except _BROKEN as error:
            raise InvalidDataError(
                f"{where}: {name!r} cannot be read as a fastMRI file with {RECONSTRUCTION!r} ({first_line(error)}). "
                "Fetch it again; files of the test set have no reconstruction."
            ) from error
    if values is None:
        raise InvalidDataError(f"{where}: slice {index} of {count}. Give a slice from 0 to {count - 1}.")
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InvalidDataError(f"{where}: slice {index} has the shape {values.shape} or values that are not finite.")
    return values


def read_spacing(source: Source, name: str, where: str) -> tuple[float, float, float]:
    """mm between rows, columns and slices by the scan's header; NaN where that does not say."""
    with source.open(name, where) as stream:
        try:
            with h5py.File(stream, "r") as file:
                header = file["ismrmrd_header"][()] if "ismrmrd_header" in file else b""
        except _BROKEN:
            header = b""
    text = header.decode("utf-8", "replace") if isinstance(header, bytes) else str(header)
    # of the two spaces in the header, the second is that of the reconstruction
    space = re.search(r"<reconSpace>.*?</reconSpace>", text, re.DOTALL)
    sides = [_between(space.group() if space else "", axis) for axis in ("matrixSize", "fieldOfView_mm")]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns, rows, slices = np.array(sides[1]) / np.array(sides[0])
    return float(rows), float(columns), float(slices)


def _between(space: str, element: str) -> list[float]:
    block = re.search(rf"<{element}>(.*?)</{element}>", space, re.DOTALL)
    found = [re.search(rf"<{axis}>\s*([0-9.]+)\s*</{axis}>", block.group(1) if block else "") for axis in "xyz"]
    return [float(one.group(1)) if one else float("nan") for one in found]
