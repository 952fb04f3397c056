"""What all HDF5 files of uadbench share: a schema attribute, text columns, atomic writing, and errors with a remedy."""

import contextlib
import errno
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from uadbench.errors import EnvironmentProblemError, InvalidDataError

# What h5py and json raise when names, types or values are not those of the layout.
_BROKEN = (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError)
LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def opened(path: Path, schema: str) -> Iterator[h5py.File]:
    """The HDF5 file at `path`, open for reading, after its schema attribute was checked.

    Raises:
        InvalidDataError: No file, no HDF5, truncated, or another schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidDataError(f"{path}: no such file. Check the path, or make the file first.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InvalidDataError(
            f"{path}: cannot be read as HDF5 ({first_line(error)}). It is truncated or another format; make it again."
        ) from error
    with file:
        found = file.attrs.get("schema", "none")
        if found != schema:
            raise InvalidDataError(
                f"{path}: schema is {found!r}, not {schema!r}. Give the right file, or make it again."
            )
        try:
            yield file
        except _BROKEN as error:
            raise InvalidDataError(
                f"{path}: the layout {schema} is broken ({first_line(error)}). Make the file again."
            ) from error


class _Sink(io.RawIOBase):
    """The file that HDF5 writes to. HDF5 crashes when a write fails, so it is never told of one.

    At the system's first refusal, which is kept, the content moves to memory, where HDF5 may end in order.
    """

    def __init__(self, path: Path) -> None:
        self.refusal: OSError | None = None
        self._content: io.FileIO | io.BytesIO = io.FileIO(path, "w+b")

    def write(self, data: Any) -> int:
        view, start = memoryview(data).cast("B"), self._content.tell()
        try:
            done = 0
            while done < len(view):
                done += self._content.write(view[done:])
        except OSError as error:
            self._move(error)
            self._content.seek(start)
            self._content.write(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        end = self.tell() if size is None else size
        try:
            self._content.truncate(end)
        except OSError as error:
            self._move(error)
        missing = end - self._content.seek(0, io.SEEK_END)  # memory does not grow by itself
        if missing > 0:
            self._content.write(bytes(missing))
        return end

    def _move(self, error: OSError) -> None:
        self.refusal = error
        self._content.seek(0)
        content = io.BytesIO(self._content.read())
        self._content.close()
        self._content = content

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def close(self) -> None:
        self._content.close()
        super().close()


class Draft:
    """An HDF5 file in the making, named `.partial` until it is finished; nothing half-written stays.

    Raises:
        EnvironmentProblemError: No space left, or the place cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".partial")
        with space_checked(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = _Sink(self._partial)
        self.file = h5py.File(self._sink, "w", track_order=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[h5py.File]:
        """The file; if the system refuses to write meanwhile, that is the error, whatever HDF5 says of it."""
        try:
            yield self.file
        finally:
            self._require_space()

    def _require_space(self) -> None:
        if self._sink.refusal is not None:
            with space_checked(self.path):
                raise self._sink.refusal

    def finish(self) -> None:
        """Give the whole file its name."""
        self.complete()
        self.publish()

    def complete(self) -> None:
        """Write all that is left to write; the file has no name of its own yet."""
        self.file.close()
        self._require_space()
        with space_checked(self.path):
            self._sink.close()

    def publish(self) -> None:
        """Give the complete file its name."""
        with space_checked(self.path):
            self._partial.replace(self.path)

    def discard(self) -> None:
        """Remove what is unfinished; a finished file stays."""
        self.file.close()
        self._sink.close()
        self._partial.unlink(missing_ok=True)


@contextlib.contextmanager
def created(path: Path, schema: str) -> Iterator[h5py.File]:
    """A new HDF5 file that appears at `path` only when the block ends well.

    Raises:
        EnvironmentProblemError: No space left, or the folder cannot be written.
    """
    with created_together({path: schema}) as (file,):
        yield file


@contextlib.contextmanager
def created_together(schemas: Mapping[Path, str]) -> Iterator[tuple[h5py.File, ...]]:
    """New HDF5 files, given as path -> schema, that appear only when the block ends well and all of them are whole.

    Raises:
        EnvironmentProblemError: No space left, or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        drafts = []
        for path, schema in schemas.items():
            draft = Draft(path)
            stack.callback(draft.discard)
            stack.enter_context(draft.writing()).attrs["schema"] = schema
            drafts.append(draft)
        yield tuple(draft.file for draft in drafts)
        for draft in drafts:
            draft.complete()
        for draft in drafts:
            draft.publish()


@contextlib.contextmanager
def space_checked(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write into one sentence.

    Raises:
        EnvironmentProblemError: No space left, no permission, no such folder, or a read-only place.
    """
    try:
        yield
    except OSError as error:
        code = error.errno
        if code in _FULL:
            raise EnvironmentProblemError(
                f"{path}: no space left on the device. Free some space and run again."
            ) from error
        if code is None:
            raise
        raise EnvironmentProblemError(
            f"{path}: cannot be written ({os.strerror(code)}). Choose another place."
        ) from error


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keeps other processes from work in a folder, which is made; False where one of them holds it now.

    The system frees it when the process ends, however it ends. Windows has no such lock, and there it is free.

    Raises:
        EnvironmentProblemError: The folder cannot be written.
    """
    with space_checked(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    with lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            yield True
            return
        except BlockingIOError:
            yield False
            return
        yield True


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, so that a reader sees the old one or the new one, never half of it."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two processes may write the same record at once
    with space_checked(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """A column of UTF-8 texts."""
    group.create_dataset(name, data=np.array(list(texts), dtype=object), dtype=h5py.string_dtype(), shape=(len(texts),))


def read_texts(group: h5py.Group, name: str) -> tuple[str, ...]:
    """A column of texts as str."""
    return tuple(group[name].asstr()[:])


def read_json(holder: h5py.Group, name: str) -> Any:
    """A JSON attribute."""
    return json.loads(holder.attrs[name])


def first_line(error: BaseException) -> str:
    """What an error says, in at most 160 characters, for a sentence of ours."""
    return str(error).strip().split("\n")[0][:160]
