"""fastmri-ra: RA's two test sets from fastMRI files, fastMRI+ boxes and IXI; the annotation table; the shipped list."""

import csv
import hashlib
import zipfile
from collections import Counter
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import zoom

from uadbench import plugins
from uadbench.datasets.fastmri.annotations import CLASSES, read_annotations
from uadbench.datasets.fastmri.importing import SEVERAL, plans
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.mr_specs import SPECS
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

nibabel = pytest.importorskip("nibabel", reason="IXI volumes are written with nibabel")
LIST = files("uadbench.datasets.fastmri").joinpath("ra_split.csv")
REAL = Path(__file__).parents[4] / "shared" / "data" / "fastmri" / "brain.csv"
HEADER = "file,slice,study_level,x,y,width,height,label"
BOXED = "file_brain_AXT1_201_6002688"  # local, slice 3


def listed(role):
    return [row for row in csv.DictReader(LIST.read_text().splitlines()) if row["role"] == role]


def texture(seed, shape):
    """Smooth, and another for each seed."""
    coarse = np.random.default_rng(seed).uniform(100, 900, (12, 12))
    return zoom(coarse, (shape[0] / 12, shape[1] / 12), order=1)


def write_scan(folder, name):
    """Seven slices of 40 x 32, 1000 x (index + 1) in a block that lies 3 to 8 rows from below."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    stack = np.stack([texture([seed, index], (40, 32)) for index in range(7)]).astype(np.float32)
    for index in range(7):
        stack[index, 32:37, 2:12] = 1000 * (index + 1)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["reconstruction_rss"] = stack


def write_ixi(folder, number, site="Guys"):
    values = np.stack([texture([number, z], (24, 28)) for z in range(6)], axis=2).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"IXI{number:03d}-{site}-0{number}-T1.nii.gz")


def rows_of_boxes(files_and_slices):
    """One mass per local file, on its slice."""
    return [f"{file},{index},No,2,3,10,5,Mass" for file, index in files_and_slices]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A tree of every listed file, two IXI volumes, and boxes made for it."""
    folder = tmp_path_factory.mktemp("fastmri")
    scans, ixi, tables = (folder / name for name in ("brain/multicoil_train", "ixi", "fastmri-plus/Annotations"))
    for place in (scans, ixi, tables):
        place.mkdir(parents=True)
    for name in {row["file"] for row in csv.DictReader(LIST.read_text().splitlines())}:
        write_scan(scans, name)
    for number in (2, 12):
        write_ixi(ixi, number)
    lines = rows_of_boxes((row["file"], row["slice"]) for row in listed("test_local") if row["slice"])
    (tables / "brain.csv").write_text("\n".join([HEADER, *lines]))
    return {"fastmri": folder / "brain", "ixi": ixi, "annotations": folder / "fastmri-plus"}


def request(roots, **other):
    return Request({key: source_at(path) for key, path in (roots | other).items()})


def table(tmp_path, *lines, header=HEADER):
    """A folder with this brain.csv."""
    (tmp_path / "brain.csv").write_text("\n".join([header, *lines]))
    return tmp_path


@pytest.fixture(scope="module")
def both(roots, tmp_path_factory):
    """The global and the local dataset of the tree: report, images and truth of each."""
    folder, found = tmp_path_factory.mktemp("imported"), []
    for plan in plans(request(roots)):
        report = import_plan(plan, folder, Terms())
        found.append((report, open_images(report.paths.images), open_truth(report.paths.truth)))
    return found


@pytest.mark.parametrize("spec", [one for one in SPECS if one.importer], ids=lambda one: one.name)
def test_every_importer_of_brain_mri_is_where_its_spec_says(spec):
    assert callable(plugins.resolve(spec.importer))


def test_the_list_is_the_one_that_its_page_describes():
    assert hashlib.sha256(LIST.read_bytes()).hexdigest() == (
        "87b250a7c1e5200678114382561f761f45ba47330c205890f62c166dff6edfef"
    )


def test_the_global_set_has_the_numbers_of_the_paper(both):
    _, images, truth = both[0]
    assert (images.card.name, len(images["train"]), len(images["val"])) == ("fastmri-global-v1", 131 + 2, 15)
    assert Counter(truth["test"].pathologies) == {"healthy": 30, "pathology": 27, "artefacts": 23}
    assert Counter(truth["test"].annotations) == {"none": 30, "image": 50}


def test_the_local_set_leaves_out_what_has_no_slice(both):
    report, images, truth = both[1]
    assert images.card.name == "fastmri-local-v1"
    assert Counter(truth["test"].pathologies) == {"healthy": 30, "mass": 97}
    assert report.left_out == {"local file whose slice is not known": 1}
    assert (len(truth["test"].boxes), set(truth["test"].box_pathologies)) == (97, {"mass"})


