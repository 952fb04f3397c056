"""What `quick` promises: the method learns what healthy phantoms look like."""

import pytest
from uadbench_anoddpm import uadbench_methods

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [spec.name for spec in uadbench_methods()])
def test_a_quick_training_explains_more_than_the_mean_image(name, quick_errors):
    learned, mean_image = quick_errors(name)
    assert learned < mean_image
