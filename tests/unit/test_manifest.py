"""`data import manifest`: what is written, what is left out, and the sentence for each thing that is wrong."""

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from uadbench.cli.importing import import_
from uadbench.datasets.importing.foregrounds import foreground
from uadbench.datasets.importing.geometry import Geometry
from uadbench.datasets.importing.pictures import read_grey
from uadbench.datasets.manifest import ImportOptions, Terms, import_manifest
from uadbench.datasets.manifest.pack import read_pack
from uadbench.errors import InvalidDataError, MissingLibraryError, UsageError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

HEALTHY = [{"file": f"{split}.png", "split": split, "label": 0} for split in ("train", "val", "test")]
SICK = {"file": "sick.png", "split": "test", "label": 1, "pathology": "mass"}


def options(**changes):
    return ImportOptions(**{"name": "toy-v1", "licence": "none", "citation": "nobody", "foreground": "all", **changes})


def picture(height=8, width=8, dtype=np.uint8):
    """A ramp from 0 to the largest value of its type."""
    return np.linspace(0, np.iinfo(dtype).max, height * width).astype(dtype).reshape(height, width)


def manifest(rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tree(folder, rows, **pictures):
    """A folder with a manifest and one picture per row; `pictures` names those that are not the ramp, or masks."""
    folder.mkdir(exist_ok=True)
    arrays = {**{Path(str(row["file"])).stem: picture() for row in rows}, **pictures}
    for stem, array in arrays.items():
        Image.fromarray(array).save(folder / f"{stem}.png")
    (folder / "manifest.csv").write_text(manifest(rows))
    return folder


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for one in folder.iterdir():
            file.write(one, one.name)
    return path


def imported(source, **changes):
    # the pictures are copies of one ramp, so every split leaks into the next
    report = import_manifest(source, source.parent / "out", options(**changes), Terms(leaks="allow"))
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def refused(source, sentence, error=InvalidDataError, **changes):
    """The import raises that sentence and leaves nothing behind."""
    with pytest.raises(error, match=sentence):
        import_manifest(source, source.parent / "out", options(**changes))
    assert not list((source.parent / "out").glob("*"))


def test_pixels_are_stored_as_they_are_when_nothing_is_asked(tmp_path):
    report, images, _ = imported(tree(tmp_path / "in", HEALTHY))
    np.testing.assert_allclose(images["test"][:].pixels[0, 0], picture() / np.float32(255), atol=1e-7)
    assert [step["step"] for step in images.card.preprocessing] == ["select", "grey", "foreground"]
    assert report.preprocessing == images.card.preprocessing


def test_a_zip_and_a_folder_make_the_same_dataset(tmp_path):
    folder = tree(tmp_path / "in", [*HEALTHY, SICK])
    _, from_folder, _ = imported(folder)
    _, from_zip, _ = imported(zipped(folder))
    assert from_zip.digests == from_folder.digests


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    deep = {split: picture(dtype=np.uint16) for split in ("train", "val", "test")}
    _, images, _ = imported(tree(tmp_path / "in", HEALTHY, **deep))
    np.testing.assert_allclose(images["test"][:].pixels[0, 0], deep["test"] / np.float32(65535), atol=1e-7)


def test_colour_becomes_luminance():
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (0, 255, 0)).save(buffer, "PNG")
    assert (read_grey(buffer.getvalue(), "green") == 150).all()


def test_division_by_a_column_clips_and_counts(tmp_path):
    ramp = np.array([[0, 50], [100, 200]], np.uint8)
    rows = [{**row, "p99": 100 if row["split"] == "test" else 400} for row in HEALTHY]
    report, images, _ = imported(tree(tmp_path / "in", rows, train=ramp, val=ramp, test=ramp), divide_by="p99")
    np.testing.assert_allclose(images["test"][:].pixels[0, 0], [[0, 128 / 255], [1, 1]], atol=1e-6)
    np.testing.assert_allclose(images["train"][:].pixels[0, 0, 1, 1], 128 / 255, atol=1e-6)
    assert (report.clipped, report.pixels) == (1, 12)


