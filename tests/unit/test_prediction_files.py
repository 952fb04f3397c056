"""The prediction file: sealed whole or not at all, and never scored when anything in it changed."""

import contextlib

import factories
import h5py
import numpy as np
import pytest
from disk import largest_file

from uadbench.errors import EnvironmentProblemError, InvalidDataError
from uadbench.files import predictions as file_format
from uadbench.files.digest import canonical_json
from uadbench.files.images import open_images
from uadbench.files.predictions import PredictionWriter, open_predictions
from uadbench.scoring import score
from uadbench.types import Prediction


@pytest.fixture
def toy(tmp_path):
    return factories.toy_dataset(tmp_path)


@pytest.fixture
def images(toy):
    return open_images(toy.images)


@pytest.fixture
def predictions(tmp_path, images):
    return factories.toy_predictions(tmp_path / "predictions.h5", images)


@contextlib.contextmanager
def edited(path):
    """The file, open for a change by hand."""
    with h5py.File(path, "r+") as file:
        yield file


def predicted(source, rows=slice(None), *, every=1, reconstructed=False):
    """Split, ids and prediction of some rows of a split; the image is the map."""
    batch = source[rows.start or 0 : len(source) if rows.stop is None else rows.stop]
    maps = batch.pixels.mean(axis=1)[:, ::every, ::every]
    return source.split, batch.ids, Prediction(maps, np.zeros(len(maps)), maps[:, None] if reconstructed else None)


def pack(path, *batches):
    """Write and seal these batches."""
    with PredictionWriter(path, {}) as writer:
        for split, ids, prediction in batches:
            writer.append(split, ids, prediction)


@pytest.mark.parametrize("size", [0, 2000, 8000, 16000, 24000])
def test_no_space_left_for_predictions_leaves_no_file(size, tmp_path, images):
    path = tmp_path / "full.h5"
    with largest_file(size), pytest.raises(EnvironmentProblemError, match=r"full\.h5: no space left"):
        factories.toy_predictions(path, images)
    assert not list(tmp_path.glob("full*"))


def test_predictions_changed_after_sealing_are_refused(predictions):
    with edited(predictions) as file:
        file["test/maps"][0, 0, 0] += 1
    with pytest.raises(InvalidDataError, match=r"the seal .* does not fit the content.*delete it and run again"):
        open_predictions(predictions)


@pytest.mark.parametrize("change", ["test/scores", "val/maps", "provenance"])
def test_the_seal_covers_scores_validation_and_provenance(change, predictions):
    with edited(predictions) as file:
        if change == "provenance":
            file.attrs["provenance"] = '{"method": "patchcore"}'
        else:
            file[change][0] = 0.5
    with pytest.raises(InvalidDataError, match=r"the seal .* does not fit"):
        open_predictions(predictions)


def test_unsealed_predictions_are_never_scored(toy, predictions):
    with edited(predictions) as file:
        del file.attrs["seal"]
    with pytest.raises(InvalidDataError, match=r"the file is not sealed; the run that wrote it did not finish"):
        score(factories.protocol(), toy.images, toy.truth, predictions)


def test_a_writer_that_does_not_finish_leaves_nothing_to_score(tmp_path, images):
    broken = ("test", [object()], None)
    with pytest.raises(AttributeError):
        pack(tmp_path / "half.h5", predicted(images["val"]), broken)
    assert not list(tmp_path.glob("half*"))


def test_predictions_of_one_split_only_are_not_sealed(tmp_path, images):
    with pytest.raises(InvalidDataError, match=r"split 'test' has 0 predictions of 0 images"):
        pack(tmp_path / "half.h5", predicted(images["val"]))
    assert not list(tmp_path.glob("half*"))


def test_an_image_predicted_twice_is_not_sealed(tmp_path, images):
    with pytest.raises(InvalidDataError, match=r"split 'val' has 12 predictions of 6 images"):
        pack(tmp_path / "twice.h5", predicted(images["val"]), predicted(images["val"]), predicted(images["test"]))


def test_maps_of_two_sizes_are_refused(tmp_path, images):
    with pytest.raises(InvalidDataError, match=r"val/maps of size \(12, 12\) after \(24, 24\). Keep one size"):
        pack(tmp_path / "sizes.h5", predicted(images["val"]), predicted(images["val"], every=2))


def test_reconstructions_of_some_images_only_are_refused(tmp_path, images):
    first, last = predicted(images["val"], slice(0, 3)), predicted(images["val"], slice(3, 6), reconstructed=True)
    with pytest.raises(InvalidDataError, match=r"split 'val' has 3 reconstructions for 6 maps. Reconstruct every"):
        pack(tmp_path / "some.h5", first, last, predicted(images["test"]))


def test_training_images_are_not_predicted(tmp_path, images):
    with pytest.raises(InvalidDataError, match=r"split 'train' is not predicted. Give 'val' or 'test'"):
        pack(tmp_path / "train.h5", predicted(images["train"]))


@pytest.mark.parametrize("name", ["test/maps", "test/scores"])
def test_a_seal_of_another_writer_does_not_bring_nan_in(name, predictions, monkeypatch):
    with edited(predictions) as file:
        file[name][0] = np.nan
        monkeypatch.setattr(file_format, "_finite", lambda dataset, rows: dataset[rows])
        file.attrs["seal"], _ = file_format._digest(file)
    monkeypatch.undo()
    with pytest.raises(InvalidDataError, match=rf"/{name} holds values that are not finite. Predict finite"):
        open_predictions(predictions)


