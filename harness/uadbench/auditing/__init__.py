"""The audit of a dataset: what leaks between its splits, and what tells the label without looking at the anatomy."""

from uadbench.auditing.audits import audit, audit_dataset, scans_of, specimens_of
from uadbench.auditing.describing import Descriptors, descriptors
from uadbench.auditing.matching import SIMILAR, Matches, duplicate_groups, duplicate_pairs
from uadbench.auditing.page import page
from uadbench.auditing.records import Audit, Finding, Pair, Scans, Shortcut, Specimen, Statistics, Suspect
from uadbench.auditing.thumbnails import thumbnails

__all__ = ["SIMILAR", "Audit", "Descriptors", "Finding", "Matches", "Pair", "Scans", "Shortcut", "Specimen",
           "Statistics", "Suspect", "audit", "audit_dataset", "descriptors", "duplicate_groups", "duplicate_pairs",
           "page", "scans_of", "specimens_of", "thumbnails"]  # fmt: skip
