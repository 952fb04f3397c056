"""`covid19-radiography`: two datasets of a small tree in the database's layout, and what is refused."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from uadbench.datasets.cxr import SPECS
from uadbench.datasets.cxr.covid import Extent, both, plans
from uadbench.datasets.cxr.drawing import Draw
from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.errors import InvalidDataError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth

SMALL = Extent(normal=10, opacity=3, covid=(3, 4), draw=Draw(test=2, val=2))
FILMS = {"Normal": 10, "Lung_Opacity": 3, "COVID": 4, "Viral Pneumonia": 1}


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).random((50, 50)), 2)
    grey = np.rint(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    return np.kron(grey, np.ones((6, 6), np.uint8))[:299, :299]


def halves():
    """299 x 299 pixels: 51 above, 204 below, as the colour pictures that the database has among the grey ones."""
    grey = np.where(np.arange(299) < 150, 51, 204).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None], (299, 299, 3)).copy()


@pytest.fixture
def tree(tmp_path):
    """The database's folder, with its lung masks, which are no lesions and not read."""
    root = tmp_path / "covid" / "COVID-19_Radiography_Dataset"
    seed = 0
    for kind, count in FILMS.items():
        for part in ("images", "masks"):
            (root / kind / part).mkdir(parents=True)
        for number in range(1, count + 1):
            seed += 1
            Image.fromarray(texture(seed)).save(root / kind / "images" / f"{kind}-{number}.png")
            Image.fromarray(texture(0)).save(root / kind / "masks" / f"{kind}-{number}.png")
    Image.fromarray(halves()).save(root / "COVID" / "images" / "COVID-3.png")
    return root


def small(root, *, seed=0):
    return both(Request({"covid": source_at(root.parent)}, seed), SMALL)


def imported(plan, folder):
    report = import_plan(plan, folder, Terms())
    return report, open_images(report.paths.images), open_truth(report.paths.truth)


def normals(truth, split):
    return {name for name in truth[split].names if name.startswith("Normal-")}


def test_both_datasets_are_written_with_their_counts(tree, tmp_path):
    pneumonia, covid = (imported(plan, tmp_path)[2] for plan in small(tree))
    assert {split: len(pneumonia[split].labels) for split in pneumonia.splits} == {"train": 6, "val": 2, "test": 5}
    assert {split: len(covid[split].labels) for split in covid.splits} == {"train": 6, "val": 2, "test": 4}
    spec = next(one for one in SPECS if one.name == "covid19-radiography")
    assert spec.writes == (pneumonia.card.name, covid.card.name)


def test_both_train_on_the_same_normal_films(tree, tmp_path):
    pneumonia, covid = (imported(plan, tmp_path)[2] for plan in small(tree))
    for split in ("train", "val", "test"):
        assert normals(pneumonia, split) == normals(covid, split)


def test_covid_films_are_those_of_the_given_numbers(tree, tmp_path):
    report, _, truth = imported(small(tree)[1], tmp_path)
    test = truth["test"]
    assert sorted(name for name, label in zip(test.names, test.labels, strict=True) if label) == ["COVID-3", "COVID-4"]
    assert {test.pathologies[test.names.index(name)] for name in ("COVID-3", "COVID-4")} == {"COVID"}
    assert {test.annotations[test.names.index(name)] for name in ("COVID-3", "COVID-4")} == {"image"}
    assert report.left_out == {
        "other film of COVID": 2,
        "other film of Lung_Opacity": 3,
        "other film of Viral Pneumonia": 1,
    }


def test_the_published_choice_has_2474_covid_films_and_all_normals():
    extent = Extent()
    first, last = extent.covid
    assert (first, last, last - first + 1) == (1143, 3616, 2474)
    assert extent.normal - extent.draw.test - extent.draw.val == 8154


def test_a_colour_picture_of_grey_becomes_its_grey_at_128_pixels(tree, tmp_path):
    _, images, truth = imported(small(tree)[1], tmp_path)
    pixels = images["test"][:].pixels[truth["test"].names.index("COVID-3"), 0]
    assert pixels.shape == (128, 128)
    np.testing.assert_allclose(pixels[:60], 51 / 255, atol=1e-6)
    np.testing.assert_allclose(pixels[70:], 204 / 255, atol=1e-6)


def test_near_duplicates_are_one_patient(tree, tmp_path):
    shutil.copy(tree / "Normal/images/Normal-1.png", tree / "Normal/images/Normal-7.png")
    truth = imported(small(tree)[0], tmp_path)[2]
    homes = {name: (split, truth[split].subjects[place]) for split in truth.splits for place, name in enumerate(truth[split].names)}  # fmt: skip  # noqa: E501
    assert homes["Normal-1"] == homes["Normal-7"]
    assert len({subject for _, subject in homes.values()}) == len(homes) - 1


def test_a_normal_film_that_is_an_anomalous_one_too_is_left_out(tree, tmp_path):
    shutil.copy(tree / "Normal/images/Normal-1.png", tree / "Lung_Opacity/images/Lung_Opacity-2.png")
    report, _, truth = imported(small(tree)[0], tmp_path)
    assert report.left_out["healthy image of a subject with an anomalous one"] == 1
    assert not any("Normal-1" in truth[split].names for split in truth.splits)
    assert len(truth["train"].labels) == 5


def test_the_steps_name_numbers_and_seed(tree):
    select, split = small(tree, seed=4)[1].selection
    assert select["films"] == {"Normal": [1, 10], "COVID": [3, 4]}
    assert (split["seed"], split["images"]["test"]) == (4, 2)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda root: shutil.rmtree(root / "Normal"),
            "there is no film in Normal/images. It should hold COVID-19_Radio",
        ),
        (
            lambda root: [(root / f"Normal/images/Normal-{number}.png").unlink() for number in (2, 3, 4, 5)],
            "4 of 10 films of Normal/images are not there, as Normal-2.png, Normal-3.png, Normal-4.png. Fetch",
        ),
        (lambda root: shutil.copytree(root, root / "copy"), "both .* and .* are film 1 of COVID. Keep one"),
    ],
)
def test_what_is_missing_or_double_is_said(tree, spoil, sentence):
    spoil(tree)
    with pytest.raises(InvalidDataError, match=sentence):
        small(tree)


def test_a_part_of_the_database_is_refused(tree):
    with pytest.raises(InvalidDataError, match="10182 of 10192 films of Normal/images are not there"):
        plans(Request({"covid": source_at(tree.parent)}))


def test_a_truncated_picture_is_refused_by_name(tree, tmp_path):
    path = tree / "COVID/images/COVID-4.png"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InvalidDataError, match=r"COVID/images/COVID-4.png: not a readable picture"):
        imported(small(tree)[1], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
