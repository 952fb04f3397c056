"""References: the numbers that papers print, to be read beside a board's rows and never ranked with them.

`tables/` holds one CSV per printed table, `protocols.csv` which of their datasets belong to which board, `papers.csv`
where each paper appeared.
"""

from uadbench.references.checking import Inconsistency, inconsistencies
from uadbench.references.rows import Reference, citations, on_board, parts, references

__all__ = ["Inconsistency", "Reference", "citations", "inconsistencies", "on_board", "parts", "references"]
