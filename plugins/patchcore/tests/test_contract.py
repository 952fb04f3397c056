"""The author's contract; smaller inputs than in `quick`, with and without the score's re-weighting."""

import pytest

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.parametrize("check", testing.checks(), ids=str)
@pytest.mark.parametrize("reweight", [False, True])
def test_contract(check, reweight):
    check.run(testing.case("patchcore", overrides={"size": 64, "coreset": 0.1, "reweight": reweight}))
