"""Maps of somebody else's code: from the images file to an accepted row, as an outsider would."""

import json
import os
import shutil
import subprocess
import sys

import factories
import h5py
import numpy as np
import pytest


class Outsider:
    """Somebody with a workspace, numpy and the command line."""

    def __init__(self, home):
        self.home = home

    def __call__(self, *arguments, code=0):
        """The output of a command that must end with this exit code."""
        environment = {**os.environ, "UADBENCH_HOME": str(self.home), "COLUMNS": "200"}
        command = [sys.executable, "-m", "uadbench", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def write_maps(self, folder, *, levels=None, seed=0):
        """Brightness as the map, with noise in seeds above 0, read and written without uadbench."""
        folder.mkdir()
        noise = np.random.default_rng(seed)
        with h5py.File(self.home / "data" / "toy-v1.images.h5") as file:
            for split in ("val", "test"):
                images = file[f"{split}/images"][:] * file[f"{split}/images"].attrs["scale"]
                maps = np.floor(images * levels) if levels else images**2 + seed * noise.random(images.shape)
                for name, one in zip(file[f"{split}/ids"].asstr()[:], maps, strict=True):
                    np.save(folder / f"{name}.npy", one[0])
        return folder

    def pack(self, folder, *more, code=0):
        return self("predictions", "pack", folder, "-d", "toy-v1", "-m", "brightness", *more, code=code)

    def runs(self):
        return sorted((self.home / "runs").glob("toy-v1/*"))


@pytest.fixture(scope="module")
def outsider(tmp_path_factory):
    """A workspace in which two seeds of an external method are packed; to be read only."""
    home = tmp_path_factory.mktemp("home")
    factories.toy_dataset(home / "data")
    one = Outsider(home)
    for seed, folder in enumerate(("maps", "more-maps")):
        maps = one.write_maps(home / folder, seed=seed)
        one.said = one.pack(maps, "--title", "Squared brightness", "--code", "v1", "--seed", seed)
    return one


@pytest.fixture
def another(outsider, tmp_path):
    """A copy of that workspace, to pack more into."""
    shutil.copytree(outsider.home, tmp_path / "home")
    return Outsider(tmp_path / "home")


def test_all_ids_are_printed_with_their_split(outsider):
    lines = [line.split("\t") for line in outsider("data", "show", "toy-v1", "--ids", "all").splitlines()]
    assert [split for split, _ in lines] == ["val"] * 6 + ["test"] * 12
    assert {f"{name}.npy" for _, name in lines} == {path.name for path in (outsider.home / "maps").iterdir()}


def test_packed_maps_are_a_finished_run(outsider):
    found = outsider.runs()[1]
    record = json.loads((found / "run.json").read_text())
    assert found.name == f"brightness-external-seed1-{found.name[-8:]}"
    assert (record["status"], record["fit_seconds"], record["spec"]["preset"]) == ("done", None, "external")
    assert f"uadbench score {found.name}" in outsider.said


def test_an_external_run_is_scored_compared_and_on_the_board(outsider, tmp_path):
    assert "pixel_ap" in outsider("score", "brightness-external-seed0")
    assert "A - B" in outsider("compare", "brightness-external-seed0", "brightness-external-seed1")
    assert "Squared brightness" in outsider("board", "-d", "toy-v1", "--format", "markdown", "--to", tmp_path)
    (page,) = tmp_path.glob("*.html")
    assert '<span class="origin">external · 2 seeds</span>' in page.read_text()


def test_an_external_row_is_submitted_verified_and_accepted_as_external(outsider, tmp_path):
    runs = [path.name for path in outsider.runs()]
    outsider("submit", *runs, "--to", tmp_path / "bundle", "--submitter", "Theirs", "--declare")
    assert "all claimed numbers confirmed" in outsider("verify", tmp_path / "bundle", "--accept", tmp_path / "rows")
    (row,) = (json.loads(path.read_text()) for path in (tmp_path / "rows").iterdir())
    assert (row["trust"], len(row["results"])) == ("external", 2)
    outsider("board", "--rows", tmp_path / "rows", "--to", tmp_path / "boards")
    (page,) = (tmp_path / "boards").glob("*.html")
    assert "external · 2 seeds · Theirs" in page.read_text()


def test_a_seed_is_packed_once_unless_it_is_forced(another):
    same = ("--title", "Squared brightness", "--code", "v1")
    assert "Seed 0 of brightness is packed already" in another.pack(another.home / "maps", *same, code=2)
    another.pack(another.home / "maps", *same, "--force")
    assert "pixel_ap" in another("score", "brightness-external-seed0")


def test_a_folder_that_cannot_be_packed_leaves_no_run(another, tmp_path):
    before = another.runs()
    folder = another.write_maps(tmp_path / "maps")
    np.save(next(folder.iterdir()), np.zeros((3, 3)))
    assert "holds an array (3, 3)" in another.pack(folder, "--title", "Small", code=3)
    assert another.runs() == before


def test_maps_of_few_levels_are_warned_about_when_packed_and_on_the_board(another, tmp_path):
    folder = another.write_maps(tmp_path / "maps", levels=8)
    assert "distinct values only" in another.pack(folder, "--title", "Coarse")
    another("board", "-d", "toy-v1", "--to", tmp_path)
    (page,) = tmp_path.glob("*.html")
    assert "distinct values only; ties decide the pixel metrics." in page.read_text()
