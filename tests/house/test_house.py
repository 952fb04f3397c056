"""The source tree keeps the house rules; and each rule, shown a breach, sees it."""

import pytest
from house import rules
from house.source import Module, floor, read_tree

TREE = read_tree()


def sample(text, name="uadbench.board.sample", path="sample.py"):
    return Module(name, text, path)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule):
    breaches = list(rule(TREE))
    assert not breaches, f"{rule.__doc__}\n" + "\n".join(breaches)


def test_the_tree_is_read_whole():
    names = {module.name for module in TREE}
    assert {"uadbench", "uadbench.types", "uadbench.metrics.pixel", "uadbench.cli", "uadbench.runs.job"} <= names
    assert {"uadbench_baselines.constant", "uadbench_patchcore.patchcore"} <= names
    assert not any("tests" in name for name in names)


def test_every_module_has_a_floor():
    assert all(floor(module.name) in range(6) for module in TREE if module.top == "uadbench")


BREACHES = [
    (rules.floors, [sample("from uadbench.scoring import score", "uadbench.files.new")]),
    (
        rules.floors,
        [sample("def f():\n    from uadbench import runs", "uadbench.board.new"), sample("", "uadbench.runs")],
    ),
    (rules.floors, [sample("import uadbench.cli", "uadbench_mine.method")]),
    (rules.datasets_are_a_plugin, [sample("from uadbench.datasets.phantom import make", "uadbench.runs.new")]),
    (rules.cycles, [sample("import uadbench.b", "uadbench.a"), sample("import uadbench.a", "uadbench.b")]),
    (
        rules.cycles,
        [
            sample("from uadbench.p import x", "uadbench.p.a"),
            sample("from uadbench.p.a import x", "uadbench.p", "p/__init__.py"),
        ],
    ),
    (
        rules.cycles,
        [sample("def f():\n    from . import b", "uadbench.p.a"), sample("from uadbench.p import a", "uadbench.p.b")],
    ),
    (rules.torch_stays_behind_the_seam, [sample("def f():\n    import torch", "uadbench.scoring")]),
    (rules.torch_stays_behind_the_seam, [sample("from torch import nn", "uadbench_leaderboard.intake")]),
    (rules.pandas_stays_in_tables, [sample("import pandas as pd", "uadbench.scoring")]),
    (rules.plugins_stand_alone, [sample("import uadbench_b.x", "uadbench_a.y"), sample("", "uadbench_b.x")]),
    (
        rules.plugins_stand_alone,
        [sample("from uadbench_leaderboard import x", "uadbench_a.y"), sample("", "uadbench_leaderboard")],
    ),
    (
        rules.plugins_stand_alone,
        [sample("from uadbench_a import x", "uadbench_leaderboard.y"), sample("", "uadbench_a")],
    ),
    (rules.plugins_stand_alone, [sample("from uadbench.torch_support import x", "uadbench_leaderboard.y")]),
    (rules.files_are_short, [sample("x = 1\n" * 401)]),
    (rules.functions_are_short, [sample('def f():\n    """Doc."""\n' + "    x = 1\n" * 51)]),
    (rules.arguments_are_few, [sample("def f(a, b, c, d, *, e, f, g): pass")]),
    (rules.arguments_are_few, [sample("class A:\n    @property\n    def f(self, a, b, c, d, e, f, g): pass")]),
    (rules.names_say_something, [sample("", "uadbench.board.utils")]),
    (rules.names_say_something, [sample("", "uadbench_mine._common")]),
    (rules.names_say_something, [sample("", "uadbench_mine.image_helpers")]),
    (rules.classes_are_flat, [sample("class A: pass"), sample("class B(other.A): pass", "uadbench.board.other")]),
    (rules.nothing_is_swallowed, [sample("try:\n    f()\nexcept:\n    pass")]),
    (rules.nothing_is_swallowed, [sample("try:\n    f()\nexcept BaseException:\n    pass")]),
    (rules.only_doors_speak, [sample("print(1)", "uadbench.cli.new")]),
    (rules.only_doors_speak, [sample("import sys\nsys.exit(1)")]),
    (rules.metrics_name_their_source, [sample('def f():\n    """Doc."""', "uadbench.metrics.new")]),
    (rules.metrics_name_their_source, [sample('"""Doc."""\nclass A:\n    def fit(self): pass', "uadbench_mine.new")]),
    (rules.public_things_are_described, [sample('"""Doc."""\ndef f(): pass')]),
    (rules.public_things_are_described, [sample('"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): pass')]),
    (rules.public_things_are_described, [sample("x = 1")]),
    (rules.nothing_is_left_to_do, [sample("x = 1  # TODO: later")]),
    (rules.options_are_named, [sample("def f(**options): pass")]),
    (rules.the_house_says_nothing_of_its_builders, [sample("path = '/home/someone/data'")]),
]


@pytest.mark.parametrize(("rule", "modules"), BREACHES)
def test_a_breach_is_seen(rule, modules):
    assert len(list(rule(modules))) >= 1


ALLOWED = [
    (rules.floors, [sample("from uadbench.types import Images", "uadbench_mine.method")]),
    (rules.floors, [sample("from uadbench import __version__", "uadbench.files.new")]),
    (
        rules.cycles,
        [
            sample("from uadbench.p.b import x", "uadbench.p.a"),
            sample("", "uadbench.p.b"),
            sample("from uadbench.p.a import x", "uadbench.p", "p/__init__.py"),
        ],
    ),
    (
        rules.cycles,
        [sample("if TYPE_CHECKING:\n    import uadbench.b", "uadbench.a"), sample("import uadbench.a", "uadbench.b")],
    ),
    (rules.torch_stays_behind_the_seam, [sample("import torch", "uadbench_mine.method")]),
    (rules.arguments_are_few, [sample("@group.command()\ndef f(a, b, c, d, e, f, g): pass", "uadbench.cli.new")]),
    (rules.arguments_are_few, [sample("class A:\n    def f(self, a, b, c, d, e, f): pass")]),
    (rules.classes_are_flat, [sample("class E(Exception): pass\nclass F(E): pass\nclass G(F): pass")]),
    (
        rules.classes_are_flat,
        [sample("from typing import Protocol\nclass A(Protocol): pass"), sample("class Protocol: pass")],
    ),
    (rules.classes_are_flat, [sample("class R(BaseModel): pass\nclass S(R): pass")]),
    (rules.only_doors_speak, [sample("if __name__ == '__main__':\n    sys.exit(1)", "uadbench.runs.new")]),
    (rules.nothing_is_swallowed, [sample("try:\n    f()\nexcept BaseException:\n    kill()\n    raise")]),
]


@pytest.mark.parametrize(("rule", "modules"), ALLOWED)
def test_what_is_allowed_is_not_a_breach(rule, modules):
    assert not list(rule(modules))


def test_every_rule_is_shown_a_breach():
    assert {rule for rule, _ in BREACHES} == set(rules.RULES)
