"""`uadbench data import NAME`: help, roots, seeds, splits, leaks, and what is said at the end."""

import json
import shutil

import interrupted
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from uadbench import plugins
from uadbench.cli.importing import import_, importer_command
from uadbench.datasets.folder_specs import SPECS
from uadbench.errors import InvalidDataError, LeakError, UsageError
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth
from uadbench.hookspecs import DatasetSpec

NAMED = {spec.name: spec for spec in SPECS}
STATED = ["--name", "toy-v1", "--licence", "none", "--citation", "nobody", "--foreground", "all", "--workers", "1"]
COMPOSED = DatasetSpec(
    "composed", "Two sources", "import it", importer="uadbench.datasets.mvtec:plans", writes=("composed-v1",),
    roots=(("fastmri", "the .h5 files"), ("ixi", "the T1 volumes")),
)  # fmt: skip


def run(name, *arguments):
    """The command; errors come as they are raised."""
    spec = NAMED.get(name) or COMPOSED
    return CliRunner().invoke(importer_command(spec), list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def bottle(tmp_path):
    """A category of MVTec with ten pictures to train and two to test."""
    spot = np.zeros((32, 32), np.uint8)
    spot[4:8, 8:16] = 255
    places = [("train/good", n, interrupted.texture(n)) for n in range(10)]
    places += [("test/good", 20, interrupted.texture(20)), ("test/spot", 21, interrupted.texture(21))]
    for folder, number, array in [*places, ("ground_truth/spot", "021_mask", spot)]:
        stem = f"{number:03d}" if isinstance(number, int) else number
        path = tmp_path / "bottle" / folder / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return tmp_path / "bottle"


def listed(folder, seed):
    """A set of the layout of medianomaly."""
    table = {"train": {"0": [f"{n}.png" for n in range(10)]}, "test": {"0": ["10.png"], "1": ["11.png"]}}
    (folder / "images").mkdir(parents=True)
    for number in range(12):
        Image.fromarray(interrupted.texture([seed, number], 64)).save(folder / "images" / f"{number}.png")
    (folder / "data.json").write_text(json.dumps(table))
    return folder


@pytest.mark.parametrize("name", NAMED)
def test_the_help_names_what_is_written_and_what_lies_in_the_roots(name):
    text = " ".join(run(name, "--help").output.split())
    spec = NAMED[name]
    assert all(f"{key}=PATH" in text for key, _ in spec.roots)
    assert all(one in text for one in spec.writes or ("you name it", "--licence"))
    assert "--drop-leaks" in text
    assert ("--licence" in text) == (not spec.writes)


def test_the_roots_stand_in_columns():
    lines = run("composed", "--help").output.splitlines()
    assert [line for line in lines if "=PATH  " in line] == [
        "    fastmri=PATH  the .h5 files", "    ixi=PATH      the T1 volumes"
    ]  # fmt: skip


def test_the_group_lists_manifest_and_every_importer():
    listed_names = CliRunner().invoke(import_, ["--help"]).output
    importers = [name for name, spec in plugins.registry().datasets().items() if spec.importer]
    assert all(name in listed_names for name in ("manifest", *importers))


def test_an_importer_that_does_not_exist_is_refused_by_the_group():
    result = CliRunner().invoke(import_, ["mvtek"])
    assert result.exit_code == 2
    assert "mvtek" in result.output


def test_every_importer_can_be_loaded_and_names_boards_that_exist():
    for spec in SPECS:
        assert callable(plugins.resolve(spec.importer))
    boards = {spec.name for spec in SPECS if spec.writes}
    assert boards == {"brain-tumor-kaggle", "medianomaly"}


@pytest.mark.parametrize("root", ["mvtec={}", "{}"])
def test_a_layout_is_imported_under_the_name_it_is_given(bottle, tmp_path, root):
    result = run("mvtec", "--root", root.format(bottle), *STATED, "--note", "A toy.", "--to", tmp_path / "out")
    assert result.exit_code == 0
    images = open_images(tmp_path / "out" / "toy-v1.images.h5")
    assert (images.card.name, images.card.notes, len(images["test"])) == ("toy-v1", ("A toy.",), 2)
    said = result.output.replace("\n", "")
    assert "spot" in said
    assert str(tmp_path / "out" / "toy-v1.truth.h5") in said


def test_each_of_several_datasets_is_reported(tmp_path):
    for seed, name in enumerate(("RSNA", "VinCXR")):
        listed(tmp_path / "in" / name, seed)
    result = run("medianomaly", "--root", tmp_path / "in", "--workers", 1, "--to", tmp_path / "out")
    said = result.output.replace("\n", "")
    assert all(str(tmp_path / "out" / f"{name}.images.h5") in said for name in ("cxr-rsna-ae4-v1", "cxr-vindr-ae4-v1"))


def test_what_is_there_is_kept_unless_forced(bottle, tmp_path):
    arguments = ["mvtec", "--root", bottle, *STATED, "--to", tmp_path / "out"]
    run(*arguments)
    before = open_truth(tmp_path / "out" / "toy-v1.truth.h5").digests
    assert "Use --force to make it again" in run(*arguments).output
    run(*arguments, "--force", "--seed", 1)
    assert open_truth(tmp_path / "out" / "toy-v1.truth.h5").digests != before


def test_what_a_killed_import_left_beside_a_whole_dataset_is_removed(bottle, tmp_path):
    arguments = ["mvtec", "--root", bottle, *STATED, "--to", tmp_path / "out"]
    run(*arguments)
    left = tmp_path / "out" / ".toy-v1.import"
    left.mkdir()
    (left / "000000.rows").write_bytes(b"unfinished")
    run(*arguments)
    assert not left.exists()


def test_a_split_of_ones_own_is_taken(bottle, tmp_path):
    rows = ["train/good/000.png,train", "train/good/001.png,val", "test/good/020.png,test", "test/spot/021.png,test"]
    (tmp_path / "split.csv").write_text("\n".join(["name,split", *rows]))
    result = run("mvtec", "--root", bottle, *STATED, "--split", tmp_path / "split.csv", "--to", tmp_path / "out")
    assert "left out: 8 (not named by --split)" in result.output
    assert len(open_images(tmp_path / "out" / "toy-v1.images.h5")["train"]) == 1


def test_a_split_of_ones_own_may_name_what_is_in_one_of_several_datasets_only(tmp_path):
    for seed, folder in enumerate(("RSNA", "VinCXR")):
        listed(tmp_path / "in" / folder, seed)
    (tmp_path / "in" / "RSNA" / "images" / "10.png").rename(tmp_path / "in" / "RSNA" / "images" / "mine.png")
    table = tmp_path / "in" / "RSNA" / "data.json"
    table.write_text(table.read_text().replace('"10.png"', '"mine.png"'))
    names = {"0": "train", "1": "val", "10": "test", "mine": "test", "11": "test"}
    rows = [f"images/{name}.png,{split}" for name, split in names.items()]
    (tmp_path / "split.csv").write_text("\n".join(["name,split", *rows]))
    run("medianomaly", "--root", tmp_path / "in", "--split", tmp_path / "split.csv", "--to", tmp_path, "--workers", 1)
    tests = [open_truth(tmp_path / f"cxr-{name}-ae4-v1.truth.h5")["test"].names for name in ("rsna", "vindr")]
    assert [sorted(one) for one in tests] == [["images/11.png", "images/mine.png"], ["images/10.png", "images/11.png"]]


def test_a_leak_is_refused_dropped_or_allowed(bottle, tmp_path):
    shutil.copy(bottle / "train" / "good" / "003.png", bottle / "test" / "good" / "020.png")
    arguments = ["mvtec", "--root", bottle, *STATED, "--to", tmp_path / "out"]
    with pytest.raises(LeakError, match="--drop-leaks"):
        run(*arguments)
    assert "left out: 1 (also in a later split)" in run(*arguments, "--drop-leaks").output
    run(*arguments, "--allow-leak", "--force")
    assert open_images(tmp_path / "out" / "toy-v1.images.h5").card.leaks


def test_a_leak_cannot_be_both_dropped_and_allowed(bottle):
    with pytest.raises(UsageError, match="--allow-leak and --drop-leaks: give one of them"):
        run("mvtec", "--root", bottle, *STATED, "--allow-leak", "--drop-leaks")


@pytest.mark.parametrize(
    ("roots", "sentence"),
    [
        (
            [],
            r"No --root for fastmri, ixi. Give --root fastmri=PATH \(the .h5 files\); --root ixi=PATH \(the T1 volumes",
        ),
        (["fastmri={}"], "No --root for ixi"),
        (["fastmri={}", "fastmri={}"], "--root fastmri=.*: give each once"),
        (["fastmri={}", "atlas={}"], "--root atlas=.*: give each once, of --root fastmri=PATH .the .h5 files"),
        (["{}", "ixi={}"], "give each once"),
        (["fastmri=", "ixi={}"], "--root fastmri=: give each once"),
    ],
)
def test_roots_that_are_wrong_missing_or_double_are_refused(tmp_path, roots, sentence):
    given = [part for root in roots for part in ("--root", root.format(tmp_path))]
    with pytest.raises(UsageError, match=sentence):
        run("composed", *given, "--to", tmp_path / "out")


def test_a_root_that_is_neither_a_folder_nor_a_zip_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"absent: neither a folder nor a readable zip"):
        run("mvtec", "--root", tmp_path / "absent", *STATED, "--to", tmp_path / "out")


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [("--licence", "--licence is empty"), ("--citation", "--citation is empty")],
)
def test_a_layout_without_licence_or_citation_is_refused(bottle, tmp_path, gone, sentence):
    stated = [part for n, part in enumerate(STATED) if gone not in (part, STATED[n - 1])]
    with pytest.raises(UsageError, match=sentence):
        run("mvtec", "--root", bottle, *stated, "--to", tmp_path / "out")


def test_a_layout_without_a_name_is_refused(bottle):
    result = run("mvtec", "--root", bottle)
    assert result.exit_code == 2
    assert "Missing option '--name'" in result.output


def test_an_official_set_takes_no_name(tmp_path):
    result = run("medianomaly", "--root", tmp_path, "--name", "mine-v1")
    assert result.exit_code == 2
    assert "No such option" in result.output