def test_boxes_and_masks_follow_padding_and_resizing(tmp_path):
    marked = np.zeros((4, 8), np.uint8)
    marked[0, 2:4] = 255
    rows = [*HEALTHY, {**SICK, "mask": "mask.png", "boxes": json.dumps([[2, 0, 2, 1]])}]
    source = tree(tmp_path / "in", rows, sick=picture(4, 8), mask=marked)
    truth = imported(source, size=16)[2]["test"]
    # 4 rows become 8 with 2 above and 2 below, then everything doubles.
    np.testing.assert_array_equal(truth.boxes, [[4, 4, 4, 2]])
    expected = [[y, x] for y in (4, 5) for x in (4, 5, 6, 7)]
    np.testing.assert_array_equal(np.argwhere(truth.masks[truth.labels][0]), expected)


def test_padding_takes_the_minimum_of_the_image(tmp_path):
    bright = np.full((4, 2), 200, np.uint8)
    bright[0, 0] = 90
    _, images, _ = imported(tree(tmp_path / "in", HEALTHY, test=bright, train=picture(4, 4), val=picture(4, 4)), size=4)
    stored = np.rint(images["test"][:].pixels[0, 0] * 255)
    np.testing.assert_array_equal(stored[:, [0, 3]], 90)
    np.testing.assert_array_equal(stored[:, 1:3], bright)
    assert {"step": "pad", "to": "centred square", "fill": "image minimum", "images": 1} in images.card.preprocessing


def test_an_odd_padding_pixel_goes_right_or_below():
    assert Geometry(height=2, width=5, size=5).corner == (0, 1)
    assert Geometry(height=5, width=2, size=5).corner == (1, 0)


def test_shrinking_averages_fine_checks_to_grey():
    checks = np.indices((64, 64)).sum(0) % 2 * 1.0
    shrunk = Geometry(64, 64, 16).image(checks)
    assert np.abs(shrunk - 0.5).max() < 0.05


