"""BatchNorm folded into convolutions: the same features, fewer layers, and what has to stay as it is."""

import pytest

from uadbench.errors import ParameterError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from uadbench.torch_support.folding import folded  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Wired(nn.Module):
    """A convolution and a BatchNorm, and how they are used."""

    def __init__(self, wiring):
        super().__init__()
        self.conv, self.norm, self.wiring = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), wiring

    def forward(self, images):
        return self.wiring(self, images)


def experienced(network):
    """In eval mode, with statistics and weights that are not those of a new BatchNorm."""
    numbers = torch.Generator().manual_seed(0)
    for norm in norms(network):
        for values, low, high in ((norm.running_var, 0.5, 2), (norm.running_mean, -1, 1), (norm.weight, 0.5, 1.5)):
            nn.init.uniform_(values, low, high, generator=numbers)
    return network.eval().requires_grad_(False)


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def images(count=1, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def timms(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return experienced(timm.create_model(name, features_only=True))


def assert_same_features(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("tf_efficientnet_lite0", 48, 0),
        ("resnet18", 20, 0),
        ("resnetv2_50", 48, 16),  # the first of a block normalises what the shortcut also takes
        ("densenet121", 121, 62),  # most normalise what was joined
    ],
)
def test_networks_of_timm_keep_their_features_on_other_images(name, before, after):
    network = timms(name)
    short = folded(network, images())
    assert (len(norms(network)), len(norms(short))) == (before, after)
    assert_same_features(short(images(2, 96)), network(images(2, 96)))


@pytest.mark.parametrize("size", [(64, 64), (63, 63), (64, 33), (2, 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_as_in_tensorflow_is_that_of_even_and_of_odd_sides(kernel, size):
    from timm.layers import Conv2dSame

    network, photo = nn.Sequential(Conv2dSame(3, 6, kernel, stride=2, groups=3)), images()[..., : size[0], : size[1]]
    torch.testing.assert_close(folded(network, images())(photo), network(photo))


def test_a_transformer_without_batchnorm_keeps_its_features():
    network = experienced(timm.create_model("vit_tiny_patch16_224", features_only=True, dynamic_img_size=True))
    assert_same_features(folded(network, images())(images(2)), network(images(2)))


def test_a_plain_stack_is_left_with_its_convolutions_and_activations():
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)]
    network = experienced(nn.Sequential(*layers))
    short = folded(network, images())
    assert not norms(short)
    assert short[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert_same_features([short(images(2))], [network(images(2))])


def test_the_network_itself_stays_as_it_is():
    network = experienced(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    expected = network(images())
    folded(network, images())
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert torch.equal(network(images()), expected)


@pytest.mark.parametrize(
    "wiring",
    [
        lambda net, x: net.norm(out := net.conv(x)) + out,
        lambda net, x: [out := net.conv(x), net.norm(out)],
        lambda net, x: torch.cat([out := net.conv(x), net.norm(out)]),
        lambda net, x: net.norm(net.conv(net.conv(x))),
        lambda net, x: net.norm(net.norm(net.conv(x))),
        lambda net, x: net.norm(net.conv(x).relu()),
    ],
    ids=["added", "returned", "joined", "conv twice", "norm twice", "not at once"],
)
def test_a_convolution_that_does_not_serve_its_batchnorm_alone_stays(wiring):
    network = experienced(Wired(wiring))
    short = folded(network, images())
    assert len(norms(short)) == 1
    torch.testing.assert_close(short(images(2)), network(images(2)))


def test_a_batchnorm_by_the_statistics_of_its_input_stays():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)).eval()
    assert len(norms(folded(network, images()))) == 1


def test_a_convolution_that_computes_with_other_weights_stays():
    from timm.layers import StdConv2d

    network = experienced(nn.Sequential(StdConv2d(3, 8, 3), nn.BatchNorm2d(8)))
    assert len(norms(folded(network, images()))) == 1


def test_a_network_whose_features_change_is_refused():
    weights_used_elsewhere = experienced(
        Wired(lambda net, x: net.norm(net.conv(x)) + F.conv2d(x, net.conv.weight, padding=1))
    )
    with pytest.raises(ParameterError, match=r"changes features by .* and the largest is .* Give another network"):
        folded(weights_used_elsewhere, images())
