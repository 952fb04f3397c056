"""The table of measured numbers in the README."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def readme(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "readme", raising=False)
    import readme

    return readme


def report(*benchmarks):
    """What pytest-benchmark writes, as far as it is read."""
    machine = {"machine": "x86_64", "cpu": {"count": 2}, "python_version": "3.11.9"}
    return {"machine_info": machine, "datetime": "2030-01-02T03:04:05", "benchmarks": list(benchmarks)}


def bench(*, name="test_counting_is_fast", **figures):
    return {"name": name, "extra_info": figures, "stats": {"median": 0.12345}}


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_a_benchmark_is_one_row_of_what_and_its_figures(readme):
    counting = bench(what="AP over pixels", pixels=19660800, seconds_by_counting=0.12, ratio=45)
    start = bench(what="`uadbench --help`", seconds=0.2, target_seconds=0.3)
    assert rows(readme.block(report(counting, start))) == [
        "| AP over pixels | 19,660,800 pixels; 0.12 s by counting; 45 : 1 |",
        "| `uadbench --help` | 0.2 s; target 0.3 s |",
    ]


def test_a_name_of_several_words_reads_on_after_its_value(readme):
    coverage = {"what": "Coverage", "with 30 subjects": "0.94", "distinct_values": 7}
    assert rows(readme.block(report(bench(**coverage)))) == ["| Coverage | 0.94 with 30 subjects; 7 distinct values |"]


def test_a_benchmark_without_figures_shows_its_median_time_under_its_name(readme):
    assert rows(readme.block(report(bench()))) == ["| Counting is fast | 0.123 s |"]


def test_a_bar_in_a_text_does_not_open_a_cell(readme):
    assert rows(readme.block(report(bench(what="a | b", seconds=1)))) == ["| a \\| b | 1 s |"]


def test_the_table_says_when_and_on_what_it_was_measured(readme):
    assert "on 2030-01-02, x86_64, 2 cores, Python 3.11.9:" in readme.block(report())


def test_only_what_stands_between_the_markers_is_replaced_however_often(readme, tmp_path):
    source, page = tmp_path / "benchmarks.json", tmp_path / "README.md"
    source.write_text(json.dumps(report(bench(what="new", seconds=1))))
    page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    for _ in range(2):
        readme.main(source, page)
    text = page.read_text()
    assert (text.startswith("before\n"), text.endswith("\nafter\n")) == (True, True)
    assert (text.count("| new | 1 s |"), "old" in text) == (1, False)


def test_what_was_not_measured_again_stays_with_its_date(readme):
    first = readme.block(report(bench(what="a", seconds=1), bench(what="b", seconds=2)))
    later = report(bench(what="b", seconds=3)) | {"datetime": "2031-01-02T03:04:05"}
    again = readme.block(later, first)
    assert rows(again) == ["| b | 3 s |", "| a | 1 s (on 2030-01-02) |"]
    assert rows(readme.block(report(bench(what="c")), again))[1:] == ["| b | 3 s (on 2031-01-02) |", rows(again)[1]]


def test_a_readme_without_markers_is_left_alone(readme, tmp_path):
    source, page = tmp_path / "benchmarks.json", tmp_path / "README.md"
    source.write_text(json.dumps(report()))
    page.write_text("no markers")
    with pytest.raises(SystemExit, match="markers"):
        readme.main(source, page)
    assert page.read_text() == "no markers"


def test_the_readme_of_this_repository_has_the_markers(readme):
    text = (BENCHMARKS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert (text.count(readme.BEGIN), text.count(readme.END)) == (1, 1)
