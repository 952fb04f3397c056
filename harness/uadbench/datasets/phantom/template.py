"""The MNI152 template (ICBM 2009a, symmetric): T1, tissue maps and lateral ventricles.

The files ship inside the pip package `nilearn`; it is located, not imported, because importing it takes seconds.

Source: Fonov et al., NeuroImage 2011 and NeuroImage 47 (2009) S102; 1 mm, skull-stripped.
Deviates: there is no map of cerebrospinal fluid (CSF); it is what grey and white matter leave of the brain.
"""

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from uadbench.errors import MissingLibraryError

# Millimetres of the template at voxel index (0, 0, 0).
ORIGIN_MM = (-98.0, -134.0, -72.0)
# Axial slices kept, in mm: every tilted and displaced slice of a subject lies well inside.
SLAB_MM = (-24, 56)
# Intensity of the pure tissues in the template's T1.
CSF, GREY, WHITE = 0.27, 0.65, 0.87


@dataclass(frozen=True, slots=True)
class Template:
    """Maps in [0, 1] on the 1 mm grid (x to the right, y to the front, z up), cut to the slab."""

    t1: Float32[np.ndarray, "x y z"]
    grey: Float32[np.ndarray, "x y z"]
    white: Float32[np.ndarray, "x y z"]
    brain: Float32[np.ndarray, "x y z"]
    ventricles: Float32[np.ndarray, "x y z"]


@lru_cache(maxsize=1)
def template() -> Template:
    """The template, read once per process.

    Raises:
        MissingLibraryError: nilearn or nibabel is not installed, or nilearn no longer ships the files.
    """
    folder = _folder()
    brain = _read(folder, "t1") > 0
    t1, grey, white = (_read(folder, tissue) / np.float32(255) * brain for tissue in ("t1", "gm", "wm"))
    return Template(t1, grey, white, brain.astype(np.float32), _ventricles(1 - grey - white, brain))


def _folder() -> Path:
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise MissingLibraryError(
            "brain-phantom-v1 is made from the MNI152 template that ships with nilearn, which is not installed. "
            "Run `pip install 'uadbench[phantom]'`."
        )
    return Path(found.origin).parent / "datasets" / "data"


def _read(folder: Path, tissue: str) -> Float32[np.ndarray, "x y z"]:
    try:
        import nibabel
    except ImportError as missing:
        raise MissingLibraryError(
            "brain-phantom-v1 reads the MNI152 template with nibabel, which is not installed. "
            "Run `pip install 'uadbench[phantom]'`."
        ) from missing
    path = folder / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.is_file():
        raise MissingLibraryError(
            f"brain-phantom-v1 needs {path.name}, and the installed nilearn has no such file in {folder}. "
            "Run `pip install --force-reinstall 'uadbench[phantom]'`."
        )
    low, high = (int(edge - ORIGIN_MM[2]) for edge in SLAB_MM)
    return np.asarray(nibabel.Nifti1Image.from_filename(path).dataobj[:, :, low:high], dtype=np.float32)


def _ventricles(csf: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """The two lateral ventricles: the largest bodies of CSF deep in the brain and off the midline."""
    x, y, z = np.ogrid[tuple(slice(0, n) for n in csf.shape)]
    x, y, z = x + ORIGIN_MM[0], y + ORIGIN_MM[1], z + SLAB_MM[0]
    box = (np.abs(x) > 2) & (np.abs(x) < 42) & (y > -50) & (y < 40) & (z > -2) & (z < 34)
    depth_mm = np.stack([ndimage.distance_transform_edt(brain[..., k]) for k in range(brain.shape[2])], axis=2)
    bodies, _ = ndimage.label((csf > 0.45) & (depth_mm > 22) & box)
    sizes = np.bincount(bodies.ravel())[1:]
    largest = np.isin(bodies, 1 + np.argsort(sizes)[-2:])
    return (largest | (ndimage.binary_dilation(largest) & (csf > 0.2))).astype(np.float32)
