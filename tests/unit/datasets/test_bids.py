"""`bids`: names parsed strictly, axial slices of one suffix, healthy by participants.tsv or by lesion masks."""

import gzip
import zipfile

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from uadbench.datasets.bids.importing import plans
from uadbench.datasets.bids.names import named
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.options import ImportOptions
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.images import SPLITS, open_images
from uadbench.files.truth import open_truth

STATED = {"name": "toy-bids-v1", "licence": "none", "citation": "nobody", "foreground": "all"}
SPACING = np.diag([1.0, 1.5, 2.0, 1.0])


def head(seed):
    """Voxels (x, y, z) of 16 x 16 x 48 like no others, below 90; one in twenty is 100, which is the 98th percentile."""
    draw = np.random.default_rng(seed)
    values = ndimage.zoom(draw.uniform(20, 90, (4, 4, 6)), (4, 4, 8), order=1)
    values[draw.random(values.shape) < 0.05] = 100
    return values.astype(np.float32)


def lesion(*slices):
    """A mask of voxels x = 5, 6, 7 and y = 12 on some slices."""
    mask = np.zeros((16, 16, 48), np.uint8)
    mask[5:8, 12, list(slices)] = 1
    return mask


def save(root, name, values, affine=SPACING):
    """A NIfTI file named as BIDS wants, below anat of its participant and session."""
    folders = [one for one in name.split("_") if one.startswith(("sub-", "ses-"))]
    path = root.joinpath(*folders, "anat", f"{name}.nii.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def participants(root, rows, columns="participant_id\tage\tgroup"):
    root.mkdir(exist_ok=True)
    (root / "participants.tsv").write_text("\n".join([columns, *("\t".join(row) for row in rows)]) + "\n")


@pytest.fixture
def grouped(tmp_path):
    """Ten controls and three patients with T1w pictures, no masks."""
    groups = ["control"] * 10 + ["patient"] * 3
    participants(tmp_path / "in", [(f"sub-{n:02d}", "50", group) for n, group in enumerate(groups)])
    for number in range(13):
        save(tmp_path / "in", f"sub-{number:02d}_T1w", head(number))
    return tmp_path / "in"


@pytest.fixture
def masked(grouped):
    """The same with a lesion mask of each patient, on slices 24 and 25."""
    for number in (10, 11, 12):
        save(grouped, f"sub-{number:02d}_label-lesion_mask", lesion(24, 25))
    return grouped


def planned(root, **stated):
    return plans(Request({"bids": source_at(root)}, options=ImportOptions(**STATED | stated)))[0]


def imported(root, **stated):
    report = import_plan(planned(root, **stated), root.parent / "out", Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_without_masks_each_participant_gives_the_middle_slice(grouped):
    _, images, truth = imported(grouped)
    assert [len(images[split]) for split in SPLITS] == [7, 1, 5]
    assert all(name.endswith("_T1w.nii.gz, slice 24") for split in SPLITS for name in truth[split].names)
    found = dict(zip(truth["test"].names, truth["test"].pathologies, strict=True))
    assert found["sub-10/anat/sub-10_T1w.nii.gz, slice 24"] == "patient"
    assert sorted(truth["test"].annotations) == ["image"] * 3 + ["none"] * 2


def test_a_slice_is_looked_at_from_the_feet_and_divided_by_the_percentile(grouped):
    _, images, truth = imported(grouped)
    row = truth["test"].names.index("sub-10/anat/sub-10_T1w.nii.gz, slice 24")
    pixels, values = images["test"][row : row + 1].pixels[0, 0], head(10)
    assert (pixels == 1).sum() == (values[:, :, 24] == 100).sum()
    for x, y in ((0, 15), (3, 9), (15, 2)):
        assert pixels[15 - y, x] == pytest.approx(values[x, y, 24] / 100, abs=1e-4)


def test_another_orientation_of_the_same_head_is_the_same_image(grouped):
    turned = head(10)[::-1, :, :].transpose(2, 0, 1)
    # voxel axes are now z, -x, y
    affine = np.array([[0, -1, 0, 15], [0, 0, 1.5, 0], [2, 0, 0, 0], [0, 0, 0, 1]], float)
    before = imported(grouped)[1].digests
    save(grouped, "sub-10_T1w", turned, affine)
    assert imported(grouped)[1].digests == before


def test_volume_slice_and_spacing_are_kept(grouped):
    found = imported(grouped)[0].paths.truth
    import h5py

    with h5py.File(found) as file:
        test = file["test"]
        assert set(test["slices"][:].tolist()) == {24}
        assert test["volumes"].asstr()[0].endswith("_T1w.nii.gz")
        np.testing.assert_array_equal(test["spacing_mm"][0], [1.5, 1, 2])


def test_with_masks_slices_lie_five_apart_in_the_middle_half(masked):
    truth = imported(masked)[2]
    places = {int(name.rpartition(" ")[2]) for split in SPLITS for name in truth[split].names}
    # of 48 slices the middle half are 12 to 36
    assert places == {14, 19, 24, 29, 34}


def test_slices_are_anomalous_where_the_mask_marks_them(masked):
    test = imported(masked)[2]["test"]
    sick = [name for name, label in zip(test.names, test.labels, strict=True) if label]
    assert sorted(sick) == [f"sub-{n}/anat/sub-{n}_T1w.nii.gz, slice 24" for n in (10, 11, 12)]
    row = test.names.index(sick[0])
    # y = 12 is row 3 from above, right is right
    assert np.argwhere(test.masks[row]).tolist() == [[3, 5], [3, 6], [3, 7]]
    assert (test.annotations[row], test.pathologies[row]) == ("mask", "patient")


def test_slices_beside_a_lesion_are_healthy_images_of_test(masked):
    _, images, truth = imported(masked)
    assert [len(images[split]) for split in SPLITS] == [35, 5, 25]
    assert int(truth["test"].labels.sum()) == 3


def test_where_all_have_lesions_train_and_val_keep_the_slices_without(tmp_path):
    for number in range(10):
        save(tmp_path / "in", f"sub-{number:02d}_FLAIR", head(number))
        save(tmp_path / "in", f"sub-{number:02d}_label-L_desc-T1lesion_mask", lesion(24, 29))
    report, images, truth = imported(tmp_path / "in", modality="MR FLAIR")
    assert [len(images[split]) for split in SPLITS] == [21, 3, 10]
    assert report.left_out["lesion on a slice of a training or validation subject"] == 16
    assert set(truth["test"].pathologies) == {"healthy", "lesion"}


def test_masks_of_a_derivative_belong_to_its_pictures(tmp_path):
    for number in range(10):
        save(tmp_path / "in", f"sub-{number:02d}_ses-a_T1w", head(number))
    participants(tmp_path / "in", [(f"sub-{n:02d}", "50", "HC") for n in range(9)])
    save(tmp_path / "in" / "derivatives" / "lesions", "sub-09_ses-a_space-orig_desc-lesion_dseg", lesion(24) * 4)
    test = imported(tmp_path / "in")[2]["test"]
    assert [one for one in test.annotations if one != "none"] == ["mask"]


def test_two_sessions_are_one_subject(grouped):
    for session, seed in (("a", 30), ("b", 31)):
        save(grouped, f"sub-20_ses-{session}_T1w", head(seed))
    participants(
        grouped, [*((f"sub-{n:02d}", "1", "control" if n < 10 else "sick") for n in range(13)), ("sub-20", "1", "sick")]
    )
    images = imported(grouped)[1]
    assert (len(images["test"]), len(set(images["test"].subjects))) == (7, 6)


def test_who_is_not_known_is_left_out_and_counted(grouped):
    save(grouped, "sub-40_T1w", head(40))
    rows = [(f"sub-{n:02d}", "1", "n/a" if n == 12 else "control" if n < 10 else "sick") for n in range(13)]
    participants(grouped, [*rows, ("sub-50", "1", "control")])
    assert planned(grouped).left_out == {
        "volume with neither a group nor a lesion mask": 2, "participant without such a picture": 1,
    }  # fmt: skip


def test_the_suffix_is_chosen_by_modality(grouped):
    save(grouped, "sub-00_T2w", head(50))
    with pytest.raises(UsageError, match=r"--modality '' names none or several of the suffixes T1w \(13\), T2w \(1\)"):
        planned(grouped)
    with pytest.raises(UsageError, match="--modality 'CT' names none or several"):
        planned(grouped, modality="CT")
    assert len(planned(grouped, modality="MR T1").items) == 13


def test_a_zip_is_the_same_dataset(grouped):
    path = grouped.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for one in sorted(grouped.rglob("*.*")):
            if one.is_file():
                file.write(one, str(one.relative_to(grouped)))
    assert imported(path)[1].digests == imported(grouped)[1].digests


def test_the_diagnosis_column_and_other_words_for_healthy_are_known(grouped):
    rows = [(f"sub-{n:02d}", "Healthy" if n < 10 else "MS") for n in range(13)]
    participants(grouped, rows, "participant_id\tdiagnosis")
    assert {item.pathology for item in planned(grouped).items} == {"healthy", "MS"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id\tgroup\nsub-00\tcontrol\n", "participants.tsv: lacks the column participant_id; found id, group"),
        ("participant_id\tgroup\nsub-00\tx\nsub-00\tx\n", "row 3: participant_id 'sub-00' is there already"),
        ("participant_id\tgroup\n00\tcontrol\n", "row 2: participant_id '00' is not sub-<label>"),
        ("participant_id\tage\nsub-00\t50\n", "Nothing says who is healthy: .* columns group, diagnosis filled"),
        ("participant_id\tgroup\nsub-00\tA\nsub-01\tB\n", "none of the groups 'A', 'B' is one of the healthy"),
        ("", "lacks the column participant_id"),
    ],
)
def test_a_table_that_breaks_its_rule_is_refused(grouped, text, sentence):
    (grouped / "participants.tsv").write_text(text)
    with pytest.raises(InvalidDataError, match=sentence):
        planned(grouped)


def test_a_table_that_is_not_utf_8_is_refused(grouped):
    (grouped / "participants.tsv").write_bytes(b"participant_id\tgroup\nsub-00\t\xff\n")
    with pytest.raises(InvalidDataError, match=r"participants.tsv: not a table in UTF-8"):
        planned(grouped)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("sub-01/anat/brain.nii.gz", "not a name of BIDS"),
        ("sub-01/anat/sub-01_run-1_run-2_T1w.nii.gz", "not a name of BIDS. .*each key once"),
        ("sub-01/anat/acq-x_sub-01_T1w.nii.gz", "not a name of BIDS"),
        ("sub-01/anat/sub-02_T1w.nii.gz", "lies in sub-01, but its name says sub-02"),
        ("sub-01/ses-a/anat/sub-01_ses-b_T1w.nii", "lies in sub-01/ses-a, but its name says sub-01/ses-b"),
        ("sub-01/ses-a/anat/sub-01_T1w.nii", "lies in ses-a, but its name says sub-01"),
    ],
)
def test_a_name_that_is_not_bids_is_refused(file, sentence):
    with pytest.raises(InvalidDataError, match=sentence):
        named(file)


