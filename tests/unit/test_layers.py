"""Feature maps of torchvision's networks at layers, with weights drawn here in place of ImageNet's."""

import sys

import pytest

from uadbench.errors import InvalidDataError, MissingLibraryError, MissingWeightsError, ParameterError, UnknownNameError

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision.models")
from uadbench.torch_support.layers import NAMES, Layers, features  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty weights folder, and an empty cache of torch hub."""
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def squeezenet(folder):
    """Torchvision's own SqueezeNet, whose weights are in the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.squeezenet1_1(weights=None).eval()
    torch.save(network.state_dict(), folder / "squeezenet1_1.pth")
    return network


def images(channels=1, size=40):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def walked(network, values, layers):
    """The outputs of these layers, one after the other."""
    found = {}
    for place, layer in enumerate(network.features):
        values = layer(values)
        found[place] = values.clone()
    return [found[place] for place in layers]


@pytest.mark.parametrize("normalised", [True, False])
def test_maps_are_the_outputs_of_torchvisions_layers(normalised, squeezenet):
    rgb = images().repeat(1, 3, 1, 1)
    if normalised:
        rgb = (rgb - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    found = Layers("squeezenet1_1", (12, 0, 4), normalised=normalised)(images())
    for one, expected in zip(found, walked(squeezenet, rgb, (0, 4, 12)), strict=True):
        torch.testing.assert_close(one, expected)


def test_images_in_0_to_1_are_scaled_as_lpips_scales_those_in_minus_1_to_1():
    shift, scale = (
        torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1),
        torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1),
    )
    plain, scaled = (Layers("alexnet", (0,), normalised=one, weights="random") for one in (False, True))
    torch.testing.assert_close(
        scaled(images(3))[0], plain((2 * images(3) - 1 - shift) / scale)[0], rtol=1e-4, atol=1e-5
    )


def test_no_layer_works_in_place():
    before, after = Layers("vgg19", (0, 1), weights="random")(images())
    assert (before < 0).any()
    torch.testing.assert_close(after, before.relu())


def test_layers_behind_the_last_are_not_computed():
    assert len(Layers("vgg19", (1, 6), weights="random").network) == 7


@pytest.mark.parametrize(
    ("name", "layers", "channels"),
    [
        ("vgg19", (1, 6, 11, 20), (64, 128, 256, 512)),  # relu1_1, 2_1, 3_1, 4_1
        ("vgg16", (9, 16), (128, 256)),  # pool2, pool3
        ("squeezenet1_1", (1, 12), (64, 512)),
    ],
)
def test_channels_are_those_of_the_maps(name, layers, channels):
    network = Layers(name, layers, weights="random")
    assert network.channels == channels
    assert tuple(one.shape[1] for one in network(images())) == channels


def test_random_weights_keep_the_size_of_the_signal():
    spreads = [one.square().mean().item() for one in Layers("vgg19", (1, 6, 11, 20), weights="random")(images(3))]
    assert max(spreads) < 30 * min(spreads)


def test_a_network_is_frozen_and_lets_gradients_through():
    network, pixels = Layers("alexnet", (4,), weights="random"), images().requires_grad_()
    network(pixels)[0].sum().backward()
    assert pixels.grad.any()
    assert not any(weight.requires_grad for weight in network.parameters())


def test_loading_leaves_the_callers_random_numbers_alone(squeezenet):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Layers("squeezenet1_1", (4,))
    Layers("squeezenet1_1", (4,), weights="random")
    assert torch.equal(torch.rand(3), expected)


def test_a_users_own_file_is_recorded_with_its_digest(squeezenet, folder):
    used = Layers("squeezenet1_1", (4,)).weights_used
    assert (used.name, used.source) == ("squeezenet1_1", "file: squeezenet1_1.pth")
    assert len(used.sha256) == 64


@pytest.mark.parametrize("name", NAMES)
def test_missing_weights_name_the_file_the_folder_and_the_command(name, folder):
    sentence = rf"here/{name}-.*\.pth is not there. Place torchvision's.*`uadbench weights fetch {name}`"
    with pytest.raises(MissingWeightsError, match=sentence):
        Layers(name, (1,))


@pytest.mark.parametrize("content", [b"", b"no weights", {"features.0.weight": 0}, [1, 2], {"features.0.weight": None}])
def test_a_file_of_other_weights_is_refused(content, folder):
    if isinstance(content, bytes):
        (folder / "vgg19.pth").write_bytes(content)
    else:
        torch.save(content, folder / "vgg19.pth")
    with pytest.raises(InvalidDataError, match=r"vgg19\.pth does not hold the weights of 'vgg19'"):
        Layers("vgg19", (1,))


def test_a_damaged_safetensors_file_is_refused(folder):
    pytest.importorskip("safetensors")
    (folder / "vgg19.safetensors").write_bytes(b"cut")
    with pytest.raises(InvalidDataError, match=r"vgg19\.safetensors does not hold the weights of 'vgg19'"):
        Layers("vgg19", (1,))


@pytest.mark.parametrize("layers", [(), (37,), (-1,)])
def test_a_layer_that_the_network_does_not_have_is_refused(layers):
    with pytest.raises(ParameterError, match="vgg19 has layers 0 to 36"):
        Layers("vgg19", layers, weights="random")


def test_an_unknown_network_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        features("vgg20", (1,))


def test_lite0_stands_in_without_a_download():
    network = features("lite0", (2, 8))
    assert [tuple(one.shape[-2:]) for one in network(images(size=64))] == [(32, 32), (8, 8)]
    assert network.weights_used.name == "tf_efficientnet_lite0"


def test_a_missing_library_is_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(MissingLibraryError, match=r"'torchvision'.*pip install 'uadbench\[perceptual\]'"):
        Layers("vgg19", (1,), weights="random")