@pytest.mark.parametrize("place", [(0, 0), (31, 31), (17, 30)])
def test_a_mask_of_one_pixel_never_vanishes(place):
    mask = np.zeros((32, 32), bool)
    mask[place] = True
    small = Geometry(32, 32, 5).mask(mask)
    assert small.sum() == 1
    assert small[place[0] * 5 // 32, place[1] * 5 // 32]


def test_the_foreground_is_the_filled_largest_part():
    head = np.zeros((32, 32), np.uint8)
    head[4:20, 4:20], head[8:12, 8:12], head[28:30, 28:30] = 60, 0, 255
    body = foreground(head, "otsu")
    assert body[4:20, 4:20].all()
    assert body.sum() == 256
    assert foreground(head, "nonzero").sum() == 256 - 16 + 4


def test_validation_keeps_healthy_rows_only_and_the_report_counts_the_rest(tmp_path):
    others = [{"file": f"{n}.png", "split": split, "label": n % 2} for n, split in enumerate(["spare", "val", "spare"])]
    report, images, _ = imported(tree(tmp_path / "in", [*HEALTHY, SICK, *others]))
    assert len(images["val"]) == 1
    assert dict(report.left_out) == {"split 'spare' is none of train, val, test": 2, "anomalous validation image": 1}
    assert [(one.split, one.label, one.pathology, one.images) for one in report.counts] == [
        ("train", 0, "healthy", 1), ("val", 0, "healthy", 1), ("test", 0, "healthy", 1), ("test", 1, "mass", 1)
    ]  # fmt: skip


def test_a_filter_keeps_the_rows_for_which_it_is_true(tmp_path):
    extra = [{**SICK, "file": "far.png", "share": 0.1}, {**SICK, "file": "near.png"}]
    rows = [*({**row, "share": 0.5} for row in HEALTHY), {**SICK, "share": 0.3}, *extra]
    report, _, truth = imported(tree(tmp_path / "in", rows), where="share>0.2 and (label==0 or pathology=='mass')")
    assert sorted(truth["test"].names) == ["sick.png", "test.png"]
    assert sum(report.left_out.values()) == 2


def test_a_subject_is_the_patient_then_the_duplicate_group_then_the_file(tmp_path):
    kin = [{**SICK, "patient_id": "007"}, {**SICK, "file": "b.png", "patient_id": "007", "dup_group": "g"}]
    rows = [*HEALTHY, *kin, {**SICK, "file": "c.png", "dup_group": "h"}, {**SICK, "file": "d.png", "dup_group": "h"}]
    report, images, _ = imported(tree(tmp_path / "in", rows))
    assert len(set(images["test"].subjects)) == 3
    assert report.counts[-1].subjects == 2


@pytest.mark.parametrize(
    ("given", "level"),
    [({}, "image"), ({"boxes": "[[1, 1, 2, 2]]"}, "box"), ({"boxes": "[[1, 1, 2, 2]]", "mask": "ramp.png"}, "mask")],
)
def test_the_annotation_is_the_finest_that_is_given(tmp_path, given, level):
    source = tree(tmp_path / "in", [*HEALTHY, {**SICK, **given}], ramp=picture())
    truth = imported(source)[2]["test"]
    assert truth.annotations[int(np.argmax(truth.labels))] == level


def test_the_same_manifest_makes_the_same_identity(tmp_path):
    folder = tree(tmp_path / "in", [*HEALTHY, SICK])
    assert imported(folder)[1].digests == imported(folder)[1].digests


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": "yes"}, r"row 5: label 'yes' is neither 0 \(healthy\) nor 1"),
        ({"label": ""}, "row 5: label '' is neither"),
        ({"split": "train"}, r"sick.png \(row 5 of the manifest\): an anomalous training image"),
        ({"file": "test.png"}, "row 5 lists 'test.png', which row 4 lists already"),
        ({"file": "./test.png"}, "row 5 lists './test.png', which row 4 lists already"),
        ({"mask": "gone.png"}, r"sick.png \(row 5 .*'gone.png' cannot be read"),
        ({"mask": "../test.png"}, r"row 5 .*'../test.png' is not a path below the source"),
        ({"mask": "/etc/hostname"}, r"row 5 .*'/etc/hostname' is not a path below the source"),
        ({"mask": "black.png"}, r"row 5 .*marks 0 pixels of an image with label 1"),
        ({"mask": "small.png"}, r"row 5 .*'small.png': 4 x 4 pixels, the image 8 x 8"),
        ({"annotation": "mask"}, r"row 5 .*annotation 'mask', but the finest that the row gives is 'image'"),
        ({"annotation": "image", "mask": "test.png"}, r"row 5 .*annotation 'image', but the finest .* is 'mask'"),
        ({"annotation": "guess"}, r"row 5 .*annotation 'guess' is none of none, image, box, mask"),
        ({"boxes": "[[1, 1, 0, 2]]"}, r"row 5 .*hold one of no width or height"),
        ({"boxes": "[[6, 6, 3, 2]]"}, r"row 5 .*box \(6, 6, 3, 2\) does not lie in 8 x 8 pixels"),
        ({"boxes": "[1, 2, 3, 4]"}, r"row 5 .*are not a JSON list of \[x, y, w, h\]"),
        ({"boxes": "1 2 3 4"}, r"row 5 .*are not a JSON list"),
        ({"label": 0, "boxes": "[[1, 1, 2, 2]]"}, r"row 5 .*a healthy image \(label 0\) has .* 1 boxes"),
        ({"label": 0, "mask": "test.png"}, r"row 5 .*marks 63 pixels of an image with label 0"),
        ({"file": "../sick.png"}, r"row 5 .*is not a path below the source"),
        ({"patient_id": "ann"}, "subject 'ann' is also in 'train'"),
        ({"dup_group": "g"}, r"sick.png \(row 5 .*in 'test' is a near-duplicate \(dup_group 'g'\) of train.png"),
    ],
)
def test_a_wrong_row_is_refused_by_its_number(tmp_path, change, sentence):
    first = {**HEALTHY[0], "patient_id": "ann", "dup_group": "g"}
    blank = {"black": np.zeros((8, 8), np.uint8), "small": picture(4, 4)}
    source = tree(tmp_path / "in", [first, *HEALTHY[1:], {**SICK, **change}], **blank)
    refused(source, sentence)


