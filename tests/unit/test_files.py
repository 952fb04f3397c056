"""The files of a dataset and of a run: what is written is read back, and what is broken is refused in a sentence."""

import contextlib
import shutil
from dataclasses import replace

import factories
import h5py
import numpy as np
import pytest
from disk import largest_file

from uadbench.errors import EnvironmentProblemError, InvalidDataError
from uadbench.files.dataset import write_dataset
from uadbench.files.digest import digest_array, digest_texts
from uadbench.files.images import open_images
from uadbench.files.layout import write_text_atomically
from uadbench.files.predictions import open_predictions
from uadbench.files.results import read_result
from uadbench.files.truth import open_truth


@pytest.fixture
def toy(tmp_path):
    return factories.toy_dataset(tmp_path)


@pytest.fixture
def predictions(tmp_path, toy):
    return factories.toy_predictions(tmp_path / "predictions.h5", open_images(toy.images))


@contextlib.contextmanager
def edited(path):
    """The file, open for a change by hand."""
    with h5py.File(path, "r+") as file:
        yield file


def splits(**changes):
    return {
        split: [factories.sample(f"{split}-{i}", i) for i in range(3)] for split in ("train", "val", "test")
    } | changes


def sick(**changes):
    return {"test": [replace(factories.sample("sick", 0, sick=True), **changes)]}


def test_a_dataset_is_read_back_as_it_was_written(toy):
    images, truth = open_images(toy.images), open_truth(toy.truth)
    sample = {one.name: one for one in (factories.sample(f"sick-{i}", i, sick=True) for i in range(6))}["sick-3"]
    row = truth["test"].names.index("sick-3")
    assert images["test"].ids == truth["test"].ids
    assert images["test"][row : row + 1].pixels[0] == pytest.approx(sample.pixels / 255, abs=1e-6)
    assert np.array_equal(truth["test"].masks[row], sample.mask)


def test_ids_tell_nothing_and_their_order_is_shuffled(toy):
    truth = open_truth(toy.truth)["test"]
    assert not any("sick" in one or "test" in one for one in (*truth.ids, *truth.subjects))
    assert truth.labels.tolist() != sorted(truth.labels.tolist())


def test_the_identity_does_not_depend_on_pixels_but_on_labels(tmp_path):
    plain = write_dataset(tmp_path / "a", factories.card(), splits())
    bright = splits(train=[replace(one, pixels=one.pixels + 1) for one in splits()["train"]])
    other = write_dataset(tmp_path / "b", factories.card(), bright)
    marked = write_dataset(tmp_path / "c", factories.card(), splits(**sick()))
    digests = [open_images(paths.images).digests for paths in (plain, other, marked)]
    assert digests[0].identity == digests[1].identity != digests[2].identity
    assert digests[0].pixels != digests[1].pixels


def test_a_digest_says_what_an_array_holds_not_how_it_lies_in_memory():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert digest_array(array) == digest_array(np.asfortranarray(array)) == digest_array(array.astype(">f4"))
    assert digest_array(array) != digest_array(array.reshape(4, 3))
    assert digest_texts(["ab", "c"]) != digest_texts(["a", "bc"])


@pytest.mark.parametrize("opener", [open_images, open_truth, open_predictions])
def test_a_missing_file_is_named(opener, tmp_path):
    with pytest.raises(InvalidDataError, match=r"nowhere\.h5: no such file\. Check the path"):
        opener(tmp_path / "nowhere.h5")


@pytest.mark.parametrize("opener", [open_images, open_truth, open_predictions])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_no_hdf5_is_refused(opener, content, tmp_path):
    path = tmp_path / "foreign.h5"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"cannot be read as HDF5.*make it again"):
        opener(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("which", ["images", "truth", "predictions"])
def test_a_truncated_file_is_refused(which, share, toy, predictions):
    openers = {"images": open_images, "truth": open_truth, "predictions": open_predictions}
    path = predictions if which == "predictions" else getattr(toy, which)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidDataError, match=r"cannot be read as HDF5.*truncated"):
        openers[which](path)


def test_one_kind_of_file_is_not_taken_for_another(toy, predictions):
    for opener, path in ((open_truth, toy.images), (open_images, toy.truth), (open_images, predictions)):
        with pytest.raises(InvalidDataError, match=r"schema is 'uadbench-.*', not 'uadbench-.*Give the right file"):
            opener(path)


