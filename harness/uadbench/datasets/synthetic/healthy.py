"""The healthy images of a dataset as samples again, under their original names and subjects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from uadbench.errors import InvalidDataError
from uadbench.files import images as images_file
from uadbench.files import truth as truth_file
from uadbench.files.dataset import DatasetPaths, Sample
from uadbench.files.images import SPLITS, Card, Digests, open_images
from uadbench.files.layout import opened, read_texts
from uadbench.files.truth import open_truth


@dataclass(frozen=True, slots=True)
class Healthy:
    """A dataset's card and digests, and the healthy samples of each split by their row in the file."""

    card: Card
    digests: Digests
    splits: Mapping[str, Mapping[int, Sample]]


def read_healthy(source: DatasetPaths) -> Healthy:
    """What is healthy in a dataset.

    Raises:
        InvalidDataError: A missing or damaged file, two files that do not belong together, more than one channel, or
            no healthy image in test.
    """
    dataset, truth = open_images(source.images), open_truth(source.truth)
    if dataset.digests.identity != truth.digests.identity:
        raise InvalidDataError(
            f"{source.images} and {source.truth} have different identity digests. Give the two files of one dataset."
        )
    channels = dataset["test"].shape[0]
    if channels != 1:
        raise InvalidDataError(
            f"{source.images}: images of {channels} channels. Synthetic anomalies are for one; import it as grey."
        )
    if truth["test"].labels.all():
        raise InvalidDataError(
            f"{source.truth}: no healthy image in test. Give a dataset with some; synthetic anomalies are put on them."
        )
    return Healthy(dataset.card, dataset.digests, {split: _samples(source, split) for split in SPLITS})


def _samples(source: DatasetPaths, split: str) -> dict[int, Sample]:
    with opened(source.images, images_file.SCHEMA) as file:
        pixels, foreground = file[split]["images"][:], file[split]["foreground"][:]
    with opened(source.truth, truth_file.SCHEMA) as file:
        group = file[split]
        subjects, names = read_texts(group, "original_subjects"), read_texts(group, "names")
        pathologies, annotations = read_texts(group, "pathologies"), read_texts(group, "annotations")
        healthy = np.flatnonzero(~group["labels"][:]).tolist()
    return {
        row: Sample(
            pixels[row],
            foreground[row],
            subjects[row],
            names[row],
            pathology=pathologies[row],
            annotation=annotations[row],
        )
        for row in healthy
    }
