"""Records: a leaderboard as CSV, one line per row, metric and stratum, for whoever computes further with it."""

import csv
import io
import json
from typing import Any

from uadbench.board.rows import Cell, Leaderboard, Row

COLUMNS = (
    "method", "title", "preset", "params", "seeds", "rank_low", "rank_high", "metric", "stratum", "value", "low",
    "high", "least", "most", "images", "subjects", "cases", "undefined", "origin",
)  # fmt: skip


def comma_separated(board: Leaderboard) -> str:
    """Every cell of every row with full precision; seeds are those of the row, ranks those of the primary metric.

    Numbers that papers print are not in it: they are in `uadbench.references`.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in board.rows:
        writer.writerows(_record(row, cell) for cell in row.cells.values())
    return buffer.getvalue()


def _record(row: Row, cell: Cell) -> dict[str, Any]:
    numbers = {name: getattr(cell, name) for name in ("value", "low", "high", "least", "most")}
    counts = {name: getattr(cell, name) for name in ("images", "subjects", "cases")}
    texts = {
        "method": row.method,
        "title": row.title,
        "preset": row.preset,
        "params": json.dumps(row.params, sort_keys=True, default=str),
        "seeds": " ".join(str(result.seed) for result in row.entry.results),
        "metric": cell.metric,
        "stratum": cell.stratum,
        "undefined": cell.undefined,
        "origin": row.entry.origin,
    }
    ranks = {"rank_low": row.rank.low if row.rank else None, "rank_high": row.rank.high if row.rank else None}
    return {name: _harmless(text) for name, text in texts.items()} | numbers | counts | ranks


def _harmless(text: str) -> str:
    """Text that a spreadsheet would take for a formula, quoted; a submitter may have written it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
