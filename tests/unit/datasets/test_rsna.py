"""`rsna-pneumonia`: films, boxes and classes of a small tree in the challenge's layout, and what is refused."""

import csv
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage
from scipy.ndimage import gaussian_filter

from uadbench.datasets.cxr import SPECS
from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.cxr.rsna import BOXES, CLASSES, DRAW, FILMS, PATIENTS, plan, plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

SMALL = Draw(test=2, val=1, train=3, anomalous=2)
NORMALS = [f"n{number}" for number in range(8)]
OTHERS = {"o0": "Lung Opacity", "o1": "Lung Opacity", "x0": "No Lung Opacity / Not Normal"}
KINDS = {**dict.fromkeys(NORMALS, "Normal"), **OTHERS}
HEADER = ["patientId", "x", "y", "width", "height", "Target"]
ROWS = [
    *([patient, "", "", "", "", "0"] for patient in [*NORMALS, "x0"]),
    ["o0", "16.0", "32.0", "8.0", "64.0", "1"],
    ["o0", "40.0", "0.0", "24.0", "16.0", "1"],
    ["o1", "2.0", "4.0", "10.0", "20.0", "1"],
    ["o1", "2.0", "4.0", "0.0", "20.0", "1"],
]


def quarters():
    """128 rows of 64 pixels: 51 and 102 above, 153 and 204 below."""
    return np.kron(np.array([[51, 102], [153, 204]], np.uint8), np.ones((64, 32), np.uint8))


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).random((128, 64)), 6)
    return np.rint(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def write_film(path, values):
    """A film of 8 bits in baseline JPEG, as the challenge's."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = JPEGBaseline8Bit, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
    jpeg = io.BytesIO()
    Image.fromarray(values).save(jpeg, "JPEG", quality=95)
    file.PixelData = encapsulate([jpeg.getvalue()])
    file.save_as(path, enforce_file_format=True)


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def tree(tmp_path):
    """The challenge's folder: eight normal films, two with opacities, one of neither class, one that no table lists."""
    root = tmp_path / "rsna"
    (root / FILMS).mkdir(parents=True)
    for seed, patient in enumerate([*KINDS, "unlisted"]):
        write_film(root / FILMS / f"{patient}.dcm", quarters() if patient == "o0" else texture(seed))
    write_table(root / BOXES, HEADER, ROWS)
    # as the challenge's, once for every box
    write_table(root / CLASSES, ["patientId", "class"], [[row[0], KINDS[row[0]]] for row in ROWS])
    return root


def small(root, *, seed=0):
    return plan(Request({"rsna": source_at(root)}, seed), SMALL)


def imported(root, folder, *, seed=0):
    report = import_plan(small(root, seed=seed), folder, Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def subjects(truth):
    return {split: set(truth[split].subjects) for split in ("train", "val", "test")}


def test_counts_and_splits_are_as_drawn(tree, tmp_path):
    report, _, truth = imported(tree, tmp_path / "out")
    assert {split: len(truth[split].labels) for split in truth.splits} == {"train": 3, "val": 1, "test": 4}
    assert sorted(truth["test"].pathologies) == ["Lung Opacity", "Lung Opacity", "healthy", "healthy"]
    assert report.left_out == {
        "class 'No Lung Opacity / Not Normal'": 1,
        "film that no table lists": 1,
        "box of no width or height": 1,
        "healthy, not drawn": 2,
    }


def test_the_published_numbers_are_drawn():
    assert (DRAW.train + DRAW.val, DRAW.test, DRAW.anomalous) == (3851, 1000, 1000)
    assert DRAW.val == round(3851 / 10)


def test_a_film_is_stretched_to_64_pixels(tree, tmp_path):
    _, images, truth = imported(tree, tmp_path / "out")
    pixels = images["test"][:].pixels[truth["test"].names.index("o0"), 0]
    assert pixels.shape == (64, 64)
    for (rows, columns), value in {(0, 0): 51, (0, 32): 102, (32, 0): 153, (32, 32): 204}.items():
        np.testing.assert_allclose(pixels[rows + 4 : rows + 28, columns + 4 : columns + 28], value / 255, atol=0.01)


def test_boxes_follow_the_stretch(tree, tmp_path):
    truth = imported(tree, tmp_path / "out")[2]["test"]
    place = truth.names.index("o0")
    # rows halve, columns stay
    np.testing.assert_array_equal(truth.boxes[truth.box_images == place], [[16, 16, 8, 32], [40, 0, 24, 8]])
    assert (truth.annotations[place], truth.pathologies[place], truth.labels[place]) == ("box", "Lung Opacity", 1)
    assert truth.annotations[truth.names.index("o1")] == "box"


def test_a_film_whose_boxes_are_all_empty_is_anomalous_by_its_label_alone(tree, tmp_path):
    write_table(tree / BOXES, HEADER, [row for row in ROWS if row[:3] != ["o1", "2.0", "4.0"] or row[3] == "0.0"])
    truth = imported(tree, tmp_path / "out")[2]["test"]
    assert truth.annotations[truth.names.index("o1")] == "image"


def test_the_steps_name_tables_and_seed(tree, tmp_path):
    select, split, _, show = imported(tree, tmp_path / "out", seed=3)[1].card.preprocessing[:4]
    assert set(select["tables"]) == {BOXES, CLASSES}
    assert (split["rule"][:14], split["seed"], split["images"]["train"]) == ("whole subjects", 3, 3)
    assert (show["what"], show["rule"][-23:]) == ("DICOM film", "MONOCHROME1 turned over")


def test_the_seed_decides_who_is_where(tree, tmp_path):
    first, again, other = (
        subjects(imported(tree, tmp_path / name, seed=seed)[2]) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


def test_a_zip_and_a_folder_make_the_same_dataset(tree, tmp_path):
    with zipfile.ZipFile(tmp_path / "rsna.zip", "w") as file:
        for one in sorted(tree.rglob("*.*")):
            file.write(one, f"rsna-pneumonia-detection-challenge/{one.relative_to(tree)}")
    _, zipped, _ = imported(tmp_path / "rsna.zip", tmp_path / "a")
    assert zipped.digests == imported(tree, tmp_path / "b")[1].digests


def test_films_of_one_nih_patient_stay_together(tree, tmp_path):
    owners = {"n0": 7, "n1": 7, "n2": 9, "o0": 9}
    records = [{"subset_img_id": film, "img_id": f"{owner:08d}_000.png"} for film, owner in owners.items()]
    (tree / PATIENTS).write_text(json.dumps(records))
    report, _, truth = imported(tree, tmp_path / "out")
    homes = {name: split for split in truth.splits for name in truth[split].names}
    assert homes.get("n0") == homes.get("n1")
    assert "n2" not in homes  # its patient has an opacity in another film
    assert report.left_out["healthy image of a subject with an anomalous one"] == 1
    assert not any("of its own" in note for note in truth.card.notes)


def test_without_the_patients_every_film_is_one_and_the_board_says_so(tree):
    assert {item.subject for item in small(tree).items} == {*NORMALS, "o0", "o1"}
    assert any("patient of its own" in note for note in small(tree).card.notes)


def test_the_spec_names_what_the_importer_writes(tree):
    spec = next(one for one in SPECS if one.name == "rsna-pneumonia")
    assert spec.writes == (small(tree).card.name,)
    whole = plans(Request({"rsna": source_at(tree)}))[0]
    with pytest.raises(InvalidDataError, match="8 images of 8 subjects do not fill test 1000, val 385, train 3466"):
        whole.settle(whole.items)


def with_row(*row):
    return lambda root: write_table(root / BOXES, HEADER, [*ROWS, row])


def with_class(*row):
    rows = [[patient, kind] for patient, kind in KINDS.items()]
    return lambda root: write_table(root / CLASSES, ["patientId", "class"], [*rows, row])


BAD = {
    "no table": (lambda root: (root / BOXES).unlink(), "there is no stage_2_train_labels.csv. It should hold"),
    "no films": (lambda root: shutil.rmtree(root / FILMS), "there is no .dcm or .dicom file in stage_2_train_images"),
    "a film gone": (lambda root: (root / FILMS / "n3.dcm").unlink(), "1 of 10 films are not there, as n3. Fetch"),
    "a column gone": (
        lambda root: write_table(root / BOXES, HEADER[:-1], [row[:-1] for row in ROWS]),
        "column Target is missing or there twice; found patientId, x, y, width, height",
    ),
    "an empty table": (lambda root: write_table(root / BOXES, HEADER, []), "stage_2_train_labels.csv: has no row"),
    "no text": (lambda root: (root / BOXES).write_bytes(b"\xff\xfe\xfa"), "not a CSV file in UTF-8"),
    "a ragged row": (with_row("o1", "1"), "row 15: 2 fields for 6 columns"),
    "another target": (with_row("n9", "", "", "", "", "2"), "row 15: Target '2' is neither 0 nor 1"),
    "no number": (with_row("o1", "1", "1", "wide", "5", "1"), "row 15: width is 'wide'. Give a number"),
    "a box twice": (with_row("o1", "2", "4", "10", "20", "1"), "row 15: box .* of o1 is listed already"),
    "a patient twice": (with_row("n0", "", "", "", "", "0"), "row 15: n0 is listed already in .*row 2"),
    "a box of a healthy film": (with_row("n9", "1", "1", "5", "5", "0"), "row 15: Target 0 has a box"),
    "no patient": (with_row("", "", "", "", "", "0"), "row 15: no patientId"),
    "a patient without class": (with_row("n9", "", "", "", "", "0"), "1 patients are in one of .* only, as n9"),
    "an unknown class": (with_class("n0", "Odd"), "row 13: class 'Odd' is none of Normal, Lung Opacity"),
    "two classes": (with_class("n0", "Lung Opacity"), "row 13: n0 is 'Lung Opacity', before 'Normal'"),
    "class against target": (
        lambda root: write_table(
            root / BOXES, HEADER, [["o0", "", "", "", "", "0"], *(r for r in ROWS if r[0] != "o0")]
        ),
        "row 2: Target 0 of o0, whose class in .* is 'Lung Opacity'",
    ),
    "patients that are no list": (
        lambda root: (root / PATIENTS).write_text("[1]"),
        "not a list of records with img_id",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_said_with_its_row(tree, bad):
    spoil, sentence = BAD[bad]
    spoil(tree)
    with pytest.raises(InvalidDataError, match=sentence):
        small(tree)


def test_a_box_outside_its_film_is_refused_with_film_and_row(tree, tmp_path):
    with_row("o1", "60", "1", "9", "9", "1")(tree)
    with pytest.raises(InvalidDataError, match=r"o1.dcm \(stage_2_train_labels.csv, row 13\): box .* 64 x 128 pixels"):
        imported(tree, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
