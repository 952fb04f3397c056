"""Contact sheets: which images they show, what is drawn on them, and the page beside them."""

import io
import re
from dataclasses import replace
from urllib.parse import unquote

import factories
import numpy as np
import pytest
from PIL import Image, ImageFont

from uadbench.board.drawing import OUTLINE, grey
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.dataset import write_dataset
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth
from uadbench.sheets import sheets, strata
from uadbench.sheets.choosing import chosen, file_name, shares, spread
from uadbench.sheets.composing import BOX, SIDE, Tile, composed, fitting, outlined
from uadbench.sheets.page import counted, detailed, settings

NO_BOXES = np.empty((0, 4), np.float32)


def opened(paths):
    return open_images(paths.images), open_truth(paths.truth)


@pytest.fixture
def toy(tmp_path):
    """Six healthy images in each split, and six with a square in test."""
    return opened(factories.toy_dataset(tmp_path / "data"))


@pytest.fixture
def mixed(tmp_path):
    """Of ten squares in test two have a box and no mask; the card holds markup."""
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(3)] for split in ("train", "val", "test")}
    splits["test"] += [factories.sample(f"sick-{i}", i, sick=True, masked=i > 1) for i in range(10)]
    card = replace(factories.card(), notes=("<script>alert(1)</script>",), licence="<b>free</b>")
    return opened(write_dataset(tmp_path / "data", card, splits))


@pytest.mark.parametrize(("size", "count"), [(1, 1), (7, 3), (100, 24), (24, 24)])
def test_spread_rows_are_distinct_in_order_and_as_far_from_both_ends(size, count):
    rows = spread(range(size), count)
    assert len(set(rows)) == count
    assert list(rows) == sorted(rows)
    assert abs(rows[0] - (size - 1 - rows[-1])) <= 1
    assert not len(rows) > 1 or np.ptp(np.diff(rows)) <= 1


def test_spread_rows_are_all_when_there_are_no_more():
    assert spread([4, 5, 9], 24) == (4, 5, 9)
    assert spread(range(10), 0) == ()


@pytest.mark.parametrize(
    ("sizes", "most", "taken"),
    [([44, 404], 24, (12, 12)), ([404, 3], 24, (21, 3)), ([2, 3], 24, (2, 3)), ([50, 2, 50], 8, (3, 2, 3))],
)
def test_annotations_share_a_sheet_as_far_as_their_images_go(sizes, most, taken):
    assert shares(sizes, most) == taken


def test_every_pathology_of_every_split_has_a_sheet(toy):
    made = chosen(toy[1], 4)
    assert [(one.split, one.pathology) for one in made] == [
        ("train", "healthy"), ("val", "healthy"), ("test", "healthy"), ("test", "square"),
    ]  # fmt: skip
    for one in made:
        known = toy[1][one.split]
        assert {known.pathologies[row] for row in one.shown} == {one.pathology}
        assert (len(one.shown), one.images, one.subjects) == (4, 6, 6)


def test_annotations_share_a_sheet_the_finest_first(mixed):
    sheet = chosen(mixed[1], 4)[-1]
    assert [mixed[1]["test"].annotations[row] for row in sheet.shown] == ["mask", "mask", "box", "box"]
    assert counted(sheet) == "4 of 10 images, 10 subjects"
    assert detailed(sheet) == "2 of 8 images annotated by mask; all 2 images annotated by box"


def test_strata_count_every_image_once(mixed):
    found = strata(mixed[1])
    assert [(one.split, one.pathology, one.annotation, len(one.rows), one.subjects) for one in found[2:]] == [
        ("test", "healthy", "none", 3, 3), ("test", "square", "box", 2, 2), ("test", "square", "mask", 8, 8),
    ]  # fmt: skip
    assert sorted(row for one in found[2:] for row in one.rows) == list(range(13))


@pytest.mark.parametrize(
    ("pathology", "name"),
    [
        ("low-grade glioma (FLAIR)", "07-test-low-grade-glioma-flair.png"),
        ("Ödem/../x", "07-test-odem-x.png"),
        ("膠芽腫", "07-test.png"),
        ("a" * 300, f"07-test-{'a' * 40}.png"),
    ],
)
def test_a_file_s_name_is_plain_letters_whatever_the_pathology_is_called(pathology, name):
    assert file_name(7, "test", pathology) == name


def test_around_the_mask_pixels_are_coloured_and_nowhere_else():
    pixels, mask = np.full((1, 8, 8), 0.5, np.float32), np.zeros((8, 8), bool)
    mask[3:5, 3:6] = True
    drawn = outlined(pixels, mask, NO_BOXES)
    assert drawn.shape == (SIDE, SIDE, 3)
    small = drawn[::32, ::32]
    coloured = (small == OUTLINE).all(axis=-1)
    assert np.argwhere(coloured[2:6]).tolist() == [
        [0, 3], [0, 4], [0, 5], [1, 2], [1, 6], [2, 2], [2, 6], [3, 3], [3, 4], [3, 5],
    ]  # fmt: skip
    assert (small[~coloured] == grey(pixels)[0, 0]).all()


def test_boxes_are_drawn_beside_masks_in_a_colour_of_their_own():
    mask = np.zeros((8, 8), bool)
    mask[3, 3] = True
    drawn = outlined(np.zeros((1, 8, 8), np.float32), mask, np.array([[1.0, 1.0, 6.0, 6.0]]))[::32, ::32]
    assert (drawn[2, 3] == OUTLINE).all()
    assert (drawn[1, 1:7] == BOX).all()
    assert (drawn == BOX).all(axis=-1).sum() == 20


