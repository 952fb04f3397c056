"""The author's contract, for every autoencoder; networks as in `quick`, trained for a moment."""

import pytest
from uadbench_autoencoders import uadbench_methods

from uadbench import testing

SHORT = {"epochs": 1, "batch": 8}
SHORTER = {
    "dae": {"width": 4, "steps": 2},
    "vanilla-ae": {"steps": 2},
    "spatial-ae": {"steps": 2},
    "vq-vae": {"steps": 2},
    "vae-restoration": {"restore_steps": 3},
}


@pytest.mark.parametrize("name", [spec.name for spec in uadbench_methods()])
@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check, name):
    check.run(testing.case(name, overrides=SHORT | SHORTER.get(name, {})))
