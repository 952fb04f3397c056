"""participants.tsv of BIDS: who is healthy, by a column of groups or diagnoses."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uadbench.datasets.importing.sources import Source
from uadbench.errors import InvalidDataError

TABLE = "participants.tsv"
COLUMNS = ("group", "diagnosis")  # the first that is there
UNKNOWN = ("", "n/a")
HEALTHY = (
    "control", "controls", "con", "ctrl", "hc", "nc", "cn", "healthy", "healthy control", "healthy controls", "normal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Participant:
    """A row: the group as written ("" where not known), whether it is one of the healthy, and the site."""

    group: str = ""
    healthy: bool = False
    site: str = ""


def read_participants(source: Source, names: Sequence[str]) -> Mapping[str, Participant]:
    """The rows of the table by participant_id; none where there is no table.

    Raises:
        InvalidDataError: No UTF-8, no column participant_id, a participant twice, or an id that is not sub-<label>.
    """
    tables = [name for name in names if name.rpartition("/")[2] == TABLE]
    if not tables:
        return {}
    where = min(tables, key=lambda name: (name.count("/"), name))
    try:
        text = source.read(where, where).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{where}: not a table in UTF-8 ({error}). Save it as one.") from error
    header = list(rows[0]) if rows else text.split("\n")[0].strip("\r").split("\t")
    if "participant_id" not in header:
        raise InvalidDataError(f"{where}: lacks the column participant_id; found {', '.join(map(str, header))}.")
    column = next((name for name in COLUMNS if name in header), "")
    found: dict[str, Participant] = {}
    for number, row in enumerate(rows, start=2):
        name = (row["participant_id"] or "").strip()
        if name in found or not re.fullmatch(r"sub-[A-Za-z0-9+]+", name):
            wrong = "is there already" if name in found else "is not sub-<label>"
            raise InvalidDataError(f"{where}: row {number}: participant_id {name!r} {wrong}. Mend the row.")
        found[name] = _participant(row, column)
    return found


def _participant(row: Mapping[str, str], column: str) -> Participant:
    group, site = ((row.get(name) or "").strip() if name else "" for name in (column, "site"))
    group = "" if group.lower() in UNKNOWN else group
    return Participant(group, group.lower() in HEALTHY, site)