def test_a_large_image_is_shrunk_and_a_lesion_of_one_pixel_stays():
    mask = np.zeros((1024, 512), bool)
    mask[400, 200] = True
    drawn = outlined(np.zeros((3, 1024, 512), np.float32), mask, np.array([[0.0, 0.0, 512.0, 1024.0]]))
    assert drawn.shape == (SIDE, SIDE // 2, 3)
    assert (drawn == OUTLINE).all(axis=-1).sum() == 4
    assert (drawn[0] == BOX).all()


@pytest.mark.parametrize(("count", "columns", "lines"), [(1, 6, 1), (6, 6, 1), (7, 6, 2), (3, 1, 3)])
def test_a_sheet_grows_by_a_line_of_tiles_and_is_as_wide_as_its_columns(count, columns, lines):
    tile = Tile(np.full((SIDE, SIDE, 3), 255, np.uint8), "0  abc", ("mask",))
    sheet = composed("test", "mass", "all", [tile] * count, columns)
    one = composed("test", "mass", "all", [tile], 1)
    across, down = (SIDE + 20) * (columns - 1), (SIDE + 54) * (lines - 1)
    assert sheet.size == (one.width + across, one.height + down)
    assert (np.asarray(sheet) == 255).all(axis=-1).sum() >= count * SIDE**2


def test_a_title_too_long_is_cut_before_the_counts():
    tile = Tile(np.zeros((SIDE, SIDE, 3), np.uint8), "0  abc", ())
    short, long = (
        np.asarray(composed("test", name, "24 of 448 images, 332 subjects", [tile], 3)) for name in ("x", "x" * 400)
    )
    assert (short[:80, 600:] == long[:80, 600:]).all()
    assert (short[:80, :500] != long[:80, :500]).any()


def test_text_that_fits_stays_and_other_text_ends_with_an_ellipsis():
    font = ImageFont.load_default(18)
    assert fitting("abc", font, 200) == "abc"
    cut = fitting("abc" * 50, font, 200)
    assert cut.endswith("…")
    assert font.getlength(cut) <= 200


def test_settings_of_a_step_are_words_and_what_is_empty_is_left_out():
    step = {"step": "select", "left_out": {"blurred": 3, "twice": 1}, "where": "", "size": [128, 64], "clip": True}
    assert settings(step) == [("left out", "blurred: 3; twice: 1"), ("size", "128, 64"), ("clip", "yes")]


def test_the_written_sheets_show_what_is_in_the_files(toy, tmp_path):
    images, truth = toy
    written = sheets(images, truth, tmp_path / "sheets", columns=2, most=2)
    sheet, picture = written.sheets[-1], np.asarray(Image.open(io.BytesIO(written.paths[-1].read_bytes())))
    row = sheet.shown[0]
    known = truth["test"]
    tile = outlined(images["test"][row : row + 1].pixels[0], known.masks[row], known.boxes[known.box_images == row])
    height, width, _ = tile.shape
    assert (picture[84 : 84 + height, 28 : 28 + width] == tile).all()
    assert (tile == OUTLINE).all(axis=-1).any()


def test_the_same_dataset_gives_the_same_pictures_and_no_half_written_file_stays(toy, tmp_path):
    first, second = (sheets(*toy, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first.paths] == [path.read_bytes() for path in second.paths]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(
        [first.index.name, *(path.name for path in first.paths)]
    )


def test_the_page_links_to_nothing_but_the_files_beside_it_and_its_own_parts(mixed, tmp_path):
    written = sheets(*mixed, tmp_path / "sheets")
    page = written.index.read_text(encoding="utf-8")
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    inside = {link[1:] for link in links if link.startswith("#")}
    assert {unquote(link) for link in links if not link.startswith("#")} == {path.name for path in written.paths}
    assert all(path.is_file() for path in written.paths)
    assert inside == set(re.findall(r' id="([^"]*)"', page))
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_shows_the_card_and_its_markup_as_text(mixed, tmp_path):
    page = sheets(*mixed, tmp_path / "sheets").index.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;free&lt;/b&gt;" in page
    for text in ("toy-v1", "T1, brain", "1.5 mm", "Journal of Nothing", mixed[0].digests.identity):
        assert text in page


class Recorded:
    """A split that writes down which rows were asked for."""

    def __init__(self, source, asked):
        self.source, self.asked, self.shape = source, asked, source.shape

    def __getitem__(self, rows):
        self.asked.append(rows)
        return self.source[rows]


def test_no_more_than_the_shown_images_are_read(toy, tmp_path):
    asked = []
    recorded = replace(toy[0], splits={split: Recorded(source, asked) for split, source in toy[0].splits.items()})
    sheets(recorded, toy[1], tmp_path / "sheets", most=2)
    assert [rows.stop - rows.start for rows in asked] == [1] * 8


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"most": 0}])
def test_a_sheet_of_nothing_is_refused(wrong, toy, tmp_path):
    with pytest.raises(UsageError, match=r"show nothing\. Give 1 or more of both"):
        sheets(*toy, tmp_path / "sheets", **wrong)


def test_images_and_truth_of_two_datasets_are_refused(toy, mixed, tmp_path):
    with pytest.raises(InvalidDataError, match=r"different identity digests\. Give the two files of one dataset"):
        sheets(toy[0], mixed[1], tmp_path / "sheets")