def test_a_missing_column_is_refused_with_those_found(tmp_path):
    source = tree(tmp_path / "in", HEALTHY)
    (source / "manifest.csv").write_text("path,label\na.png,0\n")
    refused(source, "manifest.csv lacks column file, split; found path, label")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "lacks column file, split, label; found nothing"),
        (b"file,split,label\n", "lists no image"),
        (b"file,split,label,label\n", "names a column twice"),
        (b"file,split,label\na.png,train\n", "row 2 has 2 fields for 3 columns"),
        (b"file,split,label\n\xff,train,0\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, sentence):
    source = tree(tmp_path / "in", HEALTHY)
    (source / "manifest.csv").write_bytes(text)
    refused(source, sentence)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("size > 1", "there is no column 'size'.*the columns are file, split, label"),
        ("label ==", "is not an expression"),
        ("@label == 1", "is not an expression"),
        ("`label` == 1", "is not an expression"),
        ("label.__class__ == 1", "may not hold a Attribute"),
        ("abs(label) == 1", "may not hold a Call"),
        ("file[0] == 'a'", "may not hold a Subscript"),
        ("label ** 9 == 1", "may not hold a Pow"),
        ("file > 1", "cannot be computed"),
        ("label", "is not true or false for each row"),
        ("1 == 1", "is not true or false for each row"),
    ],
)
def test_a_filter_that_is_no_comparison_of_columns_is_refused(tmp_path, where, sentence):
    refused(tree(tmp_path / "in", HEALTHY), sentence, UsageError, where=where)


@pytest.mark.parametrize("value", ["0", "", "nan", "-3", "inf", "thick"])
def test_a_divisor_that_cannot_divide_is_refused_by_its_row(tmp_path, value):
    rows = [*({**row, "p99": 100} for row in HEALTHY), {**SICK, "p99": value}]
    refused(tree(tmp_path / "in", rows), r"sick.png \(row 5 .*column 'p99' is", divide_by="p99")


def test_a_divisor_that_is_no_column_is_refused(tmp_path):
    refused(tree(tmp_path / "in", HEALTHY), "--divide-by 'p98' is no column", UsageError, divide_by="p98")


def test_images_that_differ_need_a_size(tmp_path):
    refused(tree(tmp_path / "wide", HEALTHY, val=picture(8, 9)), "val.png .*9 x 8 pixels, not square", UsageError)
    refused(tree(tmp_path / "large", HEALTHY, val=picture(9, 9)), "9 pixels a side, train.png .* has 8", UsageError)


def test_images_of_8_and_16_bits_do_not_mix(tmp_path):
    refused(tree(tmp_path / "in", HEALTHY, val=picture(dtype=np.uint16)), "'val.png' is uint16")


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_a_truncated_picture_is_refused_by_its_row(tmp_path, keep):
    source = tree(tmp_path / "in", HEALTHY)
    whole = (source / "val.png").read_bytes()
    (source / "val.png").write_bytes(whole[:keep])
    refused(source, r"val.png \(row 3 of the manifest\): not a readable picture")


