"""AnoDDPM: its loss, its noise, both samplers on a predictor that knows the answer, and what training keeps."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from uadbench_anoddpm._diffusion import kept, noised
from uadbench_anoddpm._network import Averaged
from uadbench_anoddpm._simplex import octaves
from uadbench_anoddpm.anoddpm import AnoDdpm

from uadbench import FitContext
from uadbench.errors import InvalidDataError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.training import Schedule, train

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = AnoDdpm(
    width=4,
    multipliers=(1, 2),
    res_blocks=1,
    attention=(),
    heads=1,
    size=16,
    epochs=2,
    steps=3,
    batch=4,
    lr=2e-3,
    ema_decay=0.5,
    noised_to=100,
    frequency=8.0,
    octaves=2,
    sampler="ddim",
    ddim_steps=3,
    block=4,
)
WAYS = [
    {"sampler": sampler, "noise": noise, "noised_to": 6}
    for sampler in ("ddpm", "ddim")
    for noise in ("simplex", "gaussian")
]
TEST = blobs(3, 40, 36, seed=3)


class KilledError(Exception):
    """Ends a training from inside, as a signal would."""


class Knowing(torch.nn.Module):
    """Predicts the noise that makes the noisy image out of an image it knows."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, noisy, steps):
        left = kept(int(steps[0]))
        return (noisy - np.sqrt(left) * self.image) / np.sqrt(1 - left)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def source(count: int, seed: int, channels: int = 1) -> MemorySource:
    grey = blobs(count, 16, 16, seed=seed)
    return MemorySource(replace(grey, pixels=np.repeat(grey.pixels, channels, axis=1)))


def grid(count: int = 4, seed: int = 5) -> torch.Tensor:
    return 2 * torch.as_tensor(blobs(count, 16, 16, seed=seed).pixels) - 1


def drawing(count: int, seed: int = 0):
    """Normal noise for each image from its own stream."""
    streams = [torch.Generator().manual_seed(seed + row) for row in range(count)]
    return lambda *shape: torch.stack([torch.randn(shape, generator=stream) for stream in streams])


def fitted(method: AnoDdpm, context: FitContext):
    return method.fit(source(8, 1), source(4, 2), context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread):
    return fitted(TINY, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("anoddpm")))


@pytest.mark.parametrize("noise", ["simplex", "gaussian"])
def test_the_loss_is_the_squared_error_of_the_noise_at_steps_drawn_for_each_image(noise):
    method, seen = replace(TINY, noise=noise, trained_to=300), []

    def network(noisy, steps):
        seen.append((noisy, steps))
        return torch.full_like(noisy, 0.25)

    torch.manual_seed(3)
    loss = method.loss(network, grid())
    torch.manual_seed(3)
    steps = torch.randint(300, (4,))
    drawn = torch.randn(4, 1, 16, 16) if noise == "gaussian" else torch.randn(4, 1, 256)
    expected = drawn if noise == "gaussian" else octaves(drawn[:, 0].argsort(1), steps, 16, 8.0, 2, 0.8)[:, None]
    torch.testing.assert_close(seen[0][0], noised(grid(), expected, steps))
    assert torch.equal(seen[0][1], steps)
    assert loss.item() == pytest.approx(np.square(expected.numpy() - 0.25).mean(), rel=1e-5)


def test_training_sees_every_step_below_trained_to_and_none_above():
    seen = []

    def network(noisy, steps):
        seen.append(steps)
        return noisy

    torch.manual_seed(0)
    for _ in range(40):
        replace(TINY, trained_to=20, noised_to=20).loss(network, grid())
    assert torch.cat(seen).unique().tolist() == list(range(20))


def test_every_image_and_channel_has_noise_of_its_own():
    noise = TINY.drawn(drawing(2), 3, torch.tensor([99]))
    assert noise.shape == (2, 3, 16, 16)
    assert (torch.corrcoef(noise.flatten(0, 1).flatten(1)) - torch.eye(6)).abs().max() < 0.9


def test_channels_of_an_image_lie_at_its_step():
    steps = torch.tensor([5, 700])
    one, each = TINY.drawn(drawing(2), 3, steps), [TINY.drawn(drawing(2), 3, step[None]) for step in steps]
    assert torch.equal(one[0], each[0][0])
    assert torch.equal(one[1], each[1][1])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_predictor_that_knows_the_healthy_image_returns_it(way):
    healthy = grid(seed=6)
    found = replace(TINY, **way).reconstruct(Knowing(healthy), grid(), drawing(4))
    torch.testing.assert_close(found, healthy, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("sampler", "count"), [("ddpm", 100), ("ddim", 3)])
def test_the_sampler_asks_the_network_as_often_as_it_says_from_the_last_step_to_the_first(sampler, count):
    asked = []

    def network(noisy, steps):
        asked.append(steps)
        return torch.zeros_like(noisy)

    replace(TINY, sampler=sampler).reconstruct(network, grid(2), drawing(2))
    assert [len(steps) for steps in asked] == [2] * count
    assert asked[0].tolist() == [99, 99]
    assert all(earlier[0] > later[0] >= 0 for earlier, later in pairwise(asked))


def test_only_ddpm_draws_on_the_way_back():
    drawn = {}
    for sampler in ("ddpm", "ddim"):
        draw, calls = drawing(2), []

        def counted(*shape, draw=draw, calls=calls):
            calls.append(shape)
            return draw(*shape)

        replace(TINY, sampler=sampler, noised_to=5).reconstruct(Knowing(grid(2)), grid(2), counted)
        drawn[sampler] = len(calls)
    assert drawn == {"ddpm": 5, "ddim": 1}


