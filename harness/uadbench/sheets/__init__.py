"""Contact sheets: a look at a dataset, one picture per split and pathology, and a page that shows them all."""

from uadbench.sheets.choosing import Sheet, Stratum, strata
from uadbench.sheets.writing import Sheets, sheets

__all__ = ["Sheet", "Sheets", "Stratum", "sheets", "strata"]
