"""The command line as a user meets it: processes, exit codes, one sentence for each bad input."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import factories
import h5py
import pytest

MISBEHAVING = Path(__file__).parents[1] / "misbehaving"
RUN = ("run", "-d", "toy-v1")


class Workspace:
    """A workspace folder, and the command run in it."""

    def __init__(self, home):
        self.home = home

    def command(self, arguments, plugins):
        path = os.pathsep.join(str(MISBEHAVING / name) for name in plugins)
        environment = {**os.environ, "UADBENCH_HOME": str(self.home), "PYTHONPATH": path, "COLUMNS": "200"}
        return {"args": [sys.executable, "-m", "uadbench", *map(str, arguments)], "env": environment, "cwd": self.home}

    def __call__(self, *arguments, plugins=(), code=0, **options):
        """The output of a command that must end with this exit code, without a traceback."""
        done = subprocess.run(**self.command(arguments, plugins), capture_output=True, text=True, **options)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said if code else done.stdout

    def run_of(self, method):
        return next((self.home / "runs" / "toy-v1").glob(f"{method}-*"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workspace with the toy dataset and two finished runs; to be read only."""
    home = tmp_path_factory.mktemp("home")
    factories.toy_dataset(home / "data")
    workspace = Workspace(home)
    workspace.said = workspace(*RUN, "-m", "constant", "-m", "intensity")
    return workspace


@pytest.fixture
def workspace(finished, tmp_path):
    """A copy of the finished workspace, to be spoilt."""
    shutil.copytree(finished.home, tmp_path / "home")
    return Workspace(tmp_path / "home")


def sentence(said):
    """The line that names the error."""
    (line,) = [line for line in said.splitlines() if line.startswith("Error:")]
    return line


def test_help_names_every_command_and_the_exit_codes(finished):
    said = finished("--help")
    for word in ("run", "list", "doctor", "data", "predict", "score", "compare", "board", "submit", "verify", "130"):
        assert word in said


@pytest.mark.parametrize("what", ["methods", "datasets", "protocols", "runs"])
def test_every_list_is_a_table_and_json(what, finished):
    records = json.loads(finished("list", what, "--json"))
    first = records[0].get("id") or records[0]["name"]
    assert first in finished("list", what)


def test_a_verbose_list_says_what_each_preset_changes(finished):
    lines = finished("list", "methods", "--verbose").splitlines()
    (morphaeus,) = [place for place, line in enumerate(lines) if line.startswith("morphaeus ")]
    assert "paper, mor-2023" in lines[morphaeus]
    assert "vgg19" in lines[morphaeus]
    assert "quick" in lines[morphaeus + 1]
    assert "size=64 width=8" in lines[morphaeus + 1]


def test_one_method_is_shown_with_its_parameters(finished):
    (record,) = json.loads(finished("list", "methods", "pca-residual", "--json"))
    assert record["params"]
    assert all(name in finished("list", "methods", "pca-residual") for name in record["params"])


def test_the_doctor_says_what_is_there(finished):
    found = {record["what"]: record for record in json.loads(finished("doctor", "--json"))}
    assert found["workspace"]["state"] == str(finished.home)


def test_a_dataset_is_shown_with_counts_digests_and_ids(finished):
    (record,) = json.loads(finished("data", "show", "toy-v1", "--json"))
    assert ["test", "square", "mask", 6, 6] in record["counts"]
    assert record["identity"] in finished("data", "show", "toy-v1")
    assert len(finished("data", "show", "toy-v1", "--ids", "test").split()) == 12


def test_a_dataset_is_looked_at_in_sheets_of_pictures(finished, tmp_path):
    said = finished("data", "show", "toy-v1", "--sheets", tmp_path / "look", "--most", 3)
    (index,) = [line.removeprefix("sheets: ") for line in said.splitlines() if line.startswith("sheets: ")]
    page = Path(index).read_text(encoding="utf-8")
    drawn = sorted(path.name for path in (tmp_path / "look").glob("*.png"))
    assert drawn == ["01-train-healthy.png", "02-val-healthy.png", "03-test-healthy.png", "04-test-square.png"]
    assert all(f'src="{name}"' in page for name in drawn)
    (record,) = json.loads(finished("data", "show", "toy-v1", "--json", "--sheets", tmp_path / "again"))
    assert Path(record["sheets"]) == tmp_path / "again" / "index.html"


