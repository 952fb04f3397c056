"""Runs: what a plan holds, what a campaign leaves behind whatever its methods do, and how a run is found again."""

import dataclasses
import json
import re
from pathlib import Path

import factories
import pytest

from uadbench import plugins
from uadbench.cli.running import _seeds
from uadbench.errors import ContractError, InvalidDataError, ParameterError, UnknownNameError, UsageError
from uadbench.files.dataset import write_dataset
from uadbench.files.images import open_images
from uadbench.files.predictions import open_predictions
from uadbench.files.truth import open_truth
from uadbench.fitting import Order, fit_predict
from uadbench.protocols import protocol_for
from uadbench.runs.boards import BoardWriter
from uadbench.runs.local import Silent, campaign, result_of
from uadbench.runs.plan import Wish, find_dataset, plan
from uadbench.runs.store import Run, RunSpec, Store

MISBEHAVING = Path(__file__).parents[1] / "misbehaving" / "methods"
SPEC = RunSpec(
    method="m", distribution="d", distribution_version="1", preset="quick", params={"a": 1}, seed=0, device="cpu",
    precision="float32", dataset="toy-v1", dataset_version="1", identity="i", pixels="p",
)  # fmt: skip


@pytest.fixture(autouse=True)
def misbehaving(monkeypatch):
    """The misbehaving methods are installed, here and in the processes of runs."""
    monkeypatch.syspath_prepend(str(MISBEHAVING))
    monkeypatch.setenv("PYTHONPATH", str(MISBEHAVING))
    plugins.registry.cache_clear()
    yield
    plugins.registry.cache_clear()


