"""The author's contract: named checks that a method must pass, each failing with a sentence that teaches.

A plugin's contract test is three lines:

    @pytest.mark.parametrize("check", uadbench.testing.checks(), ids=str)
    def test_contract(check):
        check.run(uadbench.testing.case("my-method", overrides={"epochs": 1}))

A case is fitted once and shared by all checks; three checks fit again (seed, odd-size, min-size), so make
slow methods short with `overrides`.
"""

from uadbench.testing.blobs import MemorySource
from uadbench.testing.case import Case, case
from uadbench.testing.checks import Check, Outcome, check_method, checks

__all__ = ["Case", "Check", "MemorySource", "Outcome", "case", "check_method", "checks"]