def test_without_being_asked_for_no_sheet_is_drawn(finished):
    before = sorted(finished.home.rglob("*"))
    assert "sheets" not in json.loads(finished("data", "show", "toy-v1", "--json"))[0]
    assert sorted(finished.home.rglob("*")) == before


def test_a_campaign_shows_its_plan_its_runs_and_the_board(finished):
    assert "2 to run, 0 done" in finished.said
    assert [line.split()[1] for line in finished.said.splitlines() if line.startswith("done ")] == [
        "constant",
        "intensity",
    ]
    assert {path.suffix for path in (finished.home / "boards").rglob("*") if path.is_file()} >= {".html", ".md", ".tex"}


def test_a_campaign_given_again_has_nothing_to_do(finished):
    assert "0 to run, 2 done" in finished(*RUN, "-m", "constant", "-m", "intensity", "--dry-run")


def test_a_run_is_scored_again_as_it_was(finished):
    scored = json.loads(finished("score", "intensity", "--json"))
    stored = json.loads((finished.run_of("intensity") / "result.json").read_text())
    assert scored == stored


def test_a_metric_without_a_value_is_a_line_with_its_reason(finished):
    said = finished("score", "intensity")
    assert "no value in all: recon_ssim, " in said
    assert said.count("the method returns no reconstructions") == 1


def test_two_runs_are_compared(finished):
    said = finished("compare", "intensity", "constant")
    assert "A - B" in said
    assert "image_auroc" in said


def test_the_map_of_an_image_is_drawn(finished, tmp_path):
    image = finished("data", "show", "toy-v1", "--ids", "test").split()[0]
    assert "healthy validation images" in finished("predict", "intensity", image, "--out", tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("form", "mark"), [("markdown", "| "), ("latex", "\\begin{tabular}")])
def test_the_board_is_printed_for_papers(form, mark, finished, tmp_path):
    said = finished("board", "--format", form, "--to", tmp_path)
    assert mark in said
    assert list(tmp_path.rglob("*.html"))


def test_a_bundle_goes_from_submit_to_the_board_of_rows(workspace, tmp_path):
    bundle, rows = tmp_path / "bundle", tmp_path / "rows"
    workspace("submit", "intensity", "--to", bundle, "--submitter", "Ours", "--declare")
    assert "all claimed numbers confirmed" in workspace("verify", bundle)
    assert "row     " in workspace("verify", bundle, "--accept", rows)
    assert "The image itself" in workspace("board", "--rows", rows, "--to", tmp_path / "boards")


def test_a_submission_must_be_declared(finished, tmp_path):
    said = finished("submit", "intensity", "--to", tmp_path / "bundle", "--submitter", "Ours", code=2)
    assert "A submission declares: «The method saw" in sentence(said)


def test_a_tampered_bundle_does_not_verify(workspace, tmp_path):
    bundle = tmp_path / "bundle"
    workspace("submit", "intensity", "--to", bundle, "--submitter", "Ours", "--declare")
    manifest = bundle / "submission.json"
    manifest.write_text(manifest.read_text().replace('"pixel_ap": 1.0', '"pixel_ap": 0.5'))
    said = workspace("verify", bundle, "--accept", tmp_path / "rows", code=3)
    assert "wrong   " in said
    assert not (tmp_path / "rows").exists()