@pytest.fixture
def data(tmp_path):
    factories.toy_dataset(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def carried_out(data, store):
    """Plans and carries out methods on the toy dataset."""

    def carry_out(*methods, observer=None, **changes):
        return campaign(plan(wish(*methods, **changes), store, data), store, observer or Silent())

    return carry_out


def wish(*methods, **changes):
    return Wish(methods, "toy-v1", **changes)


def rules_of(data):
    return protocol_for("toy-v1", has_masks=True), open_images(find_dataset("toy-v1", data).images)


@pytest.mark.parametrize("change", [
    {"params": {"a": 2}}, {"seed": 1}, {"pixels": "q"}, {"distribution_version": "2"}, {"dataset_version": "2"},
    {"identity": "j"}, {"device": "cuda"}, {"preset": "paper"}, {"method": "n"},
])  # fmt: skip
def test_the_key_of_a_run_changes_with_everything_that_makes_it(change):
    assert SPEC.model_copy(update=change).key != SPEC.key


def test_the_key_of_a_run_does_not_depend_on_the_order_of_its_parameters():
    one, two = (SPEC.model_copy(update={"params": params}) for params in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one.key == two.key


def test_a_plan_takes_canaries_first_and_every_seed_of_random_methods_only(data, store):
    planned = plan(wish("tunable", "random", "constant", seeds=(3, 4)), store, data)
    assert [(one.method, one.seed) for one in planned.todo] == [
        ("constant", 3), ("random", 3), ("tunable", 3), ("random", 4),
    ]  # fmt: skip


def test_a_plan_skips_what_is_done_and_a_changed_parameter_is_not(data, store, carried_out):
    carried_out("tunable", "constant")
    assert [one.method for one in plan(wish("tunable", "constant"), store, data).done] == ["constant", "tunable"]
    changed = wish("tunable", "constant", settings={"tunable": {"gain": 2.0}})
    assert [one.method for one in plan(changed, store, data).todo] == ["tunable"]


def test_a_plan_makes_a_run_again_on_other_pixels_of_the_same_identity(data, store, carried_out):
    carried_out("constant")
    before = open_images(find_dataset("toy-v1", data).images).digests
    splits = {split: [factories.sample(f"{split}-{i}", i) for i in range(6)] for split in ("train", "val", "test")}
    splits["test"] += [factories.sample(f"sick-{i}", i, sick=True) for i in range(6)]
    brighter = {split: [dataclasses.replace(one, pixels=one.pixels + 1) for one in splits[split]] for split in splits}
    write_dataset(data, factories.card(), brighter)
    planned = plan(wish("constant"), store, data)
    assert planned.dataset.digests.identity == before.identity
    assert [one.method for one in planned.todo] == ["constant"]


@pytest.mark.parametrize(("wished", "error", "sentence"), [
    (wish("constnt"), UnknownNameError, "No method is called 'constnt'. Did you mean 'constant'"),
    (wish("tunable", preset="papr"), UnknownNameError, "No preset of tunable is called 'papr'"),
    (wish("tunable", settings={"tunable": {"gian": 1}}), ParameterError, "Did you mean 'gain'"),
    (wish("tunable", settings={"tunabel": {"gain": 1}}), UnknownNameError, "Did you mean 'tunable'"),
    (wish("constant", device="gpu"), UsageError, "Device 'gpu' is unknown. Give cpu, cuda or cuda:N"),
    (dataclasses.replace(wish("constant"), dataset="toy-v2"), UnknownNameError, "Did you mean 'toy-v1'"),
    (dataclasses.replace(wish("constant"), dataset="brain-phantom-v1"), InvalidDataError, "Make it with `uadb"),
])  # fmt: skip
def test_a_wish_that_cannot_be_is_refused_before_anything_runs(wished, error, sentence, data, store):
    with pytest.raises(error, match=sentence):
        plan(wished, store, data)
    assert not store.folder.exists()


@pytest.mark.parametrize("which", ["images", "truth"])
def test_a_dataset_with_one_of_its_two_files_is_refused(which, data):
    (data / f"toy-v1.{which}.h5").unlink()
    with pytest.raises(
        InvalidDataError, match=rf"{which}.h5: no such file, but its twin is there. Make or import toy-v1"
    ):
        find_dataset("toy-v1", data)


@pytest.mark.parametrize("text", ["", "a", "0,-1", "1.5", "0;1"])
def test_seeds_that_are_no_numbers_are_refused(text):
    with pytest.raises(UsageError, match=r"give whole numbers from 0 on, with commas, such as 0,1,2"):
        _seeds(text)


FAILURES = {
    "nan": ("ContractError", "maps hold .* values that are not finite, the first nan at .0, 0, 0."),
    "wrong-shape": ("ContractError", r"maps \(6, 23, 24\) for images \(6, 1, 24, 24\). Return maps of shape"),
    "dies": ("ProcessDied", "ended with signal 9. Too little memory is the usual cause"),
    "raises": ("LookupError", "^LookupError: no such layer$"),
    "leaves": ("ProcessDied", "ended with exit code 0"),
    "missing-class": ("PluginError", "misbehaving:Nowhere does not load"),
}


def test_a_campaign_goes_on_after_every_kind_of_failure(carried_out, store):
    outcomes = {one.spec.method: one for one in carried_out(*FAILURES, "tunable").outcomes}
    assert outcomes["tunable"].result is not None
    for method, (kind, sentence) in FAILURES.items():
        failure = outcomes[method].failure
        assert (failure.kind, outcomes[method].run.record.status) == (kind, "failed")
        assert re.search(sentence, failure.sentence)
        assert "\n" not in failure.sentence


def test_a_failed_run_leaves_its_traceback_in_the_log_and_nothing_to_score(carried_out):
    (outcome,) = carried_out("raises").outcomes
    assert "Traceback" in outcome.run.log.read_text()
    assert not list(outcome.run.folder.glob("predictions*"))


def test_what_a_method_prints_goes_to_the_log_and_is_no_answer(carried_out):
    (outcome,) = carried_out("prints-a-lot").outcomes
    assert outcome.failure is None
    assert "printed, not told" in outcome.run.log.read_text()


def test_constant_maps_are_scored_and_warned_about(carried_out):
    (outcome,) = carried_out("constant").outcomes
    assert outcome.result.get("image_auroc").value == 0.5
    assert "The test maps have 1 distinct values only; ties decide the pixel metrics." in outcome.result.warnings


def test_two_runs_with_one_seed_make_the_same_bytes(data, tmp_path):
    runs = []
    for place in ("a", "b"):
        store = Store(tmp_path / place)
        campaign(plan(wish("random", seeds=(5,)), store, data), store, Silent())
        runs += [run.predictions.read_bytes() for run in store.runs()]
    assert runs[0] == runs[1]


def test_another_seed_makes_other_maps(carried_out, store):
    carried_out("random", seeds=(0, 1))
    first, second = (open_predictions(run.predictions)["test"] for run in store.runs())
    assert not (first.maps(slice(0, 3)) == second.maps(slice(0, 3))).any()


def test_a_result_is_kept_until_the_protocol_changes(data, carried_out):
    (outcome,) = carried_out("intensity").outcomes
    rules, images = rules_of(data)
    truth, stored = open_truth(find_dataset("toy-v1", data).truth), outcome.run.folder / "result.json"
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"warnings": ["kept"]}))
    assert result_of(outcome.run, rules, images, truth).warnings == ("kept",)
    other = dataclasses.replace(rules, resamples=10)
    assert "kept" not in result_of(outcome.run, other, images, truth).warnings


def test_a_damaged_result_is_scored_again(data, carried_out):
    (outcome,) = carried_out("intensity").outcomes
    (outcome.run.folder / "result.json").write_text("{")
    (again,) = carried_out("intensity").outcomes
    assert again.result == outcome.result


class Interrupting(Silent):
    """Presses Ctrl-C as soon as the slow method reports."""

    def progressed(self, spec, progress):
        raise KeyboardInterrupt


