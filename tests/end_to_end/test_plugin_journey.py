"""A stranger's way: a plugin outside the repository is written, installed, checked, run, submitted, verified, timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card

SIZE = 32


def sample(split: str, index: int, rng: np.random.Generator, *, label: int = 0) -> Sample:
    """A smooth disc with noise; an anomalous one has a bright square."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    body = (rows - SIZE / 2) ** 2 + (columns - SIZE / 2) ** 2 < (0.4 * SIZE) ** 2
    pixels = np.where(body, 110 + rng.normal(0, 8, (SIZE, SIZE)), 0)
    mask = np.zeros((SIZE, SIZE), bool)
    if label:
        top, left = rng.integers(10, 18, 2)
        mask[top : top + 5, left : left + 5] = True
        pixels[mask] += 80
    name = f"{split}/{'square' if label else 'healthy'}/{index}"
    return Sample(
        pixels=pixels.clip(0, 255).astype(np.uint8)[None],
        foreground=body,
        subject=name,
        name=name,
        label=label,
        pathology="square" if label else "healthy",
        annotation="mask" if label else "none",
        mask=mask if label else None,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the dataset `discs`."""
    home, rng = tmp_path_factory.mktemp("home"), np.random.default_rng(0)
    samples = {
        "train": [sample("train", i, rng) for i in range(12)],
        "val": [sample("val", i, rng) for i in range(6)],
        "test": [sample("test", i, rng, label=i % 2) for i in range(16)],
    }
    card = Card("discs", "1", "synthetic", "disc", None, "CC0", "none")
    write_dataset(home / "data", card, samples)
    return home


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which a plugin made by `plugin new` was installed by pip."""
    outside, target = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("site")
    uadbench("plugin", "new", "stranger", "--to", str(outside))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(outside / "stranger")], check=True)
    return target


def uadbench(*words: str, home: Path | None = None, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; fails with its output if the exit code is not 0."""
    environment = dict(os.environ)
    if home:
        environment["UADBENCH_HOME"] = str(home)
    if site:
        environment["PYTHONPATH"] = str(site)
    ended = subprocess.run([sys.executable, "-m", "uadbench", *words], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def test_an_installed_plugin_appears_among_the_methods(site):
    listed = json.loads(uadbench("list", "methods", "--json", site=site).stdout)
    assert "stranger" in {one["name"] for one in listed}


def test_a_plugin_as_written_passes_every_check(site):
    outcomes = json.loads(uadbench("plugin", "check", "stranger", "--json", site=site).stdout)
    assert len(outcomes) >= 10
    assert all(one["passed"] for one in outcomes)


def test_a_strangers_method_is_run_submitted_verified_and_timed(site, workspace, tmp_path):
    ran = uadbench("run", "-m", "stranger", "-m", "constant", "-d", "discs", home=workspace, site=site)
    assert "stranger" in ran.stdout
    assert (workspace / "boards" / "discs-local.html").is_file()
    bundle, out = tmp_path / "bundle", tmp_path / "latency.json"
    uadbench("submit", "stranger-quick", "--to", str(bundle), "--submitter", "A group", "--declare", home=workspace)
    verified = uadbench("verify", str(bundle), home=workspace)
    assert "all claimed numbers confirmed" in verified.stdout
    uadbench("latency", "-m", "stranger", "-d", "discs", "--rounds", "3", "--json", str(out), home=workspace, site=site)
    assert "stranger" in out.read_text()


def test_the_same_seed_gives_the_same_bytes_in_two_workspaces(site, workspace, tmp_path):
    (tmp_path / "data").symlink_to(workspace / "data")
    for home in (workspace, tmp_path):
        uadbench("run", "-m", "stranger", "-d", "discs", home=home, site=site)
    files = [next(home.glob("runs/discs/stranger-*/predictions.h5")) for home in (workspace, tmp_path)]
    assert files[0].read_bytes() == files[1].read_bytes()
