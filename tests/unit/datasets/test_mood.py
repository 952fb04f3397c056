"""mood2020: healthy slices 120 to 139 to train, slice 128 of the last volumes to test."""

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import zoom

from uadbench import protocols
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.mood import plans
from uadbench.datasets.synthetic import synthesise
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

nibabel = pytest.importorskip("nibabel", reason="volumes are written with nibabel")


def write(path, seed, *, depth=140):
    """A head of 32 x 32 in air; half bright in front on the right, on slice 128."""
    values = np.zeros((32, 32, depth), np.float32)
    coarse = np.random.default_rng(seed).uniform(0.02, 0.4, (8, 8, 4))
    values[4:28, 4:28] = zoom(coarse, (3, 3, depth / 4), order=1)
    values[20:28, 20:28, 128:129] = 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def plan(folder, **options):
    (found,) = plans(Request({"mood": source_at(folder)}, **options))
    return found


def names(folder, count):
    """Empty files, for what is decided by names alone."""
    (folder / "brain").mkdir()
    for number in range(count):
        (folder / "brain" / f"{number:05d}.nii.gz").touch()
    return folder


def subjects(items: list[Item], split):
    return sorted({item.subject for item in items if item.split == split})


def test_the_split_of_800_volumes_is_that_of_the_paper(tmp_path):
    items = plan(names(tmp_path, 800)).items
    assert Counter(item.split for item in items) == {"val": 24 * 20, "train": 456 * 20, "test": 320}
    assert (subjects(items, "val")[-1], subjects(items, "train")[0]) == ("00023", "00024")
    assert (subjects(items, "train")[-1], subjects(items, "test")[0]) == ("00479", "00480")
    assert {item.picture.slice for item in items if item.split == "train"} == set(range(120, 140))
    assert {item.picture.slice for item in items if item.split == "test"} == {128}


def test_healthy_slices_as_they_are_written(tmp_path):
    for number in range(5):
        write(tmp_path / "mood" / "brain" / f"{number:05d}.nii.gz", number)
    report = import_plan(plan(tmp_path / "mood"), tmp_path, Terms())
    images, truth = open_images(report.paths.images), open_truth(report.paths.truth)
    row = truth["test"].names.index("00003/128")
    one = images["test"][row : row + 1]
    assert [len(images[split]) for split in ("train", "val", "test")] == [40, 20, 2]
    assert not truth["test"].labels.any()
    # 32 to 256 pixels: x and y 20 to 27 are columns 160 to 223 and rows 32 to 95
    assert one.pixels[0, 0, 40:88, 168:216] == pytest.approx(0.5, abs=1e-4)
    assert one.pixels[0, 0, 104:, :].max() < 0.41
    assert one.foreground[0, 40, 200]
    assert not one.foreground[0, 10, 10]


def test_the_residual_pitfalls_are_made_of_it(tmp_path):
    for number in range(5):
        write(tmp_path / "mood" / "brain" / f"{number:05d}.nii.gz", number)
    source = import_plan(plan(tmp_path / "mood"), tmp_path, Terms()).paths
    suites = ("pit-disc", "pit-sink-2", "pit-source-2", "pit-shuffle")
    test = open_truth(synthesise(source, suites, tmp_path, name="mood-residual-v1").truth)["test"]
    assert (len(test), int(test.labels.sum())) == (2 + 2 * 4, 8)
    assert protocols.protocol("mood-residual-v1").dataset == "mood-residual-v1"


def test_the_steps_say_which_volumes_and_slices(tmp_path):
    steps = {step["step"]: step for step in plan(names(tmp_path, 10)).selection}
    assert steps["split"] == {"step": "split", "rule": "volumes by name", "train_and_val": 6, "val": 1}
    assert steps["slice"] == {"step": "slice", "train_and_val": [120, 139], "test": 128}


def test_volumes_of_the_abdomen_are_left_out(tmp_path):
    names(tmp_path, 5)
    (tmp_path / "abdom").mkdir()
    (tmp_path / "abdom" / "00000.nii.gz").touch()
    found = plan(tmp_path)
    assert found.left_out == {"volume that is not of the brain": 1}
    assert all(item.picture.file.startswith("brain/") for item in found.items)


def test_a_folder_of_volumes_alone_will_do(tmp_path):
    names(tmp_path, 5)
    assert len(plan(tmp_path / "brain").items) == len(plan(tmp_path).items)


def test_a_board_is_told_of_another_number_of_volumes(tmp_path):
    assert (
        "5 volumes, sorted by name: 1 validate, 2 train, 2 test. The paper has 800 volumes."
        in (plan(names(tmp_path, 5)).card.notes[0])
    )


def test_too_few_volumes_are_told_the_layout(tmp_path):
    with pytest.raises(InvalidDataError, match=r"Root mood: 2 brain volumes\. Give the folder .* brain/\*\.nii\.gz"):
        plan(names(tmp_path, 2))


def test_a_volume_twice_is_refused(tmp_path):
    names(tmp_path, 5)
    (tmp_path / "brain" / "train").mkdir()
    (tmp_path / "brain" / "train" / "00001.nii.gz").touch()
    with pytest.raises(InvalidDataError, match=r"00001\.nii\.gz lies there twice"):
        plan(tmp_path)


def test_a_volume_without_the_slice_is_named(tmp_path):
    for number in range(3):
        write(tmp_path / "mood" / "brain" / f"{number:05d}.nii.gz", number, depth=130)
    with pytest.raises(InvalidDataError, match=r"brain/00000\.nii\.gz, slice 130: slice 130 of 130"):
        import_plan(plan(tmp_path / "mood"), tmp_path, Terms())
