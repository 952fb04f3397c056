"""The three public sets of the shipped protocols, imported from their packs where these lie beside the checkout."""

from pathlib import Path

import numpy as np
import pytest

from uadbench.datasets.manifest import ImportOptions, Terms, import_manifest
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

PACKS = Path(__file__).parents[3] / "shared" / "data"
OPTIONS = {
    "lgg_flair": ImportOptions(
        name="brain-flair-lgg-v1", licence="see pack", citation="see pack", size=128, divide_by="vol_p99",
        where="brain_frac>0.2 and (label==1 or dist_to_lesion>=2)",
    ),
    "cxr_nih": ImportOptions(
        name="chest-xray-nih-v1", licence="see pack", citation="see pack", size=128, foreground="all"
    ),
    "brain_mri_br35h": ImportOptions(name="brain-mri-br35h-v1", licence="see pack", citation="see pack", size=128),
}  # fmt: skip


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """Imports a pack once and returns its report, images and truth."""
    made = {}

    def imported(pack):
        if not (PACKS / pack).is_dir():
            pytest.skip(f"the pack {pack} does not lie in shared/data beside the checkout")
        if pack not in made:
            # copies that its own search left over are in two splits of brain_mri_br35h
            terms = Terms(leaks="allow" if pack == "brain_mri_br35h" else "refuse")
            report = import_manifest(PACKS / pack / f"{pack}.zip", tmp_path_factory.mktemp(pack), OPTIONS[pack], terms)
            made[pack] = report, open_images(report.paths.images), open_truth(report.paths.truth)
        return made[pack]

    return imported


@pytest.mark.parametrize(
    ("pack", "train", "val", "healthy", "anomalous"),
    [("lgg_flair", 689, 164, 457, 338), ("cxr_nih", 270, 38, 191, 448), ("brain_mri_br35h", 112, 19, 55, 162)],
)
def test_a_pack_has_the_images_that_its_page_states(imports, pack, train, val, healthy, anomalous):
    _, images, truth = imports(pack)
    labels = truth["test"].labels
    assert (len(images["train"]), len(images["val"])) == (train, val)
    assert (int((~labels).sum()), int(labels.sum())) == (healthy, anomalous)
    assert not truth["train"].labels.any()
    assert not truth["val"].labels.any()


@pytest.mark.parametrize(
    ("pack", "identity"),
    [("lgg_flair", "021cb9813c5a"), ("cxr_nih", "a46b1c758502"), ("brain_mri_br35h", "14efc7d89d14")],
)
def test_an_import_has_the_identity_that_board_rows_are_bound_to(imports, pack, identity):
    _, images, truth = imports(pack)
    assert images.digests.identity[:12] == truth.digests.identity[:12] == identity


@pytest.mark.parametrize("pack", ["lgg_flair", "cxr_nih", "brain_mri_br35h"])
def test_no_subject_is_in_two_splits(imports, pack):
    _, images, _ = imports(pack)
    train, val, test = (set(images[split].subjects) for split in ("train", "val", "test"))
    assert len(train | val | test) == len(train) + len(val) + len(test)


@pytest.mark.parametrize(
    ("pack", "leaks"),
    [
        ("lgg_flair", ()),
        ("cxr_nih", ()),
        (
            "brain_mri_br35h",
            (
                "1 pair of near duplicates (1 mirrored) between train and val.",
                "1 pair of near duplicates between train and test.",
                "2 pairs of near duplicates (1 mirrored) between val and test.",
            ),
        ),
    ],
)
def test_a_set_is_marked_with_the_leaks_that_its_audit_finds(imports, pack, leaks):
    report, images, _ = imports(pack)
    assert images.card.leaks == leaks
    assert len(report.audit.leaks) == len(leaks)


@pytest.mark.parametrize(
    ("pack", "left_out"),
    [("lgg_flair", [481, 422, 132]), ("cxr_nih", [123, 52]), ("brain_mri_br35h", [59, 122, 29])],
)
def test_the_report_counts_every_row_left_out(imports, pack, left_out):
    assert list(imports(pack)[0].left_out.values()) == left_out


@pytest.mark.parametrize("pack", ["lgg_flair", "brain_mri_br35h"])
def test_boxes_of_masked_images_hold_their_masks(imports, pack):
    truth = imports(pack)[2]["test"]
    centres_y, centres_x = np.indices(truth.masks.shape[1:]) + 0.5
    covered = np.zeros_like(truth.masks)
    for (x, y, w, h), row in zip(truth.boxes, truth.box_images, strict=True):
        covered[row] |= (centres_x > x) & (centres_x < x + w) & (centres_y > y) & (centres_y < y + h)
    assert (truth.masks & ~covered).sum() <= 0.002 * truth.masks.sum()


@pytest.mark.parametrize("pack", ["lgg_flair", "brain_mri_br35h"])
def test_lesions_lie_in_the_foreground(imports, pack):
    report = imports(pack)[0]
    assert report.outside <= 0.001 * report.marked


def test_the_boxes_of_the_chest_films_are_all_there(imports):
    truth = imports("cxr_nih")[2]["test"]
    assert len(truth.boxes) == 49
    assert len(set(truth.box_images.tolist())) == 44
    assert sorted(set(truth.annotations)) == ["box", "image", "none"]


def test_flair_slices_are_divided_by_the_99th_percentile_of_their_volume(imports):
    report, images, _ = imports("lgg_flair")
    assert 0 < report.clipped < 0.01 * report.pixels
    assert images["train"][:].pixels.max() == 1
    step = next(step for step in images.card.preprocessing if step["step"] == "normalise")
    assert (step["rule"], step["column"], step["clipped_pixels"]) == ("column", "vol_p99", report.clipped)
