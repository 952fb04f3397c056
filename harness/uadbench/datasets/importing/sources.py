"""Where the files lie: a folder or a zip, read by names that may not leave it. A source can be sent to a process."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from uadbench.errors import InvalidDataError

# A member that unpacks to more than this share of its packed size, or to more bytes than this, is refused unread.
LARGEST_RATIO, LARGEST_MEMBER = 1000, 4 << 30
_SMALL = 1 << 20
_SKIPPED = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Files below a folder; `where` says in errors who asked."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def read(self, name: str, where: str) -> bytes:
        """The bytes of a file.

        Raises:
            InvalidDataError: A name that leaves the folder, or no such file.
        """
        with self.open(name, where) as file:
            return file.read()

    def open(self, name: str, where: str) -> BinaryIO:
        """A file, open for reading.

        Raises:
            InvalidDataError: A name that leaves the folder, or no such file.
        """
        path = self._inside(name, where)
        try:
            return path.open("rb")
        except OSError as error:
            raise InvalidDataError(
                f"{where}: {name!r} cannot be read in {self.root} ({error.strerror}). Add it, or correct its name."
            ) from error

    def names(self) -> Sequence[str]:
        """Every file below the folder, sorted; hidden files are passed over.

        Raises:
            InvalidDataError: A link that leads out of the folder or back to a folder above it, a name that is not
                UTF-8, or a folder that cannot be read.
        """
        try:
            found = sorted(self._walk(self.root, ()))
        except OSError as error:
            raise InvalidDataError(f"{self.root}: cannot be read ({error.strerror}). Check the path.") from error
        return found

    def stamp(self, name: str) -> str:
        """Size and time of change, so that a resumed import knows a replaced file."""
        found = (self.root / name).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    def _walk(self, folder: Path, above: tuple[Path, ...]) -> Iterator[str]:
        if folder.resolve() in above:
            raise InvalidDataError(f"{folder}: is a link to a folder that it lies in. Remove the link.")
        above = (*above, folder.resolve())
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _SKIPPED:
                    continue
                name = _in_utf8(Path(entry.path).relative_to(self.root).as_posix(), self.root)
                if entry.is_symlink():
                    self._inside(name, str(self.root))
                if entry.is_dir():
                    yield from self._walk(Path(entry.path), above)
                elif entry.is_file():
                    yield name

    def _inside(self, name: str, where: str) -> Path:
        path = (self.root / inside(name, where)).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise InvalidDataError(f"{where}: {name!r} is a link out of {self.root}. Put the file itself there.")
        return path


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Members of a zip; `where` says in errors who asked."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str, where: str) -> bytes:
        """The bytes of a member.

        Raises:
            InvalidDataError: A name that leaves the zip, no such member, a damaged or encrypted one, or one that
                unpacks to far more than it says anything with.
        """
        file = _opened(self.path)
        try:
            member = file.getinfo(inside(name, where))
            _require_sane(member, where, self.path)
            return file.read(member)
        except KeyError as error:
            raise InvalidDataError(f"{where}: {name!r} is not in {self.path}. Add it, or correct its name.") from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
            raise InvalidDataError(
                f"{where}: {name!r} in {self.path} cannot be unpacked ({error}). Make the zip again."
            ) from error

    def open(self, name: str, where: str) -> BinaryIO:
        """A member, unpacked into memory.

        Raises:
            InvalidDataError: As `read`.
        """
        return io.BytesIO(self.read(name, where))

    def names(self) -> Sequence[str]:
        """Every file in the zip, sorted; hidden files are passed over."""
        members = [one.filename for one in _opened(self.path).infolist() if not one.is_dir()]
        return sorted(inside(name, str(self.path)) for name in members if not _hidden(name))

    def stamp(self, name: str) -> str:
        """Checksum of the member."""
        return str(_opened(self.path).getinfo(name).CRC)


Source = FolderSource | ZipSource


def source_at(path: Path) -> Source:
    """The folder or zip at `path`.

    Raises:
        InvalidDataError: Neither a folder nor a readable zip.
    """
    path = Path(path).absolute()
    if path.is_dir():
        return FolderSource(path)
    _opened(path)
    return ZipSource(path)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        found = path.stat()
        return _zip(path, found.st_size, found.st_mtime_ns)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidDataError(f"{path}: neither a folder nor a readable zip ({error}). Check the path.") from error


@lru_cache(maxsize=4)
def _zip(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    """The opened zip; a process keeps it, and opens it again when it was replaced."""
    return zipfile.ZipFile(path)


def _require_sane(member: zipfile.ZipInfo, where: str, path: Path) -> None:
    size, packed = member.file_size, max(member.compress_size, 1)
    if size > LARGEST_MEMBER or (size > _SMALL and size > LARGEST_RATIO * packed):
        raise InvalidDataError(
            f"{where}: {member.filename!r} in {path} would unpack from {packed} to {size} bytes, as no picture does. "
            "Leave it out, or unpack it by hand and import the folder."
        )


def _in_utf8(name: str, root: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidDataError(f"{root}: the name {name!a} is not in UTF-8. Rename the file.") from error
    return name


def _hidden(name: str) -> bool:
    return any((part.startswith(".") and part != "..") or part in _SKIPPED for part in PurePosixPath(name).parts)


def inside(name: str, where: str) -> str:
    """The name as a plain path below a root.

    Raises:
        InvalidDataError: An absolute path, one with '..', or another system's.
    """
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InvalidDataError(
            f"{where}: {name!r} is not a path below the source. Write it relative to that, with '/' and without '..'."
        )
    return str(path)
