"""`uadbench plugin new`: what it writes installs, is found, passes the contract, and reads clean."""

import ast
import json
import os
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from uadbench.cli.plugin import plugin
from uadbench.errors import UsageError
from uadbench.scaffold import FILES, new_plugin
from uadbench.testing import checks

OFFLINE = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
COMMAND = "from uadbench.cli.plugin import plugin; plugin()"


def python(*arguments, path=()):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return new_plugin("my-2nd-idea", tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def installed(written, tmp_path):
    pip = python("-m", "pip", "install", *OFFLINE, "--target", tmp_path, written)
    assert pip.returncode == 0, pip.stderr
    return tmp_path


def test_a_new_plugin_is_a_complete_package(written):
    files = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert files == {
        "pyproject.toml",
        "README.md",
        "uadbench_my_2nd_idea/__init__.py",
        "uadbench_my_2nd_idea/my_2nd_idea.py",
        "tests/test_contract.py",
    }
    assert len(files) == len(FILES)


def test_its_files_parse_and_no_blank_is_left_unfilled(written):
    for path in written.rglob("*.py"):
        ast.parse(path.read_text())
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["uadbench"] == {"my-2nd-idea": "uadbench_my_2nd_idea"}
    assert not any("$" in path.read_text() for path in written.rglob("*") if path.is_file())


def test_it_reads_clean(written):
    pytest.importorskip("ruff")
    found = python("-m", "ruff", "check", "--no-cache", written)
    assert found.returncode == 0, found.stdout


def test_once_installed_its_own_contract_test_passes(written, installed):
    found = python("-m", "pytest", "-q", "-p", "no:cacheprovider", written / "tests", path=[installed])
    assert found.returncode == 0, found.stdout
    assert f"{len(checks())} passed" in found.stdout


def test_breaking_the_method_fails_the_check_with_exit_code_3_and_a_sentence(installed):
    source = installed / "uadbench_my_2nd_idea" / "my_2nd_idea.py"
    source.write_text(source.read_text().replace("return Prediction(maps,", "return Prediction(maps / maps.max(),"))
    found = python("-c", COMMAND, "check", "my-2nd-idea", "--set", "images=5", "--json", path=[installed])
    assert found.returncode == 3, found.stderr
    outcomes = {one["check"]: one["sentence"] for one in json.loads(found.stdout) if not one["passed"]}
    assert list(outcomes) == ["batch"]
    assert "Normalise per image" in outcomes["batch"]


@pytest.mark.parametrize("name", ["", "My-idea", "2nd", "my_idea", "my--idea", "-idea", "../idea", "idée"])
def test_a_name_of_other_characters_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="lower-case letters, digits and single dashes"):
        new_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("intensity", "is taken by uadbench-baselines"),
        ("baselines", "package uadbench_baselines is installed already"),
        ("lambda", "word of the Python language"),
        ("none", "word of the Python language"),
    ],
)
def test_a_name_that_would_clash_is_refused(name, sentence, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        new_plugin(name, tmp_path)


def test_an_existing_folder_is_never_written_into(tmp_path):
    (tmp_path / "my-idea").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        new_plugin("my-idea", tmp_path)
    assert not list((tmp_path / "my-idea").iterdir())


def test_the_command_says_what_to_do_next(tmp_path):
    found = CliRunner().invoke(plugin, ["new", "my-idea", "--to", str(tmp_path)])
    assert found.exit_code == 0
    assert f"pip install -e {tmp_path}/my-idea" in found.output
    assert "uadbench plugin check my-idea" in found.output


def test_check_prints_a_table_of_named_checks():
    found = CliRunner().invoke(plugin, ["check", "constant"])
    assert found.exit_code == 0
    assert f"constant: {len(checks())} of {len(checks())} checks pass" in found.output
    assert "save-load" in found.output


@pytest.mark.parametrize("setting", ["sigma", "blur-residual.sigma=1", "=1"])
def test_check_refuses_a_setting_that_is_not_param_value(setting):
    found = CliRunner().invoke(plugin, ["check", "blur-residual", "--set", setting])
    assert isinstance(found.exception, UsageError)
    assert "Write for example --set epochs=1" in str(found.exception)
