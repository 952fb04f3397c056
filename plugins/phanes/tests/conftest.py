"""A plugin of methods that may be stage 1, installed for these tests alone."""

import sys
from pathlib import Path

import pytest

from uadbench import plugins


@pytest.fixture(scope="module")
def stand_in():
    """Its methods are in the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "stand_in"))
        plugins.registry.cache_clear()
        yield
    plugins.registry.cache_clear()
    sys.modules.pop("stand_in", None)
