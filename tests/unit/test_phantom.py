"""The built-in phantom: reproducible, and every anomaly where its mask says."""

import sys

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("nibabel", reason="the phantom's template is read with nibabel")
pytest.importorskip("nilearn", reason="the phantom's template ships with nilearn")

from uadbench.datasets.phantom.acquisition import acquire
from uadbench.datasets.phantom.generation import CARD, generate, make, phantom
from uadbench.datasets.phantom.image import HEALTHY_TEST, PER_KIND, boxes_around, draw_subject
from uadbench.datasets.phantom.kinds import KINDS
from uadbench.datasets.phantom.template import template
from uadbench.errors import MissingLibraryError, UsageError
from uadbench.files.images import open_images

FIRST = {kind: HEALTHY_TEST + PER_KIND * position for position, kind in enumerate(KINDS)}
MASKED = [kind for kind in KINDS if kind != "motion"]
PUSHES_TISSUE = {"sink", "source", "mass", "ventricles"}
IN_PLACE = [kind for kind in MASKED if kind not in PUSHES_TISSUE]


@pytest.fixture(scope="module")
def anomalous():
    """One sample of each kind."""
    return {kind: phantom("test", index) for kind, index in FIRST.items()}


def test_images_do_not_depend_on_the_number_of_workers():
    alone, together = generate(workers=1, limit=1), generate(workers=2, limit=1)
    for split, samples in alone.items():
        assert [one.name for one in samples] == [one.name for one in together[split]]
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(samples, together[split], strict=True))


def test_an_image_does_not_depend_on_those_made_before():
    later = [phantom("test", index).pixels for index in (FIRST["mass"], 3)]
    assert np.array_equal(later[1], phantom("test", 3).pixels)
    assert np.array_equal(later[0], phantom("test", FIRST["mass"]).pixels)


def test_no_two_splits_and_no_two_seeds_share_an_image():
    images = [phantom("train", 0), phantom("val", 0), phantom("test", 0), phantom("train", 0, root_seed=1)]
    assert len({one.pixels.tobytes() for one in images}) == 4


def test_a_healthy_slice_fills_the_foreground_and_nothing_else():
    sample = phantom("train", 5)
    assert (sample.pixels.shape, sample.pixels.dtype) == ((1, 128, 128), np.uint8)
    assert not sample.pixels[0][~sample.foreground].any()
    assert 0.3 < sample.foreground.mean() < 0.6
    assert (sample.label, sample.pathology, sample.annotation) == (0, "healthy", "none")
    assert (sample.mask, sample.clean, len(sample.boxes)) == (None, None, 0)


def test_no_healthy_slice_equals_its_mirror_image():
    brain = phantom("train", 7).pixels[0].astype(float)
    mirrored = [np.roll(brain[:, ::-1], shift, axis=1) for shift in range(-8, 9)]
    assert max(np.corrcoef(brain.ravel(), other.ravel())[0, 1] for other in mirrored) < 0.98


@pytest.mark.parametrize("kind", MASKED)
def test_a_mask_is_large_enough_and_inside_the_brain(anomalous, kind):
    sample = anomalous[kind]
    assert (sample.label, sample.pathology, sample.annotation) == (1, kind, "mask")
    assert sample.mask.sum() >= 30
    assert not (sample.mask & ~sample.foreground).any()


@pytest.mark.parametrize("kind", MASKED)
def test_boxes_cover_the_mask_one_per_component(anomalous, kind):
    sample = anomalous[kind]
    components, count = ndimage.label(sample.mask, structure=np.ones((3, 3)))
    assert (sample.boxes.shape, sample.boxes.dtype) == ((count, 4), np.float32)
    for number, (x, y, w, h) in enumerate(sample.boxes.astype(int), start=1):
        inside = (components == number)[y : y + h, x : x + w]
        assert inside.sum() == (components == number).sum()
        assert inside.any(axis=0).all()
        assert inside.any(axis=1).all()


@pytest.mark.parametrize("kind", MASKED)
def test_an_anomaly_shows_within_its_mask(anomalous, kind):
    sample = anomalous[kind]
    difference = np.abs(sample.pixels[0].astype(float) - sample.clean[0]) / 255
    assert difference[sample.mask].mean() >= 0.06


@pytest.mark.parametrize("kind", IN_PLACE)
def test_an_anomaly_of_intensity_changes_nothing_beyond_four_pixels(anomalous, kind):
    sample = anomalous[kind]
    difference = np.abs(sample.pixels[0].astype(int) - sample.clean[0])
    away_px = ndimage.distance_transform_edt(~sample.mask)
    assert difference[away_px > 4].max() <= 1


def test_displaced_tissue_outside_the_mask_stays_within_what_is_documented(anomalous):
    for kind, most in {"sink": 60, "source": 60, "ventricles": 900, "mass": 2800}.items():
        sample = anomalous[kind]
        difference = np.abs(sample.pixels[0].astype(int) - sample.clean[0])
        assert ((difference > 1) & (ndimage.distance_transform_edt(~sample.mask) > 4)).sum() <= most


def test_motion_marks_the_image_and_no_pixel(anomalous):
    sample = anomalous["motion"]
    assert (sample.annotation, sample.mask, sample.boxes.shape) == ("image", None, (0, 4))
    difference = (sample.pixels[0].astype(float) - sample.clean[0])[sample.foreground] / 255
    assert np.sqrt((difference**2).mean()) >= 0.04


def test_a_pixel_shuffle_keeps_every_intensity_before_the_scan():
    subject = draw_subject("test", FIRST["pixel-shuffle"])
    change = KINDS["pixel-shuffle"](subject.patient, subject.lesions)
    assert np.array_equal(np.sort(change.image, axis=None), np.sort(subject.patient.image, axis=None))


@pytest.mark.parametrize("kind", KINDS)
def test_drawing_an_anomaly_again_leaves_the_subject_as_it_was(anomalous, kind):
    subject = draw_subject("test", FIRST[kind])
    for _ in range(3):
        KINDS[kind](subject.patient, subject.lesions)
    healthy = acquire(subject.patient.image, subject.patient.foreground, subject.scan)
    assert np.array_equal(healthy, anomalous[kind].clean[0])


def test_touching_corners_share_a_box():
    mask = np.zeros((128, 128), bool)
    mask[[3, 4, 9], [5, 6, 20]] = True
    assert boxes_around(mask).tolist() == [[5, 3, 2, 2], [20, 9, 1, 1]]


def test_an_image_that_does_not_exist_is_named():
    with pytest.raises(UsageError, match="no image 320 in split 'test'"):
        phantom("test", 320)


def test_the_dataset_on_disk_holds_what_was_generated(tmp_path):
    heard = []
    path = make(tmp_path, workers=1, limit=1, report=lambda done, total: heard.append((done, total)))
    images = open_images(path)
    assert images.card == CARD
    assert [len(images[split]) for split in ("train", "val", "test")] == [1, 1, 13]
    assert heard == [(done, 15) for done in range(1, 16)]


@pytest.mark.parametrize("library", ["nilearn", "nibabel"])
def test_a_missing_library_is_named_with_its_remedy(monkeypatch, library):
    template.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"{library}, which is not installed.*'uadbench\[phantom\]'"):
        template()
