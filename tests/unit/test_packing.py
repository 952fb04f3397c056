"""Packing: every format of a map comes through, every bad folder is one sentence, and nothing half-written stays."""

import shutil
import sys

import factories
import nibabel
import numpy as np
import pytest
from PIL import Image

from uadbench.board import Entry, leaderboard
from uadbench.errors import InvalidDataError, MissingLibraryError, UsageError
from uadbench.files.images import open_images
from uadbench.files.predictions import open_predictions
from uadbench.files.submission import AcceptedRow, Submitter
from uadbench.files.truth import open_truth
from uadbench.packing import ExternalMethod, pack_predictions
from uadbench.scoring import score

SIZE = (24, 24)
OURS = ExternalMethod("our-vae", "Our VAE", code="v1.2")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return factories.toy_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def images(toy):
    return open_images(toy.images)


def every_id(images):
    return [*images["val"].ids, *images["test"].ids]


def levels_of(place):
    """Whole numbers that every format can hold."""
    return np.random.default_rng(place).integers(0, 4000, SIZE, dtype=np.uint16)


@pytest.fixture
def folder(tmp_path, images):
    """One npy file per image."""
    (tmp_path / "maps").mkdir()
    for place, name in enumerate(every_id(images)):
        np.save(tmp_path / "maps" / f"{name}.npy", levels_of(place).astype(np.float32))
    return tmp_path / "maps"


@pytest.fixture
def packed(tmp_path, images):
    """Packs a folder and opens what came of it."""

    def pack(folder, method=OURS, **options):
        return open_predictions(pack_predictions(folder, images, tmp_path / "out.h5", method, **options))

    return pack


def write(path, array):
    """The array in the format that the name says."""
    if path.name.endswith(".npy"):
        np.save(path, array)
    elif path.name.endswith(".npz"):
        np.savez(path, array)
    elif ".nii" in path.name:
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    else:
        Image.fromarray(array).save(path)


FORMATS = [
    (".npy", np.float32), (".npy", np.float64), (".npy", np.int64), (".npz", np.float32), (".png", np.uint16),
    (".tif", np.float32), (".tiff", np.uint16), (".TIF", np.float32), (".nii", np.float32), (".nii.gz", np.int16),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "kind"), FORMATS)
def test_every_format_holds_the_same_map(ending, kind, folder, images, packed):
    name = images["test"].ids[0]
    before = packed(folder)["test"].maps(slice(0, 1))
    stored = np.load(folder / f"{name}.npy")
    (folder / f"{name}.npy").unlink()
    write(folder / f"{name}{ending}", stored.astype(kind))
    np.testing.assert_array_equal(packed(folder)["test"].maps(slice(0, 1)), before)


def test_maps_come_in_the_order_of_the_images(folder, images, packed):
    found = packed(folder)
    assert found["test"].ids == images["test"].ids
    np.testing.assert_array_equal(found["val"].maps(slice(2, 3))[0], levels_of(2))


def test_a_nifti_of_one_slice_is_a_map(folder, images, packed):
    name = images["val"].ids[0]
    (folder / f"{name}.npy").unlink()
    write(folder / f"{name}.nii.gz", levels_of(0).astype(np.float32)[..., None])
    np.testing.assert_array_equal(packed(folder)["val"].maps(slice(0, 1))[0], levels_of(0))


def test_without_scores_the_score_is_the_mean_of_the_map(folder, packed):
    found = packed(folder)
    np.testing.assert_allclose(found["val"].scores[1], levels_of(1).mean())
    assert found.provenance["score"] == "mean of map"


def scores_file(tmp_path, images, *, change=lambda lines: lines):
    lines = ["id,score", *(f"{name},{place / 4}" for place, name in enumerate(every_id(images)))]
    (tmp_path / "scores.csv").write_text("\n".join(change(lines)), encoding="utf-8")
    return tmp_path / "scores.csv"


