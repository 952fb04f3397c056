"""The leaderboard as a table in Markdown, LaTeX and on the terminal: the same rows and the same numbers as the page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from tabulate import tabulate

from uadbench.board.captions import caption, number, span
from uadbench.board.facts import Facts, facts_from
from uadbench.board.published import REMARK, PaperRow, paper_rows, paper_tables, paper_text
from uadbench.board.reporting import paragraph
from uadbench.board.rows import Cell, Leaderboard, Row
from uadbench.board.studies import DASH, piped

if TYPE_CHECKING:
    from rich.table import Table

PAPER = "paper"
FIRST_SHOWN = 8  # metrics that are shown before anybody asks for more
_PIPED_WIDTH, _FIRST_WIDTH, _METRIC_WIDTH = 160, 65, 13  # characters; the second holds rank, method, seeds, interval
_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
          "–": "--", "·": r"\textperiodcentered{}", "±": r"$\pm$", "↓": r"$\downarrow$"}  # fmt: skip
_MARKDOWN = {"\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "_": "\\_", "`": "\\`", "[": "\\[",
             "]": "\\]", "&": "&amp;"}  # fmt: skip
Text = Callable[[str], str]


def marks(row: Row) -> tuple[str, ...]:
    """The words that qualify a row: canary, provisional, leak, incomplete n/N."""
    words = ["canary"] if row.canary else []
    words += ["provisional"] if row.provisional else []
    words += ["leak"] if row.leaky else []
    words += [] if row.complete else [f"incomplete {row.predicted[0]}/{row.predicted[1]}"]
    return tuple(words)


def headings(board: Leaderboard) -> list[str]:
    """The columns' headings: rank, method, seeds, then the metrics, the primary one first."""
    return ["Rank", "Method", "Seeds", *(caption(metric).heading for metric in board.metrics)]


def cell_text(cell: Cell) -> str:
    """Value and interval, or a dash."""
    if cell.value is None:
        return DASH
    interval = f" ({span(cell.low, cell.high)})" if cell.low is not None and cell.high is not None else ""
    return f"{number(cell.value)}{interval}"


def markdown(board: Leaderboard, facts: Facts | None = None) -> str:
    """The table in Markdown, best values in bold, printed rows of papers in italics; and how to report it."""
    escape = _escaped(_MARKDOWN)
    table = piped(
        [*_lines(board, escape, "**{}**".format), *_paper_lines(board, escape, "*{}*".format)],
        [escape(one) for one in headings(board)],
    )
    texts = [f"# {escape(board.protocol.title)}", table, escape(_note(board)), escape(_sources(board)),
             "## How to report this", escape(paragraph(board, facts or facts_from(board)))]  # fmt: skip
    return "\n\n".join(text for text in texts if text) + "\n"


def short_markdown(
    board: Leaderboard, metrics: Sequence[str], more: Mapping[str, Sequence[str]], headed: Sequence[str]
) -> str:
    """The ranked rows in Markdown with these metrics alone, an interval for the first, and without printed rows.

    `more` = texts by configuration that end each line under the headings `headed`.
    """
    escape = _escaped(_MARKDOWN)
    heads = [*headings(board)[:3], *(caption(metric).heading for metric in metrics), *headed]
    places = [board.metrics.index(metric) + 3 for metric in metrics]
    lines = []
    for row, whole in zip(board.rows, _lines(board, escape, "**{}**".format), strict=True):
        first, *others = [whole[place] for place in places]
        values = [first, *(text.partition(" ")[0] for text in others)]
        lines.append([*whole[:3], *values, *map(escape, more[row.configuration])])
    return piped(lines, [escape(one) for one in heads])


def latex(board: Leaderboard, facts: Facts | None = None) -> str:
    """The table in LaTeX for the packages booktabs, xcolor and inputenc (utf8), the best value of a column in bold,
    printed rows of papers in grey, and as a comment how to report."""
    escape = _escaped(_LATEX)
    papers = _paper_lines(board, escape, r"\textcolor{{gray}}{{{}}}".format)
    table = tabulate(
        [*_lines(board, escape, r"\textbf{{{}}}".format), *papers],
        [escape(one) for one in headings(board)],
        tablefmt="latex_raw",
        disable_numparse=True,
    )
    for rule in ("toprule", "midrule", "bottomrule"):
        table = table.replace(r"\hline", f"\\{rule}", 1)
    lines = table.splitlines()
    if papers and board.rows:
        lines.insert(-2 - len(papers), r"\midrule")
    texts = ["Needs the packages booktabs and xcolor.", _note(board), _sources(board), "How to report this:",
             *paragraph(board, facts or facts_from(board)).split("\n")]  # fmt: skip
    first, last = (_commented([escape(text) for text in some if text]) for some in (texts[:3], texts[3:]))
    return "\n".join([first, *lines, last]) + "\n"


