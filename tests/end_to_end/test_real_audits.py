"""The audit of the public packs as they are, where these lie beside the checkout."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uadbench.auditing import Specimen, audit, page, thumbnails

PACKS = Path(__file__).parents[3] / "shared" / "data"
SUBJECTS = ("patient_id", "dup_group", "file")  # the first that a row states


@pytest.fixture(scope="module")
def audits():
    """Audits a pack once and returns the audit with what it was made of."""
    made = {}

    def audited(pack):
        path = PACKS / pack / f"{pack}.zip"
        if not path.is_file():
            pytest.skip(f"the pack {pack} does not lie in shared/data beside the checkout")
        if pack not in made:
            known, scans = read(zipfile.ZipFile(path))
            made[pack] = audit(pack, known, scans), scans, known
        return made[pack]

    return audited


def read(pack):
    """Every row of the manifest as a specimen, and its pictures one by one."""
    table = list(csv.DictReader(io.StringIO(pack.read("manifest.csv").decode())))
    known = [
        Specimen(row["file"], row["split"], row["label"] == "1", subject, row["pathology"])
        for row in table
        for subject in (next(row[name] for name in SUBJECTS if row[name]),)
    ]

    def scans():
        for row in table:
            grey = Image.open(io.BytesIO(pack.read(row["file"]))).convert("L")
            pixels = np.asarray(grey, np.float32)[None] / 255
            yield pixels, pixels > 0

    return known, scans


def found(result, kind):
    return {(one.severity, pair.first.specimen.split, pair.second.specimen.split): one.total
            for one in result.findings if one.kind == kind for pair in one.pairs}  # fmt: skip


def test_chest_patients_in_val_and_test_are_found(audits):
    result, _, _ = audits("cxr_nih")
    assert found(result, "subject") == {("leak", "val", "test"): 4}


def test_training_patients_whose_lesions_were_set_aside_are_found(audits):
    result, _, _ = audits("lgg_flair")
    assert found(result, "subject") == {("warning", "train", "unused_train_patient"): 39}


@pytest.mark.parametrize("pack", ["cxr_nih", "lgg_flair"])
def test_packs_freed_of_duplicates_have_none_between_our_splits(audits, pack):
    result, _, _ = audits(pack)
    kinds = {one.kind for one in result.leaks}
    assert not kinds & {"near-duplicate", "exact-duplicate"}


def test_web_collected_slices_that_were_edited_and_mirrored_are_found_across_splits(audits):
    result, _, _ = audits("brain_mri_br35h")
    # looked at: in each of these pairs one film was brightened, sharpened or mirrored into the other
    assert found(result, "near-duplicate") == {
        ("leak", "train", "val"): 1, ("leak", "train", "test"): 1, ("leak", "val", "test"): 3,
        ("warning", "train", "train"): 3, ("warning", "test", "test"): 10,
    }  # fmt: skip


def test_mean_grey_tells_web_collected_tumours_as_their_page_says(audits):
    result, _, _ = audits("brain_mri_br35h")
    (grey,) = [one for one in result.shortcuts if one.what == "mean grey"]
    assert grey.auroc == pytest.approx(0.83, abs=0.005)
    assert grey.flagged


def test_mean_grey_tells_pneumonia_as_its_page_says(audits):
    result, _, _ = audits("cxr_nih")
    (grey,) = [one for one in result.shortcuts if one.what == "mean grey"]
    assert 1 - grey.auroc == pytest.approx(0.70, abs=0.005)


def test_the_page_shows_both_images_of_every_duplicate(audits):
    result, scans, known = audits("brain_mri_br35h")
    text = page(result, thumbnails(result, scans, known))
    for finding in result.leaks:
        for pair in finding.pairs:
            assert pair.first.specimen.name in text
            assert pair.second.specimen.name in text