@pytest.mark.parametrize("opener", [open_images, open_truth, open_predictions])
@pytest.mark.parametrize("where", ["train", "val", "test", "test/ids"])
def test_a_file_with_the_right_schema_and_another_layout_is_refused(opener, where, toy, predictions):
    path = {open_images: toy.images, open_truth: toy.truth, open_predictions: predictions}[opener]
    with edited(path) as file:
        if where in file:
            del file[where]
        file[where] = np.arange(3)
    if opener is open_predictions and where == "train":
        return
    with pytest.raises(InvalidDataError, match=r"the layout uadbench-.*-v1 is broken.*Make the file again"):
        opener(path)


def test_an_attribute_that_is_no_json_is_refused(toy):
    with edited(toy.images) as file:
        file.attrs["citation"] = "{"
    with pytest.raises(InvalidDataError, match=r"the layout uadbench-images-v1 is broken"):
        open_images(toy.images)


def test_pixels_changed_after_writing_are_refused(toy):
    with edited(toy.images) as file:
        file["test/images"][0, 0, 0, 0] ^= 1
    with pytest.raises(InvalidDataError, match=r"the pixel digest is .*, but the file states .*make it again"):
        open_images(toy.images)


@pytest.mark.parametrize(("column", "value"), [("pathologies", "cyst"), ("boxes", (1, 1, 2, 2))])
def test_truth_changed_after_writing_is_refused(column, value, toy):
    with edited(toy.truth) as file:
        rows = np.flatnonzero(file["test/labels"][:])
        file[f"test/{column}"][rows[0]] = value
    with pytest.raises(InvalidDataError, match=r"the truth digest is .*, but the file states"):
        open_truth(toy.truth)


def test_a_mask_changed_after_writing_is_refused(toy):
    with edited(toy.truth) as file:
        row = np.flatnonzero(file["test/labels"][:])[0]
        file["test/masks"][row, 0, 0] = True
    with pytest.raises(InvalidDataError, match=r"the truth digest is"):
        open_truth(toy.truth)


def test_an_image_moved_to_another_subject_is_refused(toy):
    with edited(toy.images) as file:
        file["test/subjects"][0] = "somebody"
    with pytest.raises(InvalidDataError, match=r"the roster digest is"):
        open_images(toy.images)


def test_a_digest_changed_by_hand_is_refused(toy):
    with edited(toy.images) as file:
        file.attrs["truth_digest"] = "0" * 64
    with pytest.raises(InvalidDataError, match=r"identity digest does not follow.*make it again"):
        open_images(toy.images)


def test_a_subject_in_two_splits_is_refused_on_writing(tmp_path):
    both = splits(test=[replace(factories.sample("t", 1), subject="train-1")])
    with pytest.raises(
        InvalidDataError, match=r"Split 'test' of toy-v1: subject 'train-1' is also in 'train'. Split by"
    ):
        write_dataset(tmp_path, factories.card(), both)


@pytest.mark.parametrize("which", ["images", "truth"])
def test_a_subject_in_two_splits_is_refused_on_reading(which, toy):
    path = getattr(toy, which)
    with edited(path) as file:
        file["test/subjects"][0] = file["train/subjects"].asstr()[0]
    with pytest.raises(InvalidDataError, match=r"Split 'test' of toy-v1: subject '.*' is also in 'train'"):
        {"images": open_images, "truth": open_truth}[which](path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_anomalous_training_image_is_refused(split, tmp_path):
    with pytest.raises(InvalidDataError, match=rf"Split '{split}' of toy-v1: image 'sick' is anomalous .square."):
        write_dataset(tmp_path, factories.card(), splits(**{split: sick()["test"]}))


def test_a_mask_of_another_size_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"image 'sick' has size \(24, 24\), but its mask \(12, 24\)"):
        write_dataset(tmp_path, factories.card(), splits(**sick(mask=np.ones((12, 24), bool))))


def test_a_mask_of_numbers_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"image 'sick' has a mask of type uint8. Give bool"):
        write_dataset(tmp_path, factories.card(), splits(**sick(mask=np.full((24, 24), 255, np.uint8))))


