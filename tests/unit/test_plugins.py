"""The registry: what installed plugins offer, whatever some of them do, and methods made by name."""

import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from uadbench import plugins
from uadbench.errors import MissingLibraryError, ParameterError, PluginError, UnknownNameError, UsageError
from uadbench.hookspecs import MethodSpec
from uadbench.plugins import Registry

MISBEHAVING = Path(__file__).parents[1] / "misbehaving"


@pytest.fixture
def offered(monkeypatch):
    """The registry of the plugins in some folders of tests/misbehaving, as if they were installed alone."""

    def registry(*names):
        folders = [str(MISBEHAVING / name) for name in names]
        for folder in folders:
            monkeypatch.syspath_prepend(folder)
        found = [point for one in distributions(path=folders) for point in one.entry_points]
        return Registry(sorted(found, key=lambda point: (point.name, point.value)))

    yield registry
    for name in ("misbehaving", "twin", "broken_hook", "broken_exits", "broken_syntax"):
        sys.modules.pop(name, None)


@pytest.fixture
def tunable(offered):
    """The spec of a method with one parameter of each kind."""
    return offered("methods").methods()["tunable"].spec


def point(value, name="mine"):
    return EntryPoint(name, value, plugins.GROUP)


def test_an_installed_method_is_found_with_its_distribution():
    found = plugins.method("intensity")
    assert (found.spec.title, found.origin.distribution) == ("The image itself", "uadbench-baselines")


def test_canaries_come_first_then_the_cheaper_methods():
    specs = [one.spec for one in plugins.registry().methods().values()]
    assert [spec.canary for spec in specs] == sorted((spec.canary for spec in specs), reverse=True)
    rest = [spec.cost for spec in specs if not spec.canary]
    assert rest == sorted(rest)


def test_finding_methods_imports_none_of_them(offered):
    specs = offered("methods").methods()
    assert "missing-class" in specs
    assert len(specs) == 9


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"No method is called 'intensty'. Did you mean 'intensity'\? See `uadb"):
        plugins.method("intensty")
    with pytest.raises(UnknownNameError, match=r"No method is called 'xyz'. See `uadbench list methods`"):
        plugins.method("xyz")


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"No preset of intensity is called 'quik'. Did you mean 'quick'"):
        plugins.make("intensity", preset="quik")


def test_an_unknown_parameter_is_refused_with_the_nearest_and_the_list(tunable):
    with pytest.raises(
        ParameterError, match=r"No parameter of tunable is called 'gian'. Did you mean 'gain'\?.*It has:"
    ):
        plugins.build(tunable, "quick", {"gian": 2.0})
    with pytest.raises(ParameterError, match=r"It has: no parameters"):
        plugins.make("intensity", gain=2.0)


@pytest.mark.parametrize(("name", "value"), [
    ("gain", "2"), ("count", 2.0), ("count", True), ("mode", 1), ("sizes", 3),
])  # fmt: skip
def test_a_parameter_of_another_type_is_refused(name, value, tunable):
    with pytest.raises(ParameterError, match=rf"tunable.{name} is .* of type {type(value).__name__}. Give "):
        plugins.build(tunable, "quick", {name: value})


@pytest.mark.parametrize("name", ["gain", "anything"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parameter_that_is_not_finite_is_refused(name, value, tunable):
    with pytest.raises(ParameterError, match=rf"tunable.{name} is {value}. Give a finite number"):
        plugins.build(tunable, "quick", {name: value})


def test_whole_numbers_become_floats_and_lists_tuples(tunable):
    made = plugins.build(tunable, "quick", {"gain": 2, "sizes": [3]})
    assert (made.gain, type(made.gain), made.sizes) == (2.0, float, (3,))


def test_settings_are_read_as_literals_else_as_text():
    settings = ["a.gain=0.5", "a.mode=plain", "phanes:ra.sizes=(1, 2)", "a.flag=True", "a.on=true", "a.off=false"]
    assert plugins.parse_settings(settings) == {
        "a": {"gain": 0.5, "mode": "plain", "flag": True, "on": True, "off": False},
        "phanes:ra": {"sizes": (1, 2)},
    }


@pytest.mark.parametrize("setting", ["gain=1", "a.gain", ".gain=1", "a.=1", ""])
def test_a_setting_of_another_form_is_refused(setting):
    with pytest.raises(UsageError, match=r"is not name.param=value. Write for example"):
        plugins.parse_settings([setting])


def test_broken_plugins_are_listed_and_the_rest_work(offered):
    registry = offered("broken", "methods")
    assert "tunable" in registry.methods()
    assert {one.origin.distribution for one in registry.broken} == {"broken-plugins"}
    errors = " ".join(one.error for one in registry.broken)
    for sentence in (
        "No module named 'broken_absent'",
        "SystemExit: I want",
        "NameError",
        "return a sequence of MethodSpec",
    ):
        assert sentence in errors


def test_a_broken_plugin_is_listed_once(offered):
    registry = offered("broken")
    registry.methods()
    registry.methods()
    assert len(registry.broken) == 4


def test_two_distributions_that_offer_one_method_are_named(offered):
    offered("twin")
    with pytest.raises(PluginError, match=r"Two plugins offer the method 'constant': .* and .*Uninstall one of them"):
        Registry([point("twin", "a"), point("uadbench_baselines", "b")]).methods()


def test_two_distributions_that_offer_one_dataset_are_named(offered):
    offered("twin")
    with pytest.raises(PluginError, match=r"Two plugins offer the dataset 'brain-phantom-v1'.*rename the dataset"):
        Registry([point("twin", "a"), point("uadbench.datasets", "b")]).datasets()


def test_a_method_whose_class_is_missing_is_a_broken_plugin(offered):
    spec = offered("methods").methods()["missing-class"].spec
    with pytest.raises(
        PluginError, match=r"misbehaving:Nowhere does not load .AttributeError.*Install another version"
    ):
        plugins.build(spec, "quick", {})


def test_a_missing_library_is_named_with_its_remedy():
    spec = MethodSpec("lacking", "library_that_is_nowhere.part:Method", "Lacks a library")
    with pytest.raises(
        MissingLibraryError, match=r"needs the library 'library_that_is_nowhere'.*pip install library_that"
    ):
        plugins.build(spec, "quick", {})


def test_a_method_that_is_no_dataclass_is_refused():
    with pytest.raises(PluginError, match=r"odd: pathlib:Path is no dataclass.*Make it a frozen dataclass"):
        plugins.build(MethodSpec("odd", "pathlib:Path", "Odd"), "quick", {})


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"target": "nothing"}, "target 'nothing' is not 'package.module:Class'"),
    ({"presets": {"paper": {}}}, "presets .'paper'. lack 'quick'. Add one"),
])  # fmt: skip
def test_a_spec_that_breaks_the_seam_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        MethodSpec(**({"name": "odd", "target": "pathlib:Path", "title": "Odd"} | changes))
