"""`brain-tumor-kaggle`: pooled folders, groups drawn whole, pituitary left out, 64 px without keeping the aspect."""

import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from uadbench.datasets.brain_tumor import Counts, plan, plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import SPLITS, open_images
from uadbench.files.truth import open_truth

FILES = {"notumor": 16, "glioma": 3, "meningioma": 3, "pituitary": 2}
FEW = Counts(train=10, normal=4, glioma=2, meningioma=2)


def texture(seed):
    """A picture like no other."""
    coarse = np.random.default_rng(seed).uniform(20, 230, (8, 8))
    return ndimage.zoom(coarse, 8, order=1).astype(np.uint8)


@pytest.fixture
def tree(tmp_path):
    """The official folders; every second picture lies in Testing."""
    seed = 0
    for folder, count in FILES.items():
        for number in range(count):
            path = tmp_path / "in" / ("Testing" if number % 2 else "Training") / folder / f"{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            seed += 1
            Image.fromarray(texture(seed)).save(path, quality=100)
    return tmp_path / "in"


def imported(root, wanted=FEW, seed=0):
    report = import_plan(plan(source_at(root), seed, wanted), root.parent / "out", Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def homes(truth):
    return {name: split for split in SPLITS for name in truth[split].names}


def test_both_folders_are_pooled_and_the_counts_are_filled(tree):
    report, images, truth = imported(tree)
    assert [len(images[split]) for split in SPLITS] == [9, 1, 8]
    assert Counter(truth["test"].pathologies) == {"healthy": 4, "glioma": 2, "meningioma": 2}
    assert dict(report.left_out) == {
        "class 'pituitary', which the paper does not use": 2, "beyond the paper's counts": 4,
    }  # fmt: skip
    assert {name.partition("/")[0] for name in homes(truth)} == {"Training", "Testing"}


def test_tumours_are_labelled_and_have_no_place(tree):
    truth = imported(tree)[2]["test"]
    assert truth.labels.tolist() == [pathology != "healthy" for pathology in truth.pathologies]
    assert set(zip(truth.pathologies, truth.annotations, strict=True)) == {
        ("healthy", "none"), ("glioma", "image"), ("meningioma", "image")
    }  # fmt: skip
    assert not truth.masks.any()


def test_a_wide_picture_is_stretched_to_64_pixels(tree):
    halves = np.full((32, 128), 40, np.uint8)
    halves[:, 64:] = 200
    Image.fromarray(halves).convert("RGB").save(tree / "Testing" / "glioma" / "01.jpg", quality=100)
    _, images, truth = imported(tree, Counts(10, 4, 3, 2))
    row = truth["test"].names.index("Testing/glioma/01.jpg")
    pixels = np.rint(images["test"][row : row + 1].pixels[0, 0] * 255)
    assert pixels.shape == (64, 64)
    assert np.abs(pixels[:, :30] - 40).max() <= 2
    assert np.abs(pixels[:, 34:] - 200).max() <= 2


def test_copies_of_a_picture_are_one_subject_in_one_split(tree):
    for copy in range(3):
        shutil.copy(tree / "Training" / "notumor" / "00.jpg", tree / "Testing" / "notumor" / f"copy{copy}.jpg")
    _, _, truth = imported(tree, Counts(12, 7, 2, 2))
    copies = {"Training/notumor/00.jpg", *(f"Testing/notumor/copy{copy}.jpg" for copy in range(3))}
    assert len({homes(truth)[name] for name in copies}) == 1
    subjects = {
        s for split in SPLITS for n, s in zip(truth[split].names, truth[split].subjects, strict=True) if n in copies
    }
    assert len(subjects) == 1


def test_a_normal_that_is_a_copy_of_a_tumour_is_left_out(tree):
    shutil.copy(tree / "Training" / "glioma" / "00.jpg", tree / "Testing" / "notumor" / "copy.jpg")
    report, _, truth = imported(tree)
    assert report.left_out["healthy, but a near-duplicate of a tumour"] == 1
    assert "Testing/notumor/copy.jpg" not in homes(truth)


def test_too_few_pictures_are_taken_in_the_papers_proportions(tree):
    report, images, truth = imported(tree, Counts(train=100, normal=60, glioma=30, meningioma=30))
    # 16 normals hold 10 % of 100 and 60; 11 % would be 11 + 6 = 17
    assert [len(images[split]) for split in SPLITS] == [9, 1, 12]
    assert Counter(truth["test"].pathologies) == {"healthy": 6, "glioma": 3, "meningioma": 3}
    assert "reduced alike" in " ".join(images.card.notes)
    assert report.counts


def test_what_is_beyond_the_reduced_counts_is_said(tree):
    report, *_ = imported(tree, Counts(train=100, normal=50, glioma=20, meningioma=20))
    # 11 % are 11 + 5 normals, 2 gliomas and 2 meningiomas of 16, 3 and 3
    assert report.left_out["beyond 11 % of the paper's counts, for more of which there are too few pictures"] == 2


def test_another_seed_draws_others_and_the_same_seed_the_same(tree):
    first, again, other = (imported(tree, seed=seed)[1].digests for seed in (0, 0, 1))
    assert first == again
    assert first.roster != other.roster


def test_a_zip_in_a_folder_of_its_own_is_the_same_dataset(tree):
    path = tree.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for one in sorted(tree.rglob("*.jpg")):
            file.write(one, f"brain-tumor-mri-dataset/{one.relative_to(tree)}")
    assert imported(path)[1].digests == imported(tree)[1].digests


def test_the_published_counts_are_those_of_the_paper(tree):
    found = plans(Request({"kaggle": source_at(tree)}, seed=7))[0]
    step = found.selection[-1]
    assert step["counts"] == {"train": 1000, "normal": 600, "glioma": 300, "meningioma": 300}
    assert (step["seed"], found.card.name) == (7, "brain-tumor-ae4-v1")
    assert "16 healthy, 3 glioma, 3 meningioma files" in found.card.notes[0]


def test_files_that_are_no_pictures_of_a_class_are_counted(tree):
    (tree / "README.txt").write_text("hello")
    (tree / "Training" / "glioma" / "list.csv").write_text("hello")
    left_out = plan(source_at(tree), 0, FEW).left_out
    assert left_out["outside the class folders of Training and Testing"] == 1
    assert left_out["no picture by its ending"] == 1


def test_another_class_is_refused(tree):
    (tree / "Training" / "notumor").rename(tree / "Training" / "no_tumor")
    with pytest.raises(
        InvalidDataError, match=r"Training/no_tumor/00.jpg: class 'no_tumor' is none of notumor, glioma"
    ):
        plan(source_at(tree), 0, FEW)


def test_a_class_without_pictures_is_refused_with_the_layout(tree):
    for half in ("Training", "Testing"):
        shutil.rmtree(tree / half / "meningioma")
    with pytest.raises(
        InvalidDataError, match=r"no picture of class 'meningioma'. Give the folder or zip with Training"
    ):
        plan(source_at(tree), 0, FEW)


def test_two_copies_of_the_download_are_refused(tree):
    shutil.copytree(tree / "Training", tree / "again" / "Training")
    with pytest.raises(InvalidDataError, match=r"Training/glioma/00.jpg: the same picture as .* by name"):
        plan(source_at(tree), 0, FEW)


def test_a_set_of_one_picture_is_refused(tree):
    first = tree / "Training" / "notumor" / "00.jpg"
    for one in tree.rglob("*.jpg"):
        if one != first:
            shutil.copy(first, one)
    with pytest.raises(InvalidDataError, match="not one percent of the paper's counts"):
        imported(tree)


def test_a_damaged_picture_is_refused_by_its_file_and_leaves_nothing(tree):
    broken = tree / "Testing" / "glioma" / "01.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InvalidDataError, match=r"Testing/glioma/01.jpg: not a readable picture"):
        imported(tree)
    assert not list((tree.parent / "out").iterdir())
