"""Datasets made of healthy test images and synthetic suites: from disk to disk, and from the command line."""

import json
from dataclasses import replace

import factories
import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import ndimage

from uadbench import plugins
from uadbench.cli.data import data
from uadbench.datasets.phantom.image import boxes_around
from uadbench.datasets.synthetic import SUITES, suite, synthesise
from uadbench.datasets.synthetic.disc import PitDisc
from uadbench.datasets.synthetic.healthy import read_healthy
from uadbench.datasets.synthetic.ra_phantom import SUITES_OF_RA, make
from uadbench.datasets.synthetic.synthesising import corrupt, seed_of
from uadbench.errors import InvalidDataError, UnknownNameError, UsageError
from uadbench.files.dataset import DatasetPaths, Sample, paths_in, write_dataset
from uadbench.files.images import open_images
from uadbench.files.layout import read_texts
from uadbench.files.truth import open_truth


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A toy dataset with two healthy test images of one subject and one of another, beside anomalous ones."""
    folder = tmp_path_factory.mktemp("source")
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(4)] for split in ("train", "val", "test")}
    splits["test"][1] = replace(splits["test"][1], subject="test-0")
    splits["test"] += [factories.sample(f"sick-{i}", i, sick=True) for i in range(3)]
    return write_dataset(folder, factories.card(), splits)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """Three suites on that source."""
    folder = tmp_path_factory.mktemp("made")
    return synthesise(source, ["ra-copy-paste", "pit-disc", "dae-noise"], folder, name="synthetic-toy-v1")


def stored(paths, split):
    """Name -> (pixels, foreground, original subject) of a split, as stored."""
    with h5py.File(paths.images) as images, h5py.File(paths.truth) as truth:
        names, subjects = (read_texts(truth[split], column) for column in ("names", "original_subjects"))
        columns = (images[split]["images"][:], images[split]["foreground"][:], subjects)
        return dict(zip(names, zip(*columns, strict=True), strict=True))


def test_a_made_dataset_has_every_suite_on_every_healthy_test_image(made):
    truth = open_truth(made.truth)["test"]
    counts = {name: truth.pathologies.count(name) for name in set(truth.pathologies)}
    assert counts == {"healthy": 4, "ra-copy-paste": 4, "pit-disc": 4, "dae-noise": 4}
    assert {level for level, label in zip(truth.annotations, truth.labels, strict=True) if label} == {"mask"}


def test_train_and_val_are_those_of_the_source(source, made):
    for split in ("train", "val"):
        before, after = stored(source, split), stored(made, split)
        assert set(before) == set(after)
        for name, (pixels, foreground, subject) in before.items():
            assert np.array_equal(pixels, after[name][0])
            assert np.array_equal(foreground, after[name][1])
            assert subject == after[name][2]


def test_a_corrupted_image_keeps_its_subject_and_its_clean_twin(source, made):
    before, after, truth = stored(source, "test"), stored(made, "test"), open_truth(made.truth)["test"]
    assert len(set(truth.subjects)) == 3  # four images of three subjects
    for row, name in enumerate(truth.names):
        pixels, foreground, subject = after[name]
        clean, clean_foreground, clean_subject = before[name.rpartition("/")[2]]
        assert subject == clean_subject
        assert np.array_equal(foreground, clean_foreground)
        assert np.array_equal(np.rint(truth.clean[row] * 255), clean)
        assert np.array_equal(pixels[:, ~truth.masks[row]], clean[:, ~truth.masks[row]])
        assert np.array_equal(pixels, clean) == (not truth.labels[row])


def test_every_8_connected_component_has_its_box(made):
    truth = open_truth(made.truth)["test"]
    for row in range(len(truth)):
        boxes = truth.boxes[truth.box_images == row]
        assert len(boxes) == ndimage.label(truth.masks[row], np.ones((3, 3)))[1]
        assert np.array_equal(boxes, boxes_around(truth.masks[row]))


def test_an_image_depends_on_seed_suite_and_row_alone(source, made, tmp_path):
    alone = synthesise(source, ["dae-noise"], tmp_path, name="synthetic-toy-v1")
    other = synthesise(source, ["dae-noise"], tmp_path, name="synthetic-toy-v2", seed=1)
    together, by_itself, reseeded = (stored(paths, "test") for paths in (made, alone, other))
    for name in by_itself:
        assert np.array_equal(together[name][0], by_itself[name][0])
        assert np.array_equal(reseeded[name][0], by_itself[name][0]) == ("dae-noise" not in name)


def test_making_a_dataset_twice_gives_the_same_digests(source, made, tmp_path):
    heard = []
    names = ["dae-noise", "pit-disc", "ra-copy-paste"]
    again = synthesise(
        source, names, tmp_path, name="synthetic-toy-v1", report=lambda done, total: heard.append((done, total))
    )
    assert open_images(again.images).digests == open_images(made.images).digests
    assert heard == [(done, 12) for done in range(1, 13)]


def test_the_card_tells_where_the_images_come_from(source, made):
    card, digests = open_images(made.images).card, open_images(source.images).digests
    step = card.preprocessing[-1]
    assert step["source"] == {"name": "toy-v1", "version": "1", "identity": digests.identity, "pixels": digests.pixels}
    assert step["suites"]["pit-disc"]["intensity"] == 0.6
    assert "Of toy-v1: Made up." in card.notes
    assert card.citation.endswith("(pitfalls); Kascenas et al., MIDL 2022 (DAE).")


def test_sixteen_bits_stay_sixteen_bits():
    pixels = np.random.default_rng(0).integers(0, 65536, (1, 64, 64)).astype(np.uint16)
    healthy = Sample(pixels, np.ones((64, 64), bool), "one", "one")
    for name in SUITES:
        (corrupted,) = corrupt(healthy, suite(name), name, seed_of(0, name, 0))
        assert corrupted.pixels.dtype == np.uint16
        assert np.array_equal(corrupted.pixels[:, ~corrupted.mask], pixels[:, ~corrupted.mask])


def test_a_stored_intensity_is_the_nearest_one():
    (disc,) = corrupt(factories.sample("one", 0), PitDisc(0.45), "pit-disc", seed_of(0, "pit-disc", 0))
    assert set(disc.pixels[0, disc.mask]) == {115}  # 0.45 * 255 = 114.75


def test_seed_suite_and_row_each_give_a_stream_of_their_own():
    places = [(0, "pit-disc", 0), (1, "pit-disc", 0), (0, "pit-shuffle", 0), (0, "pit-disc", 1)]
    assert len({np.random.default_rng(seed_of(*place)).random() for place in places}) == 4


def dataset_of(folder, healthy):
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(2)] for split in ("train", "val")}
    splits["test"] = [*healthy, factories.sample("sick", 0, sick=True)]
    return write_dataset(folder, factories.card(), splits)


def black(name):
    return replace(factories.sample(name, 0), pixels=np.zeros((1, 24, 24), np.uint8))


def test_an_image_on_which_nothing_shows_is_left_out_and_told(tmp_path):
    source = dataset_of(tmp_path, [black("dark"), factories.sample("plain", 1)])
    made = synthesise(source, ["pit-disc"], tmp_path, name="discs-v1")
    assert open_truth(made.truth)["test"].pathologies.count("pit-disc") == 1
    assert any("pit-disc: 1 of 2 images are left out" in note for note in open_images(made.images).card.notes)


def test_a_suite_that_shows_on_no_image_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="'pit-disc' shows on none of 1 healthy test images in 30 draws"):
        synthesise(dataset_of(tmp_path, [black("dark")]), ["pit-disc"], tmp_path, name="discs-v1")


def test_a_source_without_healthy_test_images_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="no healthy image in test"):
        synthesise(dataset_of(tmp_path, []), ["pit-disc"], tmp_path, name="discs-v1")


def test_a_source_in_colour_is_refused(tmp_path):
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(2)] for split in ("train", "val", "test")}
    coloured = {
        split: [replace(one, pixels=np.repeat(one.pixels, 3, axis=0)) for one in rows] for split, rows in splits.items()
    }
    with pytest.raises(InvalidDataError, match="images of 3 channels"):
        read_healthy(write_dataset(tmp_path, factories.card(), coloured))


def test_images_and_truth_of_two_datasets_are_refused(source, made):
    with pytest.raises(InvalidDataError, match="different identity digests"):
        read_healthy(DatasetPaths(source.images, made.truth))


BAD = [
    ({"suites": ["pit-disk"]}, UnknownNameError, "Did you mean 'pit-disc'"),
    ({"suites": []}, UsageError, "No suite to put on the images"),
    ({"name": "my data"}, UsageError, "letters, digits and single dashes"),
    ({"name": "toy-v1"}, UsageError, "is the source itself"),
    ({"seed": -1}, UsageError, "--seed -1: give 0 or more"),
    ({"source": DatasetPaths("gone.images.h5", "gone.truth.h5")}, InvalidDataError, "gone.images.h5: no such file"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD)
def test_a_bad_request_is_answered_with_a_sentence(source, change, error, sentence):
    wish = {"source": source, "suites": ["pit-disc"], "folder": source.images.parent, "name": "new-v1", "seed": 0}
    wish |= change
    with pytest.raises(error, match=sentence):
        synthesise(wish["source"], wish["suites"], wish["folder"], name=wish["name"], seed=wish["seed"])


def test_ra_on_phantoms_needs_the_phantoms(tmp_path):
    with pytest.raises(InvalidDataError, match="Make that first with `uadbench data make brain-phantom-v1`"):
        make(tmp_path)


def test_ra_on_phantoms_is_made_beside_them(tmp_path):
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(2)] for split in ("train", "val", "test")}
    write_dataset(tmp_path, factories.card("brain-phantom-v1"), splits)
    images = open_images(make(tmp_path, workers=2))
    truth = open_truth(paths_in(tmp_path, "synthetic-ra-phantom-v1").truth)
    assert images.card.name == "synthetic-ra-phantom-v1"
    assert set(truth["test"].pathologies) == {"healthy", *SUITES_OF_RA}


def test_the_sets_of_the_ra_protocols_are_known():
    assert plugins.resolve(plugins.dataset("synthetic-ra-phantom-v1").make) is make
    brought = plugins.dataset("synthetic-ra-fastmri-v1")
    assert not brought.make
    assert all(f"--suite {name}" in brought.how for name in SUITES_OF_RA)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A workspace with the toy dataset."""
    monkeypatch.setenv("UADBENCH_HOME", str(tmp_path))
    factories.toy_dataset(tmp_path / "data")
    return tmp_path