def test_the_two_sets_train_on_the_same_files(both):
    names = [sorted(truth[split].names) for _, _, truth in both for split in ("train", "val")]
    assert names[:2] == names[2:]
    assert "IXI002-Guys-0828-T1" not in names[0]
    assert {"IXI002-Guys-02-T1", "IXI012-Guys-012-T1"} <= set(names[0])


def test_files_are_subjects_and_ixi_volumes_their_people(roots):
    subjects = {item.name: item.subject for item in plans(request(roots))[0].items}
    assert subjects[listed("train_normal")[0]["file"]] == listed("train_normal")[0]["file"]
    assert subjects["IXI002-Guys-02-T1"] == "IXI002"


def test_a_box_lies_where_the_slice_turned_upside_down_is_bright(both):
    _, images, truth = both[1]
    row = truth["test"].names.index(BOXED)
    one = images["test"][row : row + 1].pixels[0, 0]
    place = truth["test"].box_images.tolist().index(row)
    # 40 x 32 pixels, 4 columns padded left, all times 3.2
    assert truth["test"].boxes[place] == pytest.approx([19.2, 9.6, 32.0, 16.0], abs=1e-5)
    assert one.shape == (128, 128)
    assert one[17, 35] == 1
    assert one[128 - 17, 35] < 0.5


def slices(plan):
    return {item.name: item.picture.slice for item in plan.items}


def test_slices_are_those_of_the_list_and_three_where_it_has_none(roots):
    overall, local = plans(request(roots))
    assert slices(overall)["file_brain_AXT1_201_6002719"] == 3
    # an artefact file that is local too shows its local slice
    assert slices(overall)["file_brain_AXT1_201_6002783"] == slices(local)["file_brain_AXT1_201_6002783"] == 2
    assert {slices(local)[row["file"]] for row in listed("train_normal")} == {3}
    assert Counter(slices(local)[row["file"]] for row in listed("test_local") if row["slice"])[3] == 74


def test_boxes_of_no_class_are_ignored_and_several_classes_have_a_word(roots, tmp_path):
    lines = (
        f"{BOXED},3,No,2,3,10,5,Extra-axial mass",
        f"{BOXED},3,No,4,20,5,5,Craniectomy",
        f"{BOXED},3,No,20,20,5,5,Possible artifact",
        f"{BOXED},2,No,9,9,5,5,Edema",
        f"{BOXED},0,Yes,,,,,Motion artifact",
    )
    plan = plans(request(roots, annotations=table(tmp_path, *lines)))[1]
    (one,) = (item for item in plan.items if item.label)
    assert (one.pathology, one.box_pathologies) == (SEVERAL, ("mass", "craniotomy"))
    assert (one.boxes, one.ignored) == (((2, 3, 10, 5), (4, 20, 5, 5)), ((20, 20, 5, 5),))
    assert plan.left_out["local file with no box of the 13 classes on its slice"] == 96


def test_a_board_is_told_what_differs_from_the_paper(both):
    notes = " ".join(both[0][1].card.notes)
    assert "IXI: 2 volumes as published, not registered" in notes
    assert "The papers have 581." in notes


def test_the_steps_record_the_list_and_the_table(both, roots):
    steps = {step["step"]: step for step in both[1][1].card.preprocessing}
    assert steps["split"]["sha256"] == hashlib.sha256(LIST.read_bytes()).hexdigest()
    table_ = roots["annotations"] / "Annotations" / "brain.csv"
    assert steps["boxes"]["sha256"] == hashlib.sha256(table_.read_bytes()).hexdigest()
    assert (steps["flip"]["of"], steps["grey"]["bits"]) == ("fastMRI", [16])


def test_a_zip_gives_what_its_folder_gives(roots, tmp_path):
    path = tmp_path / "scans.zip"
    with zipfile.ZipFile(path, "w") as file:
        for scan in sorted(roots["fastmri"].rglob("*.h5")):
            file.write(scan, scan.relative_to(roots["fastmri"]))
    folder, zipped = (plans(request(roots, fastmri=one))[1] for one in (roots["fastmri"], path))
    assert [(one.name, one.picture.file) for one in folder.items] == [
        (one.name, one.picture.file) for one in zipped.items
    ]


def test_missing_files_are_counted_and_the_first_named(roots, tmp_path):
    write_scan(tmp_path, BOXED)
    first = "file_brain_AXT1_201_6002697, file_brain_AXT1_201_6002699, "
    with pytest.raises(InvalidDataError, match=rf"311 of the 312 files that RA's lists name are missing: {first}"):
        plans(request(roots, fastmri=tmp_path))


def test_a_folder_without_scans_is_told_the_layout(roots, tmp_path):
    with pytest.raises(InvalidDataError, match=r"no file_brain_\*\.h5 lies there.* multicoil_train"):
        plans(request(roots, fastmri=tmp_path))


