"""Tensors on disk: written whole or not at all, and refused where they are damaged."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from uadbench.errors import InvalidDataError
from uadbench.files.layout import space_checked


def write(path: Path, content: Any) -> None:
    """Stores tensors, plain values, and lists and mappings of them; a reader sees the old file or the new one.

    Raises:
        EnvironmentProblemError: No space left, or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    with space_checked(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                _save(content, file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read(path: Path, remedy: str) -> Any:
    """What `write` stored, on the CPU; `remedy` ends the sentence of a refusal.

    Raises:
        InvalidDataError: No such file, or a damaged one.
    """
    try:
        _require_sound(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidDataError(f"{path} is not there. {remedy}") from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, UnpicklingError, BadZipFile) as error:
        raise InvalidDataError(f"{path} is damaged ({first_line(error)}). {remedy}") from error


def first_line(error: Exception) -> str:
    """What an error says, without the advice that torch adds."""
    return str(error).strip().partition("\n")[0]


def _save(content: Any, file: Any) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # torch says at which byte it failed; the system's refusal, which it hides, says why
        refusal = error.__context__
        raise refusal if isinstance(refusal, OSError) else error from None


def _require_sound(path: Path) -> None:
    """torch itself does not look at the checksums."""
    with ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise BadZipFile(f"the checksum of {damaged} is wrong")
