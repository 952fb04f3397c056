"""What presets say, and which parameters are refused."""

import pytest

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError


def test_the_paper_s_preset_is_the_paper():
    method = plugins.make("phanes", preset="paper")
    assert (method.stage1, method.stage1_preset, method.stage1_set) == ("ra", "paper", "")
    assert (method.size, method.width, method.blocks, method.distance, method.features) == (
        *(128, 64, 8),
        *("lpips-squeeze", "vgg19"),
    )
    assert (method.lr, method.batch, method.epochs, method.patience) == (5e-5, 8, 1500, 500)
    assert (method.style, method.perceptual, method.adversarial) == (250.0, 0.1, 0.01)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_no_preset_does_what_only_published_code_does(preset):
    method = plugins.make("phanes", preset=preset)
    assert (method.threshold, method.adversarial, method.inpainting) == ("validation", 0.01, True)
    assert (method.weights, method.augment) == ("imagenet", True)


def test_quick_needs_no_download_and_shortens_ra():
    method = plugins.make("phanes")
    assert (method.distance, method.features) == ("lite0", "lite0")
    assert method.first.made() == plugins.make("ra", preset="quick", epochs=method.first.made().epochs)
    assert method.first.made().epochs < plugins.make("ra").epochs


@pytest.mark.parametrize(
    ("override", "kind", "sentence"),
    [
        ({"size": 42}, ParameterError, "size is 42. The generator takes multiples of 4 from 36 on"),
        ({"size": 32}, ParameterError, "size is 32"),
        ({"width": 0}, ParameterError, "width is 0. Give at least 1"),
        ({"blocks": 0}, ParameterError, "blocks is 0"),
        ({"block": 0}, ParameterError, "block is 0"),
        ({"style": -1.0}, ParameterError, "style is -1.0. Give at least 0"),
        ({"perceptual": -1.0}, ParameterError, "perceptual is -1.0"),
        ({"adversarial": -0.1}, ParameterError, "adversarial is -0.1"),
        ({"lr": 0.0}, ParameterError, "lr is 0.0"),
        ({"batch": 1}, ParameterError, "batch 1"),
        ({"threshold": "mean"}, ParameterError, "threshold is 'mean'. Give one of validation, image"),
        ({"weights": "mine"}, ParameterError, "weights is 'mine'"),
        ({"distance": "lpips-squeezy"}, UnknownNameError, "Did you mean 'lpips-squeeze'"),
        ({"features": "vgg18"}, UnknownNameError, "Did you mean 'vgg19'"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(override, kind, sentence):
    with pytest.raises(kind, match=sentence):
        plugins.make("phanes", **override)
