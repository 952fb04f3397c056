"""Seconds for the intervals of every pixel metric, from evidence that was counted once, on one thread."""

import time

import numpy as np
import pytest
from scenes import Scene, speckled

from uadbench.evidence import Evidence
from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card, open_images
from uadbench.files.predictions import open_predictions
from uadbench.files.truth import open_truth
from uadbench.intervals import resample_counts
from uadbench.measures import MEASURES, strata
from uadbench.protocols import Protocol
from uadbench.scoring import evidence_of
from uadbench.types import Prediction

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
IMAGES, SIZE, RESAMPLES, MOST_SECONDS = 300, 256, 1000, 5
BINNED = ("pixel_ap", "pixel_auroc", "aupro", "oracle_dice")
METRICS = (
    *BINNED,
    *("pixel_ap_per_image", "dice_at_fpr5", "dice_at_fpr1", "recall_at_fpr5", "lesion_recall_at_fpr5"),
)


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> tuple[Evidence, float]:
    """Evidence of 300 test images, half of them healthy, and the seconds that counting it took."""
    folder = tmp_path_factory.mktemp("bootstrap")
    maps, masks = speckled(IMAGES, seed=0, size=SIZE)
    masks[::2] = False
    place = written(folder, masks)

    def paint(images, truth):
        rows = [int(name.split("-")[1]) for name in truth.names]
        return Prediction(maps[rows], np.zeros(len(rows)))

    predicted = open_predictions(place.predict(paint))
    start = time.perf_counter()
    evidence = evidence_of(place.rules, place.dataset, place.known, predicted)
    return evidence, time.perf_counter() - start


def written(folder, masks):
    """The dataset of these masks on black images; test-0 is also the image of train and val."""
    plain, body = np.zeros((1, SIZE, SIZE), np.uint8), np.ones((SIZE, SIZE), bool)
    test = [Sample(plain, body, f"test-{i}", f"test-{i}") for i in range(len(masks))]
    for i in np.flatnonzero(masks.any(axis=(1, 2))):
        test[i] = Sample(plain, body, f"test-{i}", f"test-{i}", 1, "speckle", "mask", masks[i])
    healthy = {split: [Sample(plain, body, f"{split}-0", f"{split}-0")] for split in ("train", "val")}
    card = Card("speckled-v1", "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024")
    paths = write_dataset(folder, card, {**healthy, "test": test})
    rules = Protocol("speckled-local", "Speckled", card.name, "pixel_ap", resamples=RESAMPLES)
    return Scene(folder, rules, open_images(paths.images), open_truth(paths.truth))


def measured(evidence, weights):
    """Every pixel metric over all images, with its draws."""
    stratum = strata(evidence, weights, "all")[0]
    return {name: MEASURES[name](stratum) for name in METRICS}


def test_a_thousand_resamples_of_every_pixel_metric_take_seconds(benchmark, counted):
    evidence, seconds_of_evidence = counted
    weights = resample_counts(evidence.subjects, RESAMPLES, 0)
    found = benchmark.pedantic(measured, (evidence, weights), rounds=3, warmup_rounds=1)
    seconds = benchmark.stats.stats.min
    what = f"Intervals of {len(METRICS)} pixel metrics, {RESAMPLES:,} resamples of {IMAGES} images, one thread"
    benchmark.extra_info.update(what=what, seconds=round(seconds, 2), target_seconds=MOST_SECONDS)
    benchmark.extra_info.update(seconds_to_count_the_evidence=round(seconds_of_evidence, 1))
    print(f"\n{benchmark.extra_info}")
    assert all(np.isfinite(one.draws).sum() == RESAMPLES for one in found.values())
    assert seconds <= MOST_SECONDS


def test_drawing_every_image_once_is_the_exact_value_but_for_the_bins(benchmark, counted):
    evidence, _ = counted
    found = benchmark.pedantic(measured, (evidence, np.ones((1, evidence.subjects))), rounds=1)
    errors = {name: abs(float(one.draws[0]) - one.value) for name, one in found.items()}
    binned = {f"error_of_{name}": f"{errors[name]:.0e}" for name in BINNED}
    benchmark.extra_info.update(what=f"Bins of the bootstrap against exact counts, {IMAGES} images", **binned)
    print(f"\n{benchmark.extra_info}")
    assert max(errors[name] for name in BINNED) <= 1e-3
    assert max(error for name, error in errors.items() if name not in BINNED) <= 1e-12
