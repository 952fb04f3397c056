"""A plugin whose entry module imports a heavy library at its top."""

import h5py  # noqa: F401 - the fault
from broken_methods import Good

__all__ = ["Good"]
