"""What `quick` promises: its student knows healthy phantoms, and fails where one of them is changed."""

from dataclasses import replace

import numpy as np
import pytest

from uadbench import FitContext, plugins
from uadbench.testing import MemorySource

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_torch_thread")]


def test_a_bright_square_in_a_healthy_phantom_is_scored_and_mapped_higher(phantoms, tmp_path):
    train, val, test = (phantoms[split] for split in ("train", "val", "test"))
    context = FitContext(0, "cpu", "float32", tmp_path)
    detector = plugins.make("mkd", preset="quick").fit(MemorySource(train), MemorySource(val), context)
    changed, place = test.pixels.copy(), np.s_[48:64, 56:72]
    changed[:, :, *place] = 1
    before, after = detector.predict(test), detector.predict(replace(test, pixels=changed))
    assert (after.scores > before.scores).mean() > 0.9
    rise = after.maps - before.maps
    assert rise[:, *place].mean() > 2 * rise.mean() > 0
