"""`vindr-cxr`: films, readers and boxes of a small tree in the challenge's layout, and what is refused."""

import csv

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, JPEG2000Lossless
from scipy.ndimage import gaussian_filter

from uadbench.datasets.cxr import SPECS
from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.cxr.readers import Mark, iou, merged
from uadbench.datasets.cxr.vindr import DRAW, plan
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

HEADER = ["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]
SMALL = Draw(test=2, val=1, train=3, anomalous=2)
NORMALS = [f"n{number}" for number in range(7)]


def nothing(image, reader):
    return [image, "No finding", "14", reader, "", "", "", ""]


ROWS = [
    *(nothing(image, reader) for image in NORMALS for reader in ("R1", "R2", "R3")),
    # two readers mark one heart: the mean of 20..60 and 24..64; the third finds nothing
    ["a0", "Cardiomegaly", "3", "R1", "20", "40", "60", "80"],
    ["a0", "Cardiomegaly", "3", "R2", "24", "40", "64", "80"],
    nothing("a0", "R3"),
    # one place, two classes, and a box of no height
    ["a1", "Nodule/Mass", "8", "R1", "0", "0", "32", "64"],
    ["a1", "Atelectasis", "1", "R2", "0", "0", "32", "64"],
    ["a1", "Atelectasis", "1", "R3", "8", "9", "20", "9"],
]


def stripes():
    """256 rows of 128 pixels, 12 bits: 1000 above, 3000 below."""
    return np.where(np.arange(256) < 128, 1000, 3000)[:, None] * np.ones((1, 128), int)


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).random((256, 128)), 10)
    return np.rint(4095 * (noise - noise.min()) / np.ptp(noise)).astype(int)


