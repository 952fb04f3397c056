"""The house rules. Each takes parsed modules and yields one sentence per breach; nothing is imported to check it."""

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from house.source import Module, floor, targets

Breaches = Iterator[str]
Rule = Callable[[Sequence[Module]], Breaches]

ACTS = 3  # the highest floor that a plugin and the leaderboard may import
LONGEST_FILE, LONGEST_BODY, MOST_ARGUMENTS = 400, 50, 6
VAGUE = ("utils", "util", "helpers", "helper", "common", "manager", "base", "misc")
SEAM = ("fit", "predict", "save", "load", "inpaint", "forward")  # documented once, in uadbench.types or by torch


def floors(modules: Sequence[Module]) -> Breaches:
    """A module imports its own floor or lower."""
    known = {module.name for module in modules}
    for module in modules:
        for target in targets(module, known):
            if target.partition(".")[0] == "uadbench" and floor(target) > _allowed(module):
                yield f"{module.name} may import up to floor {_allowed(module)}, not {target} of floor {floor(target)}"


def _allowed(module: Module) -> int:
    return floor(module.name) if module.top == "uadbench" else ACTS


def datasets_are_a_plugin(modules: Sequence[Module]) -> Breaches:
    """Only the doors open `uadbench.datasets`; everyone else asks the registry."""
    known = {module.name for module in modules}
    for module in modules:
        for target in targets(module, known):
            inside = target == "uadbench.datasets" or target.startswith("uadbench.datasets.")
            if inside and not module.within("uadbench.datasets", "uadbench.cli"):
                yield f"{module.name} imports {target}; ask the registry for it"


def cycles(modules: Sequence[Module]) -> Breaches:
    """No circle of imports, imports inside functions included, imports for types alone left out."""
    known = {module.name for module in modules}
    arrows = {m.name: {t for t in targets(m, known, running=True) if t in known and t != m.name} for m in modules}
    seen: set[str] = set()
    for start in sorted(known):
        circle = _circle(start, arrows, [], seen)
        if circle:
            yield " -> ".join(circle)


def _circle(name: str, arrows: dict[str, set[str]], way: list[str], seen: set[str]) -> list[str]:
    if name in way:
        return [*way[way.index(name) :], name]
    if name in seen:
        return []
    for target in sorted(arrows[name]):
        found = _circle(target, arrows, [*way, name], seen)
        if found:
            return found
    seen.add(name)
    return []


def _imported_tops(module: Module) -> set[str]:
    return {name.partition(".")[0] for name, _ in module.imports()}


def torch_stays_behind_the_seam(modules: Sequence[Module]) -> Breaches:
    """torch, timm, torchvision and lpips only in torch_support and in plugins."""
    for module in modules:
        if module.within("uadbench.torch_support") or module.is_plugin:
            continue
        for library in sorted(_imported_tops(module) & {"torch", "timm", "torchvision", "lpips"}):
            yield f"{module.name} imports {library}; ask uadbench.torch_support"


def pandas_stays_in_tables(modules: Sequence[Module]) -> Breaches:
    """pandas only in datasets, and in runs for result tables."""
    for module in modules:
        if module.top == "uadbench" and not module.within("uadbench.datasets", "uadbench.runs"):
            for library in _imported_tops(module) & {"pandas"}:
                yield f"{module.name} imports {library}"


def plugins_stand_alone(modules: Sequence[Module]) -> Breaches:
    """A plugin imports uadbench and libraries, never another plugin; the leaderboard no plugin and no torch_support."""
    packages = {module.top for module in modules if module.top.startswith("uadbench_")}
    for module in modules:
        for foreign in sorted(_imported_tops(module) & packages - {module.top}):
            yield f"{module.name} imports {foreign}"
        if module.is_leaderboard:
            for name, _ in module.imports():
                if name.startswith("uadbench.torch_support"):
                    yield f"{module.name} imports {name}"


def files_are_short(modules: Sequence[Module]) -> Breaches:
    """At most 400 lines a file."""
    for module in modules:
        lines = len(module.text.splitlines())
        if lines > LONGEST_FILE:
            yield f"{module.path} has {lines} lines"


def functions_are_short(modules: Sequence[Module]) -> Breaches:
    """At most 50 lines a body, the docstring not counted."""
    for module in modules:
        for function in module.functions():
            body = function.body[1:] if ast.get_docstring(function) is not None else function.body
            lines = function.end_lineno - body[0].lineno + 1 if body else 0
            if lines > LONGEST_BODY:
                yield f"{module.name}.{function.name} has {lines} lines"


def arguments_are_few(modules: Sequence[Module]) -> Breaches:
    """At most six arguments beside self; a click command has its options instead."""
    for module in modules:
        for function in module.functions():
            given = function.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > MOST_ARGUMENTS and not _is_command(function):
                yield f"{module.name}.{function.name} has {count} arguments"


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(re.search(r"\.(command|group)\b", ast.unparse(one)) for one in function.decorator_list)