def test_the_map_is_the_squared_difference_on_minus_one_to_one_and_its_mean_the_score(detector):
    images = blobs(3, 16, 16, seed=3)
    found = detector.predict(images)
    inside = (found.reconstructions > 0) & (found.reconstructions < 1)
    expected = np.square(2 * images.pixels - 2 * found.reconstructions)
    np.testing.assert_allclose(found.maps[inside[:, 0]], expected[inside], atol=1e-5)
    np.testing.assert_allclose(found.scores, found.maps.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_image_has_the_same_bytes_alone_and_in_any_order(way, detector):
    made = replace(detector, method=replace(TINY, **way))
    batch, back = made.predict(TEST).maps, made.predict(TEST[::-1]).maps[::-1]
    alone = [made.predict(TEST[row : row + 1]).maps[0].tobytes() for row in range(len(TEST))]
    assert alone == [one.tobytes() for one in batch] == [one.tobytes() for one in back]


@pytest.mark.parametrize("change", [{"noised_to": 300}, {"noise": "gaussian"}, {"ddim_steps": 1}], ids=str)
def test_each_way_to_predict_changes_the_map(change, detector):
    made = replace(detector, method=replace(TINY, **change))
    assert made.predict(TEST).maps.tobytes() != detector.predict(TEST).maps.tobytes()


@pytest.mark.parametrize(
    "change", [{"ema_decay": 0.0}, {"augment": True}, {"trained_to": 100}, {"clip_norm": 1e-3}], ids=str
)
def test_each_way_to_train_changes_what_is_learned(change, detector, context):
    other = fitted(replace(TINY, **change), context)
    assert other.predict(TEST).maps.tobytes() != detector.predict(TEST).maps.tobytes()


def epochs_with_checkpoints(folder, *, killed_after: int = 0) -> Averaged:
    """The network and its average after four epochs with a checkpoint each; killed after some, if given."""

    def report(progress):
        if killed_after and progress.done == killed_after + 1:
            raise KilledError

    context = FitContext(0, "cpu", "float32", folder, report)
    with deterministic(0, "cpu"):
        averaged = Averaged(TINY.network(1))
        train(TINY.learner(averaged, context), grid(8), Schedule(4, 4, checkpoint_minutes=0), context)
    return averaged


def test_a_killed_training_goes_on_with_its_average(tmp_path):
    whole = epochs_with_checkpoints(tmp_path / "whole").state_dict()
    with pytest.raises(KilledError):
        epochs_with_checkpoints(tmp_path / "cut", killed_after=2)
    again = epochs_with_checkpoints(tmp_path / "cut").state_dict()
    assert any("average." in name for name in whole)
    assert all(torch.equal(again[name], one) for name, one in whole.items())


def test_the_average_predicts_and_is_what_is_saved(context, tmp_path):
    with deterministic(0, "cpu"):
        averaged = Averaged(TINY.network(1))
        train(TINY.learner(averaged, context), grid(8, seed=1), TINY.schedule(), context)
    made = TINY.fit(source(8, 1), source(4, 2), replace(context, workdir=tmp_path / "other"))
    mean, last = averaged.average.state_dict(), averaged.network.state_dict()
    assert all(torch.equal(mean[name], one) for name, one in made.network.state_dict().items())
    assert not all(torch.equal(last[name], one) for name, one in made.network.state_dict().items())


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path)
    again = AnoDdpm.load(tmp_path, "cpu")
    assert again.method == TINY
    assert again.predict(TEST).maps.tobytes() == detector.predict(TEST).maps.tobytes()


def test_training_lowers_the_error_of_the_predicted_noise(context):
    method = replace(TINY, epochs=2, steps=20, lr=5e-3)
    made = fitted(method, context)
    torch.manual_seed(0)
    learned, nothing = (method.loss(network, grid(32)).item() for network in (made.network, lambda x, _: 0 * x))
    assert learned < 0.8 * nothing


def test_colour_images_are_learned_and_others_refused(context):
    made = replace(TINY, epochs=1).fit(source(8, 1, channels=3), source(4, 2, channels=3), context)
    colour = replace(TEST, pixels=np.repeat(TEST.pixels, 3, axis=1))
    assert made.predict(colour).reconstructions.shape == (3, 3, 40, 36)
    with pytest.raises(InvalidDataError, match="fitted on images of 3 channels; these have 1"):
        made.predict(TEST)


def test_images_smaller_than_the_grid_are_drawn_up_to_it(detector):
    found = detector.predict(blobs(2, 3, 5, seed=0))
    assert found.maps.shape == (2, 3, 5)
    assert np.isfinite(found.maps).all()


def test_a_damaged_detector_is_refused(detector, tmp_path):
    detector.save(tmp_path)
    (tmp_path / "network.pt").write_bytes(b"half a file")
    with pytest.raises(InvalidDataError, match=r"network\.pt is damaged .*Fit the method again"):
        AnoDdpm.load(tmp_path, "cpu")


def test_validation_images_of_other_channels_are_refused(context):
    with pytest.raises(InvalidDataError, match="Training images have 1 channels, validation images 3"):
        TINY.fit(source(8, 1), source(4, 2, channels=3), context)
