"""From a stored picture to an image: orientation, depth, intensity and geometry, against values written by hand."""

import gzip
import io
import itertools
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from uadbench.datasets.importing.items import Item, Stored
from uadbench.datasets.importing.processing import process
from uadbench.datasets.importing.recipe import Normalisation, Recipe
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError, UsageError

# Voxel (x, y, z) in RAS order is x + 10 y + 100 z; slice 1 has anterior above and right on the right.
COORDINATES = np.fromfunction(lambda x, y, z: x + 10 * y + 100 * z, (2, 3, 4), dtype=np.float32)
SLICE_1 = [[120, 121], [110, 111], [100, 101]]
SIDES = (1.0, 2.0, 3.0)  # mm along x, y, z
PLAIN = Recipe(foreground="all", size=4)


def stored(folder, name, content, index=-1):
    """A file with the content: an array as PNG, or bytes."""
    path = Path(folder) / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path)
    return Stored(source_at(folder), name, index)


def nifti(values, affine=None, kind=nibabel.Nifti1Image):
    return kind(values, np.diag([*SIDES, 1.0]) if affine is None else affine).to_bytes()


def item(picture, **stated):
    return Item(picture.file, picture, f"{picture.file} (row 7)", **stated)


def processed(picture, recipe=PLAIN, **stated):
    return process(item(picture, **stated), recipe)


def seen(folder, values, recipe, **stated):
    """Intensities of the image of an array, as fractions of the largest integer."""
    one = processed(stored(folder, "a.png", values), recipe, **stated)
    return one.pixels / np.iinfo(one.pixels.dtype).max


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("turned", list(itertools.product((False, True), repeat=3)))
def test_a_volume_is_seen_the_same_however_its_voxels_are_stored(tmp_path, axes, turned):
    values, affine = COORDINATES.transpose(axes), np.eye(4)
    affine[:3, :3] = 0
    for place, (axis, back) in enumerate(zip(axes, turned, strict=True)):
        affine[axis, place] = -SIDES[axis] if back else SIDES[axis]
        affine[axis, 3] = SIDES[axis] * (COORDINATES.shape[axis] - 1) if back else 0
        values = np.flip(values, place) if back else values
    recipe = Recipe(foreground="all", normalisation=Normalisation("window", high=200), size=3, square="pad")
    one = processed(stored(tmp_path, "a.nii", nifti(values, affine), 1), recipe)
    # the slice is 2 wide and 3 high: padding of its minimum, 100, comes to its right
    expected = np.array([[*row, 100] for row in SLICE_1]) / 200
    np.testing.assert_allclose(one.pixels / 65535, expected, atol=1e-5)
    assert one.spacing_mm == (2, 1, 3)


@pytest.mark.parametrize(
    ("name", "kind", "pack"),
    [
        ("a.nii", nibabel.Nifti1Image, bytes), ("a.nii.gz", nibabel.Nifti1Image, gzip.compress),
        ("a.NII.GZ", nibabel.Nifti1Image, gzip.compress), ("a.nii", nibabel.Nifti2Image, bytes),
    ],
)  # fmt: skip
def test_both_versions_of_nifti_are_read_packed_and_unpacked(tmp_path, name, kind, pack):
    recipe = Recipe(foreground="all", normalisation=Normalisation("window", high=200), crop=(2, 2))
    one = processed(stored(tmp_path, name, pack(nifti(COORDINATES, kind=kind)), 1), recipe)
    assert one.pixels[0, 0] == round(120 / 200 * 65535)


