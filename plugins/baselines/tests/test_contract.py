"""The author's contract, for every canary."""

import pytest

from uadbench import testing


@pytest.mark.parametrize(
    "name",
    [
        "constant",
        "random",
        "intensity",
        "inverted-intensity",
        "hist-eq",
        "blur-residual",
        "mean-residual",
        "pca-residual",
    ],
)
@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check, name):
    check.run(testing.case(name))
