"""ixi: healthy T1 volumes as published or registered, one axial slice of each, split by subject in each hospital."""

import gzip
import zipfile
from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import zoom

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.ixi import plans
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

nibabel = pytest.importorskip("nibabel", reason="volumes are written with nibabel")
SITES = {"Guys": range(10, 20), "HH": range(30, 40), "IOP": range(50, 60)}
REGISTERED = "subjects/sub-IXI{0:03d}/ses-M00/t1_linear/sub-IXI{0:03d}_ses-M00_T1w_space-MNI152NLin2009cSym_{1}.nii.gz"


def head(seed, shape=(20, 24, 26), marked=13):
    """Smooth voxels (x, y, z) in RAS; on slice `marked` the front right corner is bright: x 15 to 19, y 20 to 23."""
    values = zoom(np.random.default_rng(seed).uniform(10, 120, (10, 12, 4)), np.array(shape) / (10, 12, 4), order=1)
    values[15:20, 20:24, marked] = 200
    return values.astype(np.int16)


def write(path, values, axes="RAS"):
    """The volume with its axes stored in this order and direction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    turned = nibabel.orientations.axcodes2ornt(axes)
    image = nibabel.Nifti1Image(values, np.eye(4)).as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), turned)
    )
    nibabel.save(image, path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Ten volumes of each hospital, stored sagittally as IXI is."""
    folder = tmp_path_factory.mktemp("ixi")
    for site, numbers in SITES.items():
        for number in numbers:
            write(folder / f"IXI{number:03d}-{site}-0{number}00-T1.nii.gz", head(number), "PSR")
    (folder / "IXI.xls").write_text("not read")
    write(folder / "IXI010-Guys-01000-T2.nii.gz", head(1))
    return folder


def plan(folder, **options):
    (found,) = plans(Request({"ixi": source_at(folder)}, **options))
    return found


@pytest.fixture(scope="module")
def imported(published, tmp_path_factory):
    report = import_plan(plan(published, seed=3), tmp_path_factory.mktemp("out"), Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_each_hospital_is_split_alike_and_all_are_healthy(imported):
    _, images, truth = imported
    sites = {split: Counter(name.split("-")[1] for name in truth[split].names) for split in ("train", "val", "test")}
    assert images.card.name == "ixi-v1"
    assert sites == {
        "train": {"Guys": 7, "HH": 7, "IOP": 7}, "val": {"Guys": 1, "HH": 1, "IOP": 1},
        "test": {"Guys": 2, "HH": 2, "IOP": 2},
    }  # fmt: skip
    assert not truth["test"].labels.any()


def test_the_middle_slice_of_a_sagittal_volume_has_front_up_and_right_right(imported):
    _, images, _ = imported
    one = images["test"][0:1].pixels[0, 0]
    # 20 x 24 pixels, 2 columns padded left, all times 128 / 24: columns 17 to 21 and rows 0 to 3
    assert one.shape == (128, 128)
    assert (one[5:16, 96:112] == 1).all()
    assert max(one[30:, :].max(), one[:, :80].max()) < 0.65


def test_the_split_is_drawn_by_the_seed_and_recorded(published, imported):
    first, again, other = (plan(published, seed=seed) for seed in (3, 3, 4))
    homes = [{one.name: one.split for one in some.settle(some.items)[0]} for some in (first, again, other)]
    assert homes[0] == homes[1] != homes[2]
    steps = {step["step"]: step for step in imported[1].card.preprocessing}
    assert steps["split"] == {
        "step": "split", "rule": "by subject, stratified by site", "seed": 3, "val": 0.1, "test": 0.2
    }  # fmt: skip
    assert (steps["slice"]["rule"], steps["grey"]["bits"]) == ("middle axial slice", [16])
    assert (steps["orient"]["to"], "show" in steps) == ("RAS", False)


def test_a_zip_gives_what_its_folder_gives(published, tmp_path):
    with zipfile.ZipFile(tmp_path / "ixi.zip", "w") as file:
        for path in sorted(published.iterdir()):
            file.write(path, f"IXI-T1/{path.name}")
    found = [
        [(one.name, one.subject, one.site, one.picture.slice) for one in plan(root).items]
        for root in (published, tmp_path / "ixi.zip")
    ]
    assert found[0] == found[1]
    assert found[0][0] == ("IXI010-Guys-01000-T1", "IXI010", "Guys", 13)


def registered(folder, *numbers, form="res-1x1x1_T1w"):
    for number in numbers:
        write(folder / REGISTERED.format(number, form), head(number, (12, 14, 100), marked=95))


def test_registered_volumes_are_taken_before_those_as_published(tmp_path):
    registered(tmp_path, 2, 12, 13)
    write(tmp_path / "raw" / "IXI002-Guys-0828-T1.nii.gz", head(2))
    found = plan(tmp_path)
    assert [(one.subject, one.picture.slice, one.site) for one in found.items] == [
        ("IXI002", 95, ""), ("IXI012", 95, ""), ("IXI013", 95, "")
    ]  # fmt: skip
    assert found.left_out == {"IXI volume as published, beside registered ones": 1}
    assert "registered to MNI space, axial slice 95. The papers have 581." in found.card.notes[-1]


def test_cropped_volumes_have_another_slice_95_and_are_refused(tmp_path):
    registered(tmp_path, 2, 12, form="desc-Crop_res-1x1x1_T1w")
    with pytest.raises(InvalidDataError, match=r"sub-IXI002.*' and 1 more are cropped.*--uncropped_image"):
        plan(tmp_path)


def test_a_folder_without_volumes_is_told_both_layouts(tmp_path):
    with pytest.raises(InvalidDataError, match=r"no T1 volume lies there.*IXI002-Guys-0828-T1.*CAPS folder"):
        plan(tmp_path)


def test_a_volume_twice_is_refused(tmp_path):
    for place in ("a", "b"):
        write(tmp_path / place / "IXI002-Guys-0828-T1.nii.gz", head(2))
    with pytest.raises(InvalidDataError, match=r"lies there twice, as 'a/IXI002.*' and 'b/IXI002"):
        plan(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"no volume", gzip.compress(b"short"), gzip.compress(bytes(400))])
def test_a_damaged_volume_is_named(tmp_path, raw):
    (tmp_path / "IXI002-Guys-0828-T1.nii.gz").write_bytes(raw)
    with pytest.raises(InvalidDataError, match=r"IXI002-Guys-0828-T1\.nii\.gz: not a readable NIfTI volume"):
        plan(tmp_path)