def terminal_table(board: Leaderboard, width: int | None = None) -> Table:
    """The table for a terminal of so many characters (default: this one's): the metrics that fit, and one interval."""
    from rich.table import Table
    from rich.text import Text as Styled

    room = (width or get_terminal_size((_PIPED_WIDTH, 0)).columns) - _FIRST_WIDTH
    shown = board.metrics[: 1 + max(1, min(FIRST_SHOWN - 1, room // _METRIC_WIDTH))]
    more = len(board.metrics) - len(shown)
    table = Table(title=board.protocol.title, title_justify="left", header_style="bold", caption_justify="left",
                  caption=f"{more} more metrics are on the page and in the CSV." if more else None)  # fmt: skip
    for place, heading in enumerate(headings(board)[: 3 + len(shown)]):
        most = _METRIC_WIDTH - 3 if place > 3 else None
        table.add_column(heading, justify="left" if place == 1 else "right", no_wrap=place in (0, 3), max_width=most)
    for place, row in enumerate(board.rows, 1):
        line = [Styled(row.rank_text), Styled(_name(row)), Styled(str(len(row.entry.results)))]
        for metric in shown:
            text = cell_text(row.cell(metric))
            value = text if metric == board.protocol.primary else text.partition(" ")[0]
            line.append(Styled(value, style="bold" if board.is_best(row, metric) else ""))
        table.add_row(*line, style="italic" if row.canary else "", end_section=place == len(board.rows))
    for texts in _paper_lines(board, str, str):
        numbers = [text.partition(" ")[0] for text in texts[3 : 3 + len(shown)]]
        table.add_row(*(Styled(text) for text in [*texts[:3], *numbers]), style="bright_black")
    return table


def _lines(board: Leaderboard, escape: Text, bold: Text) -> list[list[str]]:
    lines = []
    for row in board.rows:
        line = [escape(row.rank_text), escape(_name(row)), str(len(row.entry.results))]
        for metric in board.metrics:
            text = cell_text(row.cell(metric))
            value, _, interval = text.partition(" ")
            best = board.is_best(row, metric)
            line.append(" ".join(part for part in (bold(value) if best else escape(value), escape(interval)) if part))
        lines.append(line)
    return lines


def _paper_lines(board: Leaderboard, escape: Text, grey: Text) -> list[list[str]]:
    """The printed rows of papers; what a paper does not print is left empty."""
    lines = []
    for row in paper_rows(board):
        texts = [PAPER, _paper_name(row), "", *(paper_text(row.cells.get(metric)) for metric in board.metrics)]
        lines.append([grey(escape(text)) if text else "" for text in texts])
    return lines


def _paper_name(row: PaperRow) -> str:
    return f"{row.label} [{row.source}]"


def _name(row: Row) -> str:
    words = marks(row)
    return f"{row.label} [{', '.join(words)}]" if words else row.label


def _note(board: Leaderboard) -> str:
    return (
        f"Protocol {board.protocol.name}, ranked by {caption(board.protocol.primary).title}. In parentheses the 95 % "
        f"interval from {board.protocol.resamples} resamples of subjects; ranks from paired tests, Holm-adjusted."
    )


def _sources(board: Leaderboard) -> str:
    """Where printed rows come from; nothing on a board without any."""
    sources: dict[str, list[str]] = {}
    for one in paper_tables(board):
        sources.setdefault(one.citation, []).append(one.source)
    where = "; ".join(f"{', '.join(some)}: {citation}" for citation, some in sources.items())
    return f"Rows marked {PAPER}: {REMARK[0].lower()}{REMARK[1:]} {where}." if where else ""


def _commented(texts: Sequence[str]) -> str:
    return "\n".join(f"% {line}" for text in texts for line in textwrap.wrap(text, 110))


def _escaped(rules: dict[str, str]) -> Text:
    return lambda text: "".join(rules.get(character, character) for character in " ".join(text.split()))
