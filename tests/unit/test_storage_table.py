"""The table of what the ways of storing images cost, and that a dataset is stored in the way it says."""

import json
import sys
from pathlib import Path

import factories
import h5py
import pytest

ROOT = Path(__file__).parents[2]
CONTIGUOUS = {"table": "storage", "layout": "contiguous", "px": 128, "mb": 3.9, "in_order": 5.0, "shuffled": 9.5}


@pytest.fixture
def storage(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    for name in ("readme", "storage"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import storage

    return storage


def report(*figures):
    """What pytest-benchmark writes, as far as it is read."""
    machine = {"machine": "x86_64", "cpu": {"count": 2}, "python_version": "3.11.9"}
    benchmarks = [{"name": "test_it", "extra_info": one, "stats": {"median": 1.0}} for one in figures]
    return {"machine_info": machine, "datetime": "2030-01-02T03:04:05", "benchmarks": benchmarks}


def test_a_layout_and_size_is_one_row(storage):
    assert storage.block(report(CONTIGUOUS, {"what": "other", "seconds": 1})).splitlines() == [
        "Measured by `make numbers` on 2030-01-02, x86_64, 2 cores, Python 3.11.9:",
        "",
        "| images are stored | px | in order, % | shuffled, % | MB |",
        "| --- | --: | --: | --: | --: |",
        "| contiguous | 128 | 5.0 | 9.5 | 3.9 |",
    ]


def test_the_table_of_the_readme_leaves_these_rows_out(storage):
    readme = sys.modules["readme"]
    assert "contiguous" not in readme.block(report(CONTIGUOUS))
    assert readme.block(report(CONTIGUOUS), "as it was") == "as it was"


@pytest.mark.parametrize(("figures", "kept"), [([], True), ([CONTIGUOUS], False)])
def test_a_run_without_storage_leaves_the_table_as_it_is(storage, figures, kept, tmp_path):
    source, page = tmp_path / "benchmarks.json", tmp_path / "page.md"
    source.write_text(json.dumps(report(*figures)))
    page.write_text(f"before\n{storage.BEGIN}\n\nold\n\n{storage.END}\nafter\n")
    storage.main(source, page)
    assert ("old" in page.read_text()) is kept
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")


def test_contributing_has_the_markers(storage):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert (text.count(storage.BEGIN), text.count(storage.END)) == (1, 1)


def test_a_dataset_s_images_are_stored_in_the_layout_that_must_be_fast(tmp_path):
    with h5py.File(factories.toy_dataset(tmp_path).images) as file:
        images = file["test"]["images"]
        assert (images.chunks, images.compression) == (None, None)
