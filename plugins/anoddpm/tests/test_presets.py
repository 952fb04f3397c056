"""What presets say, and which parameters are refused."""

import pytest

from uadbench import plugins
from uadbench.errors import ParameterError, UnknownNameError


def test_the_network_and_its_training_are_the_papers():
    method = plugins.make("anoddpm", preset="paper")
    assert (method.size, method.width, method.multipliers, method.res_blocks) == (128, 128, (1, 1, 2, 3, 4), 2)
    assert (method.attention, method.heads) == ((32, 16, 8), 2)
    assert (method.epochs, method.steps, method.lr, method.clip_norm) == (3000, 100, 1e-4, 1.0)
    assert (method.ema_decay, method.trained_to) == (0.9999, 800)


def test_noise_and_sampling_are_the_papers():
    method = plugins.make("anoddpm", preset="paper")
    assert (method.noise, method.frequency, method.octaves, method.persistence) == ("simplex", 64.0, 6, 0.8)
    assert (method.sampler, method.noised_to, method.residual) == ("ddpm", 200, "squared")


def test_quick_has_the_papers_noise_on_a_smaller_grid_and_asks_the_network_less_often():
    method, paper = (plugins.make("anoddpm", preset=preset) for preset in ("quick", "paper"))
    finest = [one.frequency / 2 ** (one.octaves - 1) for one in (method, paper)]
    assert finest == [2, 2]
    assert method.frequency / method.size == paper.frequency / paper.size
    assert (method.noise, method.sampler, method.noised_to) == ("simplex", "ddim", paper.noised_to)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"width": 30, "heads": 1}, "width is 30. Give a multiple of 4"),
        ({"width": 0}, "width is 0"),
        ({"heads": 3}, "heads is 3. Give a divisor of width, 128"),
        ({"heads": 0}, "heads is 0"),
        ({"multipliers": []}, r"multipliers is \(\). Give at least one"),
        ({"multipliers": [1, 0]}, r"multipliers is \(1, 0\)"),
        ({"res_blocks": 0}, "res_blocks is 0"),
        ({"batch": 1}, "batch 1"),
        ({"steps": -1}, "steps -1"),
        ({"lr": 0.0}, "lr is 0.0. Give more than 0: a learning rate"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"ema_decay": -0.1}, "ema_decay is -0.1"),
        ({"trained_to": 1001}, "trained_to is 1001. Give 1 to 1000"),
        ({"noised_to": 801}, "noised_to is 801. Give 1 to 800, trained_to"),
        ({"noised_to": 0}, "noised_to is 0"),
        ({"noise": "perlin"}, "noise is 'perlin'. Give one of simplex, gaussian"),
        ({"frequency": 0.0}, "frequency is 0.0"),
        ({"octaves": 0}, "octaves is 0"),
        ({"persistence": -0.5}, "persistence is -0.5"),
        ({"sampler": "ode"}, "sampler is 'ode'. Give one of ddpm, ddim"),
        ({"sampler": "ddim", "ddim_steps": 201}, "ddim_steps is 201. Give 1 to 200, noised_to"),
        ({"sampler": "ddim", "ddim_steps": 0}, "ddim_steps is 0"),
        ({"block": 0}, "block is 0"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("anoddpm", preset="paper", **override)


def test_without_ddim_its_steps_are_not_looked_at():
    assert plugins.make("anoddpm", preset="paper", noised_to=10).ddim_steps == 20


def test_an_unknown_residual_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'squared'"):
        plugins.make("anoddpm", residual="square")