def test_the_command_makes_a_dataset_of_the_workspace(home):
    wish = ["synthesise", "toy-v1", "--suite", "pit-disc", "--suite", "ra-copy-paste", "--name", "new-v1"]
    ended = CliRunner().invoke(data, wish, catch_exceptions=False)
    assert ended.exit_code == 0
    assert str(home / "data" / "new-v1.images.h5") in ended.output
    assert "Synthetic anomalies on the healthy test images of toy-v1" in ended.output
    assert len(open_images(home / "data" / "new-v1.images.h5")["test"]) == 18


def test_the_command_lists_the_suites():
    shown = CliRunner().invoke(data, ["synthesise", "--list"], catch_exceptions=False).output
    assert all(name in shown for name in SUITES)
    records = json.loads(CliRunner().invoke(data, ["synthesise", "--list", "--json"]).output)
    assert [record["name"] for record in records] == list(SUITES)
    assert {"strength", "octaves"} < set(records[-1]["params"])


@pytest.mark.parametrize("wish", [[], ["toy-v1"], ["--name", "new-v1"]])
def test_the_command_asks_for_a_source_and_a_name(home, wish):
    ended = CliRunner().invoke(data, ["synthesise", *wish])
    assert isinstance(ended.exception, UsageError)
    assert "Say from which dataset and under which name" in str(ended.exception)


def test_the_command_names_a_dataset_that_is_not_there(home):
    ended = CliRunner().invoke(data, ["synthesise", "toy-v2", "--suite", "pit-disc", "--name", "new-v1"])
    assert isinstance(ended.exception, UnknownNameError)
    assert "Did you mean 'toy-v1'" in str(ended.exception)
