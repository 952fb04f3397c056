"""What the training engine adds to a bare loop, and augmentation to a step: AE[16] on 64 x 64 pixels, one thread.

A ratio of processor seconds that were measured in turn says more on a busy machine than seconds do.
"""

import time

import numpy as np
import pytest
from stopwatch import seconds_in_turn

torch = pytest.importorskip("torch", reason="torch is not installed")
ae_latent = pytest.importorskip("uadbench_autoencoders.ae_latent", reason="the autoencoders are not installed")

from uadbench.torch_support.augmentation import Affine  # noqa: E402
from uadbench.torch_support.determinism import deterministic  # noqa: E402
from uadbench.torch_support.training import Learner, Schedule, gradient_step, train  # noqa: E402
from uadbench.types import FitContext  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "kept_memory")]
IMAGES, SIDE, BATCH, RATE = 640, 64, 64, 1e-3
ROUNDS, EPOCHS = 15, 2
MOST_OVER_BARE, MOST_FOR_AUGMENTATION = 5, 15  # percent


@pytest.fixture(scope="module")
def images():
    """Noise in [-1, 1], ready for the network."""
    return 2 * torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 1


@pytest.fixture
def context(tmp_path):
    """Seed 0 on the CPU."""
    return FitContext(0, "cpu", "float32", tmp_path)


def network_and_optimiser():
    """Those of `ae-latent`."""
    torch.manual_seed(0)
    network = ae_latent.LatentAutoencoder().network(1)
    return network, torch.optim.Adam(network.parameters(), lr=RATE)


def bare_epochs(images):
    """Some epochs as a script would write them."""
    network, optimiser = network_and_optimiser()

    def epochs():
        network.train()
        for _ in range(EPOCHS):
            order = torch.randperm(len(images))
            for start in range(0, len(images), BATCH):
                batch = images[order[start : start + BATCH]]
                optimiser.zero_grad()
                loss = torch.nn.functional.mse_loss(network.decode(network.encode(batch)), batch)
                loss.backward()
                optimiser.step()

    return epochs


def engine_epochs(images, context, augment=None):
    """As many epochs by the engine, as `fit` calls it."""
    network, optimiser = network_and_optimiser()
    step = gradient_step(lambda batch: ae_latent.squared_error(network, batch), optimiser, context)
    learner = Learner(network, step, (optimiser,))

    def epochs():
        with deterministic(context.seed, context.device):
            train(learner, images, Schedule(EPOCHS, BATCH), context, augment=augment)

    return epochs


class Timed:
    """An augmentation that adds up the processor seconds spent in it."""

    def __init__(self, augment):
        self.augment = augment
        self.seconds = 0.0

    def __call__(self, batch, draws):
        start = time.process_time()
        moved = self.augment(batch, draws)
        self.seconds += time.process_time() - start
        return moved


def test_the_engine_takes_hardly_longer_than_a_bare_loop(benchmark, images, context):
    works = [engine_epochs(images, context), bare_epochs(images)]
    engine, bare = benchmark.pedantic(seconds_in_turn, (works, ROUNDS), rounds=1).T
    over = 100 * (float(np.median(engine / bare)) - 1)
    benchmark.extra_info.update(what=f"An epoch of AE[16] on {IMAGES} images by the engine, one thread")
    benchmark.extra_info.update(seconds=round(float(np.median(engine)) / EPOCHS, 2))
    benchmark.extra_info.update(percent_over_a_bare_loop=round(over, 1), target_percent=MOST_OVER_BARE)
    print(f"\n{benchmark.extra_info}, {100 * (engine.min() / bare.min() - 1):.1f} % between the fastest")
    assert over <= MOST_OVER_BARE


def test_augmentation_takes_a_small_part_of_a_step(benchmark, images, context):
    timed, shares = Timed(Affine(fill=-1.0)), []
    epochs = engine_epochs(images, context, timed)

    def measured():
        timed.seconds, start = 0.0, time.process_time()
        epochs()
        shares.append(timed.seconds / (time.process_time() - start - timed.seconds))

    benchmark.pedantic(measured, rounds=ROUNDS, warmup_rounds=1)
    share = 100 * float(np.median(shares[1:]))
    each = 1000 * timed.seconds / (EPOCHS * IMAGES / BATCH)
    benchmark.extra_info.update(what=f"Augmenting {BATCH} images for a step of AE[16], one thread")
    benchmark.extra_info.update(milliseconds=round(each, 1), percent_of_the_step_without_it=round(share, 1))
    benchmark.extra_info.update(target_percent=MOST_FOR_AUGMENTATION)
    print(f"\n{benchmark.extra_info}")
    assert share <= MOST_FOR_AUGMENTATION
