"""`mvtec`: published train and test, a tenth validates, masks by name, several categories."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.options import ImportOptions
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.mvtec import plans
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.images import SPLITS, open_images
from uadbench.files.truth import open_truth

OPTIONS = ImportOptions(name="toy-mvtec-v1", licence="none", citation="nobody", foreground="all")


def texture(seed):
    """A picture like no other."""
    coarse = np.random.default_rng(seed).uniform(20, 230, (4, 4))
    return ndimage.zoom(coarse, 8, order=1).astype(np.uint8)


def save(path: Path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def category(folder, seed=0, train=10):
    """One category: `train` and two good pictures, a crack in rows 4 to 7 and columns 8 to 15, and a stain."""
    crack = np.zeros((32, 32), np.uint8)
    crack[4:8, 8:16] = 255
    for number in range(train):
        save(folder / "train" / "good" / f"{number:03d}.png", texture([seed, 0, number]))
    for number, kind in enumerate(("good", "good", "crack", "stain")):
        save(folder / "test" / kind / f"{number:03d}.png", texture([seed, 1, number]))
    save(folder / "ground_truth" / "crack" / "002_mask.png", crack)
    save(folder / "ground_truth" / "stain" / "003_mask.png", crack[::-1])
    return folder


def planned(root, options=OPTIONS):
    return plans(Request({"mvtec": source_at(root)}, options=options))[0]


def imported(root, out):
    report = import_plan(planned(root), out, Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_the_splits_are_the_published_ones_and_a_tenth_validates(tmp_path):
    _, images, truth = imported(category(tmp_path / "bottle"), tmp_path / "out")
    assert [len(images[split]) for split in SPLITS] == [9, 1, 4]
    assert {name.rpartition("/")[0] for name in truth["train"].names + truth["val"].names} == {"train/good"}
    assert sorted(truth["test"].names) == [
        "test/crack/002.png", "test/good/000.png", "test/good/001.png", "test/stain/003.png"
    ]  # fmt: skip


def test_masks_and_kinds_belong_to_their_pictures(tmp_path):
    _, images, truth = imported(category(tmp_path / "bottle"), tmp_path / "out")
    test = truth["test"]
    row = test.names.index("test/crack/002.png")
    assert np.argwhere(test.masks[row]).tolist() == [[y, x] for y in range(4, 8) for x in range(8, 16)]
    assert (test.pathologies[row], test.annotations[row], bool(test.labels[row])) == ("crack", "mask", True)
    np.testing.assert_array_equal(np.rint(images["test"][row : row + 1].pixels[0, 0] * 255), texture([0, 1, 2]))
    good = test.names.index("test/good/000.png")
    assert (test.pathologies[good], test.annotations[good], bool(test.masks[good].any())) == ("healthy", "none", False)


def test_each_category_gives_its_tenth_to_validation_and_its_name_to_defects(tmp_path):
    for seed, name in enumerate(("bottle", "cable")):
        category(tmp_path / "in" / "mvtec_anomaly_detection" / name, seed)
    report, _, truth = imported(tmp_path / "in", tmp_path / "out")
    assert sorted(name.partition("/")[0] for name in truth["val"].names) == ["bottle", "cable"]
    assert {one.pathology for one in report.counts} == {
        "healthy", "bottle: crack", "bottle: stain", "cable: crack", "cable: stain"
    }  # fmt: skip


def test_a_zip_with_a_folder_above_is_the_same_dataset(tmp_path):
    folder = category(tmp_path / "bottle")
    with zipfile.ZipFile(tmp_path / "bottle.zip", "w") as file:
        for one in sorted(folder.rglob("*.png")):
            file.write(one, str(one.relative_to(tmp_path)))
    zipped = imported(tmp_path / "bottle.zip", tmp_path / "out")[1]
    assert zipped.digests == imported(folder, tmp_path / "out")[1].digests


def test_a_category_without_masks_is_known_by_image(tmp_path):
    folder = category(tmp_path / "bottle")
    shutil.rmtree(folder / "ground_truth")
    truth = imported(folder, tmp_path / "out")[2]["test"]
    assert sorted(truth.annotations) == ["image", "image", "none", "none"]


def test_other_files_are_counted(tmp_path):
    folder = category(tmp_path / "bottle")
    (folder / "license.txt").write_text("hello")
    (folder / "test" / "crack" / "notes.txt").write_text("hello")
    save(folder / "ground_truth" / "crack" / "009_mask.png", np.zeros((32, 32), np.uint8))
    left_out = {reason: count for reason, count in planned(folder).left_out.items() if count}
    assert left_out == {
        "outside the folders of train, test, ground_truth": 1, "no picture by its ending": 1, "mask of no picture": 1,
    }  # fmt: skip


def test_a_copy_of_a_training_picture_is_of_its_subject(tmp_path):
    folder = category(tmp_path / "bottle", train=11)
    shutil.copy(folder / "train" / "good" / "000.png", folder / "train" / "good" / "copy.png")
    report, *_ = imported(folder, tmp_path / "out")
    assert sum(one.subjects for one in report.counts if one.split != "test") == 11


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: shutil.rmtree(folder / "train"), r"no picture in train/good. Give \[CATEGORY/\]train/good/"),
        (lambda folder: shutil.rmtree(folder / "test" / "good"), "no picture in test/good"),
        (lambda folder: (folder / "train" / "good").rename(folder / "train" / "ok"), "no picture in train/good"),
        (
            lambda folder: shutil.copytree(folder / "test" / "crack", folder / "train" / "crack"),
            r"train/crack/002.png: a training picture that is not 'good'. Move it to test",
        ),
        (
            lambda folder: (folder / "ground_truth" / "crack" / "002_mask.png").unlink(),
            r"1 pictures of defects have no mask in ground_truth, as test/crack/002.png",
        ),
        (
            lambda folder: shutil.copy(
                folder / "ground_truth" / "crack" / "002_mask.png", folder / "ground_truth" / "crack" / "002.png"
            ),
            r"002_mask.png: 'ground_truth/crack/002.png' is a mask of the same picture",
        ),
    ],
)
def test_another_layout_is_refused(tmp_path, spoil, sentence):
    folder = category(tmp_path / "bottle")
    spoil(folder)
    with pytest.raises(InvalidDataError, match=sentence):
        planned(folder)


def test_a_mask_that_marks_nothing_is_refused_by_its_file(tmp_path):
    folder = category(tmp_path / "bottle")
    save(folder / "ground_truth" / "crack" / "002_mask.png", np.zeros((32, 32), np.uint8))
    with pytest.raises(InvalidDataError, match=r"test/crack/002.png, mask 'ground_truth/crack/002_mask.png': marks 0"):
        imported(folder, tmp_path / "out")


def test_a_layout_needs_a_name(tmp_path):
    with pytest.raises(UsageError, match="needs --name, --licence and --citation"):
        planned(category(tmp_path / "bottle"), None)
