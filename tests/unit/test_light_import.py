"""Importing uadbench, its help and its lists load no heavy library and no method."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "matplotlib", "h5py", "timm", "sklearn", "skimage", "scipy", "nibabel", "plotly", "jinja2")
REPORT = """
import json, sys
place = sys.argv.pop(1)
report = lambda: json.dump(sorted(sys.modules), open(place, "w"))
"""
COMMAND = "import atexit; atexit.register(report); from uadbench.cli import main; main()"


def loaded(code, path, *arguments):
    """The modules that a fresh process has loaded after this code."""
    command = [sys.executable, "-c", REPORT + code, str(path), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "UADBENCH_HOME": str(path.parent)})
    return json.loads(path.read_text())


def heavy(modules):
    """The heavy libraries and the modules of methods among them; a private module may say what presets there are."""
    inside = [name for name in modules if name.startswith("uadbench_") and "." in name]
    methods = [name for name in inside if not name.rpartition(".")[2].startswith("_")]
    return [name for name in modules if name.partition(".")[0] in HEAVY] + methods


def test_import_uadbench_loads_neither_heavy_libraries_nor_plugins(tmp_path):
    modules = loaded("import uadbench; report()", tmp_path / "modules.json")
    assert "uadbench" in modules
    assert not heavy(modules)
    assert not [name for name in modules if name.startswith(("numpy", "uadbench_"))]


@pytest.mark.parametrize("arguments", [
    ("--help",), ("run", "--help"), ("list", "--help"), ("list", "methods"), ("list", "methods", "--json"),
    ("list", "protocols"), ("--version",), ("weights", "--help"), ("weights", "list"), ("weights", "list", "--json"),
])  # fmt: skip
def test_help_and_lists_load_no_heavy_library_and_no_method(arguments, tmp_path):
    modules = loaded(COMMAND, tmp_path / "modules.json", *arguments)
    assert "uadbench.cli" in modules
    assert not heavy(modules)


def test_listing_methods_loads_the_light_module_of_each_plugin(tmp_path):
    modules = loaded(COMMAND, tmp_path / "modules.json", "list", "methods")
    assert "uadbench_baselines" in modules


def test_making_a_method_does_load_its_module(tmp_path):
    modules = loaded("from uadbench import plugins; plugins.make('intensity'); report()", tmp_path / "modules.json")
    assert "uadbench_baselines.intensity" in heavy(modules)
