"""Curves: ROC and precision-recall of every method as data for plots."""

from typing import Any

from uadbench.board.rows import Leaderboard
from uadbench.files.results import Curve

KINDS = {
    "image_roc": ("Image ROC", "False-positive rate", "True-positive rate"),
    "image_pr": ("Image precision-recall", "Recall", "Precision"),
    "pixel_roc": ("Pixel ROC", "False-positive rate", "True-positive rate"),
    "pixel_pr": ("Pixel precision-recall", "Recall", "Precision"),
}


def plots(board: Leaderboard) -> dict[str, Any]:
    """The kinds of curve that some row has, and every such row's curves of its first seed, ready for JSON."""
    rows = [row for row in board.rows if row.entry.results[0].curves]
    present = [kind for kind in KINDS if any(kind in row.entry.results[0].curves for row in rows)]
    kinds = [dict(zip(("key", "title", "x", "y"), (kind, *KINDS[kind]), strict=True)) for kind in present]
    methods = [
        {
            "label": row.label,
            "canary": row.canary,
            "curves": {
                kind: _points(kind, curve) for kind, curve in row.entry.results[0].curves.items() if kind in KINDS
            },
        }
        for row in rows
    ]
    return {"kinds": kinds, "methods": methods}


def _points(kind: str, curve: Curve) -> dict[str, list[float]]:
    """Points rounded for the plot; a precision-recall curve begins at recall 0 with its first precision."""
    x, y = ([round(value, 4) for value in values] for values in (curve.x, curve.y))
    if kind.endswith("_pr") and x and x[0] > 0:
        x, y = [0.0, *x], [y[0], *y]
    return {"x": x, "y": y}
