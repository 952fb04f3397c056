"""The manifest of pretrained weights: which file each of them is, and where it comes from. Needs no torch."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from uadbench.errors import InvalidDataError, UnknownNameError

SHIPPED = Path(__file__).with_name("weights.toml")
FEWEST_DIGITS, ALL_DIGITS = 8, 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of published weights; weights.toml says what each field is.

    Raises:
        ValueError: No SHA-256, a file that is a path, or neither a url nor a package.
    """

    name: str
    title: str
    source: str
    file: str
    sha256: str
    licence: str
    bytes: int | None = None
    url: str = ""
    package: str = ""
    module: str = ""
    install: str = ""
    hub: str = ""
    renamed: bool = False
    used_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not FEWEST_DIGITS <= len(self.sha256) <= ALL_DIGITS or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 of {self.name!r} is {self.sha256!r}, not 8 to 64 lower-case hex digits")
        if bool(self.url) == bool(self.package):
            raise ValueError(f"{self.name!r} comes from a url or from a package, one of the two")
        if self.url and Path(self.file).name != self.file:
            raise ValueError(f"file of {self.name!r} is {self.file!r}, not the name of a file")

    def is_file_of(self, sha256: str) -> bool:
        """Whether a file with this whole digest is the published one, as far as the manifest knows its digits."""
        return sha256.startswith(self.sha256)


def read_manifest(path: Path) -> Mapping[str, Entry]:
    """The entries of a manifest by name.

    Raises:
        InvalidDataError: Not TOML, or an unknown, missing or wrong field.
    """
    try:
        rows: Iterable[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["weights"]
        entries = [Entry(**{**row, "used_by": tuple(row.get("used_by", ()))}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidDataError(
            f"{path}: not a manifest of weights ({error}). Write it as uadbench's own: {SHIPPED}."
        ) from error
    return {entry.name: entry for entry in entries}


@cache
def shipped() -> Mapping[str, Entry]:
    """The weights that uadbench knows, by name."""
    return read_manifest(SHIPPED)


def entry_of(name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of that name.

    Raises:
        UnknownNameError: There is none; names the nearest.
    """
    if name not in known:
        raise UnknownNameError("weights file", name, known, "uadbench weights list")
    return known[name]