def write_film(path, values, photometric="MONOCHROME2"):
    """A film of 12 bits in JPEG 2000."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, photometric, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelSpacing = [0.2, 0.1]
    file.PixelData = values.astype(np.uint16).tobytes()
    file.compress(JPEG2000Lossless, generate_instance_uid=False)
    file.save_as(path, enforce_file_format=True)


def write_table(root, rows, header=HEADER):
    with (root / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def tree(tmp_path):
    """Seven films without finding by three readers, and two with boxes; a0 is stored as the negative."""
    root = tmp_path / "vindr"
    (root / "train").mkdir(parents=True)
    for seed, image in enumerate([*NORMALS, "a1"]):
        write_film(root / "train" / f"{image}.dicom", texture(seed))
    write_film(root / "train" / "a0.dicom", 4095 - stripes(), "MONOCHROME1")
    write_table(root, ROWS)
    return root


def small(root, *, seed=0):
    return plan(Request({"vindr": source_at(root)}, seed), SMALL)


def imported(root, folder):
    report = import_plan(small(root), folder, Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_counts_splits_and_what_is_left_out(tree, tmp_path):
    report, _, truth = imported(tree, tmp_path / "out")
    assert {split: len(truth[split].labels) for split in truth.splits} == {"train": 3, "val": 1, "test": 4}
    assert report.left_out == {"box of no width or height": 1, "healthy, not drawn": 1}
    assert truth.card.name in next(one for one in SPECS if one.name == "vindr-cxr").writes


def test_the_published_numbers_are_drawn():
    assert (DRAW.train + DRAW.val, DRAW.val, DRAW.test, DRAW.anomalous) == (4000, 400, 1000, 1000)


def test_a_negative_is_turned_over_windowed_and_stretched(tree, tmp_path):
    _, images, truth = imported(tree, tmp_path / "out")
    pixels = images["test"][:].pixels[truth["test"].names.index("a0"), 0]
    assert pixels.shape == (64, 64)
    np.testing.assert_allclose(pixels[:30], 0, atol=1e-6)  # 1000 and 3000 are the ends of the window
    np.testing.assert_allclose(pixels[34:], 1, atol=1e-6)


def test_boxes_are_merged_named_and_stretched(tree, tmp_path):
    test = imported(tree, tmp_path / "out")[2]["test"]
    boxes = {image: test.boxes[test.box_images == test.names.index(image)].tolist() for image in ("a0", "a1")}
    # 256 rows become 64, 128 columns 64: x halves, y is a quarter; 22..62 by 40..80
    assert boxes["a0"] == [[11, 10, 20, 10]]
    assert boxes["a1"] == [[0, 0, 16, 16]] * 2
    kinds = [test.box_pathologies[row] for row in np.flatnonzero(test.box_images == test.names.index("a1"))]
    assert kinds == ["Atelectasis", "Nodule/Mass"]


def test_pathologies_annotations_and_films_as_subjects(tree, tmp_path):
    test = imported(tree, tmp_path / "out")[2]["test"]
    places = [test.names.index(image) for image in ("a0", "a1")]
    assert [test.pathologies[place] for place in places] == ["Cardiomegaly", "several findings"]
    assert [test.annotations[place] for place in places] == ["box", "box"]
    assert len(set(test.subjects)) == 4


def test_normal_films_need_three_readers(tree):
    write_table(tree, [row for row in ROWS if row[:1] + row[3:4] != ["n0", "R3"]])
    found = small(tree)
    assert found.left_out["no finding, but by other than 3 readers"] == 1
    assert "n0" not in {item.name for item in found.items}


def test_the_steps_name_table_merging_and_seed(tree):
    select, split = small(tree, seed=6).selection
    assert (list(select["tables"]), split["seed"]) == (["train.csv"], 6)
    assert select["boxes"]["same class, IoU of at least"] == 0.3


def marks(*given):
    return [Mark(reader, finding, box) for reader, finding, box in given]


def test_overlap_is_intersection_over_union():
    assert iou((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(2 / 6)
    assert iou((0, 0, 2, 2), (5, 5, 1, 1)) == 0
    assert iou((1, 2, 3, 4), (1, 2, 3, 4)) == 1


def test_boxes_of_one_reader_are_never_merged():
    twice = marks(("R1", "ILD", (0, 0, 4, 4)), ("R1", "ILD", (0, 0, 4, 5)))
    assert merged(twice) == [("ILD", (0, 0, 4, 4)), ("ILD", (0, 0, 4, 5))]


def test_a_box_joins_the_lesion_that_it_overlaps_most():
    found = merged(marks(("R1", "ILD", (0, 0, 4, 4)), ("R1", "ILD", (3, 0, 4, 4)), ("R2", "ILD", (2, 0, 4, 4))))
    assert found == [("ILD", (0, 0, 4, 4)), ("ILD", (2.5, 0, 4, 4))]


def test_boxes_that_hardly_touch_stay_apart():
    # 3 of 13 shared is below 0.3
    assert len(merged(marks(("R1", "ILD", (0, 0, 8, 1)), ("R2", "ILD", (5, 0, 8, 1))))) == 2


def test_merging_does_not_depend_on_the_order_of_rows():
    given = marks(("R1", "ILD", (0, 0, 4, 4)), ("R2", "ILD", (1, 0, 4, 4)), ("R3", "ILD", (2, 0, 4, 4)))
    assert merged(given) == merged(given[::-1]) == [("ILD", (1, 0, 4, 4))]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["n0", "Odd", "9", "R1", "", "", "", ""], "row 29: class_name 'Odd' is none of Aortic enlargement"),
        (["n9", "No finding", "14", "R1", "0", "0", "1", "1"], "row 29: 'No finding' with a box"),
        (["a0", "ILD", "5", "R1", "1", "2", "", "4"], "row 29: x_max is ''. Give a number"),
        (["a0", "ILD", "5", "R3", "1", "2", "3", "4"], "reader R3 finds both nothing and something in a0"),
        (ROWS[0], "row 29: repeats train.csv, row 2"),
        (["", "ILD", "5", "R3", "1", "2", "3", "4"], "row 29: no image_id or no rad_id"),
        (nothing("n9", "R1"), None),
        (["z9", "ILD", "5", "R1", "1", "2", "3", "4"], "1 of 10 films are not there, as z9"),
    ],
)
def test_what_is_wrong_in_the_table_is_said_with_its_row(tree, row, sentence):
    write_table(tree, [*ROWS, row])
    if sentence is None:  # a film of one reader is left out, so that its absence does not matter
        assert small(tree).left_out["no finding, but by other than 3 readers"] == 1
        return
    with pytest.raises(InvalidDataError, match=sentence):
        small(tree)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda root: (root / "train.csv").unlink(),
            "there is no train.csv. It should hold train.csv and train/<image_id",
        ),
        (lambda root: (root / "train").rename(root / "films"), "there is no .dcm or .dicom file in train"),
        (lambda root: write_table(root, ROWS, [*HEADER[:3], "reader", *HEADER[4:]]), "column rad_id is missing"),
    ],
)
def test_a_layout_that_is_not_the_challenges_is_refused(tree, spoil, sentence):
    spoil(tree)
    with pytest.raises(InvalidDataError, match=sentence):
        small(tree)


def test_a_truncated_film_is_refused_with_its_row(tree, tmp_path):
    path = tree / "train" / "a1.dicom"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InvalidDataError, match=r"train/a1.dicom \(train.csv, row 26\): not a readable DICOM file"):
        imported(tree, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
