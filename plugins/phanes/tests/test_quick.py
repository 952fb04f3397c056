"""What `quick` promises: where it paints, it paints what healthy phantoms look like."""

import numpy as np
import pytest

from uadbench import FitContext, plugins
from uadbench.testing import MemorySource

pytestmark = pytest.mark.slow


def test_what_a_quick_training_paints_is_nearer_than_the_mean_image_and_than_stage_1(phantoms, tmp_path):
    train, val, healthy = (phantoms[split] for split in ("train", "val", "test"))
    context = FitContext(0, "cpu", "float32", tmp_path)
    detector = plugins.make("phanes", preset="quick").fit(MemorySource(train), MemorySource(val), context)
    made = detector.predict(healthy).reconstructions
    painted = made != healthy.pixels

    def error(seen: np.ndarray) -> float:
        return float(np.square(seen - healthy.pixels)[painted].mean())

    assert 0.005 < painted.mean() < 0.1
    assert error(made) < error(np.broadcast_to(train.pixels.mean(0), made.shape))
    assert error(made) < error(detector.looking.seen(healthy))
