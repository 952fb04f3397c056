"""What presets say, and which parameters are refused."""

import pytest

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError

NAMES = ("padim", "reverse-distillation")


def test_padim_is_the_paper_s_with_resnet18_and_100_dimensions():
    method = plugins.make("padim", preset="paper")
    assert (method.backbone, method.size, method.dimensions) == ("resnet18.tv_in1k", 224, 100)
    assert (method.covariance, method.regularisation, method.sigma) == ("empirical", 0.01, 4.0)


def test_reverse_distillation_is_trained_as_its_paper_says():
    method = plugins.make("reverse-distillation", preset="paper")
    assert (method.backbone, method.size) == ("wide_resnet50_2.tv_in1k", 256)
    assert (method.epochs, method.batch, method.lr) == (200, 16, 0.005)
    assert (method.width, method.blocks, method.sigma) == (0, 0, 4.0)


@pytest.mark.parametrize("preset", ["paper", "quick"])
def test_no_preset_does_what_only_published_code_does(preset):
    assert plugins.make("reverse-distillation", preset=preset).loss == "position"


@pytest.mark.parametrize("name", NAMES)
def test_quick_needs_no_download(name):
    method = plugins.make(name, preset="quick")
    assert (method.backbone, method.weights) == ("tf_efficientnet_lite0", "imagenet")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 16}, "size is 16. Give at least 32 px"),
        ({"dimensions": -1}, "dimensions is -1"),
        ({"shrinkage": 1.5}, "shrinkage is 1.5. Give a share from 0 to 1"),
        ({"regularisation": -0.1}, "regularisation is -0.1"),
        ({"sigma": -1.0}, "sigma is -1"),
        ({"block": 0}, "block is 0"),
        ({"weights": "mine"}, "weights is 'mine'"),
    ],
    ids=str,
)
def test_a_parameter_of_padim_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("padim", **override)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 32: give 96 or 128"),
        ({"width": -1}, "width is -1"),
        ({"blocks": -1}, "blocks is -1"),
        ({"batch": 1}, "batch 1"),
        ({"epochs": 0}, "epochs 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"weights": "mine"}, "weights is 'mine'"),
    ],
    ids=str,
)
def test_a_parameter_of_reverse_distillation_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("reverse-distillation", **override)


@pytest.mark.parametrize(
    ("name", "override", "nearest"),
    [
        ("padim", {"covariance": "ledoit_wolf"}, "ledoit-wolf"),
        ("reverse-distillation", {"loss": "positions"}, "position"),
    ],
    ids=str,
)
def test_an_unknown_name_is_refused_with_the_nearest(name, override, nearest):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
        plugins.make(name, **override)