def test_scores_are_taken_by_id(folder, tmp_path, images, packed):
    shuffled = scores_file(tmp_path, images, change=lambda lines: [lines[0], *reversed(lines[1:])])
    found = packed(folder, scores=shuffled)
    assert found["val"].scores.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25]
    assert found.provenance["score"] == "given"


SCORES = [
    (lambda lines: lines[:-2], r"scores.csv: 2 of 18 scores are missing, the first of [0-9a-f]{12}"),
    (lambda lines: [*lines, lines[1]], r"scores.csv, line 20: id '[0-9a-f]{12}' is there twice"),
    (lambda lines: [*lines, "someone,1"], r"line 20: no image of val or test has the id 'someone'. Remove the line"),
    (lambda lines: ["name,score", *lines[1:]], r"has the columns name, score, not id. Begin the file with .* id,score"),
    (lambda lines: [], r"has the columns none, not id, score"),
    (lambda lines: [lines[0], lines[1].replace("0.0", "high")], r"line 2: score 'high' is no finite number"),
    (lambda lines: [lines[0], lines[1].replace("0.0", "nan")], r"line 2: score 'nan' is no finite number"),
    (lambda lines: [lines[0], lines[1].partition(",")[0]], r"line 2: score '' is no finite number"),
]


@pytest.mark.parametrize(("change", "says"), SCORES)
def test_bad_scores_are_a_sentence(change, says, folder, tmp_path, images, packed):
    with pytest.raises(InvalidDataError, match=says):
        packed(folder, scores=scores_file(tmp_path, images, change=change))


def test_a_scores_file_that_cannot_be_read_is_a_sentence(folder, tmp_path, packed):
    with pytest.raises(InvalidDataError, match=r"nowhere.csv: cannot be read \(No such file or directory\)"):
        packed(folder, scores=tmp_path / "nowhere.csv")
    (tmp_path / "odd.csv").write_bytes(b"id,score\n\xff,1\n")
    with pytest.raises(InvalidDataError, match=r"odd.csv: cannot be read .* Give a CSV file in UTF-8"):
        packed(folder, scores=tmp_path / "odd.csv")


def with_nan(array):
    array[3, 4] = np.nan
    return array


WRONG = [
    (".npy", lambda array: array[:12], r"holds an array \(12, 24\), but the images are \(24, 24\). Write one map"),
    (".npy", lambda array: np.stack([array] * 3, -1), r"holds an array \(24, 24, 3\), but the images are"),
    (".npy", with_nan, r"1 values are not finite as float32"),
    (".npy", lambda array: array.astype(np.float64) * 1e39, r"\d+ values are not finite as float32"),
    (".npy", lambda array: array + 1j, r"holds complex64, not real numbers"),
    (".npy", lambda array: np.array([[object()]]), r"cannot be read \(.*allow_pickle"),
    (".png", lambda array: array.astype(np.uint8), r"an 8-bit picture has 256 levels at most.*Write 16 bits"),
    (".tif", lambda array: array.astype(np.uint8), r"an 8-bit picture has 256 levels at most"),
    (".png", lambda array: np.stack([array.astype(np.uint8)] * 3, -1), r"a picture of mode 'RGB', colour or with alph"),
    (".nii", lambda array: np.stack([array] * 2, -1), r"holds an array \(24, 24, 2\), but the images are"),
]


@pytest.mark.parametrize(("ending", "change", "says"), WRONG)
def test_a_wrong_map_is_a_sentence_with_the_file_and_nothing_is_written(
    ending, change, says, folder, images, packed, tmp_path
):
    name = images["test"].ids[3]
    array = change(np.load(folder / f"{name}.npy"))
    (folder / f"{name}.npy").unlink()
    write(folder / f"{name}{ending}", array)
    with pytest.raises(InvalidDataError, match=rf"{name}{ending}: {says}"):
        packed(folder)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("ending", [".npy", ".npz", ".png", ".tif", ".nii", ".nii.gz"])
