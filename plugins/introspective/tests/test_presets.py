"""What presets say, and which parameters are refused."""

import pytest

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError


@pytest.mark.parametrize(
    ("preset", "latent", "lr", "batch", "epochs", "patience"),
    [
        ("paper", 128, 2e-4, 32, 250, 0),
        ("mor-2023", 128, 5e-5, 32, 1000, 25),
        ("ra-2023", 256, 5e-5, 8, 1500, 500),
    ],
)
def test_si_vae_is_trained_as_each_paper_says(preset, latent, lr, batch, epochs, patience):
    method = plugins.make("si-vae", preset=preset)
    assert (method.latent, method.lr, method.batch) == (latent, lr, batch)
    assert (method.epochs, method.patience) == (epochs, patience)
    assert (method.beta_rec, method.beta_kl, method.beta_neg, method.gamma_r) == (1.0, 1.0, 256.0, 1e-8)
    assert (method.size, method.width, method.residual) == (128, 64, "absolute")


def test_only_ra_s_comparison_augments():
    augmented = {preset: plugins.make("si-vae", preset=preset).augment for preset in ("paper", "mor-2023", "ra-2023")}
    assert augmented == {"paper": False, "mor-2023": False, "ra-2023": True}


@pytest.mark.parametrize("preset", ["paper", "ra-2023"])
def test_ra_is_trained_as_its_paper_says(preset):
    method = plugins.make("ra", preset=preset)
    assert (method.latent, method.lr, method.batch, method.epochs, method.patience) == (128, 5e-5, 8, 1500, 500)
    assert (method.beta_rec, method.beta_kl, method.beta_neg, method.reverse_weight) == (0.5, 1.0, 128.0, 5e-3)
    assert (method.size, method.width, method.augment, method.distance) == (128, 64, True, "lpips-squeeze")


@pytest.mark.parametrize("preset", ["quick", "paper", "ra-2023"])
@pytest.mark.parametrize("name", ["si-vae", "ra"])
def test_no_preset_does_what_only_published_code_does(name, preset):
    method = plugins.make(name, preset=preset)
    assert (method.bn_mode, method.test_sampling, method.lr_schedule_active) == ("train", "mean", False)


def test_every_part_of_ra_is_on_and_quick_needs_no_download():
    method = plugins.make("ra")
    assert method.reverse_loss
    assert method.hist_eq
    assert method.perceptual
    assert (method.distance, method.weights) == ("lite0", "imagenet")


@pytest.mark.parametrize("name", ["si-vae", "ra"])
@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, r"size is 100. The network halves it down to 4: give one of \(32, 64, 128, 256\)"),
        ({"size": 16}, "size is 16"),
        ({"latent": 0}, "latent is 0"),
        ({"width": 0}, "width is 0"),
        ({"block": 0}, "block is 0"),
        ({"beta_rec": -1.0}, "beta_rec is -1.0"),
        ({"beta_neg": -0.5}, "beta_neg is -0.5"),
        ({"gamma_r": -1e-8}, "gamma_r is -1e-08"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"bn_mode": "frozen"}, "mode is 'frozen'"),
        ({"test_sampling": "median"}, "test_sampling is 'median'. Give one of mean, sample"),
        ({"batch": 1}, "batch 1"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(name, override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make(name, **override)


@pytest.mark.parametrize(
    ("override", "kind", "sentence"),
    [
        ({"distance": "lpips-squeezy"}, UnknownNameError, "Did you mean 'lpips-squeeze'"),
        ({"weights": "mine"}, ParameterError, "weights is 'mine'"),
        ({"reverse_weight": -1.0}, ParameterError, "reverse_weight is -1.0"),
    ],
    ids=["distance", "weights", "reverse_weight"],
)
def test_ra_refuses_what_only_it_has(override, kind, sentence):
    with pytest.raises(kind, match=sentence):
        plugins.make("ra", **override)


def test_si_vae_refuses_an_unknown_residual():
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make("si-vae", residual="absolut")