def test_a_scan_twice_is_refused(roots, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_scan(tmp_path / name, BOXED)
    with pytest.raises(InvalidDataError, match=rf"{BOXED} lies there twice, as 'a/.*' and 'b/"):
        plans(request(roots, fastmri=tmp_path))


def test_a_root_without_the_table_is_refused(roots, tmp_path):
    with pytest.raises(InvalidDataError, match=r"Root annotations: holds 0 files brain\.csv"):
        plans(request(roots, annotations=tmp_path))


def read(*lines, header=HEADER):
    return read_annotations("\n".join([header, *lines]).encode(), "brain.csv")


def test_a_box_without_area_is_dropped_and_counted():
    found = read("a,1,No,5,5,0,3,Mass", "a,1,No,5,5,3,0,Mass", "a,1,No,5,5,3,3,Mass", "a,0,Yes,,,,,Normal for age")
    assert ([one.box for one in found.boxes], found.empty) == ([(5, 5, 3, 3)], 2)
    assert found.studies == [("a", "Normal for age")]


def test_columns_are_found_by_their_names():
    found = read("Mass,No,3,4,5,6,a,7", header="label,study_level,x,y,width,height,file,slice")
    assert [(one.file, one.slice, one.box, one.label) for one in found.boxes] == [("a", 7, (3, 4, 5, 6), "Mass")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a,1,No,1,1,3,3,Masss", r"row 3 \(a\): label 'Masss' is none of the 30 of fastMRI\+"),
        ("a,1,Maybe,1,1,3,3,Mass", r"row 3 \(a\): study_level 'Maybe' is neither Yes nor No"),
        ("a,-1,No,1,1,3,3,Mass", r"row 3 \(a\): slice '-1' is no index"),
        ("a,1,No,1,,3,3,Mass", r"row 3 \(a\): x, y, width, height are '1', '', '3', '3'"),
        ("a,1,No,1,1,3,nan,Mass", r"Give four numbers"),
        ("a,1,No,5,5,3,3,Mass", r"row 3 \(a\): the same box as row 2"),
        ("a,1,No,1,1,3,3", r"row 3 has 7 fields for 8 columns"),
    ],
)
def test_a_row_that_breaks_its_rule_is_named(line, sentence):
    with pytest.raises(InvalidDataError, match=sentence):
        read("a,1,No,5,5,3,3,Mass", line)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"file,slice,x,y,width,height,label\n", "lacks column study_level; found file, slice, x"),
        (HEADER.encode(), "brain.csv lists nothing"),
        (b"\xff\xfe", "not a CSV file in UTF-8"),
        (b"", "found nothing"),
    ],
)
def test_a_table_that_is_none_is_refused(raw, sentence):
    with pytest.raises(InvalidDataError, match=sentence):
        read_annotations(raw, "brain.csv")


@pytest.fixture(scope="module")
def real():
    """The published table."""
    if not REAL.is_file():
        pytest.skip("brain.csv of fastMRI+ does not lie in shared/data/fastmri beside the checkout")
    return read_annotations(REAL.read_bytes(), "brain.csv")


def test_the_published_table_is_read_whole(real):
    assert (len(real.boxes), real.empty, len(real.studies)) == (7570 - 2, 2, 643)
    assert len({one.label for one in real.boxes} | {label for _, label in real.studies}) == 30


def test_the_published_table_has_the_counts_of_the_t1_files(real):
    boxes = Counter(one.label for one in real.boxes if "AXT1_" in one.file)
    studies = Counter(label for file, label in real.studies if "AXT1_" in file)
    # one box of post-treatment has no area
    assert (boxes["Posttreatment change"], boxes["Craniotomy"], boxes["Mass"], boxes["Edema"]) == (557, 324, 203, 165)
    assert (studies["Normal for age"], studies["Motion artifact"]) == (174, 13)


def test_the_published_table_gives_the_boxes_of_the_paper(real, roots):
    plan = plans(request(roots, annotations=REAL.parent))[1]
    sick = [item for item in plan.items if item.label]
    boxes = Counter(name for item in sick for name in item.box_pathologies)
    shown = Counter(name for item in sick for name in set(item.box_pathologies))
    assert {name: (boxes[name], shown[name]) for name in sorted(boxes)} == {
        "absent septum": (1, 1), "craniotomy": (15, 14), "dural thickening": (7, 6), "edema": (18, 17),
        "encephalomalacia": (1, 1), "enlarged ventricles": (19, 16), "intraventricular substance": (1, 1),
        "lesions": (22, 19), "mass": (26, 17), "post-treatment": (44, 28), "resection cavity": (10, 8),
        "sinus opacification": (2, 2), "white matter lesion": (5, 3),
    }  # fmt: skip
    assert (len(sick), boxes.total(), len(set(CLASSES.values()))) == (92, 171, 13)
    assert sum(item.pathology == SEVERAL for item in sick) == 28
    assert plan.left_out["local file with no box of the 13 classes on its slice"] == 5
    assert plan.left_out["local file whose slice is not known"] == 1
