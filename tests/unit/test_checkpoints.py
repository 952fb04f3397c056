"""Checkpoints: a training that was killed goes on exactly, and nothing else is taken for one."""

import time

import pytest
import torch
from disk import largest_file
from torch import nn
from trainings import EPOCHS, KilledError, stepwise, trained, waiting
from trainings import context as context_in

from uadbench.errors import EnvironmentProblemError, InvalidDataError, TrainingDivergedError
from uadbench.torch_support import storing
from uadbench.torch_support.training import Learner, Schedule, train

pytestmark = pytest.mark.usefixtures("one_torch_thread")
STEPS = 3  # of an epoch: 10 images in batches of 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Trainings that nobody killed, by scheduler."""
    folder = tmp_path_factory.mktemp("whole")
    return {one: trained(folder / one.__name__, scheduler=one) for one in (stepwise, waiting)}


@pytest.fixture
def checkpoint(tmp_path):
    """The checkpoint of a training that was killed in its third epoch."""
    with pytest.raises(KilledError):
        trained(tmp_path, killed_at=2 * STEPS)
    return tmp_path / "training.checkpoint"


@pytest.mark.parametrize("scheduler", [stepwise, waiting])
@pytest.mark.parametrize("step", [0, STEPS, 2 * STEPS + 1, 4 * STEPS - 1, EPOCHS * STEPS - 1])
def test_a_training_goes_on_byte_for_byte_wherever_it_was_killed(step, scheduler, whole, tmp_path):
    with pytest.raises(KilledError):
        trained(tmp_path, killed_at=step, scheduler=scheduler)
    again = trained(tmp_path, scheduler=scheduler)
    assert again.losses == whole[scheduler].losses[step // STEPS * STEPS :]
    assert again.bytes == whole[scheduler].bytes


def test_a_training_goes_on_after_being_killed_again_and_again(whole, tmp_path):
    for step in (STEPS + 1, 2 * STEPS, STEPS - 1, 1):  # counted from where it went on
        with pytest.raises(KilledError):
            trained(tmp_path, killed_at=step)
    assert trained(tmp_path).bytes == whole[stepwise].bytes


def test_the_trainings_compared_do_change_all_they_have(whole):
    assert len(set(whole[stepwise].losses)) == EPOCHS * STEPS
    assert whole[stepwise].rate == pytest.approx(0.02 * 0.1**3)
    assert whole[waiting].rate < 0.02
    assert whole[stepwise].bytes != whole[waiting].bytes


def test_a_finished_training_is_not_trained_again(whole, tmp_path):
    trained(tmp_path)
    again = trained(tmp_path)
    assert again.losses == []
    assert again.bytes == whole[stepwise].bytes


def falling(folder, killed_at=None):
    """A weight that falls from 4 to 0 by 1 an epoch, best near 2, with a patience of 2; the epochs and the weight."""
    layer, epochs = nn.Linear(1, 1, bias=False), []
    nn.init.constant_(layer.weight, 5.0)

    def step(batch, epoch):
        if epoch == killed_at:
            raise KilledError
        epochs.append(epoch)
        with torch.no_grad():
            layer.weight -= 1
        return torch.zeros(())

    learner = Learner(layer, step, validate=lambda: (layer.weight - 2).abs().item())
    train(learner, torch.zeros(4, 1, 1, 1), Schedule(9, 4, patience=2, checkpoint_minutes=0), context_in(folder))
    return epochs, layer.weight.item()


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_patience_and_the_best_weights_outlive_the_process(epoch, tmp_path):
    assert falling(tmp_path / "whole") == ([0, 1, 2, 3, 4], 2.0)
    with pytest.raises(KilledError):
        falling(tmp_path, epoch)
    assert falling(tmp_path) == (list(range(epoch, 5)), 2.0)


def test_a_loss_is_still_measured_by_that_of_the_first_epoch(tmp_path):
    def training(losses):
        values = iter(losses)
        learner = Learner(nn.Identity(), lambda batch, epoch: torch.tensor(next(values)))
        train(learner, torch.zeros(4, 1, 1, 1), Schedule(4, 4, checkpoint_minutes=0), context_in(tmp_path))

    with pytest.raises(StopIteration):
        training([1.0, 400.0])
    with pytest.raises(TrainingDivergedError, match=r"exploded: 2e\+03 in epoch 3, 1 in the first"):
        training([2000.0])


def test_going_on_is_told(checkpoint):
    first = trained(checkpoint.parent).heard[0]
    assert (first.done, first.total, first.message) == (2, EPOCHS, "going on from a checkpoint")


def test_a_short_training_writes_no_checkpoint(tmp_path):
    trained(tmp_path, schedule=Schedule(2, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_written_when_enough_minutes_have_passed(tmp_path, monkeypatch):
    now, kept = [0.0], []

    def step(batch, epoch):
        now[0] += 60
        file = tmp_path / "training.checkpoint"
        kept.append(storing.read(file, "")["epoch"] if file.exists() else 0)
        return torch.zeros(())

    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: now[0])
        schedule = Schedule(7, 4, checkpoint_minutes=2.0)
        train(Learner(nn.Identity(), step), torch.zeros(4, 1, 1, 1), schedule, context_in(tmp_path))
    assert kept == [0, 0, 2, 2, 4, 4, 6]


def test_trainings_of_one_method_have_a_checkpoint_each(tmp_path):
    learner = Learner(nn.Identity(), lambda batch, epoch: torch.zeros(()))
    for name in ("coarse", "fine"):
        schedule = Schedule(1, 4, checkpoint_minutes=0)
        train(learner, torch.zeros(4, 1, 1, 1), schedule, context_in(tmp_path), name=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coarse.checkpoint", "fine.checkpoint"]


def test_a_full_disk_leaves_the_old_checkpoint_whole(checkpoint, whole):
    before = checkpoint.read_bytes()
    with largest_file(2000), pytest.raises(EnvironmentProblemError, match=r"no space left"):
        trained(checkpoint.parent)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
    assert checkpoint.read_bytes() == before
    assert trained(checkpoint.parent).bytes == whole[stepwise].bytes


def counting(folder, losses, *, spoiled=None, minutes=10.0):
    """Trains a weight that counts epochs, with these losses; after the step of epoch `spoiled` it is no number."""
    layer, values = nn.Linear(1, 1, bias=False), iter(losses)
    nn.init.zeros_(layer.weight)

    def step(batch, epoch):
        with torch.no_grad():
            layer.weight += float("nan") if epoch + 1 == spoiled else 1
        return torch.tensor(next(values))

    schedule = Schedule(len(losses), 4, checkpoint_minutes=minutes)
    train(Learner(layer, step), torch.zeros(4, 1, 1, 1), schedule, context_in(folder))


@pytest.mark.parametrize("minutes", [0.0, 10.0])
@pytest.mark.parametrize(("last", "spoiled"), [(float("nan"), None), (5000.0, None), (1.0, 3)])
def test_a_training_that_diverges_leaves_its_last_good_epoch_behind(last, spoiled, minutes, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"The state after epoch 2 is kept in .+training.checkpoint"):
        counting(tmp_path, [1.0, 1.0, last], spoiled=spoiled, minutes=minutes)
    kept = storing.read(tmp_path / "training.checkpoint", "")
    assert (kept["epoch"], kept["state"]["network"]["weight"].item()) == (2, 2.0)


def test_a_training_that_diverges_at_once_leaves_nothing_behind(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"use float32\.$"):
        counting(tmp_path, [float("nan")], minutes=0.0)
    assert list(tmp_path.iterdir()) == []


def flipped(content):
    """The middle byte of the weights turned round."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"no checkpoint", lambda content: content[:-400], flipped],
    ids=["empty", "text", "cut", "flipped"],
)
def test_a_damaged_checkpoint_is_refused(damage, checkpoint):
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(InvalidDataError, match=r"training.checkpoint is damaged \(.+\). Remove it to train from"):
        trained(checkpoint.parent)


@pytest.mark.parametrize("content", [{}, [], torch.zeros(2), None], ids=str)
def test_a_file_that_is_no_checkpoint_is_refused(content, checkpoint):
    storing.write(checkpoint, content)
    with pytest.raises(InvalidDataError, match=r"training.checkpoint is no checkpoint. Remove it to train"):
        trained(checkpoint.parent)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 1}, "seed is 0, not 1"),
        ({"precision": "bfloat16"}, "precision is float32, not bfloat16"),
        ({"rate": 0.01}, "Adam 1.1 lr is 0.02, not 0.01"),
        ({"schedule": Schedule(EPOCHS, 5)}, "batch is 4, not 5"),
        ({"schedule": Schedule(EPOCHS + 1, 4)}, "epochs is 6, not 7"),
        ({"schedule": Schedule(EPOCHS, 4, patience=3)}, "patience is 0, not 3"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_with_the_difference(change, sentence, checkpoint):
    with pytest.raises(InvalidDataError, match=f"is of another training: {sentence}. Remove it"):
        trained(checkpoint.parent, **change)


def test_a_checkpoint_of_another_version_of_torch_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "1.0")
    with pytest.raises(InvalidDataError, match=r"is of another training: torch is 2.+, not 1.0"):
        trained(checkpoint.parent)


def test_a_checkpoint_of_another_network_is_refused(checkpoint):
    kept = storing.read(checkpoint, "")
    kept["state"]["network"]["0.weight"] = torch.zeros(3)
    storing.write(checkpoint, kept)
    with pytest.raises(InvalidDataError, match=r"is of another network"):
        trained(checkpoint.parent)


def test_how_often_checkpoints_are_written_does_not_matter(checkpoint, whole):
    assert trained(checkpoint.parent, schedule=Schedule(EPOCHS, 4)).bytes == whole[stepwise].bytes
