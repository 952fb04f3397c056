"""`audit`: images in, findings out, in two passes over the images and one search for copies."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from uadbench.auditing import leaks
from uadbench.auditing.describing import Descriptors, descriptors, gathered
from uadbench.auditing.matching import CLOSE, SIMILAR, Matches, equal_images, near_duplicates, together
from uadbench.auditing.measuring import NUMBERS, Intensities, measured, shortcuts
from uadbench.auditing.pixelwise import PixelSums, pixel_shortcut
from uadbench.auditing.records import SEVERITIES, Audit, Finding, Scans, Shortcut, Specimen, Statistics, rank
from uadbench.errors import InvalidDataError
from uadbench.files.images import SPLITS, Dataset
from uadbench.files.truth import TruthFile, original_subjects

_BATCH = 64
_PIECE = 1 << 19  # pixels that are worked on at once, so that what is made of them stays in the cache
Report = Callable[[int, int], None]


def _nothing(done: int, total: int) -> None:
    """Nobody asks how far the audit is."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first pass leaves of n images."""

    described: Descriptors
    numbers: Float64[np.ndarray, "n 4"]
    statistics: tuple[Statistics, ...]
    sums: PixelSums


def audit(title: str, specimens: Sequence[Specimen], scans: Scans, report: Report = _nothing) -> Audit:
    """What leaks between the splits of a dataset, and what tells its labels without anatomy.

    `report` hears how many of three rounds of all images are done.

    Raises:
        InvalidDataError: Scans of another number of images than specimens, or of shapes or values that do not fit.
    """
    n = len(specimens)
    survey = _survey(specimens, scans, lambda done: report(done, 3 * n))
    found = _search(specimens, survey.described, lambda done: report(n + done, 3 * n))
    known, telling = _shortcuts(specimens, scans, survey, lambda done: report(2 * n + done, 3 * n))
    findings = [
        *leaks.shared_subjects(specimens),
        *leaks.anomalous_in_training(specimens),
        *leaks.equal_pixels(specimens, equal_images(survey.described)),
        *leaks.near_duplicates(specimens, found),
        *telling,
        *leaks.closest(specimens, found),
        *_without_contrast(survey.described),
    ]
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    splits = [one.split for one in specimens]
    counts = {split: splits.count(split) for split in sorted(set(splits), key=rank)}
    report(3 * n, 3 * n)
    return Audit(title, counts, tuple(findings), survey.statistics, known)


def audit_dataset(dataset: Dataset, truth: TruthFile, report: Report = _nothing) -> Audit:
    """The audit of the two files of a dataset.

    Raises:
        InvalidDataError: Files of two datasets.
    """
    if dataset.digests.roster != truth.digests.roster:
        raise InvalidDataError(
            f"{dataset.path} and {truth.path} hold different images (roster {dataset.digests.roster[:12]} and "
            f"{truth.digests.roster[:12]}). Give both files of one dataset."
        )
    title = f"{dataset.card.name}, version {dataset.card.version}"
    return audit(title, specimens_of(truth), scans_of(dataset), report)


def specimens_of(truth: TruthFile) -> list[Specimen]:
    """What a truth file knows of its images: train, val and test, each in the order of the file."""
    subjects = original_subjects(truth)
    return [
        Specimen(name, split, bool(label), subject, pathology)
        for split in SPLITS
        for some in (truth[split],)
        for name, label, subject, pathology in zip(
            some.names or some.ids, some.labels, subjects[split], some.pathologies, strict=True
        )
    ]


def scans_of(dataset: Dataset) -> Scans:
    """Passes over the images of a dataset in the order of `specimens_of`; several channels are averaged."""

    def scans() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for split in SPLITS:
            for start in range(0, len(dataset[split]), _BATCH):
                images = dataset[split][start : start + _BATCH]
                yield images.pixels.mean(axis=1), images.foreground  # (n, c, h, w) -> (n, h, w)

    return scans


def _survey(specimens: Sequence[Specimen], scans: Scans, report: Callable[[int], None]) -> Survey:
    labels, tested = _labels(specimens), _tested(specimens)
    numbers = np.zeros((len(specimens), len(NUMBERS)))
    intensities, sums = Intensities(specimens), PixelSums()

    def described() -> Iterator[Descriptors]:
        for rows, pixels, foreground in _batches(specimens, scans):
            _require_finite(specimens[rows], pixels)
            numbers[rows] = measured(pixels, foreground)
            intensities.add(rows.start, pixels)
            if tested[rows].any():
                sums.add(pixels[tested[rows]], labels[rows][tested[rows]])
            report(rows.stop)
            yield descriptors(pixels)

    found = gathered(len(specimens), described())
    return Survey(found, numbers, intensities.statistics(), sums)


