"""The author's contract; networks thinner than in `quick`, trained for a moment."""

import pytest

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"size": 16, "width": 4, "multipliers": (1, 2), "epochs": 2, "noised_to": 60, "ddim_steps": 2, "block": 4}


@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check):
    check.run(testing.case("anoddpm", overrides=SHORT))
