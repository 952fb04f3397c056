"""DICOM films: rescaled, windowed as the file says, MONOCHROME1 turned over, so that bright is dense."""

import io
import struct
from typing import Any

import numpy as np
from jaxtyping import Float32

from uadbench.errors import InvalidDataError, MissingLibraryError

SUFFIXES = (".dcm", ".dicom")
LARGEST = 1 << 28  # pixels; a film has a tenth of it
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError, struct.error)


def read_film(raw: bytes, where: str) -> tuple[Float32[np.ndarray, "h w"], tuple[float, float]]:
    """Intensities in [0, 1] over the range that the file's bits, rescale and window allow; and mm per row and column.

    Source: DICOM PS3.3, C.11.1 (modality LUT) and C.11.2 (VOI LUT); MONOCHROME1 is the negative.

    Raises:
        InvalidDataError: Unreadable, truncated, colour, or several frames.
        MissingLibraryError: A compression whose decoder is not installed.
    """
    import pydicom

    try:
        file = pydicom.dcmread(io.BytesIO(raw))
        _require_one_grey(file, where)
        stored = file.pixel_array
        shown, low, high = _windowed(file, stored)
    except InvalidDataError:
        raise
    except (NotImplementedError, RuntimeError) as error:
        raise MissingLibraryError(
            f"{where}: {_syntax(file)} cannot be decompressed here ({_short(error)}). Run `pip install "
            "'uadbench[import]'`; for lossless JPEG also `pip install pylibjpeg-libjpeg`, which is under the GPL."
        ) from error
    except (*_UNREADABLE, pydicom.errors.InvalidDicomError) as error:
        raise InvalidDataError(
            f"{where}: not a readable DICOM file ({type(error).__name__}: {_short(error)}). It is truncated or another "
            "format; fetch it again."
        ) from error
    intensity = np.clip((shown - low) / (high - low), 0, 1).astype(np.float32)
    turned = file.PhotometricInterpretation == "MONOCHROME1"
    return (1 - intensity if turned else intensity), _spacing(file)


def _require_one_grey(file: Any, where: str) -> None:
    photometric = str(file.PhotometricInterpretation)
    frames = int(file.get("NumberOfFrames") or 1)
    if not photometric.startswith("MONOCHROME") or frames != 1:
        raise InvalidDataError(f"{where}: {frames} frames of {photometric}. Give a film of one grey frame.")
    if int(file.Rows) * int(file.Columns) > LARGEST:
        raise InvalidDataError(f"{where}: states {file.Rows} x {file.Columns} pixels. Fetch the file again.")


def _windowed(file: Any, stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The values after rescale and window, and the lowest and highest that these can give."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    bits, signed = int(file.BitsStored), int(file.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    rescaled = np.asarray(apply_modality_lut(stored, file), np.float64)
    if "RescaleSlope" in file:
        ends = sorted(float(file.RescaleSlope) * end + float(file.RescaleIntercept) for end in (low, high))
        low, high = ends[0], ends[1]
    if "VOILUTSequence" in file:
        table = file.VOILUTSequence[0]
        depth = int(table.LUTDescriptor[2])
        return np.asarray(apply_voi_lut(rescaled.astype(stored.dtype), file, prefer_lut=True)), 0, (1 << depth) - 1
    if "WindowCenter" in file:
        return np.asarray(apply_voi_lut(rescaled, file, prefer_lut=False)), low, high
    return rescaled, low, high


def _syntax(file: Any) -> str:
    return str(file.file_meta.TransferSyntaxUID.name)


def _spacing(file: Any) -> tuple[float, float]:
    found = file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    return (float(found[0]), float(found[1])) if found else (float("nan"), float("nan"))


def _short(error: BaseException) -> str:
    return str(error).split("\n")[0][:160]
