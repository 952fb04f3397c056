"""CeAE: the square it erases, its loss against the whole image, and that it predicts from whole images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_autoencoders._compact import LatentNetwork
from uadbench_autoencoders.ceae import ContextAutoencoder, erased

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor

TINY = ContextAutoencoder(latent=5, size=16, epochs=2, batch=4, area=0.1)  # a square of 5 x 5
TEST = blobs(5, 16, 16, seed=3)


def fitted(folder, method: ContextAutoencoder = TINY, seed: int = 0) -> Reconstructor:
    source = MemorySource(blobs(8, 16, 16, seed=2))
    return method.fit(source, source, FitContext(seed, "cpu", "float32", folder))


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Reconstructor:
    return fitted(tmp_path_factory.mktemp("fit"))


def tiny_network() -> LatentNetwork:
    torch.manual_seed(0)
    return TINY.network(1).eval()


def grid(count: int = 4) -> torch.Tensor:
    return 2 * torch.as_tensor(blobs(count, 16, 16, seed=1).pixels) - 1


def squares(count: int, size: int, side: int, channels: int = 1) -> np.ndarray:
    """Where `count` images were erased, (n, c, s, s)."""
    torch.manual_seed(3)
    images = torch.ones(count, channels, size, size)
    return erased(images, side, -1.0).numpy() == -1


def corners(where: np.ndarray) -> set[tuple[int, int]]:
    """The first row and column of each square."""
    return {tuple(int(axis.min()) for axis in np.nonzero(one)) for one in where[:, 0]}


def test_the_network_is_that_of_the_autoencoder_without_erasing():
    assert sum(weights.numel() for weights in ContextAutoencoder().network(1).parameters()) == 2_351_184


def test_the_paper_s_network_makes_one_step():
    torch.manual_seed(0)
    method = ContextAutoencoder()
    network = method.network(1)
    loss = method.loss(network, 2 * torch.rand(4, 1, 64, 64) - 1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize(("size", "area", "side"), [(64, 0.024, 10), (32, 0.024, 5), (128, 0.25, 64)])
def test_the_side_of_the_square_is_the_root_of_its_area(size, area, side):
    method = ContextAutoencoder(size=size, area=area)
    assert method.side == side == int(np.floor(np.sqrt(area) * size + 0.5))
    assert method.side**2 == pytest.approx(area * size**2, rel=0.05)


def test_every_image_loses_one_whole_square():
    for one in squares(50, 64, 10)[:, 0]:
        rows, columns = np.nonzero(one)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1, one.sum()) == (10, 10, 100)


def test_what_is_erased_is_the_fill_and_the_rest_stays():
    torch.manual_seed(3)
    images = torch.rand(6, 2, 32, 32)
    seen = erased(images, 5, -1.0)
    assert ((seen == -1) | (seen == images)).all()
    assert (seen == -1).sum() == 6 * 2 * 25
    assert images.min() >= 0


def test_all_channels_lose_the_same_square():
    where = squares(4, 32, 5, channels=3)
    assert (where == where[:, :1]).all()


def test_every_image_of_a_batch_has_a_square_of_its_own():
    assert len(corners(squares(16, 64, 10))) > 12


def test_every_place_inside_is_reached_and_no_other():
    assert corners(squares(400, 6, 4)) == {(row, column) for row in range(3) for column in range(3)}


def test_all_places_are_equally_likely():
    where = squares(4000, 6, 5)  # 2 x 2 places; the middle is always erased, a corner in one of four
    np.testing.assert_allclose(where[:, 0, [0, 0, 5, 5], [0, 5, 0, 5]].mean(0), 0.25, atol=0.03)
    assert where[:, 0, 1:5, 1:5].all()


def test_squares_depend_on_the_seed_alone():
    one, same = squares(8, 32, 5), squares(8, 32, 5)
    torch.manual_seed(4)
    other = erased(torch.ones(8, 1, 32, 32), 5, -1.0).numpy() == -1
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_loss_compares_the_whole_clean_image_with_what_the_erased_one_gives():
    network, images = tiny_network(), grid()
    torch.manual_seed(3)
    seen = network.decode(network.encode(erased(images, 5, -1.0))).detach().numpy()
    torch.manual_seed(3)
    expected = np.mean((images.numpy() - seen) ** 2)
    assert TINY.loss(network, images).item() == pytest.approx(expected, rel=1e-5)


def test_the_network_is_shown_erased_images_while_training():
    network, shown = tiny_network(), []
    network.encoder.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    TINY.loss(network, torch.ones(4, 1, 16, 16))
    assert ((shown[0] == -1).sum((1, 2, 3)) == 25).all()


def test_prediction_sees_the_whole_image(detector):
    signed = torch.as_tensor(2 * TEST.pixels - 1)
    with torch.no_grad():
        seen = detector.network.decode(detector.network.encode(signed)).numpy()
    prediction = detector.predict(TEST)
    np.testing.assert_allclose(prediction.maps, (signed.numpy() - seen)[:, 0] ** 2, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_training_fills_an_erased_square_in(tmp_path):
    healthy = blobs(16, 16, 16, seed=2)
    method = replace(TINY, latent=16, epochs=40, batch=8)
    context = FitContext(0, "cpu", "float32", tmp_path)
    detector, missing = method.fit(MemorySource(healthy), MemorySource(healthy), context), healthy.pixels.copy()
    square = np.s_[:, :, 6:11, 6:11]
    missing[square] = 0
    seen = detector.predict(replace(healthy, pixels=missing)).reconstructions
    apart = np.abs(seen - healthy.pixels)[square].mean()
    assert apart < 0.5 * np.abs(missing - healthy.pixels)[square].mean()


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path / "detector")
    again = ContextAutoencoder.load(tmp_path / "detector", "cpu")
    assert again.predict(TEST).maps.tobytes() == detector.predict(TEST).maps.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(detector, tmp_path):
    same, other = fitted(tmp_path / "same"), fitted(tmp_path / "other", seed=1)
    one, two, three = (each.predict(TEST).maps.tobytes() for each in (detector, same, other))
    assert one == two != three


@pytest.mark.parametrize(
    ("preset", "epochs", "batch"), [("quick", 40, 16), ("paper", 250, 64), ("ae4ad-2024", 250, 64)]
)
def test_every_preset_makes_a_method(preset, epochs, batch):
    method = plugins.make("ceae", preset=preset)
    assert (method.latent, method.size, method.lr, method.area, method.side) == (16, 64, 1e-3, 0.024, 10)
    assert (method.epochs, method.batch, method.residual) == (epochs, batch, "squared")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"latent": 0}, "latent is 0. Give at least 1"),
        ({"area": 0.0}, "area is 0.0. Give a share of the image, such as 0.024"),
        ({"area": -0.1}, "area is -0.1"),
        ({"area": 1.0}, "area is 1.0"),
        ({"area": 1e-5}, "area is 1e-05. .* 1 to 63 pixels a side"),
        ({"area": 0.999}, "area is 0.999"),
        ({"area": float("nan")}, "area is nan"),
        ({"size": 100}, "ceae: size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"batch": 1}, "batch >= 2"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("ceae", **override)