def _batches(
    specimens: Sequence[Specimen], scans: Scans
) -> Iterator[tuple[slice, Float32[np.ndarray, "n h w"], Bool[np.ndarray, "n h w"]]]:
    """The rows, pixels and foreground of every batch, checked."""
    stop = 0
    for pixels, foreground in scans():
        start, stop = stop, stop + len(pixels)
        if pixels.ndim != 3 or pixels.shape != foreground.shape or stop > len(specimens):
            raise InvalidDataError(
                f"Audit: a batch from image {start} on has pixels {pixels.shape} and foreground {foreground.shape}, "
                f"of {len(specimens)} images. Give both as (n, h, w), one for each specimen."
            )
        pixels, foreground = np.asarray(pixels, np.float32), np.asarray(foreground, bool)
        some = max(1, _PIECE // max(1, pixels[0].size)) if len(pixels) else 1
        for at in range(0, len(pixels), some):
            piece = pixels[at : at + some]
            yield slice(start + at, start + at + len(piece)), piece, foreground[at : at + some]
    if stop != len(specimens):
        raise InvalidDataError(f"Audit: {stop} images for {len(specimens)} specimens. Give one image for each.")


def _require_finite(specimens: Sequence[Specimen], pixels: Float32[np.ndarray, "n h w"]) -> None:
    finite = np.isfinite(pixels.sum(axis=(1, 2)))
    if not finite.all():
        name = specimens[int(np.argmin(finite))].name
        raise InvalidDataError(f"Audit: image {name!r} holds NaN or infinity. Give finite intensities.")


def _search(specimens: Sequence[Specimen], described: Descriptors, report: Callable[[int], None]) -> Matches:
    """Copies across splits or subjects, and the closest of different splits and subjects that are no copies."""
    split, subject = _codes([one.split for one in specimens]), _codes([one.subject for one in specimens])
    ours = np.array([one.split in SPLITS for one in specimens], bool)
    families = split * (len(specimens) + 1) + subject
    copies, close = together([]), together([])
    for some in near_duplicates(described, families=families, least=CLOSE, report=report):
        copies = together([copies, some[some.similarity >= SIMILAR]])
        i, j = some.first, some.second
        strange = (split[i] != split[j]) & ours[i] & ours[j] & (subject[i] != subject[j])
        close = together([close, some[strange & (some.similarity < SIMILAR)]]).most_similar(leaks.MOST_CLOSE)
    return together([copies, close])


def _codes(names: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """A number for each name, the same for the same name."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _shortcuts(
    specimens: Sequence[Specimen], scans: Scans, survey: Survey, report: Callable[[int], None]
) -> tuple[tuple[Shortcut, ...], list[Finding]]:
    """What tells the labels of the test split, and the findings on what tells them too well."""
    tested = _tested(specimens)
    labels = _labels(specimens)[tested]
    known = shortcuts(survey.numbers[tested], labels)
    findings = [Finding("shortcut", "warning", _sentence(one)) for one in known if one.flagged]
    if labels.all() or not labels.any():
        kind = "anomalous" if not labels.any() else "healthy"
        sentence = f"Test has no {kind} image, so no shortcut can be measured."
        return known, [Finding("shortcut", "fact", sentence)]
    places, _ = survey.sums.strongest()
    values = np.concatenate(list(_values(specimens, scans, survey.sums, places, report)))
    pixel, sentence = pixel_shortcut(survey.sums, values, labels)
    if pixel.flagged:
        findings.append(Finding("pixel-shortcut", "warning", sentence))
    return (*known, pixel), findings


def _values(
    specimens: Sequence[Specimen], scans: Scans, sums: PixelSums, places: Int64[np.ndarray, " k"],
    report: Callable[[int], None],
) -> Iterator[Float32[np.ndarray, "n k"]]:  # fmt: skip
    tested = _tested(specimens)
    for rows, pixels, _ in _batches(specimens, scans):
        if tested[rows].any():
            yield sums.values(pixels[tested[rows]], places)
        report(rows.stop)


def _sentence(one: Shortcut) -> str:
    return (
        f"{one.what.capitalize()} alone tells healthy from anomalous test images: AUROC {one.auroc:.3f} "
        f"({one.healthy:,} healthy, {one.anomalous:,} anomalous; {NUMBERS[one.what]})."
    )


def _without_contrast(described: Descriptors) -> list[Finding]:
    blank = int((~described.textured).sum())
    if not blank:
        return []
    sentence = f"{blank:,} image{'s have' if blank > 1 else ' has'} no contrast: compared by equal pixels only."
    return [Finding("blank", "fact", sentence, total=blank)]


def _labels(specimens: Sequence[Specimen]) -> Bool[np.ndarray, " n"]:
    return np.array([one.label for one in specimens], bool)


def _tested(specimens: Sequence[Specimen]) -> Bool[np.ndarray, " n"]:
    return np.array([one.split == "test" for one in specimens], bool)
