"""What `predict` adds to the bare arithmetic of AE[16], and reading images from a file beside it; one thread.

A ratio of processor seconds that were measured in turn says more on a busy machine than seconds do.
"""

import itertools

import numpy as np
import pytest
from stopwatch import seconds_in_turn

torch = pytest.importorskip("torch", reason="torch is not installed")
ae_latent = pytest.importorskip("uadbench_autoencoders.ae_latent", reason="the autoencoders are not installed")

from uadbench.files.dataset import Sample, write_dataset  # noqa: E402
from uadbench.files.images import Card, open_images  # noqa: E402
from uadbench.torch_support.reconstructing import reconstructor  # noqa: E402
from uadbench.types import FitContext  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "kept_memory")]
IMAGES, BATCH, GRID, ROUNDS = 256, 32, 64, 200
LEAST_OF_BARE, MOST_FOR_READING = 95, 10  # percent


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The test splits of two files, of 64 and 128 pixels a side: noise on an ellipse, which no coding makes smaller."""

    def sample(side, number):
        rng = np.random.default_rng([side, number])
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        tissue = (x / rng.uniform(0.7, 0.9)) ** 2 + (y / rng.uniform(0.7, 0.9)) ** 2 < 1
        return Sample(rng.integers(0, 256, (1, side, side), np.uint8) * tissue, tissue, str(number), str(number))

    def source(side):
        test = [sample(side, number) for number in range(2, IMAGES + 2)]
        splits = {"train": [sample(side, 0)], "val": [sample(side, 1)], "test": test}
        card = Card(f"noise-{side}", "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024")
        return open_images(write_dataset(tmp_path_factory.mktemp(card.name), card, splits).images)["test"]

    return {side: source(side) for side in (64, 128)}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """AE[16] as it starts; training would not make it faster."""
    torch.manual_seed(0)
    method = ae_latent.LatentAutoencoder()
    context = FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("detector"))
    return reconstructor(method, method.network(1), 1, context)


def by_a_script(network, pixels):
    """The same maps, scores and reconstructions by the arithmetic alone."""

    def drawn(images, size):
        same = tuple(images.shape[-2:]) == size
        resize = torch.nn.functional.interpolate
        return images if same else resize(images, size, mode="bilinear", align_corners=False, antialias=True)

    size = pixels.shape[-2:]
    with torch.no_grad():
        images = 2 * drawn(torch.from_numpy(pixels), (GRID, GRID)) - 1
        seen = network.decode(network.encode(images))
        error = (images - seen) ** 2
        maps, scores = drawn(error, size)[:, 0].numpy(), error.mean((1, 2, 3)).numpy()
        return maps, scores, drawn(((seen + 1) / 2).clamp(0, 1), size).numpy()


@pytest.mark.parametrize("side", [64, 128])
def test_predict_is_nearly_as_fast_as_a_script(benchmark, sources, detector, side):
    images = sources[side][0:BATCH]
    works = [lambda: detector.predict(images), lambda: by_a_script(detector.network, images.pixels)]
    engine, bare = benchmark.pedantic(seconds_in_turn, (works, ROUNDS), rounds=1).T
    throughput = 100 * float(np.median(bare / engine))
    benchmark.extra_info.update(what=f"Scoring {BATCH} images of {side} pixels a side with AE[16], one thread")
    benchmark.extra_info.update(images_per_second=round(BATCH / float(np.median(engine))))
    benchmark.extra_info.update(percent_of_a_bare_script=round(throughput, 1), target_percent=LEAST_OF_BARE)
    print(f"\n{benchmark.extra_info}, {100 * bare.min() / engine.min():.1f} % between the fastest")
    predicted, (maps, scores, reconstructions) = works[0](), works[1]()
    np.testing.assert_allclose(predicted.maps, maps, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(predicted.scores, scores, rtol=1e-5)
    np.testing.assert_allclose(predicted.reconstructions, reconstructions, atol=1e-6)
    assert throughput >= LEAST_OF_BARE


def test_reading_takes_a_small_part_of_scoring(benchmark, sources, detector):
    source = sources[128]
    batches = itertools.cycle([slice(start, start + BATCH) for start in range(0, IMAGES, BATCH)])
    images = source[0:BATCH]
    works = [lambda: source[next(batches)], lambda: detector.predict(images)]
    reading, scoring = benchmark.pedantic(seconds_in_turn, (works, ROUNDS), rounds=1).T
    share = 100 * float(np.median(reading / scoring))
    benchmark.extra_info.update(what=f"Reading {BATCH} images of 128 pixels a side from a file, one thread")
    benchmark.extra_info.update(milliseconds=round(1000 * float(np.median(reading)), 1))
    benchmark.extra_info.update(percent_of_scoring_them=round(share, 1), target_percent=MOST_FOR_READING)
    print(f"\n{benchmark.extra_info}, {100 * reading.min() / scoring.min():.1f} % of the fastest")
    assert share <= MOST_FOR_READING
