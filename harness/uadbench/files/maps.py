"""One array per file, as other code writes anomaly maps: npy, npz, PNG and TIFF, NIfTI.

Numbers are taken as stored, [row, column]; nothing is rescaled or turned. Pictures of 8 bits are refused: 256 levels
are few, and most maps that come so were stretched image by image, after which maps cannot be compared.
"""

from pathlib import Path
from typing import Any

import numpy as np

from uadbench.errors import InvalidDataError, MissingLibraryError, UadbenchError

EXTENSIONS = (".npy", ".npz", ".png", ".tif", ".tiff", ".nii", ".nii.gz")
_EIGHT_BITS = ("1", "L")


def extension(path: Path) -> str:
    """The one of `EXTENSIONS` that the file's name ends with, as written there; empty for any other."""
    name = path.name
    fitting = [name[-len(one) :] for one in EXTENSIONS if name.lower().endswith(one)]
    return max(fitting, key=len, default="")


def read_array(path: Path) -> np.ndarray:
    """The real numbers in a file with one of `EXTENSIONS`, in their own type and shape.

    Raises:
        InvalidDataError: Unreadable, truncated, several arrays or pages, colour, 8-bit, or no real numbers.
        MissingLibraryError: NIfTI without nibabel.
    """
    readers = {".npy": _npy, ".npz": _npz, ".nii": _nifti, ".nii.gz": _nifti}
    try:
        array = readers.get(extension(path).lower(), _picture)(path)
    except UadbenchError:
        raise
    except Exception as error:  # whatever a foreign decoder raises on a damaged file
        reason = str(error).strip().split("\n")[0][:160] or type(error).__name__
        raise InvalidDataError(
            f"{path}: cannot be read ({reason}). It is truncated or another format; write it again."
        ) from error
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"{path}: holds {array.dtype}, not real numbers. Write float32.")
    return array


def _npy(path: Path) -> np.ndarray:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("an archive named .npy")
    return array


def _npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            raise InvalidDataError(
                f"{path}: holds {len(archive.files)} arrays ({', '.join(archive.files[:3])}). Store the map alone."
            )
        return np.asarray(archive[archive.files[0]])


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path, formats=("PNG", "TIFF")) as picture:
        pages, mode, is_png = getattr(picture, "n_frames", 1), picture.mode, picture.format == "PNG"
        array = np.asarray(picture)
    if pages > 1:
        raise InvalidDataError(f"{path}: holds {pages} pages. Write one picture per file.")
    if mode in _EIGHT_BITS:
        raise InvalidDataError(
            f"{path}: an 8-bit picture has 256 levels at most, and ties would decide the metrics. "
            "Write 16 bits, a float32 TIFF or .npy."
        )
    if mode != "F" and not mode.startswith("I"):
        raise InvalidDataError(f"{path}: a picture of mode {mode!r}, colour or with alpha. Write one grey channel.")
    return array.astype(np.uint16) if is_png else array


def _nifti(path: Path) -> np.ndarray:
    try:
        import nibabel
    except ImportError as missing:
        raise MissingLibraryError(
            f"{path}: reading NIfTI needs the library 'nibabel', which is not installed. "
            "Install it with `pip install nibabel`, or write .npy."
        ) from missing
    image: Any = nibabel.load(path)  # type: ignore[attr-defined,no-untyped-call,unused-ignore]
    array = np.asarray(image.dataobj)
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array
