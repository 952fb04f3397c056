"""`medianomaly`: the four sets with the splits that AE4AD published; a tenth of the training subjects validates."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.medianomaly import plans
from uadbench.errors import InvalidDataError, LeakError
from uadbench.files.images import SPLITS, open_images
from uadbench.files.truth import open_truth

LISTED = {
    "train": {"0": [f"n{number}.png" for number in range(10)]},
    "test": {"0": ["n10.png", "n11.png"], "1": ["s0.png", "s1.png", "s2.png"]},
}


def texture(seed, side=64):
    """A picture like no other."""
    coarse = np.random.default_rng(seed).uniform(20, 230, (8, 8))
    return ndimage.zoom(coarse, side // 8, order=1).astype(np.uint8)


def save(path: Path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def listed_set(folder, table=LISTED, seed=0):
    """A set with data.json."""
    names = [name for labels in table.values() for files in labels.values() for name in files]
    for number, name in enumerate(names):
        save(folder / "images" / name, texture([seed, number]))
    (folder / "data.json").write_text(json.dumps(table))
    return folder


def scans(folder):
    """BraTS2021: scans 0 to 9 with two slices each to train, scans 20 to 22 to test; the tumour of 21 is 4 x 8."""
    tumour = np.zeros((64, 64), np.uint8)
    tumour[10:14, 20:28] = 255
    for number in range(20):
        save(folder / "train" / f"BraTS2021_{number // 2:05d}_flair_{60 + number % 2 * 5}.png", texture(number))
    save(folder / "test" / "normal" / "BraTS2021_00020_flair_70.png", texture(30))
    for number in (21, 22):
        save(folder / "test" / "tumor" / f"BraTS2021_{number:05d}_flair_80.png", texture(number + 10))
        save(folder / "test" / "annotation" / f"BraTS2021_{number:05d}_seg_80.png", tumour)
    return folder


def planned(root):
    return {one.card.name: one for one in plans(Request({"medianomaly": source_at(root)}, seed=0))}


def imported(plan, out, leaks="refuse"):
    report = import_plan(plan, out, Terms(leaks=leaks))
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_each_folder_that_is_there_is_a_dataset(tmp_path):
    for seed, folder in enumerate(("RSNA", "VinCXR", "BrainTumor")):
        listed_set(tmp_path / "MedIAnomaly-Data" / folder, seed=seed)
    scans(tmp_path / "MedIAnomaly-Data" / "BraTS2021")
    listed_set(tmp_path / "MedIAnomaly-Data" / "LAG")
    found = planned(tmp_path)
    assert list(found) == ["cxr-rsna-ae4-v1", "cxr-vindr-ae4-v1", "brain-tumor-ae4-v1", "brats2021-ae4-v1"]
    assert [one.recipe.foreground for one in found.values()] == ["all", "all", "otsu", "nonzero"]


def test_the_published_split_is_kept_and_a_tenth_validates(tmp_path):
    listed_set(tmp_path / "RSNA")
    _, images, truth = imported(planned(tmp_path)["cxr-rsna-ae4-v1"], tmp_path / "out")
    assert [len(images[split]) for split in SPLITS] == [9, 1, 5]
    assert sorted(truth["test"].names) == [f"images/{name}.png" for name in ("n10", "n11", "s0", "s1", "s2")]
    found = sorted(zip(truth["test"].names, truth["test"].pathologies, truth["test"].annotations, strict=True))
    assert found[1] == ("images/n11.png", "healthy", "none")
    assert found[2] == ("images/s0.png", "lung opacity", "image")
    assert "is the one that the paper published" in images.card.notes[0]


def test_pictures_of_64_pixels_stay_as_they_are(tmp_path):
    listed_set(tmp_path / "VinCXR")
    _, images, truth = imported(planned(tmp_path)["cxr-vindr-ae4-v1"], tmp_path / "out")
    row = truth["test"].names.index("images/s1.png")
    np.testing.assert_array_equal(np.rint(images["test"][row : row + 1].pixels[0, 0] * 255), texture([0, 13]))


def test_a_large_picture_is_stretched_to_64_pixels(tmp_path):
    halves = np.full((64, 256), 40, np.uint8)
    halves[:, 128:] = 200
    folder = listed_set(tmp_path / "RSNA")
    save(folder / "images" / "s0.png", halves)
    _, images, truth = imported(planned(tmp_path)["cxr-rsna-ae4-v1"], tmp_path / "out")
    row = truth["test"].names.index("images/s0.png")
    pixels = np.rint(images["test"][row : row + 1].pixels[0, 0] * 255)
    assert (pixels[:, :30] == 40).all()
    assert (pixels[:, 34:] == 200).all()


def test_scans_are_the_subjects_of_brats(tmp_path):
    scans(tmp_path / "BraTS2021")
    report, images, truth = imported(planned(tmp_path)["brats2021-ae4-v1"], tmp_path / "out")
    assert [(len(images[split]), len(set(images[split].subjects))) for split in SPLITS] == [(18, 9), (2, 1), (3, 3)]
    assert sorted(truth["test"].pathologies) == ["healthy", "tumour", "tumour"]
    assert not report.left_out


def test_the_annotation_has_seg_for_flair(tmp_path):
    scans(tmp_path / "BraTS2021")
    truth = imported(planned(tmp_path)["brats2021-ae4-v1"], tmp_path / "out")[2]["test"]
    row = truth.names.index("test/tumor/BraTS2021_00021_flair_80.png")
    assert np.argwhere(truth.masks[row]).tolist() == [[y, x] for y in range(10, 14) for x in range(20, 28)]
    assert truth.annotations[row] == "mask"


def test_a_zip_is_the_same_dataset(tmp_path):
    folder = scans(tmp_path / "BraTS2021")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for one in sorted(folder.rglob("*.png")):
            file.write(one, f"data/{one.relative_to(tmp_path)}")
    from_zip, from_folder = (
        imported(planned(root)["brats2021-ae4-v1"], tmp_path / "out")[1] for root in (tmp_path / "all.zip", tmp_path)
    )
    assert from_zip.digests == from_folder.digests


def test_a_leak_of_the_published_split_is_refused_or_dropped(tmp_path):
    folder = listed_set(tmp_path / "BrainTumor")
    shutil.copy(folder / "images" / "n3.png", folder / "images" / "n10.png")
    plan = planned(tmp_path)["brain-tumor-ae4-v1"]
    with pytest.raises(LeakError, match=r"brain-tumor-ae4-v1 leaks: .*--drop-leaks"):
        imported(plan, tmp_path / "out")
    report, _, truth = imported(plan, tmp_path / "out", "drop")
    assert report.left_out["also in a later split"] == 1
    assert "images/n3.png" not in truth["train"].names + truth["val"].names
    assert "images/n10.png" in truth["test"].names


def test_pictures_that_the_table_does_not_list_are_counted(tmp_path):
    folder = listed_set(tmp_path / "RSNA")
    save(folder / "images" / "spare.png", texture(99))
    assert planned(tmp_path)["cxr-rsna-ae4-v1"].left_out == {"not listed in data.json": 1}


def changed(**splits):
    return {**LISTED, **splits}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "RSNA/data.json: cannot be read as JSON"),
        ("[]", "RSNA/data.json: holds no splits of labels"),
        ("{}", "RSNA/data.json: has nothing, not train 0, test 0, test 1"),
        (json.dumps(changed(train={"0": ["n0.png"], "1": ["s9.png"]})), "has train 0, train 1, test 0, test 1, not"),
        (json.dumps(changed(test={"0": [], "1": ["s0.png"]})), "test 0 is no list of file names, or empty"),
        (json.dumps(changed(test={"0": "n10.png", "1": ["s0.png"]})), "test 0 is no list of file names"),
        (json.dumps(changed(train={"0": ["n0.png", "n0.png"]})), "data.json: lists 'n0.png' twice"),
        (json.dumps(changed(train={"0": ["n0.png", "n10.png"]})), "data.json: lists 'n10.png' twice"),
        (
            json.dumps(changed(train={"0": ["n0.png", "x.png", "y.png"]})),
            r"2 of its pictures are not in RSNA/images, as x.png, y.png",
        ),
        (json.dumps(changed(train={"0": ["../images/n0.png"]})), "1 of its pictures are not in RSNA/images"),
    ],
)
def test_a_table_that_is_not_theirs_is_refused(tmp_path, text, sentence):
    (listed_set(tmp_path / "RSNA") / "data.json").write_text(text)
    with pytest.raises(InvalidDataError, match=sentence):
        planned(tmp_path)


def test_a_set_without_its_table_is_refused(tmp_path):
    (listed_set(tmp_path / "RSNA") / "data.json").unlink()
    with pytest.raises(InvalidDataError, match=r"RSNA needs its split: 'RSNA/data.json' cannot be read"):
        planned(tmp_path)


@pytest.mark.parametrize("folder", ["train", "test/normal", "test/tumor", "test/annotation"])
def test_brats_without_one_of_its_folders_is_refused(tmp_path, folder):
    shutil.rmtree(scans(tmp_path / "BraTS2021") / folder)
    with pytest.raises(InvalidDataError, match=f"BraTS2021/{folder}: holds no picture"):
        planned(tmp_path)


def test_a_tumour_without_annotation_is_refused(tmp_path):
    folder = scans(tmp_path / "BraTS2021")
    (folder / "test" / "annotation" / "BraTS2021_00022_seg_80.png").unlink()
    with pytest.raises(InvalidDataError, match=r"1 slices have no annotation in .*as .*BraTS2021_00022_flair_80.png"):
        planned(tmp_path)


def test_a_root_without_any_set_is_refused_with_the_layout(tmp_path):
    with pytest.raises(InvalidDataError, match=r"holds none of the sets\. Give the folder or zip that holds RSNA"):
        planned(tmp_path)


def test_a_set_that_lies_there_twice_is_refused(tmp_path):
    listed_set(tmp_path / "a" / "RSNA")
    listed_set(tmp_path / "b" / "RSNA")
    with pytest.raises(InvalidDataError, match="RSNA lies in several places: a/RSNA/, b/RSNA/"):
        planned(tmp_path)
