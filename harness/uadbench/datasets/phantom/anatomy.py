"""A healthy subject: where its slice lies in the template, what tissue is there, and how bright it is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from uadbench.datasets.phantom.fields import (
    CENTRE,
    SIZE,
    integrate,
    pixel_grid,
    pull,
    random_field,
    random_velocity,
    uphill,
)
from uadbench.datasets.phantom.template import CSF, GREY, ORIGIN_MM, SLAB_MM, WHITE, template

SPACING_MM = 1.6
CENTRE_Y_MM = -17.5
CENTRE_Z_MM = 16.0


@dataclass(frozen=True, slots=True)
class Tissue:
    """Template T1 and shares of the three tissues in each pixel, all in [0, 1]."""

    t1: Float[np.ndarray, "h w"]
    csf: Float[np.ndarray, "h w"]
    grey: Float[np.ndarray, "h w"]
    white: Float[np.ndarray, "h w"]

    def detail(self) -> Float[np.ndarray, "h w"]:
        """What the T1 shows beyond its three tissues."""
        return self.t1 - CSF * self.csf - GREY * self.grey - WHITE * self.white


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One subject's slice: template position in mm of every pixel, the tissue there, brain and lateral ventricles."""

    position_mm: Float[np.ndarray, "3 h w"]
    tissue: Tissue
    foreground: Bool[np.ndarray, "h w"]
    ventricles: Float[np.ndarray, "h w"]

    def moved(self, displacement: Float[np.ndarray, "2 h w"]) -> Tissue:
        """The tissue after a displacement, sampled from the template itself so that nothing is smoothed twice."""
        return _tissue(pull(self.position_mm, displacement))


@dataclass(frozen=True, slots=True)
class Appearance:
    """Brightness of one subject's tissues, and its fine structure, which stays in place when tissue moves."""

    csf: float
    grey: float
    white: float
    detail: float
    coarse: Float[np.ndarray, "h w"]
    fine: Float[np.ndarray, "h w"]
    dots: Float[np.ndarray, "h w"]

    def render(self, tissue: Tissue) -> Float[np.ndarray, "h w"]:
        """Intensity of the slice before it is scanned, 0 to about 1; outside the brain it has no meaning."""
        detail = tissue.detail()
        busy = np.abs(detail - ndimage.gaussian_filter(detail, 2.0)) / 0.03
        texture = self.coarse + self.fine * (0.5 + np.clip(busy, 0, 2))
        plain = self.csf * tissue.csf + self.grey * tissue.grey + self.white * tissue.white
        lit = plain + self.detail * detail + texture * (tissue.grey + tissue.white) + self.dots
        return np.clip(lit, 0, None)


def draw_anatomy(generator: np.random.Generator) -> Anatomy:
    """A new subject's slice; drawn again while the brain touches the border of the frame."""
    while True:
        anatomy = _draw_anatomy(generator)
        frame = np.ones((SIZE, SIZE), dtype=bool)
        frame[1:-1, 1:-1] = False
        if not (anatomy.foreground & frame).any():
            return anatomy


def draw_appearance(generator: np.random.Generator, anatomy: Anatomy) -> Appearance:
    """Tissue intensities, texture and perivascular spaces (dark dots in white matter) of a subject."""
    return Appearance(
        csf=generator.uniform(0.24, 0.32),
        grey=generator.uniform(0.54, 0.60),
        white=generator.uniform(0.77, 0.83),
        detail=generator.uniform(0.7, 1.3),
        coarse=0.015 * random_field(generator, 5.0),
        fine=0.0132 * (0.6 * random_field(generator, 0.7) + 0.5 * random_field(generator, 1.6)),
        dots=_draw_dots(generator, anatomy.tissue.white > 0.9),
    )


def _draw_anatomy(generator: np.random.Generator) -> Anatomy:
    position_mm = _draw_position(generator)
    growth_px = generator.uniform(-1.0, 1.5)
    grown = integrate(growth_px * uphill(_sample(template().ventricles, position_mm)))
    position_mm = pull(position_mm, grown)
    return Anatomy(
        position_mm=position_mm,
        tissue=_tissue(position_mm),
        foreground=_sample(template().brain, position_mm) > 0.5,
        ventricles=_sample(template().ventricles, position_mm),
    )


def _draw_position(generator: np.random.Generator) -> Float[np.ndarray, "3 h w"]:
    """Template position in mm of every pixel: an affine map, a smooth deformation, and a tilted, uneven slice."""
    velocity = random_velocity(generator, 20.0, 1.7) + random_velocity(generator, 6.0, 0.7)
    rows, columns = _draw_affine(generator, pixel_grid() + integrate(velocity))
    x = SPACING_MM * columns
    y = CENTRE_Y_MM - SPACING_MM * rows
    pitch, roll = np.tan(np.deg2rad(np.clip(generator.normal(0.0, 2.0, 2), -4.0, 4.0)))
    height = CENTRE_Z_MM + generator.uniform(-6.0, 6.0)
    z = height + pitch * (y - CENTRE_Y_MM) + roll * x + random_field(generator, 12.0)
    return np.stack([x, y, z])


def _draw_affine(generator: np.random.Generator, where: Float[np.ndarray, "2 h w"]) -> Float[np.ndarray, "2 h w"]:
    """Rotation, scales, shear and shift about the centre of the frame; pixels from the centre."""
    angle = np.deg2rad(generator.normal(0.0, 2.0))
    scale = (1 + generator.normal(0.0, 0.025)) * (1 + generator.normal(0.0, 0.025, 2))
    shear = generator.normal(0.0, 0.02)
    shift = generator.uniform(-1.5, 1.5, 2)
    rows, columns = where - CENTRE
    rows, columns = scale[0] * (rows + shear * columns), scale[1] * columns
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([cosine * rows - sine * columns + shift[0], sine * rows + cosine * columns + shift[1]])


def _draw_dots(generator: np.random.Generator, white_matter: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    dots = np.zeros((SIZE, SIZE))
    places = np.argwhere(white_matter)
    for _ in range(generator.poisson(2.0)):
        row, column = places[generator.integers(len(places))] + generator.uniform(-0.5, 0.5, 2)
        depth, sigma_px = generator.uniform(0.04, 0.12), generator.uniform(0.6, 1.0)
        rows, columns = pixel_grid()
        dots -= depth * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma_px**2))
    return dots


def _tissue(position_mm: Float[np.ndarray, "3 h w"]) -> Tissue:
    t1, grey, white = (_sample(volume, position_mm) for volume in (template().t1, template().grey, template().white))
    return Tissue(t1=t1, csf=np.clip(1 - grey - white, 0, 1), grey=grey, white=white)


def _sample(volume: Float[np.ndarray, "x y z"], position_mm: Float[np.ndarray, "3 h w"]) -> Float[np.ndarray, "h w"]:
    """The volume at the given positions, by linear interpolation; 0 beyond its edge."""
    corner = np.array([ORIGIN_MM[0], ORIGIN_MM[1], SLAB_MM[0]])
    return ndimage.map_coordinates(volume, position_mm - corner[:, None, None], order=1, output=np.float64)
