"""Motion during the scan: stretches of k-space measured while the head lay elsewhere.

Source: the random motion of TorchIO, Perez-Garcia et al., CMPB 2021, after Shaw et al., MIDL 2019.
Deviates: two dimensions, the central seven lines stay still, and the ghosts outside the brain are stripped.
"""

from functools import partial

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from uadbench.datasets.phantom.anomaly import Change, Patient
from uadbench.datasets.phantom.fields import CENTRE, SIZE, pixel_grid

# (rotation in degrees, shift along rows, shift along columns in pixels)
Pose = tuple[float, float, float]


def motion(patient: Patient, generator: np.random.Generator) -> Change:
    """A head that moves 2 to 5 times and comes back; the whole image is anomalous."""
    moves = int(generator.integers(2, 6))
    starts, lengths = generator.integers(8, SIZE - 32, moves), generator.integers(6, 25, moves)
    severity = generator.uniform(0.5, 1.0)
    poses = [tuple(severity * generator.normal(0.0, 2.5, 3)) for _ in range(moves)]
    move = partial(moved_scan, stretches=list(zip(starts, starts + lengths, strict=True)), poses=poses)
    return Change(patient.image, patient.foreground, motion=move)


def moved_scan(
    image: Float[np.ndarray, "h w"], *, stretches: list[tuple[int, int]], poses: list[Pose]
) -> Float[np.ndarray, "h w"]:
    """The image when each stretch of k-space lines, from its first to before its last, sees the head in its pose."""
    lines = np.fft.fftshift(np.fft.fft2(image))
    still = lines.copy()
    for (first, last), pose in zip(stretches, poses, strict=True):
        lines[first:last] = np.fft.fftshift(np.fft.fft2(_posed(image, pose)))[first:last]
    centre = slice(SIZE // 2 - 3, SIZE // 2 + 4)
    lines[centre] = still[centre]
    return np.abs(np.fft.ifft2(np.fft.ifftshift(lines)))


def _posed(image: Float[np.ndarray, "h w"], pose: Pose) -> Float[np.ndarray, "h w"]:
    """The image turned about the middle of the frame and shifted."""
    angle = np.deg2rad(pose[0])
    rows, columns = pixel_grid() - CENTRE
    turned_rows = np.cos(angle) * rows - np.sin(angle) * columns - pose[1]
    turned_columns = np.sin(angle) * rows + np.cos(angle) * columns - pose[2]
    return ndimage.map_coordinates(image, np.stack([turned_rows, turned_columns]) + CENTRE, order=3)