@pytest.mark.parametrize("keep", [0, 3, 300, 352, 400])
def test_a_truncated_volume_is_refused_by_its_file(tmp_path, keep):
    for name, content in (
        ("a.nii", nifti(COORDINATES)[:keep]),
        ("a.nii.gz", gzip.compress(nifti(COORDINATES))[: keep // 4]),
    ):
        with pytest.raises(InvalidDataError, match=rf"{name}: not a readable NIfTI volume|{name}: has the shape"):
            processed(stored(tmp_path, name, content, 1))


def test_a_volume_of_four_dimensions_is_refused_unless_the_fourth_is_one(tmp_path):
    series = np.stack([COORDINATES, COORDINATES], axis=3)
    with pytest.raises(InvalidDataError, match=r"a.nii: has the shape \(2, 3, 4, 2\). Give one volume of three"):
        processed(stored(tmp_path, "a.nii", nifti(series), 1))
    assert processed(stored(tmp_path, "b.nii", nifti(series[..., :1]), 1)).pixels.shape == (4, 4)
    with pytest.raises(InvalidDataError, match=r"c.nii: has the shape \(2, 3\)"):
        processed(stored(tmp_path, "c.nii", nifti(COORDINATES[:, :, 0]), 0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite_are_refused_with_their_number(tmp_path, value):
    wrong = COORDINATES.copy()
    wrong[0, 0, :3] = value
    with pytest.raises(InvalidDataError, match=r"a.nii: 3 voxels are not finite"):
        processed(stored(tmp_path, "a.nii", nifti(wrong), 1))


def test_a_header_that_states_more_voxels_than_a_scanner_makes_is_refused_unread(tmp_path):
    content = bytearray(nifti(COORDINATES))
    content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    with pytest.raises(InvalidDataError, match=r"states \(30000, 30000, 30000\) voxels, more than any scanner"):
        processed(stored(tmp_path, "a.nii", bytes(content), 1))


@pytest.mark.parametrize("index", [-1, 4])
def test_a_slice_that_a_volume_lacks_is_refused(tmp_path, index):
    with pytest.raises(InvalidDataError, match=rf"a.nii \(row 7\): slice {index} of 4. Give a slice from 0 to 3"):
        processed(stored(tmp_path, "a.nii", nifti(COORDINATES), index))


def test_a_mask_volume_marks_the_slice_that_is_seen(tmp_path):
    marked = np.zeros((2, 3, 4), np.uint8)
    marked[1, 2, 1] = 3
    picture, mask = (
        stored(tmp_path, name, nifti(values), 1) for name, values in (("a.nii", COORDINATES), ("m.nii", marked))
    )
    recipe = Recipe(foreground="all", size=3, normalisation=Normalisation("window", high=200))
    one = processed(picture, recipe, mask=mask, label=1)
    assert np.argwhere(one.mask).tolist() == [[0, 1]]


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_a_mask_that_lies_elsewhere_is_refused(tmp_path, shift):
    affine = np.diag([*SIDES, 1.0])
    affine[0, 3] = shift
    picture = stored(tmp_path, "a.nii", nifti(COORDINATES), 1)
    mask = stored(tmp_path, "m.nii", nifti(np.ones((2, 3, 4), np.uint8), affine), 1)
    with pytest.raises(InvalidDataError, match=r"a.nii \(row 7\), mask 'm.nii': .*another place in space. Resample"):
        processed(picture, mask=mask, label=1)


def test_sixteen_bits_are_kept_and_can_be_written_as_eight(tmp_path):
    deep = np.array([[0, 65535], [256, 32768]], np.uint16)
    picture = stored(tmp_path, "a.png", deep)
    assert processed(picture, Recipe(foreground="all")).pixels.tolist() == deep.tolist()
    # 256 / 257 is 1, 32768 / 257 is 127.5 and goes up
    assert processed(picture, Recipe(foreground="all", bits=8)).pixels.tolist() == [[0, 255], [1, 128]]


def test_colour_is_weighed_and_transparency_ignored(tmp_path):
    red, green, blue, clear = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 0)
    picture = stored(tmp_path, "a.png", np.array([[red, green], [blue, clear]], np.uint8))
    # luminance of ITU-R 601: 0.299, 0.587, 0.114
    assert processed(picture, Recipe(foreground="all")).pixels.tolist() == [[76, 150], [29, 255]]


def test_a_format_that_is_not_known_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(InvalidDataError, match=r"'a.webm' has none of the endings .png, .jpg.*\.nii\.gz.*\.dcm.*\.h5"):
        processed(stored(tmp_path, "a.webm", b"x"))


def test_real_numbers_in_a_picture_are_refused(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.float32)).save(buffer, "TIFF")
    with pytest.raises(InvalidDataError, match=r"1 pages of mode 'F'. Store one page of 8 or 16 bits"):
        processed(stored(tmp_path, "a.tif", buffer.getvalue()))


TABLE = np.arange(48, dtype=np.uint8).reshape(6, 8)  # value 8 y + x


def test_a_crop_is_central_and_moves_mask_and_boxes(tmp_path):
    marked = np.zeros((6, 8), np.uint8)
    marked[2, 3] = 1
    picture, mask = stored(tmp_path, "a.png", TABLE), stored(tmp_path, "m.png", marked)
    recipe = Recipe(foreground="all", crop=(4, 4))
    one = processed(picture, recipe, mask=mask, label=1, boxes=((3.0, 2.0, 2.0, 1.0),), ignored=((2.0, 1.0, 4.0, 4.0),))
    assert one.pixels[0].tolist() == [10, 11, 12, 13]
    assert one.pixels[-1].tolist() == [34, 35, 36, 37]
    assert np.argwhere(one.mask).tolist() == [[1, 1]]
    assert (one.boxes.tolist(), one.ignored.tolist()) == ([[1, 1, 2, 1]], [[0, 0, 4, 4]])


def test_a_crop_larger_than_the_picture_takes_all_of_it(tmp_path):
    square = TABLE[:, :6]
    assert processed(stored(tmp_path, "a.png", square), Recipe(foreground="all", crop=(99, 99))).pixels.shape == (6, 6)


def test_a_box_that_a_crop_cuts_is_refused(tmp_path):
    picture = stored(tmp_path, "a.png", TABLE)
    with pytest.raises(InvalidDataError, match=r"row 7\): box \(0, 0, 3, 3\) does not lie in 4 x 4 pixels"):
        processed(picture, Recipe(foreground="all", crop=(4, 4)), label=1, boxes=((0.0, 0.0, 3.0, 3.0),))


def test_a_flip_turns_picture_and_mask_but_not_the_boxes(tmp_path):
    square, marked = TABLE[:, :6], np.zeros((6, 6), np.uint8)
    marked[0, 5] = 1
    files = (stored(tmp_path, "a.png", square), stored(tmp_path, "m.png", marked))
    picture, mask = (replace(one, flip=True) for one in files)
    one = processed(picture, Recipe(foreground="all"), mask=mask, label=1, boxes=((5.0, 5.0, 1.0, 1.0),))
    assert one.pixels[0].tolist() == [40, 41, 42, 43, 44, 45]
    assert np.argwhere(one.mask).tolist() == [[5, 5]]
    assert one.boxes.tolist() == [[5, 5, 1, 1]]


def test_padding_keeps_the_aspect_and_stretching_does_not(tmp_path):
    wide, marked = np.full((2, 4), 100, np.uint8), np.zeros((2, 4), np.uint8)
    wide[0, 0] = marked[1, 3] = 40
    picture, mask = stored(tmp_path, "a.png", wide), stored(tmp_path, "m.png", marked)
    stated = {"mask": mask, "label": 1, "boxes": ((3.0, 1.0, 1.0, 1.0),)}
    padded = processed(picture, Recipe(foreground="all", size=8, square="pad"), **stated)
    stretched = processed(picture, Recipe(foreground="all", size=8, square="stretch"), **stated)
    # padded: 4 x 4 with a row above and below, then all doubles; stretched: columns double, rows are four times as many
    assert np.argwhere(padded.mask).tolist() == [[4, 6], [4, 7], [5, 6], [5, 7]]
    assert padded.boxes.tolist() == [[6, 4, 2, 2]]
    assert np.argwhere(stretched.mask).tolist() == [[y, x] for y in range(4, 8) for x in (6, 7)]
    assert stretched.boxes.tolist() == [[6, 4, 2, 4]]
    assert (padded.pixels[3:5, 4:] == 100).all()
    assert (padded.pixels[[0, -1], 4:] < 60).all()
    assert (stretched.pixels[:, 4:] == 100).all()
    assert (padded.padded, stretched.padded, stretched.resized) == (True, False, True)


def test_a_picture_of_the_wanted_size_is_not_touched(tmp_path):
    square = TABLE[:, :6]
    one = processed(stored(tmp_path, "a.png", square), Recipe(foreground="all", size=6))
    assert one.pixels.tolist() == square.tolist()
    assert not one.resized


NINE = np.arange(9, dtype=np.uint8).reshape(3, 3)


def test_the_percentile_of_a_slice_is_that_of_all_its_pixels(tmp_path):
    recipe = Recipe(foreground="all", normalisation=Normalisation("slice-percentile", percentile=50))
    one = processed(stored(tmp_path, "a.png", NINE), recipe)
    # the median of 0 to 8 is 4
    np.testing.assert_allclose(one.pixels / 255, [[0, 0.25, 0.5], [0.75, 1, 1], [1, 1, 1]], atol=1 / 255)
    assert (one.clipped, one.stored) == (4, 9)


def test_the_percentile_of_a_volume_is_that_of_its_voxels_above_0(tmp_path):
    values = np.zeros((3, 3, 3), np.float32)
    values[:, :, 0].flat[:5] = [1, 2, 3, 4, 5]
    values[0, 2, 1], values[1, 2, 1] = -7, 6
    recipe = Recipe(foreground="all", normalisation=Normalisation("volume-percentile", percentile=80))
    one = processed(stored(tmp_path, "a.nii", nifti(values), 1), recipe)
    # above 0 are 1 to 6; 80 % of the way is 5
    assert one.pixels[0].tolist() == [0, 65535, 0]
    assert one.clipped == 2


@pytest.mark.parametrize(("divisor", "expected"), [(1, [0.25, 0.5, 0]), (200, [0.125, 0.25, 0])])
def test_without_a_rule_a_volume_is_divided_by_its_largest_voxel_if_that_is_above_1(tmp_path, divisor, expected):
    values = np.zeros((3, 3, 3), np.float32)
    values[0, 2, 1], values[1, 2, 1], values[2, 2, 2] = 25, 50, 100
    one = processed(stored(tmp_path, "a.nii", nifti(values / divisor), 1), Recipe(foreground="all"))
    assert one.pixels[0] / 65535 == pytest.approx(expected, abs=1e-5)
    assert one.clipped == 0


def test_a_percentile_of_a_volume_needs_a_volume_that_shows_something(tmp_path):
    recipe = Recipe(foreground="all", normalisation=Normalisation("volume-percentile"))
    with pytest.raises(InvalidDataError, match=r"a.nii: no voxel is above 0"):
        processed(stored(tmp_path, "a.nii", nifti(np.zeros((3, 3, 3), np.float32)), 1), recipe)
    with pytest.raises(InvalidDataError, match=r"a.png: a percentile of the volume needs a NIfTI file"):
        processed(stored(tmp_path, "a.png", NINE), recipe)


def test_a_window_goes_from_its_low_to_its_high(tmp_path):
    recipe = Recipe(foreground="all", normalisation=Normalisation("window", low=2, high=6))
    one = processed(stored(tmp_path, "a.png", NINE), recipe)
    np.testing.assert_allclose(one.pixels / 255, [[0, 0, 0], [0.25, 0.5, 0.75], [1, 1, 1]], atol=1 / 255)
    assert one.clipped == 4


def test_a_divisor_becomes_intensity_1(tmp_path):
    np.testing.assert_allclose(seen(tmp_path, NINE, Recipe(foreground="all"), divisor=8.0), NINE / 8, atol=1 / 255)


def test_a_picture_that_shows_nothing_is_refused(tmp_path):
    recipe = Recipe(foreground="all", normalisation=Normalisation("slice-percentile"))
    with pytest.raises(InvalidDataError, match=r"a.png \(row 7\): .*the picture shows nothing. Leave it out"):
        processed(stored(tmp_path, "a.png", np.zeros((3, 3), np.uint8)), recipe)


def test_a_given_foreground_is_taken_with_the_geometry_of_the_picture(tmp_path):
    body = np.zeros((6, 8), np.uint8)
    body[1, 2] = 255
    picture, given = stored(tmp_path, "a.png", TABLE), stored(tmp_path, "f.png", body)
    one = processed(picture, Recipe(foreground="given", crop=(4, 4)), foreground=given)
    assert np.argwhere(one.foreground).tolist() == [[0, 0]]


def test_a_given_foreground_must_be_there_fit_and_mark_something(tmp_path):
    picture, recipe = stored(tmp_path, "a.png", NINE), Recipe(foreground="given")
    with pytest.raises(InvalidDataError, match=r"row 7\): no foreground is given with it"):
        processed(picture, recipe)
    with pytest.raises(InvalidDataError, match=r"row 7\), foreground 'f.png': 8 x 6 pixels, the image 3 x 3"):
        processed(picture, recipe, foreground=stored(tmp_path, "f.png", TABLE))
    with pytest.raises(InvalidDataError, match=r"row 7\): foreground 'given' is empty"):
        processed(picture, recipe, foreground=stored(tmp_path, "g.png", np.zeros((3, 3), np.uint8)))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Recipe(size=0), "--size 0: give a side"),
        (lambda: Recipe(foreground="brain"), "--foreground 'brain' is none of"),
        (lambda: Recipe(square="fill"), "Square 'fill' is none of pad, stretch"),
        (lambda: Recipe(bits=12), "12 bits: an image is stored with 8 or 16"),
        (lambda: Recipe(crop=(0, 4)), r"Crop \(0, 4\): give a height and a width"),
        (lambda: Normalisation("mean"), "Normalisation 'mean' is none of"),
        (lambda: Normalisation("slice-percentile", percentile=0), "Percentile 0: give one above 0"),
        (lambda: Normalisation("window", low=1, high=1), "Window 1 to 1: give two finite values"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