USAGE = [
    (("ran",), "No such command 'ran'. Did you mean 'run'?"),
    (("run",), "Say which methods to run"),
    ((*RUN, "-m", "intensty"), "No method is called 'intensty'. Did you mean 'intensity'?"),
    ((*RUN, "-m", "pca-residual", "--set", "pca-residual.componets=2"), "No parameter of pca-residual is called"),
    ((*RUN, "-m", "intensity", "--set", "gain=2"), "is not name.param=value"),
    ((*RUN, "-m", "intensity", "--seeds", "one"), "give whole numbers from 0 on"),
    ((*RUN, "-m", "intensity", "--device", "gpu"), "Device 'gpu' is unknown"),
    (("run", "-d", "toy-v2", "-m", "intensity"), "No dataset is called 'toy-v2'. Did you mean 'toy-v1'?"),
    (("score", "patchcore"), "No run is called 'patchcore'. See `uadbench list runs`"),
    (("score", "intensity", "--protocol", "brain-phantom-v2"), "Did you mean 'brain-phantom-v1'?"),
    (("predict", "intensity", "nowhere.png"), "No file or image is called 'nowhere.png'"),
    (("data", "show", "toy"), "No dataset is called 'toy'"),
    (("data", "show", "toy-v1", "--sheets", "data/toy-v1.truth.h5"), "is a file"),
    (("data", "show", "toy-v1", "--ids", "test", "--sheets", "look"), "Give one of the two"),
]


@pytest.mark.parametrize(("arguments", "says"), USAGE, ids=lambda value: value if isinstance(value, str) else "")
def test_a_usage_error_is_one_sentence_and_exit_code_2(arguments, says, finished):
    assert says in sentence(finished(*arguments, code=2))


def test_a_known_dataset_that_was_not_made_says_how(finished):
    said = sentence(finished("run", "-m", "constant", code=3))
    assert "Dataset 'brain-phantom-v1' is not in" in said
    assert "Make it with `uadbench data make brain-phantom-v1`" in said


@pytest.mark.parametrize("arguments", [
    ("score", "nowhere.h5"), ("score", "intensity", "--protocol", "nowhere.toml"), ("verify", "nowhere"),
    ("board", "--rows", "nowhere"),
])  # fmt: skip
def test_a_missing_file_is_exit_code_3(arguments, finished):
    assert "nowhere" in sentence(finished(*arguments, code=3))


def spoil_pixels(home):
    with h5py.File(home / "data" / "toy-v1.images.h5", "r+") as file:
        file["train/images"][0, 0, 0, 0] ^= 1


def spoil_truth(home):
    with h5py.File(home / "data" / "toy-v1.truth.h5", "r+") as file:
        file["test/pathologies"][0] = "cyst"


def spoil_subjects(home):
    with h5py.File(home / "data" / "toy-v1.images.h5", "r+") as file:
        file["test/subjects"][0] = file["train/subjects"].asstr()[0]


def spoil_maps(home):
    with h5py.File(next(home.glob("runs/*/intensity-*/predictions.h5")), "r+") as file:
        file["test/maps"][0] = 1.0


def spoil_seal(home):
    with h5py.File(next(home.glob("runs/*/intensity-*/predictions.h5")), "r+") as file:
        del file.attrs["seal"]


def truncate_images(home):
    path = home / "data" / "toy-v1.images.h5"
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(("spoil", "says"), [
    (spoil_pixels, "the pixel digest is"), (spoil_truth, "the truth digest is"),
    (spoil_subjects, "is also in 'train'. Split by subject"), (truncate_images, "It is truncated or another format"),
    (spoil_maps, "does not fit the content"), (spoil_seal, "the file is not sealed"),
])  # fmt: skip
def test_spoilt_data_is_one_sentence_and_exit_code_3(spoil, says, workspace):
    spoil(workspace.home)
    assert says in sentence(workspace("score", "intensity", code=3))


def test_a_truth_file_in_place_of_images_is_refused(workspace):
    data = workspace.home / "data"
    shutil.copyfile(data / "toy-v1.truth.h5", data / "toy-v1.images.h5")
    said = workspace(*RUN, "-m", "intensity", code=3)
    assert "schema is 'uadbench-truth-v1', not 'uadbench-images-v1'" in sentence(said)