@pytest.mark.parametrize("stated", [1, 2, 10**6])
def test_a_file_that_misstates_its_distinct_values_is_refused(stated, predictions):
    with edited(predictions) as file:
        file.attrs["distinct_values"] = stated
    with pytest.raises(
        InvalidDataError, match=rf"states {stated} distinct values of the test maps, which hold \d+\. It"
    ):
        open_predictions(predictions)


def test_a_file_states_how_many_distinct_values_its_test_maps_have(predictions):
    opened = open_predictions(predictions)
    assert opened.distinct_values == len(np.unique(opened["test"].maps(slice(None))))
    assert opened.distinct_values != len(np.unique(opened["val"].maps(slice(None))))


def test_predictions_of_other_data_are_not_scored(tmp_path, toy, predictions):
    other = factories.toy_dataset(tmp_path / "other", each=5)
    with pytest.raises(InvalidDataError, match=r"predictions for None with identity .*Run the method on this dataset"):
        score(factories.protocol(), other.images, other.truth, predictions)


def test_predictions_that_name_no_method_are_scored_all_the_same(tmp_path, toy, images):
    path = factories.toy_predictions(tmp_path / "mine.h5", images, method="", seed=0)
    result = score(factories.protocol(), toy.images, toy.truth, path)
    assert (result.method, result.seed) == ("unnamed", 0)


def test_the_same_predictions_make_the_same_bytes(tmp_path, images, predictions):
    again = factories.toy_predictions(tmp_path / "again.h5", images)
    assert again.read_bytes() == predictions.read_bytes()


def resealed(path, monkeypatch):
    """Seal the file as another writer could, whatever is in it."""
    with monkeypatch.context() as patch, edited(path) as file:
        patch.setattr(file_format, "_finite", lambda dataset, rows: dataset[rows])
        file.attrs["seal"], file.attrs["distinct_values"] = file_format._digest(file)


def replaced(file, name, **how):
    """The data set under `name` written anew."""
    data = file[name][:]
    del file[name]
    file.create_dataset(name, data=data, **how)


@pytest.mark.parametrize("kind", [h5py.ExternalLink, h5py.SoftLink])
def test_maps_that_lie_behind_a_link_are_refused(kind, predictions, toy, monkeypatch):
    with edited(predictions) as file:
        del file["test/maps"]
        file["test/maps"] = (
            h5py.ExternalLink(toy.truth, "test/masks") if kind is h5py.ExternalLink else kind("/val/maps")
        )
    resealed(predictions, monkeypatch)
    with pytest.raises(InvalidDataError, match=r"/test/maps is a link\. Store the data itself there"):
        open_predictions(predictions)


def test_maps_that_are_a_view_of_the_truth_file_are_refused(predictions, toy, monkeypatch):
    with edited(predictions) as file:
        layout = h5py.VirtualLayout(file["test/maps"].shape, np.float32)
        layout[:] = h5py.VirtualSource(str(toy.truth), "test/masks", layout.shape)
        del file["test/maps"]
        file["test"].create_virtual_dataset("maps", layout)
    resealed(predictions, monkeypatch)
    with pytest.raises(InvalidDataError, match="/test/maps is stored outside the file"):
        open_predictions(predictions)


@pytest.mark.parametrize("how", [{"external": "elsewhere.raw"}, {"compression": "lzf"}])
def test_maps_in_another_file_or_behind_another_filter_are_refused(how, predictions, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with edited(predictions) as file:
        replaced(file, "test/maps", **how)
    with pytest.raises(InvalidDataError, match="/test/maps is stored outside the file or by a foreign filter"):
        open_predictions(predictions)


def test_maps_that_were_never_written_are_refused_before_they_are_read(predictions):
    with edited(predictions) as file:
        del file["test/maps"]
        file["test"].create_dataset("maps", (10**7, 128, 128), np.float32, chunks=(1, 128, 128))
    with pytest.raises(InvalidDataError, match=r"/test/maps .* claims more than the file can hold"):
        open_predictions(predictions)


def test_a_group_within_a_split_is_refused(predictions):
    with edited(predictions) as file:
        file["test/deeper"] = file["test"]
    with pytest.raises(InvalidDataError, match="/test/deeper is neither a split nor a column"):
        open_predictions(predictions)


@pytest.mark.parametrize(("name", "kind"), [("test/maps", "float64"), ("val/scores", "float32")])
def test_values_of_another_type_are_refused(name, kind, predictions, monkeypatch):
    with edited(predictions) as file:
        replaced(file, name, dtype=kind)
    with pytest.raises(InvalidDataError, match=rf"{name} are {kind}, not float"):
        open_predictions(predictions)


@pytest.mark.parametrize("said", [{"seed": "3"}, {"seed": 1.5}, {"dataset": []}, {"params": 1}, {"title": "a" * 3000}])
def test_provenance_of_another_shape_is_refused(said, predictions, monkeypatch):
    with edited(predictions) as file:
        file.attrs["provenance"] = canonical_json(said)
    resealed(predictions, monkeypatch)
    with pytest.raises(InvalidDataError, match=rf"the provenance says {next(iter(said))} = .* Give an? "):
        open_predictions(predictions)


@pytest.mark.parametrize("text", ['{"seed":0,"seed":1}', '{"params":{"a":NaN}}', "[]", '{"seed": 0}'])
def test_provenance_that_is_no_canonical_json_is_refused(text, predictions, monkeypatch):
    with edited(predictions) as file:
        file.attrs["provenance"] = text
    resealed(predictions, monkeypatch)
    with pytest.raises(InvalidDataError, match=r"no canonical JSON object|not JSON compliant"):
        open_predictions(predictions)
