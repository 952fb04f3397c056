"""The author's contract: a good method passes every check, and each check finds a fault of its own."""

import re
from pathlib import Path

import pytest

from uadbench import testing
from uadbench.errors import ContractError, MissingWeightsError, ParameterError, UnknownNameError
from uadbench.hookspecs import MethodSpec
from uadbench.testing.blobs import blobs

FAULTS = {  # check: the class with that fault, what its spec says, and words of the sentence
    "frozen": ("Mutable", {}, r"@dataclass\(frozen=True\)"),
    "presets": ("Good", {"presets": {"quick": {}, "paper": {"gian": 2.0}}}, "preset 'paper' makes no method"),
    "parameters": ("NumpyParameter", {}, "which JSON cannot hold"),
    "light-import": ("heavy", {}, "loads h5py. Keep the hook in a light __init__.py"),
    "unchanged": ("Changed", {}, "fit changed 'gain' of the method"),
    "shapes": ("Channels", {"reconstructs": True}, r"gave reconstructions \(6, 3, 64, 64\)"),
    "finite": ("NotFinite", {"min_size": 8}, "needs a guard"),
    "one-image": ("Squeezed", {"min_size": 2}, "Return maps of shape"),
    "batch": ("Batchwise", {}, "predicting batches of 3 differs .* Normalise per image"),
    "inputs": ("Writing", {}, "predict changed images.pixels"),
    "save-load": ("Forgetful", {}, "otherwise after save and load: maps by up to .* with its dtype"),
    "reconstructs": ("Good", {"reconstructs": True}, "but predict returns none"),
    "seed": ("Unseeded", {"stochastic": True}, "seed 0 and seed 0 differ"),
    "odd-size": ("Cropped", {"min_size": 2}, r"gave maps \(2, 64, 62\)"),
    "min-size": ("Large", {}, "Raise min_size in the spec"),
}


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)


def subject(name, **said):
    target = "heavy_method:Good" if name == "heavy" else f"broken_methods:{name}"
    return testing.Case(MethodSpec(f"broken-{name.lower()}", target, title=name, **said))


def failures(case):
    failed = {}
    for check in testing.checks():
        try:
            check.run(case)
        except ContractError as error:
            failed[check.name] = str(error)
    return failed


def test_a_good_method_passes_every_check():
    assert failures(subject("Good")) == {}


def test_every_check_has_a_fault_below():
    assert list(FAULTS) == [check.name for check in testing.checks()]


@pytest.mark.parametrize("check", FAULTS)
def test_each_fault_fails_its_check_alone(check):
    name, said, sentence = FAULTS[check]
    failed = failures(subject(name, **said))
    assert list(failed) == [check]
    assert re.search(sentence, failed[check])


def test_maps_of_another_size_than_the_images_are_found():
    assert {"shapes", "odd-size"} <= set(failures(subject("Halved")))


def test_a_seeded_method_that_does_not_say_so_is_found():
    assert "yet stochastic=False" in failures(subject("Seeded"))["seed"]
    assert failures(subject("Seeded", stochastic=True)) == {}


def test_refusing_odd_sides_by_a_sentence_is_allowed():
    assert failures(subject("Refusing", min_size=2)) == {}


def test_something_else_than_a_prediction_is_named():
    assert "predict returned tuple" in failures(subject("Tuple"))["shapes"]


def test_missing_weights_are_no_breach_of_contract():
    with pytest.raises(MissingWeightsError):
        failures(subject("Weightless"))


def test_every_check_says_what_must_hold():
    assert all(check.what and str(check) == check.name for check in testing.checks())


def test_a_case_of_an_installed_method_is_made_once():
    assert testing.case("constant") is testing.case("constant")
    assert testing.case("constant").detector is testing.case("constant").detector


def test_outcomes_come_in_the_order_of_the_checks():
    outcomes = list(testing.check_method("intensity"))
    assert [outcome.check for outcome in outcomes] == [check.name for check in testing.checks()]
    assert all(outcome.passed and not outcome.sentence for outcome in outcomes)


def test_unknown_names_are_refused_before_the_first_check():
    with pytest.raises(UnknownNameError, match="Did you mean 'intensity'"):
        testing.check_method("intensty")
    with pytest.raises(ParameterError, match="no parameters"):
        testing.check_method("intensity", overrides={"gain": 1})


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 63), (1, 1)])
def test_blobs_are_seeded_images_with_background_zero(height, width):
    images, again = (blobs(3, height, width, seed=4) for _ in range(2))
    assert images.pixels.tobytes() == again.pixels.tobytes()
    assert images.pixels.min() >= 0
    assert 0.2 < images.pixels.max() <= 1
    assert not images.pixels[:, 0][~images.foreground].any()
