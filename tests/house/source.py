"""The source tree as the house rules see it: parsed modules, and what each of them imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Module -> floor; the longest name that fits decides. `uadbench` itself holds a version and lazy names.
FLOORS = {
    "uadbench": 0,
    **dict.fromkeys(["uadbench.types", "uadbench.errors", "uadbench.ranks", "uadbench.intervals"], 0),
    "uadbench.metrics": 0,
    **dict.fromkeys(["uadbench.files", "uadbench.home"], 1),
    **dict.fromkeys(["uadbench.hookspecs", "uadbench.plugins", "uadbench.protocols"], 2),
    "uadbench.references": 2,
    **dict.fromkeys(["uadbench.fitting", "uadbench.evidence", "uadbench.measures", "uadbench.scoring"], 3),
    **dict.fromkeys(["uadbench.comparing", "uadbench.testing", "uadbench.scaffold"], 3),
    **dict.fromkeys(["uadbench.auditing", "uadbench.board", "uadbench.datasets", "uadbench.sheets"], 3),
    **dict.fromkeys(["uadbench.packing", "uadbench.submitting", "uadbench.verifying", "uadbench.torch_support"], 3),
    **dict.fromkeys(["uadbench.runs", "uadbench.latency", "uadbench.studies"], 4),
    **dict.fromkeys(["uadbench.cli", "uadbench.__main__"], 5),
}


@dataclass(frozen=True)
class Module:
    """One Python file: its dotted name, its text, and where it lies."""

    name: str
    text: str
    path: str = "sample.py"

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def top(self) -> str:
        """The distribution's package."""
        return self.name.partition(".")[0]

    @property
    def is_plugin(self) -> bool:
        return self.top.startswith("uadbench_") and not self.is_leaderboard

    @property
    def is_leaderboard(self) -> bool:
        return self.top == "uadbench_leaderboard"

    def within(self, *packages: str) -> bool:
        """Whether this is one of these modules, or inside one of these packages."""
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def classes(self) -> Iterator[ast.ClassDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                yield node

    def imports(self, *, running: bool = False) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every module that is imported, with the names taken from it; `running` leaves out imports for types only."""
        skipped = _for_types(self.tree) if running else set()
        package = self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if node in skipped:
                continue
            if isinstance(node, ast.Import):
                yield from ((alias.name, ()) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                yield ".".join([*above, *([node.module] if node.module else [])]), tuple(a.name for a in node.names)


def _for_types(tree: ast.Module) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def read_tree() -> tuple[Module, ...]:
    """Every module of harness, plugins and leaderboard; tests are left out."""
    homes = [ROOT / "harness", *sorted((ROOT / "plugins").glob("*/")), ROOT / "leaderboard"]
    return tuple(_module(home, file) for home in homes for file in sorted(home.glob("uadbench*/**/*.py")))


def _module(home: Path, file: Path) -> Module:
    parts = file.relative_to(home).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, file.read_text(encoding="utf-8"), str(file.relative_to(ROOT)))


def floor(name: str) -> int:
    """The floor of a uadbench module.

    Raises:
        KeyError: The module is on no floor yet; give it one in `FLOORS`.
    """
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in FLOORS and (end > 1 or len(parts) == 1):
            return FLOORS[".".join(parts[:end])]
    raise KeyError(f"{name} is on no floor yet. Give it one in FLOORS.")


def targets(module: Module, known: set[str], *, running: bool = False) -> Iterator[str]:
    """The modules that `module` imports; `from package import module` names the module, not the package."""
    for name, taken in module.imports(running=running):
        inside = [f"{name}.{one}" for one in taken if f"{name}.{one}" in known]
        yield from inside
        if len(inside) < len(taken) or not taken:
            yield name
