"""One image of the phantom: a subject, its anomaly if any, and the scan, each from a random stream of its own."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from uadbench.datasets.phantom.acquisition import Scan, acquire, draw_scan
from uadbench.datasets.phantom.anatomy import draw_anatomy, draw_appearance
from uadbench.datasets.phantom.anomaly import Change, Patient
from uadbench.datasets.phantom.kinds import KINDS
from uadbench.errors import UsageError
from uadbench.files.dataset import Sample

SPLITS = ("train", "val", "test")
SIZES = {"train": 240, "val": 40, "test": 320}
HEALTHY_TEST = 80
PER_KIND = 20
ROOT_SEED = 2009

# An anomaly is drawn again while it is too faint or too small to be fair.
DRAWS = 31
FAINTEST = 0.06
FAINTEST_MOTION = 0.04
SMALLEST_PX = 30


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient, the scan that waits, and the random stream from which its anomaly is drawn and drawn again."""

    patient: Patient
    scan: Scan
    lesions: np.random.Generator


@dataclass(frozen=True, slots=True)
class Finding:
    """A scanned anomaly and how far it is from the healthy twin: mean |difference| in the mask, in [0, 1]."""

    pixels: UInt8[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    contrast: float
    clear: bool


def phantom(split: str, index: int, *, root_seed: int = ROOT_SEED) -> Sample:
    """Image `index` of a split; in test 80 healthy ones come first, then 20 of each kind of anomaly.

    An image depends on its split, index and the root seed alone.

    Raises:
        UsageError: No such split or index.
    """
    kind, number = _place(split, index)
    subject = draw_subject(split, index, root_seed=root_seed)
    foreground = subject.patient.foreground
    healthy = acquire(subject.patient.image, foreground, subject.scan)
    person, name = f"{split}-{index:03d}", f"{split}/{kind}/{number:03d}"
    if kind == "healthy":
        return Sample(pixels=healthy[None], foreground=foreground, subject=person, name=name)
    finding = _draw_finding(kind, subject, healthy)
    only_image = kind == "motion"
    return Sample(
        pixels=finding.pixels[None],
        foreground=foreground,
        subject=person,
        name=name,
        label=1,
        pathology=kind,
        annotation="image" if only_image else "mask",
        mask=None if only_image else finding.mask,
        boxes=boxes_around(finding.mask & (not only_image)),
        clean=healthy[None],
    )


def indices(split: str, limit: int | None = None) -> list[int]:
    """Every index of a split, or those of the first `limit` images of each kind in it."""
    return [index for index in range(SIZES[split]) if limit is None or _place(split, index)[1] < limit]


def draw_subject(split: str, index: int, *, root_seed: int = ROOT_SEED) -> Subject:
    """The subject of an image as it was before anything went wrong, and the scan it gets."""
    seed = np.random.SeedSequence([root_seed, SPLITS.index(split), index])
    anatomy_stream, tissue_stream, scan_stream, lesion_stream = map(np.random.default_rng, seed.spawn(4))
    anatomy = draw_anatomy(anatomy_stream)
    appearance = draw_appearance(tissue_stream, anatomy)
    patient = Patient(anatomy, appearance, appearance.render(anatomy.tissue))
    return Subject(patient, draw_scan(scan_stream), lesion_stream)


def boxes_around(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "b 4"]:
    """The tightest box x, y, w, h in pixels around every 8-connected component of a mask."""
    components, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    boxes = [
        (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for rows, columns in ndimage.find_objects(components)
    ]
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def _place(split: str, index: int) -> tuple[str, int]:
    """Kind of an image, and its number among its kind."""
    if split not in SIZES or not 0 <= index < SIZES[split]:
        sizes = ", ".join(f"{name} 0 to {size - 1}" for name, size in SIZES.items())
        raise UsageError(f"brain-phantom-v1 has no image {index} in split {split!r}. Choose from {sizes}.")
    if split != "test" or index < HEALTHY_TEST:
        return "healthy", index
    kind, number = divmod(index - HEALTHY_TEST, PER_KIND)
    return tuple(KINDS)[kind], number


def _draw_finding(kind: str, subject: Subject, healthy: UInt8[np.ndarray, "h w"]) -> Finding:
    """The first clear anomaly of 31, else the one of highest contrast; only the lesion's stream is drawn from."""
    findings = []
    for _ in range(DRAWS):
        change = KINDS[kind](subject.patient, subject.lesions)
        findings.append(_find(change, subject, healthy))
        if findings[-1].clear:
            return findings[-1]
    return max(findings, key=lambda finding: finding.contrast)


def _find(change: Change, subject: Subject, healthy: UInt8[np.ndarray, "h w"]) -> Finding:
    pixels = acquire(change.image, subject.patient.foreground, subject.scan, change.motion)
    difference = (pixels.astype(np.float64) - healthy)[change.mask] / 255
    contrast = float(np.abs(difference).mean()) if len(difference) else 0.0
    if change.motion is None:
        clear = contrast >= FAINTEST and len(difference) >= SMALLEST_PX
    else:
        clear = bool(np.sqrt((difference**2).mean()) >= FAINTEST_MOTION)
    return Finding(pixels, change.mask, contrast, clear)
