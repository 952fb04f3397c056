"""atlas2: slice 95 of the ATLAS scans that have a lesion there, trained on the healthy brains of fastmri-ra."""

import csv
import hashlib
from importlib.resources import files

import h5py
import numpy as np
import pytest
from scipy.ndimage import zoom

from uadbench.datasets.atlas import plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

nibabel = pytest.importorskip("nibabel", reason="volumes are written with nibabel")
LIST = files("uadbench.datasets.fastmri").joinpath("ra_split.csv")
SHAPE = (20, 24, 100)
IMAGE = "space-MNI152NLin2009aSym_T1w.nii.gz"
MASK = "space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask.nii.gz"


def texture(seed, shape):
    """Smooth, and another for each seed."""
    coarse = np.random.default_rng(seed).uniform(100, 900, (8, 8, 4)[: len(shape)])
    return zoom(coarse, np.array(shape) / coarse.shape, order=1)


def write_case(folder, case, lesion=(), *, part="Training", kinds=(IMAGE, MASK), shape=SHAPE):
    """A scan whose mask marks these voxels; stored with the left-right axis turned, as LAS."""
    place = folder / "ATLAS_2" / part / "R001" / f"sub-{case}" / "ses-1" / "anat"
    place.mkdir(parents=True, exist_ok=True)
    image, mask = texture(int(case[-3:]), shape).astype(np.float32), np.zeros(shape, np.uint8)
    for x, y, z in lesion:
        mask[x, y, z] = 1
        image[x, y, z] = 3000
    for kind, values in ((IMAGE, image), (MASK, mask)):
        if kind in kinds:
            turned = np.diag([-1.0, 1, 1, 1])
            nibabel.save(nibabel.Nifti1Image(values[::-1], turned), place / f"sub-{case}_ses-1_{kind}")


BLOCK = [(x, y, 95) for x in range(14, 18) for y in range(18, 22)]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """The fastMRI files to train and validate, and two IXI volumes."""
    scans, ixi = tmp_path_factory.mktemp("fastmri"), tmp_path_factory.mktemp("ixi")
    for row in csv.DictReader(LIST.read_text().splitlines()):
        if row["role"] in ("train_normal", "val_normal"):
            seed = int(hashlib.sha256(row["file"].encode()).hexdigest()[:8], 16)
            with h5py.File(scans / f"{row['file']}.h5", "w") as file:
                file["reconstruction_rss"] = np.stack([texture([seed, i], (24, 20)) for i in range(4)])
    for number in (2, 12):
        volume = nibabel.Nifti1Image(texture(number, (20, 24, 8)), np.eye(4))
        nibabel.save(volume, ixi / f"IXI{number:03d}-HH-1{number}-T1.nii.gz")
    return {"fastmri": scans, "ixi": ixi}


def plan(healthy, folder):
    (found,) = plans(Request({key: source_at(path) for key, path in (healthy | {"atlas": folder}).items()}))
    return found


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """A lesion on the slice, one pixel of one, none there, and a scan of the hidden part."""
    folder = tmp_path_factory.mktemp("atlas")
    write_case(folder, "r001s001", BLOCK)
    write_case(folder, "r001s002", [(3, 3, 95)])
    write_case(folder, "r001s003", [(3, 3, 94), (3, 4, 94)])
    write_case(folder, "r001s004", [(3, 3, 95), (3, 4, 95)])
    write_case(folder, "r001s005", part="Testing", kinds=(IMAGE,))
    return folder


@pytest.fixture(scope="module")
def imported(healthy, atlas, tmp_path_factory):
    report = import_plan(plan(healthy, atlas), tmp_path_factory.mktemp("out"), Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_the_dataset_has_the_lesions_of_slice_95_and_healthy_brains_to_train(imported):
    report, images, truth = imported
    test = truth["test"]
    assert images.card.name == "atlas-stroke-v1"
    assert [len(images[split]) for split in ("train", "val", "test")] == [131 + 2, 15, 2]
    assert set(test.names) == {"sub-r001s001_ses-1", "sub-r001s004_ses-1"}
    assert (set(test.pathologies), set(test.annotations)) == ({"stroke lesion"}, {"mask"})
    assert report.left_out == {
        "ATLAS scan without a lesion mask": 1, "ATLAS scan with less than 2 lesion pixels in slice 95": 2
    }  # fmt: skip


def test_a_lesion_is_where_it_is_in_the_head(imported):
    _, images, truth = imported
    row = truth["test"].names.index("sub-r001s001_ses-1")
    one, mask = images["test"][row : row + 1].pixels[0, 0], truth["test"].masks[row]
    # 20 x 24 pixels, 2 columns padded left: x 14 to 17 and y 18 to 21 are columns 16 to 19 and rows 2 to 5, x 128 / 24
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (11, 31, 85, 106)
    assert mask.sum() == 21 * 22
    assert (one[14:28, 90:102] == 1).all()


def test_a_board_is_told_how_many_scans_had_a_lesion(healthy, atlas):
    assert "of the 2 of 4 scans that have a lesion there. The release has 655." in plan(healthy, atlas).card.notes[0]


def test_subjects_are_those_of_the_file_names(healthy, atlas):
    assert {item.subject for item in plan(healthy, atlas).items if item.label} == {"sub-r001s001", "sub-r001s004"}


def test_a_mask_without_its_scan_is_refused(healthy, tmp_path):
    write_case(tmp_path, "r001s001", BLOCK)
    write_case(tmp_path, "r001s009", BLOCK, kinds=(MASK,))
    with pytest.raises(InvalidDataError, match=r"sub-r001s009.*' and 0 more masks have no scan beside them"):
        plan(healthy, tmp_path)


@pytest.mark.parametrize(
    ("kinds", "lesion", "sentence"),
    [
        ((), (), r"no \*_space-MNI152NLin2009aSym_T1w\.nii\.gz lies there.*Decrypt"),
        ((IMAGE,), (), r"1 scans and no \*.*lesion_mask\.nii\.gz"),
        ((IMAGE, MASK), ((3, 3, 4),), r"none of 1 masks marks a lesion in slice 95"),
    ],
)
def test_a_root_without_what_is_needed_is_refused(healthy, tmp_path, kinds, lesion, sentence):
    write_case(tmp_path, "r001s001", lesion, kinds=kinds)
    with pytest.raises(InvalidDataError, match=sentence):
        plan(healthy, tmp_path)


def test_a_volume_that_ends_below_the_slice_is_named(healthy, tmp_path):
    write_case(tmp_path, "r001s001", shape=(20, 24, 60))
    with pytest.raises(InvalidDataError, match=r"lesion_mask\.nii\.gz, slice 95: slice 95 of 60"):
        plan(healthy, tmp_path)


def test_missing_healthy_files_are_counted(atlas, healthy, tmp_path):
    (tmp_path / "few").mkdir()
    with h5py.File(tmp_path / "few" / "file_brain_AXT1_202_2020089.h5", "w") as file:
        file["reconstruction_rss"] = np.ones((4, 8, 8))
    with pytest.raises(InvalidDataError, match="146 of the 146 files that RA's lists name are missing"):
        plan(healthy | {"fastmri": tmp_path / "few"}, atlas)
