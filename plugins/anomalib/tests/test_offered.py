"""Which models are offered, and what is said of an anomalib that is not there or not known; without importing it."""

import sys
from pathlib import Path

import pytest

from uadbench.errors import EnvironmentProblemError


@pytest.fixture
def presets(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    monkeypatch.delitem(sys.modules, "uadbench_anomalib", raising=False)
    monkeypatch.delitem(sys.modules, "uadbench_anomalib._presets", raising=False)
    from uadbench_anomalib import _presets

    return _presets


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Makes a package that looks like an anomalib of some version with two models."""

    def install(version: str) -> None:
        for name in ("padim", "draem"):
            (tmp_path / "anomalib" / "models" / "image" / name).mkdir(parents=True)
            (tmp_path / "anomalib" / "models" / "image" / name / "lightning_model.py").touch()
        (tmp_path / "anomalib" / "__init__.py").write_text("raise RuntimeError('imported')")
        (tmp_path / f"anomalib-{version}.dist-info").mkdir()
        about = f"Metadata-Version: 2.1\nName: anomalib\nVersion: {version}\n"
        (tmp_path / f"anomalib-{version}.dist-info" / "METADATA").write_text(about)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "anomalib", raising=False)

    return install


def test_every_model_is_offered_without_importing_anomalib(presets, installed):
    installed("2.9.1")
    offered = {spec.name: spec for spec in presets.offered()}
    assert list(offered) == ["anomalib:draem", "anomalib:padim"]
    assert offered["anomalib:draem"].presets == {"paper": {"model": "draem"}, "quick": {"model": "draem", "epochs": 5}}
    assert offered["anomalib:padim"].presets["quick"]["model"] == "padim"


@pytest.mark.parametrize("version", ["1.2.0", "3.0.0"])
def test_another_major_version_is_refused_with_what_to_install(version, presets, installed):
    installed(version)
    with pytest.raises(EnvironmentProblemError, match=rf"anomalib {version} .* knows version 2.*anomalib>=2,<3"):
        presets.offered()


def test_without_anomalib_the_sentence_says_what_to_install(presets, monkeypatch):
    def missing(name):
        raise presets.PackageNotFoundError(name)

    monkeypatch.setattr(presets, "version", missing)
    with pytest.raises(EnvironmentProblemError, match=r"anomalib is not installed. .*anomalib>=2,<3"):
        presets.offered()