def names_say_something(modules: Sequence[Module]) -> Breaches:
    """No module is called utils, helpers, common, manager or base."""
    for module in modules:
        for part in module.name.split("."):
            if part.strip("_") in VAGUE or any(part.endswith(f"_{vague}") for vague in VAGUE):
                yield f"{module.name}: {part!r} says nothing"


def classes_are_flat(modules: Sequence[Module]) -> Breaches:
    """No class of ours inherits from another of ours, except errors and pydantic records."""
    parents = {one.name: [_last(base) for base in one.bases] for module in modules for one in module.classes()}
    for module in modules:
        foreign = {name for origin, names in module.imports() for name in names if not origin.startswith("uadbench")}
        for one in module.classes():
            for base in set(map(_last, one.bases)) & set(parents) - foreign:
                if not {"Exception", "BaseModel"} & _ancestors(base, parents):
                    yield f"{module.name}.{one.name} inherits from {base}"


def _last(base: ast.expr) -> str:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def _ancestors(name: str, parents: dict[str, list[str]]) -> set[str]:
    found = set(parents.get(name, []))
    return found.union(*(_ancestors(parent, parents) for parent in found))


def nothing_is_swallowed(modules: Sequence[Module]) -> Breaches:
    """No bare `except:`, and no `except BaseException` that does not raise again."""
    for module in modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if node.type is None or ("BaseException" in ast.unparse(node.type) and not raises):
                yield f"{module.name}, line {node.lineno}: catches everything"


def only_doors_speak(modules: Sequence[Module]) -> Breaches:
    """No print anywhere, no exit below the command line; a process of its own exits under `__main__`."""
    for module in modules:
        if module.within("uadbench.cli", "uadbench.__main__"):
            leaving: tuple[str, ...] = ()
        else:
            leaving = ("sys.exit", "exit", "quit", "os._exit")
        as_script = {inner for node in module.tree.body if _is_main(node) for inner in ast.walk(node)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and node not in as_script and ast.unparse(node.func) in ("print", *leaving):
                yield f"{module.name}, line {node.lineno}: {ast.unparse(node.func)}()"


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def metrics_name_their_source(modules: Sequence[Module]) -> Breaches:
    """Every public function of a metric, and every method file of a plugin, has a `Source:` line."""
    for module in modules:
        if module.within("uadbench.metrics"):
            for node in module.tree.body:
                public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
                if public and "Source:" not in (ast.get_docstring(node) or ""):
                    yield f"{module.name}.{node.name} names no source"
        is_method = any(isinstance(one, ast.FunctionDef) and one.name == "fit" for one in ast.walk(module.tree))
        if module.is_plugin and is_method and "Source:" not in (ast.get_docstring(module.tree) or ""):
            yield f"{module.name} names no source"


def public_things_are_described(modules: Sequence[Module]) -> Breaches:
    """Every module, public class, function and method has a docstring; the seam's methods have theirs in the seam."""
    for module in modules:
        if ast.get_docstring(module.tree) is None:
            yield f"{module.name} has no docstring"
        for owner, node in _public(module):
            if ast.get_docstring(node) is None:
                yield f"{module.name}.{owner}{node.name} has no docstring"


def _public(module: Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield "", node
        members = node.body if isinstance(node, ast.ClassDef) and not _is_interface(node) else []
        for member in members:
            if isinstance(member, ast.FunctionDef) and not member.name.startswith("_") and member.name not in SEAM:
                yield f"{node.name}.", member


def _is_interface(node: ast.ClassDef) -> bool:
    return "Protocol" in [_last(base) for base in node.bases]


def nothing_is_left_to_do(modules: Sequence[Module]) -> Breaches:
    """No TODO, FIXME, XXX or HACK."""
    for module in modules:
        for number, line in enumerate(module.text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{module.path}:{number}: {line.strip()}"


def options_are_named(modules: Sequence[Module]) -> Breaches:
    """No **kwargs, which would swallow a stale option; `plugins.make` checks every name itself."""
    for module in modules:
        for function in module.functions():
            if function.args.kwarg and (module.name, function.name) != ("uadbench.plugins", "make"):
                yield f"{module.name}.{function.name} takes **{function.args.kwarg.arg}"


def the_house_says_nothing_of_its_builders(modules: Sequence[Module]) -> Breaches:
    """No path of one machine."""
    for module in modules:
        for number, line in enumerate(module.text.splitlines(), 1):
            if re.search(r"/(home|root|Users)/\w", line):
                yield f"{module.path}:{number}: {line.strip()}"


RULES: tuple[Rule, ...] = (
    floors, datasets_are_a_plugin, cycles, torch_stays_behind_the_seam, pandas_stays_in_tables, plugins_stand_alone,
    files_are_short, functions_are_short, arguments_are_few, names_say_something, classes_are_flat,
    nothing_is_swallowed, only_doors_speak, metrics_name_their_source, public_things_are_described,
    nothing_is_left_to_do, options_are_named, the_house_says_nothing_of_its_builders,
)  # fmt: skip