def test_entities_and_suffix_are_read_from_the_name():
    found = named(
        "derivatives/x/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI_label-L_desc-T1lesion_mask.nii.gz"
    )
    assert dict(found.entities) == {"sub": "r001s001", "ses": "1", "space": "MNI", "label": "L", "desc": "T1lesion"}
    assert (found.suffix, found.subject, found.marks_lesions) == ("mask", "sub-r001s001", True)
    assert not named("sub-1/anat/sub-1_desc-brain_mask.nii.gz").marks_lesions
    assert named("sub-1/func/sub-1_bold.nii.gz") is None
    assert named("sub-1/anat/sub-1_T1w.json") is None


def test_two_pictures_of_a_scan_are_refused(grouped):
    save(grouped / "derivatives" / "x", "sub-00_desc-preproc_T1w", head(60))
    with pytest.raises(InvalidDataError, match=r"the same scan as .*Give one of them, as the derivative alone"):
        planned(grouped)


def test_two_masks_of_a_picture_are_refused(masked):
    save(masked, "sub-10_desc-lesion_mask", lesion(24))
    with pytest.raises(InvalidDataError, match=r"sub-10_T1w.nii.gz: has 2 lesion masks"):
        planned(masked)


def test_a_lesion_of_a_control_is_refused(masked):
    save(masked, "sub-00_label-lesion_mask", lesion(24))
    with pytest.raises(InvalidDataError, match=r"its mask .* marks something, but participants.tsv says 'control'"):
        planned(masked)


def test_a_mask_of_another_place_is_refused(masked):
    save(masked, "sub-10_label-lesion_mask", lesion(24), np.diag([1.0, 1.5, 3.0, 1.0]))
    with pytest.raises(InvalidDataError, match=r"sub-10_T1w.nii.gz, slice 24, mask .*Resample the mask"):
        imported(masked)


def test_a_truncated_volume_is_refused_by_its_file(grouped):
    path = grouped / "sub-03" / "anat" / "sub-03_T1w.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:2000]))
    with pytest.raises(InvalidDataError, match=r"sub-03/anat/sub-03_T1w.nii.gz: not a readable NIfTI volume"):
        planned(grouped)


def test_a_folder_without_pictures_is_refused_with_the_layout(tmp_path):
    participants(tmp_path / "in", [("sub-00", "1", "control")])
    with pytest.raises(InvalidDataError, match=r"no picture below anat. Give the folder or zip of a BIDS dataset"):
        planned(tmp_path / "in")
