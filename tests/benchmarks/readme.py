"""Writes the measured numbers of a benchmark run into the README, between its two markers.

A benchmark stores what it measured as `extra_info["what"]`, and each figure under a name that reads on after the value
(`distinct_values`) or holds a unit in its place (`seconds_by_counting`, `target_seconds`).
A benchmark with `extra_info["table"]` belongs to a table of its own, such as that of `storage.py`.
Rows that this run did not measure stay, with the date on which they were: benchmarks may be run in parts.

Usage: python tests/benchmarks/readme.py benchmarks.json README.md
"""

import json
import re
import sys
from pathlib import Path

from uadbench.errors import UadbenchError
from uadbench.files.marked import between, replace_between

MARKERS = BEGIN, END = "<!-- numbers: written by `make numbers` -->", "<!-- end of numbers -->"
UNITS = {"seconds": "s", "milliseconds": "ms", "mib": "MiB", "percent": "%", "ratio": ": 1"}


def block(report: dict, before: str = "") -> str:
    """The numbers as a Markdown table: one row per benchmark, then what was measured before and not now."""
    own = [bench for bench in report["benchmarks"] if "table" not in bench["extra_info"]]
    if before and not own:
        return before
    rows = {cell(what(bench)): cell(measured(bench)) for bench in own}
    every = rows | {name: figures for name, figures in kept(before).items() if name not in rows}
    lines = [f"| {name} | {figures} |" for name, figures in every.items()]
    return "\n".join([measured_on(report), "", "| what | measured |", "|---|---|", *lines])


def measured_on(report: dict) -> str:
    """When and on what the numbers were measured."""
    machine = report["machine_info"]
    cores = machine.get("cpu", {}).get("count", "?")
    where = f"{machine.get('machine')}, {cores} cores, Python {machine['python_version']}"
    return f"Measured by `make numbers` on {report['datetime'][:10]}, {where}:"


def kept(before: str) -> dict[str, str]:
    """The rows of an earlier table, each with the date on which it was measured."""
    day = re.search(r"`make numbers` on (\S+),", before)
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", before, re.MULTILINE)[1:]
    dated = f" (on {day[1]})" if day else ""
    return {name: figures if re.search(r" \(on \S+\)$", figures) else figures + dated for name, figures in rows}


def what(bench: dict) -> str:
    """What was measured; without a word of its own, the test's name as a sentence."""
    own = bench["extra_info"].get("what")
    return own or bench["name"].removeprefix("test_").replace("_", " ").capitalize()


def measured(bench: dict) -> str:
    """The figures, or the median time of a benchmark that stored none."""
    figures = {name: value for name, value in bench["extra_info"].items() if name != "what"}
    figures = figures or {"seconds": round(bench["stats"]["median"], 3)}
    return "; ".join(figure(name, value) for name, value in figures.items())


def figure(name: str, value: float | str) -> str:
    """One figure in words: `0.12 s by counting`, `target 0.3 s`, `19,660,800 pixels`."""
    words = name.replace("_", " ").split()
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    place = next((i for i, word in enumerate(words) if word in UNITS), None)
    if place is None:
        return " ".join([shown, *words])
    return " ".join([*words[:place], shown, UNITS[words[place]], *words[place + 1 :]])


def cell(text: str) -> str:
    """Text that keeps to its cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def main(source: Path, readme: Path) -> None:
    """Replace what stands between the markers."""
    try:
        replace_between(readme, MARKERS, block(json.loads(source.read_text()), between(readme, MARKERS)))
    except UadbenchError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