def test_an_interrupted_run_is_recorded_and_made_again(carried_out, store, monkeypatch):
    monkeypatch.setenv("MISBEHAVING_SECONDS", "60")
    with pytest.raises(KeyboardInterrupt):
        carried_out("slow", observer=Interrupting())
    (run,) = store.runs()
    assert (run.record.status, run.is_done) == ("interrupted", False)
    monkeypatch.setenv("MISBEHAVING_SECONDS", "0")
    assert carried_out("slow").outcomes[0].result is not None


def test_a_run_made_again_finds_an_empty_workdir(carried_out, store):
    (outcome,) = carried_out("raises").outcomes
    leftover = outcome.run.folder / "work" / "old.txt"
    leftover.write_text("from the run before")
    carried_out("raises")
    assert not leftover.exists()


def test_a_run_with_a_damaged_record_is_made_again(carried_out, store, data):
    (outcome,) = carried_out("constant").outcomes
    (outcome.run.folder / "run.json").write_text("{")
    assert store.done("toy-v1") == []
    assert len(plan(wish("constant"), store, data).todo) == 1


def test_a_damaged_prediction_file_does_not_end_the_board_of_the_others(carried_out, data, store, tmp_path):
    outcomes = carried_out("constant", "intensity").outcomes
    outcomes[0].run.predictions.write_bytes(b"")
    rules, images = rules_of(data)
    writer = BoardWriter(rules, images, open_truth(find_dataset("toy-v1", data).truth), tmp_path / "boards")
    board, page = writer.write(store)
    assert "intensity" in [row.method for row in board.rows]
    assert page.is_file()


def test_a_run_is_found_by_folder_id_and_start(carried_out, store):
    (outcome,) = carried_out("constant").outcomes
    for name in (str(outcome.run.folder), outcome.run.id, "constant-quick", "toy-v1/constant"):
        assert store.find(name).folder == outcome.run.folder


def test_a_campaign_is_shown_in_one_short_line(carried_out):
    assert repr(carried_out("constant")) == "<1 results and 0 failures on toy-v1>"


def test_a_run_found_by_the_folder_one_stands_in_has_its_name(carried_out, store, monkeypatch):
    (outcome,) = carried_out("constant").outcomes
    monkeypatch.chdir(outcome.run.folder)
    assert store.find(".").id == outcome.run.id


def test_a_name_that_fits_no_run_or_several_is_refused(carried_out, store):
    carried_out("random", seeds=(0, 1))
    with pytest.raises(UnknownNameError, match=r"No run is called 'patchcore'. See `uadbench list runs`"):
        store.find("patchcore")
    with pytest.raises(UsageError, match=r"'random' fits 2 runs: toy-v1/random-quick-seed0.*Give the run's folder"):
        store.find("random")


@pytest.mark.parametrize("name", ["~nobody-of-that-name", "a/b", ".."])
def test_odd_names_are_no_runs(name, store):
    with pytest.raises(UnknownNameError, match="No run is called"):
        store.find(name)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"run.json: no such file"):
        _ = Run(tmp_path).record


def test_a_run_that_another_process_finished_meanwhile_is_not_made_again(data, store):
    early = plan(wish("constant"), store, data)
    campaign(plan(wish("constant"), store, data), store, Silent())
    (run,) = store.runs()
    before = run.predictions.stat().st_mtime_ns
    assert campaign(early, store, Silent()).outcomes[0].result is not None
    assert run.predictions.stat().st_mtime_ns == before


def test_a_run_that_another_process_carries_out_is_left_to_it(data, store):
    planned = plan(wish("constant"), store, data)
    run = store.run(planned.todo[0])
    with run.held() as mine:
        (outcome,) = campaign(planned, store, Silent()).outcomes
    assert mine
    assert outcome.failure.sentence.startswith("Another process carries out this run now. Wait for it")
    assert not run.log.exists()
    assert campaign(planned, store, Silent()).outcomes[0].result is not None


def test_what_a_detector_tells_of_its_fit_goes_from_its_predictions_into_the_result(carried_out):
    outcomes = carried_out("tunable", "constant", settings={"tunable": {"gain": 2.0}}).outcomes
    told = {one.spec.method: one.result.provenance["diagnostics"] for one in outcomes}
    assert told == {"tunable": {"gain": 2.0}, "constant": {}}


@pytest.mark.parametrize("value", [Path("a"), float("nan"), {1, 2}])
def test_a_parameter_that_cannot_be_recorded_ends_a_run_before_it_fits(value, tmp_path, data):
    order = Order("tunable", params={"anything": (value,)})
    with pytest.raises(ContractError, match=r"tunable\.anything is .*, which cannot be recorded\. Give"):
        fit_predict(order, find_dataset("toy-v1", data).images, tmp_path / "a.h5", workdir=tmp_path / "work")
    assert not (tmp_path / "work").exists()
