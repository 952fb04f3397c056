"""The page: all sheets of a dataset with its card, as HTML that loads only the pictures beside it."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from uadbench.files.images import Dataset
from uadbench.sheets.choosing import Sheet

_STYLES = (("uadbench.board", "board.css"), ("uadbench.sheets", "sheets.css"))  # the look of the boards, and our own


def render(dataset: Dataset, sheets: Sequence[Sheet]) -> str:
    """The page as HTML. All text of the dataset is escaped, and no script may run."""
    environment = Environment(
        loader=PackageLoader("uadbench.sheets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"detailed": detailed, "settings": settings}
    style = "".join(files(package).joinpath("templates", name).read_text(encoding="utf-8") for package, name in _STYLES)
    splits = [(split, list(members)) for split, members in groupby(sheets, lambda one: one.split)]
    page = environment.get_template("index.html.j2")
    return page.render(dataset=dataset, card=dataset.card, splits=splits, style=Markup(style))


def counted(sheet: Sheet) -> str:
    """How many images a sheet shows, of how many images and subjects."""
    return f"{_part(len(sheet.shown), sheet.images)}, {plural(sheet.subjects, 'subject')}"


def detailed(sheet: Sheet) -> str:
    """The same, for each annotation by itself where there are several."""
    if len(sheet.strata) == 1:
        return counted(sheet)
    counts = ((len(set(one.rows) & set(sheet.shown)), one) for one in sheet.strata)
    return "; ".join(f"{_part(shown, len(one.rows))} annotated by {one.annotation}" for shown, one in counts)


def _part(shown: int, images: int) -> str:
    if shown == images:
        return f"{'all ' if images > 1 else ''}{plural(images, 'image')}"
    return f"{shown} of {plural(images, 'image')}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 image`, `2 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def settings(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a preprocessing step was done with, as pairs of name and text; what is empty is left out."""
    pairs = ((name, _text(value)) for name, value in step.items() if name != "step")
    return [(name.replace("_", " "), text) for name, text in pairs if text]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_text(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