@pytest.mark.parametrize("keep", [0, 60, 0.7], ids=["empty", "header", "most"])
def test_a_truncated_map_of_any_format_is_a_sentence(keep, ending, folder, images, packed):
    name = images["val"].ids[2]
    (folder / f"{name}.npy").unlink()
    path = folder / f"{name}{ending}"
    write(path, levels_of(0) if ending == ".png" else levels_of(0).astype(np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    with pytest.raises(InvalidDataError, match=rf"{name}{ending}: cannot be read .*It is truncated or another format"):
        packed(folder)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".png", ".nii"])
def test_text_in_place_of_a_map_is_a_sentence(ending, folder, images, packed):
    name = images["val"].ids[0]
    (folder / f"{name}.npy").unlink()
    (folder / f"{name}{ending}").write_text("no map")
    with pytest.raises(InvalidDataError, match=rf"{name}{ending}: cannot be read"):
        packed(folder)


def test_an_archive_of_two_arrays_is_refused(folder, images, packed):
    name = images["val"].ids[0]
    (folder / f"{name}.npy").unlink()
    np.savez(folder / f"{name}.npz", one=levels_of(0), two=levels_of(1))
    with pytest.raises(InvalidDataError, match=rf"{name}.npz: holds 2 arrays \(one, two\). Store the map alone"):
        packed(folder)


def test_a_picture_of_two_pages_is_refused(folder, images, packed):
    name = images["val"].ids[0]
    (folder / f"{name}.npy").unlink()
    page = Image.fromarray(levels_of(0).astype(np.float32))
    page.save(folder / f"{name}.tif", save_all=True, append_images=[page])
    with pytest.raises(InvalidDataError, match=rf"{name}.tif: holds 2 pages. Write one picture per file"):
        packed(folder)


def test_missing_maps_are_counted_and_the_first_three_named(folder, images, packed):
    gone = images["test"].ids[2:7]
    for name in gone:
        (folder / f"{name}.npy").unlink()
    with pytest.raises(
        InvalidDataError, match=rf"5 of 18 files are missing, the first {', '.join(gone[:3])}. Name each"
    ):
        packed(folder)


def test_a_map_of_no_image_is_refused(folder, images, packed):
    name = images["train"].ids[0]
    np.save(folder / f"{name}.npy", levels_of(0))
    with pytest.raises(InvalidDataError, match=rf"{name}.npy: no image of val or test of toy-v1 has this id. 1 such"):
        packed(folder)


def test_two_maps_of_one_image_are_refused(folder, images, packed):
    name = images["val"].ids[0]
    write(folder / f"{name}.png", levels_of(0))
    with pytest.raises(InvalidDataError, match=rf"{name}.png: {name}.npy is there for the same image. Keep one"):
        packed(folder)


def test_a_folder_that_is_none_is_refused(folder, packed):
    with pytest.raises(InvalidDataError, match=r"nowhere: no such folder"):
        packed(folder / "nowhere")


def test_hidden_files_and_notes_are_passed_over(folder, packed):
    (folder / "notes.txt").write_text("made on Monday")
    (folder / ".thumbnail.png").write_text("")
    assert len(packed(folder)["test"]) == 12


def test_nifti_without_nibabel_says_what_to_install(folder, images, packed, monkeypatch):
    name = images["val"].ids[0]
    (folder / f"{name}.npy").rename(folder / f"{name}.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingLibraryError, match=r"nii: reading NIfTI needs the library 'nibabel'.*or write .npy"):
        packed(folder)


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.uint16])
def test_reconstructions_are_intensities(kind, folder, images, packed, tmp_path):
    largest = 1 if kind is np.float32 else np.iinfo(kind).max
    (tmp_path / "made").mkdir()
    for name in every_id(images):
        np.save(tmp_path / "made" / f"{name}.npy", np.full(SIZE, largest, kind))
    made = packed(folder, reconstructions=tmp_path / "made")["val"].reconstructions(slice(0, 2))
    np.testing.assert_array_equal(made, np.ones((2, 1, *SIZE)))


