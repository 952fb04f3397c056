"""What `quick` promises: a bright spot in a healthy phantom is where its map rises, and raises its score."""

import numpy as np
import pytest
from uadbench_features import uadbench_methods

from uadbench import FitContext, Images, plugins
from uadbench.metrics import image_auroc, pixel_ap
from uadbench.testing import MemorySource

pytestmark = pytest.mark.slow


def spotted(healthy: Images) -> tuple[Images, np.ndarray]:
    """The images with half of the intensity missing to white in a square of tissue, and where."""
    pixels, masks = healthy.pixels.copy(), np.zeros(healthy.foreground.shape, bool)
    masks[:, 48:60, 70:82] = True
    pixels[:, 0][masks] += (1 - pixels[:, 0][masks]) / 2
    return Images(pixels, healthy.foreground, healthy.ids, healthy.subjects), masks


@pytest.mark.parametrize("name", [spec.name for spec in uadbench_methods()])
def test_quick_finds_spots_in_phantoms(name, phantoms, tmp_path):
    train, val, healthy = (phantoms[split] for split in ("train", "val", "test"))
    context = FitContext(0, "cpu", "float32", tmp_path)
    detector = plugins.make(name, preset="quick").fit(MemorySource(train), MemorySource(val), context)
    anomalous, masks = spotted(healthy)
    before, after = detector.predict(healthy), detector.predict(anomalous)
    rise, scores = after.maps - before.maps, np.concatenate([before.scores, after.scores])
    assert rise[masks].mean() > rise[~masks].mean()
    assert image_auroc(scores, np.repeat([False, True], len(healthy))) > 0.6
    assert pixel_ap(after.maps, masks) > 10 * masks.mean()  # ten times chance
