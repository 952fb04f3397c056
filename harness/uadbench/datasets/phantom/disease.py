"""Anomalies that look like disease on a T1 slice: an infarct, a mass with oedema, and white matter lesions."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from uadbench.datasets.phantom.anomaly import (
    Change,
    Patient,
    blend,
    blob,
    distance_to,
    largest_piece,
    pick,
)
from uadbench.datasets.phantom.fields import pixel_grid, random_field, soften

# Share of infarcts, and degrees from the front, of the three arterial territories: middle, posterior, anterior.
TERRITORIES = ((0.65, (55.0, 120.0)), (0.20, (140.0, 165.0)), (0.15, (15.0, 35.0)))
# Share of a mass that is tumour; through the rest the tissue it grew into still shows.
INFILTRATION = 0.8


def stroke(patient: Patient, generator: np.random.Generator) -> Change:
    """A dark wedge of cortex and white matter in the territory of one artery, with blurred detail."""
    mask = ndimage.binary_fill_holes(largest_piece(_sector(patient, generator) & patient.foreground))
    local_mean = ndimage.gaussian_filter(patient.image, 4.0)
    swollen = blend(patient.image, local_mean, np.full_like(local_mean, 0.4))
    dark = (1 - generator.uniform(0.16, 0.38)) * swollen
    return Change(blend(patient.image, dark, soften(mask, 1.3)), mask)


def mass(patient: Patient, generator: np.random.Generator) -> Change:
    """A round mass that pushes tissue 2 to 4 px aside, in half of them with a bright rim, with oedema around it.

    The mask is core, rim and oedema; pushed tissue stays unmarked.
    """
    radius_px = generator.uniform(6.5, 11.0)
    centre = pick(generator, patient.depth_px() > radius_px + 2)
    core = blob(generator, centre, radius_px, unevenness=0.12) & patient.foreground
    tissue = patient.anatomy.moved(_push(patient, generator, centre, radius_px))
    outside_px = ndimage.distance_transform_edt(~core)
    width_px = generator.uniform(2.5, 7.0) * (1 + 0.3 * np.clip(random_field(generator, 4.0), -2, 2))
    oedema = (outside_px > 0) & (outside_px < width_px) & (tissue.white > 0.5) & patient.foreground
    oedema = largest_piece(core | oedema) & ~core
    image = patient.render(tissue) * (1 - generator.uniform(0.12, 0.25) * soften(oedema, 1.2))
    core_image = _core(patient, generator, core)
    return Change(blend(image, core_image, INFILTRATION * soften(core, 1.0)), core | oedema)


def wm_lesions(patient: Patient, generator: np.random.Generator) -> Change:
    """Six to twelve dark spots in the white matter, more of them near the ventricles."""
    white_matter = patient.anatomy.tissue.white > 0.8
    away_px = ndimage.distance_transform_edt(patient.anatomy.ventricles < 0.5)
    mask = np.zeros_like(white_matter)
    for _ in range(generator.integers(6, 13)):
        likely = white_matter & (away_px < generator.exponential(12.0) + 3)
        mask |= blob(generator, pick(generator, likely & ~mask), generator.uniform(2.0, 4.0))
    mask &= (patient.anatomy.tissue.csf < 0.5) & patient.foreground
    dark = patient.image - generator.uniform(0.15, 0.30) * soften(mask, 0.7)
    return Change(np.clip(dark, 0, None), mask)


def _sector(patient: Patient, generator: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """30 to 60 degrees of one hemisphere, from .4 to .7 of the way to the surface outwards, with a rough border."""
    shares = [share for share, _ in TERRITORIES]
    middle = generator.uniform(*TERRITORIES[generator.choice(len(TERRITORIES), p=shares)][1])
    half_width = generator.uniform(15.0, 30.0)
    side = generator.choice([-1, 1])
    degrees, outwards = _polar(patient, side)
    inner = generator.uniform(0.4, 0.7)
    rough = 1 + 0.22 * np.clip(random_field(generator, 4.0), -2, 2)
    one_side = side * patient.anatomy.position_mm[0] > 1.0
    return (np.abs(degrees - middle) < half_width * rough) & (outwards > inner * rough) & one_side


def _polar(patient: Patient, side: int) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Angle in degrees from the front towards `side`, and distance from the brain's centre in parts of its radius."""
    middle = np.array(ndimage.center_of_mass(patient.foreground))
    rows, columns = pixel_grid() - middle[:, None, None]
    degrees = np.rad2deg(np.arctan2(side * columns, -rows))
    radius = np.hypot(rows, columns)
    sectors = np.round(degrees).astype(int) % 360
    surface = np.zeros(360)
    np.maximum.at(surface, sectors[patient.foreground], radius[patient.foreground])
    surface = ndimage.uniform_filter1d(ndimage.maximum_filter1d(surface, 5, mode="wrap"), 5, mode="wrap")
    return degrees, radius / surface[sectors]


def _push(
    patient: Patient, generator: np.random.Generator, centre: Float[np.ndarray, "2"], radius_px: float
) -> Float[np.ndarray, "2 h w"]:
    """Pull-back displacement away from the centre that decays over 9 px and vanishes at the surface of the brain."""
    radius = distance_to(centre)
    length = generator.uniform(2.0, 4.0) * np.exp(-np.clip(radius - radius_px, 0, None) / 9.0)
    length *= np.clip(radius / radius_px, 0, 1) * np.clip(patient.depth_px() / 10.0, 0, 1)
    return -length * (pixel_grid() - centre[:, None, None]) / np.maximum(radius, 1e-9)


def _core(patient: Patient, generator: np.random.Generator, core: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Brightness inside the mass, between fluid and grey matter, with a rim as bright as white matter in half."""
    brightness = generator.uniform(0.65, 1.05) * patient.appearance.grey
    plain = brightness + 1.5 * patient.texture + 0.05 * random_field(generator, 2.5)
    if generator.random() < 0.5:
        return plain
    rim = core & (ndimage.distance_transform_edt(core) < generator.uniform(1.2, 2.4))
    bright = generator.uniform(1.0, 1.15) * patient.appearance.white + patient.texture
    return blend(plain, bright, soften(rim, 0.7))
