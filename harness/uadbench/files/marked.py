"""Marked text: the part of a page that is written by a program, between two markers, in a page written by hand."""

from pathlib import Path

from uadbench.errors import InvalidDataError
from uadbench.files.layout import write_text_atomically

Markers = tuple[str, str]


def replace_between(page: Path, markers: Markers, text: str) -> None:
    """Write the text between its two markers, which stay; the page is written whole or not at all.

    Raises:
        InvalidDataError: A marker is missing, there twice, or they are in the wrong order; the page is left as it is.
    """
    before, inside, after = _parts(page, markers)
    if inside != f"\n\n{text}\n\n":
        write_text_atomically(page, f"{before}{markers[0]}\n\n{text}\n\n{markers[1]}{after}")


def require_markers(page: Path, markers: Markers) -> None:
    """Refuses a page without its markers, before hours are spent on what belongs between them.

    Raises:
        InvalidDataError: As for `replace_between`.
    """
    _parts(page, markers)


def between(page: Path, markers: Markers) -> str:
    """The text that stands between its two markers now.

    Raises:
        InvalidDataError: As for `replace_between`.
    """
    return _parts(page, markers)[1].strip("\n")


def _parts(page: Path, markers: Markers) -> tuple[str, str, str]:
    text = page.read_text(encoding="utf-8")
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise InvalidDataError(f"{page}: the markers {begin!r} and {end!r} must stand in it once each. Put them back.")
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before, inside, after
