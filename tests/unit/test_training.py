"""The training loop: what a network sees, when it stops, what it tells, and what is refused."""

import itertools
import re
import time

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from trainings import NUMBERS, images, network, one_weight, run
from trainings import context as context_in

from uadbench.errors import ParameterError, TrainingDivergedError
from uadbench.torch_support.training import Learner, Schedule, gradient_step, train
from uadbench.torch_support.watching import Told

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def still(batch, epoch):
    """A step that learns nothing."""
    return torch.zeros(())


def losing(*losses):
    """A step whose losses are given."""
    values = iter(losses)
    return lambda batch, epoch: torch.tensor(next(values))


def seen_in_training(context, schedule, numbers=NUMBERS, **options):
    """The images of every batch."""
    seen = []

    def step(batch, epoch):
        seen.append(batch.flatten().tolist())
        return torch.zeros(())

    train(Learner(nn.Identity(), step), numbers, schedule, context, **options)
    return seen


def test_every_epoch_shows_every_image_once_in_another_order(context):
    first, second = seen_in_training(context, Schedule(2, 9))
    assert sorted(first) == sorted(second) == NUMBERS.flatten().tolist()
    assert first != second


def test_the_order_depends_on_the_seed_alone(context, tmp_path):
    first = seen_in_training(context, Schedule(2, 3))
    torch.manual_seed(5)
    assert seen_in_training(context, Schedule(2, 3)) == first
    assert seen_in_training(context_in(tmp_path, seed=1), Schedule(2, 3)) != first


@pytest.mark.parametrize(("batch", "lengths"), [(4, [4, 5]), (2, [2, 2, 2, 3]), (8, [9]), (3, [3, 3, 3]), (5, [5, 4])])
def test_a_last_image_alone_joins_the_batch_before(batch, lengths, context):
    seen = seen_in_training(context, Schedule(1, batch))
    assert [len(one) for one in seen] == lengths
    assert sorted(itertools.chain(*seen)) == NUMBERS.flatten().tolist()


@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_steps_are_exactly_that_many_whole_batches_per_epoch(steps, context):
    seen = seen_in_training(context, Schedule(2, 4, steps=steps))
    assert [len(batch) for batch in seen] == [4] * 2 * steps
    counts = [sum(batch.count(number) for batch in seen[:steps]) for number in range(9)]
    assert max(counts) - min(counts) <= 1


def test_a_step_is_told_its_epoch_from_zero(context):
    epochs = []
    train(Learner(nn.Identity(), lambda batch, epoch: epochs.append(epoch) or torch.zeros(())), *run(context))
    assert epochs == [0, 0, 1, 1]


def test_a_step_sees_what_augmentation_makes_of_the_batch(context):
    def halved(batch, draws):
        return batch / 2

    seen = seen_in_training(context, Schedule(1, 3), augment=halved)
    assert sorted(itertools.chain(*seen)) == [number / 2 for number in range(9)]


def test_augmentation_draws_from_the_seed_alone(context):
    def shaken(batch, draws):
        return batch + torch.rand(batch.shape, generator=draws)

    first = seen_in_training(context, Schedule(2, 3), augment=shaken)
    torch.manual_seed(5)
    assert seen_in_training(context, Schedule(2, 3), augment=shaken) == first


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("eval", False)])
def test_batch_statistics_move_in_train_mode_and_stay_in_eval_mode(mode, moves, context):
    layer = nn.BatchNorm2d(1)
    step = gradient_step(lambda batch: layer(batch).square().mean(), torch.optim.SGD(layer.parameters(), 0.1), context)
    train(Learner(layer, step), *run(context, mode=mode))
    assert (layer.running_mean.item() != 0, layer.running_var.item() != 1) == (moves, moves)
    assert layer.num_batches_tracked == (4 if moves else 0)


def test_train_mode_comes_back_after_every_validation(context):
    layer, modes = nn.Dropout(), []

    def step(batch, epoch):
        modes.append(layer.training)
        return torch.zeros(())

    train(Learner(layer, step, validate=lambda: modes.append(layer.training) or 0.0), *run(context, batch=9))
    assert modes == [True, False, True, False]
    assert not layer.training