def test_a_mask_that_marks_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"image 'sick' has annotation 'mask', label 1 and 0 mask pixels"):
        write_dataset(tmp_path, factories.card(), splits(**sick(mask=np.zeros((24, 24), bool))))


@pytest.mark.parametrize("box", [(20, 0, 8, 8), (-3, 0, 8, 8), (0, 0, 0, 8), (0, 0, 8, np.nan), (0, 25, 8, 8)])
def test_a_box_outside_the_image_is_refused(box, tmp_path):
    with pytest.raises(InvalidDataError, match=r"box .* of image 'sick' does not lie in 24 x 24 pixels. Give x, y"):
        write_dataset(tmp_path, factories.card(), splits(**sick(boxes=np.array([box], np.float32))))


def test_a_box_of_no_image_is_refused(toy):
    with edited(toy.truth) as file:
        file["test/box_images"][0] = 99
    with pytest.raises(InvalidDataError, match=r"Give .b, 4. boxes, and for each the row of its image, below 12"):
        open_truth(toy.truth)


@pytest.mark.parametrize(("pixels", "sentence"), [
    (np.zeros((1, 24, 24), np.float32), "is float32 .*Give uint8 or uint16"),
    (np.zeros((24, 24), np.uint8), r"is uint8 \(24, 24\). Give uint8 or uint16 \(c, h, w\)"),
])  # fmt: skip
def test_pixels_of_another_type_or_shape_are_refused(pixels, sentence, tmp_path):
    train = [replace(factories.sample("odd", 0), pixels=pixels)]
    with pytest.raises(InvalidDataError, match=sentence):
        write_dataset(tmp_path, factories.card(), splits(train=train))


def test_images_of_two_sizes_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"image 'big' is uint8 .1, 32, 32., others uint8 .1, 24, 24."):
        write_dataset(tmp_path, factories.card(), splits(val=[factories.sample("big", 0, size=32)]))


def test_an_empty_split_and_a_name_twice_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"Split 'val' of toy-v1 is empty"):
        write_dataset(tmp_path, factories.card(), splits(val=[]))
    with pytest.raises(InvalidDataError, match=r"Split 'val' of toy-v1: two images are called 'v'"):
        write_dataset(tmp_path, factories.card(), splits(val=[factories.sample("v", 0), factories.sample("v", 1)]))


def test_a_refused_dataset_leaves_no_file(tmp_path):
    with pytest.raises(InvalidDataError):
        write_dataset(tmp_path, factories.card(), splits(**sick(mask=np.zeros((24, 24), bool))))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 2000, 6000, 12000, 20000])
def test_no_space_left_is_a_sentence_and_leaves_no_file(size, tmp_path):
    sentence = r"(images|truth)\.h5: no space left.*Free some space"
    with largest_file(size), pytest.raises(EnvironmentProblemError, match=sentence):
        factories.toy_dataset(tmp_path)
    assert not list(tmp_path.glob("*.partial"))
    assert not (tmp_path / "toy-v1.truth.h5").exists()


def test_no_space_left_keeps_the_text_that_was_there(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with largest_file(100), pytest.raises(EnvironmentProblemError, match=r"note\.txt: no space left"):
        write_text_atomically(path, "new" * 100)
    assert path.read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblemError, match=r"cannot be written \(.*\). Choose another place"):
        write_text_atomically(tmp_path / "file" / "note.txt", "text")


def test_a_result_is_read_back_and_a_broken_one_refused(tmp_path):
    path = tmp_path / "result.json"
    factories.result().write(path)
    assert read_result(path) == factories.result()
    path.write_text(path.read_text().replace('"seal"', '"steal"'))
    with pytest.raises(InvalidDataError, match=r"not a valid Result .seal: Field required"):
        read_result(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"schema": "uadbench-result-v2"}'])
def test_what_is_no_result_is_refused(content, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"not a valid Result .*Make it again"):
        read_result(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(InvalidDataError, match=r"no such file"):
        read_result(path)


def test_two_processes_may_write_one_record_at_once(tmp_path):
    path = tmp_path / "result.json"
    (tmp_path / "result.json.partial").write_text("what another process is writing")
    write_text_atomically(path, "ours")
    assert (path.read_text(), (tmp_path / "result.json.partial").exists()) == ("ours", True)
