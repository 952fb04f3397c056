"""brats2021: every fifth of the central FLAIR slices; those without a tumour train, other scans test."""

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import zoom

from uadbench.datasets.brats import Counts, drawn, plan, plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

nibabel = pytest.importorskip("nibabel", reason="volumes are written with nibabel")
SHAPE = (220, 216, 72)  # slices 1, 6, ..., 66 are taken; the cut leaves out 6 columns and 4 rows on each side
TUMOUR_SLICES = range(26, 47)  # of which 26, 31, 36, 41, 46 are taken
SMALL = Counts(training=4, test=2)


def write(folder, number, *, kinds=("flair", "seg"), label=4, shape=SHAPE):
    """A head with a bright tumour of 40 x 20 voxels, and a label outside the cut on a slice that is else normal."""
    place = folder / f"BraTS2021_{number:05d}"
    place.mkdir(parents=True, exist_ok=True)
    flair = np.zeros(shape, np.float32)
    coarse = np.random.default_rng(number).uniform(100, 300, (12, 12, 3))
    flair[20:200, 20:200] = zoom(coarse, (15, 15, shape[2] / 3), order=1)
    seg = np.zeros(shape, np.uint8)
    seg[120:160, 140:160, 26:47], seg[130:140, 145:150, 26:47] = 2, label
    seg[2, 100, 6] = 1
    flair[seg > 0] = 1000
    for kind, values in (("flair", flair), ("seg", seg), ("t1", flair)):
        if kind in kinds:
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), place / f"BraTS2021_{number:05d}_{kind}.nii")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Seven scans, and one without labels."""
    folder = tmp_path_factory.mktemp("brats")
    for number in range(7):
        write(folder, number)
    write(folder, 7, kinds=("flair", "t1"))
    return folder


def request(folder, **options):
    return Request({"brats": source_at(folder)}, **options)


@pytest.fixture(scope="module")
def imported(scans, tmp_path_factory):
    counts = Counts(training=5, test=1)
    report = import_plan(plan(request(scans), counts), tmp_path_factory.mktemp("out"), Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def slices(names):
    return sorted({int(name.split("/")[1]) for name in names})


def test_normal_slices_train_and_every_slice_of_a_test_scan_tests(scans):
    found = plan(request(scans), Counts(training=5, test=2))
    items, left_out = found.settle(found.items)
    counts = Counter((one.split, one.pathology) for one in items)
    # of 14 slices 5 show a tumour; half a scan of five is rounded to none, so val is empty here
    assert counts == {("train", "healthy"): 45, ("test", "healthy"): 18, ("test", "tumour"): 10}
    assert left_out == {"slice of a scan that was not drawn": 0, "tumour slice of a scan to train or validate": 25}
    assert slices(one.name for one in items if one.split == "train") == [1, 6, 11, 16, 21, 51, 56, 61, 66]


def test_a_tenth_of_the_training_scans_validates():
    homes = drawn([f"s{i}" for i in range(1251)], Counts(), seed=0)
    assert Counter(homes.values()) == {"test": 200, "val": 105, "train": 946}


def test_scans_without_labels_are_counted(scans):
    found = plan(request(scans), SMALL)
    assert found.left_out == {"BraTS scan without labels": 1}
    assert len({item.subject for item in found.items}) == 7


def split_file(tmp_path):
    """Which scans train, validate and test, slice by slice for those that may only be normal."""
    normal = (1, 6, 11, 16, 21, 51, 56, 61, 66)
    rows = [f"BraTS2021_0000{scan}/{index},{split}" for scan, split in ((0, "train"), (1, "val")) for index in normal]
    (tmp_path / "split.csv").write_text("\n".join(["name,split", *rows, "BraTS2021_00002,test"]))
    return tmp_path / "split.csv"


def test_pixels_and_masks_of_one_scan(scans, tmp_path):
    from uadbench.datasets.importing.splitting import own_split

    chosen = own_split(plan(request(scans), SMALL), split_file(tmp_path))
    report = import_plan(chosen, tmp_path / "out", Terms())
    images, truth = open_images(report.paths.images), open_truth(report.paths.truth)
    test = truth["test"]
    row = test.names.index("BraTS2021_00002/36")
    one, mask = images["test"][row : row + 1], test.masks[row]
    assert [len(images[split]) for split in ("train", "val", "test")] == [9, 9, 14]
    assert test.names.index("BraTS2021_00002/6") in np.flatnonzero(~test.labels)  # its label lies outside the cut
    # cut to 208 x 208 and times 64 / 208: x 120 to 159 are columns 114 to 153; y 140 to 159 are rows 52 to 71
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (16, 21, 35, 46)
    assert (one.pixels[0, 0, 17:21, 36:46] == 1).all()
    assert not one.foreground[0, :2].any()
    assert one.foreground[0, 30, 30]
    assert (test.pathologies[row], test.subjects[row] == test.subjects[0]) == ("tumour", True)


def test_a_volume_is_divided_by_its_own_percentile(scans, tmp_path):
    found = plan(request(scans), SMALL).recipe
    assert (found.normalisation.rule, found.normalisation.percentile, found.bits) == ("volume-percentile", 99.0, 8)
    assert (found.size, found.crop, found.foreground) == (64, (208, 208), "nonzero")


def test_a_board_is_told_what_came_out_of_the_draw(scans):
    notes = " ".join(plan(request(scans, seed=5), Counts(training=5, test=2)).card.notes)
    assert "seed 5: 5 to train and validate" in notes
    assert "45 normal slices to train and validate (AE4AD: 4211)" in notes
    assert "18 normal (AE4AD: 828) and 10 tumour slices (AE4AD: 1948)" in notes


def test_too_few_scans_are_refused(scans):
    with pytest.raises(InvalidDataError, match="7 scans with labels, and 1251 are drawn"):
        plans(request(scans))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label": 3}, r"00000_seg\.nii: label 3 is none of 0, 1, 2, 4"),
        ({"shape": (220, 216, 60)}, r"00000_seg\.nii: 60 axial slices, 70 are cut"),
        ({"kinds": ("seg",)}, r"no BraTS2021_\*_flair\.nii\.gz lies there"),
        ({"kinds": ("flair",)}, "0 scans with labels, and 1 are drawn"),
    ],
)
def test_scans_that_break_their_rule_are_refused(tmp_path, options, sentence):
    write(tmp_path, 0, **options)
    with pytest.raises(InvalidDataError, match=sentence):
        plan(request(tmp_path), Counts(training=1, test=0))


def test_labels_without_a_scan_and_a_scan_twice_are_refused(tmp_path):
    write(tmp_path, 0)
    write(tmp_path, 1, kinds=("seg",))
    with pytest.raises(InvalidDataError, match="1 labels without FLAIR, first 'BraTS2021_00001/"):
        plan(request(tmp_path), SMALL)
    write(tmp_path / "copy", 0)
    with pytest.raises(InvalidDataError, match="flair of BraTS2021_00000 lies there twice"):
        plan(request(tmp_path), SMALL)
