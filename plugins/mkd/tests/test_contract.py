"""The author's contract; a student thinner than in `quick`, trained for a moment, under every localisation."""

import pytest
from uadbench_mkd._checks import LOCALISATIONS

from uadbench import testing

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"size": 32, "width": 4, "epochs": 1, "batch": 4, "smooth_samples": 2, "block": 6}


@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check):
    check.run(testing.case("mkd", overrides=SHORT))


@pytest.mark.parametrize("localisation", LOCALISATIONS)
def test_images_without_structure_have_finite_maps_under_every_localisation(localisation):
    (finite,) = (check for check in testing.checks() if check.name == "finite")
    finite.run(testing.case("mkd", overrides={**SHORT, "localisation": localisation}))