def test_validation_computes_no_gradients(context):
    enabled = []
    train(Learner(nn.Identity(), still, validate=lambda: enabled.append(torch.is_grad_enabled()) or 0.0), *run(context))
    assert enabled == [False, False]


def rates_of(context, scheduler, validate=None, epochs=5):
    """The learning rate of every epoch."""
    layer, rates = one_weight(), []
    optimiser = torch.optim.SGD(layer.parameters(), 1.0)

    def step(batch, epoch):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        return torch.zeros(())

    learner = Learner(layer, step, (optimiser,), (scheduler(optimiser),), validate)
    train(learner, *run(context, epochs, batch=9))
    return rates


def test_a_scheduler_changes_the_learning_rate_once_an_epoch(context):
    assert rates_of(context, lambda one: StepLR(one, 2, gamma=0.1)) == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_a_plateau_scheduler_follows_the_validation_value(context):
    values = iter([3.0, 2.0, 2.0, 1.0, 1.0])
    rates = rates_of(context, lambda one: ReduceLROnPlateau(one, factor=0.5, patience=0), lambda: next(values))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5]


def test_a_plateau_scheduler_without_validation_is_refused():
    optimiser = torch.optim.SGD(one_weight().parameters(), 0.1)
    with pytest.raises(ParameterError, match=r"ReduceLROnPlateau follows the validation value. Give `validate`"):
        Learner(nn.Identity(), still, (optimiser,), (ReduceLROnPlateau(optimiser),))


def numbered_epochs(context, values, **schedule):
    """A network whose weight is the epoch's number, trained with these validation values; and how long it trained."""
    layer, epochs, given = one_weight(), [], iter(values)

    def step(batch, epoch):
        epochs.append(epoch)
        nn.init.constant_(layer.weight, epoch)
        return torch.zeros(())

    learner = Learner(layer, step, validate=lambda: next(given))
    train(learner, *run(context, len(values), batch=9, **schedule))
    return layer.weight.item(), len(epochs)


@pytest.mark.parametrize(
    ("patience", "best", "trained"),
    [(0, 4, 5), (1, 1, 3), (2, 1, 4), (3, 4, 5)],
)
def test_early_stopping_waits_for_its_patience_and_returns_to_the_best_epoch(patience, best, trained, context):
    assert numbered_epochs(context, [3.0, 1.0, 2.0, 2.0, 0.0], patience=patience) == (best, trained)


def test_the_first_of_equal_epochs_is_the_best(context):
    assert numbered_epochs(context, [2.0, 1.0, 1.0]) == (1, 3)


def test_an_epoch_must_be_better_by_more_than_min_delta(context):
    assert numbered_epochs(context, [2.0, 1.75, 1.25, 1.0], min_delta=0.5) == (2, 4)


def test_without_validation_the_last_epoch_is_kept(context):
    layer = one_weight()
    step = gradient_step(lambda batch: layer.weight.square().sum(), torch.optim.SGD(layer.parameters(), 0.25), context)
    train(Learner(layer, step), *run(context, batch=9, patience=1))
    assert layer.weight.item() == 3 * 0.5**2


