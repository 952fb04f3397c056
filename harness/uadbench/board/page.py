"""The page: a leaderboard as one HTML file that loads nothing from the network."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from uadbench.board import curves, heat
from uadbench.board.captions import caption, number, span
from uadbench.board.citing import bibtex
from uadbench.board.facts import Facts, facts_from
from uadbench.board.published import REMARK, paper_rows, paper_tables, paper_text
from uadbench.board.records import comma_separated
from uadbench.board.reporting import paragraph
from uadbench.board.rows import Cell, Leaderboard, Row
from uadbench.board.studies import DASH
from uadbench.board.tables import FIRST_SHOWN, latex, markdown, marks
from uadbench.board.variants import plain
from uadbench.files.layout import write_text_atomically
from uadbench.files.results import OVERALL, Result

_MAKING = ("paper", "distribution", "distribution_version", "harness_version", "device", "precision", "weights",
           "diagnostics", "versions", "hardware")  # fmt: skip


def write_board(board: Leaderboard, folder: Path, *, facts: Facts | None = None) -> Path:
    """Write `<protocol>.html`, `.md`, `.tex`, `.csv` and `.bib` into a folder, each whole or not at all; returns the
    path of the page.

    Raises:
        EnvironmentProblemError: The folder cannot be written.
    """
    path = Path(folder) / f"{board.protocol.name}.html"
    known = facts or facts_from(board)
    texts = {
        ".html": render_page(board, facts=known),
        ".md": markdown(board, known),
        ".tex": latex(board, known),
        ".csv": comma_separated(board),
        ".bib": bibtex(board, known),
    }
    for suffix, text in texts.items():
        write_text_atomically(path.with_name(f"{board.protocol.name}{suffix}"), text)
    return path


def render_page(board: Leaderboard, *, facts: Facts | None = None) -> str:
    """The page as HTML. All text of results is escaped, and only the page's own two scripts may run."""
    plots = curves.plots(board)
    known = facts or facts_from(board)
    script = _asset("board.js")
    plotly = _plotly() if plots["kinds"] else ""
    return (
        _environment(board)
        .get_template("board.html.j2")
        .render(
            board=board,
            facts=known,
            heats=heat.heats(board, known),
            plots=plots,
            papers=paper_rows(board),
            tables=paper_tables(board),
            report=paragraph(board, known),
            entries=bibtex(board, known),
            style=Markup(_asset("board.css")),
            script=Markup(script),
            plotly=Markup(plotly),
            policy=_policy(script, plotly),
        )
    )


def _environment(board: Leaderboard) -> Environment:
    environment = Environment(
        loader=PackageLoader("uadbench.board"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    low, high = scale = _scale(board)
    environment.globals |= {
        "caption": caption, "number": number, "span": span, "plain": plain, "provenance": provenance,
        "marks": marks, "spread": _spread, "realised": _realised, "short": _short, "scale": scale,
        "place": lambda value: round(100 * (value - low) / (high - low), 2),
        "paper_text": paper_text, "remark": REMARK, "first_shown": FIRST_SHOWN,
        "primary_of": lambda result: _seed_value(result, board.protocol.primary),
    }  # fmt: skip
    return environment


def _asset(name: str) -> str:
    return files("uadbench.board").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _policy(*scripts: str) -> str:
    """A content security policy that lets exactly these scripts run and nothing be fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts if script)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def _scale(board: Leaderboard) -> tuple[float, float]:
    """The ends of the axis on which the primary metric's intervals are drawn."""
    cells = [row.cell(board.protocol.primary) for row in board.rows]
    ends = [end for cell in cells for end in (cell.low, cell.high, cell.value) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _spread(cell: Cell) -> str:
    """The least and most of several seeds, or nothing."""
    return span(cell.least, cell.most) if cell.seeds > 1 and cell.least is not None and cell.most is not None else ""


def _realised(cell: Cell) -> dict[str, Any]:
    """The false-positive rate that a threshold had on healthy test images, if the metric has a threshold."""
    rate, low, high = (cell.details.get(f"realised_fpr{end}") for end in ("", "_low", "_high"))
    if rate is None or cell.value is None:
        return {}
    return {"rate": number(rate), "span": span(low, high) if low is not None and high is not None else ""}


def _short(digest: str) -> str:
    return digest[:12]


def _seed_value(result: Result, metric: str) -> str:
    values = [one.value for one in result.values if (one.metric, one.stratum) == (metric, OVERALL)]
    return number(values[0]) if values and values[0] is not None else DASH


def provenance(row: Row) -> list[tuple[str, str]]:
    """What a row says of its making, as pairs of heading and text."""
    known = row.entry.provenance
    pairs = [(name.replace("_", " "), known.get(name)) for name in _MAKING]
    return [(name, plain(value)) for name, value in pairs if value]
