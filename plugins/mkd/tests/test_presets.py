"""What presets say, and which parameters are refused."""

import pytest
from uadbench_mkd.mkd import Mkd

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError


def test_paper_is_trained_as_its_authors_train_on_medical_images():
    method = plugins.make("mkd", preset="paper")
    assert (method.teacher, method.weights, method.width, method.size) == ("vgg16", "imagenet", 16, 128)
    assert (method.mse_weight, method.lr, method.batch, method.epochs) == (0.01, 1e-3, 64, 200)
    assert (method.localisation, method.sigma) == ("guided", 4.0)


def test_quick_needs_no_download_and_no_gradient():
    method = plugins.make("mkd", preset="quick")
    assert (method.teacher, method.weights, method.localisation) == ("lite0", "imagenet", "features")


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_no_preset_gives_an_image_a_range_of_its_own(preset):
    assert not plugins.make("mkd", preset=preset).per_image_range


def test_the_defaults_are_the_paper_preset():
    assert plugins.make("mkd", preset="paper") == Mkd()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 32: give 96 or 128"),
        ({"size": 16}, "size is 16"),
        ({"width": 0}, "width is 0"),
        ({"block": 0}, "block is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"batch": 1}, "batch 1"),
        ({"epochs": 0}, "epochs 0"),
        ({"mse_weight": -0.1}, "mse_weight is -0.1"),
        ({"sigma": -1.0}, "sigma is -1"),
        ({"smooth_samples": 0}, "smooth_samples is 0"),
        ({"smooth_noise": -0.1}, "smooth_noise is -0.1"),
        ({"localisation": "gbp"}, "localisation is 'gbp'. Give one of guided, gradient, smooth, features"),
        ({"weights": "mine"}, "weights is 'mine'"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("mkd", **override)


def test_an_unknown_teacher_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg16'"):
        plugins.make("mkd", teacher="vgg61")
