"""Datasets from a folder or a zip of pictures plus a CSV manifest. Needs `uadbench[import]`; light until it is used."""

from uadbench.datasets.manifest.importing import ImportOptions, ImportReport, import_manifest

__all__ = ["ImportOptions", "ImportReport", "import_manifest"]
