"""DICOM films: rescaled, windowed as the file says, MONOCHROME1 turned over, so that bright is dense."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from uadbench.errors import InvalidDataError, MissingLibraryError, UadbenchError
from uadbench.files.layout import first_line

SUFFIXES = (".dcm", ".dicom")
LARGEST = 1 << 28  # pixels; a film has a tenth of it
_UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error, zlib.error,
)  # fmt: skip


def read_film(raw: bytes, where: str) -> tuple[Float32[np.ndarray, "h w"], tuple[float, float]]:
    """Intensities in [0, 1], of the window or else of all that bits and rescale allow; and mm per row and column.

    Source: DICOM PS3.3, C.11.1 (modality LUT) and C.11.2 (VOI LUT); MONOCHROME1 is the negative.

    Raises:
        InvalidDataError: Unreadable, truncated, colour, or several frames.
        MissingLibraryError: A compression whose decoder is not installed.
    """
    import pydicom

    file: Any = None
    try:
        file = pydicom.dcmread(io.BytesIO(raw))
        _require_one_grey(file, where)
        shown = np.clip(_shown(file, file.pixel_array), 0, 1).astype(np.float32)
        return (1 - shown if file.PhotometricInterpretation == "MONOCHROME1" else shown), _spacing(file)
    except InvalidDataError:
        raise
    except (NotImplementedError, RuntimeError) as error:
        raise _undecoded(file, where, error) from error
    except (*_UNREADABLE, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException) as error:
        raise _unreadable(where, error) from error


def _undecoded(file: Any, where: str, error: Exception) -> UadbenchError:
    """What is wrong when a decoder gives up: it is not there, or the file is damaged."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = file.file_meta.TransferSyntaxUID if file else None
    try:
        there = syntax is None or not syntax.is_compressed or get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):
        there = False
    if there:
        return _unreadable(where, error)
    return MissingLibraryError(
        f"{where}: {syntax.name if syntax else 'its pixels'} cannot be decompressed here ({first_line(error)}). Run "
        "`pip install 'uadbench[import]'`; for lossless JPEG also `pip install pylibjpeg-libjpeg`, which is GPL."
    )


def _unreadable(where: str, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"{where}: not a readable DICOM file ({type(error).__name__}: {first_line(error)}). It is truncated or another "
        "format; fetch it again."
    )


def _require_one_grey(file: Any, where: str) -> None:
    photometric = str(file.PhotometricInterpretation)
    frames = int(file.get("NumberOfFrames") or 1)
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or frames != 1:
        raise InvalidDataError(f"{where}: {frames} frames of {photometric}. Give a film of one grey frame.")
    if int(file.Rows) * int(file.Columns) > LARGEST:
        raise InvalidDataError(f"{where}: states {file.Rows} x {file.Columns} pixels. Fetch the file again.")


def _shown(file: Any, stored: np.ndarray) -> Float64[np.ndarray, "h w"]:
    """What a viewer shows: 0 and 1 are the ends of the LUT's or the window's output, or of all possible values."""
    values, low, high = _rescaled(file, stored)
    if file.get("VOILUTSequence"):
        values, depth = _looked_up(values, file.VOILUTSequence[0])
        return values / (2.0**depth - 1)
    if _is_given(file, "WindowCenter") and _is_given(file, "WindowWidth"):
        return _windowed(values, file)
    if not high > low:
        raise ValueError(f"a rescale to {low:g} and {high:g}")
    return (values - low) / (high - low)


def _rescaled(file: Any, stored: np.ndarray) -> tuple[Float64[np.ndarray, "h w"], float, float]:
    """The values after the modality LUT or rescale, and the lowest and highest that these can give."""
    if file.get("ModalityLUTSequence"):
        values, depth = _looked_up(stored, file.ModalityLUTSequence[0])
        return values, 0.0, 2.0**depth - 1
    bits, signed = int(file.BitsStored), int(file.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope = float(file.RescaleSlope) if _is_given(file, "RescaleSlope") else 1.0
    intercept = float(file.RescaleIntercept) if _is_given(file, "RescaleIntercept") else 0.0
    ends = sorted((slope * low + intercept, slope * high + intercept))
    return slope * stored.astype(np.float64) + intercept, ends[0], ends[1]


def _looked_up(values: np.ndarray, table: Any) -> tuple[Float64[np.ndarray, "h w"], int]:
    """The entries that a LUT has for values, its ends for those outside; and the bits of an entry."""
    count, first, depth = (int(one) for one in table.LUTDescriptor)
    count = count or 1 << 16  # a LUT of 65536 entries states 0 of them
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")
    entries = np.atleast_1d(np.asarray(data, np.float64))[:count]
    if len(entries) != count:
        raise ValueError(f"a LUT of {len(entries)} entries that states {count}")
    return entries[np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)], depth


def _windowed(values: Float64[np.ndarray, "h w"], file: Any) -> Float64[np.ndarray, "h w"]:
    """The first window of the file; what it leaves out is below 0 or above 1."""
    centre, width = (float(np.atleast_1d(file[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    shape = str(file.get("VOILUTFunction") or "LINEAR").upper()
    if shape == "LINEAR":
        # C.11.2.1.2.1: a window of width w over whole numbers spans w values, and so w - 1 steps
        centre, width = centre - 0.5, width - 1
    if shape not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not width > 0:
        raise ValueError(f"a {shape} window of width {width:g}")
    if shape == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    return np.asarray((values - centre) / width + 0.5)


def _is_given(file: Any, name: str) -> bool:
    return file.get(name) not in (None, "")


def _spacing(file: Any) -> tuple[float, float]:
    found = file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    return (float(found[0]), float(found[1])) if found else (float("nan"), float("nan"))
