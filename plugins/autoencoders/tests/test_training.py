"""The training loop that autoencoders share."""

import numpy as np
import pytest
import torch
from torch import nn

from uadbench import FitContext, Progress
from uadbench.errors import InvalidDataError, ParameterError, RunFailedError
from uadbench.torch_support.determinism import computing, deterministic, generator_of
from uadbench.torch_support.training import Schedule, gradient_step, train

IMAGES = torch.arange(9.0).view(9, 1, 1, 1)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def seen_in_training(context: FitContext, batch: int, images: torch.Tensor = IMAGES) -> list[list[float]]:
    seen: list[list[float]] = []

    def step(rows: torch.Tensor, epoch: int) -> float:
        seen.append(rows.flatten().tolist())
        return 0.0

    train(nn.Identity(), step, images, Schedule(2, batch), context)
    return seen


def test_every_epoch_shows_every_image_once_in_another_order(context):
    first, second = seen_in_training(context, 9)
    assert sorted(first) == sorted(second) == IMAGES.flatten().tolist()
    assert first != second


def test_the_order_depends_on_the_seed_alone(context, tmp_path):
    torch.manual_seed(5)
    assert seen_in_training(context, 3) == seen_in_training(context, 3)
    assert seen_in_training(context, 3) != seen_in_training(FitContext(1, "cpu", "float32", tmp_path), 3)


def test_a_last_image_alone_joins_the_batch_before(context):
    assert [len(batch) for batch in seen_in_training(context, 4)] == [4, 5, 4, 5]


def test_a_network_trains_in_train_mode_and_is_left_in_eval_mode(context):
    network, modes = nn.BatchNorm2d(1), []

    def step(rows: torch.Tensor, epoch: int) -> float:
        modes.append(network.training)
        return 0.0

    train(network, step, IMAGES, Schedule(2, 9), context, validate=lambda: 0.0)
    assert modes == [True, True]
    assert not network.training


def test_a_gradient_step_lowers_the_loss(context):
    weight = nn.Parameter(torch.tensor(3.0))
    step = gradient_step(lambda rows: (weight - 1) ** 2, torch.optim.SGD([weight], 0.1), context)
    assert step(IMAGES, 0) == 4.0
    assert weight.item() == pytest.approx(2.6)


def test_early_stopping_returns_to_the_best_epoch(context):
    network, values = nn.Linear(1, 1, bias=False), iter([3.0, 1.0, 2.0, 2.0, 0.0])

    def step(rows: torch.Tensor, epoch: int) -> float:
        nn.init.constant_(network.weight, epoch)
        return 0.0

    train(network, step, IMAGES, Schedule(5, 9, patience=2), context, lambda: next(values))
    assert network.weight.item() == 1


def test_progress_counts_epochs(tmp_path):
    heard = []
    context = FitContext(0, "cpu", "float32", tmp_path, heard.append)
    train(nn.Identity(), lambda rows, epoch: 0.5, IMAGES, Schedule(2, 9), context)
    assert heard == [Progress(1, 2, "epochs", "loss 0.5"), Progress(2, 2, "epochs", "loss 0.5")]


def test_a_loss_that_is_not_finite_ends_the_run(context):
    with pytest.raises(RunFailedError, match="loss is nan in epoch 1"):
        train(nn.Identity(), lambda rows, epoch: float("nan"), IMAGES, Schedule(2, 9), context)


def test_one_image_is_too_few_to_train_on(context):
    with pytest.raises(InvalidDataError, match="at least 2 images, not 1"):
        seen_in_training(context, 4, IMAGES[:1])


def test_a_schedule_without_epochs_is_refused():
    with pytest.raises(ParameterError, match="epochs 0"):
        Schedule(epochs=0, batch=4)


def test_seeding_is_undone_even_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), deterministic(3, "cpu"):
        torch.rand(1).item() / 0
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_image_s_own_stream_depends_on_seed_and_content():
    one, other = np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), np.float32)
    draws = {
        (seed, name): torch.rand(3, generator=generator_of(seed, image)).tolist()[0]
        for seed in (0, 1)
        for name, image in (("one", one), ("other", other))
    }
    assert len(set(draws.values())) == 4
    assert draws[0, "one"] == torch.rand(3, generator=generator_of(0, one.copy())).tolist()[0]


def test_what_last_bits_depend_on_is_recorded():
    assert computing("cpu")["threads"] == torch.get_num_threads()
