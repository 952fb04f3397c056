"""`padchest`: films, labels and patients of a small tree in the dataset's layout, and what is left out or refused."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from uadbench.datasets.cxr import SPECS
from uadbench.datasets.cxr.padchest import TABLE, plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

HEADER = [
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "Projection", "Pediatric",
    "PhotometricInterpretation_DICOM", "MethodLabel", "Labels", "Localizations", "labelCUIS",
]  # fmt: skip
USUAL = {
    "ImageDir": "0", "Projection": "PA", "Pediatric": "No", "PhotometricInterpretation_DICOM": "MONOCHROME2",
    "MethodLabel": "Physician", "Labels": "['normal']",
}  # fmt: skip
HEALTHY = [{"ImageID": f"h{number}.png", "PatientID": f"p{number}"} for number in range(10)]
SICK = [
    {"ImageID": "s0.png", "PatientID": "q0", "Labels": "['cardiomegaly', ' pleural effusion', '']", "ImageDir": "54"},
    {"ImageID": "s1.png", "PatientID": "q1", "Labels": "['pneumonia', 'scoliosis']", "Projection": "AP"},
    {"ImageID": "s1-before.png", "PatientID": "q1"},
]
LEFT_OUT = {
    "Projection 'L'": {"Projection": "L"},
    "Projection 'AP_horizontal'": {"Projection": "AP_horizontal"},
    "Pediatric 'PED'": {"Pediatric": "PED"},
    "MethodLabel 'RNN_model'": {"MethodLabel": "RNN_model"},
    "stored as MONOCHROME1": {"PhotometricInterpretation_DICOM": "MONOCHROME1"},
    "no label": {"Labels": ""},
    "label 'exclude'": {"Labels": "['exclude', 'pneumonia']"},
    "labels that are not chosen": {"Labels": "['normal', 'scoliosis']"},
    "no PatientID": {"PatientID": ""},
    "picture that is not there": {"ImageDir": "17"},
}


def steps():
    """100 x 200 pixels: 2 % of them 1000, 1 % 5000, the others 2000 left and 4000 right; and a few far outside."""
    values = np.tile(np.repeat([2000, 4000], 100), (100, 1))
    values[:2], values[-1] = 1000, 5000
    values[50, :10], values[50, -10:] = 0, 60000
    return values.astype(np.uint16)


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).random((100, 200)), 6)
    return np.rint(40000 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint16)


def build(root, rows):
    for seed, row in enumerate(rows):
        whole = USUAL | row
        folder = root / ("0" if whole["ImageDir"] == "17" else whole["ImageDir"])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(steps() if row["ImageID"] == "s0.png" else texture(seed)).save(folder / row["ImageID"])
    write_table(root, rows)
    return root


def write_table(root, rows, header=HEADER):
    with (root / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(USUAL | row for row in rows)


@pytest.fixture
def tree(tmp_path):
    """Ten healthy patients, two ill ones, one of them with an earlier normal film."""
    return build(tmp_path / "padchest", [*HEALTHY, *SICK])


def plan(root, *, seed=0):
    return plans(Request({"padchest": source_at(root)}, seed))[0]


def imported(root, folder):
    report = import_plan(plan(root), folder, Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def test_patients_are_split_and_those_with_a_finding_are_in_test_whole(tree, tmp_path):
    report, _, truth = imported(tree, tmp_path / "out")
    assert {split: len(truth[split].labels) for split in truth.splits} == {"train": 7, "val": 1, "test": 5}
    test = truth["test"]
    assert {"s0.png", "s1.png", "s1-before.png"} < set(test.names)
    assert test.subjects[test.names.index("s1-before.png")] == test.subjects[test.names.index("s1.png")]
    assert report.left_out == {}


def test_pathologies_are_the_chosen_labels(tree, tmp_path):
    test = imported(tree, tmp_path / "out")[2]["test"]
    found = {name: (bool(label), kind, level) for name, label, kind, level in zip(test.names, test.labels, test.pathologies, test.annotations, strict=True)}  # fmt: skip  # noqa: E501
    assert found["s0.png"] == (True, "several findings", "image")
    assert found["s1.png"] == (True, "pneumonia", "image")
    assert found["s1-before.png"] == (False, "healthy", "none")


def test_sixteen_bits_are_windowed_and_padded_to_128_pixels(tree, tmp_path):
    _, images, truth = imported(tree, tmp_path / "out")
    pixels = images["test"][:].pixels[truth["test"].names.index("s0.png"), 0]
    assert pixels.shape == (128, 128)
    # the window is 1000 to 5000; 200 x 100 pixels lie in the middle half of the rows
    np.testing.assert_allclose(pixels[34:60, 8:60], 0.25, atol=1 / 255)
    np.testing.assert_allclose(pixels[34:60, 68:120], 0.75, atol=1 / 255)
    assert (pixels[:30].max(), pixels[98:].max()) == (0, 0)


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_what_is_left_out_is_counted(tmp_path, reason):
    odd = {"ImageID": "odd.png", "PatientID": "odd", **LEFT_OUT[reason]}
    found = plan(build(tmp_path, [*HEALTHY, *SICK, odd]))
    assert {why: n for why, n in found.left_out.items() if n} == {reason: 1}
    assert "odd.png" not in {item.name for item in found.items}


def test_a_table_without_the_photometric_column_is_read(tree):
    write_table(tree, [*HEALTHY, *SICK], [column for column in HEADER if not column.startswith("Photo")])
    assert len(plan(tree).items) == 13


def test_the_steps_name_table_findings_and_seed(tree):
    select, split = plan(tree, seed=5).selection
    assert list(select["tables"]) == [TABLE]
    assert "cardiomegaly" in select["findings"]
    assert (split["seed"], split["val"], split["test"]) == (5, 0.1, 0.2)
    assert next(one for one in SPECS if one.name == "padchest").writes == (plan(tree).card.name,)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([*HEALTHY, HEALTHY[0]], r"row 12: h0.png is listed already in .*, row 2"),
        ([{**HEALTHY[0], "Labels": "normal"}], r"row 2: Labels 'normal' are not a list"),
        ([{**HEALTHY[0], "Labels": "'normal'"}], r"row 2: Labels .* are not a list"),
        ([{**HEALTHY[0], "Labels": "[1]"}], r"row 2: Labels '\[1\]' are not a list"),
        ([], "has no row"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(tree, rows, sentence):
    write_table(tree, rows)
    with pytest.raises(InvalidDataError, match=sentence):
        plan(tree)


def test_a_missing_column_lists_those_found(tree):
    write_table(tree, HEALTHY, [column for column in HEADER if column != "PatientID"])
    with pytest.raises(
        InvalidDataError, match=r"column PatientID is missing or there twice; found .*ImageID, ImageDir"
    ):
        plan(tree)


def test_folders_that_are_still_zipped_are_named(tmp_path):
    (tmp_path / "0.zip").write_bytes(b"")
    write_table(tmp_path, HEALTHY)
    with pytest.raises(
        InvalidDataError, match=r"Left out: 10 \(picture that is not there\).* 1 zips lie there: unpack"
    ):
        plan(tmp_path)
