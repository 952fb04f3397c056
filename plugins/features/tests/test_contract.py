"""The author's contract; smaller inputs than in `quick`, and a moment of training."""

import pytest

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {
    "padim": {"size": 32, "dimensions": 20},
    "reverse-distillation": {"size": 32, "width": 4, "epochs": 2, "batch": 8},
}


@pytest.mark.parametrize("check", testing.checks(), ids=str)
@pytest.mark.parametrize("name", SHORT)
def test_contract(name, check):
    check.run(testing.case(name, overrides=SHORT[name]))