def test_a_picture_of_several_pages_is_refused(tmp_path):
    source = tree(tmp_path / "in", HEALTHY)
    first, second = (Image.fromarray(picture() // n) for n in (1, 2))
    first.save(source / "val.png", "TIFF", save_all=True, append_images=[second])
    refused(source, "val.png .*2 pages of mode 'L'")


def test_a_blank_picture_has_no_otsu_foreground(tmp_path):
    blank = tree(tmp_path / "in", HEALTHY, val=np.zeros((8, 8), np.uint8))
    refused(blank, r"val.png \(row 3 .*foreground 'otsu' is empty", foreground="otsu")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    source = tree(tmp_path / "in", HEALTHY)
    (source / "val.png").rename(tmp_path / "outside.png")
    (source / "val.png").symlink_to(tmp_path / "outside.png")
    refused(source, r"val.png \(row 3 .*is a link out of")


def test_a_member_that_the_zip_lacks_is_refused(tmp_path):
    source = tree(tmp_path / "in", HEALTHY)
    (source / "val.png").unlink()
    refused(zipped(source), r"val.png \(row 3 .*'val.png' is not in")


def test_a_damaged_zip_member_is_refused(tmp_path):
    path = zipped(tree(tmp_path / "in", HEALTHY))
    whole = (tmp_path / "in" / "train.png").read_bytes()
    path.write_bytes(path.read_bytes().replace(whole, whole[:-1] + b"x"))
    refused(path, r"train.png \(row 2 .*cannot be unpacked")


def test_a_source_that_is_no_folder_and_no_zip_is_refused(tmp_path):
    (tmp_path / "in.txt").write_text("hello")
    refused(tmp_path / "in.txt", "neither a folder nor a readable zip")
    refused(tmp_path / "absent", "neither a folder nor a readable zip")


def test_a_split_without_an_image_is_refused(tmp_path):
    refused(tree(tmp_path / "in", HEALTHY[:2]), "Split 'test' of toy-v1 is empty")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "my data"}, "--name 'my data': use letters, digits"),
        ({"name": "../x"}, "--name '../x'"),
        ({"licence": " "}, "--licence is empty: a dataset without it cannot be published"),
        ({"citation": ""}, "--citation is empty"),
        ({"size": 0}, "--size 0: give a side"),
        ({"spacing_mm": -1.0}, "--spacing-mm -1.0"),
        ({"foreground": "brain"}, "--foreground 'brain' is none of otsu, nonzero, all"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        options(**change)


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    refused(tree(tmp_path / "in", HEALTHY), r"needs pandas.*pip install 'uadbench\[import\]'", MissingLibraryError)


def test_the_command_prints_counts_and_both_paths(tmp_path):
    source = tree(tmp_path / "in", [*HEALTHY, SICK])
    (source / "manifest.csv").rename(tmp_path / "list.csv")
    arguments = ["manifest", str(source), "--name", "toy-v1", "--licence", "none", "--citation", "nobody",
                 "--csv", str(tmp_path / "list.csv"), "--to", str(tmp_path / "out"),
                 "--note", "A toy.", "--allow-leak"]  # fmt: skip
    result = CliRunner().invoke(import_, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "mass" in result.output
    assert str(tmp_path / "out" / "toy-v1.truth.h5") in result.output.replace("\n", "")
    assert open_images(tmp_path / "out" / "toy-v1.images.h5").card.notes == ("A toy.",)


def test_a_pack_of_volumes_is_audited_as_it_is(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="volumes are written with nibabel")
    values = np.zeros((6, 6, 3), np.float32)
    values[:3, :, 1], values[3:, :, 1] = 200, 800
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "manifest.csv").write_text(manifest([{"file": "a.nii", "split": "test", "label": 0, "slice": 1}]))
    ((pixels, body),) = read_pack(tmp_path).scan()
    np.testing.assert_allclose(pixels[0], [[0.25] * 3 + [1] * 3] * 6, atol=1e-4)
    np.testing.assert_array_equal(body[0], [[False] * 3 + [True] * 3] * 6)
