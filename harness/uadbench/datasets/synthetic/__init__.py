"""Synthetic anomalies for any healthy test set: the suites of five papers, each with an exact mask and a clean twin."""

from uadbench.datasets.synthetic.corruption import Corrupted, Corruption
from uadbench.datasets.synthetic.suites import SUITES, suite
from uadbench.datasets.synthetic.synthesising import synthesise

__all__ = ["SUITES", "Corrupted", "Corruption", "suite", "synthesise"]
