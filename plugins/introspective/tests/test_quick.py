"""What `quick` promises: both methods learn what healthy phantoms look like."""

import numpy as np
import pytest

from uadbench import FitContext, Images, plugins
from uadbench.testing import MemorySource

pytest.importorskip("nibabel", reason="the phantom's template is read with nibabel")
pytest.importorskip("nilearn", reason="the phantom's template ships with nilearn")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def phantoms() -> dict[str, Images]:
    """Healthy ones of every split; the first of test are."""
    from uadbench.datasets.phantom.generation import phantom

    found = {}
    for split, count in (("train", 240), ("val", 40), ("test", 40)):
        samples = [phantom(split, index) for index in range(count)]
        pixels = np.stack([sample.pixels for sample in samples]).astype(np.float32) / 255
        names = tuple(f"{split}-{index}" for index in range(count))
        found[split] = Images(pixels, np.stack([sample.foreground for sample in samples]), names, names)
    return found


def error(seen: np.ndarray, images: Images) -> float:
    """Mean squared error over the foreground."""
    return float(np.square(seen - images.pixels)[images.foreground[:, None]].mean())


@pytest.mark.parametrize("name", ["si-vae", "ra"])
def test_a_quick_training_explains_more_than_the_mean_image(name, phantoms, tmp_path):
    context, healthy = FitContext(0, "cpu", "float32", tmp_path), phantoms["test"]
    train, val = (MemorySource(phantoms[split]) for split in ("train", "val"))
    detector = plugins.make(name, preset="quick").fit(train, val, context)
    assert error(detector.predict(healthy).reconstructions, healthy) < error(phantoms["train"].pixels.mean(0), healthy)
