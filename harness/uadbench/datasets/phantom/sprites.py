"""Anomalies no disease makes: shapes of another brightness, and tissue in the wrong place.

Source: ellipses after Meissen et al., "On the pitfalls of using the residual as anomaly score", MIDL 2022;
copied and shuffled tissue after the foreign-patch family of Tan et al., MELBA 2022 (foreign patch interpolation).
Deviates: sizes and contrasts are chosen so that no detector without training finds them easily.
"""

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from uadbench.datasets.phantom.anomaly import Change, Patient, blend, blob, distance_to, ellipse, pick
from uadbench.datasets.phantom.fields import soften

SEMI_AXES_PX = (6.0, 13.0)


def hypo_ellipse(patient: Patient, generator: np.random.Generator) -> Change:
    """A darker ellipse."""
    return _shifted_ellipse(patient, generator, -generator.uniform(0.14, 0.32))


def hyper_ellipse(patient: Patient, generator: np.random.Generator) -> Change:
    """A brighter ellipse."""
    return _shifted_ellipse(patient, generator, generator.uniform(0.08, 0.19))


def iso_ellipse(patient: Patient, generator: np.random.Generator) -> Change:
    """An ellipse of plain tissue as bright as what it covers: only structure is lost."""
    mask = _draw_ellipse(patient, generator)
    plain = patient.image[mask].mean() + generator.uniform(-0.02, 0.02) + patient.texture
    weight = 0.95 * soften(mask, generator.uniform(0.6, 1.2))
    return Change(blend(patient.image, plain, weight), mask)


def copy_paste(patient: Patient, generator: np.random.Generator) -> Change:
    """A patch of the same brain, more than two radii away and about as bright, laid over another place."""
    radius_px = generator.uniform(9.0, 15.0)
    depth_px = patient.depth_px()
    target = pick(generator, depth_px > 0.6 * radius_px)
    local_mean = gaussian_filter(patient.image, radius_px / 2)
    row, column = target.astype(int)
    alike = np.abs(local_mean - local_mean[row, column]) < 0.03
    source = pick(generator, alike & (depth_px > 0.9 * radius_px) & (distance_to(target) > 2 * radius_px))
    mask = blob(generator, target, radius_px)
    shift = np.round(target - source).astype(int)
    arrived = np.roll(patient.image, shift, axis=(0, 1))
    mask &= patient.foreground & np.roll(patient.foreground, shift, axis=(0, 1))
    return Change(blend(patient.image, arrived, soften(mask, 0.7)), mask)


def pixel_shuffle(patient: Patient, generator: np.random.Generator) -> Change:
    """A disc whose pixels swap places with pixels about 3 px away; the histogram stays exactly the same."""
    radius_px = generator.uniform(7.0, 12.0)
    centre = pick(generator, patient.depth_px() > radius_px)
    mask = (distance_to(centre) < radius_px) & patient.foreground
    places = np.argwhere(mask).astype(np.float64)
    wandered = places + generator.normal(0.0, 3.0, places.shape)
    _, homes = linear_sum_assignment(cdist(wandered, places, "sqeuclidean"))
    image = patient.image.copy()
    image[tuple(np.argwhere(mask)[homes].T)] = patient.image[mask]
    return Change(image, mask)


def _shifted_ellipse(patient: Patient, generator: np.random.Generator, delta: float) -> Change:
    mask = _draw_ellipse(patient, generator)
    weight = soften(mask, generator.uniform(0.6, 1.2))
    return Change(np.clip(patient.image + delta * weight, 0, None), mask)


def _draw_ellipse(patient: Patient, generator: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    centre = pick(generator, patient.depth_px() > SEMI_AXES_PX[0])
    return ellipse(generator, centre, SEMI_AXES_PX) & patient.foreground
