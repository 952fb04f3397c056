"""Writes the measured numbers of a benchmark run into the README, between its two markers.

Usage: python tests/benchmarks/readme.py benchmarks.json README.md
"""

import json
import sys
from pathlib import Path

BEGIN, END = "<!-- numbers: written by `make numbers` -->", "<!-- end of numbers -->"


def block(report: dict) -> str:
    """The numbers as a Markdown table: one row per benchmark and figure that it stored."""
    machine = report["machine_info"]
    cores = machine.get("cpu", {}).get("count", "?")
    rows = [
        f"| {bench['extra_info'].get('what', bench['name'])} | {name.replace('_', ' ')} | {value} |"
        for bench in report["benchmarks"]
        for name, value in bench["extra_info"].items()
        if name != "what"
    ]
    where = f"{machine.get('machine')}, {cores} cores, Python {machine['python_version']}"
    head = f"Measured by `make numbers` on {report['datetime'][:10]}, {where}:"
    return "\n".join([BEGIN, "", head, "", "| what | figure | measured |", "|---|---|---|", *rows, "", END])


def main(source: Path, readme: Path) -> None:
    """Replace what stands between the markers."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{readme}: the markers {BEGIN!r} and {END!r} are missing. Put them back.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(before + block(json.loads(source.read_text())) + after, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
