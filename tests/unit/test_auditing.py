"""The audit: what leaks between splits is found, what only looks alike is not, and shortcuts are said."""

import io
import json

import factories
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from uadbench.auditing import (
    Specimen,
    audit,
    audit_dataset,
    descriptors,
    duplicate_groups,
    duplicate_pairs,
    specimens_of,
)
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth


def fields(count, *, seed=0, size=96):
    """Smooth random pictures in [0.2, 0.8], each another one."""
    noise = np.random.default_rng(seed).standard_normal((count, size, size))
    smooth = ndimage.gaussian_filter(noise, (0, size / 32, size / 32))
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return (0.2 + 0.6 * (smooth - low) / (high - low)).astype(np.float32)


def eight_bits(image):
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def saved(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(eight_bits(image)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.float32) / 255


def resized(image, side):
    return (
        np.asarray(Image.fromarray(eight_bits(image)).resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    )


COPIES = {
    "mirrored": lambda image: image[:, ::-1],
    "brightened": lambda image: np.minimum(1.3 * image, 1),
    "gamma": lambda image: image**0.8,
    "jpeg 30": lambda image: saved(image, 30),
    "jpeg 75": lambda image: saved(image, 75),
    "smaller and back": lambda image: resized(resized(image, 86), 96),
    "all at once": lambda image: saved(resized(np.minimum(1.3 * image[:, ::-1], 1), 86), 30),
}


def specimens(splits, *, sick=(), subjects=None):
    return [
        Specimen(f"image {i}", split, i in sick, subjects[i] if subjects else f"subject {i}", "x")
        for i, split in enumerate(splits)
    ]


def one_by_one(images):
    """Scans in batches of one, so that sizes may differ; all is foreground."""
    return lambda: ((image[None], np.ones((1, *image.shape), bool)) for image in images)


def audited(images, splits, **known):
    return audit("toy", specimens(splits, **known), one_by_one(images))


def found(result, kind):
    return [one for one in result.findings if one.kind == kind]


def rows(finding):
    return [(pair.first.row, pair.second.row) for pair in finding.pairs]


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_another_split_is_a_leak(copy):
    images = fields(9)
    result = audited([*images, COPIES[copy](images[3])], ["train"] * 6 + ["val"] * 2 + ["test"] * 2)
    (leak,) = result.leaks
    assert (leak.kind, rows(leak), leak.total) == ("near-duplicate", [(3, 9)], 1)
    assert leak.pairs[0].mirrored == (copy in ("mirrored", "all at once"))


def test_different_images_are_no_duplicates():
    result = audited(fields(60), ["train"] * 30 + ["test"] * 30, sick=range(45, 60))
    assert not result.leaks
    assert not found(result, "near-duplicate")


def test_noise_of_one_mean_picture_is_not_a_copy():
    shared, own = fields(1), fields(40, seed=1)
    result = audited(0.5 * shared + 0.5 * own, ["train"] * 20 + ["test"] * 20)
    assert not result.leaks


def test_equal_pixels_in_two_splits_are_a_leak():
    images = fields(4)
    (leak,) = audited([*images, images[0]], ["train", "train", "val", "test", "test"]).leaks
    assert (leak.kind, rows(leak)) == ("exact-duplicate", [(0, 4)])
    assert leak.sentence == "1 pair of images with equal pixels between train and test."


def test_copies_within_one_split_are_a_warning_and_of_one_subject_nothing():
    images = [*fields(3), fields(3)[0], fields(3)[1][:, ::-1]]
    result = audited(images, ["test"] * 5)
    assert [(one.kind, one.severity, rows(one)) for one in result.of("warning")] == [
        ("exact-duplicate", "warning", [(0, 3)]),
        ("near-duplicate", "warning", [(1, 4)]),
    ]
    assert not audited(images, ["test"] * 5, subjects=["a", "b", "c", "a", "b"]).of("warning")


@pytest.mark.parametrize(("other", "severity"), [("test", "leak"), ("val", "leak"), ("unused", "warning")])
def test_a_subject_in_two_splits_leaks_only_between_ours(other, severity):
    (finding,) = found(audited(fields(3), ["train", "train", other], subjects=["a", "b", "a"]), "subject")
    assert (finding.severity, rows(finding), finding.total) == (severity, [(0, 2)], 1)
    assert finding.sentence == f"1 subject is in train and in {other}: a."


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_anomalous_image_among_the_healthy_is_a_leak(split):
    (leak,) = audited(fields(3), [split, split, "test"], sick=[1, 2]).leaks
    assert [one.row for one in leak.examples] == [1]
    assert leak.sentence == f"1 image in {split} is anomalous; a method there sees healthy images only."


def test_a_white_corner_pixel_on_anomalous_images_is_reported():
    images = fields(60, size=32)
    images[30:, 0, 31] = 1
    (finding,) = found(audited(images, ["test"] * 60, sick=range(30, 60)), "pixel-shortcut")
    assert "pixel (x 31, y 0) of 32 x 32 alone" in finding.sentence
    assert "AUROC 1.000" in finding.sentence
    assert "1.000 in 30 anomalous" in finding.sentence


def test_six_images_are_enough_for_a_white_pixel_among_grey_ones():
    images = np.random.default_rng(0).uniform(0.2, 0.4, (6, 32, 32)).astype(np.float32)
    images[3:, 31, 0] = 1
    (finding,) = found(audited(images, ["test"] * 6, sick=range(3, 6)), "pixel-shortcut")
    assert "pixel (x 0, y 31)" in finding.sentence


def test_a_white_corner_of_images_of_mixed_sizes_is_reported():
    images = [*fields(30, size=64), *fields(30, size=96, seed=1)]
    for image in images[::2]:
        image[: len(image) // 48, : len(image) // 48] = 1  # 1 x 1 of 64 x 64, 2 x 2 of 96 x 96
    (finding,) = found(audited(images, ["test"] * 60, sick=range(0, 60, 2)), "pixel-shortcut")
    assert "block (x 0, y 0) of 64 x 64" in finding.sentence


@pytest.mark.parametrize("count", [2, 6, 12, 60])
def test_pixels_that_know_nothing_of_the_label_are_not_reported(count):
    noise = np.random.default_rng(0).random((count, 64, 64), np.float32)
    assert not found(audited(noise, ["test"] * count, sick=range(count // 2)), "pixel-shortcut")


@pytest.mark.parametrize("seed", range(5))
def test_equal_grey_steps_of_four_images_are_chance(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 64, 64)).astype(np.float32) / 255
    assert not found(audited(noise, ["test"] * 4, sick=(2, 3)), "pixel-shortcut")


def test_what_two_images_of_each_label_tell_is_chance():
    images = fields(4)
    images[2:] *= 0.3
    result = audited(images, ["test"] * 4, sick=(2, 3))
    assert [one.auroc for one in result.shortcuts if one.what == "mean grey"] == [0]
    assert not found(result, "shortcut")


def test_darker_anomalous_images_are_a_shortcut_and_the_auroc_is_said():
    images = fields(20)
    images[10:] *= 0.3
    result = audited(images, ["test"] * 20, sick=range(10, 20))
    flagged = {one.what: one.auroc for one in result.shortcuts if one.flagged}
    assert flagged["mean grey"] == flagged["contrast"] == 0
    assert any("Mean grey alone tells" in one.sentence for one in found(result, "shortcut"))


def test_numbers_of_an_image_are_those_of_the_plain_formulas():
    from uadbench.auditing.measuring import measured

    image, inside = fields(1)[0].astype(np.float64), np.zeros((96, 96), bool)
    inside[20:70, 30:80] = True
    edges = np.abs(ndimage.laplace(image))[inside].mean()
    expected = [image.mean(), image.std(), inside.mean(), edges / image[inside].std()]
    assert measured(image[None].astype(np.float32), inside[None])[0] == pytest.approx(expected, rel=1e-4)


def test_statistics_of_a_split_are_those_of_its_pixels():
    images = fields(4)
    first, second = audited(images, ["train", "test", "test", "train"]).statistics
    assert (first.split, first.images, second.split) == ("train", 2, "test")
    assert (first.mean, first.std) == pytest.approx((images[::3].mean(), images[::3].std()), abs=2e-3)
    assert first.median == pytest.approx(np.median(images[::3]), abs=5e-3)


def test_without_anomalous_images_a_shortcut_is_undefined_and_said():
    result = audited(fields(4), ["train", "val", "test", "test"])
    assert {one.auroc for one in result.shortcuts} == {None}
    assert [one.sentence for one in found(result, "shortcut")] == [
        "Test has no anomalous image, so no shortcut can be measured."
    ]
    assert "AUROC of mean grey alone in test: undefined (2 healthy, 0 anomalous)" in result.lines()


@pytest.mark.parametrize("splits", [["train"], ["test"], ["train", "train"], ["test", "train"]])
def test_few_images_and_empty_splits_are_audited(splits):
    result = audited(fields(len(splits)), splits)
    assert not result.leaks
    assert sum(result.counts.values()) == len(splits)


def test_images_without_contrast_are_compared_by_equal_pixels_only():
    blank = [np.full((20, 20), grey, np.float32) for grey in (0, 0.5, 0.7, 0.5)]
    result = audited([*blank, *fields(2, size=20)], ["train", "train", "test", "test", "train", "test"], sick=[5])
    assert [(one.kind, rows(one)) for one in result.leaks] == [("exact-duplicate", [(1, 3)])]
    assert found(result, "blank")[0].sentence == "4 images have no contrast: compared by equal pixels only."


def test_images_of_mixed_sizes_are_audited_as_they_are():
    images = fields(4)
    mixed = [*images, resized(images[0], 80), fields(1, seed=5)[0][:50, :70]]
    assert rows(audited(mixed, ["train"] * 4 + ["test"] * 2).leaks[0]) == [(0, 4)]


def test_many_equal_images_make_no_more_pairs_than_images():
    (leak,) = audited([fields(1)[0]] * 40, ["train"] * 20 + ["test"] * 20, subjects=["a"] * 20 + ["b"] * 20).leaks
    assert leak.total == 20


def test_the_audit_as_json_survives_the_way_and_keeps_names():
    images = fields(3)
    known = [
        Specimen(f"Bild ä/<b>{i}</b> 脳.png", split, False, f"Ø{i}", "")
        for i, split in enumerate(["train", "val", "test"])
    ]
    said = audit("Größe", known, one_by_one([images[0], images[1], images[0]])).to_json()
    assert json.loads(json.dumps(said)) == said
    assert said["leaks"] == 1
    assert said["findings"][0]["pairs"][0]["images"][1]["name"] == "Bild ä/<b>2</b> 脳.png"


def test_groups_hold_copies_and_copies_of_copies():
    one, other, third = fields(3)
    images = np.stack([one, other, one[:, ::-1], third, np.minimum(1.2 * one, 1), other])
    assert duplicate_groups(descriptors(images)).tolist() == [0, 1, 0, 2, 0, 1]


def test_pairs_of_one_family_are_not_looked_for():
    one, other = fields(2)
    described = descriptors(np.stack([one, one * 0.9, other, other * 0.9]))
    assert sorted(duplicate_pairs(described).first.tolist()) == [0, 2]
    assert duplicate_pairs(described, families=np.array([0, 0, 1, 2])).first.tolist() == [2]


def test_the_search_in_blocks_finds_what_the_whole_table_holds(monkeypatch):
    images = fields(40, size=48)
    images = np.concatenate([images, images[5:25, :, ::-1] * 0.9, images[:10] ** 0.8])
    described = descriptors(images)
    every = np.arange(len(images))
    plain = described.vectors(every) @ described.vectors(every).T
    mirrored = described.vectors(every) @ described.vectors(every, mirrored=True).T
    expected = np.argwhere(np.triu(np.maximum(plain, mirrored) >= 0.85, 1)).tolist()
    monkeypatch.setattr("uadbench.auditing.matching._BLOCK", 16)
    pairs = duplicate_pairs(described)
    assert sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == sorted(map(tuple, expected))


def test_the_two_files_of_a_dataset_are_audited(tmp_path):
    paths = factories.toy_dataset(tmp_path)
    result = audit_dataset(open_images(paths.images), open_truth(paths.truth))
    assert result.title == "toy-v1, version 1"
    assert result.counts == {"train": 6, "val": 6, "test": 12}
    # the factory draws image i of every split from seed i
    assert {one.kind for one in result.leaks} == {"exact-duplicate"}


def test_subjects_of_a_dataset_are_called_what_its_source_calls_them(tmp_path):
    paths = factories.toy_dataset(tmp_path)
    subjects = {one.subject for one in specimens_of(open_truth(paths.truth)) if one.split == "val"}
    assert subjects == {"val-0", "val-1", "val-2", "val-3", "val-4", "val-5"}


def test_files_of_two_datasets_are_refused(tmp_path):
    one, other = (factories.toy_dataset(tmp_path / name, each=each) for name, each in (("a", 3), ("b", 4)))
    with pytest.raises(InvalidDataError, match="Give both files of one dataset"):
        audit_dataset(open_images(one.images), open_truth(other.truth))


@pytest.mark.parametrize(("count", "words"), [(2, "2 images for 3 specimens"), (4, "of 3 images")])
def test_another_number_of_images_than_specimens_is_refused(count, words):
    with pytest.raises(InvalidDataError, match=words):
        audit("toy", specimens(["train"] * 3), one_by_one(fields(count)))


def test_an_image_that_is_not_finite_is_refused_by_name():
    images = fields(3)
    images[1, 4, 4] = np.nan
    with pytest.raises(InvalidDataError, match="'image 1' holds NaN"):
        audited(images, ["train"] * 3)


def test_progress_ends_where_it_said_it_would():
    heard = []
    audit("toy", specimens(["train", "test", "test"], sick=[2]), one_by_one(fields(3)), lambda *at: heard.append(at))
    assert heard[-1] == (9, 9)
    assert heard == sorted(heard)
