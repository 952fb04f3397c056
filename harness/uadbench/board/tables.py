"""The leaderboard as a table in Markdown, LaTeX and on the terminal: the same rows and the same numbers as the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tabulate import tabulate

from uadbench.board.captions import caption, number, span
from uadbench.board.rows import Cell, Leaderboard, Row

if TYPE_CHECKING:
    from rich.table import Table

DASH = "–"
_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
          "–": "--",
    "·": r"\textperiodcentered{}"}  # fmt: skip
_MARKDOWN = {"\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "_": "\\_", "`": "\\`", "[": "\\[",
             "]": "\\]", "&": "&amp;"}  # fmt: skip
Text = Callable[[str], str]


def marks(row: Row) -> tuple[str, ...]:
    """The words that qualify a row: canary, provisional, incomplete n/N."""
    words = ["canary"] if row.canary else []
    words += ["provisional"] if row.provisional else []
    words += [] if row.complete else [f"incomplete {row.predicted[0]}/{row.predicted[1]}"]
    return tuple(words)


def headings(board: Leaderboard) -> list[str]:
    """The columns' headings: rank, method, seeds, then the metrics, the primary one first."""
    return ["Rank", "Method", "Seeds", *(caption(metric).title for metric in board.metrics)]


def cell_text(cell: Cell) -> str:
    """Value and interval, or a dash."""
    if cell.value is None:
        return DASH
    interval = f" ({span(cell.low, cell.high)})" if cell.low is not None and cell.high is not None else ""
    return f"{number(cell.value)}{interval}"


def markdown(board: Leaderboard) -> str:
    """The table in Markdown, the best value of a column in bold."""
    table = tabulate(
        _lines(board, _escaped(_MARKDOWN), "**{}**".format),
        [_escaped(_MARKDOWN)(one) for one in headings(board)],
        tablefmt="pipe",
        disable_numparse=True,
    )
    return f"# {_escaped(_MARKDOWN)(board.protocol.title)}\n\n{table}\n\n{_escaped(_MARKDOWN)(_note(board))}\n"


def latex(board: Leaderboard) -> str:
    """The table in LaTeX for the packages booktabs and inputenc (utf8), the best value of a column in bold."""
    escape = _escaped(_LATEX)
    table = tabulate(
        _lines(board, escape, r"\textbf{{{}}}".format),
        [escape(one) for one in headings(board)],
        tablefmt="latex_raw",
        disable_numparse=True,
    )
    for rule in ("toprule", "midrule", "bottomrule"):
        table = table.replace(r"\hline", f"\\{rule}", 1)
    return f"% Needs the package booktabs. {_note(board)}\n{table}\n"


def terminal_table(board: Leaderboard) -> Table:
    """The table for the terminal; to fit its width only the primary metric shows its interval."""
    from rich.table import Table
    from rich.text import Text as Styled

    primary = board.protocol.primary
    table = Table(title=board.protocol.title, title_justify="left", header_style="bold")
    for place, heading in enumerate(headings(board)):
        method = place == 1
        table.add_column(heading, justify="left" if method else "right", min_width=20 if method else None)
    for row in board.rows:
        line = [Styled(row.rank_text), Styled(_name(row)), Styled(str(len(row.entry.results)))]
        for metric in board.metrics:
            text = cell_text(row.cell(metric))
            shown = text if metric == primary else text.partition(" ")[0]
            line.append(Styled(shown, style="bold" if board.is_best(row, metric) else ""))
        table.add_row(*line, style="italic" if row.canary else "")
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


def _name(row: Row) -> str:
    words = marks(row)
    return f"{row.label} [{', '.join(words)}]" if words else row.label


def _note(board: Leaderboard) -> str:
    return (
        f"Protocol {board.protocol.name}, ranked by {caption(board.protocol.primary).title}. In parentheses the 95 % "
        f"interval from {board.protocol.resamples} resamples of subjects; ranks from paired tests, Holm-adjusted."
    )


def _escaped(rules: dict[str, str]) -> Text:
    return lambda text: "".join(rules.get(character, character) for character in " ".join(text.split()))
