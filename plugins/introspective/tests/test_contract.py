"""The author's contract, for both methods; networks thinner than in `quick`, trained for a moment."""

import pytest
from uadbench_introspective import uadbench_methods

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"size": 32, "width": 4, "latent": 8, "epochs": 1, "block": 6}


@pytest.mark.parametrize("name", [spec.name for spec in uadbench_methods()])
@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check, name):
    check.run(testing.case(name, overrides=SHORT))