@pytest.mark.parametrize(("array", "says"), [
    (np.full(SIZE, 255.0), r"holds 255, but intensities are in \[0, 1\]. Scale it"),
    (np.zeros((3, *SIZE)), r"holds an array \(3, 24, 24\), but the images are \(1, 24, 24\). Write one reconstruction"),
    (np.full(SIZE, np.inf), r"holds inf, but intensities are in"),
    (np.full(SIZE, np.nan), r"576 values are not finite"),
])  # fmt: skip
def test_wrong_reconstructions_are_refused(array, says, folder, images, packed, tmp_path):
    shutil.copytree(folder, tmp_path / "made")
    np.save(tmp_path / "made" / f"{images['val'].ids[0]}.npy", array)
    with pytest.raises(InvalidDataError, match=says):
        packed(folder, reconstructions=tmp_path / "made")


@pytest.mark.parametrize("name", ["intensity", "Constant", "pca-residual"])
def test_the_name_of_an_installed_method_or_canary_is_taken(name, folder, packed):
    with pytest.raises(UsageError, match=rf"The name '{name.lower()}' is taken by uadbench-baselines .* of their own"):
        packed(folder, ExternalMethod(name))


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "two words", ".hidden", "x" * 65])
def test_a_name_is_a_plain_word(name):
    with pytest.raises(UsageError, match=r"Method name .*: give up to 64 letters, digits"):
        ExternalMethod(name)


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match=r"Seed -1 of our-vae: give a whole number from 0 on"):
        ExternalMethod("our-vae", seed=-1)


@pytest.fixture
def results(toy, folder, tmp_path):
    """The result of the same maps under each of these methods."""
    images, truth = open_images(toy.images), open_truth(toy.truth)
    rules = factories.protocol(resamples=20)

    def of(*methods):
        paths = [pack_predictions(folder, images, tmp_path / f"{i}.h5", one) for i, one in enumerate(methods)]
        return tuple(score(rules, images, truth, path) for path in paths)

    return of


def test_seeds_of_one_external_method_are_one_row(results):
    first, second = results(OURS, ExternalMethod("our-vae", "Our VAE", code="v1.2", seed=1))
    assert first.configuration == second.configuration
    assert (first.seed, second.seed) == (0, 1)


@pytest.mark.parametrize("other", [
    ExternalMethod("their-vae", "Our VAE", code="v1.2"), ExternalMethod("our-vae", "Our VAE", code="v1.3"),
    ExternalMethod("our-vae", "Our VAE", "A paper", code="v1.2"), ExternalMethod("our-vae", "Their VAE", code="v1.2"),
])  # fmt: skip
def test_different_external_methods_are_different_rows(other, results):
    first, second = results(OURS, other)
    assert first.configuration != second.configuration


def test_the_provenance_says_that_the_maps_came_from_elsewhere(folder, images, packed):
    known = packed(folder).provenance
    assert (known["external"], known["canary"], known["hardware"], known["params"]) == (True, False, {}, {})
    assert (known["title"], known["preset"], known["stochastic"]) == ("Our VAE", "external", True)
    assert known["dataset"]["identity"] == images.digests.identity


def test_the_row_of_maps_with_few_levels_shows_a_warning(folder, results):
    for path in folder.iterdir():
        np.save(path, np.load(path) // 500)
    (result,) = results(OURS)
    (row,) = leaderboard(factories.protocol(resamples=20), [Entry((result,))]).rows
    assert row.warnings == ("The test maps have 8 distinct values only; ties decide the pixel metrics.",)


@pytest.mark.parametrize("trust", ["re-scored", "reproduced"])
def test_no_row_is_trusted_beyond_its_external_results(trust, results):
    with pytest.raises(ValueError, match=rf"maps made elsewhere are 'external', not '{trust}'"):
        AcceptedRow(schema="uadbench-row-v1", trust=trust, submitter=Submitter(name="Ours"), results=results(OURS))
