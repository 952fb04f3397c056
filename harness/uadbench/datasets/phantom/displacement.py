"""Anomalies of shape alone: tissue drawn together, pushed apart, or crowded out by wide ventricles.

Source: sink and source deformations after the synthetic suite of the Medical Out-of-Distribution challenge,
Zimmerer et al., IEEE TMI 2022.
Deviates: a displacement that dies out smoothly at the edge of its disc and does not fold.
"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from uadbench.datasets.phantom.anomaly import Change, Patient, distance_to, pick
from uadbench.datasets.phantom.fields import integrate, pixel_grid, uphill


def sink(patient: Patient, generator: np.random.Generator) -> Change:
    """Tissue drawn towards a point."""
    return _radial(patient, generator, generator.uniform(0.85, 1.15))


def source(patient: Patient, generator: np.random.Generator) -> Change:
    """Tissue pushed away from a point."""
    return _radial(patient, generator, -generator.uniform(0.75, 0.95))


def ventricles(patient: Patient, generator: np.random.Generator) -> Change:
    """Lateral ventricles 3 to 6 px wider; the mask is the ring of new fluid, not the ventricle that was there.

    Tissue pushed aside further out stays unmarked.
    """
    anatomy = patient.anatomy
    wide = anatomy.moved(integrate(generator.uniform(3.0, 6.0) * uphill(anatomy.ventricles)))
    fluid = (wide.csf > 0.5) & (anatomy.tissue.csf <= 0.5)
    near = ndimage.distance_transform_edt(anatomy.ventricles < 0.5) < 10
    return Change(patient.render(wide), _without_specks(fluid & near & patient.foreground))


def _radial(patient: Patient, generator: np.random.Generator, strength: float) -> Change:
    """Reads at x + k (x - c) (1 - r^2/R^2)^2 inside a disc; folds at k >= 1.25 and k <= -1. Mask: r < 0.8 R.

    The disc lies within the brain, so that the outline tells nothing.
    """
    radius_px = generator.uniform(14.0, 22.0)
    centre = pick(generator, patient.depth_px() > radius_px)
    radius = distance_to(centre)
    fading = np.clip(1 - (radius / radius_px) ** 2, 0, None) ** 2
    displacement = strength * fading * (pixel_grid() - centre[:, None, None])
    moved = patient.anatomy.moved(displacement)
    return Change(patient.render(moved), (radius < 0.8 * radius_px) & patient.foreground)


def _without_specks(mask: Bool[np.ndarray, "h w"], smallest_px: int = 4) -> Bool[np.ndarray, "h w"]:
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return mask & (np.bincount(pieces.ravel())[pieces] >= smallest_px)