def test_the_best_weights_are_copies_that_training_does_not_touch(context):
    layer, values = nn.BatchNorm2d(1), iter([0.0, 1.0, 2.0])
    kept = []

    def validate():
        kept.append([value.clone() for value in layer.state_dict().values()])
        return next(values)

    step = gradient_step(lambda batch: layer(batch).sum(), torch.optim.SGD(layer.parameters(), 0.1), context)
    train(Learner(layer, step, validate=validate), *run(context, 3))
    assert all(map(torch.equal, layer.state_dict().values(), kept[0]))
    assert not any(map(torch.equal, kept[0], kept[1]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_names_its_epoch_and_step(value, context):
    step = losing(1.0, 1.0, 1.0, 1.0, float(value), float("nan"))
    with pytest.raises(TrainingDivergedError, match=f"The loss is {value} in epoch 2, step 2. Lower the learning rate"):
        train(Learner(nn.Identity(), step), *run(context, batch=3))


def test_a_loss_that_exploded_ends_the_training(context):
    step = losing(2.0, 100.0, 2001.0)
    with pytest.raises(TrainingDivergedError, match=r"exploded: 2e\+03 in epoch 3, 2 in the first. Lower"):
        train(Learner(nn.Identity(), step), *run(context, 3, batch=9))


@pytest.mark.parametrize("losses", [(0.0, 5.0), (-1.0, 500.0), (1.0, 999.0), (-1.0, -9999.0)])
def test_a_loss_may_begin_at_zero_or_below_and_may_grow(losses, context):
    train(Learner(nn.Identity(), losing(*losses)), *run(context, batch=9))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_validation_value_that_is_not_finite_ends_the_training(value, context):
    with pytest.raises(TrainingDivergedError, match=f"The validation loss is {value}. Lower the learning rate"):
        train(Learner(nn.Identity(), still, validate=lambda: value), *run(context))


def test_weights_that_the_last_step_spoiled_are_refused(context):
    layer = one_weight()

    def step(batch, epoch):
        nn.init.constant_(layer.weight, float("nan"))
        return torch.zeros(())

    with pytest.raises(TrainingDivergedError, match=r"weights 'weight' are not finite at the end of training"):
        train(Learner(layer, step), *run(context, 1, batch=9))


def test_a_learning_rate_far_too_high_ends_in_a_sentence(context):
    model = network()
    step = gradient_step(
        lambda batch: (model(batch) - batch).square().mean(), torch.optim.SGD(model.parameters(), 1e8), context
    )
    with pytest.raises(TrainingDivergedError, match=r"Lower the learning rate, or use float32"):
        train(Learner(model, step), images(), Schedule(4, 4), context)


def test_progress_tells_the_loss_and_the_time_left(tmp_path):
    heard = []
    train(Learner(nn.Identity(), losing(0.5, 0.25, 0.125)), *run(context_in(tmp_path, report=heard.append), 3, 9))
    assert [(one.done, one.total, one.unit) for one in heard] == [(1, 3, "epochs"), (2, 3, "epochs"), (3, 3, "epochs")]
    assert [one.message.partition(",")[0] for one in heard] == ["loss 0.5", "loss 0.25", "loss 0.125"]
    assert all(re.fullmatch(r"loss [\d.]+, \d+ s left", one.message) for one in heard[1:])


@pytest.mark.parametrize(
    ("seconds", "epochs", "left"), [(2.0, 11, "18 s left"), (60.0, 11, "9 min left"), (7.0, 2, "0 s left")]
)
def test_the_time_left_is_that_of_the_epochs_before(seconds, epochs, left, tmp_path, monkeypatch):
    heard, clock = [], itertools.count(100.0, seconds)
    told = Told(context_in(tmp_path, report=heard.append), epochs)
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: next(clock))
        told.epoch(0, 1.0)
        told.epoch(1, 1.0)
    assert [one.message for one in heard] == ["loss 1", f"loss 1, {left}"]


def test_fewer_images_than_a_batch_are_refused_with_the_batch_to_give(context):
    with pytest.raises(ParameterError, match=r"batch is 16, but there are only 9 training images. Give a batch of 9"):
        seen_in_training(context, Schedule(1, 16))


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_image_is_too_few_to_train_on(count, context):
    with pytest.raises(ParameterError, match=f"at least 2 images, not {count}"):
        seen_in_training(context, Schedule(1, 4), NUMBERS[:count])


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch": 1}, {"patience": -1}, {"steps": -1}, {"mode": "frozen"}], ids=str
)
def test_a_schedule_out_of_range_is_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ParameterError, match=f"{name}( is)? {value!r}"):
        Schedule(**{"epochs": 1, "batch": 4, **wrong})
