"""Citing: the papers behind a board as BibTeX, from what each method says of its paper."""

import re
from collections.abc import Mapping
from itertools import chain, count

from uadbench import __version__
from uadbench.board.facts import Facts, facts_from
from uadbench.board.published import paper_tables
from uadbench.board.rows import Leaderboard

_ARXIV = re.compile(r"arXiv[:\s]\s*(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})", re.IGNORECASE)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s,;{}\\%\"<>]+")
_SPECIAL = {"\\": r"\textbackslash ", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": "(", "}": ")",
            "~": r"\textasciitilde ", "^": r"\textasciicircum "}  # fmt: skip


def bibtex(board: Leaderboard, facts: Facts | None = None) -> str:
    """uadbench, the dataset, the paper of every method on the board and the papers of its printed rows.

    A method states its paper as one line of text, which goes into `note` as it is, with the arXiv number or DOI that
    it names. Methods of one paper share an entry, under the key of the first.
    """
    entries = {"uadbench": _harness()}
    card = (facts or facts_from(board)).card
    if card is not None:
        entries[_key(card.name)] = {"title": f"{card.name}, version {card.version}", "note": card.citation}
    papers: dict[str, str] = {}
    for row in board.rows:
        papers.setdefault(str(row.entry.provenance.get("paper") or "").strip(), row.method)
    for table in paper_tables(board):
        papers.setdefault(table.citation, table.references[0].paper)
    for text, name in papers.items():
        if text:
            entries[_free(name, entries)] = _paper(text)
    return "\n".join(_entry(key, fields) for key, fields in entries.items())


def _harness() -> dict[str, str]:
    return {
        "title": "uadbench: a benchmark harness for unsupervised anomaly detection in medical images",
        "author": "The uadbench authors",
        "note": f"Version {__version__}",
    }


def _paper(text: str) -> dict[str, str]:
    """The text as a note, and the arXiv number and DOI in it."""
    fields = {"note": " ".join(text.split())}
    arxiv, doi = _ARXIV.search(text), _DOI.search(text)
    if arxiv:
        fields |= {"eprint": arxiv[1], "archiveprefix": "arXiv"}
    if doi:
        fields["doi"] = doi[0].rstrip(".)")
    return fields


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def _free(name: str, taken: Mapping[str, object]) -> str:
    """The name as a key, with a number where another entry has it."""
    numbered = (f"{_key(name)}-{place}" for place in count(2))
    return next(key for key in chain([_key(name)], numbered) if key not in taken)


def _entry(key: str, fields: Mapping[str, str]) -> str:
    raw = ("eprint", "archiveprefix", "doi")
    lines = [f"  {name} = {{{text if name in raw else _escaped(name, text)}}}," for name, text in fields.items()]
    return "\n".join([f"@misc{{{key},", f"  key = {{{key}}},", *lines, "}", ""])


def _escaped(name: str, text: str) -> str:
    """Text that BibTeX takes literally; a group of authors is kept together by braces."""
    plain = "".join(_SPECIAL.get(character, character) for character in text)
    return f"{{{plain}}}" if name == "author" else plain