def test_a_picture_that_is_none_is_refused(finished, tmp_path):
    (tmp_path / "note.png").write_text("no picture")
    said = finished("predict", "intensity", tmp_path / "note.png", code=3)
    assert "not a readable picture" in sentence(said)


def test_a_damaged_detector_is_a_sentence(workspace):
    workspace(*RUN, "-m", "tunable", plugins=["methods"])
    (workspace.run_of("tunable") / "work" / "detector" / "stored.txt").unlink()
    image = workspace("data", "show", "toy-v1", "--ids", "val").split()[0]
    said = workspace("predict", "tunable", image, plugins=["methods"], code=1)
    assert "tunable cannot predict with" in sentence(said)


def test_a_place_that_cannot_be_written_is_exit_code_4(finished):
    image = finished("data", "show", "toy-v1", "--ids", "val").split()[0]
    said = finished("predict", "intensity", image, "--out", "nowhere/map.png", code=4)
    assert "nowhere/map.png: cannot be written (No such file or directory)" in sentence(said)


def limited(size):
    """To be called in the new process: no file of it may grow past `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_space_left_is_exit_code_4(workspace):
    said = workspace(*RUN, "-m", "random", code=4, preexec_fn=limited(20_000))
    assert "no space left on the device. Free some space and run again" in sentence(said)
    assert not list(workspace.home.rglob("*.partial"))
    assert workspace("score", "intensity")


def test_misbehaving_methods_fail_in_one_line_each_and_the_others_go_on(workspace):
    names = ("nan", "wrong-shape", "dies", "raises", "leaves", "prints-a-lot")
    methods = [part for name in names for part in ("-m", name)]
    said = workspace(*RUN, *methods, plugins=["methods"], code=1)
    assert sum(line.startswith("failed  ") for line in said.splitlines()) == 5
    assert "done    prints-a-lot" in said
    for text in ("values that are not finite", "Return maps of shape", "signal 9", "LookupError: no such layer"):
        assert text in said


def test_interrupting_keeps_what_is_done_and_the_same_command_goes_on(workspace):
    wanted = (*RUN, "-m", "random", "-m", "slow")
    command = workspace.command(wanted, ["methods"])
    command["env"]["MISBEHAVING_SECONDS"] = "60"
    ours = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    process = subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **ours)
    wait_for(lambda: list(workspace.home.glob("runs/toy-v1/slow-*/work/fitting")), process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, "3 finished runs are kept" in said) == (130, True), said
    assert "1 to run, 1 done" in workspace(*wanted, plugins=["methods"])


def wait_for(condition, process, seconds=30):
    """Wait until it holds, as long as the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_distributions_with_one_method_are_named(finished):
    said = sentence(finished("list", "methods", plugins=["twin"], code=4))
    assert "Two plugins offer the method 'constant'" in said
    assert "twin" in said
    assert "uadbench-baselines" in said


def test_broken_plugins_are_listed_and_the_rest_work(finished):
    listed = finished("list", "methods", plugins=["broken"])
    assert listed.count("broken: ") == 4
    assert "intensity" in listed
    assert "Left out: exits of broken-plugins" in finished(*RUN, "-m", "constant", plugins=["broken"])


def test_the_doctor_ends_with_4_when_a_plugin_is_broken(finished):
    assert finished("doctor", plugins=["broken"], code=4).count("plugin broken-plugins") == 4


def test_a_damaged_record_is_listed_and_the_rest_work(workspace):
    (workspace.run_of("constant") / "run.json").write_text("{")
    assert [one["id"].partition("-")[0] for one in json.loads(workspace("list", "runs", "--json"))] == ["intensity"]
    assert "The image itself" in workspace("board")


def test_the_traceback_is_shown_on_demand_only(finished):
    done = subprocess.run(
        **finished.command(("--traceback", "score", "nowhere.h5"), ()), capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "Traceback" in done.stderr
