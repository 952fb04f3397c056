"""Writes what the ways of storing images cost into a page, between its two markers, as one table.

A run without these benchmarks leaves the table as it is.

Usage: python tests/benchmarks/storage.py benchmarks.json CONTRIBUTING.md
"""

import json
import sys
from pathlib import Path

from readme import cell, measured_on

from uadbench.errors import UadbenchError
from uadbench.files.marked import replace_between

MARKERS = BEGIN, END = "<!-- storage: written by `make numbers` -->", "<!-- end of storage -->"
COLUMNS = {"layout": "images are stored", "px": "px", "in_order": "in order, %", "shuffled": "shuffled, %", "mb": "MB"}


def block(report: dict) -> str | None:
    """The table: one row per layout and size, in the order in which they were measured; None without a row."""
    figures = [bench["extra_info"] for bench in report["benchmarks"] if bench["extra_info"].get("table") == "storage"]
    if not figures:
        return None
    rows = [[cell(str(one[name])) for name in COLUMNS] for one in figures]
    lines = [list(COLUMNS.values()), ["---", *["--:"] * (len(COLUMNS) - 1)], *rows]
    return "\n".join([measured_on(report), "", *(f"| {' | '.join(line)} |" for line in lines)])


def main(source: Path, page: Path) -> None:
    """Replace what stands between the markers, if there is something new."""
    table = block(json.loads(source.read_text()))
    if table is None:
        return
    try:
        replace_between(page, MARKERS, table)
    except UadbenchError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
