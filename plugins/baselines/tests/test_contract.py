"""The author's contract, for every canary."""

import pytest
from uadbench_baselines import uadbench_methods

from uadbench import testing


@pytest.mark.parametrize("name", [spec.name for spec in uadbench_methods()])
@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check, name):
    check.run(testing.case(name))
