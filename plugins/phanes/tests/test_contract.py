"""The author's contract; networks thinner than in `quick`, trained for a moment."""

import pytest

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

FIRST = {"stage1_set": "size=32 width=4 latent=8 epochs=1"}
SHORT = {**FIRST, "size": 48, "width": 4, "blocks": 1, "epochs": 1, "block": 8}


@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check):
    check.run(testing.case("phanes", overrides=SHORT))
