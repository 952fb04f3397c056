"""Writes a new plugin: a complete package with one working method and its contract test."""

import importlib.util
import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from uadbench import plugins
from uadbench.errors import UsageError

FILES = {  # where it goes: the template it comes from
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "$package/__init__.py": "init.py.txt",
    "$package/$module.py": "method.py.txt",
    "tests/test_contract.py": "test_contract.py.txt",
}


def new_plugin(name: str, folder: Path) -> Path:
    """The new folder `folder/name`, which holds a package with one method of that name.

    Raises:
        UsageError: The name is not of lower-case letters, digits and dashes, or is taken, or the folder exists.
    """
    words = words_of(name)
    _require_free(name, words["package"])
    home = folder / name
    if home.exists():
        raise UsageError(f"{home} exists already. Choose another name, or another folder with --to.")
    for place, template in FILES.items():
        path = home / Template(place).substitute(words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(_read(template)).substitute(words), encoding="utf-8")
    return home


def words_of(name: str) -> dict[str, str]:
    """The words that the templates take: name, title, package, module and class.

    Raises:
        UsageError: The name is not of lower-case letters, digits and dashes, or is a Python keyword.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"The plugin name {name!r} is not of lower-case letters, digits and single dashes, beginning with a "
            "letter. Write for example `median-residual`."
        )
    module = name.replace("-", "_")
    words = {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "package": f"uadbench_{module}",
        "module": module,
        "class_name": "".join(part.capitalize() for part in name.split("-")),
    }
    if any(keyword.iskeyword(word) for word in words.values()):
        raise UsageError(f"The plugin name {name!r} is a word of the Python language. Choose a longer one.")
    return words


def _require_free(name: str, package: str) -> None:
    taken = plugins.registry().methods().get(name)
    if taken is not None:
        raise UsageError(
            f"The name {name!r} is taken by {taken.origin.distribution} {taken.origin.version} (see `uadbench list "
            "methods`). Choose another."
        )
    if importlib.util.find_spec(package) is not None:
        raise UsageError(f"The package {package} is installed already. Choose another plugin name than {name!r}.")


def _read(template: str) -> str:
    return (resources.files(__name__) / "templates" / template).read_text(encoding="utf-8")
