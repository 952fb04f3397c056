"""Where the pictures lie: a folder or a zip, read by names that may not leave it."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from uadbench.errors import InvalidDataError


class Source(Protocol):
    """Something that has files by name; `where` says in errors who asked."""

    def read(self, name: str, where: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Files below a folder."""

    root: Path

    def read(self, name: str, where: str) -> bytes:
        """The bytes of a file.

        Raises:
            InvalidDataError: A name that leaves the folder, or no such file.
        """
        path = (self.root / _inside(name, where)).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise InvalidDataError(f"{where}: {name!r} is a link out of {self.root}. Put the file itself there.")
        try:
            return path.read_bytes()
        except OSError as error:
            raise InvalidDataError(
                f"{where}: {name!r} cannot be read in {self.root} ({error.strerror}). Add it, or mend the manifest."
            ) from error


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Members of a zip."""

    file: zipfile.ZipFile

    def read(self, name: str, where: str) -> bytes:
        """The bytes of a member.

        Raises:
            InvalidDataError: A name that leaves the zip, no such member, or a damaged or encrypted one.
        """
        try:
            return self.file.read(_inside(name, where))
        except KeyError as error:
            raise InvalidDataError(
                f"{where}: {name!r} is not in {self.file.filename}. Add it, or mend the manifest."
            ) from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
            raise InvalidDataError(
                f"{where}: {name!r} in {self.file.filename} cannot be unpacked ({error}). Make the zip again."
            ) from error


@contextlib.contextmanager
def opened_source(path: Path) -> Iterator[Source]:
    """The folder or zip at `path`, open for reading.

    Raises:
        InvalidDataError: Neither a folder nor a readable zip.
    """
    if path.is_dir():
        yield FolderSource(path)
        return
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidDataError(f"{path}: neither a folder nor a readable zip ({error}). Check the path.") from error
    with file:
        yield ZipSource(file)


def _inside(name: str, where: str) -> str:
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InvalidDataError(
            f"{where}: {name!r} is not a path below the source. Write it relative to that, with '/' and without '..'."
        )
    return str(path)
