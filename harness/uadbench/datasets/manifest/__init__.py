"""Datasets from a folder or a zip of pictures plus a CSV manifest. Needs `uadbench[import]`; light until it is used."""

from uadbench.datasets.manifest.importing import import_manifest
from uadbench.datasets.manifest.options import ImportOptions
from uadbench.datasets.manifest.reporting import Count, ImportReport

__all__ = ["Count", "ImportOptions", "ImportReport", "import_manifest"]
