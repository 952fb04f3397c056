"""The metrics of a protocol on one stratum: each a value with bootstrap draws, counted from the evidence."""

from uadbench.measures.stratum import Measured, Stratum, strata
from uadbench.measures.table import MEASURES

__all__ = ["MEASURES", "Measured", "Stratum", "strata"]
