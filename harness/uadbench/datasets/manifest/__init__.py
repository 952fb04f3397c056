"""Datasets from a folder or a zip of pictures plus a CSV manifest. Needs `uadbench[import]`; light until it is used."""

from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.options import ImportOptions
from uadbench.datasets.importing.reporting import Count, ImportReport
from uadbench.datasets.manifest.importing import import_manifest

__all__ = ["Count", "ImportOptions", "ImportReport", "Terms", "import_manifest"]
