"""The author's contract; networks thinner than in `quick`, trained for a moment."""

import pytest

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"size": 32, "width": 4, "epochs": 2, "morph_from": 1, "ramp_epochs": 2}


@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check):
    check.run(testing.case("morphaeus", overrides=SHORT))
