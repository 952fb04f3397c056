"""What presets say, and which parameters are refused."""

import pytest

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError


@pytest.mark.parametrize("preset", ["paper", "mor-2023"])
def test_it_is_trained_as_its_paper_says(preset):
    method = plugins.make("morphaeus", preset=preset)
    assert (method.size, method.width, method.batch, method.lr) == (128, 16, 64, 5e-4)
    assert (method.epochs, method.patience, method.morph_from, method.ramp_epochs) == (500, 25, 11, 200)
    assert (method.features, method.weights, method.perceptual_weight) == ("vgg19", "imagenet", 0.05)


@pytest.mark.parametrize("preset", ["quick", "paper", "mor-2023"])
def test_every_part_is_on_and_no_preset_does_what_only_published_code_does(preset):
    method = plugins.make("morphaeus", preset=preset)
    assert (method.perceptual, method.morph, method.inference) == (True, True, "x_morph")
    assert (method.bn_mode, method.augment, method.residual) == ("train", False, "absolute")


def test_quick_needs_no_download_and_learns_the_deformation_for_most_of_its_epochs():
    method = plugins.make("morphaeus", preset="quick")
    assert (method.features, method.weights) == ("lite0", "imagenet")
    assert method.morph_from < method.ramp_epochs < method.epochs


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, r"size is 100. The network halves it down to 1: give one of \(32, 64, 128, 256\)"),
        ({"size": 16}, "size is 16"),
        ({"width": 0}, "width is 0"),
        ({"block": 0}, "block is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"batch": 1}, "batch 1"),
        ({"perceptual_weight": -0.1}, "perceptual_weight is -0.1"),
        ({"morph_from": -1}, "morph_from is -1"),
        ({"ramp_epochs": 0}, "ramp_epochs is 0"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
        ({"inference": "x_healthy"}, "inference is 'x_healthy'. Give one of x_morph, x_rec"),
        ({"weights": "mine"}, "weights is 'mine'"),
        ({"epochs": 1}, "epochs is 1 and morph_from 1, so that no deformation is learned. Give epochs above 1"),
        ({"patience": 1}, "patience is 1 and morph_from 1: training could end before"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("morphaeus", **override)


def test_without_a_deformation_any_number_of_epochs_will_do():
    assert plugins.make("morphaeus", morph=False, epochs=1, patience=1).epochs == 1


@pytest.mark.parametrize("override", [{"features": "vgg18"}, {"residual": "absolut"}], ids=str)
def test_an_unknown_name_is_refused_with_the_nearest(override):
    with pytest.raises(UnknownNameError, match=r"Did you mean '(vgg19|absolute)'"):
        plugins.make("morphaeus", **override)
