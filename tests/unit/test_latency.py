"""`uadbench latency`: percentiles of raw rounds, sentences, and one real measurement of two canaries."""

import itertools
import json
import sys

import factories
import pytest
from click.testing import CliRunner

from uadbench.cli.latency import latency
from uadbench.errors import EnvironmentProblemError, InvalidDataError, MissingLibraryError, UnknownNameError, UsageError
from uadbench.files.images import open_images
from uadbench.home import data_folder, runs_folder
from uadbench.latency import (
    Rounds,
    Schedule,
    choose,
    percentile,
    read_latency,
    require_pytest_benchmark,
)
from uadbench.latency.memory import peak_mib
from uadbench.runs.local import run
from uadbench.runs.store import Store
from uadbench.torch_support.devices import require_device

TOY = ("--dataset", "toy-v1", "--rounds", "3", "--batch", "4", "--batch", "1")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace with a toy dataset of 12 test images and the finished runs of two canaries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UADBENCH_HOME", str(tmp_path_factory.mktemp("workspace")))
        factories.toy_dataset(data_folder())
        assert not run(("intensity", "mean-residual"), "toy-v1").failures
        yield runs_folder().parent


@pytest.fixture
def toy(workspace):
    return open_images(workspace / "data" / "toy-v1.images.h5")


@pytest.fixture(scope="module")
def timed(workspace):
    """The report on both canaries, of which one has lost its detector's files, and how the command ended."""
    for path in (runs_folder() / "toy-v1").glob("mean-residual-*/work/detector/*"):
        path.unlink()
    out = workspace / "report.json"
    ended = CliRunner().invoke(latency, [*TOY, "-m", "mean-residual", "-m", "intensity", "--json", str(out)])
    return read_latency(out), ended


def test_percentiles_lie_between_the_neighbouring_rounds():
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile(range(1, 102), 95) == 96.0
    assert percentile([10.0, 20.0], 95) == pytest.approx(19.5)
    assert percentile([7.0], 95) == 7.0


def test_percentiles_ignore_the_order_of_the_rounds():
    orders = itertools.permutations([1.0, 5.0, 2.0, 9.0])
    assert len({(percentile(rounds, 50), percentile(rounds, 95)) for rounds in orders}) == 1


def test_throughput_counts_all_images_over_all_rounds():
    rounds = Rounds.of([100.0, 300.0], batch=8)
    assert rounds.images_per_second == pytest.approx(16 / 0.4)


def test_no_rounds_have_no_percentile():
    with pytest.raises(InvalidDataError, match="no rounds were measured"):
        percentile([], 50)


@pytest.mark.parametrize("changes", [{"batches": (0,)}, {"batches": ()}, {"rounds": 0}, {"images": -1}])
def test_a_schedule_refuses_numbers_below_one(changes):
    with pytest.raises(UsageError, match=r"such as --batch 1|from 1 on"):
        Schedule(**changes)


def test_a_schedule_refuses_devices_it_cannot_wait_for():
    with pytest.raises(UsageError, match="'mps': only cpu, cuda and cuda:N"):
        Schedule(device="mps")


def test_a_device_that_is_not_there_is_an_environment_problem():
    with pytest.raises(EnvironmentProblemError, match="torch sees no such device"):
        require_device("cuda:99")


def test_batches_do_not_exceed_the_test_images(toy):
    assert Schedule(batches=(1, 12)).count(toy) == 12
    with pytest.raises(UsageError, match="--batch 16: batches are taken from 12 test images of toy-v1"):
        Schedule().count(toy)
    with pytest.raises(UsageError, match="more --images"):
        Schedule(images=8).count(toy)


def test_a_missing_library_names_the_extra_that_brings_it():
    with pytest.raises(MissingLibraryError, match=r"'no_such_library'.*pip install 'uadbench\[latency\]'"):
        require_pytest_benchmark(("pytest", "no_such_library"))


def test_a_method_is_timed_by_its_finished_run_on_these_very_images(workspace, toy):
    choice = choose(["random", "intensity"], "quick", toy, Store(workspace / "runs"))
    assert [one.record.spec.method for one in choice.runs] == ["intensity"]
    assert choice.missing == ("random",)


def test_a_method_without_a_run_names_the_command_that_makes_one(workspace):
    ended = CliRunner().invoke(latency, [*TOY, "-m", "random"])
    assert isinstance(ended.exception, UsageError)
    assert "`uadbench run --dataset toy-v1 --method random`" in str(ended.exception)


def test_a_misspelt_method_gets_a_suggestion(workspace):
    ended = CliRunner().invoke(latency, [*TOY, "-m", "intensty"])
    assert isinstance(ended.exception, UnknownNameError)
    assert "Did you mean 'intensity'?" in str(ended.exception)


def test_nothing_to_time_is_a_usage_error():
    ended = CliRunner().invoke(latency, [])
    assert isinstance(ended.exception, UsageError)
    assert "--all, --method NAME, or a RUN" in str(ended.exception)


def test_every_batch_size_is_timed_in_both_scopes_in_ascending_order(timed):
    report, _ = timed
    (method,) = report.methods
    assert method.spec.method == "intensity"
    assert [one.batch for one in method.batches] == [1, 4]
    for one in method.batches:
        assert len(one.model.rounds_ms) == len(one.end_to_end.rounds_ms) == 3
        assert min(one.end_to_end.rounds_ms) <= one.end_to_end.p50_ms <= one.end_to_end.p95_ms
        assert one.peak_mib >= method.loaded_mib > 0


def test_the_statistics_follow_from_the_raw_rounds_in_the_report(timed):
    one = timed[0].methods[0].batches[-1]
    assert one.model == Rounds.of(one.model.rounds_ms, one.batch)


def test_a_method_that_fails_takes_one_line_and_the_others_go_on(timed):
    report, ended = timed
    (failure,) = report.failures
    assert ended.exit_code == 1
    assert failure.method == "mean-residual"
    assert f"Failed: {failure.run}: {failure.failure.sentence} Log: " in ended.output
    assert "Traceback" not in ended.output


def test_the_report_says_what_the_times_depend_on(timed, toy):
    report, _ = timed
    assert (report.dataset.identity, report.dataset.pixels) == (toy.digests.identity, toy.digests.pixels)
    assert report.versions["python"] == sys.version.split()[0]
    assert {"numpy", "pytest-benchmark"} <= set(report.versions)
    assert report.methods[0].hardware["cores"] >= report.methods[0].usable_cores > 0


def test_a_report_survives_json(timed, tmp_path):
    report, _ = timed
    report.write(tmp_path / "copy.json")
    assert read_latency(tmp_path / "copy.json") == report
    assert json.loads((tmp_path / "copy.json").read_text())["schema"] == "uadbench-latency-v1"


def test_a_foreign_file_is_no_report(tmp_path):
    (tmp_path / "other.json").write_text('{"schema": "uadbench-run-v1"}')
    with pytest.raises(InvalidDataError, match="not a valid LatencyReport"):
        read_latency(tmp_path / "other.json")


def test_nothing_but_reports_and_logs_of_failures_stays_behind(timed, workspace):
    report, _ = timed
    assert [path.name for path in (workspace / "latency").iterdir()] == [f"{report.failures[0].run}.log"]


def test_peak_memory_never_shrinks():
    before = peak_mib()
    assert 1 < before <= peak_mib() < 1e6
