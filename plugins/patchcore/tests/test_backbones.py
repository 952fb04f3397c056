"""Frozen ImageNet networks and where their weights come from."""

import shutil

import pytest
import torch

from uadbench.errors import InvalidDataError, MissingWeightsError, ParameterError, UnknownNameError
from uadbench.torch_support import weights
from uadbench.torch_support.backbones import Backbone, levels_at, pretrained

LITE0 = "tf_efficientnet_lite0"


@pytest.mark.parametrize(("picture", "kind"), [("chelsea", 285), ("coffee", 967)])  # Egyptian cat, espresso
def test_lite0_names_what_is_in_a_picture(picture, kind):
    data = pytest.importorskip("skimage.data")
    pixels = torch.tensor(getattr(data, picture)()).permute(2, 0, 1)[None] / 255
    shrunk = torch.nn.functional.interpolate(pixels, (224, 224), mode="bicubic", antialias=True)
    network, _ = pretrained(LITE0)
    assert network((shrunk - 0.5) / 0.5).argmax().item() == kind


def test_a_backbone_gives_features_at_the_reductions_asked_for():
    fine, coarse = Backbone(LITE0, (8, 16))(torch.zeros(2, 1, 64, 96))
    assert fine.shape == (2, 40, 8, 12)
    assert coarse.shape == (2, 112, 4, 6)


@pytest.mark.parametrize("name", [LITE0, "mobilenetv3_small_100", "resnet18.tv_in1k", "vit_tiny_patch16_224"])
def test_stages_after_the_last_level_are_left_out_and_change_nothing(name):
    from timm import create_model

    torch.manual_seed(0)
    whole = create_model(name, features_only=True).eval()
    wanted = {8: (8,), 16: (16,)}.get(whole.feature_info.reduction()[0], (4, 8))
    short = Backbone(name, wanted, weights="random", seed=0)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    levels = create_model(name, features_only=True, out_indices=levels_at(name, wanted)).eval()
    with torch.no_grad():
        expected = levels((images - short.mean) / short.std)
    assert all(torch.equal(*pair) for pair in zip(short(images), expected, strict=True))
    counts = [sum(weights.numel() for weights in network.parameters()) for network in (short.network, whole)]
    assert counts[0] < counts[1] or name.startswith("vit")


def test_a_grey_image_is_three_equal_channels():
    backbone, grey = Backbone(LITE0, (8,)), torch.rand(1, 1, 64, 64)
    assert torch.equal(backbone(grey)[0], backbone(grey.repeat(1, 3, 1, 1))[0])


def test_a_backbone_stays_frozen_when_it_is_told_to_train():
    backbone = Backbone(LITE0, (8,)).train()
    assert not any(module.training for module in backbone.modules())
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'wide_resnet50_2"):
        Backbone("wide_resnet50_3", (8,))


def test_a_reduction_the_network_does_not_have_is_refused():
    with pytest.raises(ParameterError, match="none at 1/12"):
        Backbone(LITE0, (12,))


def test_missing_weights_say_which_file_to_place_where(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingWeightsError, match=r"here.*resnet10t.c3_in1k was not.*as resnet10t.c3_in1k.safetensors"):
        Backbone("resnet10t.c3_in1k", (8, 16))


def test_a_file_in_the_weights_folder_comes_first(tmp_path, monkeypatch):
    packaged = weights.locate(LITE0, "")
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    shutil.copy(packaged.path, tmp_path / f"{LITE0}.pth")
    placed = weights.locate(LITE0, "")
    assert placed.used.source == f"file: {LITE0}.pth"
    assert placed.used.sha256 == packaged.used.sha256


@pytest.mark.parametrize("levels", [None, (3, 4)])
def test_a_file_of_another_network_is_refused(tmp_path, monkeypatch, levels):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / f"{LITE0}.pth")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        pretrained(LITE0, levels)


def test_a_file_that_lacks_one_tensor_is_refused(tmp_path, monkeypatch):
    state = dict(pretrained(LITE0)[0].state_dict())
    state.pop("conv_stem.weight")
    torch.save(state, tmp_path / f"{LITE0}.pth")
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(InvalidDataError, match=r"Missing key\(s\) in state_dict: \"conv_stem.weight\""):
        Backbone(LITE0, (8,))


@pytest.mark.parametrize("content", [b"", b"hello world", b"<html>not found</html>"])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / f"{LITE0}.pth").write_bytes(content)
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        Backbone(LITE0, (8,))


@pytest.mark.parametrize("content", [[1], {"conv_stem.weight": "text"}])
def test_a_file_that_holds_something_else_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    torch.save(content, tmp_path / f"{LITE0}.pth")
    with pytest.raises(InvalidDataError, match=r"does not hold the weights .*(it holds a list|is a str)"):
        Backbone(LITE0, (8,))


def test_weights_from_a_placed_file_give_the_same_features(tmp_path, monkeypatch):
    network, _ = pretrained(LITE0)
    torch.save(network.state_dict(), tmp_path / f"{LITE0}.pth")
    expected = Backbone(LITE0, (8,))(torch.ones(1, 1, 64, 64))
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    assert torch.equal(Backbone(LITE0, (8,))(torch.ones(1, 1, 64, 64))[0], expected[0])
